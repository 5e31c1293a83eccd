"""The oracles of selection: pivoted QR by its definition, and sketches of rows by a matrix that is stored whole.

Pivoted QR is in NumPy and float64. Every step subtracts the new direction from the whole matrix, takes every norm anew
and looks at every constraint, and the continuation beyond the rank inverts ``M`` each time. It is slow, and there is
nothing in it to go wrong: no norm is down-dated, no bound is trusted, nothing is lazy. Sketches are drawn by
Philox4x32-10 in plain NumPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["ReferencePivots", "log_volume", "philox4x32", "pivoted_qr", "sketch_matrix", "sketch_rows"]

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

    def accept_pivot(j: int) -> bool:
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
        accept_pivot(j)
    while len(chosen) < k:
        norms = _norms(residual)
        score = np.where(allowed() & (norms > tolerance * largest), weight * norms - cost, -np.inf)
        best = int(score.argmax())
        if not score[best] > -np.inf or not accept_pivot(best):
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


_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_KINDS = ("gaussian", "sparse_sign")


def philox4x32(counter: Any, key: tuple[int, int]) -> NDArray[np.uint64]:
    """Ten rounds of Philox: ``[..., 4]`` words below 2^32 to as many (Salmon et al., SC'11)."""
    x = [np.asarray(word, dtype=np.uint64) for word in np.moveaxis(np.asarray(counter, dtype=np.uint64), -1, 0)]
    keys = list(key)
    for _ in range(10):
        first, second = (x[2 * i] * np.uint64(_MULTIPLIERS[i]) for i in range(2))
        x = [
            (second >> np.uint64(32)) ^ x[1] ^ np.uint64(keys[0]),
            second & _LOW,
            (first >> np.uint64(32)) ^ x[3] ^ np.uint64(keys[1]),
            first & _LOW,
        ]
        keys = [(k + w) % 2**32 for k, w in zip(keys, _WEYL, strict=True)]
    return np.stack(x, axis=-1)


def _words(seed: int, rows: NDArray[np.uint64], parts: int, kind: str) -> NDArray[np.uint64]:
    """``[r, 4 parts]``: the words of each row of ``A``."""
    counter = np.zeros((rows.size, parts, 4), dtype=np.uint64)
    counter[..., 0] = (rows & _LOW)[:, None]
    counter[..., 1] = (rows >> np.uint64(32))[:, None]
    counter[..., 2] = np.arange(parts, dtype=np.uint64)
    counter[..., 3] = _KINDS.index(kind)
    return philox4x32(counter, (seed % 2**32, seed >> 32)).reshape(rows.size, 4 * parts)


def sketch_matrix(num_rows: int, r: int, *, seed: int, kind: str = "gaussian", row_offset: int = 0) -> Tensor:
    """``S[:, row_offset : row_offset + r]``, float64 ``[num_rows, r]``."""
    rows = np.arange(row_offset, row_offset + r, dtype=np.uint64)
    if kind == "gaussian":
        uniform = (_words(seed, rows, -(-num_rows // 4), kind) + 0.5) / 2.0**32
        radius = np.sqrt(-2.0 * np.log(uniform[:, 0::2]))
        angle = 2.0 * np.pi * uniform[:, 1::2]
        normal = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1).reshape(r, -1)
        return torch.from_numpy(normal[:, :num_rows].T / num_rows**0.5)
    signs = min(8, num_rows)
    matrix = np.zeros((num_rows, r))
    for column, words in enumerate(_words(seed, rows, -(-signs // 4), kind)[:, :signs].tolist()):
        taken: list[int] = []  # R. W. Floyd's sample without repetition
        for word, last in zip(words, range(num_rows - signs, num_rows), strict=True):
            place = (word * (last + 1)) >> 32
            taken.append(last if place in taken else place)
            matrix[taken[-1], column] = (1.0 if word % 2 else -1.0) / signs**0.5
    return torch.from_numpy(matrix)


def sketch_rows(A: Tensor, num_rows: int, *, seed: int, kind: str = "gaussian", row_offset: int = 0) -> Tensor:
    """``S[:, row_offset : row_offset + r] @ A``."""
    S = sketch_matrix(num_rows, A.shape[0], seed=seed, kind=kind, row_offset=row_offset)
    return S.to(A.device, A.dtype) @ A
