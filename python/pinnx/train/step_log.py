"""The numbers of logged steps, read back from the device."""

from __future__ import annotations

import math

from torch import Tensor

from pinnx.losses.weighting import LossWeights
from pinnx.train.hooks import LoggedStep

__all__ = ["StepLog"]


class StepLog:
    """Makes a `LoggedStep` of what a step found.

    Args:
        names: of the columns of the loss.
        weights: of these columns.
    """

    def __init__(self, names: tuple[str, ...], weights: LossWeights) -> None:
        self._names, self._weights = names, weights
        self.begin(0, 0.0)

    def begin(self, step: int, train_s: float) -> None:
        """Steps per second are counted from here on."""
        self._last_step, self._last_s = step, train_s

    def entry(self, step: int, train_s: float, numbers: Tensor, used: Tensor, method: dict[str, float]) -> LoggedStep:
        """The numbers of a step.

        Args:
            step: steps done, this one included.
            train_s: time spent in steps.
            numbers: total, columns and the sum of the gradient, [c + 2].
            used: weights with which the step was taken, [c].
            method: ``lr``, and what else the method has to say.
        """
        total, *columns, _ = numbers.tolist()
        elapsed, adapts = train_s - self._last_s, self._weights.adapts
        configured = zip(self._weights.configured.tolist(), columns, strict=True)
        logged = LoggedStep(
            step=step,
            time_s=train_s,
            lr=method["lr"],
            total=total,
            columns=dict(zip(self._names, columns, strict=True)),
            steps_per_s=(step - self._last_step) / elapsed if elapsed > 0 else 0.0,
            comparable=math.fsum(weight * column for weight, column in configured) if adapts else total,
            weights=dict(zip(self._names, used.tolist(), strict=True)) if adapts else {},
            easier=self._weights.easier,
            method={name: value for name, value in method.items() if name != "lr"},
        )
        self.begin(step, train_s)
        return logged
