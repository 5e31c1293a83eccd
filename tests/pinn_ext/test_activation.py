"""Activations on jets: values, chain rule, tails, symmetry."""

from __future__ import annotations

import pytest
import torch
from cases import ACTIVATIONS, SPECS, normal, relative_error, uniform
from tolerances import EPS32, EPS64, KERNEL_FLOAT64
from torch import Tensor

from pinn_ext import Jet, activation_jet, reference

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
@pytest.mark.parametrize("name", ["tanh", "silu", "gelu"])
@pytest.mark.parametrize("z", [30.0, 100.0, 1000.0, 1e4])
def test_far_tails(name: str, z: float, dtype: torch.dtype, eps: float) -> None:
    """No overflow on the way: the tails are 0, 1 or z, and the curvature there is nothing."""
    data = torch.ones(SPEC.num_streams, 2, 1, dtype=dtype)
    data[0, 0], data[0, 1] = z, -z
    data.requires_grad_(True)
    result = activation_jet(Jet(data, SPEC), name).data
    high, low = (1.0, -1.0) if name == "tanh" else (z, 0.0)
    slope = 0.0 if name == "tanh" else 1.0
    wanted = torch.tensor([[high, low], *([[slope, 0.0]] * 4)], dtype=dtype)[:, :, None]
    # exp(-30) = 1e-13 is what is left of silu and its slopes at 30, times z and the few unit terms.
    rest = 4 * (1 + z) * 1e-13 if z == 30.0 else 0.0
    assert (result - wanted).abs().max() <= eps * z + rest
    (gradient,) = torch.autograd.grad(result.sum(), data)
    assert torch.isfinite(gradient).all()
    assert (gradient[1:, 0] - slope).abs().max() <= 4 * eps + rest
    assert gradient[1:, 1].abs().max() <= 4 * eps + rest


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
