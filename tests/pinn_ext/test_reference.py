"""The oracle itself, against functions whose derivatives are known in closed form."""

from __future__ import annotations

import math

import pytest
import torch
from cases import ACTIVATIONS, SPECS, normal, relative_error, uniform
from tolerances import KERNEL_FLOAT64
from torch import Tensor

from pinn_ext import reference
from pinn_ext.jet import Jet, JetSpec


def points(n: int, d: int, seed: int) -> Tensor:
    print(f"seed={seed}")
    return uniform(torch.Generator().manual_seed(seed), n, d)


def test_jet_of_a_polynomial() -> None:
    x = points(11, 3, seed=1)
    a, b, c = x.unbind(1)
    spec = JetSpec(first=(2, 0), laplacian=(0, 2), weights=(3.0, 5.0))

    def polynomial(q: Tensor) -> Tensor:
        a, b, c = q.unbind(1)
        return torch.stack([a**3 * b + c**2, a * c**4], dim=1)

    value, first, laplacian = reference.jet_of(polynomial, x, spec)
    assert relative_error(value, polynomial(x)) <= KERNEL_FLOAT64
    assert relative_error(first[0], torch.stack([2 * c, 4 * a * c**3], 1)) <= KERNEL_FLOAT64
    assert relative_error(first[1], torch.stack([3 * a**2 * b, c**4], 1)) <= KERNEL_FLOAT64
    wanted = torch.stack([3 * 6 * a * b + 5 * 2 + 0 * c, 5 * 12 * a * c**2], 1)
    assert relative_error(laplacian, wanted) <= KERNEL_FLOAT64


def test_jet_of_functions_without_curvature_or_without_slope() -> None:
    x = points(5, 2, seed=2)
    spec = JetSpec(first=(0, 1), laplacian=(0, 1))
    linear = reference.jet_of(lambda q: q @ q.new_tensor([[2.0], [3.0]]), x, spec)
    assert (linear.first[0] == 2).all()
    assert (linear.first[1] == 3).all()
    assert (linear.laplacian == 0).all()
    constant = reference.jet_of(lambda q: q.new_full((5, 2), 4.0), x, spec)
    assert (constant.value == 4).all()
    assert (constant.data[1:] == 0).all()


def test_jet_of_is_differentiable_in_the_points() -> None:
    x = points(4, 2, seed=3).requires_grad_(True)
    spec = JetSpec(first=(0, 1), laplacian=(0, 1))
    jet = reference.jet_of(lambda q: torch.exp(2 * q[:, :1] + q[:, 1:]), x, spec)
    (gradient,) = torch.autograd.grad(jet.laplacian.sum(), x)
    e = torch.exp(2 * x[:, 0] + x[:, 1]).detach()
    assert relative_error(gradient, torch.stack([10 * e, 5 * e], 1)) <= KERNEL_FLOAT64


def test_fourier_jet_against_the_closed_form() -> None:
    generator = torch.Generator().manual_seed(4)
    x, B = uniform(generator, 6, 3), normal(generator, 3, 5)
    spec = SPECS["weighted"]
    value, first, laplacian = reference.fourier_jet(x, B, spec)
    cosine, sine = torch.cos(2 * math.pi * x @ B), torch.sin(2 * math.pi * x @ B)
    assert relative_error(value, torch.cat([cosine, sine], 1)) <= KERNEL_FLOAT64
    for stream, axis in zip(first, spec.first, strict=True):
        omega = 2 * math.pi * B[axis]
        assert relative_error(stream, torch.cat([-omega * sine, omega * cosine], 1)) <= (KERNEL_FLOAT64)
    square = (2 * math.pi) ** 2 * (4.0 * B[1] ** 2 - 0.5 * B[2] ** 2)
    assert relative_error(laplacian, -square.repeat(2) * value) <= KERNEL_FLOAT64


def closed_form(name: str, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """``f, f', f''`` by hand."""
    if name == "tanh":
        t = torch.tanh(z)
        return t, 1 - t**2, -2 * t * (1 - t**2)
    if name == "sine":
        return torch.sin(z), torch.cos(z), -torch.sin(z)
    if name == "silu":
        s = 1 / (1 + torch.exp(-z))
        slope = s * (1 - s)
        return z * s, s + z * slope, 2 * slope + z * slope * (1 - 2 * s)
    assert name == "gelu", f"no closed form of {name} here"
    density = torch.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    probability = 0.5 * (1 + torch.erf(z / math.sqrt(2)))
    return z * probability, probability + z * density, (2 - z**2) * density


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_jet_against_the_closed_form(name: str) -> None:
    spec = SPECS["weighted"]
    generator = torch.Generator().manual_seed(5)
    jet = Jet(2.0 * normal(generator, spec.num_streams, 8, 3), spec)
    f, f1, f2 = closed_form(name, jet.value)
    value, first, laplacian = reference.activation_jet(jet, name)
    assert relative_error(value, f) <= KERNEL_FLOAT64
    assert relative_error(first, f1 * jet.first) <= KERNEL_FLOAT64
    square = -0.5 * jet.derivative(2) ** 2 + 4.0 * jet.derivative(1) ** 2
    assert relative_error(laplacian, f2 * square + f1 * jet.laplacian) <= KERNEL_FLOAT64


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_layers_of_jets_equal_the_jet_of_the_network(name: str) -> None:
    """Two independent ways through the oracle: chain rule layer by layer, and the whole at once."""
    spec = SPECS["unsteady2d"]
    generator = torch.Generator().manual_seed(6)
    x, B = uniform(generator, 7, 3), normal(generator, 3, 4)
    weights = [normal(generator, 6, 8) / 3, normal(generator, 3, 6) / 3]
    biases = [normal(generator, 6), normal(generator, 3)]
    jet = reference.fourier_jet(x, B, spec)
    jet = reference.activation_jet(reference.linear_jet(jet, weights[0], biases[0]), name)
    jet = reference.linear_jet(jet, weights[1], biases[1])
    whole = reference.mlp_jet(x, B, weights, biases, spec, name)
    assert relative_error(jet.data, whole.data) <= KERNEL_FLOAT64
    assert relative_error(jet.value, reference.mlp(x, B, weights, biases, name)) <= KERNEL_FLOAT64


def test_misuse_is_named() -> None:
    x = torch.zeros(3, 2)
    with pytest.raises(ValueError, match=r"x: expected shape \[n, d\], got \[3\]"):
        reference.jet_of(torch.sin, x[:, 0], JetSpec())
    with pytest.raises(ValueError, match=r"spec: expected coordinates below 2, got first=\(2,\)"):
        reference.jet_of(torch.sin, x, JetSpec(first=(2,)))
    with pytest.raises(ValueError, match=r"function: expected a result of shape \[3, c\]"):
        reference.jet_of(torch.sum, x, JetSpec())
    with pytest.raises(ValueError, match=r"activation: expected one of .*got 'relu'"):
        reference.activation_jet(Jet(torch.zeros(1, 3, 2), JetSpec()), "relu")
