"""The kernels of :func:`pinn_ext.pivoted_qr`: allocation, the scale of small and large numbers, and the report."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor

from pinn_ext import _core
from pinn_ext._candidates import NO_CONSTRAINTS, Constraints
from pinn_ext._checks import describe
from pinn_ext._library import address, launch_place, register_operator
from pinn_ext.sketch import sketch_rows

_STATUS = _core.PivotStatus
_OK, _NOT_FINITE, _TOO_SMALL, _EXHAUSTED = (
    int(status) for status in (_STATUS.ok, _STATUS.not_finite, _STATUS.too_small, _STATUS.exhausted)
)

__all__ = ["Pivots", "check_finite", "choose", "choose_from_sketch", "choose_up_to", "rounding_level"]


@dataclass(frozen=True)
class Pivots:
    """``pivots [k]`` int64 and ``r_diagonal [k]`` float64 on the device of ``A``; reads: of all of ``A``.

    ``method`` is the one that chose, which may be exact where another was asked for.
    """

    pivots: Tensor
    r_diagonal: Tensor
    rank: int
    reads: float
    method: str


def rounding_level(A: Tensor, n: int | None = None) -> float:
    """Residuals up to this times the largest column are rounding: eps for each of the directions that there may be.

    Of ``A``, or of ``n`` candidates that it has a part of.

    Not ``eps * max(r, n)``: in float32 that is 3 per cent of 262,144 candidates, while the residual of a column does
    not depend on how many others there are.
    """
    return float(torch.finfo(A.dtype).eps * max(16, min(A.shape[0], (n or A.shape[1]) * math.prod(A.shape[2:]))))


def choose(
    A: Tensor, k: int, constraints: Constraints, *, tournament: bool = False, tolerance: float | None = None
) -> Pivots:
    """The first ``k`` pivots of a contiguous ``A``; tolerance: its `rounding_level` where it is not given.

    Raises:
        ValueError: NaN or infinity in ``A``, zeros alone, or too many constraints: neither the tournament, where it is
            asked for, nor the exact choice finds ``k``.
    """
    done = choose_up_to(A, k, constraints, tournament=tournament, tolerance=tolerance)
    found = done.pivots.numel()
    if found < k and done.method == "tournament":
        done = choose_up_to(A, k, constraints, tolerance=tolerance)
        found = max(found, done.pivots.numel())
    if found < k:
        raise ValueError(f"k: expected at most {found}, which the constraints leave, got {k}")
    return done


def choose_up_to(
    A: Tensor, k: int, constraints: Constraints, *, tournament: bool = False, tolerance: float | None = None
) -> Pivots:
    """As :func:`choose`, but fewer than ``k`` where those chosen exclude all others.

    Raises:
        ValueError: NaN or infinity in ``A``, or zeros alone.
    """
    if tournament and A.is_cuda and not _is_served(A, k, constraints):
        _say_exact()
        tournament = False
    if tolerance is None:
        tolerance = rounding_level(A)
    pivots, r_diagonal, (status, chosen, rank, looked_at) = _run(A, k, constraints, tolerance, tournament)
    scale = 1.0
    if status in (_NOT_FINITE, _TOO_SMALL):
        # Squares that overflow or vanish: a power of two takes the numbers to where they do not.
        allowed = A
        if constraints.forbidden is not None:  # whose numbers may be far larger, and are not looked at
            check_finite(A)
            allowed = A.masked_fill(_like_columns(constraints.forbidden, A), 0.0)
        scale = _power_of_two(allowed, "a column" if constraints.forbidden is None else "an allowed column")
        costs = None if constraints.costs is None else constraints.costs / scale
        pivots, r_diagonal, (status, chosen, rank, looked_at) = _run(
            allowed / scale, k, replace(constraints, costs=costs), tolerance, tournament
        )
    if status == _TOO_SMALL:
        raise ValueError(f"A: expected an allowed column that is not zero, got zeros, {describe(A)}")
    if status != _OK:
        pivots, r_diagonal = pivots[:chosen], r_diagonal[:chosen]
    method = "tournament" if tournament else "exact"
    return Pivots(pivots, r_diagonal * scale, rank, looked_at / math.prod(A.shape[1:]), method)


def _like_columns(mask: Tensor, A: Tensor) -> Tensor:
    return mask.bool().reshape(-1, *(1,) * (A.dim() - 2))


@cache
def _say_exact() -> None:
    warnings.warn(
        "pinn_ext.pivoted_qr: method='tournament' on CUDA is answered by the exact choice, with a pass over A for each "
        "pivot, where a block of threads holds too few columns to choose k of them: many rows, or a k of hundreds",
        stacklevel=2,
    )


def choose_from_sketch(
    A: Tensor, k: int, constraints: Constraints, sketch: str, seed: int, oversampling: int
) -> Pivots:
    """The pivots of ``k c + oversampling`` random combinations of the rows; those of ``A`` where it has no more rows.

    ``k`` candidates of ``c`` columns span up to ``k c`` dimensions. Voronin and Martinsson, *Efficient algorithms for
    CUR and interpolative matrix decompositions*, Adv. Comput. Math. 43 (2017). ``r_diagonal`` and rank are those of the
    chosen columns of ``A`` itself, in their order.

    Raises:
        ValueError: as :func:`choose`.
    """
    num_rows = k * math.prod(A.shape[2:]) + oversampling
    if num_rows >= A.shape[0]:
        return choose(A, k, constraints)
    tolerance = rounding_level(A)  # a sketch has rounded as many sums as A has rows
    rows = sketch_rows(A.reshape(A.shape[0], -1), num_rows, seed=seed, kind=sketch)
    try:
        chosen = choose(rows.reshape(num_rows, *A.shape[1:]), k, constraints, tolerance=tolerance)
    except ValueError:
        _power_of_two(A)  # a message about A, where that is the reason
        if constraints.forbidden is None or bool(rows.isfinite().all()):
            raise
        # Sums over a forbidden column that overflow.
        rows = rows.reshape(num_rows, *A.shape[1:]).masked_fill(_like_columns(constraints.forbidden, A), 0.0)
        chosen = choose(rows, k, constraints, tolerance=tolerance)
    pivots = chosen.pivots
    in_order = replace(NO_CONSTRAINTS, forced=torch.arange(k, device=A.device))
    measured = choose(A[:, pivots].contiguous(), k, in_order, tolerance=tolerance)
    return Pivots(pivots, measured.r_diagonal, measured.rank, chosen.reads, "randomized")


def _run(
    A: Tensor, k: int, constraints: Constraints, tolerance: float, tournament: bool
) -> tuple[Tensor, Tensor, list[int]]:
    """Pivots, their lengths, and the report: status, chosen, rank, columns looked at."""
    pivots, r_diagonal, report = _pivoted_qr(
        A,
        k,
        constraints.weights,
        constraints.costs,
        constraints.forbidden,
        constraints.forced,
        constraints.positions,
        constraints.min_distance,
        constraints.regions,
        constraints.quotas,
        tolerance,
        tournament,
    )
    status, chosen, rank, looked_at = report.tolist()
    if status == _EXHAUSTED and tournament and A.is_cuda:
        # Limits have set winners of different heats against one another. (On the CPU csrc/qr/tournament.h goes on.)
        found = replace(constraints, forced=pivots[:chosen])
        pivots, r_diagonal, (status, chosen, rank, more) = _run(A, k, found, tolerance, False)
        looked_at += more
    return pivots, r_diagonal, [status, chosen, rank, looked_at]


def _fake(A: Tensor, k: int, *limits: Any) -> tuple[Tensor, Tensor, Tensor]:
    return (
        A.new_empty(k, dtype=torch.int64),
        A.new_empty(k, dtype=torch.float64),
        A.new_empty(4, dtype=torch.int64),
    )


def _kernel(
    A: Tensor,
    k: int,
    weights: Tensor | None,
    costs: Tensor | None,
    forbidden: Tensor | None,
    forced: Tensor,
    positions: Tensor | None,
    min_distance: float,
    regions: Tensor | None,
    quotas: Tensor | None,
    tolerance: float,
    tournament: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    A = A.contiguous()
    pivots, r_diagonal, report = _fake(A, k)
    size = _size(A, k, forced, positions, min_distance, quotas, tolerance)
    inputs = (A, weights, costs, forbidden, forced, positions, regions, quotas)
    arrays = [address(array) for array in (*inputs, pivots, r_diagonal, report)]
    kernel = _core.pivot_tournament if tournament else _core.pivoted_qr
    with launch_place(A) as place:
        workspace = None
        if A.is_cuda:
            float64, _ = place
            count = _core.cuda_tournament_workspace_bytes if tournament else _core.cuda_pivot_workspace_bytes
            workspace = A.new_empty(count(size, float64), dtype=torch.uint8)
        kernel(*place, arrays, address(workspace), size)
    return pivots, r_diagonal, report


def _size(
    A: Tensor,
    k: int,
    forced: Tensor,
    positions: Tensor | None,
    min_distance: float,
    quotas: Tensor | None,
    tolerance: float,
) -> _core.PivotSize:
    return _core.PivotSize(
        r=A.shape[0],
        n=A.shape[1],
        c=A.shape[2] if A.dim() == 3 else 1,
        k=k,
        num_forced=forced.numel(),
        num_regions=0 if quotas is None else quotas.numel(),
        d=0 if positions is None else positions.shape[1],
        min_distance=min_distance,
        tolerance=tolerance,
    )


@torch.compiler.disable  # type: ignore[untyped-decorator]
def _is_served(A: Tensor, k: int, constraints: Constraints) -> bool:
    """Whether a tournament of CUDA kernels chooses as many from columns of this size."""
    size = _size(A, k, constraints.forced, None, 0.0, None, 0.0)
    with launch_place(A) as (float64, _):
        return _core.cuda_tournament_serves(size, float64)


_pivoted_qr = register_operator(
    "pivoted_qr(Tensor A, int k, Tensor? weights, Tensor? costs, Tensor? forbidden, Tensor forced, Tensor? positions, "
    "float min_distance, Tensor? regions, Tensor? quotas, float tolerance, bool tournament) "
    "-> (Tensor, Tensor, Tensor)",
    _kernel,
    _fake,
)


def check_finite(A: Tensor) -> float:
    """The largest magnitude in ``A``.

    Raises:
        ValueError: NaN or infinity.
    """
    low, high = (float(bound) for bound in A.aminmax())
    largest = max(-low, high)
    if not math.isfinite(largest):
        wrong = int((~A.isfinite()).sum())
        raise ValueError(f"A: expected finite numbers, got {wrong} that are NaN or infinite, {describe(A)}")
    return largest


def _power_of_two(A: Tensor, wanted: str = "a column") -> float:
    """The power of two just above the largest number."""
    largest = check_finite(A)
    if largest == 0.0:
        raise ValueError(f"A: expected {wanted} that is not zero, got zeros, {describe(A)}")
    return float(2.0 ** math.frexp(largest)[1])
