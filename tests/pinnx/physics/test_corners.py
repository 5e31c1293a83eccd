"""Corners where two sides disagree: found where they are, weights, and the Stokes flow next to them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import tolerances
import torch
from torch import Tensor

import pinn_ext
from pinnx.errors import PinnxError
from pinnx.models import AddedField, FieldModel, FourierNetwork
from pinnx.physics.boundary import boundary_conditions
from pinnx.physics.corner_flow import CornerFlow, corner_flow
from pinnx.physics.corners import Corner, corner_distance, corner_weights, discontinuity_corners
from pinnx.physics.navier_stokes import NavierStokes
from pinnx.physics.scales import Scales
from pinnx.physics.term import TermLoss

BOX = {"x": (-1.0, 2.0), "y": (0.5, 2.0)}
SCALES, NU = Scales(1.5, 2.0), 0.03
STEADY = pinn_ext.JetSpec(first=(0, 1), laplacian=(0, 1))


def fixed_nu() -> Tensor:
    return torch.tensor(NU, dtype=torch.float64)


def flow_of(
    sides: dict[str, tuple[float, float]], bounds: dict = BOX, nu: Callable[[], Tensor] = fixed_nu
) -> CornerFlow | None:
    entries = [{"where": {"side": side}, "u": u, "v": v} for side, (u, v) in sides.items()]
    corners = discontinuity_corners(boundary_conditions(entries, bounds), bounds, scales=[2.0, 2.0, 4.0])
    return corner_flow(corners, bounds, SCALES, nu, dtype=torch.float64)


CASES = {
    "lid": {"left": (0.0, 0.0), "right": (0.0, 0.0), "top": (1.0, 0.0)},
    "moving wall, below": {"left": (0.0, -1.0), "bottom": (0.0, 0.0)},
    "uniform inflow": {"left": (2.0, 0.0), "bottom": (0.0, 0.0), "top": (0.0, 0.0)},
    "both components": {"right": (0.3, -1.0), "top": (1.0, 0.7), "bottom": (-0.5, 0.2)},
}


@pytest.mark.parametrize("sides", CASES.values(), ids=CASES)
def test_its_jet_is_that_of_its_values_and_solves_the_stokes_equations(sides: dict) -> None:
    flow = flow_of(sides)
    x = torch.rand(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    jet = flow.jet(x, STEADY)
    each = torch.func.vmap(torch.func.jacrev(lambda at: flow.jet(at[None], pinn_ext.JetSpec()).value[0]))
    twice = torch.func.vmap(torch.func.jacrev(lambda at: flow.jet(at[None], STEADY).first[:, 0]))(x)
    first, second = each(x).permute(2, 0, 1), twice[:, 0, :, 0] + twice[:, 1, :, 1]
    close(jet.first, first)
    close(jet.laplacian, second)
    close(jet.first[:, :, 2].T, NU * jet.laplacian[:, :2])
    close(jet.first[0, :, 0], -jet.first[1, :, 1])
    with pytest.raises(AssertionError):  # with another viscosity it is no solution
        close(jet.first[:, :, 2].T, 2 * NU * jet.laplacian[:, :2])


def close(found: Tensor, wanted: Tensor) -> None:
    size = float(wanted.abs().max())
    torch.testing.assert_close(found, wanted, rtol=0.0, atol=tolerances.KERNEL_FLOAT64 * size)


@pytest.mark.parametrize("sides", CASES.values(), ids=CASES)
def test_less_this_flow_the_sides_agree_at_the_corner(sides: dict) -> None:
    """What is left for a network to take at the two sides has no jump."""
    flow = flow_of(sides)
    entries = [{"where": {"side": side}, "u": u, "v": v} for side, (u, v) in sides.items()]
    conditions = boundary_conditions(entries, BOX)
    for corner in discontinuity_corners(conditions, BOX):
        left = []
        for condition in (conditions[corner.owner], *conditions):
            at = np.array([corner.position])
            axis = "xy".index(condition.where.axis)
            if at[0, axis] != condition.where.position(BOX):
                continue
            at[0, 1 - axis] += 1e-9 * np.sign(sum(list(BOX.values())[1 - axis]) / 2 - at[0, 1 - axis])
            added = flow.jet(torch.from_numpy(inputs(at)), pinn_ext.JetSpec()).value.numpy()
            left.append(condition.targets(at)[0][0, :2] / SCALES.velocity - added[0, :2])
        np.testing.assert_allclose(left, np.broadcast_to(left[0], np.shape(left)), atol=1e-7)
        # At the corner itself it is that of the side to which the corner belongs.
        there = flow.jet(torch.from_numpy(inputs(np.array([corner.position]))), pinn_ext.JetSpec()).value.numpy()
        owned = conditions[corner.owner].targets(np.array([corner.position]))[0][0, :2] / SCALES.velocity
        np.testing.assert_allclose(owned - there[0, :2], left[0], atol=1e-7)


def inputs(at: np.ndarray) -> np.ndarray:
    return (at - [BOX["x"][0], BOX["y"][0]]) / SCALES.length


def test_only_corners_of_a_plane_with_one_known_jump_have_one() -> None:
    lid = CASES["lid"]
    assert flow_of(lid) is not None
    assert flow_of(lid, {"t": (0.0, 1.0), **BOX}) is not None
    assert flow_of(lid | {"top": ("t", 0.0)}, {"t": (0.0, 1.0), **BOX}) is None  # another one at each time
    assert flow_of(lid | {"top": (1.0, None)}) is None
    assert flow_of({side: (0.0, 0.0) for side in lid}) is None


def test_another_laplacian_is_refused() -> None:
    flow = flow_of(CASES["lid"])
    with pytest.raises(PinnxError, match="expected the Laplacian in x and y"):
        flow.jet(torch.rand(3, 2, dtype=torch.float64), pinn_ext.JetSpec(first=(0, 1), laplacian=(0,)))


@pytest.mark.parametrize("axes", [("x", "y"), ("t", "x", "y")], ids=str)
def test_the_fused_loss_takes_it_as_a_base_flow(axes: tuple[str, ...]) -> None:
    """Loss and gradients, that of a learned viscosity too, are those of the sum of both jets."""
    bounds = {axis: {"t": (0.0, 1.0), **BOX}[axis] for axis in axes}
    equations = NavierStokes(2, steady="t" not in axes, nu=NU, learn_nu=True, scales=SCALES, dtype=torch.float64)
    flow = flow_of(CASES["lid"], bounds, lambda: equations.scaled_nu)
    generator = torch.Generator().manual_seed(2)
    frequencies = torch.randn(len(axes), 4, generator=generator, dtype=torch.float64)
    model = AddedField(FourierNetwork(frequencies, 3, width=8, layers=2, dtype=torch.float64), flow)
    x = torch.rand(40, len(axes), dtype=torch.float64, generator=generator)
    weights = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)

    def found(loss: Callable[..., TermLoss]) -> list[Tensor]:
        total, columns, _ = loss(equations, x, weights)
        return [total.detach(), columns, *torch.autograd.grad(total, [*model.parameters(), equations.log_nu])]

    fused, composed = found(model.equations_loss), found(partial(FieldModel.equations_loss, model))
    without = found(model.network.equations_loss)
    for got, wanted, network_alone in zip(fused, composed, without, strict=True):
        close(got, wanted)
        assert (got - network_alone).abs().max() > 1e-3 * wanted.abs().max()


SQUARE = {"x": (0.0, 1.0), "y": (0.0, 1.0)}
WALLS = [{"where": {"side": side}, "u": 0.0, "v": 0.0} for side in ("left", "right", "bottom")]


def corners_of(lid: float | str, bounds: dict) -> tuple[Corner, ...]:
    entries = [*WALLS, {"where": {"side": "top"}, "u": lid, "v": 0.0}]
    return discontinuity_corners(boundary_conditions(entries, bounds), bounds)


def test_the_lid_meets_the_walls_in_two_corners() -> None:
    assert corners_of(1.0, SQUARE) == (
        Corner(("x", "y"), (0.0, 1.0), 1.0, owner=0),
        Corner(("x", "y"), (1.0, 1.0), 1.0, owner=1),
    )


@pytest.mark.parametrize("lid", [0.0, "16 * x**2 * (1 - x)**2", "sin(pi * x)"])
def test_a_lid_that_starts_from_zero_has_none(lid: float | str) -> None:
    assert corners_of(lid, SQUARE) == ()


def test_a_lid_that_starts_to_move_disagrees_at_some_time() -> None:
    assert len(corners_of("t", {"t": (0.0, 2.0), **SQUARE})) == 2


def test_components_that_only_one_side_prescribes_do_not_disagree() -> None:
    entries = [{"where": {"side": "left"}, "u": 1.0}, {"where": {"side": "top"}, "v": 2.0}]
    assert discontinuity_corners(boundary_conditions(entries, SQUARE), SQUARE) == ()


def test_edges_of_a_box() -> None:
    bounds = {**SQUARE, "z": (-1.0, 1.0)}
    entries = [{"where": {"side": "front"}, "u": 1.0}, {"where": {"side": "bottom"}, "u": 0.0}]
    (edge,) = discontinuity_corners(boundary_conditions(entries, bounds), bounds)
    assert edge == Corner(("y", "z"), (0.0, 1.0), 1.0, owner=0)
    points = np.array([[0.2, 0.3, 0.6], [0.9, 0.3, 0.6]])
    np.testing.assert_array_equal(corner_distance(points, (edge,), ("x", "y", "z")), [0.5, 0.5])


def test_weights_rise_smoothly_from_the_corner_to_the_radius() -> None:
    corners = corners_of(1.0, SQUARE)
    radius = 0.2
    r = np.linspace(0.0, 0.4, 401)
    points = np.stack([r * 0.6, 1.0 - r * 0.8], axis=1)
    weights = corner_weights(points, corners, ("x", "y"), radius)
    q = np.minimum(corner_distance(points, corners, ("x", "y")) / radius, 1.0)
    np.testing.assert_array_equal(weights, q * q * (3 - 2 * q))
    np.testing.assert_allclose(corner_distance(points, corners, ("x", "y")), r, atol=1e-15)
    assert weights[0] == 0.0
    assert (np.diff(weights) >= 0.0).all()
    assert (weights[r > radius] == 1.0).all()
    # The slope, at most 1.5 / R, never jumps: second differences stay at w'' h^2 <= 6 (h / R)^2.
    second = np.abs(np.diff(weights, n=2)).max()
    assert second < 6 * (0.001 / radius) ** 2 * (1 + tolerances.SECOND_DIFFERENCE)


def test_time_does_not_count_in_the_distance() -> None:
    corners = corners_of(1.0, {"t": (0.0, 2.0), **SQUARE})
    points = np.array([[0.0, 0.3, 0.6], [2.0, 0.3, 0.6]])
    distance = corner_distance(points, corners, ("t", "x", "y"))
    np.testing.assert_array_equal(distance, [0.5, 0.5])


def test_without_corners_all_points_count() -> None:
    points = np.array([[0.0, 1.0], [0.5, 0.5]])
    assert np.isinf(corner_distance(points, (), ("x", "y"))).all()
    np.testing.assert_array_equal(corner_weights(points, (), ("x", "y"), 0.1), [1.0, 1.0])


def test_refuses_a_radius_of_zero() -> None:
    with pytest.raises(PinnxError, match="corner_radius: expected a number > 0, got 0"):
        corner_weights(np.zeros((1, 2)), (), ("x", "y"), 0.0)


def test_points_of_a_corner_lie_on_its_edge() -> None:
    bounds = {"t": (0.0, 2.0), **SQUARE}
    corner = corners_of(1.0, bounds)[1]
    parameters = np.array([[0.0, 0.3, 0.9], [0.5, 0.1, 0.2]])
    np.testing.assert_array_equal(corner.at(parameters, bounds), [[0.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
