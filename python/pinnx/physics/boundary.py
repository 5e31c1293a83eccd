"""Dirichlet conditions: what the velocity, or the pressure, is known to be at a place.

    u_i(x) = g_i(x)   for x on the place, for every prescribed component i of (u, v[, w], p)

An initial condition is the same thing at points with a time of their own. Points are fresh in each
step and drawn by counter: point j of a condition depends on (seed, step, stream, j) alone.

Layout: coordinates [n, D], columns t, x, y, z as far as the domain has them; targets [n, c],
columns u, v[, w], p.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pinnx.data.collocation import Sampling
from pinnx.errors import PinnxError
from pinnx.physics.conditions import prescribed_values
from pinnx.physics.expression import Expression
from pinnx.physics.geometry import Bounds, Circle, Place, Side, axes_of
from pinnx.physics.outlines import Body, exposed
from pinnx.physics.point_sets import PointSet

__all__ = ["FIRST_STREAM", "BoundaryCondition", "boundary_conditions", "component_names", "place_of"]

# Kinds of places that an entry can name.
KINDS = ("side", "section", "circle", "hole", "index", "expression")
# Stream 0 belongs to the points inside the domain.
FIRST_STREAM = 1


def component_names(bounds: Bounds) -> tuple[str, ...]:
    """Return the columns of a target: u, v, p, with w where the domain has a z axis."""
    return ("u", "v", "w", "p") if "z" in bounds else ("u", "v", "p")


@dataclass(frozen=True, eq=False)
class BoundaryCondition:
    """Values of some components at a place.

    Args:
        where: the place.
        values: component name (u, v, w, p) -> a number or a formula in x, y, z, t; a component that
            is missing or None is not prescribed.
        bounds: axis name -> (low, high) of the domain; "t" where the flow has times.
        stream: separates the random points of several conditions; 0 is the interior's.
        weight: of its squares in the loss; below 1 for values that are known roughly.
        until: share of a training's steps at which that weight has fallen, linearly, to nothing; None: it stays.

    Attributes:
        formulas: what is prescribed, by component.

    Raises:
        PinnxError: nothing is prescribed, a component or a coordinate that the domain does not
            have, a formula that is wrong, a place that does not fit.
    """

    where: Place
    values: Mapping[str, float | str | None]
    bounds: Bounds
    stream: int = FIRST_STREAM
    weight: float = 1.0
    until: float | None = None
    formulas: Mapping[str, Expression | float] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        axes_of(self.bounds)  # refuses bounds that are no domain
        given = {name: value for name, value in self.values.items() if value is not None}
        components = component_names(self.bounds)
        unknown = [name for name in given if name not in components]
        if unknown:
            raise PinnxError(f"{self.where}: expected values for {', '.join(components)}; got {unknown[0]!r}")
        if not given:
            raise PinnxError(f"{self.where}: expected a value for one of {', '.join(components)}, got none")
        self.where.check(self.bounds)
        formulas: dict[str, Expression | float] = {}
        for name, value in given.items():
            formulas[name] = Expression(value) if isinstance(value, str) else float(value)
        object.__setattr__(self, "formulas", formulas)
        # Formulas are tried at two points at least, so that a wrong one fails now, not in step 1.
        self.targets(self.validation_points(2))

    @property
    def rough(self) -> bool:
        """Whether the values are known roughly: they guide, and no check holds the fields against them."""
        return self.weight < 1.0 or self.until is not None

    @property
    def constant(self) -> bool:
        """Whether every prescribed value is a number, the same at all points."""
        return not any(isinstance(formula, Expression) for formula in self.formulas.values())

    @property
    def mask(self) -> np.ndarray:
        """[c] bool, which of u, v[, w], p are prescribed."""
        return np.array([name in self.formulas for name in component_names(self.bounds)])

    def sampler(
        self, n: int, *, seed: int, first_index: int = 0, sampling: Sampling = "uniform"
    ) -> Callable[[int], np.ndarray]:
        """Return a function that draws points of a step over the place (and over time); see `Place.sampler`."""
        given = {"seed": seed, "stream": self.stream, "first_index": first_index}
        return self.where.sampler(n, self.bounds, **given, sampling=sampling)

    def validation_points(self, num: int) -> np.ndarray:
        """Return at least `num` regular points [n, D] that reach the ends of the place.

        A point set returns every one of its points, at two times at least.
        """
        return self.where.regular_points(num, self.bounds)

    def targets(self, coordinates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the prescribed values at points of the place.

        Args:
            coordinates: [n, D] float64.

        Returns:
            values [n, c] float64, and mask [c] bool; a column that the mask does not name is not
            prescribed: it holds zeros that mean nothing.

        Raises:
            PinnxError: a wrong number of columns, or a formula that is not finite somewhere.
        """
        axes = axes_of(self.bounds)
        if coordinates.ndim != 2 or coordinates.shape[1] != len(axes):
            raise PinnxError(
                f"coordinates: expected shape [n, {len(axes)}] ({', '.join(axes)}), got {list(coordinates.shape)}"
            )
        columns = dict(zip(axes, np.asarray(coordinates, dtype=np.float64).T, strict=True))
        components = component_names(self.bounds)
        values = np.zeros((len(coordinates), len(components)))
        for name, formula in self.formulas.items():
            column = formula.values(columns) if isinstance(formula, Expression) else formula
            values[:, components.index(name)] = column
        return values, self.mask


def boundary_conditions(
    entries: Sequence[Mapping[str, Any]], bounds: Bounds, **places: Any
) -> tuple[BoundaryCondition, ...]:
    """Build conditions from plain entries, as a configuration holds them; those that prescribe no value are left out.

    Args:
        entries: each ``{"where": {kind: ...}, "u": ..., "v": ..., "w": ..., "p": ..., "condition": ...}``; ``where``
            as for `place_of`, conditions as in `pinnx.physics.conditions`.
        bounds: axis name -> (low, high) of the domain.
        places: what `place_of` takes besides.

    Returns:
        The conditions in the order of their entries, each with a stream of its own.

    Raises:
        PinnxError: what is wrong, preceded by the entry's number: ``boundaries.2: ...``.
    """
    conditions = []
    for number, entry in enumerate(entries):
        try:
            place = place_of(entry["where"], bounds, **places)
            values = prescribed_values(entry, place, bounds)
            other = entry.get("condition") or entry.get("slopes") or entry.get("flux") is not None
            if other and all(value is None for value in values.values()):
                continue
            conditions.append(
                BoundaryCondition(
                    place,
                    values,
                    bounds,
                    FIRST_STREAM + number,
                    weight=entry.get("weight", 1.0),
                    until=entry.get("until"),
                )
            )
        except PinnxError as error:
            raise PinnxError(f"boundaries.{number}: {error}") from None
    return tuple(conditions)


def place_of(
    where: Mapping[str, Any],
    bounds: Bounds,
    *,
    points: np.ndarray | None = None,
    times: np.ndarray | None = None,
    index_sets: Mapping[str, np.ndarray] | None = None,
    holes: Mapping[str, Body] | None = None,
) -> Place:
    """The place of an entry, of which only what borders the flow counts.

    Args:
        where: one kind that is not None: side: name (with range: [lo, hi] along it); section: {axis: position} (with
            range); hole: name of a body; circle: {center: [x, y], radius}; index: name of an index set; expression:
            condition in x, y, z, t that selects among the data's points.
        bounds: axis name -> (low, high) of the domain.
        points: [n, d] float64, the data's points, for index and expression.
        times: [T] float64, the data's times, for an expression that uses t.
        index_sets: name -> [k] int64 indices into the points.
        holes: name -> body of the domain.

    Raises:
        PinnxError: no kind or several, or a place that is not there.
    """
    holes = holes or {}
    place = _place(where, points, times, index_sets or {}, holes)
    place.check(bounds)
    return exposed(place, list(holes.values()), bounds)


def _place(
    where: Mapping[str, Any],
    points: np.ndarray | None,
    times: np.ndarray | None,
    index_sets: Mapping[str, np.ndarray],
    holes: Mapping[str, Body],
) -> Place:
    given = {kind: value for kind, value in where.items() if value is not None and kind != "range"}
    if len(given) != 1:
        raise PinnxError(f"where: expected exactly one of {', '.join(KINDS)}; got {', '.join(given) or 'none'}")
    kind, value = next(iter(given.items()))
    if kind == "side":
        return Side(value, where.get("range"))
    if kind == "section":
        return _section(value, where.get("range"))
    if kind == "circle":
        return Circle(tuple(value["center"]), value["radius"])
    if kind == "hole":
        if value not in holes:
            raise PinnxError(f"hole: expected one of domain.holes ({', '.join(holes) or 'none'}), got {value!r}")
        return holes[value]
    if kind not in KINDS:
        raise PinnxError(f"where: expected {', '.join(KINDS[:-1])} or {KINDS[-1]}; got {kind!r}")
    if points is None:
        raise PinnxError(f"{kind} {value!r}: needs the points of a flow field, and there are none")
    if kind == "index":
        return PointSet.of_index_set(value, points, index_sets)
    return PointSet.of_expression(value, points, times)


def _section(at: Mapping[str, float | None], along: tuple[float, float] | None) -> Side:
    given = [(axis, position) for axis, position in at.items() if position is not None]
    if len(given) != 1:
        raise PinnxError(f"section: expected one of x, y, z, got {', '.join(axis for axis, _ in given) or 'none'}")
    axis, position = given[0]
    return Side({"x": "right", "y": "top", "z": "front"}[axis], along, at_position=position)
