"""A training that may be interrupted, as all jobs share it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch

from pinnx.errors import Interrupted
from pinnx.jobs.run_recorder import RunRecorder
from pinnx.runs.progress import TrainingProgress
from pinnx.train.hooks import Hook
from pinnx.train.interrupt import StoppedBetweenSteps, sigterm_interrupts
from pinnx.train.profiling import StepProfile
from pinnx.train.thread_choice import ThreadChoice
from pinnx.train.trainer import Trainer

__all__ = ["interruptible_training"]


class _Shown(Hook):
    """Shows how far the training is."""

    def __init__(self, progress: TrainingProgress) -> None:
        self._progress = progress

    def on_step(self, step: int) -> None:
        self._progress.step(step)

    def on_note(self, text: str) -> None:
        self._progress.line(f"note: {text}")


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

    Ctrl-C and SIGTERM save what is whole, and say how to resume. ``threads`` are those of a step on the CPU; None: the
    number that measured steps find the fastest.

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
