"""The term of conditions with first derivatives: outflows, slip, symmetry, prescribed slopes, a free stream.

    term = sum over points and rows of (row of the statement)^2 / number of rows

Statements and rows are those of `pinnx.physics.conditions`, in units of the case's scales; the viscosity is that of the
equations in each step. A prescribed slope is one row, df/dn - s, with n out of the flow. Points are drawn as those of
the prescribed values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import pinn_ext
from pinnx.data.collocation import Sampling
from pinnx.errors import PinnxError
from pinnx.models.field_model import FieldModel
from pinnx.physics.boundary import FIRST_STREAM, component_names, place_of
from pinnx.physics.boundary_values import CHECK_POINTS
from pinnx.physics.conditions import CONDITIONS, Rows
from pinnx.physics.expression import Expression
from pinnx.physics.geometry import Bounds, Wall, axes_of, place_and_time, plane_columns
from pinnx.physics.outlines import Body
from pinnx.physics.scales import Scales
from pinnx.physics.term import WHOLE, JetTerm, Measured, Points, Share

__all__ = ["BoundarySlopes", "Statement", "slope_statements"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Statement:
    """What holds at a place of values and slopes.

    Args:
        where: a side or a body.
        bounds: axis name -> (low, high) of the domain.
        condition: a name of `CONDITIONS` with rows; None: the slopes alone.
        speed: of it, in the user's units.
        slopes: field -> its slope along the normal out of the flow, a number or a formula.
        stream: of the random points.
        middle: of the bodies, (x, y).

    Raises:
        PinnxError: slopes of fields that the flow does not have, or formulas that are wrong.
    """

    where: Wall
    bounds: Bounds
    condition: str | None
    speed: float
    slopes: Mapping[str, Expression | float]
    stream: int
    middle: tuple[float, float] = (0.0, 0.0)

    def __str__(self) -> str:
        return f"{self.condition or 'slopes'}, {self.where}"

    @property
    def dim(self) -> int:
        """Space dimensions."""
        return len(component_names(self.bounds)) - 1

    @property
    def num_named(self) -> int:
        """Rows of the condition; those of the slopes follow."""
        return 0 if self.condition is None else CONDITIONS[self.condition].num_rows(self.dim)

    @property
    def num_rows(self) -> int:
        """Rows of the statement."""
        return self.num_named + len(self.slopes)

    @property
    def of_values(self) -> int:
        """Rows, from the first, without slopes."""
        return 0 if self.condition is None else CONDITIONS[self.condition].of_values

    def rows(self, points: Array, scales: Scales, *, num_rows: int | None = None) -> Rows:
        """The coefficients at points [n, D] of the place; rows beyond its own, up to ``num_rows``, are empty.

        Raises:
            PinnxError: a formula that is not finite somewhere.
        """
        axes, fields = axes_of(self.bounds), component_names(self.bounds)
        inward = self.where.normals(points, self.bounds)
        normals = np.zeros((len(points), self.dim))
        normals[:, : inward.shape[1]] = -inward  # a body in three dimensions has none along z
        rows = Rows.empty(len(points), num_rows or self.num_rows, len(fields), len(axes))
        first = len(axes) - self.dim
        if self.condition is not None and (fill := CONDITIONS[self.condition].fill) is not None:
            offsets = (points[:, plane_columns(self.bounds)] - self.middle) / scales.length
            fill(rows, normals, first, self.speed / scales.velocity, offsets)
        columns = dict(zip(axes, points.T, strict=True))
        units = dict(zip(fields, scales.of_fields(fields), strict=True))
        for row, (name, slope) in enumerate(self.slopes.items(), start=self.num_named):
            values = slope.values(columns) if isinstance(slope, Expression) else slope
            rows.slope[:, row, fields.index(name), first:] = normals
            rows.target[:, row] = np.asarray(values) * scales.length / units[name]
        return rows


def slope_statements(entries: Sequence[Mapping[str, Any]], bounds: Bounds, **places: Any) -> tuple[Statement, ...]:
    """The statements on values and slopes among entries of a configuration, as `boundary_conditions` takes them.

    Args:
        entries: with ``condition``, ``speed`` and ``slopes`` beside those of `boundary_conditions`.
        bounds: axis name -> (low, high) of the domain.
        places: points, times, index_sets and holes, as for `boundary_conditions`.

    Raises:
        PinnxError: what is wrong, preceded by the entry's number.
    """
    found = []
    for number, entry in enumerate(entries):
        condition = entry.get("condition")
        if condition is not None and CONDITIONS[condition].fill is None:
            condition = None  # all of it is prescribed values
        slopes = {name: value for name, value in (entry.get("slopes") or {}).items() if value is not None}
        if condition is None and not slopes:
            continue
        try:
            where = place_of(entry["where"], bounds, **places)
            if not isinstance(where, Wall):
                raise PinnxError(f"slopes: expected a side, a circle or a hole, which have a normal; got {where}")
            if unknown := [name for name in slopes if name not in component_names(bounds)]:
                raise PinnxError(f"slopes: expected those of {', '.join(component_names(bounds))}, got {unknown[0]}")
            parsed = {n: Expression(s) if isinstance(s, str) else float(s) for n, s in slopes.items()}
            speed = float(entry.get("speed") or 0.0)
            middle = _middle(condition, places.get("holes") or {})
            statement = Statement(where, bounds, condition, speed, parsed, FIRST_STREAM + number, middle)
            statement.rows(where.regular_points(2, bounds), Scales(1.0, 1.0))  # a formula that is wrong fails now
            found.append(statement)
        except PinnxError as error:
            raise PinnxError(f"boundaries.{number}: {error}") from None
    return tuple(found)


def _middle(condition: str | None, holes: Mapping[str, Body]) -> tuple[float, float]:
    if condition == "free_stream" and not holes:
        raise PinnxError("free_stream: expected a body in domain.holes that disturbs the stream, got none")
    x, y = np.mean([body.center for body in holes.values()] or [(0.0, 0.0)], axis=0).tolist()
    return x, y


class BoundarySlopes(JetTerm):
    """Statements on values and slopes at places, at fresh points in each step.

    Args:
        statements: at least one.
        num_points: points of each.
        scales: of the case.
        nu: gives the viscosity in units of U L, a scalar tensor, as it is in a step.
        seed: key of the points.
        sampling: how points are spread over a place.

    Raises:
        PinnxError: no statements.
    """

    name = "slopes"
    names = ("slopes",)

    def __init__(
        self,
        statements: Sequence[Statement],
        num_points: int,
        *,
        scales: Scales,
        nu: Callable[[], Tensor],
        seed: int,
        sampling: Sampling = "uniform",
    ) -> None:
        if not statements:
            raise PinnxError("slopes: expected at least one condition with slopes, got none")
        self.statements, self._scales, self._nu = tuple(statements), scales, nu
        self.spec = pinn_ext.JetSpec(first=tuple(range(len(statements[0].bounds))))
        self._most = max(statement.num_rows for statement in statements)
        self._draws = [
            s.where.sampler(num_points, s.bounds, seed=seed, stream=s.stream, sampling=sampling) for s in statements
        ]
        self.num_points = num_points * len(statements)
        self._num_rows = float(num_points * sum(statement.num_rows for statement in statements))

    def draw(self, step: int, share: Share = WHOLE) -> Points:
        """Places, and the coefficients of the rows there.

        Raises:
            PinnxError: a formula that is not finite somewhere.
        """
        x = [draw(step) for draw in self._draws]
        rows = [s.rows(at, self._scales, num_rows=self._most) for s, at in zip(self.statements, x, strict=True)]
        part = share.rows(self.num_points)
        chosen = slice(part.start, part.stop)
        joined = {name: np.concatenate([getattr(one, name) for one in rows])[chosen] for name in Rows._fields}
        return {"x": np.concatenate(x)[chosen], **joined}

    def residual(self, jet: pinn_ext.Jet, points: Mapping[str, Tensor]) -> Tensor:
        """The rows, [n, r]."""
        return _residual(jet, points, self._nu())

    def columns(self, residual: Tensor, points: Mapping[str, Tensor]) -> Tensor:
        return residual.square().sum().reshape(1) / self._num_rows

    @torch.no_grad()
    def measure(self, model: FieldModel, *, num_points: int, seed: int) -> list[Measured]:
        """The largest rows of each statement: of slopes, and of values alone; NaN where the model gives NaN."""
        found = []
        for statement in self.statements:
            at = statement.where.regular_points(CHECK_POINTS, statement.bounds)
            rows, found_rows = statement.rows(at, self._scales), []
            for block, x in model.blocks(at):
                given = {name: torch.from_numpy(part[block]).to(x) for name, part in rows._asdict().items()}
                found_rows.append(_residual(model.jet(x, self.spec), given, self._nu()).abs().double().cpu().numpy())
            sizes, few = np.concatenate(found_rows), statement.of_values
            for gate, part in (("boundary_error_max", sizes[:, :few]), ("neumann_error_max", sizes[:, few:])):
                if part.size:
                    row, column = np.unravel_index(int(part.argmax()), part.shape)
                    largest, place = float(part[row, column]), place_and_time(at[row], statement.bounds)
                    found.append(Measured(gate, largest, part=str(statement), worst=largest, worst_at=place))
        return found


def _residual(jet: pinn_ext.Jet, rows: Mapping[str, Tensor], nu: Tensor) -> Tensor:
    value, first = jet.value, jet.first.movedim(0, -1)  # [n, c], [n, c, D]
    nu = nu.reshape(-1, 1, 1, 1)  # one number, or one for each point
    slopes = ((rows["slope"] + nu * rows["viscous"]) * first[:, None]).sum((2, 3))
    return (rows["value"] * value[:, None]).sum(2) + slopes - rows["target"]
