"""The part that all jobs share: the trainer of a configuration, and a training that may be interrupted."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Literal

import torch

from pinnx.config import Config
from pinnx.config.train_section import Train
from pinnx.errors import Interrupted, PinnxError
from pinnx.jobs.flows.loss_weights import loss_weights
from pinnx.jobs.flows.phases_of_training import phases_of
from pinnx.jobs.run_recorder import RunRecorder
from pinnx.losses import Discrepancy
from pinnx.physics.equations import EquationTerm
from pinnx.runs.progress import TrainingProgress
from pinnx.train.found_noise import FoundNoise
from pinnx.train.guard import Guard
from pinnx.train.hooks import Hook
from pinnx.train.interrupt import StoppedBetweenSteps, sigterm_interrupts
from pinnx.train.problem import Problem
from pinnx.train.profiling import StepProfile
from pinnx.train.ranks import ALONE, OneProcess
from pinnx.train.thread_choice import ThreadChoice
from pinnx.train.trainer import Trainer

__all__ = ["interruptible_training", "make_trainer"]

# Of the steps. What the network has not learned yet of the equations counts as noise: decaying vortices without noise,
# in 500 steps, have 0.042, 0.030 and 0.025 after a quarter, a half and three quarters.
NOISE_AT = 0.5


class _Shown(Hook):
    """Shows how far the training is."""

    def __init__(self, progress: TrainingProgress) -> None:
        self._progress = progress

    def on_step(self, step: int) -> None:
        self._progress.step(step)

    def on_note(self, text: str) -> None:
        self._progress.line(f"note: {text}")


def make_trainer(
    config: Config,
    problem: Problem,
    weights: Mapping[str, float],
    guard: Guard | None = None,
    ranks: OneProcess = ALONE,
) -> Trainer:
    """The trainer of a configuration.

    Args:
        config: the section train is used.
        problem: what is minimised.
        weights: column of the loss -> its weight.
        guard: judges the training at its checkpoints; None: nothing does.
        ranks: that train together.
    """
    settings = config.train
    numbers = any(list(term.equations.parameters()) for term in problem.terms if isinstance(term, EquationTerm))
    estimated = numbers and settings.data_loss == "squares"
    problem.use_streams(settings.streams)
    adapted = loss_weights(config, problem, weights)
    waiting = [s for s in adapted.strategies if isinstance(s, Discrepancy) and s.idle]
    at = max(1, round(NOISE_AT * settings.steps))
    return Trainer(
        problem,
        phases_of(settings),
        weights=adapted,
        steps=settings.steps,
        log_every=settings.log_every,
        checkpoint_every=settings.checkpoint_every,
        cuda_graph=settings.cuda_graph,
        precision=_precision(settings),
        retries=settings.retries,
        guard=guard,
        estimate_at=settings.estimate_at if estimated else (),
        ranks=ranks,
        noise=FoundNoise(problem, adapted, waiting[0], at=at) if waiting else None,
    )


def _precision(settings: Train) -> Mapping[int, str] | Literal["auto"]:
    """Of the products of a step, as the trainer takes it."""
    if settings.precision is None:
        return {0: "float32"}
    if settings.dtype != "float32":
        raise PinnxError(f"train.precision: expected train.dtype float32 beside it, got {settings.dtype}")
    return "auto" if settings.precision == "auto" else dict(settings.precision)


@contextmanager
def interruptible_training(
    trainer: Trainer,
    recorder: RunRecorder,
    progress: TrainingProgress,
    resume_command: str,
    threads: int | None = None,
    profiled: StepProfile | None = None,
) -> Iterator[None]:
    """Trains to the end and saves the last state; the block is what follows.

    Ctrl-C and SIGTERM save what is whole, and say how to resume.

    Args:
        trainer: what trains.
        recorder: writes the files of the run.
        progress: shows how far the training is.
        resume_command: what continues the run.
        threads: of a step on the CPU; None: the number that measured steps find the fastest.
        profiled: records some of the steps; None: none are.

    Raises:
        Interrupted: Ctrl-C or SIGTERM, in the training or in the block.
    """
    trained = False
    try:
        with sigterm_interrupts():
            with progress, _threads(trainer, threads, progress), profiled or nullcontext():
                trainer.hooks += [recorder, _Shown(progress), *([profiled] if profiled else [])]
                recorder.watchers.append(progress.row)
                trainer.run()
            trainer.save()
            trained = True
            yield
    except StoppedBetweenSteps as stop:
        trainer.save()
        done = f"{_verb(stop)} after step {trainer.step} of {trainer.steps}"
        if recorder.saved_step == trainer.step:
            message = f"{done}; saved. Continue with: {resume_command}"
        else:
            message = f"{done}; not saved. Continue from step {recorder.saved_step} with: {resume_command}"
        raise Interrupted(message, _number(stop)) from None
    except KeyboardInterrupt as stop:  # at once, maybe inside a step: what the last checkpoint holds is whole
        if trained:
            trainer.save()  # with the time spent since
        message = f"{_verb(stop)}. Continue from the last checkpoint with: {resume_command}"
        raise Interrupted(message, _number(stop)) from None


def _number(stop: KeyboardInterrupt) -> int:
    return int(stop.args[0]) if stop.args else signal.SIGINT


def _verb(stop: KeyboardInterrupt) -> str:
    return "stopped by SIGTERM" if _number(stop) == signal.SIGTERM else "interrupted"


def _any_threads(trainer: Trainer) -> bool:
    """Whether the bits of a step are the same on any number of threads; sums of torch's products are not."""
    model = trainer.problem.model
    torchs = trainer.precision.rounds or "gauss_newton" in trainer.phases.names
    return model.thread_invariant and not model.frequencies.is_cuda and not torchs and trainer.ranks.size == 1


@contextmanager
def _threads(trainer: Trainer, threads: int | None, progress: TrainingProgress) -> Iterator[None]:
    """Steps on that many threads; what follows has as many as before."""
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    elif _any_threads(trainer):
        trainer.hooks.append(ThreadChoice(before, progress.line))
    try:
        yield
    finally:
        torch.set_num_threads(before)
