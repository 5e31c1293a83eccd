"""Numbers that a training finds are put where the loss would take them, and held there while the fields follow.

Along the valley in which a viscosity and its fields move together the gradient is small, and the viscosity follows the
fields. The step of Gauss-Newton along it (`number_estimates.py`) knows where it ends. Put there alone, the viscosity
would be back after some steps, so it is held until the next estimate, or to the end.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pinnx.errors import PinnxError
from pinnx.kept_state import KeptState
from pinnx.losses.weighting import LossWeights
from pinnx.train.number_estimates import number_estimates
from pinnx.train.phases import Phases
from pinnx.train.problem import Problem

__all__ = ["HeldNumbers"]


class HeldNumbers(KeptState):
    """Sets numbers of the equations to their estimates, in place.

    Args:
        problem: with equations that learn numbers; its loss is a sum of squares.
        weights: of its columns.
        steps: of the whole training.
        shares: of the steps, after which each number is estimated; one that has no estimate then follows its gradient.
    """

    kept = ("_held",)

    def __init__(self, problem: Problem, weights: LossWeights, *, steps: int, shares: Sequence[float]) -> None:
        self._problem, self._weights, self._steps = problem, weights, steps
        self._at = {max(1, round(share * steps)) for share in shares}
        self._held: dict[str, Tensor] = {}  # by the names of their parameters

    def adapt(self, step: int, phases: Phases) -> str:
        """After so many steps: estimates what is due, and puts back what is held.

        Returns:
            A sentence where something was estimated, else an empty text.
        """
        if phases.method.searches:  # it moves the numbers with the network, and compares losses
            self._held = {}
            return ""
        found = self._estimate(step, phases) if step in self._at else ""
        parameters = dict(self._problem.unknown_numbers())
        with torch.no_grad():
            for name, value in self._held.items():
                parameters[name].copy_(value)
        return found

    def _estimate(self, step: int, phases: Phases) -> str:
        try:
            with phases.kept():  # points that no step draws
                found = number_estimates(self._problem, self._weights.values, self._steps + step)
        except PinnxError as error:
            return f"step {step}: no estimate of the numbers that are found: {error}"
        self._held = {
            name: torch.tensor(item.value, dtype=torch.float64) for name, item in found.items() if item is not None
        }
        said = []
        for name, item in found.items():
            number = name.removeprefix("log_").replace("force_", "forcing_")
            said.append(f"{number} {'held at its estimate' if item is not None else 'not determined yet'}")
        return f"step {step}: {', '.join(said)}"
