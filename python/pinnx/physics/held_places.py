"""Which boundary conditions the form of the fields can hold, and how it is given them.

Sides of the box and circles have a distance in closed form (`pinnx.models.hard_boundaries`). A number is held as it is;
a formula as it is at the point of the place next to an input, so it is asked nowhere but on its place.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pinn_ext import Jet, JetSpec
from pinn_ext.reference import jet_of
from pinnx.errors import PinnxError
from pinnx.models.field_model import FieldModel
from pinnx.models.hard_boundaries import Circle, Held, Plane
from pinnx.physics import geometry
from pinnx.physics.boundary import BoundaryCondition, component_names
from pinnx.physics.expression import Expression

__all__ = ["held_place", "held_walls"]


def held_place(condition: BoundaryCondition, model: FieldModel) -> Held | None:
    """A condition as the form of the fields has it; None where it has to stay in the loss.

    Points of the data and lines of straight pieces have no smooth distance, a part of a side has none of its own, and a
    formula with heaviside has no derivative.

    Args:
        condition: at a place.
        model: whose inputs and outputs it is given in.
    """
    bounds, where = condition.bounds, condition.where
    axes = tuple(bounds)
    if condition.rough or (isinstance(where, geometry.Side | geometry.Circle) and not where.whole):
        return None  # the form would hold it where it is not prescribed, or what is known roughly
    if isinstance(where, geometry.Side):
        ends = model.inputs(np.array(list(bounds.values())).T)
        axis, end = axes.index(where.axis), geometry.SIDES[where.name][1]
        distance: Plane | Circle = Plane(axis, float(ends[end, axis]), float(ends[1 - end, axis]))
    elif isinstance(where, geometry.Circle):
        plane = [axes.index("x"), axes.index("y")]
        x, y = ((np.array(where.center) - model.origin[plane]) / model.coordinate_scales[plane]).tolist()
        radius = where.radius / float(model.coordinate_scales[plane[0]])
        distance = Circle((plane[0], plane[1]), (x, y), radius)
    else:
        return None
    columns = {component_names(bounds).index(name): formula for name, formula in condition.formulas.items()}
    if any(isinstance(formula, Expression) and "heaviside" in formula.text for formula in columns.values()):
        return None
    values = {c: _OnPlace(f, distance, model, axes) if isinstance(f, Expression) else f for c, f in columns.items()}
    return Held(distance, values)


def held_walls(conditions: Sequence[BoundaryCondition], bounds: geometry.Bounds) -> tuple[int, ...]:
    """The numbers of the conditions that make a plane box of walls, which a stream function holds.

    Args:
        conditions: all that there are.
        bounds: axis name -> (low, high) of the domain.

    Raises:
        PinnxError: a side without a velocity, with one that is not constant, or with one across it.
    """
    sides = {
        condition.where.name: number
        for number, condition in enumerate(conditions)
        if isinstance(condition.where, geometry.Side) and condition.where.whole and not condition.rough
    }
    for name in ("left", "right", "bottom", "top"):
        given = dict(conditions[sides[name]].formulas) if name in sides else {}
        across = "u" if geometry.SIDES[name][0] == "x" else "v"
        if (
            not all(isinstance(given.get(component), float) for component in "uv")
            or given[across] != 0.0
            or "p" in given
        ):
            raise PinnxError(
                "model.hard_boundaries with stream_function: expected a box of walls, u and v constant on left, right, "
                f"bottom and top, and 0 across each, got {given or 'no such velocity'} on {name}; set one of them to "
                "false"
            )
    return tuple(sides[name] for name in ("left", "right", "bottom", "top"))


class _OnPlace:
    """A formula at the point of a place that is next to an input, with its derivatives by autograd."""

    def __init__(self, formula: Expression, place: Plane | Circle, model: FieldModel, axes: tuple[str, ...]) -> None:
        self._formula, self._place, self._axes = formula, place, axes
        self._scales, self._origin = model.coordinate_scales.tolist(), model.origin.tolist()

    def jet(self, x: Tensor, spec: JetSpec) -> Jet:
        return jet_of(self._at, x, spec)

    def _at(self, x: Tensor) -> Tensor:
        inputs = self._place.nearest(x).unbind(1)
        scaled = zip(self._axes, inputs, self._scales, self._origin, strict=True)
        coordinates = {axis: column * scale + origin for axis, column, scale, origin in scaled}
        return torch.atleast_1d(self._formula.tensor(coordinates))[:, None]
