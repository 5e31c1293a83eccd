"""In which precision the matrix products of a step are taken: by a schedule, or by trial.

Parameters, derivative streams and sums are float32, whatever the products are (`pinn_ext`); in float64 everything is.
A schedule names a precision from each of some steps on. By trial, a cheaper precision is taken where it does
(`precision_trial.py`), before the first step and every ``TRIAL_EVERY`` steps from there. Either is left where a loss
or a gradient is not finite, which float32 then computes anew. What was left by trial is not tried again: late in a
training gradients are smaller, and rounding counts more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor

import pinn_ext
from pinnx.errors import PinnxError
from pinnx.kept_state import KeptState
from pinnx.models.field_model import FieldModel
from pinnx.train.loss_scale import LossScale
from pinnx.train.objective import Objective
from pinnx.train.phases import Phases
from pinnx.train.precision_trial import LossTrend, gradient_difference
from pinnx.train.problem import Batch

__all__ = ["PRECISIONS", "Precision", "PrecisionPolicy", "precision_name"]

Precision = Literal["float64", "float32", "tf32", "bfloat16", "float16"]
PRECISIONS: tuple[Precision, ...] = ("float64", "float32", "tf32", "bfloat16", "float16")
FULL = {"float64": torch.float64, "float32": torch.float32}

TRIAL_EVERY = 50  # two gradients more in 50 steps, 4 % of their time, until the precision is left
# Hidden layers from which the products of bfloat16 save more than fused kernels do, on a CPU (docs/performance.md);
# models that go layer by layer anyway gain earlier. On CUDA nothing has been measured: beyond 256 no kernel is fused.
PAYS_FROM = {("cpu", True): 512, ("cpu", False): 128, ("cuda", True): 257, ("cuda", False): 128}


def precision_name(value: object) -> Precision:
    """The name of a precision given by name or as a torch dtype.

    Raises:
        PinnxError: another one.
    """
    name = str(value).removeprefix("torch.")
    for known in PRECISIONS:
        if name == known:
            return known
    raise PinnxError(f"train.precision: expected one of {', '.join(PRECISIONS)}, got {value!r}")


class PrecisionPolicy(KeptState):
    """Chooses the precision of each step; a part of a training.

    Args:
        schedule: step, from 0 -> precision from then on, by name or as a torch dtype; or "auto".
        model: whose products these are.

    Attributes:
        precision: of the step at hand.
        report: called with a sentence about each change, with its step and its reason.

    Raises:
        PinnxError: no entry at step 0, an unknown precision, or one that the device does not have.
    """

    kept = ("precision", "_left", "_since", "_widened", "_scale", "_trend")

    def __init__(self, schedule: Mapping[int, object] | Literal["auto"], model: FieldModel) -> None:
        like = model.frequencies
        self._device = like.device.type
        self._hardware = pinn_ext.hardware_products(self._device)
        self._pays = _width(model) >= PAYS_FROM[self._device, model.fused]
        self._schedule = None if schedule == "auto" else self._checked(schedule)
        self._left: list[str] = []  # precisions that failed: for good, or until the next entry of the schedule
        self._since = -1  # the entry of the schedule at hand
        self._widened = False  # whether the policy has cast to float64
        self._scale, self._trend = LossScale(), LossTrend(like.device)
        self.precision: Precision = "float32"
        self.report: Callable[[str], None] = lambda text: None

    @property
    def rounds(self) -> bool:
        """Whether some step may round operands of its products."""
        return self._schedule is None or any(name not in FULL for name in self._schedule.values())

    @property
    def unsure(self) -> bool:
        """Whether the loss scale is new, so that a step must be checked before the optimiser uses it."""
        return self.precision == "float16" and self._scale.is_new

    def begin(self, step: int, phases: Phases) -> None:
        """Sets the precision of a step, from 0, before its points are drawn: these have its dtype."""
        if self._schedule is not None:
            self._follow(step)
        if self.precision == "float64":
            self._widened = True
            if phases.dtype != torch.float64:
                phases.cast(torch.float64)
        elif self._widened:
            self._widened = False
            phases.cast(torch.float32)
        self._set(phases.objective)

    def trial(self, step: int, objective: Objective, batch: Batch) -> None:
        """Holds the precision, or a cheaper one, against float32 at the points of a step where it is due."""
        if self._schedule is None:
            self._try(step, objective, batch)
            self._set(objective)

    def took(self, numbers: Tensor, configured: Tensor) -> None:
        """Counts the loss of a step: its numbers (`Objective.gradients`), with the configured weights [c]."""
        if self.precision == "float16":
            self._scale.count()
        if self._schedule is None:
            self._trend.add(numbers, configured)

    def steps_back(self, step: int, objective: Objective) -> bool:
        """Chooses what is safer after a loss or a gradient that is not finite; False: there is nothing safer."""
        if objective.products == "ieee":
            return False
        if objective.products == "float16" and self._scale.lower():
            objective.loss_scale.fill_(self._scale.value)
            return True
        self._leave(step, "a loss or a gradient is not finite")
        self._scale.reset()
        objective.products = "ieee"
        return True

    def rise(self, step: int, reason: str, dtype: torch.dtype) -> str:
        """Leaves a rounded precision for float32, and float32 for float64, until the schedule has another.

        Args:
            step: the next one.
            reason: why, in words.
            dtype: of the phase at hand.

        Returns:
            What it is now, in words; empty in float64, above which there is nothing.
        """
        if self.precision not in FULL:
            self._leave(step, reason)
            return "IEEE products"
        if self.precision == "float64" or dtype == torch.float64:
            return ""
        self._leave(step, reason)
        return self.precision

    def _checked(self, schedule: Mapping[int, object]) -> dict[int, Precision]:
        if 0 not in schedule or any(step < 0 for step in schedule):
            raise PinnxError(f"train.precision: expected steps >= 0 and one of them 0, got {sorted(schedule)}")
        found = {step: precision_name(schedule[step]) for step in sorted(schedule)}
        rounded = [name for name in found.values() if name not in FULL]
        if "tf32" in rounded and self._device != "cuda":
            raise PinnxError(
                f"train.precision: expected a CUDA device for tf32, got {self._device}; bfloat16 is for CPUs"
            )
        if rounded and not hasattr(torch.backends.mkldnn, "matmul"):
            raise PinnxError(f"train.precision: expected torch 2.9 or later for {rounded[0]}, got {torch.__version__}")
        return found

    def _follow(self, step: int) -> None:
        since = max(first for first in self._schedule if first <= step)
        if since != self._since:
            self._since, self._left = since, []
        planned, before = self._schedule[since], self.precision
        self.precision = next(name for name in (planned, "float32", "float64") if name not in self._left)
        if before != self.precision:
            self._say(step, f"{self.precision} in place of {before}{self._cost()}")

    def _try(self, step: int, objective: Objective, batch: Batch) -> None:
        if step == 0 and not self._candidates():
            self._say(step, f"float32 throughout: no cheaper precision pays {self._here()}")
        tried = self.precision != "float32" or bool(self._candidates())
        if step % TRIAL_EVERY or not tried or objective.weights.dtype != torch.float32:
            return
        risen = self._trend.risen()
        if self.precision != "float32":
            reason = risen or gradient_difference(objective, batch, self.precision, self._scale)[0]
            if reason is not None:
                self._leave(step, reason)
        for candidate in self._candidates() if self.precision == "float32" else ():
            reason, error = gradient_difference(objective, batch, candidate, self._scale)
            if reason is None:
                self._say(step, f"{candidate} is tried: its gradient differs by {error:.1e} of that of float32")
                self.precision = candidate
                return
            self._left.append(candidate)
            self._say(step, f"{candidate} is not used: {reason}")

    def _candidates(self) -> tuple[Precision, ...]:
        """What may be tried, the cheapest first; float16 rounds less than bfloat16 at the same cost."""
        wanted: tuple[Precision, ...] = ("float16", "bfloat16", "tf32")
        return tuple(name for name in wanted if self._pays and name in self._hardware and name not in self._left)

    def _leave(self, step: int, reason: str) -> None:
        self._left.append(self.precision)
        safer: Precision = "float64" if self.precision == "float32" else "float32"
        self._say(step, f"{safer} in place of {self.precision}: {reason}")
        self.precision = safer

    def _set(self, objective: Objective) -> None:
        rounded = self.precision not in FULL and objective.weights.dtype == torch.float32  # a phase in float64 is IEEE
        objective.products = self.precision if rounded else "ieee"
        if objective.products == "float16":
            objective.loss_scale.fill_(self._scale.value)

    def _cost(self) -> str:
        """Words about a precision that costs time, at the step where it begins."""
        if self.precision in FULL or (self._pays and self.precision in self._hardware):
            return ""
        return f", which saves no time {self._here()}"

    def _here(self) -> str:
        kind = "CPU" if self._device == "cpu" else "GPU"
        has = ", ".join(self._hardware) or "none"
        return f"with a network of this width on this {kind} (in hardware: {has})"

    def _say(self, step: int, text: str) -> None:
        self.report(f"precision at step {step + 1}: {text}")


def _width(model: FieldModel) -> int:
    """Features of the widest hidden layer."""
    return max((min(p.shape) for p in model.parameters() if p.dim() == 2), default=1)
