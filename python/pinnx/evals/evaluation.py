"""A trained model away from its training: fields and residuals at points, and the numbers that gates are held against.

Everything here takes a model and terms, so that a checkpoint can be judged without a trainer. Points go through in
blocks: memory does not grow with their number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pinnx.data.collocation import uniform_points
from pinnx.errors import PinnxError
from pinnx.models.field_model import FieldModel
from pinnx.physics.equations import EVALUATION_STREAM, EquationTerm
from pinnx.physics.geometry import place_and_time
from pinnx.physics.term import Measured, Term

__all__ = ["Evaluation", "evaluate", "measure", "periodic_error"]

PERIODIC_STREAM = EVALUATION_STREAM + 1
# Pairs of points on each pair of periodic sides.
PERIODIC_POINTS = 1000


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Fields and residuals at points.

    Args:
        fields: [n, c] float64, in the user's units, as are
        residual: [n, r] float64, the columns of all equations.
        residual_names: of these columns.
    """

    fields: NDArray[np.float64]
    residual: NDArray[np.float64]
    residual_names: tuple[str, ...]


@torch.no_grad()
def evaluate(model: FieldModel, terms: Sequence[Term], coordinates: NDArray[np.float64]) -> Evaluation:
    """Fields, and the residual of every term that is an equation, at [n, D] coordinates."""
    equations = [term.equations for term in terms if isinstance(term, EquationTerm)]
    names = tuple(name for item in equations for name in item.names)
    residual_scales = [item.residual_scales.get(name, 1.0) for item in equations for name in item.names]
    fields = np.empty((len(coordinates), len(model.field_scales)))
    residual = np.empty((len(coordinates), len(names)))
    for rows, x in model.blocks(coordinates):
        jets = [model.jet(x, item.spec) for item in equations]
        fields[rows] = (jets[0].value if jets else model(x)).cpu().numpy()
        if jets:
            at = coordinates[rows]  # bodies are among the points of a grid
            known = [item.known_like(at, x, finite=False) for item in equations]
            columns = [item.residual(jet, **c) for item, jet, c in zip(equations, jets, known, strict=True)]
            residual[rows] = torch.cat(columns, dim=1).cpu().numpy()
    return Evaluation(fields * model.field_scales, residual * residual_scales, names)


def measure(
    model: FieldModel,
    terms: Sequence[Term],
    bounds: Mapping[str, tuple[float, float]],
    *,
    periodic: Sequence[str] = (),
    jumps: Mapping[str, float] | None = None,
    num_points: int,
    seed: int,
) -> list[Measured]:
    """The numbers of all terms, and of the periodic axes; those of one gate have different parts.

    Args:
        model: the fields.
        terms: what they should obey.
        bounds: axis name -> (low, high) of the domain, time first.
        periodic: axes along which the fields should be periodic.
        jumps: axis -> by how much the last field, the pressure, should rise over its period.
        num_points: points at which residuals are measured, none of which the training has seen.
        seed: names the points.

    Raises:
        PinnxError: no points; nothing was checked.
    """
    of_terms = [(term.name, item) for term in terms for item in term.measure(model, num_points=num_points, seed=seed)]
    found = _apart_by_part(of_terms)
    if periodic:
        found.append(periodic_error(model, bounds, periodic, PERIODIC_POINTS, seed=seed, jumps=jumps))
    return found


def _apart_by_part(of_terms: Sequence[tuple[str, Measured]]) -> list[Measured]:
    """Where several terms have numbers of one gate and part, the part begins with the name of the term."""
    owners = Counter((gate, part) for _, gate, part in {(name, item.gate, item.part) for name, item in of_terms})
    return [
        item._replace(part=": ".join(filter(None, (name, item.part)))) if owners[item.gate, item.part] > 1 else item
        for name, item in of_terms
    ]


def periodic_error(
    model: FieldModel,
    bounds: Mapping[str, tuple[float, float]],
    axes: Sequence[str],
    num_points: int,
    *,
    seed: int,
    jumps: Mapping[str, float] | None = None,
) -> Measured:
    """The largest difference of a field, in units of its scale, between two points that a period makes one.

    Its place is that of the point on the low side.

    Args:
        model: the fields.
        bounds: axis name -> (low, high) of the domain, time first; on a periodic axis one whole period.
        axes: the periodic ones, at least one.
        num_points: pairs of points on each pair of sides, >= 1.
        seed: names the points.
        jumps: as for ``measure``.

    Raises:
        PinnxError: no axes or no points; nothing was checked.
    """
    if not axes or num_points < 1:
        raise PinnxError(
            f"periodic_error: expected at least one periodic axis and one point, got {list(axes)}, {num_points}"
        )
    low, high = np.array(list(bounds.values())).T
    errors, places = [], []
    for axis in axes:
        column = list(bounds).index(axis)
        here = uniform_points(low, high, num_points, seed=seed, step=0, stream=PERIODIC_STREAM)
        there = here.copy()
        here[:, column], there[:, column] = bounds[axis]
        risen = model.predict(there) - model.predict(here)
        risen[:, -1] -= (jumps or {}).get(axis, 0.0)
        apart = np.abs(risen / model.field_scales).max(axis=1)
        errors.append(apart.max())
        places.append(place_and_time(here[int(apart.argmax())], bounds))
    worst = int(np.argmax(errors))  # the first NaN; max() would lose it
    value = float(errors[worst])
    return Measured("periodic_error_max", value, worst=value, worst_at=places[worst])
