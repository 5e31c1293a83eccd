"""Sensors that the fields miss by far more than the others are named, and no others."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pinnx.config import Config
from pinnx.jobs import reconstruct
from pinnx.jobs.flows import flow_run
from pinnx.jobs.judging.beside_norms import FEWEST_SENSORS, outlying_sensors


def sentences(change: Any = None, count: int = 40, frames: int = 3) -> list[str]:
    """Of sensors with noise in a flow that the model has exactly; ``change`` alters the measured [frames, count, 2]."""
    draws = np.random.default_rng(0)
    places = draws.uniform(size=(count, 2))
    at = np.column_stack([np.repeat(np.arange(float(frames)), count), np.tile(places, (frames, 1))])

    def predict(x: np.ndarray) -> np.ndarray:
        return np.column_stack([1 + x[:, 1], x[:, 2] - 2, 0 * x[:, 0]])

    velocity = (predict(at)[:, :2] + 0.01 * draws.standard_normal((len(at), 2))).reshape(frames, count, 2)
    velocity[0, 5, 1] = np.nan
    if change is not None:
        change(velocity)
    sensors = SimpleNamespace(positions=places)
    case: Any = SimpleNamespace(coordinates=at, velocity=velocity.reshape(-1, 2), dim=2, sensors=sensors)
    model: Any = SimpleNamespace(predict=predict)
    return outlying_sensors(case, model)


def exchange(velocity: np.ndarray) -> None:
    velocity[:, [0, 7]] = velocity[:, [7, 0]]


def turn(velocity: np.ndarray) -> None:
    velocity[:, 11] *= -1


def scale(velocity: np.ndarray) -> None:
    velocity[:, 3] *= 1e-3


@pytest.mark.parametrize(("change", "ranks"), [(exchange, {1, 8}), (turn, {12}), (scale, {4})])
def test_the_wrong_ones_are_named(change: Any, ranks: set[int]) -> None:
    (sentence,) = sentences(change)
    assert {int(rank) for rank in re.findall(r"(\d+) at \(", sentence)} == ranks


def test_right_ones_and_a_few_are_not() -> None:
    assert sentences() == []
    assert sentences(turn, count=FEWEST_SENSORS - 1) == []
    assert sentences(turn, count=FEWEST_SENSORS) != []


def test_no_velocity_at_all_names_none() -> None:
    def nothing(velocity: np.ndarray) -> None:
        velocity[:] = np.nan

    assert sentences(nothing) == []


def test_a_run_says_it(
    tiny: Callable[..., Config], tmp_path: Path, no_report: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow_run, "outlying_sensors", lambda case, model: [f"{len(case.sensors)} are wrong"])
    metrics = reconstruct(tiny("steady_csv", "train.steps=2"), tmp_path / "run")
    assert f"{metrics['num_sensors']} are wrong" in metrics["notes"]
