"""Errors of the linear reconstruction of fields that took no part in choosing, read in blocks.

    F^ = Psi (C Psi)^+ C F,   error = ||F - F^|| / ||F||,   Psi = Q diag(scales) V'

for several placements at once, and for the best fit of the basis to the whole fields. Symbols are
those of `quality.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinnx.data.blocks import Progress, has_rows
from pinnx.errors import PinnxError

__all__ = ["cutoff", "held_out_errors", "require_real", "row_blocks"]

EPS64 = float(np.finfo(np.float64).eps)
# Numbers of one block of rows in float64: 4 MB, so that a basis that is mapped from a file or kept
# in float32 is never copied whole.
BLOCK_NUMBERS = 2**19
# Numbers of a block of held-out snapshots that are read out of a file, 8 MB in float32, and the fewest snapshots
# of one: each block costs two passes over the basis, which itself has more rows.
STREAM_NUMBERS = 2**21
FEWEST_SNAPSHOTS = 8

Array = NDArray[np.float64]


def held_out_errors(
    modes: NDArray[np.floating],
    placements: NDArray[np.int64],
    theta: Array,
    to_orthonormal: Array,
    scales: Array,
    mean: ArrayLike | None,
    held_out: Any,
    progress: Progress | None,
) -> Array:
    """Relative errors of each placement, and last that of the best fit to the whole fields."""
    n, c, _ = modes.shape
    streamed = has_rows(held_out) and not hasattr(held_out, "__array__")
    fields = held_out if streamed else np.asarray(held_out)
    shape = tuple(fields.shape)
    if shape[1:] not in ((n, c), (n,) if c == 1 else (n, c)) or not shape[0]:
        raise PinnxError(f"held_out: expected shape [T, {n}{_components(c)}], got {list(shape)}")
    require_real("held_out", fields)
    offset = np.zeros((n, c)) if mean is None else np.asarray(mean, dtype=np.float64)
    if offset.shape != (n, c) and offset.shape != (n, *((c,) if c > 1 else ())):
        raise PinnxError(f"mean: expected shape [{n}{_components(c)}], got {list(offset.shape)}")
    offset = offset.reshape(n, c)
    # C Psi = Theta diag(scales) V' with V orthogonal: its pseudo-inverse, up to V, which cancels.
    inverses = np.linalg.pinv(theta * scales, rcond=cutoff(theta))
    step = max(FEWEST_SNAPSHOTS, STREAM_NUMBERS // (n * c)) if streamed else shape[0]
    squares, total = np.zeros(len(placements) + 1), 0.0
    for begin in range(0, shape[0], step):
        block = np.asarray(fields[begin : begin + step]).reshape(-1, n, c)
        more, size = _squared_errors(modes, placements, inverses, to_orthonormal, scales, offset, block)
        squares, total = squares + more, total + size
        if progress is not None:
            progress("held-out", begin + len(block), shape[0])
    if total == 0.0:
        raise PinnxError("held_out: expected fields that differ from the mean, got the mean itself")
    return np.sqrt(squares / total)


def _squared_errors(
    modes: NDArray[np.floating],
    placements: NDArray[np.int64],
    inverses: Array,
    to_orthonormal: Array,
    scales: Array,
    offset: Array,
    fields: NDArray[np.generic],
) -> tuple[Array, float]:
    """Sums over some fields: squared errors of each placement and of the best fit, and squares of the fields.

    With Q orthonormal,  ||F - Q a||^2 = ||F - Q Q'F||^2 + ||Q'F - a||^2:  the fields are read twice
    whatever the number of placements, and the first term is formed from its own entries, so that
    nothing cancels.
    """
    n, c, _ = modes.shape

    def blocks() -> Iterator[tuple[Array, Array]]:
        for rows in row_blocks(n, c * (len(fields) + modes.shape[2])):
            values = fields[:, rows].astype(np.float64) - offset[rows]
            orthonormal = modes[rows].reshape(-1, modes.shape[2]).astype(np.float64) @ to_orthonormal
            yield values.reshape(len(fields), -1).T, orthonormal

    total, shadow = 0.0, np.zeros((to_orthonormal.shape[1], len(fields)))
    for values, orthonormal in blocks():
        if not np.isfinite(values).all():
            raise PinnxError("held_out: expected finite fields and a finite mean, got NaN or infinite values")
        total += float(np.sum(values**2))
        shadow += orthonormal.T @ values
    missed = sum(float(np.sum((values - orthonormal @ shadow) ** 2)) for values, orthonormal in blocks())

    at_places = fields[:, placements.reshape(-1)].astype(np.float64) - offset[placements.reshape(-1)]
    at_places = at_places.reshape(len(fields), len(placements), -1).transpose(1, 2, 0)  # [P, k c, T]
    coefficients = inverses @ at_places
    strays = np.sum((scales[:, None] * coefficients - shadow) ** 2, axis=(1, 2))
    return missed + np.append(strays, 0.0), total


def row_blocks(n: int, numbers_per_row: int) -> Iterator[slice]:
    step = max(1, BLOCK_NUMBERS // numbers_per_row)
    return (slice(begin, min(begin + step, n)) for begin in range(0, n, step))


def cutoff(matrices: Array) -> float:
    """Singular values below this part of the first are rounding (LAPACK's and NumPy's rule)."""
    return EPS64 * max(matrices.shape[-2:])


def require_real(name: str, array: Any) -> None:
    if np.dtype(array.dtype).kind not in "iuf":
        raise PinnxError(f"{name}: expected real numbers, got {array.dtype}")


def _components(c: int) -> str:
    return f", {c}" if c > 1 else ""
