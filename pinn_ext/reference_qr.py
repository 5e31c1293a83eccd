"""The oracle of :func:`pinn_ext.pivoted_qr`: the definition, step by step, in NumPy and float64.

Every step subtracts the new direction from the whole matrix, takes every norm anew and looks at every constraint, and
the continuation beyond the rank inverts ``M`` each time. It is slow, and there is nothing in it to go wrong: no norm is
down-dated, no bound is trusted, nothing is lazy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ReferencePivots", "log_volume", "pivoted_qr"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class ReferencePivots:
    """``pivots`` and ``r_diagonal`` in the order of choice; ``rank`` of them were chosen by QR."""

    pivots: Ints
    r_diagonal: Floats
    rank: int


def pivoted_qr(
    A: NDArray[np.floating],
    k: int,
    *,
    tolerance: float,
    weights: Floats | None = None,
    costs: Floats | None = None,
    forbidden: Bools | None = None,
    forced: Sequence[int] = (),
    positions: Floats | None = None,
    min_distance: float = 0.0,
    regions: Ints | None = None,
    quotas: Ints | None = None,
) -> ReferencePivots:
    """The first ``k`` pivots; formulas as in :func:`pinn_ext.pivoted_qr`.

    Args:
        A: ``[r, n]`` or ``[r, n, c]``.
        k: how many.
        tolerance: residuals up to this times the largest allowed column count as zero.
        weights: ``[n]``.
        costs: ``[n]``.
        forbidden: ``[n]``.
        forced: indices chosen first.
        positions: ``[n, d]``, with ``min_distance``.
        min_distance: no two chosen positions are nearer.
        regions: ``[n]`` labels, with ``quotas``.
        quotas: ``[num_regions]``, the most that each region may have.

    Raises:
        ValueError: the constraints leave fewer than ``k``.
    """
    columns = np.array(A, dtype=np.float64).reshape(A.shape[0], A.shape[1], -1)
    residual = columns.copy()
    n = columns.shape[1]
    weight = np.ones(n) if weights is None else np.asarray(weights, dtype=np.float64)
    cost = np.zeros(n) if costs is None else np.asarray(costs, dtype=np.float64)
    free = np.ones(n, dtype=bool) if forbidden is None else ~forbidden
    free[list(forced)] = True
    largest = float(_norms(columns)[free].max())
    chosen: list[int] = []
    diagonal: list[float] = []

    def allowed() -> Bools:
        mask = free.copy()
        mask[chosen] = False
        for s in chosen:
            if positions is not None:
                mask &= ((positions - positions[s]) ** 2).sum(1) >= min_distance**2
        if regions is not None and quotas is not None:
            counts = np.bincount(regions[chosen], minlength=len(quotas))
            mask &= (counts < quotas)[regions]
        return mask

    def take(j: int) -> bool:
        """Whether candidate ``j`` added a direction."""
        norm = float(_norms(residual)[j])
        independent = norm > tolerance * largest
        chosen.append(j)
        diagonal.append(norm if independent else 0.0)
        while independent:
            lengths = np.sqrt((residual[:, j] ** 2).sum(0))
            longest = int(lengths.argmax())
            if not lengths[longest] > tolerance * largest:
                break
            q = residual[:, j, longest] / lengths[longest]
            residual[:] -= q[:, None, None] * np.einsum("r,rnc->nc", q, residual)
        return independent

    for j in forced:
        take(j)
    while len(chosen) < k:
        norms = _norms(residual)
        score = np.where(allowed() & (norms > tolerance * largest), weight * norms - cost, -np.inf)
        best = int(score.argmax())
        if not score[best] > -np.inf or not take(best):
            break
    rank = sum(length > 0.0 for length in diagonal)

    basis = np.linalg.svd(columns[:, chosen].reshape(columns.shape[0], -1), full_matrices=False)
    U = basis[0][:, basis[1] > tolerance * largest]
    inside = np.einsum("rd,rnc->dnc", U, columns)
    while len(chosen) < k:
        scaled = (weight[chosen, None] * inside[:, chosen]).reshape(inside.shape[0], -1)
        # a' M^-1 a as the squared length of W^-1 a: M is never squared up
        left, values, _ = np.linalg.svd(scaled, full_matrices=False)
        gain = ((np.einsum("de,dnc->enc", left, inside) / values[:, None, None]) ** 2).sum((0, 2))
        score = np.where(allowed(), weight * np.sqrt(gain) - cost / largest, -np.inf)
        best = int(score.argmax())
        if not score[best] > -np.inf:
            raise ValueError(f"k: expected at most {len(chosen)}, which the constraints leave, got {k}")
        chosen.append(best)
        diagonal.append(0.0)
    return ReferencePivots(np.array(chosen, dtype=np.int64), np.array(diagonal), rank)


def log_volume(A: NDArray[np.floating], pivots: Sequence[int] | Ints) -> float:
    """``log |det R|`` of the chosen columns of ``A [r, n]``, by an explicit QR in float64."""
    R = np.linalg.qr(np.asarray(A, dtype=np.float64)[:, np.asarray(pivots)], mode="r")
    return float(np.log(np.abs(np.diag(R))).sum())


def _norms(columns: Floats) -> Floats:
    norms: Floats = np.sqrt((columns**2).sum((0, 2)))
    return norms
