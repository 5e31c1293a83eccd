"""What a training does where a loss or a gradient is not finite: it returns to a state before, with smaller steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from pinnx.errors import PinnxError
from pinnx.train.stateful import copy_of

__all__ = ["LastGood", "NonFiniteLossError", "refuse_non_finite"]

# Of the size of steps, each time that the training returns.
SMALLER = 0.5


class NonFiniteLossError(PinnxError):
    """The loss or a gradient is NaN or infinite; the parameters are those of the last good step."""


class LastGood:
    """The state to return to, and how often that was tried.

    Args:
        retries: how often a training returns before it gives up; 0: never.

    Attributes:
        state: of all parts; None before the first.
    """

    def __init__(self, retries: int) -> None:
        self._retries = retries
        self.state: dict[str, Any] | None = None
        self._tries = 0
        self._first: tuple[dict[str, Any], NonFiniteLossError] | None = None  # that failed, with the state before it

    @property
    def step(self) -> int:
        """Steps done in ``state``."""
        return -1 if self.state is None else int(self.state["clock"]["step"])

    def keep(self, state: dict[str, Any]) -> None:
        """Takes a copy of a state at which loss and gradients are finite."""
        self.state = state
        self._tries, self._first = 0, None

    def next_try(self, state: Mapping[str, Any], error: NonFiniteLossError) -> tuple[dict[str, Any], float] | None:
        """Where to begin again, and by how much the steps from there are to be smaller; None where to give up.

        Args:
            state: that of the last good step.
            error: what was found behind it.
        """
        self._first = self._first or (copy_of(state), error)
        if self.state is None or self._tries >= self._retries:
            return None
        self._tries += 1
        return self.state, SMALLER**self._tries

    def given_up(self) -> tuple[dict[str, Any], NonFiniteLossError]:
        """The state of the last good step of the first try, and what to raise."""
        assert self._first is not None
        state, error = self._first
        parts = [str(error)]
        if self._tries:
            smallest = f"at last in steps of {SMALLER**self._tries:g} of their size"
            parts.append(f"tried {self._tries} times again from step {self.step}, {smallest}")
        if state["clock"]["step"]:
            parts.append("try a smaller train.lr in a new --out, resuming repeats it")
        return state, NonFiniteLossError("; ".join(parts))


def refuse_non_finite(step: int, names: Sequence[str], numbers: Tensor) -> None:
    """Checks what a step found, before anything changes.

    Args:
        step: steps done.
        names: of the columns of the loss.
        numbers: total, columns, sum of the gradient.

    Raises:
        NonFiniteLossError: one of them is NaN or infinite; it names the column.
    """
    if torch.isfinite(numbers).all():
        return
    total, *columns, _ = numbers.tolist()
    shown = ", ".join(f"{name} {value:g}" for name, value in zip(names, columns, strict=True))
    wanted = f"a finite loss, got {total:g}"
    if torch.isfinite(numbers[0]):
        wanted = f"finite gradients, got NaN or infinity at a loss of {total:g}"
    raise NonFiniteLossError(f"step {step + 1}: expected {wanted} ({shown})")
