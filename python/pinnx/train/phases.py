"""The phases of a training: which method takes the steps, from which step on, on which points, in which precision.

A phase begins at its step at the latest: earlier where the method before has nothing left to do, and where the loss
has stopped falling, if the phase says so. A method is made when its phase begins. A state holds the number of its
phase, so a resumed run is in the same one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch

from pinnx.errors import PinnxError
from pinnx.losses.weighting import LossWeights
from pinnx.train.graph import UseCudaGraph
from pinnx.train.objective import Objective
from pinnx.train.problem import Problem
from pinnx.train.step_method import Method

__all__ = ["Phase", "Phases"]


@dataclass(frozen=True)
class Phase:
    """One stretch of a training.

    Args:
        make: gives the method, when the phase begins.
        name: of the method, for the log.
        first: the step, from 0, at which it begins at the latest; the first phase begins at 0.
        dtype: of parameters and points, float32 or float64; None: as before.
        points_for: steps that are taken on one draw of the points.
    """

    make: Callable[[Objective], Method]
    name: str = ""
    first: int = 0
    dtype: torch.dtype | None = None
    points_for: int = 1


class Phases:
    """The phase at hand and its method.

    Args:
        phases: in their order, at least one; the first begins at step 0, each other one later than that before it.
        problem: what is minimised; its dtype changes with the phases.
        weights: of the columns.
        cuda_graph: as for `Objective`.

    Attributes:
        number: of the phase at hand, from 0.
        method: of the phase at hand.
        objective: what it minimises.

    Raises:
        PinnxError: no phase, or phases out of order.
    """

    def __init__(
        self, phases: Sequence[Phase], problem: Problem, weights: LossWeights, *, cuda_graph: UseCudaGraph = "auto"
    ) -> None:
        starts = [phase.first for phase in phases]
        if not phases or starts[0] != 0 or any(a >= b for a, b in pairwise(starts)):
            raise PinnxError(f"train.phases: expected the first at step 0 and each later than the last, got {starts}")
        self._phases, self._problem, self._weights, self._cuda_graph = tuple(phases), problem, weights, cuda_graph
        self._enter(0, 0)

    def advance(self, step: int) -> bool:
        """Begins the next phase where its time has come. Returns whether it has.

        Args:
            step: the one that is to be taken, from 0.
        """
        following = self._phases[self.number + 1 :]
        if not following or (step < following[0].first and not self.method.stopped):
            return False
        self._enter(self.number + 1, step)
        return True

    @property
    def dtype(self) -> torch.dtype:
        """Of parameters and points."""
        return self._problem.model.frequencies.dtype

    def cast(self, dtype: torch.dtype) -> None:
        """Has parameters, points and the state of the method in another dtype, float32 or float64, from now on."""
        self.load_state_dict({**self.state_dict(), "dtype": str(dtype)})

    def drawn(self, step: int) -> int:
        """The number of the draw of points with which a step of this phase is taken."""
        points_for = self._phases[self.number].points_for
        return self._since + (step - self._since) // points_for * points_for

    def state_dict(self) -> dict[str, Any]:
        """The phase, its first step, the dtype, and the state of its method."""
        method = self.method.state_dict()
        return {"number": self.number, "since": self._since, "dtype": str(self.dtype), "method": method}

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

    def _enter(self, number: int, step: int, dtype: torch.dtype | None = None) -> None:
        phase = self._phases[number]
        self.number, self._since = number, step
        if dtype := dtype or phase.dtype:
            self._problem.to_dtype(dtype)
        self.objective = Objective(self._problem, self._weights, cuda_graph=self._cuda_graph)
        self.method = phase.make(self.objective)
