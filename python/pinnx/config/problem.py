"""Settings that state the problem: the data, the domain, the equations, the boundaries.

Units are those of the data: "length", "time" and so on stand for whatever the file uses. Relations
between settings are checked here; everything about one value is in its kind (kinds.py).
"""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from pinnx.config.kinds import (
    Condition,
    Count,
    Formula,
    Interval,
    Natural,
    Number,
    Positive,
    Section,
    Seed,
    Switch,
    Text,
    setting,
)

__all__ = ["Boundary", "Data", "Domain", "Flow"]

AxisName = Literal["x", "y", "z"]


class Arrays(Section):
    """Names of the arrays in the data file."""

    x: Text = setting("x", "array of the x coordinates", "length")
    y: Text = setting("y", "array of the y coordinates", "length")
    z: Text | None = setting(None, "array of the z coordinates; null in two dimensions", "length")
    t: Text | None = setting(None, "array of the times; null where the flow is steady", "time")
    u: Text = setting("u", "array of the x velocity; an index may follow: 'velocity[..., 0]'", "velocity")
    v: Text = setting("v", "array of the y velocity", "velocity")
    w: Text | None = setting(None, "array of the z velocity", "velocity")
    p: Text | None = setting(None, "array of the kinematic pressure; only compared with", "velocity^2")
    nu: Positive | Text | None = setting(
        None, "kinematic viscosity: a number, or the name of an array or attribute", "length^2/time"
    )


class Window(Section):
    """The part of the data that is used; null = all of it."""

    x: Interval | None = setting(None, "limits in x", "length")
    y: Interval | None = setting(None, "limits in y", "length")
    z: Interval | None = setting(None, "limits in z", "length")


class Synthetic(Section):
    """A periodic flow made by the built-in solver: the arguments of `periodic_flow`."""

    resolution: Count = setting(64, "grid points along x and y")
    length: Positive = setting(6.283185307179586, "period in x and y", "length")
    nu: Positive = setting(0.02, "kinematic viscosity", "length^2/time")
    duration: Positive = setting(2.0, "time from the first snapshot to the last", "time")
    num_frames: Count = setting(21, "number of snapshots")
    max_wavenumber: Positive = setting(3.0, "finest wave at the start", "waves/period")
    seed: Seed = setting(0, "seed of the vortices at the start")
    mean_velocity: tuple[Number, Number] = setting(
        (0.0, 0.0), "velocity [u, v] that carries the vortices along", "velocity"
    )


class Data(Section):
    """What is known of the flow; exactly one of path, measurements and synthetic."""

    path: Text | None = setting(None, "file of snapshots: .mat, .npz, .h5 or .hdf5")
    measurements: Text | None = setting(None, "CSV file of measurements t,x,y[,z],u,v[,w], in place of snapshots")
    synthetic: Synthetic | None = setting(None, "a made flow, in place of a file")
    arrays: Arrays = setting(Arrays(), "which array of the file is what")
    axes: tuple[Literal["t", "x", "y", "z", "n"], ...] | None = setting(
        None,
        "order of the axes of the field arrays, slowest first: [t, y, x] on a grid, [t, n] for "
        "scattered points; null = from the shapes",
    )
    pressure_frame: Natural | Text | None = setting(
        None,
        "the frame of p, where p is given at one only: its number, or the name of an array or attribute ('@frame')",
    )
    index_sets: dict[str, Text] = setting({}, "index sets: a name of yours -> the array's name")
    check_orientation: Switch = setting(True, "refuse fields that are divergence-free only when transposed")
    window: Window = setting(Window(), "the part of space that is used")
    times: Interval | None = setting(None, "the times that are used; null = all", "time")

    @model_validator(mode="after")
    def _one_source(self) -> Data:
        sources = ("path", "measurements", "synthetic")
        given = [name for name in sources if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"expected exactly one of {', '.join(sources)}, got {' and '.join(given) or 'none'}")
        return self


class Domain(Section):
    """The box in which the equations hold; an extent that is null is that of the data."""

    x: Interval | None = setting(None, "extent in x", "length")
    y: Interval | None = setting(None, "extent in y", "length")
    z: Interval | None = setting(None, "extent in z", "length")
    t: Interval | None = setting(None, "extent in time", "time")
    periodic: tuple[AxisName, ...] = setting((), "axes along which the flow is periodic")

    @model_validator(mode="after")
    def _each_axis_once(self) -> Domain:
        if len(set(self.periodic)) != len(self.periodic):
            raise ValueError(f"periodic: expected each axis once, got {list(self.periodic)}")
        return self


class Flow(Section):
    """The equations' own numbers."""

    nu: Positive | None = setting(None, "kinematic viscosity; null = from the data", "length^2/time")
    learn_nu: Switch = setting(False, "fit the viscosity too; nu is then the first guess")
    steady: Switch | None = setting(None, "no time derivative; null = as the data is")
    forcing: tuple[Number, ...] | None = setting(
        None,
        "constant body force per component, two or three numbers; null = none",
        "length/time^2",
    )

    @model_validator(mode="after")
    def _components(self) -> Flow:
        if self.forcing is not None and len(self.forcing) not in (2, 3):
            raise ValueError(f"forcing: expected 2 or 3 numbers, got {len(self.forcing)}")
        return self


class CircleAt(Section):
    """A circle; in three dimensions the cylinder along z through it."""

    center: tuple[Number, Number] = setting(..., "its centre [x, y]", "length")
    radius: Positive = setting(..., "its radius", "length")


class Where(Section):
    """The place of a boundary condition: exactly one of the four."""

    side: Literal["left", "right", "bottom", "top", "back", "front"] | None = setting(
        None, "side of the domain: ends of x, of y, of z, low end first"
    )
    circle: CircleAt | None = setting(None, "circle in the plane of x and y")
    index: Text | None = setting(None, "name of an index set of data.index_sets")
    expression: Condition | None = setting(
        None, "selects the data's points at which it holds; with t it makes an initial condition"
    )

    @model_validator(mode="after")
    def _one_kind(self) -> Where:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"expected exactly one of side, circle, index, expression, got {' and '.join(given) or 'none'}"
            )
        return self


class Boundary(Section):
    """A list: each item says what is known at one place, in exactly one kind of `where`.

    `N` stands for the number of the item, from 0 on.
    """

    where: Where = setting(..., "the place")
    u: Number | Formula | None = setting(None, "x velocity; null = unknown", "velocity")
    v: Number | Formula | None = setting(None, "y velocity; null = unknown", "velocity")
    w: Number | Formula | None = setting(None, "z velocity; null = unknown", "velocity")
    p: Number | Formula | None = setting(None, "kinematic pressure; null = unknown", "velocity^2")

    @model_validator(mode="after")
    def _something_known(self) -> Boundary:
        if all(value is None for value in (self.u, self.v, self.w, self.p)):
            raise ValueError("expected a value for one of u, v, w, p, got none")
        return self
