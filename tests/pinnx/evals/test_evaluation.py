"""A network at many points: blocks change nothing, residuals are those of the terms, periods are seen."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tolerances import KERNEL_FLOAT64

from pinnx.errors import PinnxError
from pinnx.evals import evaluate, measure, periodic_error, verify
from pinnx.models import FourierNetwork, field_model, random_frequencies
from pinnx.physics import EquationTerm, MeasuredValues, NavierStokes

BOUNDS = {"t": (0.0, 2.0), "x": (-1.0, 1.0), "y": (0.0, 1.0)}


def made(dtype: torch.dtype = torch.float64) -> tuple[FourierNetwork, EquationTerm]:
    frequencies = random_frequencies((0.5, 0.5, 1.0), 0.5, 6, seed=0)
    network = FourierNetwork(frequencies, 3, width=8, layers=2, seed=1, origin=[0.0, -1.0, 0.0], dtype=dtype)
    equations = NavierStokes(2, steady=False, nu=0.1, dtype=dtype)
    return network, EquationTerm(equations, bounds=BOUNDS, num_points=4, seed=0)


def coordinates(rng: np.random.Generator, n: int) -> np.ndarray:
    low, high = np.array(list(BOUNDS.values())).T
    return rng.uniform(low, high, (n, 3))


@pytest.mark.parametrize("n", [0, 1, 7, 8, 20])
def test_blocks_change_nothing(n: int, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    network, term = made()
    x = coordinates(rng, n)
    whole, fields = evaluate(network, [term], x), network.predict(x)
    monkeypatch.setattr(field_model, "BLOCK", 7)
    parts = evaluate(network, [term], x)
    assert whole.fields.shape == whole.residual.shape == fields.shape == (n, 3)
    for a, b in ((whole.fields, parts.fields), (whole.residual, parts.residual), (fields, network.predict(x))):
        assert a.dtype == np.float64
        np.testing.assert_allclose(a, b, rtol=0.0, atol=KERNEL_FLOAT64)
    np.testing.assert_allclose(fields, whole.fields, rtol=0.0, atol=KERNEL_FLOAT64)


def test_residual_is_that_of_the_equations_among_the_terms(rng: np.random.Generator) -> None:
    network, term = made()
    x = coordinates(rng, 30)
    with torch.no_grad():
        jet = network.jet(torch.tensor(network.inputs(x)), term.equations.spec)
        wanted = term.equations.residual(jet).numpy()
    data = MeasuredValues(x, np.zeros((30, 2)))
    flow = evaluate(network, [data, term], x)
    np.testing.assert_array_equal(flow.residual, wanted)
    assert flow.residual_names == ("momentum_x", "momentum_y", "continuity")
    assert np.abs(wanted).max() > 1e-3, "a random network obeys no equation"
    without = evaluate(network, [data], x)
    assert (without.residual.shape, without.residual_names) == ((30, 0), ())
    np.testing.assert_allclose(without.fields, flow.fields, rtol=0.0, atol=KERNEL_FLOAT64)


def test_a_force_that_is_infinite_in_a_body_leaves_the_rest_as_it_is(rng: np.random.Generator) -> None:
    """A grid has points in bodies; at points that a check draws in the flow a force must be finite."""
    network, _ = made()
    equations = NavierStokes(2, steady=False, nu=0.1, forcing=["x/(x**2 + (y - 0.5)**2)", 0.0], dtype=torch.float64)
    term, x = EquationTerm(equations, bounds=BOUNDS, num_points=4, seed=0), coordinates(rng, 5)
    x[2, 1:] = (0.0, 0.5)
    found = evaluate(network, [term], x)
    assert np.isnan(found.residual[2, 0])
    assert np.isfinite(np.delete(found.residual, 2, axis=0)).all()
    assert np.isfinite(found.fields).all()
    force = x[:, 1] / (x[:, 1] ** 2 + (x[:, 2] - 0.5) ** 2 + (np.arange(5) == 2))
    still = EquationTerm(
        NavierStokes(2, steady=False, nu=0.1, dtype=torch.float64), bounds=BOUNDS, num_points=4, seed=0
    )
    without = evaluate(network, [still], x).residual[:, 0]
    rest = np.arange(5) != 2
    np.testing.assert_allclose(found.residual[rest, 0], (without - force)[rest], rtol=0.0, atol=KERNEL_FLOAT64 * 100)
    with pytest.raises(PinnxError, match=r"^flow\.forcing: expression .* expected finite values, got nan at t=.*, x=0"):
        equations.known_at(x)


def test_a_checkpoint_can_be_measured_without_a_trainer(rng: np.random.Generator) -> None:
    network, term = made()
    data = MeasuredValues(coordinates(rng, 5), np.ones((5, 2)))
    found = measure(network, [term, data], BOUNDS, periodic=("x",), num_points=20, seed=0)
    gates = ["pde_residual_l2", "conservation", "viscosity_misfit", "sensor_misfit", "periodic_error_max"]
    assert [item.gate for item in found] == gates
    assert all(item.value > 0 for item in found)


def test_numbers_of_one_gate_have_the_names_of_their_terms(rng: np.random.Generator) -> None:
    network, term = made()
    twin = EquationTerm(term.equations, bounds=BOUNDS, num_points=4, seed=1, name="twin")
    start = MeasuredValues(coordinates(rng, 5), np.ones((5, 2)), name="start")
    data = MeasuredValues(coordinates(rng, 5), np.ones((5, 2)))
    labels = [item.label for item in verify(measure(network, [term, start], BOUNDS, num_points=20, seed=0))]
    assert labels == ["pde_residual_l2", "conservation", "viscosity_misfit", "sensor_misfit"], "nothing to tell apart"
    labels = [item.label for item in verify(measure(network, [term, twin, start, data], BOUNDS, num_points=20, seed=0))]
    assert labels[:2] == ["pde_residual_l2 (equations)", "pde_residual_l2 (twin)"]
    assert labels[-2:] == ["sensor_misfit (start)", "sensor_misfit (data)"]
    assert len(set(labels)) == len(labels) == 8


def test_only_a_periodic_network_is_periodic() -> None:
    box, waves = {"x": (-1.0, 1.0), "y": (0.0, 1.0)}, (0.5, 1.0)
    for periods, along in (({0: 2.0, 1: 1.0}, "xy"), ({0: 2.0}, "x")):
        frequencies = random_frequencies(waves, 1.0, 6, seed=0, periods=periods)
        network = FourierNetwork(frequencies, 3, width=8, layers=2, seed=1, dtype=torch.float64)
        assert periodic_error(network, box, tuple(along), 50, seed=0).value < KERNEL_FLOAT64
    found = periodic_error(network, box, ("x", "y"), 50, seed=0)
    assert found.value == found.worst > 1e-2, "y has no period there"
    (x, y) = found.worst_at
    assert (y, -1.0 <= x <= 1.0) == (0.0, True)
    ends = network.predict(np.array([[x, 0.0], [x, 1.0]]))
    assert np.abs(ends[1] - ends[0]).max() == pytest.approx(found.value), "it is the place of that difference"
    (cut,) = (periodic_error(network, {**box, "x": (-1.0, 0.7)}, ("x",), 50, seed=0),)
    assert (cut.value > 1e-2, cut.worst_at[0]) == (True, -1.0), "not a whole period"
    with torch.no_grad():
        network.biases[-1].fill_(math.nan)
    assert math.isnan(periodic_error(network, box, ("x",), 5, seed=0).value)
    for axes, num in (((), 9), (("x",), 0)):
        with pytest.raises(PinnxError, match="periodic_error: expected at least one periodic axis and one point"):
            periodic_error(network, box, axes, num, seed=0)


def test_float32_networks_take_float64_points(rng: np.random.Generator) -> None:
    network, term = made(torch.float32)
    flow = evaluate(network, [term], coordinates(rng, 5))
    assert flow.fields.dtype == np.float64
    assert np.isfinite(flow.residual).all()
