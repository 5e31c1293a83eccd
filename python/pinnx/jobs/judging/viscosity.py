"""Whether the sensors tell the viscosity: what its check says where the fields alone have no objection.

A field may follow a wrong viscosity where no sensor holds it, and then asks for the one used. As for a number that is
found (`pinnx.train.number_estimates`), one step of Gauss-Newton in weights and viscosity together says where the loss
would take it, with an interval. Where that is wide, sensors, sides and equations agree with many viscosities.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from pinnx.config import Config
from pinnx.errors import PinnxError
from pinnx.physics.navier_stokes import NavierStokes
from pinnx.physics.term import Measured
from pinnx.report.formatting import number
from pinnx.train.number_estimates import number_estimates
from pinnx.train.trainer import Trainer

__all__ = ["held_by_sensors"]

GATE = "viscosity_misfit"
# Half width of the interval, of ln nu. Measured: at most 0.22 with the right viscosity (cavity, demo, vortex, Kovasznay
# and Hiemenz flow), 0.32 to 0.36 of the cylinder wake, at least 0.42 with 0.33, 2 or 3 times the right one, and 0.35 to
# 0.57 where any has the same velocity (Poiseuille and stagnation flow).
OPEN = 0.3


def held_by_sensors(
    config: Config, trainer: Trainer, equations: NavierStokes, measured: Iterable[Measured]
) -> list[Measured]:
    """The numbers, of which `viscosity_misfit` is not checkable where it would not fail and the viscosity is open.

    Args:
        config: the settings of the loss and the limits are used.
        trainer: at the end of the training.
        equations: whose viscosity is fixed; one that is found has an interval already.
        measured: numbers with the names of their gates.
    """
    return [_held(config, trainer, equations, item) if item.gate == GATE else item for item in measured]


def _held(config: Config, trainer: Trainer, equations: NavierStokes, item: Measured) -> Measured:
    fails = item.value is None or not item.value < 2.0 * config.evals.limits.viscosity_misfit
    if fails or "nu" in equations.found():
        return item
    if config.train.data_loss != "squares":
        return _noted(item, "whether the sensors tell it is not known: train.data_loss is no sum of squares")
    try:
        with equations.nu_as_unknown():
            before = float(equations.log_nu.detach())
            found = number_estimates(trainer.problem, trainer.weights.values, trainer.steps, widest=math.inf)["log_nu"]
    except PinnxError:
        return _noted(item, "whether the sensors tell it is not known for such a network")
    assert found is not None
    half = 0.5 * (found.high - found.low)
    low, high = (number(math.exp(min(end - before, 50.0)), 2) for end in (found.low, found.high))
    if half < OPEN:
        return _noted(item, f"sensors, sides and equations hold it between {low} and {high} of that")
    return item._replace(
        checkable=False,
        note=f"sensors, sides and equations leave the viscosity open: from {low} to {high} times the one used, so this "
        "check may miss a wrong one; flow.learn_nu, more steps or other sensors may tell it",
    )


def _noted(item: Measured, more: str) -> Measured:
    return item._replace(note=f"{item.note}; {more}")
