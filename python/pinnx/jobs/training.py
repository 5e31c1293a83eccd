"""The part that all jobs share: the trainer of a configuration, and a training that may be interrupted."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console

from pinnx.config import Config
from pinnx.errors import Interrupted
from pinnx.runs.folder import RunFolder
from pinnx.runs.history import append_row
from pinnx.runs.progress import TrainingProgress
from pinnx.train.checkpoint import save_checkpoint
from pinnx.train.hooks import Hook, LoggedStep
from pinnx.train.optimizers import cosine_schedule, make_optimizer
from pinnx.train.problem import Problem
from pinnx.train.trainer import StoppedBetweenSteps, Trainer

__all__ = ["Stopwatch", "interruptible_training", "make_trainer"]


class Stopwatch:
    """Time since the job began, earlier parts of a resumed run included.

    It stands in the checkpoint beside the parts of the trainer, which go back to an earlier step where one was not
    finite; time does not.
    """

    def __init__(self) -> None:
        self._started, self._earlier = time.perf_counter(), 0.0

    @property
    def seconds(self) -> float:
        """All parts together."""
        return self._earlier + time.perf_counter() - self._started

    def state_dict(self) -> dict[str, Any]:
        """The time so far."""
        return {"wall_s": self.seconds}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Adds the time of earlier parts."""
        self._earlier = float(state["wall_s"])


class RunFiles(Hook):
    """Writes history.jsonl and checkpoint.pt of a run, and shows its progress."""

    def __init__(self, folder: RunFolder, progress: TrainingProgress, watch: Stopwatch) -> None:
        self._folder, self._progress, self._watch = folder, progress, watch

    def on_step(self, step: int) -> None:
        self._progress.step(step)

    def on_log(self, logged: LoggedStep) -> None:
        append_row(self._folder.history, logged.as_row())
        self._progress.losses(logged.step, logged.total, logged.columns, logged.steps_per_s)

    def on_checkpoint(self, state: dict[str, Any]) -> None:
        save_checkpoint(self._folder.checkpoint, {**state, "stopwatch": self._watch.state_dict()})


def make_trainer(config: Config, problem: Problem, weights: Mapping[str, float]) -> Trainer:
    """The trainer of a configuration.

    Args:
        config: the section train is used.
        problem: what is minimised.
        weights: column of the loss -> its weight.
    """
    settings = config.train
    optimizer = make_optimizer(
        settings.optimizer,
        problem.parameters(),
        lr=settings.lr,
        betas=settings.betas,
        precondition_frequency=settings.precondition_frequency,
    )
    return Trainer(
        problem,
        optimizer,
        cosine_schedule(optimizer, settings.steps, settings.final_lr),
        weights=weights,
        steps=settings.steps,
        log_every=settings.log_every,
        checkpoint_every=settings.checkpoint_every,
        cuda_graph=settings.cuda_graph,
    )


@contextmanager
def interruptible_training(
    trainer: Trainer, folder: RunFolder, console: Console | None, watch: Stopwatch
) -> Iterator[None]:
    """Trains to the end and saves the last state; the block is what follows.

    Ctrl-C saves what is whole, and says how to resume.

    Raises:
        Interrupted: Ctrl-C, in the training or in the block.
    """
    trained = False
    try:
        with TrainingProgress(trainer.steps, console) as progress:
            trainer.hooks.append(RunFiles(folder, progress, watch))
            trainer.run()
        trainer.save()
        trained = True
        yield
    except StoppedBetweenSteps:
        trainer.save()
        done = f"interrupted after step {trainer.step} of {trainer.steps}; saved"
        raise Interrupted(f"{done}. Continue with: {folder.resume_command}") from None
    except KeyboardInterrupt:  # at once, maybe inside a step: what the last checkpoint holds is whole
        if trained:
            trainer.save()  # with the time spent since
        raise Interrupted(f"interrupted. Continue from the last checkpoint with: {folder.resume_command}") from None
