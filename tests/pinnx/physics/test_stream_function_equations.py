"""The velocity of a stream function and its equations against autograd, exact flows and a wrong sign."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from tolerances import EXACT_FLOW, KERNEL_FLOAT64, WRONG_FLOW
from torch import Tensor, nn

import pinn_ext
from pinn_ext.reference import jet_of
from pinnx.errors import PinnxError
from pinnx.evals.exact import ExactFlow, Kovasznay, TaylorGreen
from pinnx.models import (
    FieldModel,
    FourierNetwork,
    PressureRamp,
    Siren,
    StreamFunction,
    VorticityStreamFunction,
    random_frequencies,
)
from pinnx.models.stream_function import PSI_UNIT
from pinnx.models.third_order import Streams, of_function
from pinnx.physics.boundary import boundary_conditions
from pinnx.physics.corner_flow import BoxWalls, CornerFlow, corner_flow
from pinnx.physics.corners import discontinuity_corners
from pinnx.physics.scales import UNIT
from pinnx.physics.stream_function_equations import StreamFunctionEquations

NU = 0.05
UNSTEADY = pinn_ext.JetSpec(first=(0, 1, 2), laplacian=(1, 2))
STEADY = pinn_ext.JetSpec(first=(0, 1), laplacian=(0, 1))
Outputs = Callable[[Tensor], Tensor]


class Analytic(FieldModel):
    """psi and h in closed form in place of a network; omega and chi by autograd."""

    frequencies: Tensor

    def __init__(self, psi: Outputs, head: Outputs, *, steady: bool) -> None:
        super().__init__(2 if steady else 3, 3 if steady else 4)
        self.register_buffer("frequencies", torch.ones(1, 1, dtype=torch.float64))
        self.psi, self.head, self.spec = psi, head, STEADY if steady else UNSTEADY

    def forward(self, x: Tensor) -> Tensor:
        psi = jet_of(lambda at: self.psi(at)[:, None], x, self.spec)
        rate = [psi.derivative(0)[:, 0] / PSI_UNIT] if self.spec is UNSTEADY else []
        return torch.stack([psi.value[:, 0] / PSI_UNIT, -psi.laplacian[:, 0], self.head(x), *rate], dim=1)

    def jet(self, x: Tensor, spec: pinn_ext.JetSpec) -> pinn_ext.Jet:
        return jet_of(self, x, spec)


class OfFormulas(VorticityStreamFunction):
    """A stream function whose outputs are an `Analytic`'s."""

    def _outputs(self, x: Tensor, at: Streams) -> Tensor:
        def output(i: int) -> Tensor:
            return of_function(lambda points: self.network(points)[:, i], x, at)

        return torch.cat([output(i) for i in range(at.d + 1)], dim=2) * self._units


def smooth(x: Tensor) -> Tensor:
    return torch.sin(1.3 * x[:, -2] + 0.4) * torch.exp(0.5 * x[:, -1]) * (1 + 0.3 * torch.cos(2 * x[:, 0] + x[:, -1]))


def head(x: Tensor) -> Tensor:
    return torch.cos(x[:, -1] - 0.7 * x[:, -2]) * (1 + 0.2 * torch.sin(3 * x[:, 0]))


def points(d: int) -> Tensor:
    return torch.rand(40, d, dtype=torch.float64, generator=torch.Generator().manual_seed(3)) * 0.9 + 0.05


def lid() -> nn.Module:
    bounds = {"x": (0.0, 1.0), "y": (0.0, 1.0)}
    entries = [
        {"where": {"side": side}, "u": u, "v": 0.0} for side, u in {"left": 0.0, "right": 0.0, "top": 1.0}.items()
    ]
    corners = discontinuity_corners(boundary_conditions(entries, bounds), bounds, scales=[1.0, 1.0, 1.0])
    field = corner_flow(corners, bounds, UNIT, lambda: torch.tensor(NU, dtype=torch.float64), dtype=torch.float64)
    assert field is not None
    return field


def ramp() -> nn.Module:
    return PressureRamp({0: -0.7}, first_space=0, dim=2, dtype=torch.float64)


def equations(*, steady: bool, **options: object) -> StreamFunctionEquations:
    return StreamFunctionEquations(2, steady=steady, nu=NU, dtype=torch.float64, **options)


def networks() -> list[FieldModel]:
    frequencies = random_frequencies((1.0, 1.0, 1.0), 0.4, 5, seed=1)
    given = {"width": 9, "layers": 2, "dtype": torch.float64}
    return [FourierNetwork(frequencies, 4, **given), Siren(frequencies, 4, omega=5.0, **given)]


def slopes(psi: Tensor, at: Tensor) -> Tensor:
    (found,) = torch.autograd.grad(psi.sum(), at, create_graph=True)
    return found


@pytest.mark.parametrize("activation", ["tanh", "sine", "silu", "gelu"])
@pytest.mark.parametrize("d", [2, 3])
def test_without_a_vorticity_the_jet_is_that_of_psi_and_p(d: int, activation: str) -> None:
    frequencies = random_frequencies((1.0,) * d, 0.4, 5, seed=1)
    network = FourierNetwork(frequencies, 2, width=9, layers=2, activation=activation, dtype=torch.float64)
    model, x = StreamFunction(network, field_scales=1.0, periodic=(d - 1,)), points(d)
    with torch.no_grad():
        model.mean.fill_(0.25)  # of v there is none, as x is no period

    def formula(at: Tensor) -> Tensor:
        psi, p = network(at).unbind(1)
        by_x, by_y = slopes(PSI_UNIT * psi, at)[:, -2:].unbind(1)
        return torch.stack([0.25 + by_y, -by_x, p], dim=1)

    for spec in (STEADY if d == 2 else UNSTEADY, pinn_ext.JetSpec(first=(d - 1, d - 2)), pinn_ext.JetSpec()):
        found, expected = model.jet(x, spec), jet_of(formula, x, spec)
        for stream in range(spec.num_streams):
            size = expected.data[stream].abs().max()
            assert (found.data[stream] - expected.data[stream]).abs().max() <= KERNEL_FLOAT64 * size, (spec, stream)
    with torch.no_grad():
        assert torch.equal(model.jet(x, pinn_ext.JetSpec()).value, found.value.detach())


SLIDING = {"left": 0.5, "right": -0.3, "bottom": 0.2, "top": 1.0}
EXTENT = {"x": (0.0, 2.0), "y": (0.0, 0.5)}


def box(sliding: dict[str, float]) -> tuple[StreamFunction, CornerFlow | None]:
    """A stream function in a box whose sides slide along themselves."""
    entries = [
        {"where": {"side": side}, "u": speed * (side in ("bottom", "top")), "v": speed * (side in ("left", "right"))}
        for side, speed in sliding.items()
    ]
    corners = discontinuity_corners(boundary_conditions(entries, EXTENT), EXTENT, scales=[1.0, 1.0, 1.0])
    field = corner_flow(corners, EXTENT, UNIT, lambda: torch.tensor(NU, dtype=torch.float64), dtype=torch.float64)
    walls = BoxWalls([2.0, 0.5], field, first_space=0, dtype=torch.float64)
    frequencies = random_frequencies((1.0, 1.0), 0.4, 5, seed=1)
    network = FourierNetwork(frequencies, 2, width=9, layers=2, dtype=torch.float64)
    return StreamFunction(network, field_scales=1.0, field=field, walls=walls), field


@pytest.mark.parametrize("sliding", [SLIDING, dict.fromkeys(SLIDING, 0.0), {**SLIDING, "left": 0.0, "top": 0.0}])
def test_the_sides_of_a_box_have_their_velocity_whatever_the_network(sliding: dict[str, float]) -> None:
    model, _ = box(sliding)
    along = torch.linspace(0.01, 0.99, 50, dtype=torch.float64)
    for side, speed in sliding.items():
        axis, end = (0, 2.0 * (side == "right")) if side in ("left", "right") else (1, 0.5 * (side == "top"))
        x = torch.stack([2.0 * along, 0.5 * along], dim=1)
        x[:, axis] = end
        velocity = model.jet(x, pinn_ext.JetSpec()).value.detach()[:, :2]
        assert (velocity[:, 1 - axis] - speed).abs().max() < 1e-13, side
        assert velocity[:, axis].abs().max() < 1e-13, side
    inside = model.jet(torch.tensor([[1.0, 0.25], [0.3, 0.1]], dtype=torch.float64), pinn_ext.JetSpec()).value
    assert (inside[:, :2].abs() > 1e-4).all(), "the network moves what is inside"
    at_corners = torch.tensor([[0.0, 0.0], [2.0, 0.5]], dtype=torch.float64)
    assert torch.isfinite(model.jet(at_corners, pinn_ext.JetSpec()).value[:, :2]).all()


def test_in_a_box_the_jet_is_that_of_its_values() -> None:
    """The form of the walls, and products with it, up to the third derivatives of psi."""
    model, field = box(SLIDING)
    assert field is not None
    x = points(2) * torch.tensor([2.0, 0.5])

    def formula(at: Tensor) -> Tensor:
        psi, p = (model.network(at) * torch.tensor([PSI_UNIT, 1.0])).unbind(1)
        psi = model.walls.lift(at) + model.walls.factor(at) * psi
        by_x, by_y = slopes(psi, at).unbind(1)
        return torch.stack([by_y, -by_x, p], dim=1)

    found, expected = model.jet(x, STEADY).data - field.jet(x, STEADY).data, jet_of(formula, x, STEADY).data
    for stream in range(STEADY.num_streams):
        size = expected[stream].abs().max()
        assert (found[stream] - expected[stream]).abs().max() <= 10 * KERNEL_FLOAT64 * size, stream


@pytest.mark.parametrize("network", networks(), ids=["mlp", "siren"])
def test_the_jet_is_that_of_the_values_and_has_no_divergence(network: FieldModel) -> None:
    model = VorticityStreamFunction(network, field_scales=1.0, periodic=(1, 2))
    with torch.no_grad():
        model.mean.copy_(torch.tensor([0.25, -0.5]))
    x = points(3)

    def formula(at: Tensor) -> Tensor:
        psi, _, h, _ = (network(at) * torch.tensor([PSI_UNIT, 1.0, 1.0, PSI_UNIT])).unbind(1)
        by_x, by_y = slopes(psi, at)[:, 1:].unbind(1)
        u, v = 0.25 + by_y, -0.5 - by_x
        return torch.stack([u, v, h - (u * u + v * v) / 2], dim=1)

    for spec in (UNSTEADY, pinn_ext.JetSpec(first=(2, 1)), pinn_ext.JetSpec()):
        found, expected = model.jet(x, spec), jet_of(formula, x, spec)
        for stream in range(spec.num_streams):
            size = expected.data[stream].abs().max()
            assert (found.data[stream] - expected.data[stream]).abs().max() <= KERNEL_FLOAT64 * size, (spec, stream)
    jet, formulas = model.jet(x, UNSTEADY), jet_of(formula, x, UNSTEADY)
    parameters = [p for p in network.parameters() if p is not network.biases[-1]]
    pulls = torch.rand_like(jet.data)
    gradients = [torch.autograd.grad(each.data, parameters, pulls, allow_unused=True) for each in (jet, formulas)]
    for found, expected in zip(*gradients, strict=True):
        assert (found - expected).abs().max() <= 10 * KERNEL_FLOAT64 * expected.abs().max()
    assert torch.equal(jet.derivative(1)[:, 0], -jet.derivative(2)[:, 1])
    assert (jet.derivative(1)[:, 0] != 0).all()


@pytest.mark.parametrize("force", [(0.3, -0.1), ("0.3*sin(3*y)", "x*y")])
@pytest.mark.parametrize(("steady", "field"), [(True, None), (False, None), (True, lid), (True, ramp)])
def test_with_exact_vorticity_and_rate_the_loss_has_the_residual_of_the_fields(
    steady: bool, field: Callable[[], nn.Module] | None, force: tuple[float | str, float | str]
) -> None:
    """The fields obey no equation, so a missing or wrong term shows."""
    model = OfFormulas(Analytic(smooth, head, steady=steady), field_scales=1.0, periodic=(0,), field=field and field())
    momentum = equations(steady=steady, forcing=force)
    x = points(2 if steady else 3)
    known = momentum.known_like(x.numpy(), x)
    trained = momentum.outputs_residual(model, x, **known)
    checked = momentum.residual(model.jet(x, momentum.spec), **known)
    size = checked.abs().max()
    assert trained[:, 2:].abs().max() <= EXACT_FLOW * size
    assert (trained[:, :2] - checked[:, :2]).abs().max() <= EXACT_FLOW * size
    assert checked[:, :2].square().mean().sqrt() > WRONG_FLOW * size


def vortices(x: Tensor) -> Tensor:
    t, first, second = x.unbind(1)
    return torch.sin(2 * first) * torch.sin(2 * second) / 2 * torch.exp(-8 * NU * t)


def behind_bodies(x: Tensor) -> Tensor:
    first, second = x.unbind(1)
    rate = 1 / (2 * NU) - math.sqrt(1 / (4 * NU**2) + 4 * math.pi**2)
    return second - torch.exp(rate * first) * torch.sin(2 * math.pi * second) / (2 * math.pi)


@pytest.mark.parametrize(
    ("flow", "psi", "sign"),
    [(TaylorGreen(NU, wavenumber=2.0), vortices, 1), *((Kovasznay(NU), behind_bodies, sign) for sign in (1, -1))],
)
def test_an_exact_flow_has_no_residual_and_a_wrong_sign_has(flow: ExactFlow, psi: Outputs, sign: int) -> None:
    def total(x: Tensor) -> Tensor:
        at = [*([x[:, 0]] if flow.steady else []), *x.unbind(1)]
        return flow.pressure(*at) + flow.velocity(*at).square().sum(-1) / 2

    model = OfFormulas(Analytic(lambda x: sign * psi(x), total, steady=flow.steady), field_scales=1.0)
    x, momentum = points(2 if flow.steady else 3), equations(steady=flow.steady)
    jet = model.jet(x, momentum.spec)
    size = float(jet.data.detach().abs().max())  # the Laplacian's, larger than any term
    for residual in (momentum.outputs_residual(model, x), momentum.residual(jet)):
        largest = float(residual.detach().abs().max())
        assert largest <= EXACT_FLOW * size if sign == 1 else largest > WRONG_FLOW * NU * size


def test_the_loss_pulls_at_a_viscosity_that_is_learned() -> None:
    momentum = equations(steady=False, learn_nu=True)
    model, x, weights = (
        VorticityStreamFunction(networks()[0], field_scales=1.0),
        points(3),
        torch.ones(4, dtype=torch.float64),
    )
    found = model.equations_loss(momentum, x, weights)
    (slope,) = torch.autograd.grad(found.total, [momentum.log_nu])
    totals = []
    for step in (1e-6, -1e-6):
        with torch.no_grad():
            momentum.log_nu += step
            totals.append(float(model.equations_loss(momentum, x, weights).total))
            momentum.log_nu -= step
    # Differences over 2e-6: 1e-12 of the third derivative, and 1e-16 / 1e-6 of the total by rounding.
    assert float(slope) == pytest.approx((totals[0] - totals[1]) / 2e-6, rel=1e-6)
    assert found.columns.shape == (4,)
    assert (found.columns > 0).all()


def test_what_it_cannot_serve_is_refused() -> None:
    with pytest.raises(PinnxError, match="stream_function: expected a flow in 2 dimensions, got 3"):
        StreamFunctionEquations(3, steady=True, nu=NU)
    frequencies = random_frequencies((1.0, 1.0), 0.4, 5, seed=1)
    with pytest.raises(PinnxError, match="got 2 inputs and 4 outputs"):
        VorticityStreamFunction(FourierNetwork(frequencies, 4), field_scales=1.0)
    with pytest.raises(PinnxError, match="expected no walls beside a vorticity"):
        VorticityStreamFunction(FourierNetwork(frequencies, 3), field_scales=1.0, walls=box(SLIDING)[0].walls)
    model = VorticityStreamFunction(FourierNetwork(frequencies, 3, dtype=torch.float64), field_scales=1.0)
    with pytest.raises(PinnxError, match="stream function: expected the Laplacian in x and y"):
        model.jet(points(2), pinn_ext.JetSpec(first=(0, 1), laplacian=(0,)))
    assert model.predict(np.zeros((3, 2))).shape == (3, 3)
