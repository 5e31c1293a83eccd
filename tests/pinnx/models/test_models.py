"""Every model against its paper's formula in plain torch: jets, gradients, what it is at the start."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import torch
from tolerances import EPS64, KERNEL_FLOAT64, normal_spread, periodicity, rounding
from torch import Tensor
from torch.nn.functional import linear

import pinn_ext
from pinn_ext.reference import jet_of
from pinnx.errors import PinnxError
from pinnx.models import (
    Circle,
    FieldModel,
    FourierNetwork,
    HardBoundaries,
    Held,
    PirateNetwork,
    Plane,
    Siren,
    factorize_weights,
    random_frequencies,
    train_frequencies,
)

SPECS = [
    pinn_ext.JetSpec(first=(0, 1, 2), laplacian=(1, 2)),
    pinn_ext.JetSpec(first=(2, 1), laplacian=(2, 1), weights=(0.5, 2.0)),
    pinn_ext.JetSpec(first=(1,)),
    pinn_ext.JetSpec(),
]
B = random_frequencies((0.5, 1.0, 2.0), 0.7, 5, seed=3, bands=(0.5, 2.0))
Outputs = Callable[[Tensor], Tensor]


class Case(NamedTuple):
    """A model and its formula in plain torch."""

    model: FieldModel
    formula: Outputs


def features(x: Tensor, frequencies: Tensor) -> Tensor:
    phase = 2 * math.pi * x @ frequencies
    return torch.cat([phase.cos(), phase.sin()], dim=1)


def with_biases(model: FieldModel) -> FieldModel:
    """Zero at first: a bias in the wrong stream would not show."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "bias" in name or name == "alpha":
                parameter.uniform_(-0.5, 0.5, generator=generator)
    return model


def mlp() -> Case:
    """Several scales, trained frequencies, factorised weights, all at once."""
    model = with_biases(FourierNetwork(B, 3, width=8, layers=2, dtype=torch.float64))
    train_frequencies(model, fixed=(1,), rates=(1.0, 2.0, 3.0))
    factorize_weights(model, mean=0.5, deviation=0.2)
    given = dict(model.named_parameters())

    def formula(x: Tensor) -> Tensor:
        rates = torch.tensor([[1.0], [0.0], [3.0]], dtype=torch.float64)
        fixed = torch.zeros_like(B)
        fixed[1] = B[1]
        hidden = features(x, given["parametrizations.frequencies.original"] * rates + fixed)
        for layer in range(3):
            s, v = (given[f"parametrizations.weight_{layer}.original{i}"] for i in (0, 1))
            hidden = linear(hidden, torch.diag(s.exp()) @ v, given[f"bias_{layer}"])
            hidden = hidden.tanh() if layer < 2 else hidden
        return hidden

    return Case(model, formula)


def siren() -> Case:
    omega, scale, m = 7.0, (0.5, 1.0, 2.0), B.shape[1]
    model = Siren(B, 3, omega=omega, scale=scale, middle=(1.0, 0.5, 0.25), width=8, layers=2, dtype=torch.float64)
    given = dict(model.named_parameters())

    def formula(x: Tensor) -> Tensor:
        first = given["parametrizations.frequencies.original"].T
        paper = 2 * x * torch.tensor(scale, dtype=torch.float64) - 1  # from -1 to 1
        hidden = torch.sin(omega * linear(paper, first, given["phases"]))
        for layer in range(2):
            hidden = torch.sin(omega * linear(hidden, given[f"weight_{layer}"], given[f"bias_{layer}"]))
        return linear(hidden, given["weight_2"], given["bias_2"])

    assert given["weight_0"].shape == (8, m)
    return Case(model, formula)


def pirate() -> Case:
    model = with_biases(PirateNetwork(B, 3, blocks=2, activation="silu", dtype=torch.float64))
    factorize_weights(model)
    train_frequencies(model)
    given = dict(model.named_parameters())

    def layer(number: int, x: Tensor) -> Tensor:
        s, v = (given[f"parametrizations.weight_{number}.original{i}"] for i in (0, 1))
        return linear(x, s.exp()[:, None] * v, given[f"bias_{number}"])

    def formula(x: Tensor) -> Tensor:
        silu = torch.nn.functional.silu
        hidden = features(x, given["parametrizations.frequencies.original"])
        u, v = silu(layer(0, hidden)), silu(layer(1, hidden))
        for alpha, first in zip(given["alpha"], (2, 5), strict=True):
            f = silu(layer(first, hidden))
            g = silu(layer(first + 1, f * u + (1 - f) * v))
            h = silu(layer(first + 2, g * u + (1 - g) * v))
            hidden = alpha * h + (1 - alpha) * hidden
        return layer(8, hidden)

    return Case(model, formula)


SIDES = [
    Held(Plane(1, -0.3, 1.7), {0: 0.0, 1: 4.0}),
    Held(Plane(2, 1.1, -0.4), {0: 6.0, 1: 4.0}),
    Held(Circle((1, 2), (0.6, 0.3), 0.2), {0: -2.0}),
]


def hard() -> Case:
    inner = with_biases(FourierNetwork(B, 3, width=8, layers=2, dtype=torch.float64, field_scales=[2.0, 4.0, 8.0]))
    network = mlp_formula(inner)

    def formula(x: Tensor) -> Tensor:
        left, top = (x[:, 1] + 0.3), (1.1 - x[:, 2]) * 2 / 1.5
        s = (x[:, 1] - 0.6) ** 2 + (x[:, 2] - 0.3) ** 2 - 0.04
        body = s / (s + 0.12)
        weights = torch.stack([top * body, left * body, left * top])
        u = (3.0 * weights[1] - 1.0 * weights[2]) / weights.sum(0) + left * top * body * network(x)[:, 0]
        v = (1.0 * top + 1.0 * left) / (left + top) + left * top * network(x)[:, 1]
        return torch.stack([u, v, network(x)[:, 2]], dim=1)

    return Case(HardBoundaries(inner, SIDES), formula)


def mlp_formula(network: FourierNetwork) -> Outputs:
    def formula(x: Tensor) -> Tensor:
        hidden = features(x, network.frequencies)
        *inner, last = zip(network.weights, network.biases, strict=True)
        for pair in inner:
            hidden = linear(hidden, *pair).tanh()
        return linear(hidden, *last)

    return formula


CASES = {"mlp": mlp, "siren": siren, "piratenet": pirate, "hard": hard}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]()


def points(rng: np.random.Generator, n: int = 17) -> Tensor:
    """Off the walls and the body of ``SIDES``."""
    return torch.tensor(rng.uniform((-1.0, 0.9, -0.3), (2.0, 1.6, 1.0), (n, 3)))


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_jets_and_gradients_are_those_of_the_formula(
    case: Case, spec: pinn_ext.JetSpec, rng: np.random.Generator
) -> None:
    x = points(rng)
    jet, wanted = case.model.jet(x, spec), jet_of(case.formula, x, spec)
    for stream, oracle in zip(jet.data, wanted.data, strict=True):
        assert (stream - oracle).abs().max() <= KERNEL_FLOAT64 * oracle.abs().max()
    torch.testing.assert_close(case.model(x), jet.value, rtol=0.0, atol=KERNEL_FLOAT64)
    parameters = list(case.model.parameters())
    cotangent = torch.tensor(rng.normal(size=jet.data.shape))
    got = torch.autograd.grad(jet.data, parameters, cotangent)
    oracles = torch.autograd.grad(wanted.data, parameters, cotangent)
    for gradient, oracle in zip(got, oracles, strict=True):
        assert oracle.abs().max() > 0
        assert (gradient - oracle).abs().max() <= KERNEL_FLOAT64 * max(oracle.abs().max(), 1.0)


@pytest.mark.parametrize(("name", "fused"), [("mlp", True), ("siren", True), ("piratenet", False), ("hard", False)])
def test_a_model_says_whether_one_kernel_takes_it(name: str, fused: bool) -> None:
    assert CASES[name]().model.fused is fused


def test_a_factorised_network_is_the_same_at_the_start_and_learns_another_way(rng: np.random.Generator) -> None:
    x, norms = points(rng), []
    plain, factorised = (FourierNetwork(B, 3, width=8, layers=2, dtype=torch.float64) for _ in range(2))
    factorize_weights(factorised, mean=1.0, deviation=0.1, seed=4)
    torch.testing.assert_close(factorised(x), plain(x), rtol=0.0, atol=KERNEL_FLOAT64)
    scales = torch.cat([p for name, p in factorised.named_parameters() if name.endswith("original0")])
    assert abs(float(scales.detach().mean()) - 1.0) < 4 * 0.1 / math.sqrt(len(scales))
    for model in (plain, factorised):  # a step of descent: the same direction would leave the same outputs
        model(x).square().sum().backward()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= 1e-3 * parameter.grad
        norms.append(model(x).detach())
    assert (norms[0] - norms[1]).abs().max() > 1e-4


def test_a_piratenet_is_linear_in_its_features_at_the_start(rng: np.random.Generator) -> None:
    model, x = PirateNetwork(B, 3, blocks=3, dtype=torch.float64), points(rng)
    last = dict(model.named_parameters())["weight_11"]
    torch.testing.assert_close(model(x), linear(features(x, B), last), rtol=0.0, atol=KERNEL_FLOAT64)
    with torch.no_grad():
        model.alpha.fill_(0.5)
    assert (model(x) - linear(features(x, B), last)).abs().max() > 1e-3


def test_a_siren_starts_as_its_paper_says() -> None:
    omega, m = 30.0, 400
    # The paper's first layer, uniform within 1 / d at inputs from -1 to 1: so many waves in the extent of an input.
    sigma = omega / (math.pi * 2 * math.sqrt(3))
    frequencies = random_frequencies((1.0, 1.0), sigma, m, seed=0, uniform=True)
    model = Siren(frequencies, 3, omega=omega, scale=(1.0, 1.0), width=m, layers=2, dtype=torch.float64)
    given = dict(model.named_parameters())
    for name, bound in [
        ("parametrizations.frequencies.original", 1 / 2),
        ("phases", 1 / math.sqrt(2)),
        ("weight_0", math.sqrt(6 / m) / omega),
        ("weight_1", math.sqrt(6 / m) / omega),
    ]:
        largest = float(given[name].detach().abs().max())
        assert 0.97 * bound < largest <= bound * (1 + 4 * EPS64), name
    x = torch.tensor(np.random.default_rng(0).uniform(size=(500, 2)))
    hidden = torch.sin(linear(features(x, model.frequencies), model.weights[0], model.biases[0]))
    assert abs(float(hidden.detach().std()) - math.sqrt(0.5)) < 0.05  # the arcsine distribution, in each layer


def test_bands_spread_as_asked_and_harmonics_are_whole_waves() -> None:
    bands = (1.0, 4.0, 20.0)
    frequencies = random_frequencies((0.1, 2.0), (1.0, 3.0), 12000, seed=3, bands=bands)
    for row, spread in zip(frequencies, (0.1, 6.0), strict=True):
        for part, band in zip(row.split(4000), bands, strict=True):
            assert abs(float(part.std()) / (spread * band) - 1.0) < normal_spread(4000)
    random = random_frequencies((1.0, 1.0, 1.0), 1.0, 6, seed=1, periods={1: 2.5, 2: 0.5})
    both = random_frequencies((1.0, 1.0, 1.0), 1.0, 6, seed=1, periods={1: 2.5, 2: 0.5}, harmonics=2)
    assert torch.equal(both[:, :6], random)
    wanted = [[0, 0, 0, 0], [1 / 2.5, 2 / 2.5, 0, 0], [0, 0, 2, 4]]
    assert torch.equal(both[:, 6:], torch.tensor(wanted, dtype=torch.float64))


@pytest.mark.parametrize("kind", ["mlp", "siren", "piratenet"])
def test_periods_stay_exact_with_all_derivatives_while_frequencies_are_trained(
    kind: str, rng: np.random.Generator
) -> None:
    periods, spec = {1: 2.5, 2: 0.75}, SPECS[0]
    frequencies = random_frequencies((1.0, 0.4, 1.3), 3.0, 8, seed=1, periods=periods, harmonics=3)
    if kind == "siren":
        model: FieldModel = Siren(frequencies, 3, omega=5.0, fixed=periods, width=8, layers=1, dtype=torch.float64)
    elif kind == "mlp":
        model = FourierNetwork(frequencies, 3, width=8, layers=2, dtype=torch.float64)
        train_frequencies(model, fixed=periods)
    else:
        model = PirateNetwork(frequencies, 3, dtype=torch.float64)
        train_frequencies(model, fixed=periods)
    optimizer, x = torch.optim.Adam(model.parameters(), lr=0.01), points(rng)
    for _ in range(3):
        optimizer.zero_grad()
        model.jet(x, spec).data.square().sum().backward()
        optimizer.step()
    assert (model.frequencies[0] - frequencies[0]).abs().max() > 1e-3
    assert torch.equal(model.frequencies[1:], frequencies[1:])
    for axis, period in periods.items():
        moved = x.clone()
        moved[:, axis] += period
        bound = periodicity(10.0, float(frequencies.abs().max())) * (25.0 if kind == "siren" else 1.0)
        for stream, other in zip(model.jet(x, spec).data, model.jet(moved, spec).data, strict=True):
            assert (stream - other).abs().max() <= bound * stream.abs().max()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_held_is_exact_on_its_place_whatever_the_network(dtype: torch.dtype, rng: np.random.Generator) -> None:
    inner = FourierNetwork(B, 3, width=8, layers=2, dtype=dtype, field_scales=[2.0, 4.0, 8.0], origin=[0.1, 0.7, 0.2])
    with torch.no_grad():
        for parameter in inner.parameters():
            parameter.mul_(3.0)
    model = HardBoundaries(inner, SIDES)
    at = rng.uniform((-1.0, 0.4, 0.3), (2.0, 2.4, 1.3), (40, 3))
    left, top, body = at.copy(), at.copy(), at.copy()
    left[:, 1], top[:, 2] = -0.3 + 0.7, 1.1 + 0.2
    angle = rng.uniform(0, 2 * np.pi, 40)
    body[:, 1], body[:, 2] = 0.6 + 0.7 + 0.2 * np.cos(angle), 0.3 + 0.2 + 0.2 * np.sin(angle)
    eps = torch.finfo(dtype).eps
    for where, column, wanted in [(left, 0, 0.0), (left, 1, 4.0), (top, 0, 6.0), (top, 1, 4.0), (body, 0, -2.0)]:
        # The body's distance rounds by some eps of its square, and the network is of the order of its scale times 30.
        terms = 1000 if where is body else 16
        np.testing.assert_allclose(model.predict(where)[:, column], wanted, rtol=0.0, atol=rounding(6.0, terms, eps))
    assert np.abs(model.predict(left)[:, 2]).max() > 0.1, "the pressure is free"
    corner = np.array([[0.0, -0.3 + 0.7, 1.1 + 0.2]])
    assert model.predict(corner)[0, :2].tolist() == [0.0, 4.0], "the place listed first owns it"
    assert torch.isfinite(model.jet(torch.from_numpy(model.inputs(corner)).to(dtype), SPECS[0]).data).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Siren(B, 3, omega=0.0), "model.omega: expected a number > 0, got 0.0"),
        (lambda: PirateNetwork(B, 3, blocks=0), "network: expected one block or more, got 0"),
        (
            lambda: PirateNetwork(B, 3, activation="relu"),
            f"activation: expected one of {', '.join(pinn_ext.ACTIVATIONS)}, got 'relu'",
        ),
        (
            lambda: HardBoundaries(FourierNetwork(B, 3), []),
            "hard boundaries: expected a value at a side or a circle, got none",
        ),
        (
            lambda: random_frequencies((1.0, 1.0), 1.0, 2, seed=0, bands=(1.0, 2.0, 3.0)),
            "model.bands: expected 1 to 2 numbers > 0, got [1.0, 2.0, 3.0]",
        ),
        (
            lambda: random_frequencies((1.0, 1.0), 1.0, 2, seed=0, harmonics=2),
            "model.harmonics: expected a periodic axis, got none for 2 harmonics; set it to 0",
        ),
    ],
)
def test_what_makes_no_model_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(PinnxError) as caught:
        make()
    assert str(caught.value) == message
