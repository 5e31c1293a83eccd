"""The error at sensors that a second, shorter training did not see: what can be said where there is no reference.

    error = rms(predicted - measured) / rms(measured)

The first root mean square is over the sensors that were left out, the second over all of them. A few sensors that stand
where the flow is slow, or hardly moves, miss by much of what they measure, which says little of the field.

All settings are those of the run, but for the steps. Numbers that the run has found start as found: from a first guess
a short training does not take them there. Fewer steps and fewer sensors both make the error larger than that of the run
itself. It sees no error where there are no sensors; so the two trainings are compared over the whole flow as well.
Where sensors, sides and equations do not determine it, they differ.

    difference = ||predicted - predicted by the run|| / ||predicted by the run||
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from pinnx.config import Config
from pinnx.evals.accuracy import BESIDE_A_TENTH, LEAST_MOVING, SIGNIFICANT
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
from pinnx.train.trainer import Trainer

__all__ = ["HeldOut", "further_training", "held_out_sensors"]

# Of the sensors, and of the steps: the second training takes about 0.3 of the time of the first.
SHARE, STEPS = 0.1, 0.3
GATE = "held_out_sensors"
WHOLE, APART = "whole flow", "by how much the second training differs from the run, also where no sensor is"
FRAMES = 3  # of an unsteady flow: begin, middle, end


@dataclass(frozen=True)
class HeldOut:
    """What the second training found."""

    measured: list[Measured]  # for the checks
    facts: dict[str, Any] | None = None  # the entry of metrics.json; None where no training was made


def held_out_sensors(
    config: Config,
    case: Case,
    console: Console | None,
    whole: FieldModel | None = None,
    found: Mapping[str, float] | None = None,
) -> HeldOut | None:
    """Trains again without some of the sensors, and measures the error there; None where there is a reference.

    The setting evals.left_out has it done with a reference as well. The second network is compared with ``whole``, that
    of the run; it starts from the numbers of the equations that the run has ``found``.
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
            model = _trained(*_as_found(config, case.rows(~left), found or {}), steps, bar)
    except NonFiniteLossError as error:
        return HeldOut([Measured(GATE, None, f"{note}; {error}")])
    there, every = (_values(config, part) for part in (case.rows(left), case))
    measured = [
        item._replace(gate=GATE, note=f"{item.note}; {note}" if item.note else note)
        for item in there.relative_misfit(model, every)
    ]
    fluctuation = _fluctuation_error(model, case, place_of.reshape(-1), left)
    if fluctuation is not None:
        said = ", ".join(filter(None, ("of the fluctuation about the mean over time", fluctuation.note)))
        measured.append(fluctuation._replace(note=f"{said}; {note}"))
    if whole is not None:
        measured.append(_apart(whole, model, case)._replace(note=f"{APART}; {note}"))
    facts = {"positions": places[np.sort(chosen)].tolist(), "num_used": len(places) - count, "steps": steps}
    return HeldOut(measured, facts)


class _Shown(Hook):
    """Shows how far a training is."""

    def __init__(self, bar: ProgressBar, name: str, steps: int) -> None:
        self._bar, self._name, self._steps = bar, name, steps

    def on_step(self, step: int) -> None:
        self._bar.advance(self._name, step, self._steps)


def further_training(config: Config, case: Case, bar: ProgressBar, name: str) -> Trainer:
    """The trainer of another network beside that of the run, which shows its steps by a name."""
    flow = flow_problem(config, case)
    if case.start is not None:
        fit_to_start(flow)
    trainer = make_trainer(config, flow.problem, flow.weights)
    trainer.hooks.append(_Shown(bar, name, trainer.steps))
    return trainer


def _as_found(config: Config, case: Case, found: Mapping[str, float]) -> tuple[Config, Case]:
    """Settings and case whose viscosity and force are those that were found."""
    forces = dict(zip("xyz"[: case.dim], config.problem.forcing or (0.0,) * case.dim, strict=True))
    changed = {axis: found.get(f"forcing_{axis}", force) for axis, force in forces.items()}
    if changed != forces:
        problem = config.problem.model_copy(update={"forcing": tuple(changed.values())})
        config = config.model_copy(update={"problem": problem})
    return config, replace(case, nu=found.get("nu", case.nu))


def _trained(config: Config, case: Case, steps: int, bar: ProgressBar) -> FieldModel:
    """The network after a training of its own."""
    config = config.model_copy(update={"train": config.train.model_copy(update={"steps": steps})})
    trainer = further_training(config, started(config, case), bar, "training without some sensors")
    trainer.run()
    return trainer.problem.model


def _apart(run: FieldModel, second: FieldModel, case: Case) -> Measured:
    """The relative difference of the velocity over the output points in the flow, and where it is largest."""
    frames = np.unique(np.linspace(0, case.output.num_frames - 1, FRAMES).round().astype(np.intp)).tolist()
    at = np.concatenate([case.output.coordinates(frame)[case.in_flow] for frame in frames])
    wanted, found = (model.predict(at)[:, : case.dim] for model in (run, second))
    squares, size = np.sum((found - wanted) ** 2, axis=1), float(np.linalg.norm(wanted))
    worst, row = largest_share(squares, size)
    return Measured(
        GATE,
        float(np.sqrt(squares.sum())) / size,
        part=WHOLE,
        worst=worst,
        worst_at=place_and_time(at[row], case.bounds),
    )


def _values(config: Config, case: Case) -> MeasuredValues:
    (data,) = (term for term in flow_problem(config, case).problem.terms if type(term) is MeasuredValues)
    return data


def _fluctuation_error(
    model: FieldModel, case: Case, place_of: NDArray[np.intp], left: NDArray[np.bool_]
) -> Measured | None:
    """The error of the velocity less its mean over the times of each sensor; None where hardly anything moves.

    Where the noise is known, what it leaves in the mean is subtracted from the squares.
    """
    known = np.isfinite(case.velocity)
    velocity = np.where(known, case.velocity, 0.0)
    wanted = _fluctuation(velocity, known, place_of)
    size, moving = float(np.linalg.norm(velocity)), float(np.linalg.norm(wanted))
    if not (moving >= SIGNIFICANT * size > 0 and known[left].any()):
        return None
    noise = _noise(case, known, place_of)[left]
    known, at = known[left], case.coordinates[left]
    found = _fluctuation(np.where(known, model.predict(at)[:, : case.dim], 0.0), known, place_of[left])
    typical = max(moving, LEAST_MOVING * size) * float(np.sqrt(known.sum() / np.isfinite(case.velocity).sum()))
    squares = np.sum((found - wanted[left]) ** 2 - noise, axis=1)
    worst, row = largest_share(squares, typical)
    place, value = place_and_time(at[row], case.bounds), float(np.sqrt(max(squares.sum(), 0.0))) / typical
    said = ["beyond the noise"] * bool(case.deviations) + [BESIDE_A_TENTH] * (moving < LEAST_MOVING * size)
    return Measured(GATE, value, ", ".join(said), part="fluctuation", worst=worst, worst_at=place)


def _noise(case: Case, known: NDArray[np.bool_], place_of: NDArray[np.intp]) -> NDArray[np.float64]:
    """The variance that noise gives values less the mean over the times of each sensor, [k, dim]; 0 where not known."""
    unknown = np.zeros(len(known))
    deviations = np.column_stack([case.deviations.get(name, unknown) for name in "uvw"[: case.dim]])
    times = np.stack([np.bincount(place_of, column)[place_of] for column in known.T], axis=1)
    return np.where(known, deviations**2 * (1.0 - 1.0 / np.maximum(times, 1.0)), 0.0)


def _fluctuation(
    values: NDArray[np.float64], known: NDArray[np.bool_], place_of: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Values less the mean over the times of each sensor, [k, dim]; 0 where they are not known."""
    values = values.copy()
    for place in np.unique(place_of):
        rows = place_of == place
        values[rows] -= known[rows] * (values[rows].sum(axis=0) / np.maximum(known[rows].sum(axis=0), 1))
    return values
