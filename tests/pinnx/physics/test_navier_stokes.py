"""The equations of a run: exact flows obey them, wrong ones do not, and a viscosity can be learned."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tolerances import ASKED_VISCOSITY, EXACT_FLOW, EXACT_FLOW_GRADIENT, LOG_NU_FLOAT32, WRONG_FLOW
from torch import Tensor

import pinn_ext
from pinn_ext.reference import jet_of
from pinnx.errors import PinnxError
from pinnx.evals import Beltrami, ExactFlow, Kovasznay, TaylorGreen
from pinnx.models import FourierNetwork, random_frequencies
from pinnx.physics.navier_stokes import NavierStokes
from pinnx.physics.scales import Scales

FLOWS = [TaylorGreen(nu=0.05, amplitude=1.7, wavenumber=2.0), Kovasznay(nu=1 / 40), Beltrami(nu=0.1)]
NUM_POINTS = 64


def equations(flow: ExactFlow, **changes: object) -> NavierStokes:
    return NavierStokes(flow.dim, **{"steady": flow.steady, "nu": flow.nu, "dtype": torch.float64, **changes})


def jet_of_flow(
    flow: ExactFlow, wanted: NavierStokes, rng: np.random.Generator, pressure_sign: float = 1.0
) -> pinn_ext.Jet:
    """The jet of (u, v[, w], p) at random points, by nested autograd."""

    def fields(x: Tensor) -> Tensor:
        t = torch.zeros_like(x[:, 0]) if flow.steady else x[:, 0]
        space = x.unbind(1) if flow.steady else x.unbind(1)[1:]
        return torch.cat([flow.velocity(t, *space), pressure_sign * flow.pressure(t, *space)[:, None]], dim=1)

    x = torch.tensor(rng.uniform(-1.0, 1.0, (NUM_POINTS, flow.dim + (not flow.steady))))
    return jet_of(fields, x, wanted.spec)


def largest_term(jet: pinn_ext.Jet) -> Tensor:
    """A bound on the single terms of the equations: fields times slopes, slopes, Laplacians."""
    streams = jet.data.detach()
    return max(streams.abs().max(), streams[0].abs().max() * streams[1:].abs().max())


@pytest.mark.parametrize("flow", FLOWS, ids=repr)
def test_exact_flows_have_no_residual(flow: ExactFlow, rng: np.random.Generator) -> None:
    model = equations(flow)
    jet = jet_of_flow(flow, model, rng)
    residual = model.residual(jet)
    assert residual.shape == (NUM_POINTS, flow.dim + 1)
    assert len(model.names) == flow.dim + 1
    assert residual.abs().max() < EXACT_FLOW * largest_term(jet)


@pytest.mark.parametrize("flow", FLOWS, ids=repr)
def test_a_flow_asks_for_its_own_viscosity(flow: ExactFlow, rng: np.random.Generator) -> None:
    jet = jet_of_flow(flow, equations(flow), rng)
    for factor in (0.5, 1.0, 2.0):
        asked = equations(flow, nu=factor * flow.nu).asked(jet)["viscosity_misfit"][0]
        assert asked.detach().median().item() == pytest.approx(1 / factor, rel=ASKED_VISCOSITY)


@pytest.mark.parametrize("flow", FLOWS, ids=repr)
def test_wrong_flows_have_one(flow: ExactFlow, rng: np.random.Generator) -> None:
    model = equations(flow)
    upside_down = jet_of_flow(flow, model, rng, pressure_sign=-1.0)
    assert model.residual(upside_down)[:, : flow.dim].abs().max() > WRONG_FLOW * largest_term(upside_down)
    jet = jet_of_flow(flow, model, rng)
    thick = equations(flow, nu=2 * flow.nu).residual(jet)
    assert thick[:, : flow.dim].abs().max() > WRONG_FLOW * flow.nu * largest_term(jet)
    pushed = equations(flow, forcing=[1.0] * flow.dim).residual(jet)
    torch.testing.assert_close(pushed[:, : flow.dim], torch.full((NUM_POINTS, flow.dim), -1.0, dtype=torch.float64))


@pytest.mark.parametrize(
    ("dim", "steady", "first", "laplacian"),
    [
        (2, True, (0, 1), (0, 1)),
        (2, False, (0, 1, 2), (1, 2)),
        (3, True, (0, 1, 2), (0, 1, 2)),
        (3, False, (0, 1, 2, 3), (1, 2, 3)),
    ],
)
def test_the_jet_is_what_the_residual_needs(dim: int, steady: bool, first: tuple, laplacian: tuple) -> None:
    model = NavierStokes(dim, steady=steady, nu=0.1)
    assert (model.spec.first, model.spec.laplacian) == (first, laplacian)
    jet = pinn_ext.Jet(torch.zeros(model.spec.num_streams, 5, dim + 1), model.spec)
    assert model.residual(jet).shape == (5, dim + 1)
    assert model.names == ("momentum_x", "momentum_y", *(["momentum_z"] * (dim == 3)), "continuity")


@pytest.mark.parametrize("flow", FLOWS, ids=repr)
def test_the_gradient_points_to_the_true_viscosity(flow: ExactFlow, rng: np.random.Generator) -> None:
    """d/d(log nu) of the mean square residual: below the truth negative, above it positive, at it zero."""
    slopes = []
    for factor in (0.5, 1.0, 2.0):
        model = equations(flow, nu=factor * flow.nu, learn_nu=True)
        jet = jet_of_flow(flow, model, rng)
        loss = model.residual(pinn_ext.Jet(jet.data.detach(), jet.spec)).square().mean()
        (slope,) = torch.autograd.grad(loss, model.log_nu)
        slopes.append(float(slope / largest_term(jet) ** 2))
    assert slopes[0] < 0.0 < slopes[2]
    assert abs(slopes[1]) < EXACT_FLOW_GRADIENT
    assert min(-slopes[0], slopes[2]) > 1e3 * EXACT_FLOW_GRADIENT


def test_viscosity_is_a_parameter_only_if_learned() -> None:
    fixed, learned = (NavierStokes(2, steady=True, nu=0.02, learn_nu=learn) for learn in (False, True))
    assert list(fixed.parameters()) == []
    assert list(dict(learned.named_parameters())) == ["log_nu"]
    for model, name in ((fixed, "fixed_nu"), (learned, "log_nu")):
        assert model.nu == pytest.approx(0.02, rel=LOG_NU_FLOAT32)
        assert set(model.state_dict()) == {name}


def test_a_learned_force_has_the_gradient_of_the_residual(rng: np.random.Generator) -> None:
    """Of the fused loss, which holds it constant, against autograd through the residual; weights and counts too."""
    given = {"nu": 0.1, "forcing": [0.5, -3.0], "learn_forcing": ["y"], "dtype": torch.float64}
    model = NavierStokes(2, steady=False, scales=Scales(length=2.0, velocity=3.0), **given)
    network = FourierNetwork(random_frequencies((1.0,) * 3, 0.5, 4, seed=0), 3, width=8, layers=2, dtype=torch.float64)
    x, weights = torch.from_numpy(rng.uniform(size=(20, 3))), torch.tensor([1.0, 5.0, 2.0], dtype=torch.float64)
    for options in ({}, {"point_weights": torch.from_numpy(rng.uniform(size=20)), "count": 31}):
        losses = (
            model.network_loss(network, x, weights, **options),
            model.jet_loss(network.jet(x, model.spec), weights, **options),
        )
        slopes = [torch.autograd.grad(loss.total, [model.force_y, *network.parameters()]) for loss in losses]
        torch.testing.assert_close(losses[0].total, losses[1].total)
        assert abs(float(slopes[1][0])) > 1e-3
        for fused, through in zip(*slopes, strict=True):
            torch.testing.assert_close(fused, through)
    assert model.found() == {"forcing_y": pytest.approx(-3.0)}
    assert set(model.numbers()) == {"nu", "forcing_x"}


@pytest.mark.parametrize("nu", [0.0, -1.0, float("nan"), float("inf")])
def test_viscosity_must_be_positive(nu: float) -> None:
    with pytest.raises(PinnxError, match=r"^flow.nu: expected a viscosity > 0, got "):
        NavierStokes(2, steady=True, nu=nu)


def test_dimensions_and_forcing_are_checked() -> None:
    with pytest.raises(PinnxError, match=r"^dim: expected 2 or 3, got 1$"):
        NavierStokes(1, steady=True, nu=0.1)
    with pytest.raises(PinnxError, match=r"^flow.forcing: expected 2 numbers, got 3$"):
        NavierStokes(2, steady=True, nu=0.1, forcing=[1.0, 0.0, 0.0])
