"""The checks of a file of snapshots: mass, momentum and energy where it has them, and the conditions that are stated.

These are held against the file at its own points, frame by frame.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pinnx.config import Config
from pinnx.data.snapshots import Snapshots
from pinnx.errors import PinnxError
from pinnx.evals.boundaries import SAME_PLACE, BoundaryChecker
from pinnx.evals.budgets import BOXES, verify_budgets
from pinnx.evals.checks import Check, check
from pinnx.evals.jumps import corner_jumps
from pinnx.evals.physics import ConservationChecker
from pinnx.jobs.cases.case_bodies import case_holes
from pinnx.jobs.cases.load_case import load_snapshots
from pinnx.jobs.judging.file_periods import FilePeriods, file_periods
from pinnx.jobs.judging.verdicts import of_groups, unchecked
from pinnx.physics.boundary import BoundaryCondition, boundary_conditions, component_names
from pinnx.physics.boundary_slopes import Statement, slope_statements
from pinnx.physics.corners import Corner, corner_distance, discontinuity_corners, left_out
from pinnx.physics.expression import Expression
from pinnx.physics.geometry import Bounds, Circle, Place, Side, at_time, plane_columns
from pinnx.physics.navier_stokes import NavierStokes
from pinnx.physics.outlines import Outline
from pinnx.physics.point_sets import PointSet
from pinnx.physics.section_flux import section_fluxes

__all__ = ["boundary_checks", "verify_flow", "worst_of_frames"]

# Nodes on a body are on its line up to this share of its size: they lie on chords of a mesh.
ON_BODY = 5e-4
# Of a grid from 0 to L - h, as spectral codes write it, the last line is not the first one again.
ENDS = (
    "compared are the outermost points of the file, as both ends of the period; where its last line is left out, name "
    "the period by domain.{axis}=[lo, hi]"
)
ONE_END = (
    "the file has one end of the period, so nothing is compared; conservation and residuals take derivatives across it"
)
Array = NDArray[np.float64]


def verify_flow(
    config: Config, groups: set[str], say: Callable[[str], None], *, corner_radius: float | None = None
) -> list[Check]:
    """The verdicts on the snapshots of a configuration.

    ``groups`` are keys of `GROUPS`; empty: all that arrays can be asked. Points nearer than ``corner_radius``, units of
    length, to a corner where two sides disagree do not count.

    Raises:
        PinnxError: what is wrong with the file; a group that arrays have nothing for; no such corner.
    """
    snapshots = load_snapshots(config, say)
    if snapshots.times is None and snapshots.num_times > 1:
        raise PinnxError("data.arrays.t: expected the times of the frames, got none")
    periods = file_periods(config, snapshots)
    corners = corner_jumps(snapshots.points[snapshots.in_flow], snapshots.velocity[:, snapshots.in_flow])
    if corner_radius is not None and not corners:
        raise PinnxError("--corner-radius: expected a corner of the box where two sides disagree, found none")
    if not _on_grid(snapshots) and groups != {"boundary"}:
        say("not a grid without holes: net_flux and the budgets of sub-boxes are not among the checks")
    made = [] if groups == {"boundary"} else _checks(snapshots, config, corners, corner_radius, periods)
    if "boundary" in groups or config.boundaries or config.domain.periodic:
        made += boundary_checks(snapshots, config, corners, corner_radius, periods)
    found = of_groups(groups, made)
    wrong = next((item for item in found if item.discretisation is not None and not item.passed), None)
    if wrong is not None and corners and corner_radius is None:
        places = ", ".join(f"({x:.4g}, {y:.4g})" for x, y in (corner.position for corner in corners))
        hint = f"two sides disagree at {places}, where no field is right: --corner-radius R leaves out what is nearer"
        found[found.index(wrong)] = replace(wrong, note="; ".join(filter(None, (wrong.note, hint))))
    return found


def _checks(
    snapshots: Snapshots,
    config: Config,
    corners: tuple[Corner, ...],
    corner_radius: float | None,
    periods: FilePeriods,
) -> list[Check]:
    checker, away = _checker(snapshots, config, corners, corner_radius, periods)
    whole = [_shaped(snapshots, part) for part in snapshots.velocity.transpose(2, 0, 1)]
    fields = [periods.once(part) for part in whole] if _on_grid(snapshots) else whole
    found, whole_force = checker.verify_mass_conservation(*fields), _forcing(snapshots, config)
    forcing = periods.with_jump(whole_force) if _on_grid(snapshots) else whole_force
    nu = config.problem.nu if config.problem.nu is not None else snapshots.nu
    missing = _missing(snapshots, nu)
    if len(fields) == 2 and nu is not None and not _frames_missing(snapshots):
        found.append(checker.verify_viscosity(*fields, nu, forcing=forcing))
    budgets: dict[str, Any] = {"where": away, "times": snapshots.times, "limits": config.evals.limits.model_dump()}
    if missing:
        found += _budgets(snapshots, whole, budgets)
        gates = ("pde_residual_l2", "momentum_balance", *(("momentum_budget",) if _on_grid(snapshots) else ()))
        return found + [unchecked(gate, missing) for gate in (*gates, "energy_budget")]
    assert snapshots.pressure is not None
    assert nu is not None
    u, v, *w = fields
    pressure = _shaped(snapshots, snapshots.pressure)
    found += _budgets(snapshots, whole, budgets | {"pressure": pressure, "viscosity": nu, "forcing": whole_force})
    if _on_grid(snapshots):
        pressure = periods.once(periods.without_jump(pressure, snapshots.axes))
    rest: dict[str, Any] = {"w": w[0] if w else None, "forcing": forcing}
    found += checker.verify_momentum_conservation(u, v, pressure, nu, **rest)
    return found + checker.verify_energy_conservation(u, v, pressure, nu, **rest)


def _forcing(snapshots: Snapshots, config: Config) -> Array | None:
    """The body force, [d], or [..., d] at each point and time where a formula is in it; None: none."""
    given = config.problem.forcing
    if given is None:
        return None
    steady = snapshots.times is None
    equations = NavierStokes(snapshots.dim, steady=steady, nu=1.0, forcing=given, dtype=torch.float64)
    if not any(isinstance(part, str) for part in given):
        return np.array(given)
    inside, times = snapshots.in_flow, [None] if steady else snapshots.times.tolist()
    force = np.zeros((snapshots.dim, len(times), snapshots.num_points))
    for frame, time in enumerate(times):
        known = equations.known_at(at_time(snapshots.points[inside], time))
        force[:, frame, inside] = (known["forcing"] + equations.scaled_forcing.numpy()).T
    return np.stack([_shaped(snapshots, part) for part in force], axis=-1)


def _budgets(snapshots: Snapshots, fields: list[Any], given: dict[str, Any]) -> list[Check]:
    """The budgets of sub-boxes; none where there is no grid, or one that is too coarse for them."""
    if not _on_grid(snapshots) or min(snapshots.grid_shape or (0,)) < 4 * BOXES + 1:
        return []
    return verify_budgets(fields, snapshots.grid_lines, **given)


def _checker(
    snapshots: Snapshots,
    config: Config,
    corners: tuple[Corner, ...],
    corner_radius: float | None,
    periods: FilePeriods,
) -> tuple[ConservationChecker, Any]:
    """The checker of these places, each once, and which points of the file count; None: all."""
    places: dict[str, Any] = {"points": snapshots.points[snapshots.in_flow]}
    if _on_grid(snapshots):
        places = {"axes": periods.lines(snapshots.axes), "periods": periods.by_axis}
    where = None
    if corner_radius is not None:
        away = corner_distance(snapshots.points, corners, snapshots.axis_names) > corner_radius
        shape = snapshots.grid_shape
        where = away.reshape(shape) if _on_grid(snapshots) and shape else away[snapshots.in_flow]
        places["where"] = periods.once(where) if _on_grid(snapshots) else where
        places["reason"] = left_out(corners, corner_radius).removeprefix("without points ")
    return ConservationChecker(times=snapshots.times, limits=config.evals.limits.model_dump(), **places), where


def _shaped(snapshots: Snapshots, field: Any) -> Any:
    """A field [T, n] as the checker takes it."""
    shape = snapshots.grid_shape if _on_grid(snapshots) else (int(snapshots.in_flow.sum()),)
    frames = field if _on_grid(snapshots) else field[:, snapshots.in_flow]
    return np.reshape(frames, (*(() if snapshots.times is None else (snapshots.num_times,)), *(shape or ())))


def _on_grid(snapshots: Snapshots) -> bool:
    """Whether differences along lines can be taken: not across the holes of a grid."""
    return snapshots.grid_shape is not None and snapshots.holes is None


def _missing(snapshots: Snapshots, nu: float | None) -> str:
    """Why momentum and energy cannot be checked; "" where they can."""
    if snapshots.pressure is None or len(snapshots.pressure) < snapshots.num_times:
        return "no pressure at each time: name its array with data.arrays.p"
    if nu is None:
        return "no viscosity is known: set flow.nu, or name its array with data.arrays.nu"
    return _frames_missing(snapshots)


def _frames_missing(snapshots: Snapshots) -> str:
    """Why no derivative in time can be taken; "" where one can, or none is needed."""
    if snapshots.steady or snapshots.num_times >= 7:
        return ""
    return f"{snapshots.num_times} frames are too few for a derivative in time: 7 are needed"


def boundary_checks(
    snapshots: Snapshots,
    config: Config,
    jumps: Sequence[Corner],
    corner_radius: float | None,
    periods: FilePeriods,
) -> list[Check]:
    """``boundary_error_max`` of each prescribed component, ``neumann_error_max`` of slopes, and ``periodic_error_max``.

    Of all frames the worst. Points nearer than ``corner_radius`` to one of the ``jumps``, corners of the box where two
    sides of the snapshots disagree, or to a corner where two conditions do, do not count. ``periods`` are those that
    are named.

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
        checks: list[Check] = []
        for at, fields in _frames(snapshots):
            away = corner_distance(at, corners, tuple(bounds)) > (corner_radius or 0.0)
            rows = _on(condition.where, at, bounds) & away & inside
            if rows.any():
                checks += _values(checker, condition, at[rows], fields, rows[inside])
        if not checks:
            raise PinnxError(f"boundaries.{number}: expected points of the file on {condition.where}, found none")
        found += worst_of_frames(checks)
    for statement in slope_statements(entries, bounds, **places):
        found += _slopes(snapshots, checker, statement)
    found += [
        check("section_flux", None, note="of a file no flux is summed", part=str(flux.where))
        for flux in section_fluxes(entries, bounds, **places)
    ]
    return found + _periodic(snapshots, config, checker, periods)


def _slopes(snapshots: Snapshots, checker: BoundaryChecker, statement: Statement) -> list[Check]:
    """Slopes along the normal at the file's points, the worst frame of each; other rows are said not to be checked."""
    slopes: dict[str, Any] = dict(statement.slopes)
    if statement.condition == "zero_gradient":
        slopes |= dict.fromkeys(component_names(snapshots.bounds)[:-1], 0.0)
    elif statement.condition is not None:
        note = "of a file slopes and zero_gradient alone are checked"
        return [check("neumann_error_max", None, note=note, part=str(statement))]
    checks = []
    for at, fields in _frames(snapshots):
        rows = _on(statement.where, at, snapshots.bounds) & snapshots.in_flow
        if not rows.any():
            raise PinnxError(f"{statement}: expected points of the file there, found none")
        columns = dict(zip(snapshots.bounds, at[rows].T, strict=True))
        wanted = {n: s.values(columns) if isinstance(s, Expression) else s for n, s in slopes.items()}
        normals = np.zeros((int(rows.sum()), snapshots.dim))
        inward = statement.where.normals(at[rows], snapshots.bounds)
        normals[:, : inward.shape[1]] = -inward
        for item in checker.verify_neumann(fields, rows[snapshots.in_flow], wanted, normals=normals):
            checks.append(replace(item, part=f"{item.part}, {statement}"))
    return worst_of_frames(checks)


def _values(
    checker: BoundaryChecker,
    condition: BoundaryCondition,
    places: Array,
    fields: dict[str, Array],
    rows: NDArray[np.bool_],
) -> list[Check]:
    """Of one frame the values at places [k, D], which are those rows of the fields."""
    values, mask = condition.targets(places)
    named = dict(zip(component_names(condition.bounds), values.T, strict=True))
    wanted = {name: column for (name, column), known in zip(named.items(), mask, strict=True) if known}
    if missing := set(wanted) - set(fields):
        raise PinnxError(f"{condition.where}: expected values of {missing.pop()} at each time in the file, found none")
    checks = checker.verify_dirichlet(fields, rows, wanted)
    return [replace(item, part=f"{item.part}, {condition.where}") for item in checks]


def _periodic(snapshots: Snapshots, config: Config, checker: BoundaryChecker, periods: FilePeriods) -> list[Check]:
    """The worst frame of each field along each periodic axis; "not checked" along one whose other end is left out."""
    checks: list[Check] = []
    one_end = [axis for axis in config.domain.periodic if axis in periods.periods and axis not in periods.repeated]
    for axis in config.domain.periodic:
        if axis in one_end:
            continue
        jump = getattr(config.domain.jump, axis) or 0.0
        for _, fields in _frames(snapshots):
            checks += checker.verify_periodic(fields, axis, jumps={"p": jump} if "p" in fields else {})
    compared = [
        item
        if item.passed
        else replace(item, note="; ".join(filter(None, (item.note, ENDS.format(axis=item.part[-1])))))
        for item in worst_of_frames(checks)
    ]
    return compared + [replace(unchecked("periodic_error_max", ONE_END), part=axis) for axis in one_end]


def worst_of_frames(checks: Iterable[Check]) -> list[Check]:
    """Of the checks of each part the worst; one that is not a number is worse than any."""
    worst: dict[str, Check] = {}
    for item in checks:
        worst[item.part] = max(
            worst.get(item.part, item), item, key=lambda one: math.inf if math.isnan(one.value) else one.value
        )
    return list(worst.values())


def _frames(snapshots: Snapshots) -> Iterator[tuple[Array, dict[str, Array]]]:
    """Of each frame the coordinates of all points, [n, D], and each field at the points in the flow."""
    inside, pressure = snapshots.in_flow, snapshots.pressure
    for frame in range(snapshots.num_times):
        fields = dict(zip(("u", "v", "w"), snapshots.velocity[frame][inside].T, strict=False))
        if pressure is not None and len(pressure) == snapshots.num_times:
            fields["p"] = pressure[frame][inside]
        yield at_time(snapshots.points, None if snapshots.times is None else snapshots.times[frame]), fields


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
