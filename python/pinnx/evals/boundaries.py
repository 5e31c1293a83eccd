"""What a flow given as numbers does at its boundary: prescribed values, prescribed slopes, periodic sides.

    Dirichlet   max |f - g|             over the points of a side, or points that are named
    Neumann     max |df/dn - s|         n outward; one-sided derivatives of two orders give the check's own error
    periodic    max |f(low) - f(high)|  over pairs of points whose other coordinates are the same

All are in units of the scale of the field: U of a velocity, U^2 of a pressure, and per L of a slope. Networks are
checked by their terms (`pinnx.physics.boundary_values`, `periodic_error`), whether a condition is learned or holds by
construction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pinnx.data.layout import grid_points
from pinnx.errors import PinnxError
from pinnx.evals.checks import Check, check, known_limits, unless_coarse
from pinnx.evals.derivatives import Derivatives, GridDerivatives, ScatteredDerivatives
from pinnx.evals.numbers import as_array, as_scale
from pinnx.physics.geometry import SIDES

__all__ = ["BoundaryChecker"]

# Of the longest side: coordinates that differ by less are one, as when they were stored in float32.
SAME_PLACE = 1e-6
# Of the length of a normal: the rounding of float32 is ten times less.
UNIT = 1e-6
Array = NDArray[np.float64]


class BoundaryChecker:
    """Checks fields at the boundary of a grid or of scattered points.

    Fields are given by name, ``{"u": [nx, ny], "v": ...}`` on a grid, index [i, j] = (x_i, y_j), or ``[n]`` at points;
    arrays of NumPy or torch, of one frame. A place is the name of a side (left, right, bottom, top, back, front), or a
    bool for each point.

    Args:
        axes: lines of the grid, x, y[, z], with both ends of a period; or
        points: ``[n, d]``, scattered.
        speed: U; a velocity counts in it, a field ``p`` in its square.
        length: L; None: the longest side.
        limits: limits that replace those of `GATES`, by name.

    Raises:
        PinnxError: neither or both of axes and points; a scale that is not finite and > 0.
    """

    def __init__(
        self,
        *,
        axes: Sequence[Any] | None = None,
        points: Any = None,
        speed: float,
        length: float | None = None,
        limits: Mapping[str, float] | None = None,
    ) -> None:
        if (axes is None) == (points is None):
            raise PinnxError("boundary: expected either axes or points, got both or neither")
        as_scale("speed", speed), as_scale("length", length)
        self._axes = None if axes is None else [as_array("axes", axis) for axis in axes]
        if self._axes is not None:
            points = grid_points(self._axes)
        self.points = as_array("points", points)
        self._ends = self.points.min(axis=0), self.points.max(axis=0)
        longest = float(np.ptp(self.points, axis=0).max())
        self._near, self._speed, self._length = SAME_PLACE * longest, speed, length or longest
        self._limits = known_limits(limits)

    def verify_dirichlet(self, fields: Mapping[str, Any], where: Any, values: Mapping[str, Any]) -> list[Check]:
        """``boundary_error_max`` of each field with a value: a number, or one for each point of the place.

        Raises:
            PinnxError: a place without points, a value of a field that is not there, other shapes.
        """
        rows = self._rows(where)
        found = []
        for name, value in _some("values", values).items():
            error = (self._field(fields, name)[rows] - _wanted(name, value, rows)) / self._scale(name)
            found.append(self._verdict("boundary_error_max", error, rows, self._part(name, where)))
        return found

    def verify_neumann(
        self, fields: Mapping[str, Any], where: Any, slopes: Mapping[str, Any], *, normals: Any = None
    ) -> list[Check]:
        """``neumann_error_max`` of each field with a slope along the outward normal.

        Args:
            fields: by name.
            where: a side, or points with ``normals``.
            slopes: df/dn, a number or one for each point of the place.
            normals: ``[k, d]``, outward and of unit length, of the points of the place; None: of the side.

        Raises:
            PinnxError: as ``verify_dirichlet``; no normals of a place that is no side; too few points.
        """
        rows = self._rows(where)
        if normals is None:
            if not isinstance(where, str):
                raise PinnxError("normals: expected one for each point of a place that is no side, got none")
            axis, end = SIDES[where]
            normals = np.zeros((len(rows), self.points.shape[1]))
            normals[:, "xyz".index(axis)] = 1.0 if end else -1.0
        orders, found = self._derivatives, []
        for name, slope in _some("slopes", slopes).items():
            field, unit = self._field(fields, name), self._scale(name) / self._length
            coarse, fine = (self._slope(d, field, rows, as_array("normals", normals)) for d in orders)
            error = (fine - _wanted(name, slope, rows)) / unit
            own = float(np.abs(fine - coarse).max()) / unit
            verdict = self._verdict("neumann_error_max", error, rows, self._part(name, where))
            reason = f"the check's own error is about {own:.2g}: finer points or smoother numbers are needed"
            found.append(unless_coarse(verdict, own, reason))
        return found

    def verify_periodic(
        self, fields: Mapping[str, Any], axis: str, *, jumps: Mapping[str, float] | None = None
    ) -> list[Check]:
        """``periodic_error_max`` of each field between the two sides of an axis, whose points are matched by place.

        Fields of ``jumps`` should rise by so much from the low to the high side: the pressure of a driven channel. A
        point without a partner on the other side fails the check: it was not compared.

        Raises:
            PinnxError: an axis that the points do not have, no field, a jump of a field that is not there.
        """
        directions = "xyz"[: self.points.shape[1]]
        if len(axis) != 1 or axis not in directions:
            raise PinnxError(f"axis: expected one of {', '.join(directions)}, got {axis!r}")
        for name in jumps or {}:
            self._field(fields, name)
        _some("fields", fields)
        column = directions.index(axis)
        low, high = (np.flatnonzero(np.abs(self.points[:, column] - end[column]) <= self._near) for end in self._ends)
        others = [i for i in range(self.points.shape[1]) if i != column]
        away, partner = cKDTree(self.points[high][:, others]).query(self.points[low][:, others])
        alone = int((away > self._near).sum()) + len(high) - len(np.unique(partner[away <= self._near]))
        if alone:
            note = f"{alone} of {len(low) + len(high)} points on the sides of {axis} have no partner at the same place"
            return [check("periodic_error_max", None, note=note, part=f"{name}, {axis}") for name in fields]
        found = []
        for name in fields:
            field = self._field(fields, name)
            error = (field[high[partner]] - field[low] - (jumps or {}).get(name, 0.0)) / self._scale(name)
            found.append(self._verdict("periodic_error_max", error, low, f"{name}, {axis}"))
        return found

    def _verdict(self, gate: str, error: Array, rows: NDArray[np.intp], part: str) -> Check:
        worst = int(np.abs(error).argmax())
        found = check(gate, float(np.abs(error[worst])), limits=self._limits, part=part)
        place = tuple(self.points[rows[worst]].tolist())
        return replace(found, num_points=len(rows), worst=found.value, worst_at=place)

    def _rows(self, where: Any) -> NDArray[np.intp]:
        """The points of a place."""
        if isinstance(where, str):
            if where not in SIDES or "xyz".index(SIDES[where][0]) >= self.points.shape[1]:
                raise PinnxError(f"side: expected one of {', '.join(SIDES)} that the points have; got {where!r}")
            axis, end = SIDES[where]
            column = "xyz".index(axis)
            rows = np.flatnonzero(np.abs(self.points[:, column] - self._ends[end][column]) <= self._near)
        else:
            chosen = np.asarray(where, dtype=bool).reshape(-1)
            if chosen.size != len(self.points):
                raise PinnxError(f"where: expected a side or {len(self.points)} bools, got {chosen.size}")
            rows = np.flatnonzero(chosen)
        if not len(rows):
            raise PinnxError("where: expected points at the place, got none; nothing was checked")
        return rows

    def _field(self, fields: Mapping[str, Any], name: str) -> Array:
        if name not in fields:
            raise PinnxError(f"{name}: expected one of the fields {', '.join(fields)}")
        field = as_array(name, fields[name]).reshape(-1)
        if field.size != len(self.points):
            raise PinnxError(f"{name}: expected a number for each of {len(self.points)} points, got {field.size}")
        return field

    def _slope(self, d: Derivatives, field: Array, rows: NDArray[np.intp], normals: Array) -> Array:
        shaped = field if self._axes is None else field.reshape([axis.size for axis in self._axes])
        if normals.shape != (len(rows), self.points.shape[1]):
            raise PinnxError(f"normals: expected shape {[len(rows), self.points.shape[1]]}, got {list(normals.shape)}")
        sizes = np.linalg.norm(normals, axis=1)
        if np.abs(sizes - 1.0).max() > UNIT:
            raise PinnxError(f"normals: expected unit length, got lengths of {sizes.min():.6g} to {sizes.max():.6g}")
        columns = [d.first(shaped, axis).reshape(-1)[rows] for axis in range(self.points.shape[1])]
        return np.asarray((np.stack(columns, axis=1) * normals).sum(axis=1))

    @cached_property
    def _derivatives(self) -> tuple[Derivatives, Derivatives]:
        if self._axes is None:
            return ScatteredDerivatives(self.points, 2), ScatteredDerivatives(self.points, 3)
        return GridDerivatives(self._axes, 4), GridDerivatives(self._axes, 6)

    def _scale(self, name: str) -> float:
        return self._speed**2 if name == "p" else self._speed

    def _part(self, name: str, where: Any) -> str:
        return f"{name}, {where}" if isinstance(where, str) else name


def _some(name: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is to be checked: no verdict at all would read as one that passed."""
    if not given:
        raise PinnxError(f"{name}: expected at least one field, got none; nothing was checked")
    return given


def _wanted(name: str, value: Any, rows: NDArray[np.intp]) -> Array:
    wanted = as_array(name, value)
    if wanted.shape not in ((), (1,), (len(rows),)):
        raise PinnxError(f"{name}: expected a number, or one for each of {len(rows)} points, got {list(wanted.shape)}")
    return wanted
