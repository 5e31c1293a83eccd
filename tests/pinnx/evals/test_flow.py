"""A network at many points: blocks change nothing, norms are those of the points, and NaN never passes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tolerances import KERNEL_FLOAT64

from pinnx.errors import PinnxError
from pinnx.evals import flow as evaluation
from pinnx.evals.flow import boundary_error, evaluate_flow, periodic_error, predict, residual_norms
from pinnx.models import FourierNetwork, random_frequencies
from pinnx.physics import BoundaryCondition, Side, discontinuity_corners
from pinnx.physics.navier_stokes import NavierStokes

BOUNDS = {"t": (0.0, 2.0), "x": (-1.0, 1.0), "y": (0.0, 1.0)}


def made(dtype: torch.dtype = torch.float64) -> tuple[FourierNetwork, NavierStokes]:
    frequencies = random_frequencies((0.5, 0.5, 1.0), 0.5, 6, seed=0)
    network = FourierNetwork(frequencies, 3, width=8, layers=2, seed=1, dtype=dtype)
    return network, NavierStokes(2, steady=False, nu=0.1, dtype=dtype)


def constant(values: tuple[float, float, float]) -> FourierNetwork:
    """A network that gives the same fields everywhere."""
    network, _ = made()
    with torch.no_grad():
        network.weights[-1].zero_()
        network.biases[-1].copy_(torch.tensor(values))
    return network


def coordinates(rng: np.random.Generator, n: int) -> np.ndarray:
    low, high = np.array(list(BOUNDS.values())).T
    return rng.uniform(low, high, (n, 3))


@pytest.mark.parametrize("n", [0, 1, 6, 7, 8, 20])
def test_blocks_change_nothing(n: int, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    network, equations = made()
    x = coordinates(rng, n)
    whole, fields = evaluate_flow(network, equations, x), predict(network, x)
    monkeypatch.setattr(evaluation, "BLOCK", 7)
    parts = evaluate_flow(network, equations, x)
    assert whole.fields.shape == whole.residual.shape == fields.shape == (n, 3)
    for a, b in ((whole.fields, parts.fields), (whole.residual, parts.residual), (fields, predict(network, x))):
        assert a.dtype == np.float64
        np.testing.assert_allclose(a, b, rtol=0.0, atol=KERNEL_FLOAT64)
    np.testing.assert_allclose(fields, whole.fields, rtol=0.0, atol=KERNEL_FLOAT64)


def test_residual_is_that_of_the_equations(rng: np.random.Generator) -> None:
    network, equations = made()
    x = coordinates(rng, 30)
    jet = network.jet(torch.tensor(x), equations.spec)
    with torch.no_grad():
        wanted = equations.residual(jet).numpy()
    flow = evaluate_flow(network, equations, x)
    np.testing.assert_array_equal(flow.residual, wanted)
    assert not torch.is_inference_mode_enabled()
    assert np.abs(wanted).max() > 1e-3, "a random network obeys no equation"


def test_norms_of_a_constant_flow_are_zero_and_of_a_random_one_not() -> None:
    network, equations = made()
    assert residual_norms(constant((1.0, 2.0, 3.0)), equations, BOUNDS, 50, seed=0) == (0.0, 0.0)
    momentum, continuity = residual_norms(network, equations, BOUNDS, 50, seed=0)
    assert momentum > 1e-3
    assert continuity > 1e-3
    assert (momentum, continuity) == residual_norms(network, equations, BOUNDS, 50, seed=0)
    assert (momentum, continuity) != residual_norms(network, equations, BOUNDS, 50, seed=1)


def test_norms_are_root_mean_squares() -> None:
    """A body force on a constant flow is the whole residual: its length is the norm."""
    _, equations = made()
    pushed = NavierStokes(2, steady=False, nu=0.1, forcing=(3.0, -4.0), dtype=torch.float64)
    assert residual_norms(constant((1.0, 0.0, 0.0)), pushed, BOUNDS, 17, seed=0) == (5.0, 0.0)
    assert residual_norms(constant((1.0, 0.0, 0.0)), equations, BOUNDS, 17, seed=0) == (0.0, 0.0)


def test_boundary_error_is_the_largest_of_the_prescribed() -> None:
    network = constant((1.0, 0.25, 100.0))
    lid = BoundaryCondition(Side("top"), {"u": 1.0}, BOUNDS, stream=1)
    wall = BoundaryCondition(Side("left"), {"u": "y", "v": 0.0}, BOUNDS, stream=2)
    assert boundary_error(network, [lid], 9) == 0.0
    assert boundary_error(network, [lid, wall], 9) == 1.0, "u at the wall's foot, an end of the side"


def test_only_the_corner_where_sides_disagree_is_left_out() -> None:
    network = constant((1.0, 0.0, 0.0))
    conditions = [
        BoundaryCondition(Side("left"), {"u": "y"}, BOUNDS, stream=1),
        BoundaryCondition(Side("bottom"), {"u": 1.0}, BOUNDS, stream=2),
    ]
    corners = discontinuity_corners(conditions, BOUNDS)
    assert boundary_error(network, conditions, 9) == 1.0, "at the corner the wall says 0, the bottom 1"
    without = [boundary_error(network, conditions, 99, corners=corners, corner_radius=radius) for radius in (0.0, 0.6)]
    assert without[0] > without[1] > 0.0, "what is wrong beside the corner still counts"
    with pytest.raises(PinnxError, match=r"expected points of .* away from the corners"):
        boundary_error(network, conditions, 9, corners=corners, corner_radius=9.0)


def test_a_network_of_nan_has_no_boundary_error_of_zero() -> None:
    wall = BoundaryCondition(Side("left"), {"u": 0.0}, BOUNDS, stream=1)
    fine = BoundaryCondition(Side("right"), {"v": 0.0}, BOUNDS, stream=2)
    for conditions in ([wall, fine], [fine, wall]):
        assert math.isnan(boundary_error(constant((math.nan, 0.0, 0.0)), conditions, 9))


def test_only_a_periodic_network_is_periodic() -> None:
    box, waves = {"x": (-1.0, 1.0), "y": (0.0, 1.0)}, (0.5, 1.0)
    for periods, along in (({0: 2.0, 1: 1.0}, "xy"), ({0: 2.0}, "x")):
        frequencies = random_frequencies(waves, 1.0, 6, seed=0, periods=periods)
        network = FourierNetwork(frequencies, 3, width=8, layers=2, seed=1, dtype=torch.float64)
        assert periodic_error(network, box, tuple(along), 50, seed=0) < KERNEL_FLOAT64
    assert periodic_error(network, box, ("x", "y"), 50, seed=0) > 1e-2, "y has no period there"
    assert periodic_error(network, {**box, "x": (-1.0, 0.7)}, ("x",), 50, seed=0) > 1e-2, "not a whole period"
    assert math.isnan(periodic_error(constant((math.nan, 0.0, 0.0)), BOUNDS, ("x",), 5, seed=0))


def test_nothing_to_check_is_an_error() -> None:
    network, equations = made()
    with pytest.raises(PinnxError, match="boundary_error: expected at least one boundary condition, got none"):
        boundary_error(network, [], 9)
    for axes, num in (((), 9), (("x",), 0)):
        with pytest.raises(PinnxError, match="periodic_error: expected at least one periodic axis and one point"):
            periodic_error(network, BOUNDS, axes, num, seed=0)
    with pytest.raises(PinnxError, match="residual_norms: expected at least one point, got 0"):
        residual_norms(network, equations, BOUNDS, 0, seed=0)


def test_float32_networks_take_float64_points(rng: np.random.Generator) -> None:
    network, equations = made(torch.float32)
    flow = evaluate_flow(network, equations, coordinates(rng, 5))
    assert flow.fields.dtype == np.float64
    assert np.isfinite(flow.residual).all()
