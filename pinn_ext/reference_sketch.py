"""The oracle of :func:`pinn_ext.sketch_rows`: Philox4x32-10 and the sketching matrix in plain NumPy, stored whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["philox4x32", "sketch_matrix", "sketch_rows"]

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
