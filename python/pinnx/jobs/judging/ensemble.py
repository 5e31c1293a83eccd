"""A standard deviation for the fields at every point, from networks that are trained beside that of the run.

Each of the K members has seeds of its own and is trained without one of K equal parts of the sensors. Their spread
says where the fields are uncertain, but is too small: members agree on what is wrong. One factor mends that. With s the
standard deviation over the members, and r_i the errors of each at the sensors i of its part, which it has not seen,

    deviation = c s,   c^2 = (mean r_i^2 - mean noise^2) / (mean of s^2 over the flow),   c >= 1

so that its root mean square is that of errors at places without a sensor. The interval is that of a normal distribution
around the fields of the run. Sensors do not quite stand for all places, so its coverage is measured where the flow is
known, and else at the left-out sensors, of each part with the errors at the others.

Source of the members: Lakshminarayanan, Pritzel and Blundell, "Simple and scalable predictive uncertainty estimation
using deep ensembles", NeurIPS 2017.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from pinnx.config import Config
from pinnx.errors import PinnxError
from pinnx.jobs.cases.case import Case
from pinnx.jobs.cases.load_case import started
from pinnx.jobs.judging.held_out import further_training
from pinnx.models import FieldModel
from pinnx.report.formatting import percent, plural
from pinnx.runs.progress import ProgressBar
from pinnx.train.checkpoint_folder import CheckpointFolder, SaveCheckpoints
from pinnx.train.interrupt import StoppedBetweenSteps

__all__ = ["Ensemble", "check_members", "sensor_parts", "train_members"]

LEVEL = 0.9
HALF_WIDTH = NormalDist().inv_cdf(0.5 + LEVEL / 2)  # of the interval, in standard deviations
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


def train_members(config: Config, case: Case, folder: Path, console: Console | None) -> list[FieldModel]:
    """The networks of all members, trained one after the other; what an interrupted run has in the folder is used.

    Raises:
        StoppedBetweenSteps: Ctrl-C or SIGTERM, after the member at hand was saved.
        PinnxError: checkpoints none of which is whole.
    """
    part, models = sensor_parts(config, case), []
    with ProgressBar(console, transient=True) as bar:
        for member in range(config.evals.members):
            name, own = f"member {member + 1} of {config.evals.members}", folder / str(member)
            trainer = further_training(_seeded(config, member), started(config, case.rows(part != member)), bar, name)
            own.mkdir(parents=True, exist_ok=True)
            checkpoints = CheckpointFolder(own, keep=1)
            if any(own.glob("step-*")):
                trainer.load_state_dict(checkpoints.latest().state)
            bar.status(f"training {name}, without {plural(int((part == member).sum()), 'measurement')} of {len(part)}")
            trainer.hooks.append(SaveCheckpoints(checkpoints))
            try:
                trainer.run()
            except StoppedBetweenSteps:
                trainer.save()
                raise
            trainer.save()
            models.append(trainer.problem.model)
    return models


def _seeded(config: Config, member: int) -> Config:
    apart = SEEDS_APART * (member + 1)
    sections = {name: getattr(config, name) for name in ("model", "train")}
    seeded = {name: item.model_copy(update={"seed": item.seed + apart}) for name, item in sections.items()}
    return config.model_copy(update=seeded)


@dataclass(frozen=True, eq=False)
class Ensemble:
    """What the members say at the output points, frame by frame, in the user's units."""

    mean: NDArray[np.float32]  # [T n, c] float32
    # [T n, c] float32, standard, scaled; of a pressure known up to a constant that of its rest.
    deviation: NDArray[np.float32]
    factor: float  # c
    facts: dict[str, Any]  # the entry of metrics.json

    @classmethod
    def of(cls, models: list[FieldModel], part: NDArray[np.int64], case: Case, fields: NDArray[np.float64]) -> Ensemble:
        """What trained members say; ``part`` as `sensor_parts` gives it, fields [T n, c] of the run itself."""
        errors = _left_out_errors(models, part, case)
        frames = [_frame(models, case, frame) for frame in range(case.output.num_frames)]
        mean, spread = (np.concatenate(parts) for parts in zip(*frames, strict=True))
        inside = np.tile(case.in_flow, case.output.num_frames)
        noise = [case.deviations[name] for name in "uvw"[: case.dim] if name in case.deviations]
        of_noise = float(np.nanmean(np.square(noise))) if noise else 0.0
        squares = _mean_square(errors) - of_noise
        factor = float(np.sqrt(max(1.0, squares / np.mean(np.square(spread[inside, : case.dim], dtype=np.float64)))))
        deviation = (factor * spread).astype(np.float32)
        half = HALF_WIDTH * deviation[:, : case.dim]
        coverage, where = _coverage(fields[:, : case.dim], half, errors, case)
        facts = {
            "members": len(models),
            "level": LEVEL,
            "factor": factor,
            "coverage": coverage,
            "coverage_of": where,
            "width": float(2 * np.mean(half[inside]) / case.scales.velocity),
        }
        return cls(mean, deviation, factor, facts)

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
        parts = {"mean": self.mean, "deviation": self.deviation}
        return {
            f"ensemble/{part}/{name}": column
            for part, columns in parts.items()
            for name, column in zip(names, columns.T, strict=True)
        }


def _left_out_errors(models: list[FieldModel], part: NDArray[np.int64], case: Case) -> list[NDArray[np.float64]]:
    """Of each member |measured - predicted| at the sensors that it has not seen, [k, dim], NaN where not measured."""
    errors = []
    for member, model in enumerate(models):
        left = part == member
        errors.append(np.abs(case.velocity[left] - model.predict(case.coordinates[left])[:, : case.dim]))
    return errors


def _mean_square(errors: list[NDArray[np.float64]]) -> float:
    return float(np.nanmean(np.square(np.concatenate(errors))))


def _frame(models: list[FieldModel], case: Case, frame: int) -> tuple[NDArray[np.float32], ...]:
    """Mean and standard deviation over the members at the output points of a frame, [n, c]."""
    fields = np.stack([model.predict(case.output.coordinates(frame)) for model in models])
    if "p" not in case.measured:
        fields[..., -1] -= fields[:, case.in_flow, -1].mean(axis=1, keepdims=True)
    return fields.mean(axis=0).astype(np.float32), fields.std(axis=0, ddof=1).astype(np.float32)


def _coverage(
    velocity: NDArray[np.float64], half: NDArray[np.float32], errors: list[NDArray[np.float64]], case: Case
) -> tuple[float, str]:
    """The share of known components of the velocity that their interval holds, and where they are known."""
    if case.reference is not None:
        known, shape = case.reference.velocity, case.reference.velocity.shape
        held = np.abs(velocity.reshape(shape) - known) <= half.reshape(shape)
        return float(np.mean(held[:, case.in_flow])), "the reference"
    parts = []
    for member, mine in enumerate(errors):
        others = _mean_square([of for k, of in enumerate(errors) if k != member])
        parts.append((mine <= HALF_WIDTH * np.sqrt(others))[np.isfinite(mine)])
    return float(np.mean(np.concatenate(parts))), "sensors left out, by the errors at the others"
