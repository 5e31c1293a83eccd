"""The part that all jobs share: the trainer of a configuration, and a training that may be interrupted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from rich.console import Console

from pinnx.config import Config
from pinnx.errors import Interrupted
from pinnx.losses import GradNorm, LossWeights, ProgressivePhysics, ReLoBRaLo, WeightStrategy
from pinnx.physics.equations import EquationTerm
from pinnx.runs.folder import RunFolder
from pinnx.runs.history import append_row
from pinnx.runs.progress import TrainingProgress
from pinnx.train.checkpoint import save_checkpoint
from pinnx.train.hooks import Hook, LoggedStep
from pinnx.train.optimizers import cosine_schedule, make_optimizer
from pinnx.train.problem import Problem
from pinnx.train.thread_choice import ThreadChoice
from pinnx.train.trainer import StoppedBetweenSteps, Trainer

__all__ = ["Stopwatch", "interruptible_training", "make_trainer"]


# A number of the equations moves by its learning rate in a step, where it is far from its goal. At the network's rate a
# guess 50 times off does not arrive in 1200 steps: three seeds of the demo found 0.17 in place of 0.02. With ten times
# the rate they found 0.021, from guesses of a quarter of it too.
NUMBERS_FASTER = 10.0


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


Found = Callable[[], Mapping[str, float]]


class RunFiles(Hook):
    """Writes history.jsonl and checkpoint.pt of a run, and shows its progress.

    Args:
        folder: of the run.
        progress: on the terminal.
        watch: of the job.
        found: numbers that the training finds, by name, as they are now.
    """

    def __init__(self, folder: RunFolder, progress: TrainingProgress, watch: Stopwatch, found: Found) -> None:
        self._folder, self._progress, self._watch, self._found = folder, progress, watch, found

    def on_step(self, step: int) -> None:
        self._progress.step(step)

    def on_log(self, logged: LoggedStep) -> None:
        append_row(self._folder.history, {**logged.as_row(), **self._found()})
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
    weights_of_model = list(problem.model.parameters())
    numbers = problem.parameters()[len(weights_of_model) :]
    groups: list[dict[str, Any]] = [{"params": weights_of_model}]
    if numbers:
        groups.append({"params": numbers, "lr": settings.lr_nu or NUMBERS_FASTER * settings.lr})
    optimizer = make_optimizer(
        settings.optimizer,
        groups,
        lr=settings.lr,
        betas=settings.betas,
        precondition_frequency=settings.precondition_frequency,
    )
    return Trainer(
        problem,
        optimizer,
        cosine_schedule(optimizer, settings.steps, settings.final_lr),
        weights=_loss_weights(config, problem, weights),
        steps=settings.steps,
        log_every=settings.log_every,
        checkpoint_every=settings.checkpoint_every,
        cuda_graph=settings.cuda_graph,
    )


def _loss_weights(config: Config, problem: Problem, weights: Mapping[str, float]) -> LossWeights:
    """The configured weights, with the strategies that adapt them."""
    train, like = config.train, problem.model.frequencies
    found = LossWeights(weights, problem.names, like)
    strategies: list[WeightStrategy] = []
    balance = train.balance
    if balance.method == "relobralo":
        given = {"temperature": balance.temperature, "decay": balance.decay, "lookback": balance.lookback}
        strategies.append(ReLoBRaLo(found.configured, **given, seed=train.seed))
    elif balance.method == "gradnorm":
        strategies.append(GradNorm(found.configured, asymmetry=balance.asymmetry, lr=balance.lr, every=balance.every))
    if train.physics_ramp is not None:
        physics = {name for term in problem.terms if isinstance(term, EquationTerm) for name in term.names}
        ramped = [name in physics for name in problem.names]
        strategies.append(ProgressivePhysics(ramped, train.steps, train.physics_ramp, like))
    return found.adapt_by(*strategies)


@contextmanager
def interruptible_training(
    trainer: Trainer,
    folder: RunFolder,
    console: Console | None,
    watch: Stopwatch,
    found: Found,
    threads: int | None = None,
) -> Iterator[None]:
    """Trains to the end and saves the last state; the block is what follows.

    Ctrl-C saves what is whole, and says how to resume.

    Args:
        trainer: what trains.
        folder: of the run.
        console: where progress is shown; None: nowhere.
        watch: the time that checkpoints hold.
        found: the numbers that the equations have found so far.
        threads: of a step on the CPU; None: the number that measured steps find the fastest.

    Raises:
        Interrupted: Ctrl-C, in the training or in the block.
    """
    trained = False
    try:
        with TrainingProgress(trainer.steps, console) as progress:
            trainer.hooks.append(RunFiles(folder, progress, watch, found))
            with _threads(trainer, threads, progress):
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


@contextmanager
def _threads(trainer: Trainer, threads: int | None, progress: TrainingProgress) -> Iterator[None]:
    """Steps on that many threads; what follows has as many as before."""
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    elif not trainer.problem.model.frequencies.is_cuda:
        trainer.hooks.append(ThreadChoice(before, progress.line))
    try:
        yield
    finally:
        torch.set_num_threads(before)
