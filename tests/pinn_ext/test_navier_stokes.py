"""The residual term by term: one jet entry at a time, so that every sign and index is seen."""

from __future__ import annotations

import pytest
import torch
from cases import SPECS, normal, relative_error
from tolerances import KERNEL_FLOAT64
from torch import Tensor

from pinn_ext import Jet, JetSpec, navier_stokes_residual

every_spec = pytest.mark.parametrize("name", ["steady2d", "unsteady2d", "steady3d", "unsteady3d"])


def empty_jet(name: str) -> tuple[Tensor, JetSpec, int, int]:
    """Zeros at two points, the spec, the number of space dimensions, the stream of d/dx."""
    spec = SPECS[name]
    d = len(spec.laplacian)
    data = torch.zeros(spec.num_streams, 2, d + 1, dtype=torch.float64)
    return data, spec, d, 1 + len(spec.first) - d


def only(d: int, entries: dict[int, float]) -> Tensor:
    """A residual that is zero but for the given columns."""
    row = torch.zeros(d + 1, dtype=torch.float64)
    for column, value in entries.items():
        row[column] = value
    return row.expand(2, d + 1)


@every_spec
def test_convection_and_continuity(name: str) -> None:
    data, spec, d, x = empty_jet(name)
    for i in range(d):
        for j in range(d):
            data.zero_()
            data[0, :, j] = 2.0
            data[x + j, :, i] = 3.0
            entries = {i: 6.0} | ({d: 3.0} if i == j else {})
            assert torch.equal(navier_stokes_residual(Jet(data, spec), 0.5), only(d, entries))


@every_spec
def test_pressure_gradient(name: str) -> None:
    data, spec, d, x = empty_jet(name)
    for i in range(d):
        data.zero_()
        data[0, :, d] = 11.0  # the pressure itself appears nowhere
        data[x + i, :, d] = 3.0
        assert torch.equal(navier_stokes_residual(Jet(data, spec), 0.5), only(d, {i: 3.0}))


@every_spec
def test_viscosity(name: str) -> None:
    data, spec, d, _ = empty_jet(name)
    for i in range(d):
        data.zero_()
        data[-1, :, i] = 3.0
        data[-1, :, d] = 7.0  # the Laplacian of the pressure appears nowhere
        assert torch.equal(navier_stokes_residual(Jet(data, spec), 0.5), only(d, {i: -1.5}))


@pytest.mark.parametrize("name", ["unsteady2d", "unsteady3d"])
def test_time(name: str) -> None:
    data, spec, d, _ = empty_jet(name)
    for i in range(d):
        data.zero_()
        data[1, :, i] = 3.0
        data[1, :, d] = 7.0  # the pressure's time derivative appears nowhere
        jet = Jet(data, spec)
        assert torch.equal(navier_stokes_residual(jet, 0.5), only(d, {i: 3.0}))
        assert torch.equal(navier_stokes_residual(jet, 0.5, steady=False), only(d, {i: 3.0}))
        assert torch.equal(navier_stokes_residual(jet, 0.5, steady=True), only(d, {}))


@every_spec
def test_forcing(name: str) -> None:
    data, spec, d, _ = empty_jet(name)
    for i in range(d):
        constant = torch.zeros(d, dtype=torch.float64)
        constant[i] = 4.0
        wanted = only(d, {i: -4.0})
        for forcing in (constant, constant.expand(2, d), constant.expand(2, d).contiguous()):
            got = navier_stokes_residual(Jet(data, spec), 0.5, forcing=forcing)
            assert torch.equal(got, wanted)


def test_viscosity_of_each_point_belongs_to_its_point() -> None:
    data, spec, *_ = empty_jet("unsteady2d")
    data[-1, :, 0] = 1.0
    nu = torch.tensor([2.0, 5.0], dtype=torch.float64)
    assert navier_stokes_residual(Jet(data, spec), nu)[:, 0].tolist() == [-2.0, -5.0]


def random_jet(name: str, seed: int, n: int = 23) -> Jet:
    print(f"seed={seed}")
    spec = SPECS[name]
    generator = torch.Generator().manual_seed(seed)
    return Jet(normal(generator, spec.num_streams, n, len(spec.laplacian) + 1), spec)


@every_spec
def test_three_ways_to_give_the_same_viscosity(name: str) -> None:
    jet = random_jet(name, seed=1)
    scalar = torch.tensor(0.25, dtype=torch.float64)
    number = navier_stokes_residual(jet, 0.25)
    assert torch.equal(navier_stokes_residual(jet, scalar), number)
    assert torch.equal(navier_stokes_residual(jet, scalar.expand(23)), number)


@every_spec
def test_manufactured_forcing_cancels_the_momentum(name: str) -> None:
    jet = random_jet(name, seed=2)
    residual = navier_stokes_residual(jet, 0.1)
    rest = navier_stokes_residual(jet, 0.1, forcing=residual[:, :-1])
    assert rest[:, :-1].abs().max() <= KERNEL_FLOAT64 * residual.abs().max()
    assert torch.equal(rest[:, -1], residual[:, -1])


@pytest.mark.parametrize("name", ["unsteady2d", "unsteady3d"])
def test_galilean_invariance(name: str) -> None:
    """A field carried along with velocity U: u + U, u_t - (U . grad) u; the residual stays."""
    jet = random_jet(name, seed=3)
    d = len(jet.spec.laplacian)
    frame = torch.tensor([0.7, -1.1, 0.4], dtype=torch.float64)[:d]
    data = jet.data.clone()
    data[0, :, :d] += frame
    data[1, :, :d] -= torch.einsum("j,jnc->nc", frame, jet.first[-d:, :, :d])
    moved = navier_stokes_residual(Jet(data, jet.spec), 0.1)
    assert relative_error(moved, navier_stokes_residual(jet, 0.1)) <= KERNEL_FLOAT64


def test_turning_the_axes_turns_the_residual() -> None:
    """(x, y, z) -> (y, z, x): the momentum components follow, the continuity equation stays."""
    jet = random_jet("unsteady3d", seed=4)
    turn = [1, 2, 0]
    data = jet.data[[0, 1, *(2 + i for i in turn), 5]][:, :, [*turn, 3]]
    turned = navier_stokes_residual(Jet(data, jet.spec), 0.1)
    wanted = navier_stokes_residual(jet, 0.1)[:, [*turn, 3]]
    assert relative_error(turned, wanted) <= KERNEL_FLOAT64


def test_no_gradient_for_a_viscosity_that_is_not_learned() -> None:
    jet = random_jet("steady2d", seed=5)
    nu = torch.tensor(0.1, dtype=torch.float64)
    assert not navier_stokes_residual(jet, nu).requires_grad
    nu.requires_grad_(True)
    (gradient,) = torch.autograd.grad(navier_stokes_residual(jet, nu).sum(), nu)
    assert gradient.shape == ()
    assert jet.laplacian is not None
    assert relative_error(gradient, -jet.laplacian[:, :2].sum()) <= KERNEL_FLOAT64
