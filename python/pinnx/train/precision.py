"""A training whose precision changes, by a schedule or by trial (`precision_policy.py`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pinnx.train.phases import Phase
from pinnx.train.precision_policy import PRECISIONS, Precision, PrecisionPolicy
from pinnx.train.problem import Problem
from pinnx.train.trainer import Trainer

__all__ = ["PRECISIONS", "AdaptivePrecisionTrainer", "Precision", "PrecisionPolicy"]


class AdaptivePrecisionTrainer(Trainer):
    """A `Trainer` that is given its precisions.

    Args:
        problem: what is minimised.
        phases: methods that take the steps.
        precision_schedule: step, from 0 -> precision from then on, as ``{0: torch.float32, 1000: torch.float16, 4000:
            torch.float32}``; a dtype, or one of `PRECISIONS`; or "auto". Default: "auto".
        **options: those of `Trainer`.

    Raises:
        PinnxError: as `Trainer`; no entry at step 0; a precision that is unknown, or that the device does not have.
    """

    def __init__(
        self,
        problem: Problem,
        phases: Sequence[Phase],
        *,
        precision_schedule: Mapping[int, object] | Literal["auto"] = "auto",
        **options: Any,
    ) -> None:
        super().__init__(problem, phases, precision=precision_schedule, **options)
