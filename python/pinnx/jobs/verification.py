"""The checks of ``pinnx verify``: of a run, of one of its checkpoints, or of a file of snapshots.

A run is judged anew: its model is loaded and measured at points of its own; nothing is read from metrics.json. Of
snapshots the conservation of mass is checked, and that of momentum and energy where pressure and viscosity are known.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.table import Table

from pinnx.config import Config, load_config
from pinnx.data.collocation import uniform_points
from pinnx.data.snapshots import Snapshots
from pinnx.errors import PinnxError
from pinnx.evals.checks import Check, check
from pinnx.evals.gates import GATES
from pinnx.evals.physics import ConservationChecker
from pinnx.evals.stability import NumericalStabilityChecker
from pinnx.jobs.flow_problem import flow_problem
from pinnx.jobs.load_case import load_case, load_snapshots
from pinnx.jobs.metrics import checks_at_points
from pinnx.jobs.training import make_trainer
from pinnx.physics.equations import EVALUATION_STREAM
from pinnx.report.formatting import number
from pinnx.runs.folder import RunFolder
from pinnx.train.checkpoint import load_checkpoint
from pinnx.train.checkpoint_folder import CheckpointFolder

__all__ = ["GROUPS", "is_run", "verdicts_table", "verify_flow", "verify_run"]

# What the options of the command ask for.
GROUPS = {
    "conservation": ("conservation", "net_flux", "momentum_balance", "energy_budget", "energy_growth"),
    "boundary": ("boundary_error_max", "neumann_error_max", "periodic_error_max"),
    "pde-residual": ("pde_residual_l2", "viscosity_misfit"),
}
CHECKPOINT = ".safetensors"
# Points of the checks of the network itself; none of them is a norm that more points would change.
STABILITY_POINTS = 1000


def is_run(path: Path) -> bool:
    """Whether a path is the folder of a run or one of its checkpoints, and no file of snapshots."""
    return path.is_dir() or path.suffix == CHECKPOINT


def verify_run(path: Path, groups: set[str], say: Callable[[str], None]) -> list[Check]:
    """The verdicts on the model of a run.

    Args:
        path: the folder of a run, of which the newest whole checkpoint is taken, or one of its checkpoints.
        groups: keys of `GROUPS`; empty: all, and the numerical stability of the network.
        say: takes a word on what is being done.

    Raises:
        PinnxError: no run or no checkpoint there, or data of the run that are gone.
    """
    folder = RunFolder(path if path.is_dir() else path.parent.parent)
    if not folder.config.is_file():
        raise PinnxError(f"{path}: expected a run, one of its checkpoints, or a file, found no config.yaml with it")
    config = load_config(str(folder.config), [])
    state = _state(path, folder)
    case = load_case(config, progress=say)
    flow = flow_problem(config, case)
    trainer = make_trainer(config, flow.problem, flow.weights)
    for part in ("stopwatch", "guard"):
        state.pop(part, None)
    trainer.load_state_dict(state)
    say(f"checking the model of step {trainer.step} at {config.evals.points} points")
    found = checks_at_points(config, case, flow.problem, config.evals.points)
    found += _not_there(found, groups)
    if not groups:
        model = flow.problem.model
        low, high = np.array(list(case.bounds.values())).T
        drawn = uniform_points(low, high, STABILITY_POINTS, seed=config.seed, step=0, stream=EVALUATION_STREAM)
        points = torch.from_numpy(model.inputs(drawn)).to(model.frequencies)
        return found + NumericalStabilityChecker(seed=config.seed).check_all(model, points)
    return _of(groups, found)


def verify_flow(config: Config, groups: set[str], say: Callable[[str], None]) -> list[Check]:
    """The verdicts on the snapshots of a configuration.

    Args:
        config: the section data, the viscosity and the limits are used.
        groups: keys of `GROUPS`; empty: all that arrays can be asked.
        say: takes a word on what is being done.

    Raises:
        PinnxError: what is wrong with the file; a group that arrays have nothing for.
    """
    if "boundary" in groups:
        raise PinnxError("--boundary: expected a run, whose configuration says what holds at the boundary, got a file")
    snapshots = load_snapshots(config, say)
    if snapshots.times is None and snapshots.num_times > 1:
        raise PinnxError("data.arrays.t: expected the times of the frames, got none")
    checker, fields = _checker(snapshots, config)
    found = checker.verify_mass_conservation(*fields)
    nu = config.problem.nu if config.problem.nu is not None else snapshots.nu
    missing = _missing(snapshots, nu)
    if missing:
        found += [_unchecked(gate, missing) for gate in ("pde_residual_l2", "energy_budget")]
    else:
        assert snapshots.pressure is not None
        assert nu is not None
        u, v, *w = fields
        pressure, rest = _shaped(snapshots, snapshots.pressure), {"w": w[0] if w else None}
        found += checker.verify_momentum_conservation(u, v, pressure, nu, **rest)
        found += checker.verify_energy_conservation(u, v, pressure, nu, **rest)
    return found if not groups else _of(groups, found)


def verdicts_table(checks: list[Check], *, verbose: bool) -> Table:
    """Each verdict with value, limit and unit; with ``verbose`` its points and the error of the check too."""
    table = Table()
    table.add_column("check", no_wrap=True)
    for name in ("value", "limit"):
        table.add_column(name, justify="right")
    table.add_column("unit")
    table.add_column("verdict")
    if verbose:
        for name in ("points", "check's own error"):
            table.add_column(name, justify="right")
    for item in checks:
        value = "" if math.isnan(item.value) else number(item.value)
        row = [item.name, value, f"{item.limit:g}", item.unit, item.status]
        if verbose:
            error = item.discretisation
            points = "" if item.num_points is None else f"{item.num_points:,}"
            row += [points, "" if error is None else number(error)]
        table.add_row(*row)
    return table


def _state(path: Path, folder: RunFolder) -> dict[str, Any]:
    if path.suffix == CHECKPOINT:
        return load_checkpoint(path)
    if not folder.checkpoints.is_dir():
        raise PinnxError(f"{folder.path}: expected the folder checkpoints with one that is whole, found none")
    latest = CheckpointFolder(folder.checkpoints).latest()
    for reason in latest.refused:
        warnings.warn(f"{reason}; {latest.path.name} is used instead", stacklevel=3)
    return latest.state


def _checker(snapshots: Snapshots, config: Config) -> tuple[ConservationChecker, list[Any]]:
    """The checker of these places, and the components as it takes them."""
    places: dict[str, Any] = {"points": snapshots.points[snapshots.in_flow]}
    if _on_grid(snapshots):
        places = {"axes": snapshots.grid_lines}
    checker = ConservationChecker(times=snapshots.times, limits=config.evals.limits.model_dump(), **places)
    return checker, [_shaped(snapshots, part) for part in snapshots.velocity.transpose(2, 0, 1)]


def _shaped(snapshots: Snapshots, field: Any) -> Any:
    """A field [T, n] as the checker takes it."""
    shape = snapshots.grid_shape if _on_grid(snapshots) else (int(snapshots.in_flow.sum()),)
    frames = field if _on_grid(snapshots) else field[:, snapshots.in_flow]
    return frames.reshape(*(() if snapshots.times is None else (snapshots.num_times,)), *(shape or ()))


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


def _unchecked(gate: str, reason: str) -> Check:
    known = GATES[gate]
    return Check(gate, math.nan, known.limit, known.red * known.limit, known.unit, "not checked", reason)


def _of(groups: set[str], checks: list[Check]) -> list[Check]:
    names = {name for group in groups for name in GROUPS[group]}
    return [item for item in checks if item.name in names]


def _not_there(found: list[Check], groups: set[str]) -> Iterator[Check]:
    """A group that was named and that the run has nothing for has failed."""
    for group in sorted(groups):
        if not any(item.name in GROUPS[group] for item in found):
            yield check(GROUPS[group][0], None, note=f"the run has no check of --{group}")
