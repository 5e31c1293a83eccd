"""From the configuration to the bodies of a domain, and which places are inside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pinnx.config import Config
from pinnx.errors import PinnxError
from pinnx.physics.geometry import Circle
from pinnx.physics.outlines import OFF_LINE, Body, Outline
from pinnx.physics.shapes import body_of, complement_of

__all__ = ["case_holes", "in_bodies", "outline_notes", "prescribed_bodies"]

WALLS = ("no_slip", "rotating", "slip")
Bounds = Mapping[str, tuple[float, float]]


def case_holes(config: Config, bounds: Bounds, nodes: NDArray[np.float64]) -> dict[str, Body]:
    """The bodies of ``domain.holes`` by name, and as ``shape`` what ``domain.shape`` leaves of the box.

    Holes between the ``nodes`` [n, d], places of the data, may be bodies.

    Raises:
        PinnxError: a body that is none, or that is outside of the domain; boxes that are not the domain's.
    """
    bodies: dict[str, Body] = {}
    for number, hole in enumerate(config.domain.holes):
        given = getattr(hole, hole.kind)
        try:
            given = given.model_dump() if hasattr(given, "model_dump") else given
            if hole.kind == "nodes" and nodes.shape[1] != 2:
                raise PinnxError("expected nodes in the plane of x and y for an outline, got some in three dimensions")
            given = (nodes, given) if hole.kind == "nodes" else given
            bodies[hole.label] = body_of(hole.kind, given, hole.label, bounds)
        except PinnxError as error:
            raise PinnxError(f"domain.holes.{number}: {error}") from None
    boxes = [box.model_dump() for box in config.domain.shape]
    for axis in ("x", "y") if boxes else ():
        around = (min(box[axis][0] for box in boxes), max(box[axis][1] for box in boxes))
        if not np.allclose(around, bounds[axis], rtol=0.0, atol=1e-6 * (around[1] - around[0])):
            raise PinnxError(
                f"domain.shape: expected boxes that reach the domain's ends in {axis}, "
                f"[{bounds[axis][0]:g}, {bounds[axis][1]:g}], got [{around[0]:g}, {around[1]:g}]"
            )
    left = complement_of(boxes, "shape", bounds) if boxes else None
    return bodies | ({} if left is None else {"shape": left})


def outline_notes(config: Config, holes: Mapping[str, Body]) -> list[str]:
    """What was found of bodies that the nodes of the data leave out, to be confirmed."""
    found = [holes[hole.label] for hole in config.domain.holes if hole.kind == "nodes"]
    notes = []
    for body in found:
        assert isinstance(body, Outline)
        (left, bottom), (right, top) = body.box
        corners = sum(len(line) for line in body.lines)
        notes.append(
            f"The outline of {body} was found between the nodes of the data: {corners} corners, x from {left:.6g} to "
            f"{right:.6g}, y from {bottom:.6g} to {top:.6g}, area {body.area:.6g}. Confirm it on the map of the "
            "sensors, or describe the body by another shape."
        )
    return notes


def prescribed_bodies(config: Config, dim: int) -> list[Body]:
    """The circles of ``boundaries`` that are walls by name, or on which all of the velocity is given: bodies too."""
    circles: list[Body] = []
    for entry in config.boundaries:
        circle = entry.where.circle
        wall = entry.condition in WALLS or all(getattr(entry, name) is not None for name in "uvw"[:dim])
        if circle is not None and wall:
            circles.append(Circle(circle.center, circle.radius))
    return circles


def in_bodies(places: NDArray[np.float64], bodies: Sequence[Body], bounds: Bounds) -> NDArray[np.bool_]:
    """Which of the places [n, d], without times, are inside a body, [n].

    A place on a side of the domain is inside where the place next to it in the domain is: it borders no flow.
    """
    space = {axis: extent for axis, extent in bounds.items() if axis != "t"}
    low, high = np.array(list(space.values())).T
    step = OFF_LINE * float((high - low).max())
    moved = np.clip(places, low + step, high - step)
    inside = np.zeros(len(places), dtype=bool)
    for body in bodies:
        inside |= body.contains(moved, space)
    return inside
