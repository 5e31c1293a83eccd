"""The table of conditions by name: what each prescribes at a place, and what it says of values and slopes there.

With n the unit normal out of the flow, t any direction along the place, and S = grad u + grad u^T:

    no_slip          u = 0
    moving           u = the speed along a side, 0 across it
    rotating         u = the angular speed around the middle of a body, against the clock
    slip             u . n = 0,   S n along n alone (no friction)
    symmetry         u . n = 0,   d(u . t)/dn = 0,  dp/dn = 0                     of a side
    zero_gradient    du/dn = 0
    no_stress        -p n + nu S n = 0
    convective       du/dt + speed du/dn = 0                                      of a flow with times
    free_stream      (x - c) . grad (u - U) + DECAY (u - U) = 0,   U = (speed, 0), c the middle of the bodies

The last, in the plane, says how the disturbance of a stream along x by bodies falls with the distance from them: as
1 / r where their wake pushes the stream aside, as 1 / r^2 where they themselves do. It holds on sides that no wake
crosses, where u = U is wrong by several per cent.

Layout: a statement has rows; row r at point i is zero where

    sum_c value[i, r, c] y_c + sum_cj slope[i, r, c, j] d_j y_c + nu sum_cj viscous[i, r, c, j] d_j y_c = target[i, r]

in units of the case's scales; c runs over u, v[, w], p, and j over the coordinates, t first.
Sources: Bayliss and Turkel, Commun. Pure Appl. Math. 33, 1980 (the form of the free stream's condition); Orlanski, J.
Comput. Phys. 21, 1976 (convective); Heywood, Rannacher and Turek, Int. J. Numer. Methods Fluids 22, 1996 (no stress).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pinnx.errors import PinnxError
from pinnx.physics.geometry import Bounds, Place, Side, Wall

__all__ = ["CONDITIONS", "Named", "Rows", "prescribed_values"]

Array = NDArray[np.float64]
# Between 1 and 2. Chosen on the cylinder at Re 40: of its disturbance 3 to 5 diameters away this one leaves some 40 %.
DECAY = 1.25


class Rows(NamedTuple):
    """The rows of a statement at n points, of f fields in D coordinates; see the file's head.

    Args:
        value: [n, rows, f].
        slope: [n, rows, f, D].
        viscous: [n, rows, f, D].
        target: [n, rows].
    """

    value: Array
    slope: Array
    viscous: Array
    target: Array

    @classmethod
    def empty(cls, n: int, rows: int, f: int, d: int) -> Rows:
        """So many rows, all zero."""
        shape = (n, rows, f)
        return cls(np.zeros(shape), np.zeros((*shape, d)), np.zeros((*shape, d)), np.zeros(shape[:2]))


@dataclass(frozen=True)
class Named:
    """A condition of the table.

    Args:
        values: place, speed, bounds -> what is prescribed by component; None: nothing is.
        num_rows: space dimensions -> rows of values and slopes.
        fill: (rows, normals [n, d], first space column, speed, offsets [n, d]) -> None; writes the coefficients.
            Offsets are from the middle of the bodies, in units of L.
        speed: whether it has a speed.
        of_values: how many of the rows, from the first, have no slopes.
        plane: whether it is for two dimensions alone.
        times: whether it is for flows with times alone.
    """

    values: Callable[[Place, float, Bounds], Mapping[str, float | str]] | None = None
    num_rows: Callable[[int], int] = lambda dim: 0
    fill: Callable[[Rows, Array, int, float, Array], None] | None = None
    speed: bool = False
    of_values: int = 0
    plane: bool = False
    times: bool = False


def prescribed_values(entry: Mapping[str, Any], place: Place, bounds: Bounds) -> dict[str, float | str | None]:
    """What an entry of the boundaries prescribes: by its condition, and by components of its own.

    Raises:
        PinnxError: a condition that the place does not take, a speed where none is used, or none where one is.
    """
    name, speed = entry.get("condition"), entry.get("speed")
    own = {component: entry.get(component) for component in ("u", "v", "w", "p")}
    if name is None:
        if speed is not None:
            raise PinnxError("speed: expected a condition that has one, got none")
        return own
    named = CONDITIONS[name]
    if named.speed != (speed is not None):
        raise PinnxError(f"{name}: expected {'a speed' if named.speed else 'no speed'}, got {speed}")
    if named.plane and "z" in bounds:
        raise PinnxError(f"{name}: expected a flow in the plane, got one in three dimensions")
    if named.times and "t" not in bounds:
        raise PinnxError(f"{name}: expected a flow with times, got a steady one; zero_gradient is its steady form")
    if not isinstance(place, Wall):
        raise PinnxError(f"{name}: expected a side, a circle or a hole, which have a normal; got {place}")
    by_name = {} if named.values is None else dict(named.values(place, float(speed or 0.0), bounds))
    if twice := [component for component in by_name if own[component] is not None]:
        raise PinnxError(f"{name}: it prescribes {twice[0]} itself; leave {twice[0]} out")
    return own | by_name


def _components(bounds: Bounds) -> tuple[str, ...]:
    return ("u", "v", "w") if "z" in bounds else ("u", "v")


def _at_rest(place: Place, speed: float, bounds: Bounds) -> Mapping[str, float]:
    return dict.fromkeys(_components(bounds), 0.0)


def _moving(place: Place, speed: float, bounds: Bounds) -> Mapping[str, float]:
    if not isinstance(place, Side):
        raise PinnxError(f"moving: expected a side, got {place}; a body can be rotating")
    return {**_at_rest(place, speed, bounds), "u" if place.along == "x" else "v": speed}


def _rotating(place: Place, speed: float, bounds: Bounds) -> Mapping[str, float | str]:
    if isinstance(place, Side):
        raise PinnxError(f"rotating: expected a body, got the side {place}; a side can be moving")
    x, y = place.center  # type: ignore[attr-defined]
    turning = {"u": f"{-speed!r}*(y-({y!r}))", "v": f"{speed!r}*(x-({x!r}))"}
    return {**_at_rest(place, speed, bounds), **turning}


def _across(place: Place, speed: float, bounds: Bounds) -> Mapping[str, float]:
    if not isinstance(place, Side):
        return {}  # its normal turns: a row of the statement says it
    return {dict(zip("xyz", "uvw", strict=True))[place.axis]: 0.0}


def _across_a_side(place: Place, speed: float, bounds: Bounds) -> Mapping[str, float]:
    if not isinstance(place, Side):
        raise PinnxError(f"symmetry: expected a side, got {place}")
    return _across(place, speed, bounds)


def _fill_slip(rows: Rows, normals: Array, first: int, speed: float, offsets: Array) -> None:
    """Row 0: u . n. Then the friction S n less its part along n."""
    dim = normals.shape[1]
    rows.value[:, 0, :dim] = normals
    along = np.eye(dim) - normals[:, :, None] * normals[:, None, :]
    for i in range(dim):
        for k in range(dim):
            for j in range(dim):  # S_kj n_j = (d_j u_k + d_k u_j) n_j
                rows.slope[:, 1 + i, k, first + j] += along[:, i, k] * normals[:, j]
                rows.slope[:, 1 + i, j, first + k] += along[:, i, k] * normals[:, j]


def _fill_symmetry(rows: Rows, normals: Array, first: int, speed: float, offsets: Array) -> None:
    """Slopes along n of the velocity along the side, and of p; the velocity across it is prescribed."""
    dim = normals.shape[1]
    along = np.eye(dim) - normals[:, :, None] * normals[:, None, :]
    for i in range(dim):
        for k in range(dim):
            rows.slope[:, i, k, first:] += along[:, i, k, None] * normals
    rows.slope[:, dim, dim, first:] = normals


def _fill_zero_gradient(rows: Rows, normals: Array, first: int, speed: float, offsets: Array) -> None:
    for i in range(normals.shape[1]):
        rows.slope[:, i, i, first:] = normals


def _fill_no_stress(rows: Rows, normals: Array, first: int, speed: float, offsets: Array) -> None:
    dim = normals.shape[1]
    for i in range(dim):
        rows.value[:, i, dim] = -normals[:, i]
        rows.viscous[:, i, i, first:] += normals
        for j in range(dim):
            rows.viscous[:, i, j, first + i] += normals[:, j]


def _fill_convective(rows: Rows, normals: Array, first: int, speed: float, offsets: Array) -> None:
    for i in range(normals.shape[1]):
        rows.slope[:, i, i, first:] = speed * normals
        rows.slope[:, i, i, 0] = 1.0


def _fill_free_stream(rows: Rows, normals: Array, first: int, speed: float, offsets: Array) -> None:
    for i in range(2):
        rows.value[:, i, i] = DECAY
        rows.slope[:, i, i, first : first + 2] = offsets
    rows.target[:, 0] = DECAY * speed


CONDITIONS: Mapping[str, Named] = {
    "no_slip": Named(_at_rest),
    "moving": Named(_moving, speed=True),
    "rotating": Named(_rotating, speed=True),
    "slip": Named(_across, lambda dim: 1 + dim, _fill_slip, of_values=1),
    "symmetry": Named(_across_a_side, lambda dim: 1 + dim, _fill_symmetry),
    "zero_gradient": Named(None, lambda dim: dim, _fill_zero_gradient),
    "no_stress": Named(None, lambda dim: dim, _fill_no_stress),
    "convective": Named(None, lambda dim: dim, _fill_convective, speed=True, times=True),
    "free_stream": Named(None, lambda dim: 2, _fill_free_stream, speed=True, plane=True),
}
