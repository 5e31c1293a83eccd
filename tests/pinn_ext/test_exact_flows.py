"""Exact solutions of the Navier-Stokes equations: zero residual when right, a large one when wrong.

The closed forms are those of ``pinnx.evals``, which tests/pinnx/evals/test_exact.py holds to equations written out.
Their derivatives come from nested autograd, the residual from the kernel. Each flow is then spoilt in one way at a
time, and each spoilt flow must be caught.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
from cases import SPECS, uniform
from tolerances import EPS32, EPS64, EXACT_FLOW, WRONG_FLOW
from torch import Tensor

from pinn_ext import Jet, navier_stokes_residual, reference
from pinnx.evals import Beltrami, ExactFlow, Kovasznay, TaylorGreen

Field = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Flow:
    """A closed form at a viscosity at which viscous terms matter, and its jet's spec."""

    form: ExactFlow
    spec_name: str

    @property
    def nu(self) -> float:
        return self.form.nu

    @property
    def d_space(self) -> int:
        return len(SPECS[self.spec_name].laplacian)

    def jet(self, field: Field, seed: int = 1, n: int = 200) -> Jet:
        print(f"seed={seed}")
        spec = SPECS[self.spec_name]
        x = uniform(torch.Generator().manual_seed(seed), n, len(spec.first))
        return Jet(reference.jet_of(field, x, spec).data.detach(), spec)

    def exact(self, q: Tensor) -> Tensor:
        at = q.unbind(1) if len(q.T) > self.d_space else (torch.zeros(len(q)), *q.unbind(1))
        return torch.column_stack([self.form.velocity(*at), self.form.pressure(*at)])


FLOWS = {
    "taylor_green": Flow(TaylorGreen(nu=0.1), "unsteady2d"),
    "kovasznay": Flow(Kovasznay(nu=1 / 40), "steady2d"),
    "beltrami": Flow(Beltrami(nu=0.1), "unsteady3d"),
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
    jet = flow.jet(replace(flow, form=type(flow.form)(nu=1.5 * flow.nu)).exact)
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
