"""Where two sides meet and prescribe different values, and how to treat points near there.

At the upper corners of a lid-driven cavity u is 1 on the lid and 0 on the wall. No smooth field
does both: velocity gradients grow like 1/r, their mean square, the integral of r^-2 r dr, diverges,
and a mean square residual is dominated by the few points that happen to lie next to the corner.
With the distance r to the nearest such corner and a radius R, points get the weight

    w(r) = 3 q^2 - 2 q^3,  q = min(r / R, 1):   0 at the corner, 1 from R on, w' continuous

Near the corner w is 3 (r / R)^2, which makes that integral finite. In three dimensions, and in
time, a corner is an edge: only the two axes that it fixes count in the distance.

The corner itself belongs to the side that is listed first (a wall, say, before the lid): there the
field has that side's value. Random points never meet it, so it is given points of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinnx.data.layout import grid_points
from pinnx.errors import PinnxError
from pinnx.physics.boundary import BoundaryCondition
from pinnx.physics.geometry import Bounds, Place, Side, axes_of

__all__ = ["Corner", "corner_distance", "corner_weights", "discontinuity_corners", "left_out"]

# Values that differ by less, in units of the field's scale, are one value: rounding of a formula such as 4*y*(1-y) at
# y = 1.
SAME_VALUE = 1e-9
# Places along an edge at which the two sides are compared (edges of 3-D boxes, and in time).
PROBES_PER_AXIS = 17
PLANE_FIELDS = 3  # u, v, p


@dataclass(frozen=True)
class Corner(Place):
    """The meeting of two sides that disagree.

    Args:
        axes: the two axes that it fixes, such as ("x", "y").
        position: their coordinates, units of length.
        jump: the largest difference of a component that both sides prescribe, in units of its scale.
        owner: number of the condition to which it belongs, the first of the two.
        step: velocity of the side along the first axis less that of the side along the second, [2], in units of its
            scale; None where it is not known in both components, or not the same all along an edge.
        owner_along_first: whether the condition to which it belongs is that of the side along the first axis.
    """

    axes: tuple[str, str]
    position: tuple[float, float]
    jump: float
    owner: int
    step: tuple[float, float] | None = field(default=None, compare=False)
    owner_along_first: bool = field(default=False, compare=False)

    def num_parameters(self, bounds: Bounds) -> int:
        return len(bounds)

    def at(self, parameters: np.ndarray, bounds: Bounds) -> np.ndarray:
        """Return points [n, D] of the corner; along an edge, parameters [n, D] in [0, 1] choose."""
        place = dict(zip(self.axes, self.position, strict=True))
        columns = [
            np.full(len(parameters), place[axis]) if axis in place else low + (high - low) * parameters[:, i]
            for i, (axis, (low, high)) in enumerate((axis, bounds[axis]) for axis in axes_of(bounds))
        ]
        return np.stack(columns, axis=1)


def discontinuity_corners(
    conditions: Sequence[BoundaryCondition], bounds: Bounds, *, scales: ArrayLike = 1.0
) -> tuple[Corner, ...]:
    """Find the corners (edges in 3-D) at which two sides prescribe different values.

    Conditions on circles, index sets and expressions are not compared.

    Args:
        conditions: the boundary conditions of one domain.
        bounds: axis name -> (low, high) of that domain.
        scales: [c], what a field of one is in the user's units.

    Returns:
        The corners, in the order of the pairs of conditions.
    """
    corners = []
    sides = [
        (number, item)
        for number, item in enumerate(conditions)
        if isinstance(item.where, Side) and item.where.at_position is None
    ]
    for (owner, first), (_, second) in combinations(sides, 2):
        a, b = first.where, second.where
        assert isinstance(a, Side)
        assert isinstance(b, Side)
        if a.axis == b.axis:
            continue
        place = {a.axis: a.position(bounds), b.axis: b.position(bounds)}
        if not all(side.along not in place or side.has(place[side.along], bounds) for side in (a, b)):
            continue  # a part of a side that does not reach the corner
        edge = _edge_points(place, bounds)
        (values_a, mask_a), (values_b, mask_b) = first.targets(edge), second.targets(edge)
        both = mask_a & mask_b
        jump = float(np.abs((values_a - values_b) / scales)[:, both].max(initial=0.0))
        if jump > SAME_VALUE:
            low, high = sorted((a.axis, b.axis))
            step = _step((values_a - values_b) / scales, both)
            first_along = a.axis == high  # the side that fixes y is the one along x
            if step is not None and not first_along:
                step = (-step[0], -step[1])
            position = (place[low], place[high])
            corners.append(Corner((low, high), position, jump, owner, step, owner_along_first=first_along))
    return tuple(corners)


def corner_distance(coordinates: np.ndarray, corners: Sequence[Corner], axes: Sequence[str]) -> np.ndarray:
    """Return each point's distance to the nearest corner, infinity where there is none.

    Args:
        coordinates: [n, D] float64.
        corners: what `discontinuity_corners` found.
        axes: names of the columns, such as ("t", "x", "y").

    Returns:
        [n] float64, units of length.
    """
    nearest = np.full(len(coordinates), np.inf)
    for corner in corners:
        i, j = (list(axes).index(axis) for axis in corner.axes)
        offset_i = coordinates[:, i] - corner.position[0]
        offset_j = coordinates[:, j] - corner.position[1]
        nearest = np.minimum(nearest, np.hypot(offset_i, offset_j))
    return nearest


def corner_weights(
    coordinates: np.ndarray, corners: Sequence[Corner], axes: Sequence[str], radius: float
) -> np.ndarray:
    """Return the weight w(r) = 3 q^2 - 2 q^3, q = min(r / radius, 1), of each point.

    Args:
        coordinates: [n, D] float64.
        corners: what `discontinuity_corners` found.
        axes: names of the columns.
        radius: distance from which on points count fully, > 0, units of length.

    Returns:
        [n] float64 in [0, 1]; ones where there is no corner.

    Raises:
        PinnxError: radius <= 0.
    """
    if not radius > 0:
        raise PinnxError(f"corner_radius: expected a number > 0, got {radius}")
    q = np.minimum(corner_distance(coordinates, corners, axes) / radius, 1.0)
    return q * q * (3.0 - 2.0 * q)


def left_out(corners: Sequence[Corner], radius: float) -> str:
    """The note of a check that leaves out the surroundings of corners, or could."""
    if not corners:
        return ""
    named = f"the {len(corners)} corners" if len(corners) > 1 else "the corner"
    if radius > 0.0:
        return f"without points within {radius:g} of {named} where two sides disagree"
    return f"with the points beside {named} where two sides disagree and no field is right: train.corner_radius is 0"


def _step(differences: NDArray[np.float64], both: NDArray[np.bool_]) -> tuple[float, float] | None:
    """The velocity by which two sides of a plane differ, where both prescribe all of it, the same at all points."""
    velocity = differences[:, :2]
    constant = np.ptp(velocity, axis=0).max() <= SAME_VALUE
    if differences.shape[1] != PLANE_FIELDS or not (constant and both[:2].all() and velocity[0].any()):
        return None
    return float(velocity[0, 0]), float(velocity[0, 1])


def _edge_points(place: dict[str, float], bounds: Bounds) -> np.ndarray:
    """Return regular points [n, D] along the edge that fixes the axes of `place`."""
    lines = [
        np.array([place[axis]]) if axis in place else np.linspace(*bounds[axis], PROBES_PER_AXIS)
        for axis in axes_of(bounds)
    ]
    return grid_points(lines)
