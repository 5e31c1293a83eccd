"""Physics that comes in by and by: the factor of the equations' weights over the steps of a training.

    factor = 0 up to the share ``start`` of the steps, then linear, 1 from the share ``full`` on

Measurements and boundary conditions keep their weights, so the network fits what is known first.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from pinnx.errors import PinnxError
from pinnx.kept_state import KeptState
from pinnx.losses.weighting import Probes

__all__ = ["ProgressivePhysics", "progressive_loss_weights"]


@lru_cache(maxsize=4096)
def progressive_loss_weights(step: int, steps: int, start: float = 0.3, full: float = 0.7) -> tuple[float, float]:
    """The factors of (data, physics) in a step.

    Args:
        step: from 0.
        steps: of the whole training.
        start: share of the steps up to which the physics counts nothing.
        full: share of the steps from which it counts fully.

    Raises:
        PinnxError: not 0 <= start < full <= 1, or no steps.
    """
    if not 0.0 <= start < full <= 1.0 or steps < 1:
        raise PinnxError(f"physics_ramp: expected 0 <= start < full <= 1 and steps >= 1, got {start}, {full}, {steps}")
    return 1.0, min(max((step / steps - start) / (full - start), 0.0), 1.0)


class ProgressivePhysics(KeptState):
    """Multiplies the weights of some columns by `progressive_loss_weights`.

    Args:
        physics: one for each column: whether it belongs to the equations.
        steps: of the whole training.
        ramp: the shares of the steps between which the factor grows from 0 to 1.
        like: a tensor of the model: the dtype and the device.
    """

    name = "physics_ramp"
    kept = ("factors",)  # of the next step

    def __init__(self, physics: list[bool], steps: int, ramp: tuple[float, float], like: Tensor) -> None:
        self._steps, self._ramp = steps, ramp
        self._known = like.new_tensor([0.0 if column else 1.0 for column in physics])
        self._all = torch.ones_like(self._known)
        self.factors = torch.empty_like(self._all)
        self._set(0)

    def adapt(self, step: int, columns: Tensor, probes: Probes) -> None:
        self._set(step + 1)

    def _set(self, step: int) -> None:
        # lerp takes the number as an argument of the kernel: nothing is copied from the host.
        torch.lerp(
            self._known, self._all, progressive_loss_weights(step, self._steps, *self._ramp)[1], out=self.factors
        )
