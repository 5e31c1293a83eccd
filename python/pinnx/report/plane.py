"""The plane that a picture is drawn in: a grid, or a triangulation of scattered points.

Of a grid in three dimensions it is the middle plane in z, or in another axis; of scattered points in three dimensions,
a slab around the middle that holds as many as a plane would.

A triangulation of scattered points spans holes and bays as well. A triangle is left out where its
longest edge exceeds ``_LONG_EDGE`` times the point spacing at its vertices, the distance to the
sixth neighbour: in a mesh the inner points have about six.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.tri import LinearTriInterpolator, Triangulation
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator
from scipy.spatial import cKDTree

from pinnx.errors import PinnxError
from pinnx.report.formatting import equation

__all__ = ["GridPlane", "Plane", "ScatteredPlane", "choose_plane"]

_LONG_EDGE = 3.0
_NEIGHBOURS = 6
# More pixels than a panel has; beyond it a grid is drawn with a stride.
_PANEL_PIXELS = 512


class GridPlane:
    """A grid, even or not: fields are ``[nx, ny]`` at the axes ``x`` [nx] and ``y`` [ny]."""

    def __init__(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        self._x, self._y = x, y

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Smallest and largest x, smallest and largest y."""
        return float(self._x[0]), float(self._x[-1]), float(self._y[0]), float(self._y[-1])

    def draw(self, ax: Axes, values: NDArray[np.float64], cmap: str, norm: Normalize) -> ScalarMappable:
        """Draws one field as colours, linear between the nodes."""
        x0, x1, y0, y1 = self.extent
        dx, dy = (np.diff(axis) for axis in (self._x, self._y))
        if not (np.allclose(dx, dx[0]) and np.allclose(dy, dy[0])):
            return ax.pcolormesh(self._x, self._y, values.T, cmap=cmap, norm=norm, shading="gouraud", rasterized=True)
        # An image, with nodes at the middles of its pixels: a third of the time, half of the bytes.
        x, y = dx[0] / 2, dy[0] / 2
        extent, aspect = (x0 - x, x1 + x, y0 - y, y1 + y), ax.get_aspect()
        image = ax.imshow(values.T, cmap, norm, origin="lower", extent=extent, interpolation="bilinear", aspect=aspect)
        ax.set(xlim=(x0, x1), ylim=(y0, y1))
        return image

    def resample(
        self, values: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The field, linearly interpolated on the grid of two axes: ``[ny, nx]``, NaN outside."""
        interpolate = RegularGridInterpolator((self._x, self._y), values, bounds_error=False, fill_value=np.nan)
        return np.asarray(interpolate(tuple(np.meshgrid(x, y))))


class ScatteredPlane:
    """Scattered points: fields are ``[n]`` at ``x`` [n] and ``y`` [n]; members as of ``GridPlane``.

    Raises:
        PinnxError: the points span no area.
    """

    def __init__(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        try:
            self._mesh = Triangulation(x, y)
        except (RuntimeError, ValueError) as error:
            raise PinnxError(f"picture: expected points that span an area, got {x.size}: {error}") from error
        self._mesh.set_mask(_long_triangles(self._mesh))

    @property
    def extent(self) -> tuple[float, float, float, float]:
        x, y = self._mesh.x, self._mesh.y
        return float(x.min()), float(x.max()), float(y.min()), float(y.max())

    def draw(self, ax: Axes, values: NDArray[np.float64], cmap: str, norm: Normalize) -> ScalarMappable:
        return ax.tripcolor(self._mesh, values, cmap=cmap, norm=norm, shading="gouraud", rasterized=True)

    def resample(
        self, values: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        interpolated: Any = LinearTriInterpolator(self._mesh, values)(*np.meshgrid(x, y))
        return np.asarray(interpolated.filled(np.nan))


Plane = GridPlane | ScatteredPlane


def choose_plane(
    axes: Sequence[NDArray[np.float64]], grid: bool, across: int = 2
) -> tuple[Plane, tuple[object, ...], str]:
    """Where to draw fields in two or three dimensions.

    Args:
        axes: x, y[, z]: lines of a grid, else ``[n]`` each.
        grid: whether they are lines of a grid.
        across: in three dimensions the number of the axis that the plane cuts; the others are its own, in their order.

    Returns:
        The plane, the index that takes its values out of a field ``[nx, ny[, nz]]`` or ``[n]``, and
        which plane it is ("" in two dimensions).
    """
    if grid:
        strides: list[object] = [slice(None, None, 1 + (axis.size - 1) // _PANEL_PIXELS) for axis in axes]
        first, second = (axes[i][strides[i]] for i in range(len(axes)) if i != across)
        note = ""
        if len(axes) == 3:
            strides[across] = middle = axes[across].size // 2
            note = equation("xyz"[across], f"{axes[across][middle]:.3g}")
        return GridPlane(first, second), tuple(strides), note
    if len(axes) == 2:
        return ScatteredPlane(axes[0], axes[1]), (slice(None),), ""
    chosen, note = _slab(axes[across], "xyz"[across])
    first, second = (axes[i][chosen] for i in range(3) if i != across)
    return ScatteredPlane(first, second), (chosen,), note


def _slab(z: NDArray[np.float64], name: str) -> tuple[NDArray[np.int64], str]:
    # A plane of n points spread evenly in space holds n^(2/3) of them.
    middle = (z.min() + z.max()) / 2
    distance = np.abs(z - middle)
    wanted = min(z.size, max(200, round(z.size ** (2 / 3))))
    reach = np.partition(distance, wanted - 1)[wanted - 1]
    decimals = max(0, 1 - math.floor(math.log10(reach))) if reach > 0 else 3
    middle = round(float(middle), decimals) + 0.0  # no "-0"
    note = equation(name, f"{middle:.{decimals}f} ± {reach:.{decimals}f}")
    return np.flatnonzero(distance <= reach), note


def _long_triangles(mesh: Triangulation) -> NDArray[np.bool_]:
    points = np.column_stack((mesh.x, mesh.y))
    neighbours = min(_NEIGHBOURS, len(points) - 1)
    spacing = cKDTree(points).query(points, k=[neighbours + 1])[0][:, 0]
    corners = points[mesh.triangles]
    edges = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2)
    long = edges.max(axis=1) > _LONG_EDGE * spacing[mesh.triangles].max(axis=1)
    # Where all are long the rule has nothing to say (a handful of points): draw them all.
    return np.zeros_like(long) if long.all() else long
