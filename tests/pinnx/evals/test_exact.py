"""An exact solution has a residual at rounding level, and a wrong field must fail the same test."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tolerances import COMPLEX_STEP_DIVERGENCE, EXACT_FLOW, WRONG_FLOW

from pinnx.errors import PinnxError
from pinnx.evals import Beltrami, BurgersVortex, ExactFlow, Kovasznay, Poiseuille, TaylorGreen

FLOWS = [
    TaylorGreen(nu=0.05),
    TaylorGreen(nu=0.3, amplitude=1.7, wavenumber=2.0),
    Kovasznay(nu=1 / 40),
    Kovasznay(nu=0.1),
    Beltrami(nu=0.1),
    Beltrami(nu=0.7, a=0.5, d=1.1),
    Poiseuille(nu=0.1),
    Poiseuille(nu=0.02, speed=3.0, half_height=1.5),
    BurgersVortex(nu=0.1),
    BurgersVortex(nu=0.02, strain=1.5, circulation=2.0),
]


def coordinates(flow: ExactFlow, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1.0, 1.0, (1 + flow.dim, 64))


def residual(flow: ExactFlow, *, nu: float, pressure_sign: float = 1.0) -> torch.Tensor:
    """Momentum and continuity by nested autograd, over the equation's largest term, ``[d + 1,
    n]``."""
    axes = [torch.tensor(c, requires_grad=True) for c in coordinates(flow)]

    def grad(f: torch.Tensor) -> list[torch.Tensor]:
        parts = torch.autograd.grad(f.sum(), axes, create_graph=True, allow_unused=True)
        return [torch.zeros_like(f) if g is None else g for g in parts]

    velocity = flow.velocity(*axes).unbind(-1)
    grad_p = grad(pressure_sign * flow.pressure(*axes))
    rows, terms = [], []
    divergence = torch.zeros_like(axes[0])
    for i, component in enumerate(velocity):
        first = grad(component)
        convection = sum(v * g for v, g in zip(velocity, first[1:], strict=True))
        laplacian = sum(grad(g)[1 + j] if g.requires_grad else torch.zeros_like(g) for j, g in enumerate(first[1:]))
        terms += [first[0], convection, grad_p[1 + i], nu * laplacian, *first[1:]]
        rows.append(first[0] + convection + grad_p[1 + i] - nu * laplacian)
        divergence = divergence + first[1 + i]
    largest = torch.stack(terms).abs().max()
    return (torch.stack([*rows, divergence]) / largest).detach()


@pytest.mark.parametrize("flow", FLOWS, ids=repr)
def test_residual_is_at_rounding_level(flow: ExactFlow) -> None:
    assert residual(flow, nu=flow.nu).abs().max() < EXACT_FLOW


@pytest.mark.parametrize("flow", FLOWS, ids=repr)
def test_wrong_sign_of_pressure_fails(flow: ExactFlow) -> None:
    momentum = residual(flow, nu=flow.nu, pressure_sign=-1.0)[: flow.dim]
    assert momentum.abs().max() > WRONG_FLOW


@pytest.mark.parametrize("flow", FLOWS, ids=repr)
def test_wrong_viscosity_fails(flow: ExactFlow) -> None:
    assert residual(flow, nu=2.0 * flow.nu)[: flow.dim].abs().max() > WRONG_FLOW


@pytest.mark.parametrize("flow", FLOWS, ids=repr)
def test_numpy_and_torch_agree(flow: ExactFlow) -> None:
    axes = coordinates(flow)
    tensors = [torch.tensor(c) for c in axes]
    velocity, pressure = flow.velocity(*axes), flow.pressure(*axes)
    assert velocity.shape == (64, flow.dim)
    assert pressure.shape == (64,)
    for got, wanted in (
        (flow.velocity(*tensors).numpy(), velocity),
        (flow.pressure(*tensors).numpy(), pressure),
    ):
        assert np.abs(got - wanted).max() < EXACT_FLOW * np.abs(wanted).max()


@pytest.mark.parametrize("flow", FLOWS, ids=repr)
def test_divergence_free_by_complex_step(flow: ExactFlow) -> None:
    axes = coordinates(flow, seed=1)
    step = 1e-30  # no subtraction takes place, so the step may be as small as one likes
    divergence = np.zeros(64)
    for i in range(flow.dim):
        shifted = [c.astype(complex) for c in axes]
        shifted[1 + i] = shifted[1 + i] + 1j * step
        divergence += flow.velocity(*shifted)[..., i].imag / step
    assert np.abs(divergence).max() < COMPLEX_STEP_DIVERGENCE


@pytest.mark.parametrize("flow", FLOWS, ids=repr)
def test_steady_is_what_it_says(flow: ExactFlow) -> None:
    _, *x = coordinates(flow)
    early, late = (flow.velocity(np.full(64, t), *x) for t in (0.0, 1.0))
    assert np.array_equal(early, late) == flow.steady


def test_known_values() -> None:
    quarter = np.array(math.pi / 2)
    np.testing.assert_allclose(
        TaylorGreen(nu=0.1).velocity(np.array(0.0), quarter, np.array(0.0)), [1.0, 0.0], atol=1e-16
    )
    # Kovasznay's exponent at Re = 40, as quoted throughout the literature.
    assert Kovasznay(nu=1 / 40).decay == pytest.approx(-0.96374054419576697, rel=1e-14)


@pytest.mark.parametrize("nu", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("kind", [TaylorGreen, Kovasznay, Beltrami])
def test_viscosity_must_be_positive(kind: type, nu: float) -> None:
    with pytest.raises(PinnxError, match="nu: expected a finite number > 0"):
        kind(nu=nu)
