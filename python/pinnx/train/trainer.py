"""The training loop: one step reads like the algorithm.

The trainer knows terms and no equation. Everything that decides a step is a part with a state (`Trainer.parts`), and a
checkpoint is their states; points are drawn by counter. So a run that was interrupted and resumed gives the same bits,
on the CPU, as one that was not.

A step reads nothing back from a CUDA device. Whether losses and gradients are finite is gathered there in a flag, which
is read every ``check_every`` steps and before anything is logged or saved. Where a step was not finite, the parts take
the state that they had at a check before, and the steps are taken again, each with a check of its own: so the step is
named, and the parameters are those of the last good one. On the CPU, where reading is free, each step is checked.
``run`` then returns to the state of a check before, and takes smaller steps from there (`last_good.py`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from numbers import Integral
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor

from pinnx.errors import PinnxError
from pinnx.kept_state import KeptState
from pinnx.losses.weighting import LossWeights, Probes
from pinnx.train.found_noise import FoundNoise
from pinnx.train.graph import UseCudaGraph
from pinnx.train.guard import Guard
from pinnx.train.held_numbers import HeldNumbers
from pinnx.train.hooks import Hook, LoggedStep
from pinnx.train.interrupt import StoppedBetweenSteps, deferred_interrupt
from pinnx.train.last_good import LastGood, NonFiniteLossError, refuse_non_finite
from pinnx.train.phases import Phase, Phases
from pinnx.train.precision_policy import PrecisionPolicy
from pinnx.train.problem import Batch, Problem
from pinnx.train.ranks import OneProcess, only_process
from pinnx.train.stateful import Stateful, copy_of, load_state, state_of
from pinnx.train.step_method import Method

__all__ = ["NonFiniteLossError", "Trainer"]

# Steps from one copy of all parts to the next: at most as many are taken again where one was not finite. On a CUDA
# device the flag is read as often.
KEEP_EVERY = 100


@dataclass
class Clock(KeptState):
    """How far a training is, and what has happened."""

    kept = ("step", "train_s", "notes")

    step: int = 0  # steps done
    train_s: float = 0.0  # time spent in steps, by earlier parts of a resumed run too
    notes: list[str] = field(default_factory=list)  # a phase that began, a return to an earlier state, an early end


class Trainer:
    """Minimises the weighted total of a problem's terms.

    Args:
        problem: what is minimised.
        phases: methods that take the steps, each from its first step on.
        weights: of each of ``problem.names``: numbers, or a part that owns the tensor.
        steps: number of steps of the whole training.
        hooks: what is called at steps, logs and checkpoints.
        log_every: steps from one log to the next; the first and the last step are logged too.
        checkpoint_every: steps from one checkpoint to the next.
        cuda_graph: "on" or "off": replay loss and gradients, clipping and updates as CUDA graphs; "auto": on a CUDA
            device.
        check_every: steps from one check of the flag to the next; 1: each step before the optimiser uses it. None: 1 on
            the CPU, 100 on a CUDA device.
        precision: step -> precision of its matrix products, or "auto"; see `PrecisionPolicy`.
        retries: how often ``run`` takes the steps before a loss that is not finite again, each time half as large.
        guard: judges the physics at each checkpoint; None: nothing does.
        estimate_at: shares of the steps after which numbers of the equations are put to their estimates, where the
            problem learns some and its loss is a sum of squares; see `HeldNumbers`.
        ranks: that train together, see `pinnx.train.distributed`; `ALONE`: this process by itself, whatever others do.
            None: the only process.
        noise: estimates that of the measurements; None: nothing does.

    Raises:
        PinnxError: steps or intervals that are no integers >= 1; weights that do not fit the columns; what is no hook;
            no ranks where torchrun started several processes.

    Attributes:
        parts: what a checkpoint holds, by name; a strategy with a state adds its own.
        numbers: of the last step: total, columns of the loss, sum of the gradient; on the device.
    """

    def __init__(
        self,
        problem: Problem,
        phases: Sequence[Phase],
        *,
        weights: Mapping[str, float] | LossWeights,
        steps: int,
        hooks: Sequence[Hook] = (),
        log_every: int = 10,
        checkpoint_every: int = 500,
        cuda_graph: UseCudaGraph = "auto",
        check_every: int | None = None,
        precision: Mapping[int, object] | Literal["auto"] = MappingProxyType({0: "float32"}),
        retries: int = 3,
        guard: Guard | None = None,
        estimate_at: Sequence[float] = (),
        ranks: OneProcess | None = None,
        noise: FoundNoise | None = None,
    ) -> None:
        _require_counts(steps=steps, log_every=log_every, checkpoint_every=checkpoint_every)
        ranks, like = only_process() if ranks is None else ranks, problem.model.frequencies
        self.problem, self.ranks = problem, ranks
        self.weights = weights if isinstance(weights, LossWeights) else LossWeights(weights, problem.names, like)
        self.phases = Phases(
            phases, problem, self.weights, steps=steps, cuda_graph=cuda_graph, ranks=ranks, report=self.note
        )
        self.precision = PrecisionPolicy(precision, problem.model)
        self.precision.report = self.note
        self.clock = Clock()
        self.noise = noise
        held = HeldNumbers(problem, self.weights, steps=steps, shares=estimate_at) if estimate_at else None
        estimates = {"held": held, "noise": noise}
        self._estimates = {name: part for name, part in estimates.items() if part is not None}
        # The phases first: parameters have the dtype of their phase before they take a state.
        self.parts: dict[str, Stateful] = {
            "phases": self.phases,
            "precision": self.precision,
            **problem.parts(),
            "weights": self.weights,
            "clock": self.clock,
            **({} if guard is None else {"guard": guard}),
            **self._estimates,
        }
        self.guard = guard
        self.steps = steps
        if other := [type(hook).__name__ for hook in hooks if not isinstance(hook, Hook)]:
            raise PinnxError(f"hooks: expected a Hook for each, got {', '.join(other)}")
        self.hooks = [hook for hook in hooks if ranks.first or not hook.writes]
        self._log_every, self._checkpoint_every = log_every, checkpoint_every
        self._logged = (0, 0.0)  # step and time of the last log
        self._check_every = check_every or (KEEP_EVERY if like.is_cuda else 1)
        self._keep_every = self._check_every if self._check_every > 1 else KEEP_EVERY
        self._finite = torch.ones((), dtype=torch.bool, device=like.device)
        self._last_good = LastGood(retries)

    @property
    def method(self) -> Method:
        """What takes the steps of the phase at hand."""
        return self.phases.method

    @property
    def step(self) -> int:
        """Steps done."""
        return self.clock.step

    @property
    def train_s(self) -> float:
        """Time spent in steps."""
        return self.clock.train_s

    def run(self) -> None:
        """Trains up to ``steps``, or until no method of its phases can do more.

        Raises:
            RankLostError: a rank does not answer.
            NonFiniteLossError: a loss or a gradient that is not finite, with smaller steps too; the state is that of
                the last good step of the first try.
            StoppedBetweenSteps: Ctrl-C or SIGTERM, after the step at hand.
            KeyboardInterrupt: a second one, at once; the state may be that of half a step.
        """
        clock, guard = self.clock, self.guard
        self.ranks.take_first(self.problem.parameters())
        if guard is not None:
            guard.begin(self)
        with deferred_interrupt() as interrupted:
            while clock.step < self.steps and not self.phases.ended(clock.step):
                started = time.perf_counter()
                try:
                    self.train_step()
                    ended = self.phases.ended(clock.step)
                    logged = clock.step % self._log_every == 0 or clock.step in (1, self.steps) or bool(ended)
                    saved = clock.step % self._checkpoint_every == 0
                    if logged or saved:
                        self.require_finite()
                except NonFiniteLossError as error:
                    self._return(error)
                    continue
                clock.train_s += time.perf_counter() - started
                for hook in self.hooks:
                    hook.on_step(clock.step)
                if logged:
                    self._log()
                if saved and guard is not None and not guard.holds(self):
                    continue
                if ended:
                    self.note(f"the training ended after step {clock.step} of {self.steps}: {ended}")
                if saved:
                    self.ranks.require_same(clock.step, state_of({**self.problem.parts(), "weights": self.weights}))
                    self.save()
                if number := self.ranks.agreed(clock.step, interrupted()):
                    self.require_finite()
                    raise StoppedBetweenSteps(number)

    def train_step(self) -> None:
        """One step: points, loss and gradients, update.

        Raises:
            NonFiniteLossError: see ``require_finite``.
        """
        due = self._last_good.state is None or self.step - self._last_good.step >= self._keep_every
        if due:
            self.require_finite()
            kept = copy_of(self.state_dict())
        batch = self._evaluate(checked=due or self._check_every == 1)
        if due:
            self._last_good.keep(kept)
        if self._check_every > 1:
            self._finite.logical_and_(torch.isfinite(self.numbers).all())
        self._update(batch)

    def require_finite(self) -> None:
        """Reads the flag: whether all losses and gradients since the last call were finite.

        Raises:
            NonFiniteLossError: one was not; the state is that of the last good step.
        """
        if self._check_every == 1 or self._last_good.state is None or bool(self._finite):
            return
        stop = self.step
        self.load_state_dict(self._last_good.state)
        self._finite.fill_(True)
        while self.step < stop:
            self._update(self._evaluate(checked=True))

    def loss(self) -> Tensor:
        """The weighted total at the points of the next step, with its graph.

        Raises:
            NonFiniteLossError: the total is NaN or infinite.
        """
        objective = self.phases.objective
        objective.take_weights()
        total, columns = self.problem.loss(self.problem.batch(self.step), objective.weights)
        numbers = torch.cat([total.detach().reshape(1), columns, total.new_zeros(1)])
        refuse_non_finite(self.step, self.problem.names, numbers)
        return total

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on, by part."""
        return state_of(self.parts)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Returns to where ``state_dict`` was taken.

        Raises:
            PinnxError: missing or unknown parts, or the state of another network or optimiser.
        """
        load_state(self.parts, state)
        self._logged = (self.step, self.train_s)

    def save(self) -> None:
        """Has the hooks save a checkpoint."""
        state = self.state_dict()
        for hook in self.hooks:
            hook.on_checkpoint(state)

    def _evaluate(self, *, checked: bool) -> Batch:
        """Loss and gradients of the step at hand, at the parameters as they are. Returns its points.

        Raises:
            NonFiniteLossError: checked, they are not finite, and in IEEE precision they are not either.
        """
        if begun := self.phases.advance(self.step):
            self.note(begun)
        self.precision.begin(self.step, self.phases)
        batch = self.phases.batch(self.step)
        self.phases.objective.take_weights()
        self.precision.trial(self.step, self.phases.objective, batch)
        self.numbers = self.method.evaluate(batch)
        checked |= self.precision.unsure
        while checked and not math.isfinite(self.numbers.abs().max()):
            if not self.precision.steps_back(self.step, self.phases.objective):
                refuse_non_finite(self.step, self.problem.names, self.numbers)
            self.numbers = self.method.evaluate(batch)
        self.precision.took(self.numbers, self.weights.configured)
        return batch

    def _update(self, batch: Batch) -> None:
        """Parameters and weights of the next step."""
        if self.method.searches:  # weights, also those of points, stay while it compares losses
            self.method.update(batch)
            self._adapt_weights(batch)
        else:
            self._adapt_weights(batch)
            self.method.update(batch)
        self.clock.step += 1
        self.problem.adapt(self.step)
        for part in self._estimates.values():
            if found := part.adapt(self.step, self.phases):
                self.note(found)

    def _adapt_weights(self, batch: Batch) -> None:
        if self.weights.adapts:
            at, like = self.problem, self.weights.values
            probes = Probes(
                lambda: at.gradient_norms(batch, self.ranks).to(like),
                lambda: at.tangent_traces(batch, self.step, self.ranks).to(like),
                partial(at.residual, batch),
                self.ranks.add,
            )
            self.weights.adapt(self.step, self.numbers[1:-1].to(like), probes)

    def _return(self, error: NonFiniteLossError) -> None:
        """Returns to the last good state, with smaller steps.

        Raises:
            NonFiniteLossError: there is none, or that was tried often enough.
        """
        again = self._last_good.next_try(self.state_dict(), error)

        def go_back() -> str:
            if again is None:
                self.load_state_dict(self._last_good.given_up()[0])
                return "stopped"
            state, factor = again
            self.go_back(state)
            self.method.shrink(factor)
            return f"steps of {factor:g} of their size"

        done = go_back() if self.guard is None else self.guard.not_finite(self, go_back)
        if again is None:
            raise self._last_good.given_up()[1]
        self.note(f"{error}; again from step {self.step}, in {done}")

    def go_back(self, state: Mapping[str, Any]) -> None:
        """Takes an earlier state; notes, incidents and the time spent stay."""
        notes, train_s = self.clock.notes, self.clock.train_s
        judged = None if self.guard is None else self.guard.state_dict()
        self.load_state_dict(state)
        self.clock.notes, self.clock.train_s = notes, train_s
        if self.guard is not None and judged is not None:
            self.guard.load_state_dict(judged)
        for hook in self.hooks:
            hook.on_return(self.step)

    def tell(self, incident: dict[str, Any], states: Mapping[str, dict[str, Any]]) -> None:
        """Gives an incident of the guard to the hooks."""
        for hook in self.hooks:
            hook.on_incident(incident, states)

    def note(self, text: str) -> None:
        """Says what has happened, to the hooks and in the state."""
        self.clock.notes.append(text)
        for hook in self.hooks:
            hook.on_note(text)

    def _log(self) -> None:
        """Reads the numbers of the last step back from the device, for the trend of the loss and the hooks."""
        total, *columns, _ = self.numbers.tolist()
        (step, train_s), method, names = self._logged, self.method.logged(), self.problem.names
        elapsed, adapts, used = self.train_s - train_s, self.weights.adapts, self.phases.objective.weights
        configured = zip(self.weights.configured.tolist(), columns, strict=True)
        logged = LoggedStep(
            step=self.step,
            time_s=self.train_s,
            lr=method["lr"],
            total=total,
            columns=dict(zip(names, columns, strict=True)),
            steps_per_s=(self.step - step) / elapsed if elapsed > 0 else 0.0,
            comparable=math.fsum(weight * column for weight, column in configured) if adapts else total,
            weights=dict(zip(names, used.tolist(), strict=True)) if adapts else {},
            easier=self.weights.easier,
            method={name: value for name, value in method.items() if name != "lr"},
        )
        self._logged = (self.step, self.train_s)
        if not logged.easier:
            self.phases.trend.add(self.step, logged.comparable)
        for hook in self.hooks:
            hook.on_log(logged)


def _require_counts(**values: object) -> None:
    for name, value in values.items():
        if not isinstance(value, Integral) or int(value) < 1:
            raise PinnxError(f"{name}: expected an integer >= 1, got {value}")
