"""Whether the sensors tell the viscosity: what its check says where the fields alone have no objection.

A field may follow a wrong viscosity where no sensor holds it, and then asks for the one used. As for a number that is
found (`pinnx.train.number_estimates`), one step of Gauss-Newton in weights and viscosity together says where the loss
would take it, with an interval. Where that is wide, sensors, sides and equations agree with many viscosities.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

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
# A large step is no verdict on an open viscosity: Kovasznay flow, 20 sensors. With 1/3 to 3 times the right one it is
# 0.6 to 1.7 and 2.1 to 3.4 standard errors, and takes away 0.47 to 0.96 of what the fields leave of the loss; with the
# right one and a noise of 1 to 5 %, which is fitted then, up to 5.1, 3.8 standard errors and 0.80.
OPEN = 0.3

CAUSES = "a wrong or exchanged sensor or a wrong side has this effect too"


def held_by_sensors(
    config: Config,
    trainer: Trainer,
    equations: NavierStokes,
    measured: Iterable[Measured],
    found: Mapping[str, Mapping[str, Any]],
) -> list[Measured]:
    """The numbers, of which `viscosity_misfit` is not checkable where it would not fail and the viscosity is open.

    Args:
        config: the settings of the loss and the limits are used.
        trainer: at the end of the training.
        equations: whose viscosity may be fixed; of one that is found see ``found``.
        measured: numbers with the names of their gates.
        found: of each number that the training found its ``estimate`` or a ``note`` why it has none
            (`pinnx.jobs.flows.found_numbers`).
    """
    limit = 2.0 * config.evals.limits.viscosity_misfit

    def judged(item: Measured) -> Measured:
        if item.gate != GATE or item.value is None:
            return item
        if not item.value < limit:
            return item._replace(note=f"{item.note}; {CAUSES}")
        return _fitted(item, found["nu"]) if "nu" in found else _held(config, trainer, equations, item)

    return [judged(item) for item in measured]


def _fitted(item: Measured, found: Mapping[str, Any]) -> Measured:
    """Fields agree with the viscosity that was fitted to them, right or wrong; only its interval tells."""
    if found["estimate"] is not None:
        return item
    return item._replace(checkable=False, note=f"the viscosity was fitted to these fields, and has {found['note']}")


def _held(config: Config, trainer: Trainer, equations: NavierStokes, item: Measured) -> Measured:
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
    low, best, high = (number(math.exp(min(at - before, 50.0)), 2) for at in (found.low, found.value, found.high))
    if half < OPEN:
        return _noted(item, f"sensors, sides and equations hold it between {low} and {high} of that")
    return item._replace(
        checkable=False,
        note=f"sensors, sides and equations leave the viscosity open: from {low} to {high} times the one used, with "
        f"the least loss near {best}, so this check may miss a wrong one, and with it a wrong pressure; flow.learn_nu, "
        "more steps or other sensors may tell it",
    )


def _noted(item: Measured, more: str) -> Measured:
    return item._replace(note=f"{item.note}; {more}")
