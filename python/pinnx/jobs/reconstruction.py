"""The job from end to end: data, sensors, training, checks, files, report.

Everything that can be wrong with the input is found before the folder of the run is made.
"""

from __future__ import annotations

import json
import os
import warnings
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console

from pinnx.config import Config, dump_config, load_config
from pinnx.config.breakage_section import Breakage
from pinnx.config.loading import with_absolute_paths
from pinnx.errors import PinnxError
from pinnx.jobs.flows.flow_run import FlowRun, flow_run
from pinnx.jobs.run_on_ranks import begun_before, ended_before, follow
from pinnx.jobs.run_recorder import RunRecorder, Stopwatch
from pinnx.jobs.trackers import Tracker, make_trackers, tracked
from pinnx.jobs.training import interruptible_training
from pinnx.report import write_report
from pinnx.runs.files import write_text
from pinnx.runs.folder import RunFolder
from pinnx.runs.history import read_rows, rewind
from pinnx.runs.live_view import LiveView
from pinnx.runs.progress import TrainingProgress, line_by_line
from pinnx.train.checkpoint import FORMAT
from pinnx.train.checkpoint_folder import CheckpointFolder
from pinnx.train.joined_ranks import joined_ranks
from pinnx.train.profiling import StepProfile
from pinnx.train.ranks import OneProcess
from pinnx.train.stateful import load_state
from pinnx.train.trainer import Trainer

if TYPE_CHECKING:
    from pinnx.jobs.breakage.breakage_run import BreakageRun

__all__ = ["reconstruct", "resume"]


@dataclass(frozen=True)
class _Shown:
    """What is shown of a run while it trains, and where."""

    console: Console | None
    live: bool
    profile: bool

    def __post_init__(self) -> None:
        if self.live and (self.console is None or not self.console.is_terminal):
            raise PinnxError("--live: expected a terminal, got a file or a pipe; leave --live out")


@dataclass(frozen=True)
class _Run:
    """One run, ready to be trained: what its kind of problem makes of it, and where it goes."""

    of: FlowRun | BreakageRun
    config: Config
    folder: RunFolder
    shown: _Shown
    command: str
    watch: Stopwatch
    trackers: list[Tracker]

    @property
    def trainer(self) -> Trainer:
        """What trains."""
        return self.of.trainer

    def recorder(self, checkpoints: CheckpointFolder) -> RunRecorder:
        """What writes its history and its checkpoints."""
        looks = (self.of.stated.numbers, self.of.physics)
        return RunRecorder(self.folder, checkpoints, self.watch, *looks, self.config, self.trainer.note)

    def finish(self) -> dict[str, Any]:
        """Checks, files and the report; the contents of metrics.json."""
        metrics = self.of.judged(self.folder, self.command)
        metrics["wall_s"] = self.watch.seconds
        write_text(self.folder.metrics, json.dumps(metrics, indent=2) + "\n")
        write_report(self.folder.path)
        return metrics


def reconstruct(
    config: Config,
    out: str | Path,
    *,
    console: Console | None = None,
    live: bool = False,
    profile: bool = False,
    command: str = "pinnx.reconstruct",
) -> dict[str, Any]:
    """Trains the network of a configuration, a flow's or another problem's, and writes the folder of the run.

    Args:
        config: everything that decides the run.
        out: the folder, which must not hold a run yet.
        console: where progress is shown; None: nowhere.
        live: show curves of the losses and the checks on the console, which is a terminal.
        profile: record a few steps, and write profile.txt and profile.json.
        command: what is recorded as the command.

    Returns:
        The contents of metrics.json.

    Raises:
        PinnxError: bad input; nothing has been written then.
        Interrupted: Ctrl-C or SIGTERM, after the folder was made; ``resume`` continues the run.
    """
    watch, ranks = Stopwatch(), joined_ranks()
    shown = _Shown(console if ranks.first else None, live, profile and ranks.first)
    config = with_absolute_paths(config)
    folder = RunFolder(out)
    if ranks.from_first(lambda: begun_before(config, folder)):
        ended = ranks.from_first(lambda: ended_before(folder))
        ranks.leave()
        return ended or resume(out, console=console, live=live, profile=profile, command=command)
    with ranks.together():
        if ranks.first:
            folder.require_free()
        run = _prepare(config, folder, shown, command, watch, ranks)
        run.of.begin()
        # Numbers that overflow, and checks that would find nothing to check, are bad input too.
        with torch.no_grad():
            run.trainer.loss()
        for term in run.trainer.problem.checked:
            term.measure(run.trainer.problem.model, num_points=1, seed=config.train.seed)
    if not ranks.first:
        return follow(run.trainer, ranks)
    folder.create()
    with folder.locked():
        recorder = run.recorder(CheckpointFolder(folder.checkpoints, config.train.keep_checkpoints))
        with folder.writing("free some space or choose another --out"):
            # From the configuration on it is a run that can be resumed, so there is a checkpoint before.
            recorder.save(run.trainer.state_dict())
            run.of.write_given(folder)
            write_text(folder.config, dump_config(config))
        return _train_and_finish(run, recorder)


def resume(
    out: str | Path,
    *,
    step: int | None = None,
    console: Console | None = None,
    live: bool = False,
    profile: bool = False,
    command: str = "pinnx.resume",
) -> dict[str, Any]:
    """Continues a run that was interrupted, to the same result, bitwise on the CPU.

    From the newest checkpoint that is whole; a warning says why a newer one is not used. From an earlier ``step`` the
    checkpoints and the rows of the history after it are removed.

    Args:
        out: the folder of the run.
        step: of the checkpoint to continue from; None: the newest.
        console: where progress is shown; None: nowhere.
        live: as for ``reconstruct``.
        profile: as for ``reconstruct``.
        command: what is recorded as the command.

    Raises:
        PinnxError: no run that could be resumed: no configuration, no whole checkpoint, none of ``step``, a finished
            run, or one that another process writes.
        Interrupted: Ctrl-C or SIGTERM.
    """
    watch, ranks = Stopwatch(), joined_ranks()
    shown = _Shown(console if ranks.first else None, live, profile and ranks.first)
    folder = RunFolder(out)
    ranks.from_first(lambda: _require_interrupted(folder))
    with folder.locked() if ranks.first else nullcontext():
        checkpoints, config, state = ranks.from_first(lambda: _interrupted(folder, step, shown.console))
        with ranks.together():
            run = _prepare(config, folder, shown, command, watch, ranks)
            earlier = {"stopwatch": state.pop("stopwatch")} if "stopwatch" in state else {}
            run.trainer.load_state_dict(state)
            load_state({"stopwatch": run.watch}, earlier)
        if not ranks.first:
            return follow(run.trainer, ranks)
        recorder = run.recorder(checkpoints)
        recorder.saved_step = run.trainer.step
        with folder.writing(f"free some space, then continue with: {folder.resume_command}"):
            if removed := checkpoints.remove_after(run.trainer.step) if step is not None else []:
                line_by_line(console)(f"removed the checkpoints of later steps: {', '.join(map(str, removed))}")
            rewind(folder.history, run.trainer.step)
            run.of.write_given(folder)
        return _train_and_finish(run, recorder)


def _require_interrupted(folder: RunFolder) -> None:
    if not os.path.isfile(folder.config):
        raise PinnxError(f"{folder.path}: expected the folder of an interrupted run, found no config.yaml in it")
    if os.path.exists(folder.report):
        raise PinnxError(f"{folder.path}: expected an interrupted run, got one that has ended")
    if not folder.checkpoints.is_dir():
        found = "checkpoint.pt of format 3 or older" if (folder.path / "checkpoint.pt").exists() else "none"
        wanted = f"{folder.path}: expected the folder checkpoints with files of format {FORMAT}, found {found}"
        raise PinnxError(f"{wanted}; train again with: {folder.restart_command}")


def _interrupted(
    folder: RunFolder, step: int | None, console: Console | None
) -> tuple[CheckpointFolder, Config, dict[str, Any]]:
    """The checkpoints, the configuration and the state of an interrupted run."""
    config = load_config(str(folder.config), [])
    checkpoints = CheckpointFolder(folder.checkpoints, config.train.keep_checkpoints)
    try:
        path, state, refused = checkpoints.latest() if step is None else checkpoints.of_step(step)
    except PinnxError as error:
        if step is not None:
            raise
        raise PinnxError(f"{error}; train again with: {folder.restart_command}") from None
    for reason in refused:
        warnings.warn(f"{reason}; {path.name} is used instead", stacklevel=2)
    line_by_line(console)(f"continuing from {path}")
    return checkpoints, config, state


def _prepare(
    config: Config, folder: RunFolder, shown: _Shown, command: str, watch: Stopwatch, ranks: OneProcess
) -> _Run:
    of: FlowRun | BreakageRun
    if isinstance(config.problem, Breakage):
        from pinnx.jobs.breakage.breakage_run import (
            breakage_run,  # its solvers load parts of SciPy that flows do not need
        )

        if ranks.size > 1:  # one process does it in minutes
            raise PinnxError(f"pinnx breakage: expected one process, got {ranks.size} ranks; start it without torchrun")
        of = breakage_run(config)
    else:
        of = flow_run(config, shown.console, ranks)
    trackers = make_trackers(config.train.track) if ranks.first else []
    return _Run(of, config, folder, shown, command, watch, trackers)


def _train_and_finish(run: _Run, recorder: RunRecorder) -> dict[str, Any]:
    command, trackers, (progress, profiled) = run.folder.resume_command, run.trackers, _watching(run)
    recorder.watchers += [tracker.row for tracker in trackers]
    with (
        run.folder.writing(f"free some space, then continue with: {command}"),
        tracked(trackers, run.folder, run.config, run.trainer.step),
        interruptible_training(run.trainer, recorder, progress, command, run.config.train.threads, profiled),
    ):
        metrics = run.trainer.ranks.from_first(run.finish)
        run.trainer.ranks.leave()
        for tracker in trackers:
            tracker.finish(metrics)
        return metrics


def _watching(run: _Run) -> tuple[TrainingProgress, StepProfile | None]:
    """What shows the progress, and what records a few steps, where that is wanted."""
    shown, folder, trainer = run.shown, run.folder, run.trainer
    progress = TrainingProgress(trainer.steps, shown.console)
    if shown.live:
        progress = LiveView(trainer.steps, shown.console, run.of.physics, read_rows(folder.history, interrupted=True))
    steps: dict[str, Any] = {"first": trainer.step, "last": trainer.steps, "report": progress.line}
    return progress, StepProfile(folder.trace, folder.profile, **steps) if shown.profile else None
