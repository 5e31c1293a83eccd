"""Which array of a file is what.

A name may carry an index, as in NumPy: ``"velocity[..., 0]"``, ``"X[:, 0]"``, ``"y[::-1]"``. A name
with @ is an attribute: ``"@nu"`` of the file, ``"p@frame"`` of the array p. One with * is several arrays, frames in the
order of their numbers: ``"u_*"``, ``"Velocity_*[..., 0]"``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from pinnx.data.raw_arrays import RawArray
from pinnx.errors import PinnxError

__all__ = ["DataMapping"]


@dataclass(frozen=True)
class DataMapping:
    """Which array of a file is what, and in which order the field arrays have their axes.

    Args:
        x, y, z: coordinates; z is None in two dimensions. On a grid: one value for each grid line,
            or meshgrid arrays of the shape of the fields.
        t: times, or the time from one frame to the next; None where the flow is steady.
        u, v, w: velocity components; w is None in two dimensions.
        p: kinematic pressure; None where unknown.
        mask: 0 where the velocity is missing, in each frame or once for all; "~mask" for one that is 0 where it is
            known (flags, masks of NumPy). None: NaN and the marks of the file alone say it.
        nu: kinematic viscosity: a number, or the name of an array or attribute that holds one.
        error: relative error of the velocity itself, in the same form; None: `reference_error` where the file has it.
        axes: axes of the field arrays, slowest first: out of x, y[, z] and t on a grid, e.g.
            ("t", "y", "x"); ("t", "n"), ("n", "t") or ("n",) for scattered points. None takes the
            only order that fits the shapes; where several fit, reading asks for a choice.
        pressure_frame: the frame at which p is given, where it is given at one only: a number, or
            the name of an array or attribute ("@frame" means the attribute of p, else of the file).
        index_sets: names of point indices or of boolean masks, by the name they get in `Snapshots.index_sets`.
            Indices are zero-based and counted in C order over the places of the field array as it is stored; those
            of a .mat file as MATLAB counts, from 1 in column-major order.
        raw: what is in files without a header.

    Raises:
        PinnxError: x, y, u or v missing, z without w, or axes that are no order of axes.
    """

    x: str = "x"
    y: str = "y"
    z: str | None = None
    t: str | float | None = None
    u: str = "u"
    v: str = "v"
    w: str | None = None
    p: str | None = None
    mask: str | None = None
    nu: str | float | None = None
    error: str | float | None = None
    axes: tuple[str, ...] | None = None
    pressure_frame: str | int | None = None
    index_sets: Mapping[str, str] = field(default_factory=dict)
    raw: tuple[RawArray, ...] = ()

    def __post_init__(self) -> None:
        for name in ("x", "y", "u", "v"):
            if not getattr(self, name):
                raise PinnxError(f"{name}: expected the name of an array, got {name}=None")
        if (self.z is None) != (self.w is None):
            raise PinnxError(f"z, w: expected both or neither, got z={self.z!r}, w={self.w!r}")
        if isinstance(self.t, int | float) and not 0 < self.t < math.inf:
            raise PinnxError(f"t: expected the name of an array, or a time step > 0, got {self.t}")
        if self.p is None and self.pressure_frame is not None:
            raise PinnxError("pressure_frame: expected only together with p, got no p")
        if self.axes is not None:
            object.__setattr__(self, "axes", tuple(self.axes))
            self._check_axes()

    def _check_axes(self) -> None:
        axes = self.axes
        assert axes is not None
        time = {"t"} if "t" in axes else set()
        orders = [time | set(self.spatial_axes), time | {"n"}]
        if set(axes) not in orders or len(set(axes)) != len(axes):
            grid = ", ".join(self.spatial_axes)
            raise PinnxError(f"axes: expected an order of ([t,] {grid}) or of ([t,] n), got {axes}")
        if "t" in axes and self.t is None:
            raise PinnxError(f"axes: expected no 't' without the array of times, got {axes}")

    @property
    def spatial_axes(self) -> tuple[str, ...]:
        """("x", "y") or ("x", "y", "z")."""
        return ("x", "y") if self.z is None else ("x", "y", "z")

    @property
    def coordinates(self) -> dict[str, str]:
        """Array names of the space coordinates, by axis."""
        names = {"x": self.x, "y": self.y}
        return names if self.z is None else names | {"z": self.z}

    @property
    def components(self) -> dict[str, str]:
        """Array names of the velocity components, by component."""
        names = {"u": self.u, "v": self.v}
        return names if self.w is None else names | {"w": self.w}
