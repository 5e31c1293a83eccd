"""Settings that state the shape of a domain: bodies in it, and boxes that it consists of.

The kinds of shapes are those of `pinnx.physics.outlines.SHAPES`.
"""

from __future__ import annotations

from typing import Annotated

from annotated_types import MinLen
from pydantic import model_validator

from pinnx.config.kinds import Formula, Interval, Number, Positive, Says, Section, Text, setting

__all__ = ["Box", "CircleAt", "Hole"]

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

    path: Text = setting(..., "file (.dat)")
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
        kinds = [name for name in type(self).model_fields if name != "name"]
        given = [name for name in kinds if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"expected exactly one of {', '.join(kinds)}, got {' and '.join(given) or 'none'}")
        return self

    @property
    def kind(self) -> str:
        """The kind that is given."""
        return next(name for name in type(self).model_fields if name != "name" and getattr(self, name) is not None)

    @property
    def label(self) -> str:
        """Its name, or its kind."""
        return self.name or self.kind
