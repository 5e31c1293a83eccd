"""The kernels of :func:`pinn_ext.pivoted_qr`: allocation, the scale of small and large numbers, and the report."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pinn_ext import _core
from pinn_ext._impl.checks import describe
from pinn_ext._impl.constraints import NO_CONSTRAINTS, Constraints
from pinn_ext._impl.operator import array, launch_place, outside_graphs
from pinn_ext.sketch import sketch_rows

_STATUS = _core.PivotStatus
_NOT_FINITE, _TOO_SMALL = int(_STATUS.not_finite), int(_STATUS.too_small)

__all__ = ["Pivots", "check_finite", "choose", "choose_from_sketch", "rounding_level"]


@dataclass(frozen=True)
class Pivots:
    """``pivots [k]`` int64 and ``r_diagonal [k]`` float64 on the device of ``A``.

    ``method`` is the one that chose.
    """

    pivots: Tensor
    r_diagonal: Tensor
    rank: int
    method: str


def rounding_level(A: Tensor, n: int | None = None) -> float:
    """Residuals up to this times the largest column are rounding: eps for each of the directions that there may be.

    Of ``A``, or of ``n`` candidates that it has a part of.

    Not ``eps * max(r, n)``: in float32 that is 3 per cent of 262,144 candidates, while the residual of a column does
    not depend on how many others there are.
    """
    return float(torch.finfo(A.dtype).eps * max(16, min(A.shape[0], (n or A.shape[1]) * math.prod(A.shape[2:]))))


def choose(
    A: Tensor, k: int, constraints: Constraints, *, tolerance: float | None = None, or_fewer: bool = False
) -> Pivots:
    """The first ``k`` pivots of a contiguous ``A``.

    ``tolerance`` is that of residuals, relative to the largest column; None for the `rounding_level`. ``or_fewer``
    returns those that there are, where the chosen ones exclude all others before ``k``.

    Raises:
        ValueError: NaN or infinity in ``A``, zeros alone, or too many constraints.
    """
    tolerance = rounding_level(A) if tolerance is None else tolerance
    scale = 1.0
    pivots, r_diagonal, (status, chosen, rank) = _run(A, k, constraints, tolerance)
    if status in (_NOT_FINITE, _TOO_SMALL):
        # Squares that overflow or vanish: a power of two takes the numbers to where they do not.
        allowed = A
        if constraints.forbidden is not None:  # whose numbers may be far larger, and are not looked at
            check_finite(A)
            allowed = A.masked_fill(_like_columns(constraints.forbidden, A), 0.0)
        scale = _power_of_two(allowed, "a column" if constraints.forbidden is None else "an allowed column")
        costs = None if constraints.costs is None else constraints.costs / scale
        pivots, r_diagonal, (status, chosen, rank) = _run(
            allowed / scale, k, replace(constraints, costs=costs), tolerance
        )
    if status == _TOO_SMALL:
        raise ValueError(f"A: expected an allowed column that is not zero, got zeros, {describe(A)}")
    if chosen < k and not or_fewer:
        raise ValueError(f"k: expected at most {chosen}, which the constraints leave, got {k}")
    return Pivots(pivots[:chosen], r_diagonal[:chosen] * scale, rank, "exact")


def _like_columns(mask: Tensor, A: Tensor) -> Tensor:
    return mask.bool().reshape(-1, *(1,) * (A.dim() - 2))


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
    return Pivots(pivots, measured.r_diagonal, measured.rank, "randomized")


def _run(A: Tensor, k: int, constraints: Constraints, tolerance: float) -> tuple[Tensor, Tensor, list[int]]:
    """Pivots ``[k]``, their lengths, and the report: status, chosen, rank."""
    # Addresses go in, numbers are read back.
    pivots, r_diagonal, report = outside_graphs(_launch)(A, k, constraints, tolerance)
    return pivots, r_diagonal, report.tolist()


def _launch(A: Tensor, k: int, constraints: Constraints, tolerance: float) -> tuple[Tensor, Tensor, Tensor]:
    """As `_run`, without a look at the report, for which CUDA would have to be waited for. ``A`` is contiguous."""
    pivots, r_diagonal = A.new_empty(k, dtype=torch.int64), A.new_empty(k, dtype=torch.float64)
    report = A.new_empty(3, dtype=torch.int64)
    limits = constraints
    size = _core.PivotSize(
        r=A.shape[0],
        n=A.shape[1],
        c=A.shape[2] if A.dim() == 3 else 1,
        k=k,
        num_forced=limits.forced.numel(),
        num_regions=0 if limits.quotas is None else limits.quotas.numel(),
        d=0 if limits.positions is None else limits.positions.shape[1],
        min_distance=limits.min_distance,
        tolerance=tolerance,
    )
    with launch_place(A) as place:
        workspace = None
        if A.is_cuda:
            float64, _ = place
            workspace = A.new_empty(_core.cuda_pivot_workspace_bytes(size, float64), dtype=torch.uint8)
        _core.pivoted_qr(
            *place,
            size=size,
            a=array(A),
            weight=array(limits.weights),
            cost=array(limits.costs),
            forbidden=array(limits.forbidden),
            forced=array(limits.forced),
            position=array(limits.positions),
            region=array(limits.regions),
            quota=array(limits.quotas),
            pivot=array(pivots),
            r_diagonal=array(r_diagonal),
            report=array(report),
            workspace=array(workspace),
        )
    return pivots, r_diagonal, report


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
