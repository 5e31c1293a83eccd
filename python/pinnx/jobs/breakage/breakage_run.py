"""A breakage run: what the driver of runs (`reconstruction`) asks of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from pinnx.config import Config
from pinnx.data.size_densities import SizeDensities
from pinnx.errors import PinnxError
from pinnx.evals.checks import Check
from pinnx.jobs.breakage.breakage_problem import BreakageProblem, breakage_problem
from pinnx.jobs.breakage.breakage_results import checks_at_points, judged, metrics_of, stored_sizes, write_sizes
from pinnx.jobs.judging.run_guard import POINTS, run_guard
from pinnx.jobs.trainer_setup import make_trainer
from pinnx.runs.folder import RunFolder
from pinnx.runs.history import read_rows
from pinnx.train.trainer import Trainer

__all__ = ["BreakageRun", "breakage_run", "verify_breakage"]


@dataclass(frozen=True, eq=False)
class BreakageRun:
    """A breakage problem that is ready to be trained; the members are those of `FlowRun`."""

    stated: BreakageProblem
    trainer: Trainer
    physics: Callable[[], list[Check]]

    def begin(self) -> None:
        """Nothing comes before the first step."""

    def write_given(self, folder: RunFolder) -> None:
        """Nothing is chosen before the training."""

    def judged(self, folder: RunFolder, command: str) -> dict[str, Any]:
        """Judges what was trained, and writes its sizes; the contents of metrics.json."""
        result, rows = judged(self.stated), list(read_rows(folder.history))
        write_sizes(folder.fields, stored_sizes(self.stated, result), result.yardstick.reference_name)
        return metrics_of(self.stated, self.trainer, result, command, rows)


def breakage_run(config: Config, measured: SizeDensities | None = None) -> BreakageRun:
    """A run of a configuration whose problem is of kind breakage; ``measured`` as for `breakage_problem`."""
    stated = breakage_problem(config, measured)
    physics = partial(checks_at_points, stated, POINTS)
    trainer = make_trainer(config, stated.problem, stated.weights, run_guard(config, physics))
    return BreakageRun(stated, trainer, physics)


def verify_breakage(config: Config, state: dict[str, Any], groups: set[str], say: Callable[[str], None]) -> list[Check]:
    """The checks of a run made anew, from the state of a trainer.

    Raises:
        PinnxError: a group of checks was named, which are those of flows.
    """
    if groups:
        raise PinnxError(f"verify: expected no choice of checks for a breakage run, got {', '.join(sorted(groups))}")
    stated = breakage_problem(config)
    trainer = make_trainer(config, stated.problem, stated.weights)
    trainer.load_state_dict(state)
    say(f"checking the model of step {trainer.step} at {config.evals.points} points")
    return judged(stated).checks
