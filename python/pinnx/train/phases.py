"""The phases of a training: which method takes the steps, from which step on, on which points, in which precision.

A phase begins at its step at the latest: earlier where the method before has nothing left to do, and where the loss
has stopped falling, if the phase says so. A method is made when its phase begins. A state holds the number of its
phase, so a resumed run is in the same one, and the points at hand, where they are kept for several steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from pinnx.errors import PinnxError
from pinnx.losses.weighting import LossWeights
from pinnx.train.graph import UseCudaGraph
from pinnx.train.objective import Objective
from pinnx.train.problem import Batch, Problem
from pinnx.train.ranks import ALONE, OneProcess
from pinnx.train.step_method import Method
from pinnx.train.trend import Trend

__all__ = ["Phase", "Phases"]


@dataclass(frozen=True)
class Phase:
    """One stretch of a training.

    Args:
        make: gives the method when the phase begins, from the objective and the steps that are left to the phase.
        name: of the method, for the log.
        first: the step, from 0, at which it begins at the latest; the first phase begins at 0.
        dtype: of parameters and points, float32 or float64; None: as before.
        points_for: steps that are taken on one draw of the points; fewer where the method can do no more on them.
        patience: it begins earlier where the loss has stopped falling for so many steps; None: it does not.
    """

    make: Callable[[Objective, int], Method]
    name: str = ""
    first: int = 0
    dtype: torch.dtype | None = None
    points_for: int = 1
    patience: int | None = None


class Phases:
    """The phase at hand, its method and its points.

    Args:
        phases: in their order, at least one; the first begins at step 0, each other one later than that before it.
        problem: what is minimised; its dtype changes with the phases.
        weights: of the columns.
        steps: of the whole training.
        cuda_graph: as for `Objective`.
        ranks: as for `Objective`.
        report: as for `Objective`.

    Attributes:
        number: of the phase at hand, from 0.
        method: of the phase at hand.
        objective: what it minimises.
        trend: of the loss in this phase.

    Raises:
        PinnxError: what is no phase; no phase, phases out of order, or one that would begin behind the last step.
    """

    def __init__(
        self,
        phases: Sequence[Phase],
        problem: Problem,
        weights: LossWeights,
        *,
        steps: int,
        cuda_graph: UseCudaGraph = "auto",
        ranks: OneProcess = ALONE,
        report: Callable[[str], None] = lambda text: None,
    ) -> None:
        if other := [type(phase).__name__ for phase in phases if not isinstance(phase, Phase)]:
            raise PinnxError(f"phases: expected a Phase for each, got {', '.join(other)}")
        starts = [phase.first for phase in phases]
        if not phases or starts[0] != 0 or any(a >= b for a, b in pairwise(starts)):
            raise PinnxError(f"train.phases: expected the first at step 0 and each later than the last, got {starts}")
        if starts[-1] >= steps:
            raise PinnxError(f"train.phases: expected each to begin before the end, step {steps}, got {starts}")
        self._phases, self._ends = tuple(phases), [*starts[1:], steps]
        self._problem, self._weights, self._ranks = problem, weights, ranks
        self._make_objective = partial(Objective, problem, weights, cuda_graph=cuda_graph, ranks=ranks, report=report)
        if ranks.size > 1 and any(phase.points_for > 1 for phase in phases):
            _refuse_pools(problem, ranks.size)
        self._enter(0, 0)

    def advance(self, step: int) -> str:
        """Begins the next phase where its time has come, and draws new points where the method stopped on the old.

        Args:
            step: the one that is to be taken, from 0.

        Returns:
            A sentence where a phase has begun, else an empty text.
        """
        spent, following = self._spent(step), self._phases[self.number + 1 :]
        if following and (step >= following[0].first or spent or self.trend.stalled):
            stalled = f"the loss did not fall in {self.trend.patience} steps" if self.trend.stalled else ""
            why = spent or stalled
            self._enter(self.number + 1, step)
            return f"{following[0].name} from step {step + 1} on" + (f": {why}" if why else "")
        if self.method.stopped and not spent:
            self._drawn_from = step
        return ""

    def ended(self, step: int) -> str:
        """Why no step is left to take; an empty text where one is."""
        return self._spent(step) if self.number + 1 == len(self._phases) else ""

    @property
    def names(self) -> list[str]:
        """Of the methods of all phases."""
        return [phase.name for phase in self._phases]

    @property
    def dtype(self) -> torch.dtype:
        """Of parameters and points."""
        return self._problem.model.frequencies.dtype

    def cast(self, dtype: torch.dtype) -> None:
        """Has parameters, points and the state of the method in another dtype, float32 or float64, from now on."""
        self.load_state_dict({**self.state_dict(), "dtype": str(dtype)})

    @contextmanager
    def kept(self) -> Iterator[None]:
        """After the block the phase is as before it; a problem that was cast in between has lost its CUDA graphs."""
        state = self.state_dict()
        try:
            yield
        finally:
            self.load_state_dict(state)

    def drawn(self, step: int) -> int:
        """The number of the draw of points with which a step of this phase is taken: the first step that takes them."""
        points_for = self._phases[self.number].points_for
        return self._drawn_from + (step - self._drawn_from) // points_for * points_for

    def batch(self, step: int) -> Batch:
        """The points with which a step of this phase is taken."""
        drawn = self.drawn(step)
        if self._batch is None or self._batch_of != drawn:
            self._batch, self._batch_of = self._problem.batch(drawn, self._ranks.share), drawn
            if self._restored is not None and self._restored[0] == drawn:
                self._batch.flat.copy_(self._restored[1])
        return self._batch

    def state_dict(self) -> dict[str, Any]:
        """The phase, its first step and dtype, its method, the trend of the loss, and points that are kept."""
        # Those of a rank are drawn again: another number of ranks has other shares.
        kept = self._batch is not None and self._phases[self.number].points_for > 1 and self._ranks.size == 1
        return {
            "number": self.number,
            "since": self._since,
            "dtype": str(self.dtype),
            "method": self.method.state_dict(),
            "trend": self.trend.state_dict(),
            "drawn_from": self._drawn_from,
            "points": (self._batch_of, self._batch.flat) if kept else self._restored,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes what ``state_dict`` gave; parameters have that dtype then.

        Raises:
            ValueError: a phase or a dtype that is not there.
        """
        dtypes = {str(dtype): dtype for dtype in (torch.float32, torch.float64)}
        if state["dtype"] not in dtypes:
            raise ValueError(f"phase: expected one of {', '.join(dtypes)}, got {state['dtype']}")
        number = int(state["number"])
        if not 0 <= number < len(self._phases):
            raise ValueError(f"phase: expected one of {len(self._phases)}, got number {number + 1}")
        self._enter(number, int(state["since"]), dtypes[state["dtype"]])
        self.method.load_state_dict(state["method"])
        self.trend.load_state_dict(state["trend"])
        self._drawn_from = int(state["drawn_from"])
        self._restored = state["points"] if self._ranks.size == 1 else None

    def _enter(self, number: int, step: int, dtype: torch.dtype | None = None) -> None:
        phase = self._phases[number]
        self.number, self._since, self._drawn_from = number, step, step
        self._batch: Batch | None = None
        self._batch_of = step
        self._restored: tuple[int, Tensor] | None = None
        following = self._phases[number + 1 :]
        self.trend = Trend(following[0].patience if following else None)
        # Also where it stays: numbers of equations may have been made in another dtype than the model.
        self._problem.to_dtype(dtype or phase.dtype or self.dtype)
        self.objective = self._make_objective()
        self.method = phase.make(self.objective, self._ends[number] - step)
        if not hasattr(self.method, "evaluate"):
            got = type(self.method).__name__
            raise PinnxError(f"phase {number + 1}: expected a method from make, such as FirstOrder, got {got}")

    def _spent(self, step: int) -> str:
        """Why the method can do no more: it stopped at the first step on its points, so new ones do not help it."""
        return self.method.stopped if self.drawn(step - 1) == step - 1 else ""


def _refuse_pools(problem: Problem, size: int) -> None:
    """Points that are kept for several steps can only be drawn again where no pool has changed since."""
    if any(getattr(term, "pool", None) is not None for term in problem.terms):
        raise PinnxError(
            "train.points.refine: expected one process, or points that are drawn anew in each step, beside a phase "
            f"that keeps its points, got {size} ranks; leave refine out, or start without torchrun"
        )
