"""How good a choice of sensors is, beside places drawn at random.

    Psi = Q T     basis [n c, r], Q orthonormal with the r' <= r columns that are independent
    Theta = C Q   [k c, r'], what the sensors see of Q;  s_1 >= ... >= s_m, m = min(k c, r')

    log_volume           sum_i log s_i                  the larger the better, at most 0
    condition            s_1 / s_m
    error_amplification  1 / s_m = ||Theta^+||          an error e of the measurements becomes at
                                                        most ||e|| / s_m in the field; likewise
                                                        what the basis misses (Drmac and Gugercin)
    held_out_error       ||F - F^|| / ||F||,  F^ = Psi (C Psi)^+ C F,  F = held_out - mean

The first three belong to the span of the basis, whatever its scaling; F^ takes the basis as it is:
with fewer measured numbers than columns the pseudo-inverse picks the smallest coefficients, which
is the best guess where the columns are scaled as the data are. Random placement answers the same
questions `num_random` times; its medians are given.

Sources: Manohar, Brunton, Kutz, Brunton, IEEE Control Systems 38, 2018; Drmac and Gugercin, SIAM J.
Sci. Comput. 38 (2016) A631, for the bound by the amplification.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinnx.data.blocks import Progress
from pinnx.data.given_arrays import has_rows, unmasked
from pinnx.errors import PinnxError

__all__ = ["SelectionQuality", "selection_quality"]

EPS64 = float(np.finfo(np.float64).eps)
# Numbers of one block of rows in float64: 4 MB, so that a basis that is mapped from a file or kept
# in float32 is never copied whole.
BLOCK_NUMBERS = 2**19
# Numbers of a block of held-out snapshots that are read out of a file, 8 MB in float32, and the fewest snapshots
# of one: each block costs two passes over the basis, which itself has more rows.
STREAM_NUMBERS = 2**21
FEWEST_SNAPSHOTS = 8

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SelectionQuality:
    """Figures of one choice of sensors; formulas above.

    Args:
        num_sensors: k.
        num_modes: r', independent columns of the basis.
        num_determined: rank of what the sensors see, out of ``num_modes``; the field's parts in
            other directions are not measured at all.
        log_volume: -inf where two sensors see the same.
        condition: >= 1; inf where two sensors see the same.
        error_amplification: >= 1; inf where two sensors see the same.
        random_log_volume: median over the random placements, as the two below.
        random_condition: median.
        random_error_amplification: median.
        num_random: number of random placements.
        held_out_error: relative L2 error of the linear reconstruction of fields that the basis has
            not seen; 1 is the error of the mean alone. None without such fields.
        random_held_out_error: median over the random placements.
        basis_held_out_error: error of the best fit of the basis to the whole fields, below which no
            placement gets.
    """

    num_sensors: int
    num_modes: int
    num_determined: int
    log_volume: float
    condition: float
    error_amplification: float
    random_log_volume: float
    random_condition: float
    random_error_amplification: float
    num_random: int
    held_out_error: float | None = None
    random_held_out_error: float | None = None
    basis_held_out_error: float | None = None

    def as_dict(self) -> dict[str, float | None]:
        """Return the figures by name."""
        return asdict(self)


def selection_quality(
    basis: ArrayLike,
    sensors: ArrayLike,
    *,
    mean: ArrayLike | None = None,
    held_out: Any = None,
    num_random: int = 20,
    seed: int = 0,
    progress: Progress | None = None,
) -> SelectionQuality:
    """Return the figures of a choice of sensors and the medians of random ones.

    Args:
        basis: [n, r], or [n, c, r] where a sensor measures c components; float32 or float64, of any
            scaling. Read in blocks of rows; it may be a memory map.
        sensors: [k] integers, distinct, 1 <= k <= n.
        mean: [n] or [n, c], what was taken off the fields before the basis was made; None: nothing.
        held_out: [T, n] or [T, n, c], T >= 1, fields that did not take part in making the basis or
            choosing the sensors; an array, or anything with a shape, a dtype and rows to slice, read in
            blocks of snapshots. None: no reconstruction error.
        num_random: number of random placements of k sensors, >= 1.
        seed: names them.
        progress: called as progress("held-out", done, T) with the snapshots that have been read.

    Returns:
        The figures; the same arguments give the same figures.

    Raises:
        PinnxError: shapes that do not fit, NaN or infinite values, a basis of zeros, sensors that
            are no distinct places, held-out fields that are the mean itself, or num_random < 1.
    """
    modes = _checked_basis(basis)
    n, c, r = modes.shape
    chosen = _checked_sensors(sensors, n)
    if num_random < 1:
        raise PinnxError(f"num_random: expected an integer >= 1, got {num_random}")
    # Row 0: the choice; the others: random ones.
    placements = np.stack([chosen, *_random_placements(modes, chosen.size, num_random, seed)])
    to_orthonormal, scales = _change_of_basis(modes)
    seen = np.asarray(modes[placements], dtype=np.float64).reshape(1 + num_random, chosen.size * c, r)
    theta = seen @ to_orthonormal
    values = np.linalg.svd(theta, compute_uv=False)  # [1 + num_random, m], decreasing
    smallest = _cutoff(theta) * values[:, :1]
    values = np.where(values > smallest, values, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        figures = {
            "log_volume": np.log(values).sum(axis=1),
            "condition": np.where(values[:, -1] > 0.0, values[:, 0] / values[:, -1], np.inf),
            "error_amplification": 1.0 / values[:, -1],
        }
    best = None
    if held_out is not None:
        errors = _held_out_errors(modes, placements, theta, to_orthonormal, scales, mean, held_out, progress)
        figures["held_out_error"], best = errors[:-1], float(errors[-1])
    return SelectionQuality(
        num_sensors=int(chosen.size),
        num_modes=int(to_orthonormal.shape[1]),
        num_determined=int(np.count_nonzero(values[0])),
        **{name: float(of_placements[0]) for name, of_placements in figures.items()},
        **{f"random_{name}": _median(of_placements[1:]) for name, of_placements in figures.items()},
        basis_held_out_error=best,
        num_random=num_random,
    )


def _change_of_basis(modes: NDArray[np.floating]) -> tuple[Array, Array]:
    """Return M [r, r'] with Psi M = Q orthonormal, and the scales [r'] with M = V / scales, V'V = 1.

    QR of blocks of rows, then of the stacked triangles: exact to rounding however the columns are
    scaled, where the Gram matrix would lose what is below sqrt(eps).
    """
    n, c, r = modes.shape
    triangle = np.zeros((0, r))
    for rows in _row_blocks(n, c * r):
        block = modes[rows].reshape(-1, r).astype(np.float64)
        if not np.isfinite(block).all():
            raise PinnxError("basis: expected finite values, got NaN or infinite ones")
        triangle = np.linalg.qr(np.concatenate([triangle, block]), mode="r")
    _, singular, directions = np.linalg.svd(triangle, full_matrices=False)
    if not singular[0] > 0.0:
        raise PinnxError("basis: expected columns that are not zero, got zeros")
    # A basis in float32 is independent to the rounding of float32.
    eps = float(np.finfo(modes.dtype).eps)
    rank = int(np.count_nonzero(singular > eps * np.sqrt(n * c) * singular[0]))
    return directions[:rank].T / singular[:rank], singular[:rank]


def _held_out_errors(
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
    fields = held_out if streamed else unmasked("held_out", held_out)
    shape = tuple(fields.shape)
    if shape[1:] not in ((n, c), (n,) if c == 1 else (n, c)) or not shape[0]:
        raise PinnxError(f"held_out: expected shape [T, {n}{_components(c)}], got {list(shape)}")
    _require_real("held_out", fields)
    offset = np.zeros((n, c)) if mean is None else np.asarray(mean, dtype=np.float64)
    if offset.shape != (n, c) and offset.shape != (n, *((c,) if c > 1 else ())):
        raise PinnxError(f"mean: expected shape [{n}{_components(c)}], got {list(offset.shape)}")
    offset = offset.reshape(n, c)
    # C Psi = Theta diag(scales) V' with V orthogonal: its pseudo-inverse, up to V, which cancels.
    inverses = np.linalg.pinv(theta * scales, rcond=_cutoff(theta))
    step = max(FEWEST_SNAPSHOTS, STREAM_NUMBERS // (n * c)) if streamed else shape[0]
    squares, total = np.zeros(len(placements) + 1), 0.0
    for begin in range(0, shape[0], step):
        block = unmasked("held_out", fields[begin : begin + step]).reshape(-1, n, c)
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
        for rows in _row_blocks(n, c * (len(fields) + modes.shape[2])):
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


def _row_blocks(n: int, numbers_per_row: int) -> Iterator[slice]:
    step = max(1, BLOCK_NUMBERS // numbers_per_row)
    return (slice(begin, min(begin + step, n)) for begin in range(0, n, step))


def _cutoff(matrices: Array) -> float:
    """Singular values below this part of the first are rounding (LAPACK's and NumPy's rule)."""
    return EPS64 * max(matrices.shape[-2:])


def _require_real(name: str, array: Any) -> None:
    if np.dtype(array.dtype).kind not in "iuf":
        raise PinnxError(f"{name}: expected real numbers, got {array.dtype}")


def _components(c: int) -> str:
    return f", {c}" if c > 1 else ""


def _random_placements(modes: NDArray[np.floating], k: int, count: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Draw places; none in a hole of the data, where every mode is zero, while there are enough others."""
    places = np.flatnonzero(modes.any(axis=(1, 2)))
    places = places if places.size >= k else np.arange(len(modes))
    for draw in range(count):
        yield np.random.default_rng([seed, draw]).choice(places, k, replace=False).astype(np.int64)


def _median(values: Array) -> float:
    # Not np.median: the mean of two infinities of one sign is that infinity, of two signs NaN.
    ordered = np.sort(values)
    low, high = float(ordered[(ordered.size - 1) // 2]), float(ordered[ordered.size // 2])
    return low if low == high else 0.5 * (low + high)


def _checked_basis(basis: ArrayLike) -> NDArray[np.floating]:
    modes = np.asarray(basis)
    _require_real("basis", modes)
    if modes.dtype not in (np.float32, np.float64):
        modes = modes.astype(np.float64)
    if modes.ndim not in (2, 3) or 0 in modes.shape:
        raise PinnxError(f"basis: expected shape [n, r] or [n, c, r], got {list(modes.shape)}")
    return modes[:, None] if modes.ndim == 2 else modes


def _checked_sensors(sensors: ArrayLike, n: int) -> NDArray[np.int64]:
    chosen = np.asarray(sensors)
    if chosen.ndim != 1 or chosen.dtype.kind not in "iu" or not chosen.size:
        raise PinnxError(f"sensors: expected integers of shape [k], got {chosen.dtype} {list(chosen.shape)}")
    if chosen.min() < 0 or chosen.max() >= n:
        raise PinnxError(f"sensors: expected places from 0 to {n - 1}, got {chosen.min()} to {chosen.max()}")
    if np.unique(chosen).size != chosen.size:
        raise PinnxError(f"sensors: expected distinct places, got {chosen.tolist()[:12]}")
    return chosen.astype(np.int64)
