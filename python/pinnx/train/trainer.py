"""The training loop: one step reads like the algorithm.

Everything that decides a step is in the checkpoint (parameters, optimiser, schedule, step number); points are drawn by
counter. So a run that was interrupted and resumed gives the same bits, on the CPU, as one that was not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pinnx.errors import PinnxError
from pinnx.train.graph import StepGraph, UseCudaGraph, use_cuda_graph
from pinnx.train.interrupt import deferred_interrupt
from pinnx.train.problem import Batch, Problem

__all__ = ["LoggedStep", "NonFiniteLossError", "StoppedBetweenSteps", "Trainer"]


class NonFiniteLossError(PinnxError):
    """The loss is NaN or infinite; the parameters are those of the last good step."""


class StoppedBetweenSteps(KeyboardInterrupt):
    """Ctrl-C, taken up after a whole step: ``state_dict()`` is one that the run had, and may be saved."""


@dataclass(frozen=True)
class LoggedStep:
    """What one logged step says of itself."""

    step: int  # steps done, this one included
    time_s: float  # training time, earlier parts of a resumed run included
    lr: float  # with which it was taken
    total: float
    terms: dict[str, float]
    steps_per_s: float  # since the last logged step

    def as_row(self) -> dict[str, float]:
        """The line of history.jsonl."""
        return {
            "step": self.step,
            "time_s": self.time_s,
            "lr": self.lr,
            "loss/total": self.total,
            **{f"loss/{name}": value for name, value in self.terms.items()},
            "steps_per_s": self.steps_per_s,
        }


class Trainer:
    """Minimises the weighted total of a problem's terms.

    Args:
        problem: what is minimised.
        optimizer: over the parameters of the problem's network and equations.
        schedule: of the optimiser's lr; stepped once a step.
        weights: term name -> weight; one for each term.
        steps: number of steps in all.
        log_every: steps from one logged step to the next; the first and the last are always logged.
        on_log: called with each logged step.
        on_step: called with the number of steps done.
        checkpoint_every: steps from one call of ``on_checkpoint`` to the next.
        on_checkpoint: called with ``state_dict()``.
        cuda_graph: "on" or "off": replay loss and gradients as a CUDA graph; "auto": on a CUDA device.
    """

    def __init__(
        self,
        problem: Problem,
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
        *,
        weights: Mapping[str, float],
        steps: int,
        log_every: int = 10,
        on_log: Callable[[LoggedStep], None] = lambda logged: None,
        on_step: Callable[[int], None] = lambda step: None,
        checkpoint_every: int = 500,
        on_checkpoint: Callable[[dict[str, Any]], None] = lambda state: None,
        cuda_graph: UseCudaGraph = "auto",
    ) -> None:
        missing = [name for name in problem.term_names if name not in weights]
        if missing:
            raise PinnxError(f"train.weights: expected one for each of {problem.term_names}, got none for {missing}")
        self.problem = problem
        self.optimizer = optimizer
        self.schedule = schedule
        # A tensor on the device: a CUDA graph reads it where it is.
        self.weights = problem.network.frequencies.new_tensor([weights[name] for name in problem.term_names])
        self.steps = steps
        self.step = 0
        self.train_s = 0.0
        self.lr = schedule.get_last_lr()[0]  # of the last step
        self._log_every = log_every
        self.on_log = on_log
        self.on_step = on_step
        self._checkpoint_every = checkpoint_every
        self._on_checkpoint = on_checkpoint
        self._last_log = (0, 0.0)
        self._graph = None
        if use_cuda_graph(cuda_graph, problem.network.frequencies.device):
            self._graph = StepGraph(self._loss_at, (p for group in optimizer.param_groups for p in group["params"]))

    def run(self) -> None:
        """Trains up to ``steps``.

        Raises:
            NonFiniteLossError: before the optimiser has used a loss that is not finite.
            StoppedBetweenSteps: Ctrl-C, after the step at hand.
            KeyboardInterrupt: a second Ctrl-C, at once; the state may be that of half a step.
        """
        with deferred_interrupt() as interrupted:
            while self.step < self.steps:
                started = time.perf_counter()
                total, terms = self.train_step()
                self.train_s += time.perf_counter() - started
                self.on_step(self.step)
                if self.step % self._log_every == 0 or self.step in (1, self.steps):
                    self._log(total, terms)
                if self.step % self._checkpoint_every == 0:
                    self._on_checkpoint(self.state_dict())
                if interrupted():
                    raise StoppedBetweenSteps

    def train_step(self) -> tuple[Tensor, dict[str, Tensor]]:
        """One step: fresh points, terms, gradients, optimiser."""
        if self._graph is None:
            total, terms = self.loss()
            self.optimizer.zero_grad(set_to_none=True)
            total.backward()
        else:
            total, terms = self._graph(self.problem.batch(self.step))
            self._require_finite(total, terms)
        self.lr = self.schedule.get_last_lr()[0]
        self.optimizer.step()
        self.schedule.step()
        self.step += 1
        return total.detach(), {name: value.detach() for name, value in terms.items()}

    def loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted total and its terms, at the points of the next step.

        Raises:
            NonFiniteLossError: the total is NaN or infinite.
        """
        total, terms = self._loss_at(self.problem.batch(self.step))
        self._require_finite(total, terms)
        return total, terms

    def _loss_at(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        total, terms = self.problem.loss(batch, self.weights)
        return total, dict(zip(self.problem.term_names, terms.unbind(), strict=True))

    def _require_finite(self, total: Tensor, terms: Mapping[str, Tensor]) -> None:
        if not torch.isfinite(total):
            shown = ", ".join(f"{name} {value.item():g}" for name, value in terms.items())
            advice = "; try a smaller train.lr in a new --out, resuming repeats it" if self.step else ""
            raise NonFiniteLossError(
                f"step {self.step + 1}: expected a finite loss, got {total.item():g} ({shown}){advice}"
            )

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        return {
            "step": self.step,
            "train_s": self.train_s,
            "network": self.problem.network.state_dict(),
            "equations": self.problem.equations.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes back to where ``state_dict`` was taken.

        Raises:
            PinnxError: a state of another network or optimiser.
        """
        try:
            self.problem.network.load_state_dict(state["network"])
            self.problem.equations.load_state_dict(state["equations"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.schedule.load_state_dict(state["schedule"])
            self.step = int(state["step"])
            self.train_s = float(state["train_s"])
        except (KeyError, TypeError, AttributeError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise PinnxError(f"checkpoint: expected one of this configuration, got another: {reason}") from error
        self._last_log = (self.step, self.train_s)

    def _log(self, total: Tensor, terms: Mapping[str, Tensor]) -> None:
        last_step, last_s = self._last_log
        elapsed = self.train_s - last_s
        self.on_log(
            LoggedStep(
                step=self.step,
                time_s=self.train_s,
                lr=self.lr,
                total=total.item(),
                terms={name: value.item() for name, value in terms.items()},
                steps_per_s=(self.step - last_step) / elapsed if elapsed > 0 else 0.0,
            )
        )
        self._last_log = (self.step, self.train_s)
