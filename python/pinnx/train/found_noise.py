"""Measurements whose noise was not stated get one while the training runs, by the sensors that are left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pinnx.errors import PinnxError
from pinnx.losses.discrepancy import Discrepancy, usual_square
from pinnx.losses.weighting import LossWeights
from pinnx.physics.measured_values import MeasuredValues
from pinnx.train.noise_estimate import estimated_noise
from pinnx.train.phases import Phases
from pinnx.train.problem import Problem

__all__ = ["LEAST", "FoundNoise"]

# Of the root mean square of what was measured. Below it the error of the network itself is as large: the cavity after
# 500 to 1,000 steps says 0 to 0.0024 without noise, and 0.005 with 1 %.
LEAST = 0.005


class FoundNoise:
    """Estimates the noise once, and has a strategy of the weights keep it.

    Args:
        problem: with one term of measurements, whose noise is not known.
        weights: of its columns.
        strategy: whose mean square is set.
        at: step after which the noise is estimated.

    Attributes:
        share: the estimate by the root mean square of the measurements; None: none was made yet, or none could be.
    """

    def __init__(self, problem: Problem, weights: LossWeights, strategy: Discrepancy, *, at: int) -> None:
        self._problem, self._weights, self._strategy, self._at = problem, weights, strategy, at
        (self._term,) = (term for term in problem.terms if type(term) is MeasuredValues)
        self.share: float | None = None

    def adapt(self, step: int, phases: Phases) -> str:
        """After its step: estimates. Returns a sentence then, else an empty text."""
        if step != self._at:
            return ""
        try:
            with phases.kept():
                found = estimated_noise(self._problem, self._weights.values, self._at)
        except PinnxError as error:
            return f"step {step}: no estimate of the noise: {error}"
        if found is None:
            return f"step {step}: no estimate of the noise: no sensor can be left out"
        self.share = found.deviation / self._term.size
        if self.share < LEAST:
            return f"step {step}: no noise of the measurements found, by leaving each sensor out"
        self._use(self.share)
        return f"step {step}: noise of the measurements {self.share:.2g} of their size, by leaving each sensor out"

    def _use(self, share: float) -> None:
        self._term.variance = (share * self._term.size) ** 2
        self._strategy.square.fill_(self._term.variance * usual_square(int(self._term.mask.sum())))
        self._strategy.idle = False

    def state_dict(self) -> dict[str, Any]:
        """The estimate."""
        return {"share": self.share}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes what ``state_dict`` gave."""
        self.share = state["share"]
        if self.share is not None and self.share >= LEAST:
            self._use(self.share)
        else:
            self._term.variance, self._strategy.idle = None, True
            self._strategy.square.zero_()
