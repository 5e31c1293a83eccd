"""The boundary conditions of a configuration, held against a file of snapshots: at its own points, frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pinnx.config import Config
from pinnx.data.snapshots import Snapshots
from pinnx.errors import PinnxError
from pinnx.evals.boundaries import SAME_PLACE, BoundaryChecker
from pinnx.evals.checks import Check, check
from pinnx.jobs.cases.case_bodies import case_holes
from pinnx.physics.boundary import BoundaryCondition, boundary_conditions, component_names
from pinnx.physics.boundary_slopes import Statement, slope_statements
from pinnx.physics.corners import Corner, corner_distance, discontinuity_corners
from pinnx.physics.expression import Expression
from pinnx.physics.geometry import Bounds, Circle, Place, Side, plane_columns
from pinnx.physics.outlines import Outline
from pinnx.physics.point_sets import PointSet
from pinnx.physics.section_flux import section_fluxes

__all__ = ["boundary_checks"]

# Nodes on a body are on its line up to this share of its size: they lie on chords of a mesh.
ON_BODY = 5e-4
Array = NDArray[np.float64]


def boundary_checks(
    snapshots: Snapshots, config: Config, jumps: Sequence[Corner], corner_radius: float | None
) -> list[Check]:
    """``boundary_error_max`` of each prescribed component, ``neumann_error_max`` of slopes, and ``periodic_error_max``.

    Of all frames the worst.

    Args:
        snapshots: the flow.
        config: the sections boundaries and domain.periodic are used.
        jumps: corners of the box where two sides of the snapshots disagree.
        corner_radius: points nearer than this to such a corner, or to one where two conditions disagree, do not count;
            None: the corners of the conditions alone.

    Raises:
        PinnxError: neither conditions nor periods; a condition without points in the file, or of values that it lacks.
    """
    if not config.boundaries and not config.domain.periodic:
        raise PinnxError(
            "--boundary: expected a run, or a file with boundaries= or domain.periodic= among the settings, got neither"
        )
    entries, bounds = [entry.model_dump() for entry in config.boundaries], snapshots.bounds
    places: dict[str, Any] = {"points": snapshots.points, "times": snapshots.times}
    places |= {"index_sets": snapshots.index_sets, "holes": case_holes(config, bounds, snapshots.points)}
    conditions = boundary_conditions(entries, bounds, **places)
    inside = snapshots.in_flow
    speed = float(np.linalg.norm(snapshots.velocity[:, inside], axis=2).max())
    checker = BoundaryChecker(points=snapshots.points[inside], speed=speed, limits=config.evals.limits.model_dump())
    corners = discontinuity_corners(conditions, snapshots.bounds)
    if corner_radius is not None:
        corners = (*corners, *jumps)
    found = []
    for number, condition in enumerate(conditions):
        worst: dict[str, Check] = {}
        for frame in range(snapshots.num_times):
            at = snapshots.points if snapshots.times is None else _at(snapshots.points, snapshots.times[frame])
            away = corner_distance(at, corners, tuple(snapshots.bounds)) > (corner_radius or 0.0)
            rows = _on(condition.where, at, bounds) & away & inside
            for item in _of_frame(snapshots, checker, condition, frame, rows, at):
                worst[item.part] = max(worst.get(item.part, item), item, key=lambda one: one.value)
        if not worst:
            raise PinnxError(f"boundaries.{number}: expected points of the file on {condition.where}, found none")
        found += worst.values()
    for statement in slope_statements(entries, bounds, **places):
        found += _slopes(snapshots, checker, statement)
    found += [
        check("section_flux", None, note="of a file no flux is summed", part=str(flux.where))
        for flux in section_fluxes(entries, bounds, **places)
    ]
    return found + _periodic(snapshots, config, checker)


def _slopes(snapshots: Snapshots, checker: BoundaryChecker, statement: Statement) -> list[Check]:
    """Slopes along the normal at the file's points, the worst frame of each; other rows are said not to be checked."""
    slopes: dict[str, Any] = dict(statement.slopes)
    if statement.condition == "zero_gradient":
        slopes |= dict.fromkeys(component_names(snapshots.bounds)[:-1], 0.0)
    elif statement.condition is not None:
        note = "of a file slopes and zero_gradient alone are checked"
        return [check("neumann_error_max", None, note=note, part=str(statement))]
    worst: dict[str, Check] = {}
    for frame in range(snapshots.num_times):
        at = snapshots.points if snapshots.times is None else _at(snapshots.points, snapshots.times[frame])
        rows = _on(statement.where, at, snapshots.bounds) & snapshots.in_flow
        if not rows.any():
            raise PinnxError(f"{statement}: expected points of the file there, found none")
        columns = dict(zip(snapshots.bounds, at[rows].T, strict=True))
        wanted = {n: s.values(columns) if isinstance(s, Expression) else s for n, s in slopes.items()}
        normals = np.zeros((int(rows.sum()), snapshots.dim))
        inward = statement.where.normals(at[rows], snapshots.bounds)
        normals[:, : inward.shape[1]] = -inward
        fields = _fields(snapshots, frame)
        for item in checker.verify_neumann(fields, rows[snapshots.in_flow], wanted, normals=normals):
            named = replace(item, part=f"{item.part}, {statement}")
            worst[named.part] = max(worst.get(named.part, named), named, key=lambda one: one.value)
    return list(worst.values())


def _of_frame(
    snapshots: Snapshots,
    checker: BoundaryChecker,
    condition: BoundaryCondition,
    frame: int,
    rows: NDArray[np.bool_],
    at: Array,
) -> list[Check]:
    if not rows.any():
        return []
    fields = _fields(snapshots, frame)
    values, mask = condition.targets(at[rows])
    named = dict(zip(component_names(condition.bounds), values.T, strict=True))
    wanted = {name: column for (name, column), known in zip(named.items(), mask, strict=True) if known}
    if missing := set(wanted) - set(fields):
        raise PinnxError(f"{condition.where}: expected values of {missing.pop()} at each time in the file, found none")
    checks = checker.verify_dirichlet(fields, rows[snapshots.in_flow], wanted)
    return [replace(item, part=f"{item.part}, {condition.where}") for item in checks]


def _periodic(snapshots: Snapshots, config: Config, checker: BoundaryChecker) -> list[Check]:
    """The worst frame of each field along each periodic axis."""
    worst: dict[str, Check] = {}
    for axis in config.domain.periodic:
        jumps = {"p": getattr(config.domain.jump, axis) or 0.0}
        for frame in range(snapshots.num_times):
            for item in checker.verify_periodic(_fields(snapshots, frame), axis, jumps=jumps):
                known = worst.get(item.part, item)
                worst[item.part] = item if not known.value >= item.value else known  # a NaN stays
    return list(worst.values())


def _fields(snapshots: Snapshots, frame: int) -> dict[str, Array]:
    inside = snapshots.in_flow
    fields = dict(zip(("u", "v", "w"), snapshots.velocity[frame][inside].T, strict=False))
    pressure = snapshots.pressure
    if pressure is not None and len(pressure) == snapshots.num_times:
        fields["p"] = pressure[frame][inside]
    return fields


def _at(points: Array, time: float) -> Array:
    return np.column_stack([np.full(len(points), time), points])


def _on(where: Place, at: Array, bounds: Bounds) -> NDArray[np.bool_]:
    """Which points [n, D] are on a place."""
    axes = list(bounds)
    longest = max(high - low for axis, (low, high) in bounds.items() if axis != "t")
    if isinstance(where, Side):
        near = np.abs(at[:, axes.index(where.axis)] - where.position(bounds)) <= SAME_PLACE * longest
        return np.asarray(near & where.has(at[:, axes.index(where.along)], bounds))
    if isinstance(where, Circle | Outline):
        away = where.distance(at[:, plane_columns(bounds)])
        return np.asarray(np.abs(away) <= ON_BODY * where.size)
    assert isinstance(where, PointSet)
    columns = at if where.timed or "t" not in axes else at[:, 1:]
    return np.asarray(cKDTree(where.coordinates).query(columns)[0] <= SAME_PLACE * longest)
