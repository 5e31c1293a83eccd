"""The cheapest way to a gate that a run did not keep, where one was measured: docs/training.md has the numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from pinnx.config import Config
from pinnx.evals.checks import Check

__all__ = ["with_remedy"]

# In the demo the residual falls with the steps to the power 2/3: 0.0032 after 2,000, 0.00093 to 0.00103 after 12,000,
# three seeds, whose spread asks for a third more.
STEPS_POWER, SPREAD = 1.5, 1.35
# Beyond ten times the limit more steps are no remedy that was measured.
MOST = 10.0


def with_remedy(item: Check, config: Config) -> dict[str, Any]:
    """A check as metrics.json has it; ``remedy`` says what to change where it did not pass and that is known."""
    words = REMEDIES[item.name](item, config) if not item.passed and item.name in REMEDIES else ""
    return {**item.as_dict(), **({"remedy": words} if words else {})}


def _more_steps(item: Check, config: Config) -> str:
    if not item.value <= MOST * item.limit:
        return ""
    steps = SPREAD * config.train.steps * (item.value / item.limit) ** STEPS_POWER
    digits = 10 ** (math.floor(math.log10(steps)) - 1)
    return f"about train.steps={math.ceil(steps / digits) * digits}"


def _stream_function(item: Check, config: Config) -> str:
    return "a stream function as the network's output, which is not built; steps and weights do not reach the limit"


def _hard_boundaries(item: Check, config: Config) -> str:
    if config.model.hard_boundaries:
        return ""
    return "model.hard_boundaries=true has sides and circles exactly, with a larger error in equal steps"


REMEDIES: Mapping[str, Callable[[Check, Config], str]] = {
    "pde_residual_l2": _more_steps,
    "conservation": _stream_function,
    "boundary_error_max": _hard_boundaries,
}
