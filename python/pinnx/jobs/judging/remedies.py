"""The cheapest way to a gate that a run did not keep, as far as it is known.

Of the residual by the run's own history. While the learning rate is near its height, the residual falls as a power of
the steps; so it does from a training to one of more steps. Measured: the demo has a power of 0.65 in its history, and
from 2,000 to 12,000 steps its final residual falls with 0.65. The cavity at Re 1000 has 0.91 in a run of 1,000 steps,
and 0.90 from there to 4,000 steps, 0.69 from these to 10,000. An estimate of the steps, and rather too few. Where steps
lower it, a wider network does so in less time (docs/training.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinnx.config import Config
from pinnx.evals.checks import Check

__all__ = ["with_remedy"]

History = Mapping[str, NDArray[np.float64]]
# Of the steps: behind the first transient, and before the learning rate has fallen by a fifth.
EARLY = (0.1, 0.3)
FEWEST_ROWS = 8
# A fall that is slower says nothing of how many steps there would have to be.
LEAST_POWER = 0.4
# Beyond ten times the limit more steps are no remedy that was measured.
MOST = 10.0
# Measured: from a width of 64 to 128, and from there to 256.
WIDEST = 128
POLISHED = (
    "take the polished flow beside this one in fields.h5, each cell of which conserves mass and momentum, with the "
    "error of one grid"
)
BY_FORM = (
    "no steps, weights or constraints that were tried reach the limit; model.stream_function=true, for plane flows, "
    "makes the divergence zero. Every gate is kept with it by the demo (model.width=128 train.steps=20000) and the "
    "cavity (train.optimizer=gauss_newton model.hard_boundaries=true, docs/training.md)"
)


def with_remedy(item: Check, config: Config, history: History, polished: bool = False) -> dict[str, Any]:
    """A check as metrics.json has it; ``remedy`` says what to change where it did not pass and that is known.

    ``polished``: whether the flow that was solved from the network's field stands in fields.h5.
    """
    words = "" if item.passed else _remedy(item, config, history, polished)
    return {**item.as_dict(), **({"remedy": words} if words else {})}


def _remedy(item: Check, config: Config, history: History, polished: bool) -> str:
    """What to change where a check did not pass; "" where nothing is known."""
    if item.name in ("pde_residual_l2", "energy_budget"):  # the velocity times that residual
        return _wider_or_longer(item, config, history)
    if item.name == "conservation" and polished:
        return f"{POLISHED}; {BY_FORM}"
    if item.name == "conservation":
        elsewhere = "; the polished flow has it, where solver.polish=true applies"
        return BY_FORM + (elsewhere if config.problem.steady else "")
    if item.name == "boundary_error_max" and not (config.model.hard_boundaries or config.model.stream_function):
        return "model.hard_boundaries=true has sides and circles exactly, with a larger error in equal steps"
    return ""


def _wider_or_longer(item: Check, config: Config, history: History) -> str:
    power = _fall(history, config.train.steps)
    if power is None or not item.value <= MOST * item.limit:
        return ""
    steps = config.train.steps * (item.value / item.limit) ** (1.0 / power)
    wider = (
        f"model.width={2 * config.model.width}, as twice the width left 0.4 to 0.7 of the residual of the demo and the "
        "cavity after as many steps, each 2 to 3 times as long; or "
    )
    if config.model.width > WIDEST or config.model.architecture == "piratenet":  # whose width is that of its features
        wider = ""
    return (
        f"{wider}about train.steps={float(f'{steps:.2g}'):.0f}, if the residual keeps falling with the steps to the "
        f"power {power:.2f}, as between {100 * EARLY[0]:.0f} and {100 * EARLY[1]:.0f} % of this run"
    )


def _fall(history: History, steps: int) -> float | None:
    """The power of the steps with which the residual of the momentum fell early in a run; None where it did not."""
    squares = sum(column for name, column in history.items() if name.startswith("loss/momentum_"))
    rows = (history["step"] >= EARLY[0] * steps) & (history["step"] <= EARLY[1] * steps) & np.greater(squares, 0.0)
    if np.count_nonzero(rows) < FEWEST_ROWS:
        return None
    slope = float(np.polyfit(np.log(history["step"][rows]), 0.5 * np.log(np.asarray(squares)[rows]), 1)[0])
    return -slope if slope <= -LEAST_POWER else None
