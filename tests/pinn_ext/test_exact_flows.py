"""Exact solutions of the Navier-Stokes equations: zero residual when right, a large one when wrong.

The derivatives come from nested autograd on the closed forms, the residual from the kernel. Each
flow is then spoilt in one way at a time, and each spoilt flow must be caught.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from cases import SPECS, uniform
from tolerances import EPS32, EPS64, EXACT_FLOW, WRONG_FLOW
from torch import Tensor

from pinn_ext import Jet, navier_stokes_residual, reference

Field = Callable[[Tensor], Tensor]


def taylor_green(q: Tensor, nu: float) -> Tensor:
    """Decaying vortices in the plane (Taylor and Green 1937)."""
    t, x, y = q.unbind(1)
    decay = torch.exp(-2 * nu * t)
    u = -torch.cos(x) * torch.sin(y) * decay
    v = torch.sin(x) * torch.cos(y) * decay
    p = -(torch.cos(2 * x) + torch.cos(2 * y)) / 4 * decay**2
    return torch.stack([u, v, p], 1)


def kovasznay(q: Tensor, nu: float) -> Tensor:
    """Steady wake behind a grid (Kovasznay 1948)."""
    x, y = q.unbind(1)
    k = 1 / (2 * nu) - math.sqrt(1 / (4 * nu**2) + 4 * math.pi**2)
    grow = torch.exp(k * x)
    u = 1 - grow * torch.cos(2 * math.pi * y)
    v = k / (2 * math.pi) * grow * torch.sin(2 * math.pi * y)
    return torch.stack([u, v, (1 - grow**2) / 2], 1)


def beltrami(q: Tensor, nu: float) -> Tensor:
    """Unsteady flow in space, parallel to its vorticity (Ethier and Steinman 1994, eq. 9)."""
    a, d = math.pi / 4, math.pi / 2
    t, x, y, z = q.unbind(1)
    sin, cos, exp = torch.sin, torch.cos, torch.exp
    decay = exp(-nu * d**2 * t)
    u = -a * (exp(a * x) * sin(a * y + d * z) + exp(a * z) * cos(a * x + d * y)) * decay
    v = -a * (exp(a * y) * sin(a * z + d * x) + exp(a * x) * cos(a * y + d * z)) * decay
    w = -a * (exp(a * z) * sin(a * x + d * y) + exp(a * y) * cos(a * z + d * x)) * decay
    p = (
        exp(2 * a * x) + exp(2 * a * y) + exp(2 * a * z)
        + 2 * sin(a * x + d * y) * cos(a * z + d * x) * exp(a * (y + z))
        + 2 * sin(a * y + d * z) * cos(a * x + d * y) * exp(a * (z + x))
        + 2 * sin(a * z + d * x) * cos(a * y + d * z) * exp(a * (x + y))
    )  # fmt: skip
    return torch.stack([u, v, w, -(a**2) / 2 * p * decay**2], 1)


@dataclass(frozen=True)
class Flow:
    """A closed form, its jet's spec and a viscosity at which viscous terms matter."""

    field: Callable[[Tensor, float], Tensor]
    spec_name: str
    nu: float

    @property
    def d_space(self) -> int:
        return len(SPECS[self.spec_name].laplacian)

    def jet(self, field: Field, seed: int = 1, n: int = 200) -> Jet:
        print(f"seed={seed}")
        spec = SPECS[self.spec_name]
        x = uniform(torch.Generator().manual_seed(seed), n, len(spec.first))
        return Jet(reference.jet_of(field, x, spec).data.detach(), spec)

    def exact(self, q: Tensor) -> Tensor:
        return self.field(q, self.nu)


FLOWS = {
    "taylor_green": Flow(taylor_green, "unsteady2d", nu=0.1),
    "kovasznay": Flow(kovasznay, "steady2d", nu=1 / 40),
    "beltrami": Flow(beltrami, "unsteady3d", nu=0.1),
}

every_flow = pytest.mark.parametrize("name", FLOWS)


def relative_residual(jet: Jet, nu: float) -> Tensor:
    """Largest residual of each equation over the largest term in any of them."""
    d = len(jet.spec.laplacian)
    speed = jet.value[:, :d].abs().max()
    assert jet.laplacian is not None
    terms = [
        speed * jet.first[-d:, :, :d].abs().max(),
        jet.first[-d:, :, d].abs().max(),
        nu * jet.laplacian[:, :d].abs().max(),
        jet.first[:, :, :d].abs().max(),
    ]
    return navier_stokes_residual(jet, nu).abs().amax(0) / torch.stack(terms).max()


@every_flow
def test_exact_solution_has_no_residual(name: str) -> None:
    flow = FLOWS[name]
    assert relative_residual(flow.jet(flow.exact), flow.nu).max() <= EXACT_FLOW


@every_flow
def test_exact_solution_in_float32(name: str) -> None:
    """The jet is rounded to float32 and the kernel works in it: the same bound in its eps."""
    flow = FLOWS[name]
    jet = flow.jet(flow.exact)
    rounded = Jet(jet.data.float(), jet.spec)
    assert relative_residual(rounded, flow.nu).max() <= EXACT_FLOW / EPS64 * EPS32


@every_flow
def test_pressure_of_the_wrong_sign(name: str) -> None:
    flow = FLOWS[name]
    signs = torch.tensor([1.0] * flow.d_space + [-1.0], dtype=torch.float64)
    residual = relative_residual(flow.jet(lambda q: flow.exact(q) * signs), flow.nu)
    assert residual[:-1].max() >= WRONG_FLOW
    assert residual[-1] <= EXACT_FLOW  # mass is still conserved: the fault is named


@every_flow
def test_components_exchanged(name: str) -> None:
    flow = FLOWS[name]
    order = [1, 0, *range(2, flow.d_space + 1)]
    residual = relative_residual(flow.jet(lambda q: flow.exact(q)[:, order]), flow.nu)
    assert residual.max() >= WRONG_FLOW


@every_flow
def test_axes_exchanged(name: str) -> None:
    """A transposed field, the commonest fault of data files."""
    flow = FLOWS[name]
    order = list(SPECS[flow.spec_name].first)
    order[-1], order[-2] = order[-2], order[-1]
    residual = relative_residual(flow.jet(lambda q: flow.exact(q[:, order])), flow.nu)
    assert residual.max() >= WRONG_FLOW


@every_flow
def test_field_twice_as_fast(name: str) -> None:
    """Divergence-free still, but convection is quadratic: only the momentum equations can tell."""
    flow = FLOWS[name]
    residual = relative_residual(flow.jet(lambda q: 2.0 * flow.exact(q)), flow.nu)
    assert residual[:-1].max() >= WRONG_FLOW
    assert residual[-1] <= EXACT_FLOW


@every_flow
def test_wrong_viscosity(name: str) -> None:
    flow = FLOWS[name]
    residual = relative_residual(flow.jet(flow.exact), 2.0 * flow.nu)
    assert residual[:-1].max() >= WRONG_FLOW
    assert residual[-1] <= EXACT_FLOW


@pytest.mark.parametrize("name", ["taylor_green", "beltrami"])
def test_wrong_decay_and_frozen_time(name: str) -> None:
    flow = FLOWS[name]
    jet = flow.jet(lambda q: flow.field(q, 1.5 * flow.nu))
    assert relative_residual(jet, flow.nu)[:-1].max() >= WRONG_FLOW
    exact = flow.jet(flow.exact)
    steady = navier_stokes_residual(exact, flow.nu, steady=True)
    unsteady = navier_stokes_residual(exact, flow.nu)
    assert steady.abs().max() >= WRONG_FLOW
    assert unsteady.abs().max() <= EXACT_FLOW * exact.data.abs().max()


@every_flow
def test_source_of_mass(name: str) -> None:
    flow = FLOWS[name]
    column = torch.zeros(flow.d_space + 1, dtype=torch.float64)
    column[0] = 1.0
    x = SPECS[flow.spec_name].laplacian[0]
    jet = flow.jet(lambda q: flow.exact(q) + 0.5 * torch.sin(q[:, x : x + 1]) * column)
    assert relative_residual(jet, flow.nu)[-1] >= WRONG_FLOW
