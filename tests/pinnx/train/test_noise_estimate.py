"""The noise by sensors that are left out: what refits without each of them give, and the noise of a draw."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from pinnx.physics import MeasuredValues
from pinnx.train import Problem
from pinnx.train import noise_estimate as module
from pinnx.train.noise_estimate import estimated_noise
from pinnx.train.residual_rows import ResidualRows

Build = Callable[..., Problem]


def measuring(problem: Problem, places: np.ndarray, values: np.ndarray) -> Problem:
    """The problem with other measurements."""
    equations, _, *others = problem.terms
    terms = [equations, MeasuredValues(places, values, vector=2), *others]
    return Problem(problem.model, terms, fields=("u", "v", "p"))


@pytest.mark.parametrize("parts_measured", [False, True])
@pytest.mark.parametrize("trial", [1e-2, 1e2])
def test_it_is_that_of_refits_without_each_sensor(
    make_problem: Build, monkeypatch: pytest.MonkeyPatch, parts_measured: bool, trial: float
) -> None:
    monkeypatch.setattr(module, "DAMPING", 1e-3)
    monkeypatch.setattr(module, "TRIALS", np.array([trial]))
    problem = make_problem(dtype=torch.float64, parts_measured=parts_measured)
    weights = torch.linspace(0.5, 2.0, len(problem.names), dtype=torch.float64)
    found = estimated_noise(problem, weights, 5)
    assert found is not None

    residual, blocks = ResidualRows(problem).at(problem.batch(5), weights)
    J, first, data = torch.cat(blocks), len(blocks[0]), len(blocks[1])
    measured = J.abs().sum(1) > 0
    sensor = torch.full((len(J),), -1)
    sensor[first : first + data] = torch.arange(6).repeat_interleave(data // 6)
    mu = 1e-3 * J.square().sum() / J.shape[1]
    behind = torch.cat([J[sensor < 0], mu.sqrt() * torch.eye(J.shape[1], dtype=torch.float64)])
    D = J[(sensor >= 0) & measured]
    explained = D @ torch.linalg.solve(behind.T @ behind, D.T) * mu
    root = (mu / (trial * explained.diagonal().mean())).sqrt()

    def left(rows: torch.Tensor) -> torch.Tensor:
        """Residuals of the sensors after a fit to the other rows and to these of the sensors."""
        some = (sensor >= 0) & rows & measured
        A = torch.cat([behind, root * J[some]])
        b = torch.cat([residual[sensor < 0], torch.zeros(J.shape[1]), root * residual[some]])
        return residual - J @ torch.linalg.solve(A.T @ A, A.T @ b)

    errors = torch.cat([left(sensor != s)[(sensor == s) & measured] for s in range(6)])
    fitted = left(sensor >= 0)[(sensor >= 0) & measured]
    weight = float(weights[problem.names.index("data")])
    assert found.left_out == pytest.approx(float((errors.square().sum() / weight).sqrt()), rel=1e-5)
    assert found.deviation == pytest.approx(float(((errors * fitted).sum().clamp_min(0.0) / weight).sqrt()), rel=1e-5)


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_it_finds_the_noise_of_what_the_network_could_say(make_problem: Build, noise: float) -> None:
    """Sensors see the network itself, and noise. Seed 4."""
    problem = make_problem(dtype=torch.float64)
    rng = np.random.default_rng(4)
    places = rng.uniform(size=(60, 3))
    seen = problem.model.predict(places)[:, :2]
    problem = measuring(problem, places, seen + noise * rng.normal(size=seen.shape))
    # The network has learned neither equations nor sides.
    weights = torch.tensor([1.0 if name == "data" else 1e-10 for name in problem.names], dtype=torch.float64)
    found = estimated_noise(problem, weights, 0)
    assert found is not None
    assert found.deviation == pytest.approx(noise, rel=0.2, abs=5e-3)


@pytest.mark.parametrize(("wrong", "count"), [(None, 14), ("scale", 14), ("time", 14), ("two", 14), ("scale", 7)])
def test_one_sensor_that_the_others_contradict_is_named(make_problem: Build, wrong: str | None, count: int) -> None:
    """Sensors see the network itself at four times, and noise; of all but two that are wrong, and of a few, none is."""
    problem = make_problem(dtype=torch.float64, width=4)
    problem.model.origin, problem.model.coordinate_scales = np.array([0.0, 5e5, -3.0]), np.array([1.0, 2.0, 0.5])
    rng = np.random.default_rng(7)
    places = problem.model.origin[1:] + problem.model.coordinate_scales[1:] * rng.uniform(size=(count, 2))
    at = np.column_stack([np.repeat(np.linspace(0, 1, 4), count), np.tile(places, (4, 1))])
    seen = problem.model.predict(at)[:, :2]
    seen += 0.01 * rng.normal(size=seen.shape)
    sensors = np.tile(np.arange(count), 4)
    if wrong == "time":
        seen[sensors == 5] = np.roll(seen[sensors == 5], 2, axis=0)
    elif wrong is not None:
        seen[np.isin(sensors, [5, 9] if wrong == "two" else [5])] *= 3.0
    problem = measuring(problem, at, seen)
    weights = torch.tensor([1.0 if name == "data" else 1e-10 for name in problem.names], dtype=torch.float64)
    found = estimated_noise(problem, weights, 0)
    if wrong in (None, "two") or count < 8:
        assert found.contradicting is None
    else:
        assert found.contradicting.place == pytest.approx(places[5].tolist(), rel=1e-12)
        assert found.contradicting.left_out < found.left_out / 2


def test_the_problem_is_left_as_it_was_and_one_sensor_says_nothing(make_problem: Build) -> None:
    problem = make_problem()
    before = [p.detach().clone() for p in problem.parameters()]
    weights = torch.ones(len(problem.names))
    assert estimated_noise(problem, weights, 3) is not None
    assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(before, problem.parameters(), strict=True))
    problem = measuring(problem, np.array([[0.0, 0.5, 0.5], [1.0, 0.5, 0.5]]), np.ones((2, 2)))
    assert estimated_noise(problem, weights, 3) is None
