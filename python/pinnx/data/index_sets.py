"""Sets of points that a file names, as masks or as indices, and where they are.

Masks have the shape of the places. Indices count over the places as they are stored: from 0 in C order; in .mat files
as MATLAB's `find` gives them, from 1 in column-major order.
"""

from __future__ import annotations

import numpy as np

from pinnx.data.layout import Layout
from pinnx.errors import PinnxError

__all__ = ["extent", "point_indices"]


def point_indices(
    name: str, array: np.ndarray, layout: Layout, falling: tuple[int, ...], *, matlab: bool
) -> np.ndarray:
    """Return the indices [k] int64 of a set in C order over rising (x, y[, z]).

    Args:
        name: of the set, for the error message.
        array: a mask or indices, as they are stored.
        layout: of the fields.
        falling: axes of arranged fields (time is 0) along which coordinates fall.
        matlab: the file is one of MATLAB's.

    Raises:
        PinnxError: another shape than that of the places, no whole numbers, or indices out of their range.
    """
    shape = layout.place_shape
    if array.dtype.kind not in "biuf":
        raise PinnxError(f"{name}: expected indices or a mask, got {array.dtype} of shape {list(array.shape)}")
    fits = [size for size in array.shape if size != 1] == [size for size in shape if size != 1]
    # MATLAB's logical arrays come as integers.
    if array.dtype.kind == "b" or (fits and array.size > 1 and bool(np.isin(array, (0, 1)).all())):
        if not fits:
            raise PinnxError(f"{name}: expected a mask of shape {list(shape)}, got {list(array.shape)}")
        places = np.nonzero(array.reshape(shape))
    else:
        first = 1 if matlab else 0
        indices = _whole(name, array.reshape(-1), first, int(np.prod(shape)))
        places = np.unravel_index(indices, shape, order="F" if matlab else "C")
    if not layout.gridded:
        return np.ravel_multi_index(places, shape).astype(np.int64)
    order = sorted(range(len(shape)), key=lambda place: layout.spatial[place])
    along = [places[place] for place in order]
    sizes = [shape[place] for place in order]
    for axis in falling:
        along[axis - 1] = sizes[axis - 1] - 1 - along[axis - 1]
    return np.ravel_multi_index(tuple(along), sizes).astype(np.int64)


def extent(name: str, points: np.ndarray, indices: np.ndarray) -> str:
    """Say where a set is: "Index set wall: 41 places, x from 0 to 4, y from 0 to 0."."""
    if not indices.size:
        return f"Index set {name}: no place."
    box = zip("xyz", points[indices].min(axis=0), points[indices].max(axis=0), strict=False)
    where = ", ".join(f"{axis} from {low:.6g} to {high:.6g}" for axis, low, high in box)
    return f"Index set {name}: {np.unique(indices).size:,} places, {where}."


def _whole(name: str, array: np.ndarray, first: int, num_points: int) -> np.ndarray:
    """Indices counted from 0."""
    if not (np.isfinite(array).all() and np.array_equal(array, np.rint(array))):
        raise PinnxError(f"{name}: expected whole numbers, got {array.dtype}")
    low, high = (array.min(), array.max()) if array.size else (first, first)
    if low < first or high >= num_points + first:
        counted = (
            f"indices from 1 to {num_points} in column-major order, as MATLAB counts (or a mask)"
            if first
            else f"zero-based indices below {num_points}"
        )
        raise PinnxError(f"{name}: expected {counted}, got {low:g} to {high:g}")
    return array.astype(np.int64) - first
