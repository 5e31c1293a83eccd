"""The error at sensors that a second, shorter training did not see: what can be said where there is no reference.

    error = ||predicted - measured|| / ||measured||   over all measurements of the sensors that were left out

All settings are those of the run, but for the steps. Fewer steps and fewer sensors both make the error larger than that
of the run itself. It sees no error where there are no sensors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from pinnx.config import Config
from pinnx.evals.accuracy import SIGNIFICANT
from pinnx.jobs.cases.case import Case
from pinnx.jobs.cases.load_case import started
from pinnx.jobs.flows.flow_problem import flow_problem
from pinnx.jobs.flows.warm_start import fit_to_start
from pinnx.jobs.trainer_setup import make_trainer
from pinnx.models.field_model import FieldModel
from pinnx.physics.geometry import place_and_time
from pinnx.physics.measured_values import MeasuredValues
from pinnx.physics.term import Measured, largest_share
from pinnx.runs.progress import ProgressBar
from pinnx.train.hooks import Hook
from pinnx.train.last_good import NonFiniteLossError

__all__ = ["HeldOut", "held_out_sensors"]

# Of the sensors, and of the steps: the second training takes about 0.3 of the time of the first.
SHARE, STEPS = 0.1, 0.3
GATE = "held_out_sensors"


@dataclass(frozen=True)
class HeldOut:
    """What the second training found.

    Args:
        measured: for the checks.
        facts: the entry of metrics.json; None where no training was made.
    """

    measured: list[Measured]
    facts: dict[str, Any] | None = None


def held_out_sensors(config: Config, case: Case, console: Console | None) -> HeldOut | None:
    """Trains again without some of the sensors, and measures the error there; None where there is a reference.

    The setting evals.left_out has it done with a reference as well.
    """
    share = config.evals.left_out
    if share is None:
        share = SHARE if case.reference is None else 0.0
    if share == 0.0:
        return HeldOut([Measured(GATE, None, "evals.left_out is 0")]) if case.reference is None else None
    places, place_of = np.unique(case.coordinates[:, -case.dim :], axis=0, return_inverse=True)
    count = math.ceil(share * len(places))
    if count >= len(places):
        note = f"expected two sensors or more, to leave one out, got {len(places)}"
        return HeldOut([Measured(GATE, None, note)])
    chosen = np.random.default_rng(config.seed).choice(len(places), count, replace=False)
    left = np.isin(place_of.reshape(-1), chosen)
    steps = config.evals.left_out_steps or max(1, round(STEPS * config.train.steps))
    note = f"{count} of {len(places)} sensors left out, after {steps} steps"
    try:
        with ProgressBar(console, transient=True) as bar:
            bar.status(f"training again for {steps} steps, without {count} of {len(places)} sensors")
            model = _trained(config, started(config, case.rows(~left)), steps, bar)
    except NonFiniteLossError as error:
        return HeldOut([Measured(GATE, None, f"{note}; {error}")])
    there = case.rows(left)
    (data,) = (term for term in flow_problem(config, there).problem.terms if type(term) is MeasuredValues)
    measured = [item._replace(gate=GATE, note=note) for item in data.measure(model, num_points=1, seed=0)]
    fluctuation = _fluctuation_error(model, there, place_of.reshape(-1)[left])
    if fluctuation is not None:
        measured.append(fluctuation._replace(note=f"of the fluctuation about the mean over time; {note}"))
    facts = {"positions": places[np.sort(chosen)].tolist(), "num_used": len(places) - count, "steps": steps}
    return HeldOut(measured, facts)


class _Shown(Hook):
    """Shows how far the second training is."""

    def __init__(self, bar: ProgressBar, steps: int) -> None:
        self._bar, self._steps = bar, steps

    def on_step(self, step: int) -> None:
        self._bar.advance("training without some sensors", step, self._steps)


def _trained(config: Config, case: Case, steps: int, bar: ProgressBar) -> FieldModel:
    """The network after a training of its own."""
    config = config.model_copy(update={"train": config.train.model_copy(update={"steps": steps})})
    flow = flow_problem(config, case)
    if case.start is not None:
        fit_to_start(config, flow)
    trainer = make_trainer(config, flow.problem, flow.weights)
    trainer.hooks.append(_Shown(bar, steps))
    trainer.run()
    return flow.problem.model


def _fluctuation_error(model: FieldModel, case: Case, place_of: NDArray[np.intp]) -> Measured | None:
    """The error of the velocity less its mean over the times of each sensor; None where hardly anything moves."""
    known = np.isfinite(case.velocity)
    wanted = np.where(known, case.velocity, 0.0)
    found = np.where(known, model.predict(case.coordinates)[:, : case.dim], 0.0)
    size = float(np.linalg.norm(wanted))
    for place in np.unique(place_of):
        rows = place_of == place
        count = np.maximum(known[rows].sum(axis=0), 1)
        for values in (wanted, found):
            values[rows] -= known[rows] * (values[rows].sum(axis=0) / count)
    moving = float(np.linalg.norm(wanted))
    if not moving >= SIGNIFICANT * size > 0:
        return None
    squares = np.sum((found - wanted) ** 2, axis=1)
    worst, row = largest_share(squares, moving)
    place, value = place_and_time(case.coordinates[row], case.bounds), float(np.sqrt(squares.sum())) / moving
    return Measured(GATE, value, part="fluctuation", worst=worst, worst_at=place)
