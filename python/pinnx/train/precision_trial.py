"""Whether a cheaper precision does for a training: one gradient against IEEE float32, and the trend of the loss.

A precision does as long as

- its gradient is finite, and differs by at most ``GRADIENT_TOLERANCE`` of the length of that of float32,
- at most ``UNDERFLOW`` of the gradient's entries have become zero, and
- the mean loss since the last trial is at most ``RISE`` times that before.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

import pinn_ext
from pinnx.kept_state import KeptState
from pinnx.train.flat_tensors import flat
from pinnx.train.loss_scale import LossScale
from pinnx.train.objective import Objective
from pinnx.train.problem import Batch

__all__ = ["LossTrend", "flat_gradient", "gradient_difference"]

# Fresh points alone turn the gradient of a step by more: on the cavity by 0.1 to 1 of its length.
GRADIENT_TOLERANCE = 0.05
UNDERFLOW = 1e-3
RISE = 1.2


class LossTrend(KeptState):
    """Mean losses (of their logarithms) between trials.

    Args:
        device: of the losses.
    """

    kept = ("_sum", "_count", "_before")

    def __init__(self, device: torch.device) -> None:
        self._sum, self._count = torch.zeros((), dtype=torch.float64, device=device), 0
        self._before = math.inf

    def add(self, numbers: Tensor, configured: Tensor) -> None:
        """Counts a step: its numbers (`Objective.gradients`), with the configured weights [c]. Reads nothing back."""
        self._sum.add_(torch.dot(numbers[1:-1].to(configured), configured).double().log())
        self._count += 1

    def risen(self) -> str | None:
        """Ends a stretch; in words, that the loss has risen since the one before, None if not. Reads the mean back."""
        mean, before = float(self._sum) / self._count if self._count else math.inf, self._before
        self._before, self._count = mean, 0
        self._sum.zero_()
        if not before + math.log(RISE) < mean < math.inf:
            return None
        return f"the mean loss rose from {math.exp(before):.3g} to {math.exp(mean):.3g}"


def gradient_difference(
    objective: Objective, batch: Batch, products: pinn_ext.Products, scale: LossScale
) -> tuple[str | None, float]:
    """Holds the gradient of a precision against that of float32 at a batch.

    Args:
        objective: loss and gradients; the parameters' ``grad`` is another then.
        batch: the points.
        products: the precision.
        scale: lowered where float16 overflows.

    Returns:
        What is wrong with it, None if nothing; and its distance from that of float32, over its length.
    """
    objective.gradients(batch)
    wanted = flat_gradient(objective)
    while True:
        objective.loss_scale.fill_(scale.value)
        objective.gradients(batch, products)
        got = flat_gradient(objective)
        if torch.isfinite(got).all() or products != "float16" or not scale.lower():
            break
    error = float(torch.linalg.vector_norm(got - wanted) / torch.linalg.vector_norm(wanted))
    lost = float(((got == 0) & (wanted != 0)).double().mean())
    if not math.isfinite(error):
        return "its gradient is not finite", error
    if lost > UNDERFLOW:
        return f"{lost:.1%} of the gradient has become zero", error
    if error > GRADIENT_TOLERANCE:
        return f"its gradient differs by {error:.1e} of that of float32, more than {GRADIENT_TOLERANCE}", error
    return None, error


def flat_gradient(objective: Objective) -> Tensor:
    """The gradient that was evaluated last, in one piece of its own."""
    return flat(p.grad for p in objective.parameters if p.grad is not None)
