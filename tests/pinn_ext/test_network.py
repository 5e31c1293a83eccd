"""A whole network through the kernels, against the oracle's network differentiated as one function."""

from __future__ import annotations

import itertools

import pytest
import torch
from cases import ACTIVATIONS, SPECS, leaf, normal, relative_error, uniform
from tolerances import KERNEL_FLOAT64
from torch import Tensor

import pinn_ext
from pinn_ext import Jet, JetSpec, reference


def parameters(d: int, m: int, c: int, seed: int) -> list[Tensor]:
    """``B``, two hidden layers of 9 and a last one: weights before their biases."""
    print(f"seed={seed}")
    generator = torch.Generator().manual_seed(seed)
    sizes = [2 * m, 9, 9, c]
    tensors = [0.3 * normal(generator, d, m)]
    for c_in, c_out in itertools.pairwise(sizes):
        tensors += [normal(generator, c_out, c_in) / c_in**0.5, 0.1 * normal(generator, c_out)]
    return [leaf(t, torch.float64) for t in tensors]


def network_jet(x: Tensor, tensors: list[Tensor], spec: JetSpec, activation: str) -> Jet:
    """The network as users write it."""
    jet = pinn_ext.fourier_jet(x, tensors[0], spec)
    *hidden, last = zip(tensors[1::2], tensors[2::2], strict=True)
    for weight, bias in hidden:
        jet = pinn_ext.activation_jet(pinn_ext.linear_jet(jet, weight, bias), activation)
    return pinn_ext.linear_jet(jet, *last)


def loss_of(jet: Jet, nu: Tensor, residual_of: object) -> Tensor:
    residual = residual_of(jet, nu)  # type: ignore[operator]
    return residual.square().mean() + jet.value.square().mean()


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("spec_name", ["steady2d", "unsteady2d", "unsteady3d"])
def test_residual_loss_and_all_gradients(spec_name: str, activation: str) -> None:
    spec = SPECS[spec_name]
    d, c = len(spec.first), len(spec.laplacian) + 1
    tensors = parameters(d, m=6, c=c, seed=1)
    x = leaf(uniform(torch.Generator().manual_seed(2), 21, d), torch.float64)
    nu = torch.tensor(0.05, dtype=torch.float64, requires_grad=True)

    jet = network_jet(x, tensors, spec, activation)
    wanted_jet = reference.mlp_jet(x, tensors[0], tensors[1::2], tensors[2::2], spec, activation)
    assert relative_error(jet.data, wanted_jet.data) <= KERNEL_FLOAT64

    loss = loss_of(jet, nu, pinn_ext.navier_stokes_residual)
    wanted_loss = loss_of(wanted_jet, nu, reference.navier_stokes_residual)
    assert relative_error(loss, wanted_loss) <= KERNEL_FLOAT64
    leaves = [x, nu, *tensors]
    gradients = torch.autograd.grad(loss, leaves)
    wanted = torch.autograd.grad(wanted_loss, leaves, allow_unused=True, materialize_grads=True)
    errors = [relative_error(g, w) if w.any() else g.abs().max().item() for g, w in zip(gradients, wanted, strict=True)]
    assert max(errors) <= KERNEL_FLOAT64, f"x, nu, B, then layers: {errors}"


def test_a_few_steps_of_adam_stay_together() -> None:
    """Twenty steps on the kernels and on the oracle end at the same loss, and the loss has fallen."""
    spec = SPECS["steady2d"]
    x = uniform(torch.Generator().manual_seed(3), 30, 2)

    def train(use_kernels: bool) -> list[float]:
        tensors = parameters(2, m=4, c=3, seed=4)
        optimizer = torch.optim.Adam(tensors, lr=1e-2)
        losses = []
        for _ in range(20):
            if use_kernels:
                jet = network_jet(x, tensors, spec, "tanh")
                residual = pinn_ext.navier_stokes_residual(jet, 0.05)
            else:
                jet = reference.mlp_jet(x, tensors[0], tensors[1::2], tensors[2::2], spec, "tanh")
                residual = reference.navier_stokes_residual(jet, 0.05)
            loss = residual.square().mean() + (jet.value - 1.0).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    kernels, oracle = train(True), train(False)
    # Adam divides by the gradient's size, so a rounding grows by some factor per step; 20 steps of
    # a well-behaved loss leave it far below the tolerance of one parity test times the steps.
    assert max(abs(a / b - 1) for a, b in zip(kernels, oracle, strict=True)) <= 20 * KERNEL_FLOAT64
    assert kernels[-1] < 0.5 * kernels[0]
