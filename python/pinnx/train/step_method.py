"""What takes the steps of a training: a method, of first order (`FirstOrder`) or with curvature.

The trainer draws the points of a step and has the method evaluate loss and gradients there; what is not finite stops
before anything has changed; then the method changes the parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from pinnx.threads import on_one_thread
from pinnx.train.objective import Objective
from pinnx.train.problem import Batch

__all__ = ["FirstOrder", "Method"]


class Method(Protocol):
    """Takes steps towards a smaller loss.

    Attributes:
        searches: whether ``update`` compares losses of its own with those of ``evaluate``; weights that adapt change
            after it then, else before it.
        stopped: why no further step can lower the loss; empty while one may. The next phase begins then, or the
            training ends.
    """

    searches: ClassVar[bool]
    stopped: str

    def evaluate(self, batch: Batch) -> Tensor:
        """Total, columns and the sum of the gradient at a batch, [c + 2]; the parameters stay as they are."""
        ...

    def update(self, batch: Batch) -> None:
        """Changes the parameters, after ``evaluate`` at the same batch gave finite numbers."""
        ...

    def shrink(self, factor: float) -> None:
        """Makes the steps to come smaller by a factor: one of them led to a loss that is not finite."""
        ...

    def logged(self) -> dict[str, float]:
        """Numbers of the last step for the log, by name: ``lr``, its step size, and others of the method."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on, but for the parameters."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes what ``state_dict`` gave."""
        ...


class FirstOrder:
    """Steps of an optimiser that uses the gradient alone.

    Args:
        objective: loss and gradients.
        optimizer: over the objective's parameters.
        schedule: of its learning rates, stepped once a step.
        clip: a gradient that is longer, over all parameters, is scaled to this length; None: none is.
    """

    searches: ClassVar[bool] = False
    stopped = ""

    def __init__(
        self,
        objective: Objective,
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
        *,
        clip: float | None = None,
    ) -> None:
        self.optimizer, self.schedule = optimizer, schedule
        self._objective, self._clip = objective, clip
        self._scale = 1.0  # of all learning rates: smaller behind a loss that was not finite
        self._lr = schedule.get_last_lr()[0]  # of the last step

    def evaluate(self, batch: Batch) -> Tensor:
        return self._objective.gradients(batch, self._objective.products)

    def update(self, batch: Batch) -> None:
        if self._clip is not None:
            with on_one_thread():  # the length then has the same bits on any number of threads
                torch.nn.utils.clip_grad_norm_(self._objective.parameters, self._clip)
        groups = self.optimizer.param_groups
        rates = [group["lr"] for group in groups]
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = rate * self._scale
        self.optimizer.step()
        self._lr = groups[0]["lr"]
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = rate
        self.schedule.step()

    def shrink(self, factor: float) -> None:
        self._scale *= factor

    def logged(self) -> dict[str, float]:
        return {"lr": self._lr}

    def state_dict(self) -> dict[str, Any]:
        return {
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scale": self._scale,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self._scale = float(state["scale"])
