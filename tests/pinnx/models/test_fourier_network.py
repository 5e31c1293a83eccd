"""The network and its jets: one function, its derivatives by the oracle, exact periods, draws with a name."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tolerances import KERNEL_FLOAT64, normal_spread, periodicity
from torch import Tensor

import pinn_ext
from pinn_ext.reference import jet_of
from pinnx.errors import PinnxError
from pinnx.models import FourierNetwork, random_frequencies

SPECS = [
    pinn_ext.JetSpec(first=(0, 1, 2), laplacian=(1, 2)),
    pinn_ext.JetSpec(first=(1, 2), laplacian=(1, 2)),
    pinn_ext.JetSpec(first=(0, 1, 2), laplacian=(0, 1, 2), weights=(0.5, 2.0, 1.0)),
    pinn_ext.JetSpec(first=(2,), laplacian=()),
]


def network(
    activation: str = "tanh", *, d: int = 3, dtype: torch.dtype = torch.float64, seed: int = 0, layers: int = 2
) -> FourierNetwork:
    scale = (0.5, 1.0, 2.0)[:d]
    frequencies = random_frequencies(scale, 0.7, 5, seed=seed)
    made = FourierNetwork(
        frequencies, 3, width=8, layers=layers, activation=activation, origin=[0.3] * d, seed=seed, dtype=dtype
    )
    with torch.no_grad():
        for bias in made.biases:  # zero at first: a bias in the wrong stream would not show
            bias.uniform_(-0.5, 0.5, generator=torch.Generator().manual_seed(seed))
    return made


def points(rng: np.random.Generator, n: int = 17, d: int = 3, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.tensor(rng.uniform(-1.0, 2.0, (n, d)), dtype=dtype)


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("activation", pinn_ext.ACTIVATIONS)
def test_jet_is_the_derivatives_of_the_network(
    activation: str, spec: pinn_ext.JetSpec, rng: np.random.Generator
) -> None:
    made, x = network(activation), points(rng)
    jet, wanted = made.jet(x, spec), jet_of(made, x, spec)
    for stream, oracle in zip(jet.data, wanted.data, strict=True):
        assert (stream - oracle).abs().max() <= KERNEL_FLOAT64 * oracle.abs().max()


@pytest.mark.parametrize("activation", pinn_ext.ACTIVATIONS)
def test_jet_has_the_gradients_of_the_network(activation: str, rng: np.random.Generator) -> None:
    made, x, spec = network(activation), points(rng), SPECS[0]
    cotangent = torch.tensor(rng.normal(size=(spec.num_streams, len(x), 3)))
    parameters = list(made.parameters())
    got = torch.autograd.grad(made.jet(x, spec).data, parameters, cotangent)
    wanted = torch.autograd.grad(jet_of(made, x, spec).data, parameters, cotangent)
    for gradient, oracle in zip(got, wanted, strict=True):
        assert (gradient - oracle).abs().max() <= KERNEL_FLOAT64 * max(oracle.abs().max(), 1.0)


@pytest.mark.parametrize("n", [0, 1, 33])
def test_forward_is_the_value_stream(n: int, rng: np.random.Generator) -> None:
    made, x = network(), points(rng, n)
    value = made.jet(x, SPECS[0]).value
    assert made(x).shape == value.shape == (n, 3)
    torch.testing.assert_close(made(x), value, rtol=0.0, atol=KERNEL_FLOAT64)


def test_inputs_are_coordinates_less_the_origin(rng: np.random.Generator) -> None:
    frequencies = random_frequencies((1.0, 1.0), 1.0, 4, seed=0)
    made = FourierNetwork(frequencies, 3, width=8, layers=1, origin=(1e6, -4.0))
    x = rng.uniform(size=(5, 2))
    np.testing.assert_allclose(made.inputs(x + np.array([1e6, -4.0])), x, rtol=0.0, atol=1e-9)
    assert made.inputs(x, out=(out := np.empty((5, 2)))) is out
    np.testing.assert_array_equal(FourierNetwork(frequencies, 3, width=8, layers=1).inputs(x), x)
    with pytest.raises(PinnxError, match=r"coordinates: expected shape \[n, 2\], got \[5, 1\]"):
        made.inputs(x[:, :1])
    with pytest.raises(PinnxError, match=r"x: expected shape \[n, 2\] torch.float32, got \[5, 2\] float64"):
        made(x)


def test_periodic_axes_are_exactly_periodic(rng: np.random.Generator) -> None:
    periods = {1: 2.5, 2: 0.75}
    frequencies = random_frequencies((0.5, 0.4, 1.3), 3.0, 16, seed=1, periods=periods)
    made = FourierNetwork(frequencies, 3, width=8, layers=2, seed=1, dtype=torch.float64)
    x = points(rng)
    for axis, period in periods.items():
        waves = frequencies[axis] * period
        assert torch.equal(waves, waves.round())
        assert waves.abs().max() >= 1
        moved = x.clone()
        moved[:, axis] += 3 * period
        fields, jets = made.jet(x, SPECS[0]).data, made.jet(moved, SPECS[0]).data
        bound = periodicity(10.0, float(frequencies.abs().max()))
        for stream, other in zip(fields, jets, strict=True):
            assert (stream - other).abs().max() <= bound * stream.abs().max()
    moved = x + torch.tensor([periods[1], 0.0, 0.0])
    assert (made(x) - made(moved)).abs().max() > 1e-3, "time is not periodic"


def test_frequencies_have_the_asked_spread() -> None:
    frequencies = random_frequencies((0.1, 2.0), (1.0, 3.0), 4000, seed=3)
    assert frequencies.shape == (2, 4000)
    assert frequencies.dtype == torch.float64
    for row, wanted in zip(frequencies, (0.1, 6.0), strict=True):
        assert abs(float(row.std()) / wanted - 1.0) < normal_spread(4000)


def test_a_seed_names_the_draw() -> None:
    first, again, other = (random_frequencies((1.0, 1.0), 1.0, 6, seed=seed) for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    before = torch.get_rng_state()
    weights = [FourierNetwork(first, 3, width=8, seed=seed).weights[1] for seed in (7, 7, 8)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert torch.equal(torch.get_rng_state(), before), "the global generator is somebody else's"


def test_only_the_layers_are_trained() -> None:
    made = network(layers=3)
    assert [tuple(p.shape) for p in made.weights] == [(8, 10), (8, 8), (8, 8), (3, 8)]
    assert len(list(made.parameters())) == 8
    assert set(dict(made.named_buffers())) == {"frequencies"}


@pytest.mark.parametrize(
    ("x", "got"),
    [
        (torch.zeros(4, 1), "[4, 1] torch.float32"),
        (torch.zeros(4, 2), "[4, 2] torch.float32"),
        (torch.zeros(3), "[3] torch.float32"),
        (torch.zeros(4, 3, dtype=torch.float64), "[4, 3] torch.float64"),
    ],
)
def test_points_that_do_not_fit_are_refused(x: Tensor, got: str) -> None:
    made = network(dtype=torch.float32)
    for call in (lambda: made(x), lambda: made.jet(x, SPECS[0])):
        with pytest.raises(PinnxError) as caught:
            call()
        assert str(caught.value) == f"x: expected shape [n, 3] torch.float32, got {got}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_outputs": 0}, "network: expected sizes >= 1, got outputs 0, width 8, layers 2"),
        ({"width": 0}, "network: expected sizes >= 1, got outputs 3, width 0, layers 2"),
        ({"layers": 0}, "network: expected sizes >= 1, got outputs 3, width 8, layers 0"),
        ({"activation": "relu"}, f"activation: expected one of {', '.join(pinn_ext.ACTIVATIONS)}, got 'relu'"),
        ({"origin": [0.0]}, "origin: expected 2 numbers, got 1"),
        ({"frequencies": torch.zeros(2)}, "frequencies: expected shape [d, m], d, m >= 1, got [2]"),
        ({"frequencies": torch.zeros(2, 0)}, "frequencies: expected shape [d, m], d, m >= 1, got [2, 0]"),
    ],
)
def test_sizes_that_make_no_network_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(PinnxError) as caught:
        FourierNetwork(**{"frequencies": torch.ones(2, 4), "num_outputs": 3, "width": 8, "layers": 2, **arguments})
    assert str(caught.value) == message


@pytest.mark.parametrize("scale", [(1.0, 0.0), (-1.0, 1.0), (float("nan"), 1.0), (1.0, float("inf"))])
def test_scales_must_be_positive(scale: tuple[float, float]) -> None:
    with pytest.raises(PinnxError, match="frequencies: expected scale, sigma and their number > 0"):
        random_frequencies(scale, 1.0, 4, seed=0)
    with pytest.raises(PinnxError, match="frequencies: expected scale, sigma and their number > 0"):
        random_frequencies((1.0, 1.0), scale, 4, seed=0)


def test_counts_of_frequencies_are_checked() -> None:
    with pytest.raises(PinnxError, match="their number > 0"):
        random_frequencies((1.0, 1.0), 1.0, 0, seed=0)
    with pytest.raises(PinnxError, match=r"model\.sigma: expected one number or 2, one per coordinate, got 3"):
        random_frequencies((1.0, 1.0), (1.0, 1.0, 1.0), 4, seed=0)
