"""Velocities along the sides of a box, as the stream function and the velocity at the nodes of a grid.

psi_y = u,   -psi_x = v:   along a side psi is the integral of the velocity through it
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from pinnx.errors import PinnxError
from pinnx.physics.geometry import SIDES, Bounds
from pinnx.physics.scales import Scales

__all__ = ["WALLS", "NotApplicableError", "Profile", "Walls", "bodies_of"]

Array = NDArray[np.float64]
# Coordinates along a side [n] -> velocities there [n, 2].
Profile = Callable[[Array], Array]

WALLS = ("left", "right", "bottom", "top")
# What flows in less what flows out, over all that crosses the sides: rounding of measured profiles passes.
NET_FLUX = 1e-3
# Nodes and weights in each cell for the integral of a velocity: exact for polynomials of degree 7.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(4)


class NotApplicableError(PinnxError):
    """The problem is none that these solvers solve; the message says why."""


@dataclass(frozen=True, eq=False)
class Walls:
    """Velocities along the four sides of a box.

    Args:
        profiles: name of each side -> the velocity there.
        order: sides by precedence: a corner has the velocity of the one that comes first.
        slip: sides without friction, where the velocity along them is free; profiles say what crosses them.
    """

    profiles: Mapping[str, Profile]
    order: Sequence[str] = WALLS
    slip: Sequence[str] = ()

    def scaled(self, bounds: Bounds, scales: Scales) -> Walls:
        """The same in units of scales, with the low corner of the box at 0."""

        def profile(side: str) -> Profile:
            low, given = bounds["y" if SIDES[side][0] == "x" else "x"][0], self.profiles[side]
            return lambda along: given(low + scales.length * along) / scales.velocity

        return replace(self, profiles={side: profile(side) for side in self.profiles})

    def stream_function(self, x: Array, y: Array, solid: NDArray[np.bool_], *, close: bool) -> Array:
        """psi at the nodes of the sides and of blocks that touch them, 0 elsewhere, [n_x, n_y].

        A net flux is spread over the sides.

        Raises:
            NotApplicableError: more than rounding flows in and not out, and ``close`` is false; a block that touches a
                side with a flow through what it covers.
        """
        left = _integral(self.profiles["left"], y, 0)
        bottom, top = (-_integral(self.profiles[side], x, 1) for side in ("bottom", "top"))
        leaves = left[-1] + top[-1] - bottom[-1]  # through the right side, also where that is open
        given = self.profiles.get("right")
        right = _integral(given, y, 0) if given else leaves * (y - y[0]) / (y[-1] - y[0])
        gap = right[-1] - leaves
        crossing = sum(float(np.abs(np.diff(side)).sum()) for side in (left, right, bottom, top))
        if abs(gap) > NET_FLUX * crossing and not close:
            raise NotApplicableError(f"of what flows through the sides {abs(gap) / crossing:.1%} flows in and not out")
        along_x, along_y = x - x[0], y - y[0]
        slope = gap / 2 / (along_x[-1] + along_y[-1])
        psi = np.zeros((len(x), len(y)))
        psi[:, 0], psi[0] = bottom - slope * along_x, left + slope * along_y
        psi[-1], psi[:, -1] = psi[-1, 0] + right - slope * along_y, psi[0, -1] + top + slope * along_x
        for block in bodies_of(solid, afloat=False):
            touched = psi[block & _border(psi.shape)]
            if np.ptp(touched) > NET_FLUX * max(crossing, np.finfo(float).tiny):
                raise NotApplicableError("it takes blocks that touch a side through which nothing flows there")
            psi[block] = touched.mean()
        return psi

    def velocity(self, x: Array, y: Array) -> Array:
        """Velocity at the nodes of the sides, 0 inside, [n_x, n_y, 2]."""
        found = np.zeros((len(x), len(y), 2))
        for side in filter(self.profiles.__contains__, reversed(self.order)):
            axis, end = SIDES[side]
            nodes = found[-end] if axis == "x" else found[:, -end]
            nodes[:] = self.profiles[side](y if axis == "x" else x)
        return found


def bodies_of(solid: NDArray[np.bool_], *, afloat: bool) -> list[NDArray[np.bool_]]:
    """The nodes of each block that touches no side (``afloat``) or one, [n_x, n_y] bool."""
    blocks, num = label(solid)
    found = [blocks == block for block in range(1, num + 1)]
    return [block for block in found if afloat != (block & _border(solid.shape)).any()]


def _border(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    return np.pad(np.zeros([n - 2 for n in shape], dtype=bool), 1, constant_values=True)


def _integral(profile: Profile, along: Array, component: int) -> Array:
    """The integral of a component from the first node to each, [n]."""
    half = np.diff(along)[:, None] / 2
    places = along[:-1, None] + half * (1 + _NODES)
    values = profile(places.ravel())[:, component].reshape(places.shape)
    return np.append(0.0, np.cumsum((half * values) @ _WEIGHTS))
