"""A breakage run: what the driver of runs (`reconstruction`) asks of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from pinnx.config import Config
from pinnx.errors import PinnxError
from pinnx.evals.checks import Check, verify
from pinnx.jobs.breakage.breakage_files import stored_sizes, write_sizes
from pinnx.jobs.breakage.breakage_problem import BreakageProblem, breakage_problem
from pinnx.jobs.breakage.breakage_results import judged, limits_of, measured_at_points, metrics_of
from pinnx.jobs.run_recorder import Stopwatch
from pinnx.jobs.trackers import Tracker, make_trackers
from pinnx.jobs.trainer_setup import make_trainer
from pinnx.physics.term import Measured
from pinnx.report import write_report
from pinnx.runs.files import write_text
from pinnx.runs.folder import RunFolder
from pinnx.runs.history import read_rows
from pinnx.runs.machine import memory_now
from pinnx.train.guard import Guard
from pinnx.train.problem import Problem
from pinnx.train.trainer import Trainer

__all__ = ["BreakageRun", "breakage_guard", "breakage_run", "verify_breakage"]

WATCHED_POINTS = 1000


def breakage_guard(config: Config, run: BreakageProblem) -> Guard | None:
    """The guard of a configuration; None where it is switched off."""
    settings = config.train.guard
    if settings is None:
        return None
    first: list[float] = []

    def checks() -> list[Check]:
        first.append(max(memory_now().values()))
        measured = [
            *measured_at_points(run, WATCHED_POINTS, config.train.seed),
            Measured("memory", first[-1] / first[0]),
        ]
        return verify(measured, limits=limits_of(config))

    return Guard(checks, worse=settings.worse, returns=settings.returns)


def _watched(config: Config, run: BreakageProblem) -> list[Check]:
    """The checks of a network while it trains, at a few points."""
    return verify(measured_at_points(run, WATCHED_POINTS, config.train.seed), limits=limits_of(config))


@dataclass
class BreakageRun:
    """One run, ready to be trained: what the driver asks for."""

    config: Config
    sizes: BreakageProblem
    trainer: Trainer
    folder: RunFolder
    shown: Any
    command: str
    watch: Stopwatch
    trackers: list[Tracker]
    physics: Callable[[], list[Check]]

    @property
    def problem(self) -> Problem:
        """What is minimised."""
        return self.sizes.problem

    def write_given(self) -> None:
        """Nothing is chosen before the training."""

    def numbers(self) -> dict[str, float]:
        """What the history says beside the losses: numbers that are found, the size of a pool."""
        kinetics, pool = self.sizes.model.kinetics, self.sizes.balance.pool
        found = {name: float(getattr(kinetics, name)) for name in self.sizes.model.learned}
        return found | ({} if pool is None else {"pool_points": float(len(pool.points))})

    def finish(self) -> dict[str, Any]:
        """Checks, files and the report; the contents of metrics.json."""
        result, rows = judged(self.config, self.sizes), list(read_rows(self.folder.history))
        stored = stored_sizes(self.sizes, result)
        write_sizes(self.folder.fields, stored, result.yardstick.reference_name)
        metrics = metrics_of(self.config, self.sizes, self.trainer, result, self.command, rows)
        metrics["wall_s"] = self.watch.seconds
        write_text(self.folder.metrics, json.dumps(metrics, indent=2) + "\n")
        write_report(self.folder.path)
        return metrics


def breakage_run(config: Config, folder: RunFolder, shown: Any, command: str, watch: Stopwatch) -> BreakageRun:
    """A run of a configuration whose problem is of kind breakage.

    Args:
        config: everything that decides it.
        folder: of the run.
        shown: what the driver shows of it.
        command: what is recorded as the command.
        watch: of the job.
    """
    sizes = breakage_problem(config)
    trainer = make_trainer(config, sizes.problem, sizes.weights, breakage_guard(config, sizes))
    physics, trackers = partial(_watched, config, sizes), make_trackers(config.train.track)
    return BreakageRun(config, sizes, trainer, folder, shown, command, watch, trackers, physics)


def verify_breakage(config: Config, state: dict[str, Any], groups: set[str], say: Callable[[str], None]) -> list[Check]:
    """The checks of a run made anew, from a checkpoint.

    Args:
        config: of the run.
        state: what the checkpoint holds.
        groups: of checks of flows; a breakage run has none of them.
        say: takes a word on what is being done.

    Raises:
        PinnxError: a group was named.
    """
    if groups:
        raise PinnxError(f"verify: expected no choice of checks for a breakage run, got {', '.join(sorted(groups))}")
    sizes = breakage_problem(config)
    trainer = make_trainer(config, sizes.problem, sizes.weights)
    trainer.load_state_dict({name: part for name, part in state.items() if name not in ("stopwatch", "guard")})
    say(f"checking the model of step {trainer.step} at {config.evals.points} points")
    return judged(config, sizes).checks
