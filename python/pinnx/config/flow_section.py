"""Settings that state a flow: its domain with the bodies in it, its equations, what is known at boundaries.

Units are those of the data: "length", "time" and so on stand for whatever the file uses. Relations between settings are
checked here; everything about one value is in its kind (kinds.py). The kinds of shapes are those of
`pinnx.physics.shapes.SHAPES`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import MinLen
from pydantic import model_validator

from pinnx.config.kinds import (
    Condition,
    Forces,
    Formula,
    Inner,
    Interval,
    NonNegative,
    Number,
    Positive,
    Says,
    Section,
    Switch,
    Text,
    setting,
)

__all__ = ["Boundary", "Domain", "Flow"]

Corners = Annotated[tuple[tuple[Number, Number], ...], MinLen(3), Says("a list of three points [x, y] or more")]


class CircleAt(Section):
    """A circle; in three dimensions the cylinder along z through it."""

    center: tuple[Number, Number] = setting(..., "its centre [x, y]", "length")
    radius: Positive = setting(..., "its radius", "length")


class EllipseAt(Section):
    """An ellipse."""

    center: tuple[Number, Number] = setting(..., "its centre [x, y]", "length")
    half_axes: tuple[Positive, Positive] = setting(..., "half its extents along x and y, before it is turned", "length")
    angle: Number = setting(0.0, "by which it is turned, against the clock", "degrees")


class Box(Section):
    """A rectangle along the axes."""

    x: Interval = setting(..., "its extent in x", "length")
    y: Interval = setting(..., "its extent in y", "length")


class AirfoilAt(Section):
    """An airfoil from a file of coordinates over the chord, as Selig and Lednicer write them."""

    path: Text = setting(..., "file (.dat)", file=True)
    chord: Positive = setting(1.0, "its chord", "length")
    nose: tuple[Number, Number] = setting((0.0, 0.0), "where the file's origin is, [x, y]", "length")
    angle: Number = setting(0.0, "angle of attack: its nose is turned up around the origin", "degrees")


class Hole(Section):
    """A list: each item is a body in the domain, of exactly one kind; inside no equation holds and nothing is shown.

    `N` stands for the number of the item, from 0 on. In three dimensions it is the cylinder along z over the shape.
    """

    name: Text | None = setting(None, "what boundaries.N.where.hole calls it; null = its kind")
    circle: CircleAt | None = setting(None, "a circle")
    ellipse: EllipseAt | None = setting(None, "an ellipse")
    rectangle: Box | None = setting(None, "a rectangle, which may leave the domain")
    polygon: Corners | None = setting(None, "corners in their order, against or with the clock", "length")
    airfoil: AirfoilAt | None = setting(None, "an airfoil")
    expression: Formula | None = setting(None, "a signed distance in x and y: negative inside the body", "length")
    nodes: tuple[Number, Number] | None = setting(
        None, "a place [x, y] in a hole of the data's scattered nodes, whose outline is found", "length"
    )

    @model_validator(mode="after")
    def _one_kind(self) -> Hole:
        self.only_one([name for name in type(self).model_fields if name != "name"])
        return self

    @property
    def kind(self) -> str:
        """The kind that is given."""
        return next(name for name in type(self).model_fields if name != "name" and getattr(self, name) is not None)

    @property
    def label(self) -> str:
        """Its name, or its kind."""
        return self.name or self.kind


AxisName = Literal["x", "y", "z"]
# Those of the table in pinnx.physics.conditions.
ConditionName = Literal[
    "no_slip", "moving", "rotating", "slip", "symmetry", "zero_gradient", "no_stress", "convective", "free_stream"
]


class Jump(Section):
    """By how much the pressure rises over the period of an axis, from its low to its high end; < 0 drives the flow."""

    x: Number | None = setting(None, "over the period in x; null = none", "velocity^2")
    y: Number | None = setting(None, "over the period in y; null = none", "velocity^2")
    z: Number | None = setting(None, "over the period in z; null = none", "velocity^2")


class Domain(Section):
    """The box in which the equations hold, less bodies; an extent that is null is that of the data."""

    x: Interval | None = setting(None, "extent in x", "length")
    y: Interval | None = setting(None, "extent in y", "length")
    z: Interval | None = setting(None, "extent in z", "length")
    t: Interval | None = setting(None, "extent in time", "time")
    periodic: tuple[AxisName, ...] = setting((), "axes along which the flow is periodic")

    jump: Jump = setting(Jump(), "jumps of the kinematic pressure over periods: a channel that a pressure drives")
    holes: tuple[Hole, ...] = setting((), "bodies in it")
    shape: tuple[Box, ...] = setting(
        (), "boxes of which it consists; what they leave of the box around them is the body named shape; [] = one box"
    )

    @model_validator(mode="after")
    def _each_once(self) -> Domain:
        if len(set(self.periodic)) != len(self.periodic):
            raise ValueError(f"periodic: expected each axis once, got {list(self.periodic)}")
        for axis in ("x", "y", "z"):
            if getattr(self.jump, axis) is not None and axis not in self.periodic:
                raise ValueError(f"jump.{axis}: expected {axis} among domain.periodic, got {list(self.periodic)}")
        names = [hole.label for hole in self.holes] + ["shape"] * bool(self.shape)
        if len(set(names)) != len(names):
            raise ValueError(f"holes: expected a name of its own for each body, got {', '.join(names)}")
        return self


class FlowScales(Section):
    """The scales in which the training is dimensionless; the checks of residuals are relative to them."""

    length: Positive | None = setting(
        None, "length scale L; null = 3/4 of the geometric mean of the domain's sides", "length"
    )
    velocity: Positive | None = setting(
        None, "velocity scale U; null = the largest speed that is measured or prescribed", "velocity"
    )


class Flow(Section):
    """An incompressible flow: the problem of kind flow.

    `flow: {...}` is short for `problem: {kind: flow, ...}`, and `flow.nu` for `problem.nu`; one of the two is given.
    """

    kind: Literal["flow"] = setting("flow", "which equations hold")
    nu: Positive | None = setting(None, "kinematic viscosity; null = from the data", "length^2/time")
    learn_nu: Switch = setting(False, "fit the viscosity too; nu is then the first guess")
    steady: Switch | None = setting(None, "no time derivative; null = as the data is")
    forcing: Forces | None = setting(
        None,
        'body force per unit mass, a number or an expression for each component: ["sin(4*y)", 0]; null = none',
        "length/time^2",
    )
    learn_forcing: tuple[AxisName, ...] = setting(
        (), "axes along which a constant force is fitted too, from forcing as the first guess"
    )
    scales: FlowScales = setting(FlowScales(), "what lengths and velocities are divided by in the training")

    @model_validator(mode="after")
    def _components(self) -> Flow:
        if self.forcing is not None and len(self.forcing) not in (2, 3):
            raise ValueError(f"forcing: expected 2 or 3 numbers or expressions, got {len(self.forcing)}")
        if len(set(self.learn_forcing)) != len(self.learn_forcing):
            raise ValueError(f"learn_forcing: expected each axis once, got {list(self.learn_forcing)}")
        return self


class SectionAt(Section):
    """A section across one axis."""

    x: Number | None = setting(None, "where it is, across x", "length")
    y: Number | None = setting(None, "where it is, across y", "length")
    z: Number | None = setting(None, "where it is, across z", "length")

    @model_validator(mode="after")
    def _one_axis(self) -> SectionAt:
        self.only_one(("x", "y", "z"))
        return self


class Slopes(Section):
    """Slopes of fields along the normal out of the flow; null = unknown."""

    u: Number | Formula | None = setting(None, "of the x velocity", "1/time")
    v: Number | Formula | None = setting(None, "of the y velocity", "1/time")
    w: Number | Formula | None = setting(None, "of the z velocity", "1/time")
    p: Number | Formula | None = setting(None, "of the kinematic pressure", "length/time^2")


class Where(Section):
    """The place of a boundary condition: exactly one kind; of each only what borders the flow."""

    side: Literal["left", "right", "bottom", "top", "back", "front"] | None = setting(
        None, "side of the domain: ends of x, of y, of z, low end first"
    )
    range: Interval | None = setting(
        None, "part of the side: coordinates along it, of the first where it has two; null = all of it", "length"
    )
    section: SectionAt | None = setting(None, "section through the flow, of a known flux")
    hole: Text | None = setting(None, "name of a body of domain.holes, or shape")
    circle: CircleAt | None = setting(None, "circle in the plane of x and y")
    index: Text | None = setting(None, "name of an index set of data.index_sets")
    expression: Condition | None = setting(
        None, "selects the data's points at which it holds; with t it makes an initial condition"
    )

    @model_validator(mode="after")
    def _one_kind(self) -> Where:
        given = self.only_one([name for name in type(self).model_fields if name != "range"])
        if self.range is not None and given not in ("side", "section"):
            raise ValueError(f"range: expected side or section beside it, got {given}")
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

    condition: ConditionName | None = setting(
        None,
        "what holds there by name, beside values of other components; walls: no_slip, moving (a side), rotating "
        "(a body), slip; symmetry (a side); outflows: zero_gradient, no_stress, convective; free_stream: a stream "
        "along x that bodies disturb, the less the farther (docs/conventions.md)",
    )
    speed: Number | None = setting(
        None,
        "moving, convective, free_stream: its speed; rotating: its angular speed, against the clock",
        "velocity, or 1/time",
    )
    slopes: Slopes = setting(Slopes(), "slopes of fields along the normal out of the flow (Neumann)")
    weight: NonNegative = setting(
        1.0, "factor of the squares of u, v, w, p here; below 1: known roughly, such as a free stream near a body"
    )
    until: Inner | None = setting(
        None, "share of train.steps at which that factor has fallen, linearly, to nothing; null = it stays"
    )
    flux: Number | None = setting(
        None, "volume flux through a side or section, along its axis; in the plane per depth", "length^2/time"
    )

    @model_validator(mode="after")
    def _something_known(self) -> Boundary:
        named = self.condition is not None or self.flux is not None
        slopes = any(getattr(self.slopes, name) is not None for name in ("u", "v", "w", "p"))
        if not named and not slopes and all(value is None for value in (self.u, self.v, self.w, self.p)):
            raise ValueError("expected a value for one of u, v, w, p, or a condition, slopes or a flux, got none")
        if self.where.section is not None and (self.flux is None or slopes or self.condition is not None):
            raise ValueError("where.section: expected a flux, and no condition or slopes")
        return self
