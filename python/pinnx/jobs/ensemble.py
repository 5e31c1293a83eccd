"""An interval for the fields, from networks that are trained beside that of the run.

Each of the K members has seeds of its own and is trained without one of K equal parts of the sensors. With f_k its
fields and r_i = |y_i - f_k(x_i)| the errors at the sensors i of its part, which it has not seen, the interval at x is
that of cross-validation+ (CV+), with no number chosen by hand:

    [ the lower quantile of f_k(i)(x) - r_i over i,  the upper one of f_k(i)(x) + r_i ]

Where sensors stand for all places (they are exchangeable), it holds the truth with a probability of 0.8 at least and of
about 0.9 in practice. Sensors are not quite so, which is why the coverage is measured where the flow is known.

Source: Barber, Candes, Ramdas and Tibshirani, "Predictive inference with the jackknife+", Annals of Statistics 49
(2021), section 3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from pinnx.config import Config
from pinnx.errors import PinnxError
from pinnx.jobs.case import Case
from pinnx.jobs.flow_problem import flow_problem
from pinnx.jobs.training import make_trainer
from pinnx.models import FieldModel
from pinnx.report.formatting import percent, plural
from pinnx.runs.progress import ProgressBar
from pinnx.train.checkpoint_folder import CheckpointFolder
from pinnx.train.hooks import Hook
from pinnx.train.trainer import StoppedBetweenSteps, Trainer

__all__ = ["Ensemble", "check_members", "sensor_parts", "train_members"]

LEVEL = 0.9
# The errors of a part as so many of their quantiles: time does not grow with the number of measurements.
QUANTILES = 20
BLOCK = 8192  # points whose interval is found at once
SEEDS_APART = 1000  # of one member and the next, so that no draw of one is a draw of another


def sensor_parts(config: Config, case: Case) -> NDArray[np.int64]:
    """The part of each measurement, [k], 0 .. members - 1: those of one place are in one part."""
    places, place_of = np.unique(case.coordinates[:, -case.dim :], axis=0, return_inverse=True)
    parts = np.arange(len(places)) % config.evals.members
    return np.random.default_rng(config.seed).permutation(parts)[place_of.reshape(-1)]


def check_members(config: Config, case: Case) -> None:
    """Refuses what leaves a member without a part of the sensors.

    Raises:
        PinnxError: fewer sensors than members, or a component of the velocity that is not measured in each part.
    """
    members = config.evals.members
    if members is None:
        return
    part = sensor_parts(config, case)
    if part.max() + 1 < members:
        raise PinnxError(f"evals.members: expected at most one for each of {part.max() + 1} sensors, got {members}")
    measured = [np.isfinite(case.velocity[part == k]).any(axis=0) for k in range(members)]
    missing = [name for name, known in zip("uvw", np.all(measured, axis=0), strict=False) if not known]
    if missing:
        raise PinnxError(f"evals.members: expected measurements of {', '.join(missing)} in each of {members} parts")


class _Saved(Hook):
    """Writes the checkpoints of a member, and shows how far it is."""

    def __init__(self, checkpoints: CheckpointFolder, bar: ProgressBar, name: str, steps: int) -> None:
        self._checkpoints, self._bar, self._name, self._steps = checkpoints, bar, name, steps

    def on_step(self, step: int) -> None:
        self._bar.advance(self._name, step, self._steps)

    def on_checkpoint(self, state: dict[str, Any]) -> None:
        self._checkpoints.save(state, None)


def train_members(config: Config, case: Case, folder: Path, console: Console | None) -> list[FieldModel]:
    """The networks of all members, trained one after the other; what an interrupted run has of them is used.

    Args:
        config: that of the run; ``evals.members`` says how many.
        case: with all sensors.
        folder: of the members' checkpoints.
        console: where progress is shown; None: nowhere.

    Raises:
        StoppedBetweenSteps: Ctrl-C or SIGTERM, after the member at hand was saved.
        PinnxError: checkpoints none of which is whole.
    """
    part, models = sensor_parts(config, case), []
    with ProgressBar(console, transient=True) as bar:
        for member in range(config.evals.members):
            trainer, own = _trainer(config, case.rows(part != member), member), folder / str(member)
            own.mkdir(parents=True, exist_ok=True)
            checkpoints = CheckpointFolder(own, keep=1)
            if any(own.glob("step-*")):
                trainer.load_state_dict(checkpoints.latest().state)
            name = f"member {member + 1} of {config.evals.members}"
            bar.status(f"training {name}, without {plural(int((part == member).sum()), 'measurement')} of {len(part)}")
            trainer.hooks.append(_Saved(checkpoints, bar, name, trainer.steps))
            try:
                trainer.run()
            except StoppedBetweenSteps:
                trainer.save()
                raise
            trainer.save()
            models.append(trainer.problem.model)
    return models


def _trainer(config: Config, case: Case, member: int) -> Trainer:
    apart = SEEDS_APART * (member + 1)
    sections = {name: getattr(config, name) for name in ("model", "train")}
    seeded = {name: item.model_copy(update={"seed": item.seed + apart}) for name, item in sections.items()}
    config = config.model_copy(update=seeded)
    flow = flow_problem(config, case)
    return make_trainer(config, flow.problem, flow.weights)


@dataclass(frozen=True, eq=False)
class Ensemble:
    """What the members say at the output points, frame by frame, in the user's units.

    Args:
        mean: [T n, c] float32.
        deviation: [T n, c] float32, standard, over the members; a pressure known up to a constant less its mean.
        low: [T n, dim] float32, lower end of the interval of each component of the velocity.
        high: [T n, dim] float32, its upper end.
        facts: the entry of metrics.json.
    """

    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    facts: dict[str, Any]

    @classmethod
    def of(cls, models: list[FieldModel], part: NDArray[np.int64], case: Case) -> Ensemble:
        """The fields of trained members.

        Args:
            models: of the members.
            part: of each measurement, as `sensor_parts` gives it.
            case: the output points, the measurements, the reference.
        """
        errors = _left_out_errors(models, part, case)
        level = _level(len(np.unique(case.coordinates[:, -case.dim :], axis=0)))
        at = (np.arange(QUANTILES) + 0.5) / QUANTILES
        spread = np.stack([np.nanquantile(of_part, at, axis=0, method="inverted_cdf") for of_part in errors])
        frames = [_frame(models, spread, level, case, frame) for frame in range(case.output.num_frames)]
        mean, deviation, low, high = (np.concatenate(parts) for parts in zip(*frames, strict=True))
        coverage, where = _coverage(low, high, errors, level, case)
        facts = {
            "members": len(models),
            "level": LEVEL,
            "coverage": coverage,
            "coverage_of": where,
            "width": float(np.mean(high - low) / case.scales.velocity),
        }
        return cls(mean, deviation, low, high, facts)

    def __str__(self) -> str:
        """The result in one line."""
        facts = self.facts
        return (
            f"members: the {percent(facts['level'])} interval of the velocity of {facts['members']} networks holds "
            f"{percent(facts['coverage'])} of the numbers of {facts['coverage_of']}; "
            f"its mean width is {percent(facts['width'])} of the velocity scale"
        )

    def stored(self, names: tuple[str, ...]) -> dict[str, NDArray[np.float32]]:
        """Columns for fields.h5 by the names of their datasets."""
        parts = {"mean": self.mean, "deviation": self.deviation, "low": self.low, "high": self.high}
        return {
            f"ensemble/{part}/{name}": column
            for part, columns in parts.items()
            for name, column in zip(names, columns.T, strict=False)  # an interval is one of the velocity alone
        }


def _left_out_errors(models: list[FieldModel], part: NDArray[np.int64], case: Case) -> list[NDArray[np.float64]]:
    """Of each member |measured - predicted| at the sensors that it has not seen, [k, dim], NaN where not measured."""
    errors = []
    for member, model in enumerate(models):
        left = part == member
        errors.append(np.abs(case.velocity[left] - model.predict(case.coordinates[left])[:, : case.dim]))
    return errors


def _level(num_places: int) -> float:
    """The quantile that a new error stays below with probability LEVEL: of few the largest."""
    return min(1.0, math.ceil(LEVEL * (num_places + 1)) / num_places)


def _frame(
    models: list[FieldModel], spread: NDArray[np.float64], level: float, case: Case, frame: int
) -> tuple[NDArray[np.float32], ...]:
    """Mean, deviation and both ends of the interval at the output points of a frame."""
    fields = np.stack([model.predict(case.output.coordinates(frame)) for model in models])
    velocity = fields[..., : case.dim]
    blocks = [_interval(velocity[:, i : i + BLOCK], spread, level) for i in range(0, velocity.shape[1], BLOCK)]
    low, high = (np.concatenate(ends) for ends in zip(*blocks, strict=True))
    if "p" not in case.measured:
        inside = case.in_flow
        fields[..., -1] -= fields[:, inside, -1].mean(axis=1, keepdims=True)
    return tuple(a.astype(np.float32) for a in (fields.mean(axis=0), fields.std(axis=0, ddof=1), low, high))


def _interval(
    velocity: NDArray[np.float64], spread: NDArray[np.float64], level: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both ends at n points, [n, dim], of velocities [members, n, dim] and errors [members, quantiles, dim]."""
    count = spread.shape[0] * spread.shape[1]
    last, shape = math.ceil(level * count) - 1, (count, *velocity.shape[1:])
    above = (velocity[:, None] + spread[:, :, None]).reshape(shape)
    below = (velocity[:, None] - spread[:, :, None]).reshape(shape)
    first = count - 1 - last
    return np.partition(below, first, axis=0)[first], np.partition(above, last, axis=0)[last]


def _coverage(
    low: NDArray[np.float32], high: NDArray[np.float32], errors: list[NDArray[np.float64]], level: float, case: Case
) -> tuple[float, str]:
    """The share of known components of the velocity that their interval holds, and where they are known."""
    if case.reference is not None:
        inside, shape = case.in_flow, case.reference.velocity.shape
        ends = (end.reshape(shape)[:, inside] for end in (low, high))
        known = case.reference.velocity[:, inside].astype(np.float32)
        below, above = (op(known, end) for op, end in zip((np.greater_equal, np.less_equal), ends, strict=True))
        return float(np.mean(below & above)), "the reference"
    held = []
    for member, mine in enumerate(errors):
        others = np.concatenate([e for k, e in enumerate(errors) if k != member])
        bound = np.nanquantile(others, level, axis=0)
        held.append((mine <= bound)[np.isfinite(mine)])
    return float(np.mean(np.concatenate(held))), "sensors left out, by the errors at the others"
