"""Noise that is found while training: from its step on the weight follows it, and a resumed run has the same bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from pinnx.errors import PinnxError
from pinnx.losses import Discrepancy, LossWeights, usual_square
from pinnx.train import Problem, Trainer
from pinnx.train import found_noise as module
from pinnx.train.found_noise import FoundNoise
from pinnx.train.noise_estimate import NoiseEstimate

Build = Callable[..., Any]


@pytest.fixture
def make_noisy(make_problem: Build, make_trainer: Build) -> Callable[..., Trainer]:
    """A trainer of the small problem that estimates the noise after 4 of 12 steps."""

    def build() -> Trainer:
        problem: Problem = make_problem()
        weights = LossWeights(dict.fromkeys(problem.names, 1.0), problem.names, problem.model.frequencies)
        strategy = Discrepancy(weights.configured, problem.names.index("data"), 0.0)
        weights.adapt_by(strategy)
        return make_trainer(
            problem=problem, weights=weights, noise=FoundNoise(problem, weights, strategy, at=4), checkpoint_every=3
        )

    return build


def trained_to(trainer: Trainer, step: int) -> Trainer:
    while trainer.step < step:
        trainer.train_step()
    return trainer


def parameters(trainer: Trainer) -> list[bytes]:
    return [parameter.detach().numpy().tobytes() for parameter in trainer.problem.parameters()]


def of_share(monkeypatch: pytest.MonkeyPatch, share: float | None) -> None:
    """The estimate, as a share of the measurements."""

    def estimate(problem: Problem, weights: torch.Tensor, step: int) -> NoiseEstimate | None:
        return None if share is None else NoiseEstimate(share * problem.terms[1].size, 1.0)

    monkeypatch.setattr(module, "estimated_noise", estimate)


@pytest.mark.parametrize("stop", [2, 4, 7])
def test_a_resumed_run_has_the_noise_and_the_same_bits(
    make_noisy: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    of_share(monkeypatch, 1e3)  # larger than any misfit: the weight falls from then on
    whole = trained_to(make_noisy(), 12)
    resumed = make_noisy()
    resumed.load_state_dict(trained_to(make_noisy(), stop).state_dict())
    assert parameters(trained_to(resumed, 12)) == parameters(whole)
    data = whole.problem.terms[1]
    assert data.variance == pytest.approx((1e3 * data.size) ** 2)
    factor = float(whole.weights.values[whole.problem.names.index("data")])
    assert factor == pytest.approx(torch.tensor(0.02).neg().exp().item() ** 8, rel=2e-3)
    assert whole.clock.notes == ["step 4: noise of the measurements 1e+03 of their size, by leaving each sensor out"]
    earlier = trained_to(make_noisy(), 3)
    resumed.load_state_dict(earlier.state_dict())
    assert resumed.problem.terms[1].variance is None


@pytest.mark.parametrize(
    ("share", "said"), [(0.004, "no noise of the measurements found"), (None, "no sensor can be left out")]
)
def test_without_noise_no_bit_changes(
    make_noisy: Callable[..., Trainer],
    make_trainer: Build,
    monkeypatch: pytest.MonkeyPatch,
    share: float | None,
    said: str,
) -> None:
    of_share(monkeypatch, share)
    found = trained_to(make_noisy(), 12)
    assert parameters(found) == parameters(trained_to(make_trainer(), 12))
    assert said in found.clock.notes[0]


def test_a_network_without_rows_is_a_note(make_noisy: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*given: object) -> None:
        raise PinnxError("another network")

    monkeypatch.setattr(module, "estimated_noise", refused)
    assert trained_to(make_noisy(), 5).clock.notes == ["step 4: no estimate of the noise: another network"]


def test_the_square_is_what_is_usual(make_noisy: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch) -> None:
    of_share(monkeypatch, 0.5)
    trainer = trained_to(make_noisy(), 5)
    (strategy,) = trainer.weights.strategies
    wanted = (0.5 * trainer.problem.terms[1].size) ** 2 * usual_square(12)
    assert float(strategy.square) == pytest.approx(wanted, rel=1e-6)
