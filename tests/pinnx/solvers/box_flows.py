"""Flows in boxes with a known answer, and the lid-driven cavity."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pinnx.physics.geometry import SIDES, Bounds
from pinnx.physics.scales import Scales
from pinnx.solvers import WALLS, BoxProblem, Profile, Walls

Array = NDArray[np.float64]
UNIT_BOX = {"x": (0.0, 1.0), "y": (0.0, 1.0)}


def walls_of(velocity: Callable[[Array, Array], Array], bounds: Bounds) -> Walls:
    """The sides of a flow that is known everywhere: ``velocity(x, y) -> [n, 2]``."""

    def profile(side: str) -> Profile:
        axis, end = SIDES[side]
        at = bounds[axis][end]
        return lambda s: velocity(np.full(len(s), at), s) if axis == "x" else velocity(s, np.full(len(s), at))

    return Walls({side: profile(side) for side in WALLS})


def cavity(nu: float, *, lid: float = 1.0, unknown_lid: bool = False, size: float = 1.0) -> BoxProblem:
    """The lid-driven cavity; with ``unknown_lid`` the speed of the lid is a coefficient."""
    bounds = {"x": (0.0, size), "y": (0.0, size)}
    still = walls_of(lambda x, y: np.zeros((len(x), 2)), bounds)
    moving = Walls({**still.profiles, "top": lambda x: np.column_stack([np.full(len(x), lid), 0 * x])})
    return BoxProblem(bounds, nu, [still, moving] if unknown_lid else [moving], Scales(size, lid))


def grid_points(x: Array, y: Array) -> Array:
    return np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2)


def relative(found: Array, wanted: Array) -> float:
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))
