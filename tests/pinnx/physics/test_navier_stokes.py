"""The equations of a run: exact flows obey them, wrong ones do not, and a viscosity can be learned."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from tolerances import (
    ASKED_VISCOSITY,
    EXACT_FLOW,
    EXACT_FLOW_GRADIENT,
    KERNEL_FLOAT64,
    LOG_NU_FLOAT32,
    WRONG_FLOW,
)
from torch import Tensor

import pinn_ext
from pinn_ext.reference import jet_of, navier_stokes_residual
from pinnx.errors import PinnxError
from pinnx.evals import Beltrami, ExactFlow, Kovasznay, TaylorGreen
from pinnx.models import FourierNetwork, VorticityStreamFunction, random_frequencies
from pinnx.physics import EquationTerm, Share
from pinnx.physics.navier_stokes import NavierStokes
from pinnx.physics.scales import Scales
from pinnx.physics.stream_function_equations import StreamFunctionEquations

FLOWS = [TaylorGreen(nu=0.05, amplitude=1.7, wavenumber=2.0), Kovasznay(nu=1 / 40), Beltrami(nu=0.1)]
NUM_POINTS = 64
WAVES = ("sin(x)*cos(y)", "cos(x)*sin(y)")
BOX = {"t": (0.0, 2.0), "x": (-1.0, 1.0), "y": (0.0, 1.0)}


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


# u = g sin x cos y, v = -g cos x sin y, p = g^2 (cos 2x + cos 2y) / 4 with g = 1 + sin(2t) / 2, viscosity 0.1.
DRIVEN = tuple(f"{sign}(cos(2*t) + 0.2 + 0.1*sin(2*t))*{of}" for sign, of in (("", WAVES[0]), ("-", WAVES[1])))


def driven(x: Tensor) -> Tensor:
    """The flow that `DRIVEN` drives, [n, 3], at (t, x, y)."""
    t, first, second = x.unbind(1)
    g = 1 + torch.sin(2 * t) / 2
    u, v = g * first.sin() * second.cos(), -g * first.cos() * second.sin()
    return torch.stack([u, v, g**2 * ((2 * first).cos() + (2 * second).cos()) / 4], dim=1)


def test_a_force_that_is_a_formula_balances_the_flow_that_it_drives(rng: np.random.Generator) -> None:
    x = rng.uniform((0.0, -3.0, -3.0), (4.0, 3.0, 3.0), (NUM_POINTS, 3))
    for force, right in ((DRIVEN, True), ((DRIVEN[0], f"-({DRIVEN[1]})"), False), ((DRIVEN[0], 0.0), False)):
        model = NavierStokes(2, steady=False, nu=0.1, forcing=force, dtype=torch.float64)
        jet = jet_of(driven, torch.from_numpy(x), model.spec)
        known = model.known_like(x, jet.value)
        residual = model.residual(jet, **known)
        assert (residual.abs().max() < EXACT_FLOW * largest_term(jet)) == right
        assert residual[:, 0].abs().max() < EXACT_FLOW * largest_term(jet), "the force along x is right in all"
        asked = model.asked(jet, **known)["viscosity_misfit"][0].detach().median().item()
        assert (asked == pytest.approx(1.0, rel=ASKED_VISCOSITY)) == right


def test_the_force_is_that_of_the_users_coordinates(rng: np.random.Generator) -> None:
    """Of a network with scales and an origin far away, against derivatives by nested autograd in the user's units."""
    scales, origin = Scales(length=20.0, velocity=0.3), np.array([7000.0, 1000.0, -500.0])
    extents = np.array([scales.time, scales.length, scales.length])
    units = {"coordinate_scales": extents, "field_scales": scales.of_fields("uvp"), "origin": origin}
    waves = random_frequencies((1.0,) * 3, 0.5, 4, seed=0)
    network = FourierNetwork(waves, 3, width=8, layers=2, dtype=torch.float64, **units)
    given = {"forcing": ["sin((y + 500)/10)*cos(t/30)", 0.02], "scales": scales, "dtype": torch.float64}
    model = NavierStokes(2, steady=False, nu=1.5, **given)
    places = origin + extents * rng.uniform(size=(20, 3))

    def fields(at: Tensor) -> Tensor:
        inputs = (at - torch.from_numpy(origin)) / torch.from_numpy(extents)
        return network(inputs) * torch.from_numpy(network.field_scales)

    t, _, y = torch.from_numpy(places).unbind(1)
    force = torch.stack([torch.sin((y + 500) / 10) * torch.cos(t / 30), torch.full_like(y, 0.02)], dim=1)
    wanted = navier_stokes_residual(jet_of(fields, torch.from_numpy(places), model.spec), 1.5, forcing=force)
    x = torch.from_numpy(network.inputs(places))
    found = model.residual(network.jet(x, model.spec), **model.known_like(places, x)).detach()
    found *= torch.tensor([model.residual_scales[name] for name in model.names], dtype=torch.float64)
    assert (found - wanted.detach()).abs().max() <= KERNEL_FLOAT64 * wanted.detach().abs().max()


@pytest.mark.parametrize("kind", [NavierStokes, StreamFunctionEquations])
@pytest.mark.parametrize("learned", [False, True])
def test_a_term_has_one_force_in_loss_rows_and_check(kind: type[NavierStokes], learned: bool) -> None:
    """Fused and composed losses, their gradients, shares and squares of rows agree; a force without its point raises.

    Beside a formula along x the force along y is a number, or learned.
    """
    given = {"nu": 0.1, "forcing": ["sin(3*y)*cos(t)", 0.7], "learn_forcing": ["y"] * learned, "dtype": torch.float64}
    term = EquationTerm(kind(2, steady=False, **given), bounds=BOX, num_points=24, seed=0)
    waves = random_frequencies((1.0,) * 3, 0.5, 4, seed=0)
    plain = FourierNetwork(waves, 3 + (kind is not NavierStokes), width=8, layers=2, dtype=torch.float64)
    network = plain if kind is NavierStokes else VorticityStreamFunction(plain, field_scales=1.0)
    drawn, weights = term.draw(3), torch.rand(len(term.names), dtype=torch.float64) + 0.5
    np.testing.assert_array_equal(drawn["known forcing"][:, 1], 0.0)
    _, _, y = drawn["x"].T
    np.testing.assert_array_equal(drawn["known forcing"][:, 0], np.sin(3 * y) * np.cos(drawn["x"][:, 0]))
    halves = [term.draw(3, Share(part, 2)) for part in range(2)]
    np.testing.assert_array_equal(np.concatenate([half["known forcing"] for half in halves]), drawn["known forcing"])
    points = {name: torch.from_numpy(array) for name, array in drawn.items()}
    loss, unknowns = term.loss(network, points, weights), [*term.parameters(), *plain.parameters()]
    slopes = torch.autograd.grad(loss.total, unknowns, allow_unused=True)
    if kind is NavierStokes:
        known = {"forcing": points["known forcing"]}
        composed = term.equations.jet_loss(network.jet(points["x"], term.spec), weights, known=known)
        rows = term.weighed_residual(network, points)
        squares = sum(weight * row.square().sum() for weight, row in zip(weights, rows, strict=True))
        for total in (composed.total, squares):
            torch.testing.assert_close(loss.total, total)
            others = torch.autograd.grad(total, unknowns, allow_unused=True)
            for one, other in zip(slopes, others, strict=True):
                torch.testing.assert_close(one, other)
    assert not learned or abs(float(slopes[0])) > 1e-3
    unforced = EquationTerm(kind(2, steady=False, **given | {"forcing": [0.0, 0.7]}), bounds=BOX, num_points=24, seed=0)
    still = {name: array for name, array in points.items() if name == "x"}
    assert not torch.allclose(unforced.loss(network, still, weights).total, loss.total)
    with pytest.raises(PinnxError, match=r"forcing: expected that of known_at the points, .* got none"):
        term.loss(network, still, weights)
    assert set(term.equations.numbers()) == ({"nu"} if learned else {"nu", "forcing_y"})


def test_formulas_that_are_no_force_are_refused() -> None:
    def known(text: str, *, steady: bool = True, finite: bool = True) -> np.ndarray:
        model = NavierStokes(2, steady=steady, nu=0.1, forcing=[text, 0.0])
        return model.known_at(np.zeros((1, 2 + (not steady))), finite=finite)["forcing"]

    for text, message in (
        ("sin(t)", "flow.forcing: expression 'sin(t)': uses t, but the coordinates are x, y"),
        ("x < 1", "flow.forcing: expression 'x < 1': expected a number, got a condition"),
        ("1/x", "flow.forcing: expression '1/x': expected finite values, got inf at x=0, y=0"),
    ):
        with pytest.raises(PinnxError, match=f"^{re.escape(message)}$"):
            known(text)
    assert known("1 + sin(t)", steady=False).tolist() == [[1.0, 0.0]]
    assert known("1/x", finite=False).tolist() == [[np.inf, 0.0]]
    message = r"^flow.learn_forcing: expected a number as flow.forcing along y, the first guess, got 'sin\(x\)'$"
    with pytest.raises(PinnxError, match=message):
        NavierStokes(2, steady=True, nu=0.1, forcing=[0.0, "sin(x)"], learn_forcing=["x", "y"])
    constant, number = (
        NavierStokes(2, steady=True, nu=0.1, forcing=[f, 0.0], learn_forcing=["y"]) for f in ("2*pi", 2 * np.pi)
    )
    assert torch.equal(constant.scaled_forcing, number.scaled_forcing)
    assert constant.known_at(np.zeros((1, 2))) == {}


@pytest.mark.parametrize("nu", [0.0, -1.0, float("nan"), float("inf")])
def test_viscosity_must_be_positive(nu: float) -> None:
    with pytest.raises(PinnxError, match=r"^flow.nu: expected a viscosity > 0, got "):
        NavierStokes(2, steady=True, nu=nu)


def test_dimensions_and_forcing_are_checked() -> None:
    with pytest.raises(PinnxError, match=r"^dim: expected 2 or 3, got 1$"):
        NavierStokes(1, steady=True, nu=0.1)
    with pytest.raises(PinnxError, match=r"^flow.forcing: expected 2 numbers or expressions, got 3$"):
        NavierStokes(2, steady=True, nu=0.1, forcing=[1.0, 0.0, 0.0])
