"""Layers on jets: values, chain rule, tails, symmetry of activations; what a linear map must do to each stream."""

from __future__ import annotations

import pytest
import torch
from cases import ACTIVATIONS, SPECS, normal, relative_error, uniform
from tolerances import EPS32, EPS64, KERNEL_FLOAT64, kernel_float32
from torch import Tensor

from pinn_ext import Jet, activation_jet, linear_jet, reference

SPEC = SPECS["unsteady2d"]
every_activation = pytest.mark.parametrize("name", ACTIVATIONS)


def draw(seed: int, n: int, c: int, scale: float = 1.0) -> Jet:
    print(f"seed={seed}")
    generator = torch.Generator().manual_seed(seed)
    return Jet(scale * normal(generator, SPEC.num_streams, n, c), SPEC)


@every_activation
def test_value_is_torchs_function(name: str) -> None:
    jet = draw(1, n=50, c=7, scale=3.0)
    wanted = reference.ACTIVATIONS[name](jet.value)
    assert relative_error(activation_jet(jet, name).value, wanted) <= KERNEL_FLOAT64


@every_activation
def test_constant_has_no_derivatives(name: str) -> None:
    jet = draw(2, n=10, c=3)
    jet.data[1:] = 0.0
    assert (activation_jet(jet, name).data[1:] == 0).all()


@every_activation
def test_first_derivatives_are_linear_in_the_gradient(name: str) -> None:
    jet = draw(3, n=10, c=3)
    twice = Jet(jet.data.clone(), SPEC)
    twice.data[1:-1] *= 2.0
    got, wanted = activation_jet(twice, name), activation_jet(jet, name)
    assert relative_error(got.first, 2.0 * wanted.first) <= KERNEL_FLOAT64


@every_activation
def test_chain_rule_on_a_true_function(name: str) -> None:
    """The jet of f(z(x)) from the jet of z equals nested autograd through both."""
    x = uniform(torch.Generator().manual_seed(4), 12, 3)

    def inner(q: Tensor) -> Tensor:
        return torch.stack([q.prod(1) + q[:, 0] ** 2, torch.sin(3 * q[:, 1]) * q[:, 2]], 1)

    jet = reference.jet_of(inner, x, SPEC)
    whole = reference.jet_of(lambda q: reference.ACTIVATIONS[name](inner(q)), x, SPEC)
    got = activation_jet(Jet(jet.data.detach(), SPEC), name)
    assert relative_error(got.data, whole.data) <= KERNEL_FLOAT64


@pytest.mark.parametrize("name", ["tanh", "sine"])
def test_odd_functions(name: str) -> None:
    jet = draw(5, n=50, c=5, scale=2.0)
    got, mirrored = activation_jet(jet, name), activation_jet(Jet(-jet.data, SPEC), name)
    assert torch.equal(mirrored.data, -got.data)


@pytest.mark.parametrize(("dtype", "eps"), [(torch.float32, EPS32), (torch.float64, EPS64)])
@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if name != "sine"])  # it has no tails
@pytest.mark.parametrize("z", [30.0, 100.0, 1000.0, 1e4])
def test_far_tails(name: str, z: float, dtype: torch.dtype, eps: float) -> None:
    """No overflow on the way, neither in the kernel nor in the oracle, in float64."""
    data = torch.ones(SPEC.num_streams, 2, 1, dtype=dtype)
    data[0, 0], data[0, 1] = z, -z
    exact = data.double().requires_grad_(True)
    data.requires_grad_(True)
    result = activation_jet(Jet(data, SPEC), name).data
    wanted = reference.activation_jet(Jet(exact, SPEC), name).data
    assert torch.isfinite(wanted).all(), f"the oracle of {name} overflows"
    assert (result - wanted).abs().max() <= eps * z
    (gradient,), (slope,) = torch.autograd.grad(result.sum(), data), torch.autograd.grad(wanted.sum(), exact)
    assert (gradient - slope).abs().max() <= 4 * eps


@every_activation
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_not_a_number_stays_one(name: str, dtype: torch.dtype) -> None:
    """A diverged network must show: NaN in, NaN out, and the neighbours keep their values."""
    data = torch.ones(SPEC.num_streams, 40, 1, dtype=dtype)
    clean = activation_jet(Jet(data, SPEC), name).data
    data[0, 17] = float("nan")
    result = activation_jet(Jet(data, SPEC), name).data
    assert torch.isnan(result[:, 17]).all()
    others = [i for i in range(40) if i != 17]
    assert torch.equal(result[:, others], clean[:, others])


@pytest.mark.parametrize(("dtype", "eps"), [(torch.float32, EPS32), (torch.float64, EPS64)])
@every_activation
def test_small_arguments_keep_relative_accuracy(name: str, dtype: torch.dtype, eps: float) -> None:
    """Near zero every activation is a multiple of z: no cancellation may show."""
    z = torch.logspace(-7, -4, 50, dtype=torch.float64).to(dtype)
    data = torch.zeros(SPEC.num_streams, 50, 1, dtype=dtype)
    data[0, :, 0] = z
    got = activation_jet(Jet(data, SPEC), name).value[:, 0].double()
    wanted = reference.ACTIVATIONS[name](z.double())
    assert ((got - wanted) / wanted).abs().max() <= 8 * eps


def draw_layer(seed: int, n: int, c_in: int, c_out: int) -> tuple[Jet, Tensor, Tensor]:
    jet, generator = draw(seed, n, c_in), torch.Generator().manual_seed(seed + 100)
    return jet, normal(generator, c_out, c_in), normal(generator, c_out)


def test_value_is_torchs_linear() -> None:
    jet, weight, bias = draw_layer(1, n=37, c_in=11, c_out=5)
    wanted = torch.nn.functional.linear(jet.value, weight, bias)
    assert relative_error(linear_jet(jet, weight, bias).value, wanted) <= KERNEL_FLOAT64


def test_bias_enters_the_value_alone() -> None:
    jet, weight, bias = draw_layer(2, n=19, c_in=6, c_out=4)
    without, with_bias = linear_jet(jet, weight), linear_jet(jet, weight, bias)
    assert torch.equal(without.data[1:], with_bias.data[1:])
    assert relative_error(with_bias.value - without.value, bias.expand(19, 4)) <= KERNEL_FLOAT64


def test_identity_is_exact() -> None:
    jet, _, _ = draw_layer(3, n=21, c_in=8, c_out=8)
    assert torch.equal(linear_jet(jet, torch.eye(8, dtype=torch.float64)).data, jet.data)


def test_zero_weight_leaves_the_bias() -> None:
    jet, weight, bias = draw_layer(4, n=21, c_in=8, c_out=3)
    got = linear_jet(jet, torch.zeros_like(weight), bias)
    assert torch.equal(got.value, bias.expand(21, 3))
    assert (got.data[1:] == 0).all()


def test_two_layers_are_one() -> None:
    jet, first, _ = draw_layer(5, n=21, c_in=8, c_out=6)
    second = normal(torch.Generator().manual_seed(55), 3, 6)
    twice = linear_jet(linear_jet(jet, first), second)
    assert relative_error(twice.data, linear_jet(jet, second @ first).data) <= KERNEL_FLOAT64


def test_streams_do_not_mix() -> None:
    jet, weight, bias = draw_layer(6, n=9, c_in=5, c_out=4)
    before = linear_jet(jet, weight, bias).data
    for stream in range(SPEC.num_streams):
        data = jet.data.clone()
        data[stream] += 1.0
        changed = (linear_jet(Jet(data, SPEC), weight, bias).data != before).any(dim=(1, 2))
        assert changed.tolist() == [k == stream for k in range(SPEC.num_streams)]


def test_bias_gradient_sums_the_value_stream() -> None:
    jet, weight, bias = draw_layer(7, n=13, c_in=5, c_out=4)
    bias.requires_grad_(True)
    result = linear_jet(jet, weight, bias)
    cotangent = normal(torch.Generator().manual_seed(77), *result.data.shape)
    (gradient,) = torch.autograd.grad(result.data, bias, cotangent)
    assert relative_error(gradient, cotangent[0].sum(0)) <= KERNEL_FLOAT64


def test_sums_over_many_points_are_ieee_float32() -> None:
    """1e5 summands: float32 products keep sqrt(K) eps, ten mantissa bits do not."""
    n = 20_000
    jet, weight, _ = draw_layer(8, n=n, c_in=8, c_out=8)
    cotangent = normal(torch.Generator().manual_seed(88), *jet.data.shape).float()

    def gradient_in(dtype: torch.dtype) -> Tensor:
        w = weight.float().to(dtype).requires_grad_(True)
        result = linear_jet(Jet(jet.data.float().to(dtype), SPEC), w).data
        return torch.autograd.grad(result, w, cotangent.to(dtype))[0]

    error = relative_error(gradient_in(torch.float32), gradient_in(torch.float64))
    assert error <= kernel_float32(SPEC.num_streams * n, 1.0)
