"""Pivoted QR that stops at k: which columns of a matrix span most of it.

Columns are candidates, places where a sensor may stand; rows are modes or snapshots. Each pivot is the column farthest
from the span of those before it (Businger and Golub 1965; for sensors: Manohar, Brunton, Kutz and Brunton, *Data-driven
sparse sensor placement for reconstruction*, IEEE Control Systems 38 (2018)).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pinn_ext._impl.checks import DTYPES, describe
from pinn_ext._impl.constraints import check_constraints, check_forced, check_no_mask, given_tensor
from pinn_ext._impl.operator import transforms_active
from pinn_ext._impl.pivots import choose, choose_from_sketch
from pinn_ext.sketch import SKETCHES, check_seed

__all__ = ["PivotedQR", "pivoted_qr"]

METHODS = ("exact", "randomized")


@dataclass(frozen=True)
class PivotedQR:
    """The result of :func:`pivoted_qr`.

    Args:
        pivots: ``[k]`` int64, the chosen candidates in the order of choice.
        r_diagonal: ``[k]``, each one's residual norm when it was chosen, in the scale of ``A`` and without weights; 0
            beyond the rank, and for a forced candidate that added nothing.
        rank: how many pivots were chosen by QR, that is, added to the span.
        log_volume: sum of ``log r_diagonal`` over these.
        method: which one chose: ``"exact"``, also where a sketch had nothing to gain; ``"randomized"``; ``"group"``,
            each rank's exact choice and one among the winners.
    """

    pivots: Any
    r_diagonal: Any
    rank: int
    log_volume: float
    method: str


def pivoted_qr(
    A: Any,
    k: int,
    *,
    method: str = "exact",
    weights: Any = None,
    costs: Any = None,
    forbidden: Any = None,
    forced: Any = None,
    positions: Any = None,
    min_distance: float | None = None,
    regions: Any = None,
    max_per_region: Any = None,
    seed: int = 0,
    oversampling: int = 10,
    sketch: str = "gaussian",
    group: Any = None,
) -> PivotedQR:
    """The first ``k`` pivots of a QR decomposition with column pivoting.

    ``pivot s = argmax_j weights_j |a_j - Q Q' a_j| - costs_j``, with ``Q`` an orthonormal basis of the columns chosen
    before; ties go to the lowest index. Neither ``R`` nor ``Q`` nor a trailing matrix is formed.

    Beyond the rank, where every residual is at rounding level (``eps * max(16, min(r, n c))`` of the largest allowed
    column), the choice is greedily D-optimal within the span: ``argmax_j weights_j sqrt(g_j) - costs_j / max |a|``
    with ``g_j = a_j' M^-1 a_j`` and ``M`` the sum of ``weights^2 a a'`` over the chosen (Saito et al.,
    *Determinant-based fast greedy sensor selection algorithm*, IEEE Access 9 (2021) 68535). A candidate of several
    columns has the sum of their ``g``.

    Args:
        A: ``[r, n]``, or ``[r, n, c]`` where one sensor measures ``c`` components: then a residual norm is over all its
            columns, and all of them are projected out once it is chosen. Torch tensor, NumPy array or anything with
            DLPack; float32 or float64; CPU or CUDA. Made contiguous where it is not.
        k: how many, ``1 <= k <= n``.
        method: ``"exact"``, the pivots of LAPACK's geqp3; ``"randomized"``, pivots of
            ``k c + oversampling`` random combinations of the rows (:func:`pinn_ext.sketch_rows`), with ``r_diagonal``
            and rank of the chosen columns of ``A`` itself, which need not fall; where ``A`` has no more rows than that,
            a sketch would cost and not help, and the exact choice answers.
        weights: ``[n]`` >= 0, the same as scaling the columns; 0 forbids.
        costs: ``[n]`` in the scale of ``A`` (Clark, Askham, Brunton and Kutz, *Greedy sensor placement with cost
            constraints*, IEEE Sensors J. 19 (2019)).
        forbidden: bool ``[n]``, or indices.
        forced: indices, chosen first and in this order.
        positions: ``[n, d]``, with ``min_distance``: no two chosen ones are nearer.
        min_distance: > 0, in units of ``positions``.
        regions: ``[n]`` labels from 0, with ``max_per_region``.
        max_per_region: one whole number, or one for each region.
        seed: of the sketch; randomized only.
        oversampling: rows of the sketch beyond ``k``; randomized only.
        sketch: ``"gaussian"`` or ``"sparse_sign"``; randomized only.
        group: a ``torch.distributed`` process group; exact only. Its ranks hold the columns one after the other and
            call together, each with ``weights``, ``costs``, ``forbidden``, ``positions`` and ``regions`` of its own
            columns. ``k``, ``min_distance``, ``max_per_region`` and ``forced`` are the same on all; forced candidates
            and pivots are numbers in all ranks' columns. Each rank sends the columns of its own exact choice of
            ``2 k`` to all others, and one exact choice is made among these. Where distances let winners of different
            ranks exclude one another, further rounds fill up to ``k``, at worst one candidate a round. So ``k`` are
            found wherever the exact choice finds them in all columns at once, but for rounding.

    Returns:
        Pivots and what is known of them; arrays are NumPy where ``A`` is, else torch on the device of ``A``. The result
        does not depend on the number of threads.

    Raises:
        TypeError, ValueError: wrong type, shape, dtype or device; NaN or infinity in ``A``; all columns zero; fewer
            than ``k`` candidates left by the constraints; ``A`` requires a gradient: a choice has none. Which
            candidates distances leave depends on those chosen before: where the choice finds fewer than ``k``, the
            message says how many (more may exist: to find the most is as hard as the largest independent set of a
            graph). With ``group``, any of these on one rank, and arguments that
            ranks do not agree about, raise on all of them: the rank's own error there, its message on the others.
    """
    limits = {
        "weights": weights,
        "costs": costs,
        "forbidden": forbidden,
        "positions": positions,
        "min_distance": min_distance,
        "regions": regions,
        "max_per_region": max_per_region,
    }
    if group is None:
        matrix = _as_matrix(A)
        k = _check_k(k, matrix.shape[1])
        _check_choices(method, sketch, seed, oversampling)
        constraints = check_constraints(matrix, k, forced=forced, **limits)
        if method == "randomized":
            done = choose_from_sketch(matrix, k, constraints, sketch, seed, int(oversampling))
        else:
            done = choose(matrix, k, constraints)
    else:
        # Not at the top of the file: torch.distributed may be missing from a build of torch.
        from pinn_ext._impl.ranks import Share, choose_in_group

        def make_share() -> Share:
            _check_choices(method, sketch, seed, oversampling)
            if method != "exact":
                raise ValueError(f"group: expected method='exact', got {method!r}")
            mine = _as_matrix(A)
            # k of all ranks: no rank alone needs to have any.
            constraints = check_constraints(mine, 0, forced=None, **limits)
            total = _check_k(k, None)
            quotas = None if max_per_region is None else given_tensor("max_per_region", max_per_region, "").tolist()
            return Share(mine, total, constraints, check_forced(forced, None, total), quotas)

        share, done = choose_in_group(make_share, group)
        matrix = share.A
    r_diagonal = done.r_diagonal.to(matrix.dtype)
    from_numpy = isinstance(A, np.ndarray)
    return PivotedQR(
        pivots=done.pivots.numpy() if from_numpy else done.pivots,
        r_diagonal=r_diagonal.numpy() if from_numpy else r_diagonal,
        rank=done.rank,
        log_volume=sum(math.log(length) for length in done.r_diagonal.tolist() if length > 0.0),
        method=done.method,
    )


def _as_matrix(A: Any) -> Tensor:
    """``A`` as a contiguous tensor."""
    wanted = "A: expected [r, n] or [r, n, c] float32 or float64"
    check_no_mask("A", A)
    if isinstance(A, np.ndarray):
        if A.dtype.newbyteorder("=") not in (np.float32, np.float64):
            raise ValueError(f"{wanted}, got {list(A.shape)} {A.dtype}")
        # A copy where torch takes no view: another byte order, negative strides, read-only memory.
        native = A.dtype.isnative and A.flags.writeable and all(stride >= 0 for stride in A.strides)
        A = torch.from_numpy(A if native else np.array(A, dtype=A.dtype.newbyteorder("="), order="C"))
    elif not isinstance(A, Tensor):
        if not hasattr(A, "__dlpack__"):
            raise TypeError(f"{wanted} (torch, NumPy or DLPack), got {describe(A)}")
        try:
            A = torch.utils.dlpack.from_dlpack(A)
        except (TypeError, ValueError, AttributeError, RuntimeError, BufferError) as error:
            raise TypeError(f"{wanted} (torch, NumPy or DLPack), got {describe(A)}: {error}") from error
    if A.dtype not in DTYPES or A.dim() not in (2, 3):
        raise ValueError(f"{wanted}, got {describe(A)}")
    if A.device.type not in ("cpu", "cuda") or A.layout is not torch.strided:
        raise ValueError(f"A: expected a dense matrix on cpu or cuda, got {describe(A)} ({A.layout})")
    if transforms_active():
        raise ValueError(
            "A: expected a choice outside the transforms of torch.func; call pivoted_qr in a loop before them"
        )
    if A.numel() == 0:
        raise ValueError(f"A: expected at least one row and one candidate, got {describe(A)}")
    if A.requires_grad:
        raise ValueError(
            "A: expected a matrix without requires_grad, since pivoted_qr is not differentiable (a choice of columns "
            "has no gradient); pass A.detach(). Got requires_grad=True"
        )
    matrix: Tensor = A.resolve_neg().contiguous()
    return matrix


def _check_choices(method: Any, sketch: Any, seed: Any, oversampling: Any) -> None:
    if method not in METHODS:
        raise ValueError(f"method: expected one of {', '.join(METHODS)}, got {method!r}")
    if sketch not in SKETCHES:
        raise ValueError(f"sketch: expected one of {', '.join(SKETCHES)}, got {sketch!r}")
    check_seed(seed)
    if isinstance(oversampling, bool) or not isinstance(oversampling, int | np.integer):
        raise TypeError(f"oversampling: expected a whole number, got {describe(oversampling)}")
    if oversampling < 0:
        raise ValueError(f"oversampling: expected a number >= 0, got {oversampling}")


def _check_k(k: Any, n: int | None) -> int:
    """A whole number from 1, to ``n`` where that is known."""
    if isinstance(k, bool) or not isinstance(k, int | np.integer):
        raise TypeError(f"k: expected a whole number, got {describe(k)}")
    if n is None and k < 1:
        raise ValueError(f"k: expected at least 1, got {k}")
    if n is not None and not 1 <= k <= n:
        raise ValueError(f"k: expected 1 to {n}, the candidates of A, got {k}")
    return int(k)
