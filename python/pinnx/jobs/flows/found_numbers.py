"""The numbers of the equations that a training finds: what it can find, what it found, how surely."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinnx.config import Config
from pinnx.errors import PinnxError
from pinnx.evals.settling import last_change
from pinnx.jobs.cases.case import Case
from pinnx.physics.navier_stokes import NavierStokes
from pinnx.physics.term import Measured
from pinnx.train.number_estimates import number_estimates
from pinnx.train.trainer import Trainer

__all__ = ["check_forcing", "found_numbers", "settled"]


def check_forcing(config: Config, case: Case) -> None:
    """Refuses to fit a force that the pressure hides: f along x, and a pressure that has f x more, are one flow.

    Raises:
        PinnxError: an axis that is not periodic, along which the pressure is known at one place at most.
    """
    for axis in config.problem.learn_forcing:
        if axis in case.bounds and axis not in config.domain.periodic and not _pressure_is_known(case, axis):
            raise PinnxError(
                f"flow.learn_forcing: expected {axis} among domain.periodic, or pressures measured or prescribed at "
                f"several {axis}, as a pressure that grows along {axis} acts like a force; got neither"
            )


def _pressure_is_known(case: Case, axis: str) -> bool:
    """Whether it is measured or prescribed at several places along an axis."""
    column = list(case.bounds).index(axis)
    places = [c.validation_points(16)[:, column] for c in case.conditions if c.mask[-1]]
    if case.pressure is not None:
        places.append(case.coordinates[np.isfinite(case.pressure), column])
    return bool(places) and np.ptp(np.concatenate(places)) > 0


def found_numbers(config: Config, case: Case, trainer: Trainer, equations: NavierStokes) -> dict[str, dict[str, Any]]:
    """Of each number that was found its ``value``, its first ``guess``, its ``check``, and its ``estimate``.

    The estimate is where the loss would take the number, ``value``, with an interval from ``low`` to ``high``; None
    where there is none, and ``note`` says why.
    """
    found = _values(config, case, equations)
    if not found:
        return {}
    estimates, note = _estimates(config, trainer)
    for parameter in dict(equations.named_parameters()):
        name, _ = equations.in_user_units(parameter, 0.0)
        estimate = estimates.get(parameter)
        found[name] |= {
            "estimate": estimate
            and {key: equations.in_user_units(parameter, end)[1] for key, end in estimate._asdict().items()},
            "note": "" if estimate else note,
        }
    return found


def _values(config: Config, case: Case, equations: NavierStokes) -> dict[str, dict[str, Any]]:
    """Of each number that was found its ``value``, its first ``guess``, and its ``check``."""
    guesses = {f"forcing_{axis}": force for axis, force in zip("xyz", config.problem.forcing or (), strict=False)}
    guesses["nu"] = case.nu
    return {
        name: {
            "value": value,
            "guess": guesses.get(name, 0.0),
            "check": "viscosity_settled" if name == "nu" else "forcing_settled",
        }
        for name, value in equations.found().items()
    }


def _estimates(config: Config, trainer: Trainer) -> tuple[Mapping[str, Any], str]:
    """By the names of the parameters, and why there is none where there is none."""
    if config.train.data_loss != "squares":
        return {}, f"no interval: it is one of least squares, and train.data_loss is {config.train.data_loss}"
    try:
        # A step beyond the last one: the training has not drawn its points.
        found = number_estimates(trainer.problem, trainer.weights.values, trainer.steps)
    except PinnxError as error:
        return {}, f"no interval: {error}"
    return found, "no interval: it would be wider than a factor of 1.8; more steps, sensors or another guess may help"


def settled(
    config: Config, case: Case, equations: NavierStokes, history: Mapping[str, NDArray[np.float64]]
) -> list[Measured]:
    """Whether each number has come to rest; of a force relative to nu U / L^2 at least, as one may be zero."""
    measured, found = [], _values(config, case, equations)
    viscous_force = equations.found().get("nu", case.nu) * case.scales.velocity / case.scales.length**2
    for name, item in found.items():
        columns = (history[column] for column in ("step", "lr", name))
        change = last_change(*columns, floor=0.0 if name == "nu" else viscous_force)
        measured.append(Measured(item["check"], change, f"{item['value']:.4g}, from the guess {item['guess']:.4g}"))
    return measured
