"""The numbers of the equations: what a training found of them, how surely, and whether the sensors tell the viscosity.

A field may follow a wrong viscosity where no sensor holds it, and then asks for the one used. As for a number that is
found (`pinnx.train.number_estimates`), one step of Gauss-Newton in weights and viscosity together says where the loss
would take it, with an interval. Where that is wide, sensors, sides and equations agree with many viscosities.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinnx.errors import PinnxError
from pinnx.evals.settling import last_change
from pinnx.jobs.flows.flow_problem import FlowProblem
from pinnx.physics.term import Measured
from pinnx.report.formatting import number
from pinnx.train.number_estimates import number_estimates
from pinnx.train.trainer import Trainer

__all__ = ["found_numbers", "held_by_sensors", "settled"]

GATE = "viscosity_misfit"
# Half width of the interval, of ln nu. Measured: at most 0.22 with the right viscosity (cavity, demo, vortex, Kovasznay
# and Hiemenz flow), 0.32 to 0.36 of the cylinder wake, at least 0.42 with 0.33, 2 or 3 times the right one, and 0.35 to
# 0.57 where any has the same velocity (Poiseuille and stagnation flow).
# A large step is no verdict on an open viscosity: Kovasznay flow, 20 sensors. With 1/3 to 3 times the right one it is
# 0.6 to 1.7 and 2.1 to 3.4 standard errors, and takes away 0.47 to 0.96 of what the fields leave of the loss; with the
# right one and a noise of 1 to 5 %, which is fitted then, up to 5.1, 3.8 standard errors and 0.80.
OPEN = 0.3

CAUSES = "a wrong or exchanged sensor or a wrong side has this effect too"


def found_numbers(flow: FlowProblem, trainer: Trainer) -> dict[str, dict[str, Any]]:
    """Of each number that was found its ``value``, its first ``guess``, its ``check``, and its ``estimate``.

    The estimate is where the loss would take the number, ``value``, with an interval from ``low`` to ``high``; None
    where there is none, and ``note`` says why.
    """
    found = _values(flow)
    if not found:
        return {}
    estimates, note = _estimates(trainer, flow.config.train.data_loss)
    for parameter in dict(flow.equations.named_parameters()):
        name, _ = flow.equations.in_user_units(parameter, 0.0)
        estimate = estimates.get(parameter)
        found[name] |= {
            "estimate": estimate
            and {key: flow.equations.in_user_units(parameter, end)[1] for key, end in estimate._asdict().items()},
            "note": "" if estimate else note,
        }
    return found


def _values(flow: FlowProblem) -> dict[str, dict[str, Any]]:
    """Of each number that was found its ``value``, its first ``guess``, and its ``check``."""
    forces = zip("xyz", flow.config.problem.forcing or (), strict=False)
    guesses = {"nu": flow.case.nu, **{f"forcing_{axis}": force for axis, force in forces}}
    return {
        name: {
            "value": value,
            "guess": guesses.get(name, 0.0),
            "check": "viscosity_settled" if name == "nu" else "forcing_settled",
        }
        for name, value in flow.equations.found().items()
    }


def _estimates(trainer: Trainer, data_loss: str) -> tuple[Mapping[str, Any], str]:
    """By the names of the parameters, and why there is none where there is none."""
    if data_loss != "squares":
        return {}, f"no interval: it is one of least squares, and train.data_loss is {data_loss}"
    try:
        # A step beyond the last one: the training has not drawn its points.
        found = number_estimates(trainer.problem, trainer.weights.values, trainer.steps)
    except PinnxError as error:
        return {}, f"no interval: {error}"
    return found, "no interval: it would be wider than a factor of 1.8; more steps, sensors or another guess may help"


def settled(flow: FlowProblem, history: Mapping[str, NDArray[np.float64]]) -> list[Measured]:
    """Whether each number has come to rest; of a force relative to nu U / L^2 at least, as one may be zero."""
    measured, scales = [], flow.case.scales
    viscous_force = flow.nu * scales.velocity / scales.length**2
    for name, item in _values(flow).items():
        columns = (history[column] for column in ("step", "lr", name))
        change = last_change(*columns, floor=0.0 if name == "nu" else viscous_force)
        measured.append(Measured(item["check"], change, f"{item['value']:.4g}, from the guess {item['guess']:.4g}"))
    return measured


def held_by_sensors(
    flow: FlowProblem, trainer: Trainer, measured: Iterable[Measured], found: Mapping[str, Mapping[str, Any]]
) -> list[Measured]:
    """The numbers, of which `viscosity_misfit` is not checkable where it would not fail and the viscosity is open.

    ``found`` is what `found_numbers` says; a viscosity that is not among it is the one that was stated.
    """
    limit = 2.0 * flow.limits[GATE]

    def judged(item: Measured) -> Measured:
        if item.gate != GATE or item.value is None:
            return item
        if not item.value < limit:
            return item._replace(note=f"{item.note}; {CAUSES}")
        return _fitted(item, found["nu"]) if "nu" in found else _held(flow, trainer, item)

    return [judged(item) for item in measured]


def _fitted(item: Measured, found: Mapping[str, Any]) -> Measured:
    """Fields agree with the viscosity that was fitted to them, right or wrong; only its interval tells."""
    if found["estimate"] is not None:
        return item
    return item._replace(checkable=False, note=f"the viscosity was fitted to these fields, and has {found['note']}")


def _held(flow: FlowProblem, trainer: Trainer, item: Measured) -> Measured:
    if flow.config.train.data_loss != "squares":
        return _noted(item, "whether the sensors tell it is not known: train.data_loss is no sum of squares")
    try:
        with flow.equations.nu_as_unknown():
            before = float(flow.equations.log_nu.detach())
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
