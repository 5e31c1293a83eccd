"""The scales of a flow: in their units the training is dimensionless, so that no result depends on the user's units.

    time = L / U,   pressure = U^2,   viscosity = U L,   force = U^2 / L

L is a length, U a velocity of the case. Residuals of momentum are counted in U^2 / L, of continuity in U / L. Cases,
conditions and formulas keep the user's units and coordinates in float64; terms and network divide by these scales.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pinnx.errors import PinnxError

__all__ = ["UNIT", "Scales", "length_of_box"]


@dataclass(frozen=True)
class Scales:
    """One length and one velocity; all other scales of an incompressible flow follow.

    Args:
        length: L > 0, in the user's units.
        velocity: U > 0, in the user's units.

    Raises:
        PinnxError: numbers that are not finite and > 0.
    """

    length: float = 1.0
    velocity: float = 1.0

    def __post_init__(self) -> None:
        for name in ("length", "velocity"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise PinnxError(f"flow.scales.{name}: expected a number > 0, got {value:g}")

    @property
    def time(self) -> float:
        """L / U."""
        return self.length / self.velocity

    @property
    def pressure(self) -> float:
        """U^2, of the kinematic pressure."""
        return self.velocity * self.velocity

    @property
    def viscosity(self) -> float:
        """U L."""
        return self.velocity * self.length

    @property
    def force(self) -> float:
        """U^2 / L, of a force per unit mass and of the residuals of momentum."""
        return self.velocity * self.velocity / self.length

    @property
    def rate(self) -> float:
        """U / L, of the residual of continuity."""
        return self.velocity / self.length

    def of_coordinates(self, axes: Iterable[str]) -> NDArray[np.float64]:
        """The scale of each axis out of t, x, y, z, [D]."""
        return np.array([self.time if axis == "t" else self.length for axis in axes])

    def of_fields(self, names: Iterable[str]) -> NDArray[np.float64]:
        """The scale of each field out of u, v, w, speed, p, [c]."""
        return np.array([self.pressure if name == "p" else self.velocity for name in names])


UNIT = Scales()


# L sets the balance of the terms: the longer, the more the equations weigh beside the data. Where a few sensors weigh
# 100 the error falls up to L = the side of the box (cavity, 1200 steps: 0.049 at 0.5 sides, 0.039 at 0.75, 0.035 at 1;
# demo, 700 steps: 0.041 at 0.16, 0.030 at 0.5, 0.024 at 0.75, 0.022 at 1; wake, 1500 steps: 0.045 at 0.1, 0.037 at 0.4,
# 0.034 at 0.8); where many weigh 30 it is least at 0.5 (vortices, 500 steps: 0.016 at 0.5, 0.034 at 1), and the longer
# L, the more steps it takes to meet the sensors. With the default weights it hardly matters.
LENGTH_OF_SIDES = 0.75


def length_of_box(bounds: Mapping[str, tuple[float, float]]) -> float:
    """The length scale of a box: three quarters of the geometric mean of its sides in space.

    Args:
        bounds: axis name -> (low, high); time does not count.
    """
    sides = [high - low for axis, (low, high) in bounds.items() if axis != "t"]
    return LENGTH_OF_SIDES * math.prod(sides) ** (1.0 / len(sides))
