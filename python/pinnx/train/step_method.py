"""What takes the steps of a training: a method, of first order (`FirstOrder`) or with curvature.

The trainer draws the points of a step and has the method evaluate loss and gradients there; what is not finite stops
before anything has changed; then the method changes the parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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


def _lengths(schedule: Mapping[str, Any]) -> list[int]:
    """The steps over which a schedule falls, and those of the schedules that it is made of."""
    own = [int(schedule[name]) for name in ("T_max", "total_steps") if name in schedule]
    return [*own, *(length for part in schedule.get("_schedulers", ()) for length in _lengths(part))]


class FirstOrder:
    """Steps of an optimiser that uses the gradient alone.

    Where the objective replays updates, clipping is replayed; and the step with it, if the optimiser is ``capturable``
    as torch's are. SOAP's step replays what it can itself.

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
        # A graph reads the learning rate from the device; torch's kernels want it in float32 there.
        self._rates = [
            torch.zeros((), device=group["params"][0].device) if group.get("capturable") else None
            for group in optimizer.param_groups
        ]
        self._placed: list[Tensor] = []
        self._changes = self._made_changes()

    def evaluate(self, batch: Batch) -> Tensor:
        return self._objective.gradients(batch, self._objective.products)

    def update(self, batch: Batch) -> None:
        groups = self.optimizer.param_groups
        rates = [group["lr"] for group in groups]
        for group, rate, placed in zip(groups, rates, self._rates, strict=True):
            group["lr"] = rate * self._scale if placed is None else placed.fill_(rate * self._scale)
        for change in self._changes:
            change()
        self._lr = rates[0] * self._scale
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
        wanted, got = (_lengths(each) for each in (self.schedule.state_dict(), state["schedule"]))
        if got and got != wanted:  # a cosine would rise again behind its end
            raise ValueError(f"expected a schedule over {wanted} steps, got one over {got}; add a phase for more steps")
        # How a step is computed belongs to the machine, and the state may come from another.
        own, saved = self.optimizer.param_groups[0], state["optimizer"]
        kept = {key: own[key] for key in ("fused", "capturable") if key in own}
        groups = [group | kept for group in saved["param_groups"]]
        self.optimizer.load_state_dict({**saved, "param_groups": groups})
        self.schedule.load_state_dict(state["schedule"])
        self._scale = float(state["scale"])
        self._changes = self._made_changes()  # the optimiser has other tensors now

    def _made_changes(self) -> list[Callable[[], object]]:
        """What a step does, in order."""
        replay = self._objective.replay
        clip = [] if self._clip is None else [self._shorten]
        if replay is not None and all(placed is not None for placed in self._rates):
            return [self._place_gradients, replay(self._shorten_and_step)]
        if replay is not None and clip:
            return [self._place_gradients, replay(self._shorten), self.optimizer.step]
        return [*clip, self.optimizer.step]

    def _place_gradients(self) -> None:
        """Puts gradients where a graph has found them: each precision of the products has others of its own."""
        parameters = [p for p in self._objective.parameters if p.grad is not None]
        gradients = [p.grad for p in parameters]
        self._placed = self._placed or [torch.empty_like(gradient) for gradient in gradients]
        torch._foreach_copy_(self._placed, gradients)
        for p, placed in zip(parameters, self._placed, strict=True):
            p.grad = placed

    def _shorten_and_step(self) -> None:
        if self._clip is not None:
            self._shorten()
        self.optimizer.step()

    def _shorten(self) -> None:
        with on_one_thread():  # the length then has the same bits on any number of threads
            torch.nn.utils.clip_grad_norm_(self._objective.parameters, self._clip)
