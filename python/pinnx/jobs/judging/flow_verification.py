"""The checks of a file of snapshots: mass, momentum and energy where it has them, and conditions that are stated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from pinnx.config import Config
from pinnx.data.snapshots import Snapshots
from pinnx.errors import PinnxError
from pinnx.evals.budgets import BOXES, verify_budgets
from pinnx.evals.checks import Check
from pinnx.evals.jumps import corner_jumps
from pinnx.evals.physics import ConservationChecker
from pinnx.jobs.cases.load_case import load_snapshots
from pinnx.jobs.flows.flow_boundary import boundary_checks
from pinnx.jobs.judging.verdicts import of_groups, unchecked
from pinnx.physics.corners import Corner, corner_distance, left_out

__all__ = ["verify_flow"]


def verify_flow(
    config: Config, groups: set[str], say: Callable[[str], None], *, corner_radius: float | None = None
) -> list[Check]:
    """The verdicts on the snapshots of a configuration.

    Args:
        config: the section data, the viscosity, the force, the limits, boundaries and domain.periodic are used.
        groups: keys of `GROUPS`; empty: all that arrays can be asked.
        say: takes a word on what is being done.
        corner_radius: points nearer than this to a corner where two sides disagree do not count, units of length.

    Raises:
        PinnxError: what is wrong with the file; a group that arrays have nothing for; no such corner.
    """
    snapshots = load_snapshots(config, say)
    if snapshots.times is None and snapshots.num_times > 1:
        raise PinnxError("data.arrays.t: expected the times of the frames, got none")
    corners = corner_jumps(snapshots.points[snapshots.in_flow], snapshots.velocity[:, snapshots.in_flow])
    if corner_radius is not None and not corners:
        raise PinnxError("--corner-radius: expected a corner of the box where two sides disagree, found none")
    if not _on_grid(snapshots) and groups != {"boundary"}:
        say("not a grid without holes: net_flux and the budgets of sub-boxes are not among the checks")
    made = [] if groups == {"boundary"} else _checks(snapshots, config, corners, corner_radius)
    if "boundary" in groups or config.boundaries or config.domain.periodic:
        made += boundary_checks(snapshots, config, corners, corner_radius)
    found = of_groups(groups, made)
    wrong = next((item for item in found if item.discretisation is not None and not item.passed), None)
    if wrong is not None and corners and corner_radius is None:
        places = ", ".join(f"({x:.4g}, {y:.4g})" for x, y in (corner.position for corner in corners))
        hint = f"two sides disagree at {places}, where no field is right: --corner-radius R leaves out what is nearer"
        found[found.index(wrong)] = replace(wrong, note="; ".join(filter(None, (wrong.note, hint))))
    return found


def _checks(
    snapshots: Snapshots, config: Config, corners: tuple[Corner, ...], corner_radius: float | None
) -> list[Check]:
    checker, fields, away = _checker(snapshots, config, corners, corner_radius)
    found = checker.verify_mass_conservation(*fields)
    nu = config.problem.nu if config.problem.nu is not None else snapshots.nu
    missing = _missing(snapshots, nu)
    budgets: dict[str, Any] = {"where": away, "times": snapshots.times, "limits": config.evals.limits.model_dump()}
    if missing:
        found += _budgets(snapshots, fields, budgets)
        gates = ("pde_residual_l2", "momentum_balance", *(("momentum_budget",) if _on_grid(snapshots) else ()))
        return found + [unchecked(gate, missing) for gate in (*gates, "energy_budget")]
    assert snapshots.pressure is not None
    assert nu is not None
    u, v, *w = fields
    pressure, forcing = _shaped(snapshots, snapshots.pressure), config.problem.forcing
    rest: dict[str, Any] = {"w": w[0] if w else None, "forcing": forcing}
    found += _budgets(snapshots, fields, budgets | {"pressure": pressure, "viscosity": nu, "forcing": forcing})
    found += checker.verify_momentum_conservation(u, v, pressure, nu, **rest)
    return found + checker.verify_energy_conservation(u, v, pressure, nu, **rest)


def _budgets(snapshots: Snapshots, fields: list[Any], given: dict[str, Any]) -> list[Check]:
    """The budgets of sub-boxes; none where there is no grid, or one that is too coarse for them."""
    if not _on_grid(snapshots) or min(snapshots.grid_shape or (0,)) < 4 * BOXES + 1:
        return []
    return verify_budgets(fields, snapshots.grid_lines, **given)


def _checker(
    snapshots: Snapshots, config: Config, corners: tuple[Corner, ...], corner_radius: float | None
) -> tuple[ConservationChecker, list[Any], Any]:
    """The checker of these places, the components as it takes them, and which points count; None: all."""
    places: dict[str, Any] = {"points": snapshots.points[snapshots.in_flow]}
    if _on_grid(snapshots):
        places = {"axes": snapshots.grid_lines}
    if corner_radius is not None:
        away = corner_distance(snapshots.points, corners, snapshots.axis_names) > corner_radius
        shape = snapshots.grid_shape
        places["where"] = away.reshape(shape) if _on_grid(snapshots) and shape else away[snapshots.in_flow]
        places["reason"] = left_out(corners, corner_radius).removeprefix("without points ")
    checker = ConservationChecker(times=snapshots.times, limits=config.evals.limits.model_dump(), **places)
    components = [_shaped(snapshots, part) for part in snapshots.velocity.transpose(2, 0, 1)]
    return checker, components, places.get("where")


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
    if snapshots.steady or snapshots.num_times >= 7:
        return ""
    return f"{snapshots.num_times} frames are too few for a derivative in time: 7 are needed"
