"""Each check of numerical stability passes on a sound network and fails on one with that fault."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from pinnx.errors import PinnxError
from pinnx.evals.stability import NumericalStabilityChecker, verify_numerical_stability
from pinnx.models import FourierNetwork, random_frequencies
from pinnx.physics import BoundaryCondition, BoundaryValues, EquationTerm, NavierStokes, Side
from pinnx.train.problem import Problem

BOUNDS = {"x": (0.0, 1.0), "y": (0.0, 1.0)}
POINTS = torch.rand((200, 2), generator=torch.Generator().manual_seed(0))


def network(seed: int = 0) -> FourierNetwork:
    return FourierNetwork(random_frequencies((1.0, 1.0), 1.0, 8, seed=seed), 3, width=16, layers=3, seed=seed)


class Cancelling(nn.Module):
    """Two large outputs that nearly cancel."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(2, 1, bias=False)
        with torch.no_grad():
            self.last.weight.copy_(torch.tensor([[1e4, -1e4]]))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.stack([1 + x[:, 0] * 1e-4, 1 + x[:, 1] * 1e-4], dim=1))


def saturated() -> nn.Module:
    """Hidden units that all stand at the ends of tanh."""
    model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
    with torch.no_grad():
        model[0].bias.fill_(12.0)
    return model


def scaled(name: str, factor: float) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        model = network()
        with torch.no_grad():
            model.get_parameter(name).mul_(factor)
        return model

    return make


def constant() -> nn.Module:
    model = nn.Linear(2, 1)
    nn.init.zeros_(model.weight)
    return model


def test_sound_networks_pass_every_check() -> None:
    for seed in range(3):
        checks = NumericalStabilityChecker().check_all(network(seed), POINTS)
        assert len(checks) == 6
        assert all(check.passed for check in checks), [check for check in checks if not check.passed]
    assert all(p.grad is None for p in network().parameters())


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("gradient_explosion", Cancelling),
        ("gradient_vanishing", saturated),
        ("spectral_norm", scaled("weight_0", 200.0)),
        ("sensitivity", lambda: FourierNetwork(300.0 * network().frequencies, 3, width=16, layers=3, seed=0)),
        ("rounding", Cancelling),
        ("constant_field", constant),
        ("constant_field", saturated),
        ("gradient_explosion", scaled("weight_1", math.nan)),
        ("rounding", scaled("weight_1", math.inf)),
    ],
)
def test_each_fault_fails_its_check(name: str, make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    checks = {check.name: check for check in NumericalStabilityChecker().check_all(make(), POINTS)}
    assert checks[name].status == "failed"


class AtRest(nn.Module):
    """u = v = 0 everywhere, and a pressure that varies as that of a fluid at rest does."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([0 * x[:, 0], 0 * x[:, 0], -9.81 * x[:, 1]], dim=1)


def test_a_velocity_that_is_zero_everywhere_is_trivial_whatever_the_pressure_does() -> None:
    def status(model: nn.Module, **known: float | int) -> str:
        return NumericalStabilityChecker().check_trivial_solution(model, POINTS, **known).status

    sound = network()
    assert status(AtRest(), velocity=2) == "failed"
    assert status(sound, velocity=2) == "passed"
    assert status(AtRest(), velocity=2, known=0.3) == "failed"
    assert status(sound, velocity=2, known=0.3) == "passed"
    assert status(sound, velocity=2, known=1e4) == "failed", "next to what is known the network is constant"
    assert status(AtRest(), velocity=2, known=0.0) == "passed", "a fluid at rest"
    assert status(scaled("weight_1", math.nan)(), velocity=2, known=0.0) == "failed"
    found = {item.name: item for item in NumericalStabilityChecker().check_all(sound, POINTS, velocity=2, known=1e4)}
    assert found["constant_field"].status == "failed"


def problem(model: FourierNetwork, *, walls: bool = True) -> Problem:
    equation = EquationTerm(NavierStokes(2, steady=True, nu=0.1), bounds=BOUNDS, num_points=16, seed=0)
    wall = BoundaryCondition(Side("bottom"), {"u": 0.0, "v": 0.0}, BOUNDS)
    sides = [BoundaryValues([wall], 8, bounds=BOUNDS, seed=0)] if walls else []
    return Problem(model, [equation, *sides], fields=("u", "v", "p"))


def test_the_four_named_checks() -> None:
    model = network()
    found = verify_numerical_stability(model, problem(model), num_points=50)
    assert list(found) == ["gradient_finite", "pde_residual", "conservation", "boundary_satisfaction"]
    assert [check.passed for check in found["gradient_finite"]] == [True]
    others = [check for name in list(found)[1:] for check in found[name]]
    assert {check.status for check in others} == {"failed"}, "an untrained network obeys nothing"
    assert all(math.isfinite(check.value) for check in others)
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    rest = verify_numerical_stability(model, problem(model), num_points=50)
    assert all(check.passed for checks in rest.values() for check in checks), "a fluid at rest obeys everything"
    with torch.no_grad():
        next(iter(model.parameters())).fill_(math.nan)
    assert not verify_numerical_stability(model, problem(model))["gradient_finite"][0].passed


def test_nothing_to_check_is_no_pass_and_another_model_is_refused() -> None:
    model = network()
    (boundary,) = verify_numerical_stability(model, problem(model, walls=False))["boundary_satisfaction"]
    assert (boundary.passed, boundary.note) == (False, "nothing to check: no value")
    with pytest.raises(PinnxError, match="expected the problem of this model"):
        verify_numerical_stability(network(), problem(model))
    with pytest.raises(PinnxError, match=r"points: expected shape \[n, d\] with n > 0, got \[0, 2\]"):
        NumericalStabilityChecker().check_sensitivity(model, POINTS[:0])
    with pytest.raises(PinnxError, match="a network with matrices"):
        NumericalStabilityChecker().check_spectral_norms(nn.Tanh())
    with pytest.raises(PinnxError, match=r"check: expected one of .*'explosion'"):
        NumericalStabilityChecker(limits={"explosion": 1.0})
    one_place = NumericalStabilityChecker().check_sensitivity(model, POINTS[:1])
    assert one_place.status == "failed"
    assert "the points are one place" in one_place.note


def test_a_frozen_network_has_the_gradients_of_the_same_network() -> None:
    model = network()
    wanted = NumericalStabilityChecker().check_gradient_explosion(model, POINTS)
    assert NumericalStabilityChecker().check_gradient_explosion(model.requires_grad_(False), POINTS) == wanted
    assert not any(p.requires_grad for p in model.parameters())
