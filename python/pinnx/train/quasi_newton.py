"""Steps along H times the gradient, H an approximation of the inverse Hessian (curvature.py), by a line search.

    x <- x - alpha H g,    alpha by the strong Wolfe conditions (Nocedal and Wright, algorithms 3.5, 3.6; SciPy's)

A step takes one evaluation of loss and gradient, or a few, all at the same points. Where points change, H stays and the
pairs (s, y) are still of one set of points each. Where no step lowers the loss, H is cleared and the gradient itself is
tried; where that does not help either, the method has stopped, and says why.

It compares losses, so it reads numbers back from the device, and needs float64: in float32 the loss is known to seven
digits, and the search ends long before the minimum.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from scipy.optimize import line_search
from torch import Tensor

from pinnx.kept_state import KeptState
from pinnx.threads import on_one_thread
from pinnx.train.curvature import Curvature
from pinnx.train.flat_tensors import flat, place
from pinnx.train.objective import Objective
from pinnx.train.problem import Batch

__all__ = ["QuasiNewton"]

# Sufficient decrease and curvature: those of Nocedal and Wright for quasi-Newton directions.
DECREASE, CURVATURE = 1e-4, 0.9
# Of s . y: one over it is still a number.
SMALLEST = 1e-300


class _Point(NamedTuple):
    """One evaluation: numbers [c + 2] of `Objective.gradients`, total and gradient [n]."""

    numbers: Tensor
    total: float
    gradient: Tensor


class QuasiNewton(KeptState):
    """L-BFGS or self-scaled Broyden, by the curvature that it is given.

    Args:
        objective: loss and gradients.
        curvature: of as many unknowns as the objective has.
    """

    searches: ClassVar[bool] = True
    kept = ("_curvature", "_scale", "stopped")

    def __init__(self, objective: Objective, curvature: Curvature) -> None:
        self.stopped = ""
        self._objective, self._curvature = objective, curvature
        self._scale = 1.0  # of all steps: smaller behind a loss that was not finite
        self._lr, self._evaluations = 0.0, 0
        self._batch: Batch | None = None  # at which _here was evaluated
        self._here: _Point | None = None

    def evaluate(self, batch: Batch) -> Tensor:
        if batch is not self._batch:
            self._here, self._batch, self.stopped = None, batch, ""
        if self._here is None or not self._objective.constant:
            self._here = self._evaluated(batch)
        return self._here.numbers

    def update(self, batch: Batch) -> None:
        assert self._here is not None, "evaluate comes first"
        here, start = self._here, flat(self._objective.parameters)
        self._evaluations = 0  # of the search: the first one of a resumed run is made again, and is not of the step
        if not float(here.gradient.abs().max()) > 0:
            self.stopped = "the gradient is zero"
            return
        while not self._moved(batch, here, start):
            place(start, self._objective.parameters)
            if self._curvature.empty:
                self._here, self._lr = here, 0.0
                self.stopped = f"no step lowers the loss of {here.total:.6g}, in this precision"
                return
            self._curvature.clear()

    def shrink(self, factor: float) -> None:
        self._curvature.clear()
        self._scale *= factor
        self._here = None

    def logged(self) -> dict[str, float]:
        return {"lr": self._lr, "evaluations": float(self._evaluations)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self._here = None

    def _moved(self, batch: Batch, here: _Point, start: Tensor) -> bool:
        """Whether a step lowered the loss; the parameters and ``_here`` are behind it then, and H has the pair."""
        length = self._scale
        with on_one_thread():  # sums of a vector then do not depend on how many threads there are
            if self._curvature.empty:  # the gradient has no scale of its own
                length *= min(1.0, 1.0 / float(here.gradient.abs().sum()))
            direction = self._curvature.times(here.gradient).mul_(-length)
        slope = _dot(direction, here.gradient)
        found = self._search(batch, here, start, direction, slope) if slope < 0 else None
        if found is None:
            return False
        alpha, there = found
        step, change = alpha * direction, there.gradient - here.gradient
        rounding = torch.finfo(step.dtype).eps * math.sqrt(_dot(step, step) * _dot(change, change))
        if _dot(step, change) > max(rounding, SMALLEST):
            with on_one_thread():  # s = -alpha length H g, so s . H^-1 s = -alpha length (s . g)
                self._curvature.add(step, change, -alpha * length * alpha * slope)
        self._lr, self._here = alpha * length, there
        return True

    def _search(
        self, batch: Batch, here: _Point, start: Tensor, direction: Tensor, slope: float
    ) -> tuple[float, _Point] | None:
        """The step length with its point, where the parameters are then; None where none lowers the loss."""
        seen: dict[float, _Point] = {}

        def at(x: np.ndarray) -> _Point:
            alpha = float(x[0])
            if alpha not in seen:
                place(torch.add(start, direction, alpha=alpha), self._objective.parameters)
                seen[alpha] = self._evaluated(batch)
            return seen[alpha]

        with warnings.catch_warnings():  # it warns where it finds none; what is left then is judged below
            warnings.simplefilter("ignore")
            alpha, *_ = line_search(
                lambda x: at(x).total,
                lambda x: np.array([_dot(at(x).gradient, direction)]),
                np.zeros(1),
                np.ones(1),
                np.array([slope]),
                here.total,
                c1=DECREASE,
                c2=CURVATURE,
                amax=None if self._scale == 1.0 else 1.0,  # steps that are to be smaller are not made longer
            )
        found = min(seen, key=lambda length: seen[length].total) if alpha is None else float(alpha)
        if not seen[found].total < here.total:
            return None
        place(torch.add(start, direction, alpha=found), self._objective.parameters)
        return found, seen[found]

    def _evaluated(self, batch: Batch) -> _Point:
        """Loss and gradient at the parameters as they are; a loss that is not finite counts as infinite."""
        numbers = self._objective.gradients(batch)
        self._evaluations += 1
        gradient = flat(torch.zeros_like(p) if p.grad is None else p.grad for p in self._objective.parameters)
        total = float(numbers[0]) if bool(torch.isfinite(numbers).all()) else math.inf
        return _Point(numbers, total, gradient)


def _dot(a: Tensor, b: Tensor) -> float:
    with on_one_thread():
        return float(a.dot(b))
