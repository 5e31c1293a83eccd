"""The checks of a run, or of one of its checkpoints, made anew.

The model is loaded and measured at points of its own; nothing is read from metrics.json. Where the data of the run are
gone, its own folder is enough (`stored_case`).
"""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pinnx.config import Config, load_config
from pinnx.config.breakage_section import Breakage
from pinnx.data.collocation import uniform_points
from pinnx.errors import PinnxError
from pinnx.evals.checks import Check, check, verify
from pinnx.evals.stability import NumericalStabilityChecker
from pinnx.jobs.cases.case import Case
from pinnx.jobs.cases.case_scales import known_variation
from pinnx.jobs.cases.load_case import load_case, stored_case
from pinnx.jobs.flows.flow_problem import FlowProblem, flow_problem
from pinnx.jobs.judging.error_estimates import estimate_from_residual
from pinnx.jobs.judging.found_numbers import settled
from pinnx.jobs.judging.metrics import checks_against_reference, checks_at_points, checks_of_balances
from pinnx.jobs.judging.noise import noise_facts, noise_lines
from pinnx.jobs.judging.verdicts import GROUPS, of_groups
from pinnx.jobs.trainer_setup import make_trainer
from pinnx.physics.corners import discontinuity_corners
from pinnx.physics.equations import EVALUATION_STREAM
from pinnx.physics.geometry import place_and_time
from pinnx.report.formatting import percent
from pinnx.runs.folder import RunFolder
from pinnx.runs.history import history_columns
from pinnx.train.checkpoint import load_checkpoint
from pinnx.train.checkpoint_folder import CheckpointFolder
from pinnx.train.trainer import Trainer

__all__ = ["is_run", "verify_run"]

CHECKPOINT = ".safetensors"
# Points of the checks of the network itself; none of them is a norm that more points would change.
STABILITY_POINTS = 1000


def is_run(path: Path) -> bool:
    """Whether a path is the folder of a run or one of its checkpoints, and no file of snapshots.

    Raises:
        PinnxError: it is another file of a run.
    """
    if path.is_file() and path.name in RunFolder.FILES and RunFolder(path.parent).config.is_file():
        remedy = shlex.join(["pinnx", "verify", str(path.parent)])
        raise PinnxError(f"{path}: expected a run, a checkpoint or snapshots, got a file of a run; use {remedy}")
    return path.is_dir() or path.suffix == CHECKPOINT


def verify_run(
    path: Path, groups: set[str], say: Callable[[str], None], *, corner_radius: float | None = None
) -> list[Check]:
    """The verdicts on the model of a run, of whose folder the newest whole checkpoint is taken, or of a checkpoint.

    ``groups`` are keys of `GROUPS`; empty: all, and the numerical stability of the network. ``corner_radius`` stands in
    place of train.corner_radius of the run.

    Raises:
        PinnxError: no run or no checkpoint there, or neither its data nor its fields.h5; a radius, and no corner where
            two sides disagree.
    """
    folder = RunFolder(path if path.is_dir() else path.parent.parent)
    if not folder.config.is_file():
        raise PinnxError(f"{path}: expected a run, one of its checkpoints, or a file; there is no config.yaml with it")
    config = load_config(str(folder.config), [])
    state = _state(path, folder)
    if isinstance(config.problem, Breakage):
        from pinnx.jobs.breakage.breakage_run import (
            verify_breakage,  # its solvers load parts of SciPy that flows do not need
        )

        if corner_radius is not None:
            raise PinnxError("--corner-radius: expected a run of a flow, got one of breakage, which has no corners")
        return verify_breakage(config, state, groups, say)
    if corner_radius is not None:
        config = config.model_copy(update={"train": config.train.model_copy(update={"corner_radius": corner_radius})})
    case = _case(config, folder, say)
    if corner_radius is not None and not discontinuity_corners(case.conditions, case.bounds):
        raise PinnxError("--corner-radius: expected a run with a corner where two sides disagree, found none")
    flow = flow_problem(config, case)
    trainer = make_trainer(config, flow.problem, flow.weights)
    trainer.load_state_dict(state)
    say(f"checking the model of step {trainer.step} at {config.evals.points} points")
    found = checks_at_points(flow, config.evals.points, trainer) + checks_of_balances(flow)
    if not any(item.name == "mass_budget" for item in found):
        say("three dimensions, or a body in every sub-box: their budgets are not among the checks")
    found += _settled(flow, folder, trainer.step)
    if path.is_dir():
        from pinnx.jobs.judging.second_opinion import stored_polish  # SciPy's sparse solvers, for these runs alone

        found += stored_polish(flow, folder.fields)
    found += _not_there(found, groups)
    if not groups:
        estimate = estimate_from_residual(flow)
        shown = "none, as it is zero everywhere" if estimate is None else f"{estimate:.3g}; it is no bound"
        say(f"estimate of the relative error of the velocity, from the residual: {shown}")
        _say_of_the_data(flow, trainer, say)
        return found + checks_against_reference(flow) + _stability(flow)
    return of_groups(groups, found)


def _say_of_the_data(flow: FlowProblem, trainer: Trainer, say: Callable[[str], None]) -> None:
    """What the misfit at the sensors is beside their noise, and which check of the data is not made anew."""
    facts = noise_facts(flow.config, trainer)
    if facts is not None and facts["misfit"] is not None:
        whose = "stated" if facts["found"] == "stated" else "what left-out sensors show"
        say(
            f"misfit at the sensors: {facts['misfit']:.2g} of their noise of {percent(facts['share'])} of the "
            f"measurements, {whose}"
        )
    for line in noise_lines(facts):
        say(f"note: {line}")
    if flow.case.reference is None or flow.config.evals.left_out:
        say("not among the checks: held_out_sensors, which takes a training of its own; see metrics.json")


def _stability(flow: FlowProblem) -> list[Check]:
    """The checks of the network itself, their places in the coordinates of the case."""
    model, case, seed = flow.model, flow.case, flow.config.seed
    low, high = np.array(list(case.bounds.values())).T
    drawn = uniform_points(low, high, STABILITY_POINTS, seed=seed, step=0, stream=EVALUATION_STREAM)
    points = torch.from_numpy(model.inputs(drawn)).to(model.frequencies)
    known = known_variation(case.velocity, case.speed, case.conditions, unit=case.scales.velocity)
    found = []
    for item in NumericalStabilityChecker(seed=seed).check_all(model, points, velocity=case.dim, known=known):
        if item.worst_at is not None:
            at = np.array(item.worst_at) * model.coordinate_scales + model.origin
            item = replace(item, worst_at=place_and_time(at, case.bounds))
        found.append(item)
    return found


def _settled(flow: FlowProblem, folder: RunFolder, step: int) -> list[Check]:
    """Whether the numbers that the training finds had come to rest at a step."""
    if not flow.equations.found():
        return []
    history = history_columns(folder.history)
    until = {name: column[history["step"] <= step] for name, column in history.items()}
    return verify(settled(flow, until), limits=flow.limits)


def _case(config: Config, folder: RunFolder, say: Callable[[str], None]) -> Case:
    """The case of the run, from its data where they are there, else from its folder."""
    given = config.data.path or (config.data.measurements and config.data.measurements.path)
    if not given or Path(given).exists():
        return load_case(config, progress=say)
    say(f"{given} is gone: sensors, places and reference are those of {folder.fields}")
    return stored_case(config, folder)


def _state(path: Path, folder: RunFolder) -> dict[str, Any]:
    """What a checkpoint holds of a trainer without a guard."""
    if path.suffix == CHECKPOINT:
        return _trained(load_checkpoint(path))
    if not folder.checkpoints.is_dir():
        raise PinnxError(f"{folder.path}: expected the folder checkpoints with one that is whole, found none")
    latest = CheckpointFolder(folder.checkpoints).latest()
    for reason in latest.refused:
        warnings.warn(f"{reason}; {latest.path.name} is used instead", stacklevel=3)
    return _trained(latest.state)


def _trained(state: dict[str, Any]) -> dict[str, Any]:
    return {name: part for name, part in state.items() if name not in ("stopwatch", "guard")}


def _not_there(found: list[Check], groups: set[str]) -> Iterator[Check]:
    """A group that was named and that the run has nothing for has failed."""
    for group in sorted(groups):
        if not any(item.name in GROUPS[group] for item in found):
            yield check(GROUPS[group][0], None, note=f"the run has no check of --{group}")
