"""Errors against a reference: known values, invariances, refusals; distances with their worst place, and spectra."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import METRIC_ROUNDING

from pinnx.errors import PinnxError
from pinnx.evals import (
    apart,
    energy_spectrum,
    field_errors,
    relative_l2,
    relative_l2_per_frame,
    relative_l2_up_to_constant,
    resolved_wavenumber,
    worst_component,
)


def flow(seed: int = 0, frames: int = 3, points: int = 50, dim: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(frames, points, dim))


@settings(deadline=None)  # the time is the machine's
@given(st.floats(-4.0, 4.0), st.integers(0, 100))
def test_scaling_a_field_is_an_error_of_that_size(factor: float, seed: int) -> None:
    reference = flow(seed)
    expected = pytest.approx(abs(factor - 1.0), abs=METRIC_ROUNDING)
    assert relative_l2(factor * reference, reference) == expected


def test_equal_fields_have_no_error() -> None:
    reference = flow()
    assert relative_l2(reference, reference) == 0.0
    assert set(field_errors(reference, reference).values()) == {0.0}


def test_takes_tensors() -> None:
    reference = torch.arange(1.0, 5.0)
    assert relative_l2(2 * reference, reference) == pytest.approx(1.0, abs=METRIC_ROUNDING)


def test_pressure_constant_is_removed_in_every_frame() -> None:
    reference = flow()[..., 0]
    shifted = reference + np.array([[5.0], [-3.0], [100.0]])
    assert relative_l2_up_to_constant(shifted, reference) < 1e2 * METRIC_ROUNDING
    assert relative_l2(shifted, reference) > 1.0


def test_pressure_error_that_is_no_constant_stays() -> None:
    reference = flow()[..., 0]
    assert relative_l2_up_to_constant(-reference, reference) == pytest.approx(2.0, abs=METRIC_ROUNDING)
    assert relative_l2_up_to_constant(-reference[0], reference[0]) == pytest.approx(2.0, abs=METRIC_ROUNDING)


def test_pressure_constant_in_space_is_no_reference() -> None:
    with pytest.raises(PinnxError, match="varies over the points"):
        relative_l2_up_to_constant(np.ones((2, 7)), np.full((2, 7), 0.1))


def test_frames_combine_to_the_whole() -> None:
    reference, prediction = flow(0), flow(1)
    errors = relative_l2_per_frame(prediction, reference)
    assert errors.shape == (3,)
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(relative_l2(prediction, reference), rel=METRIC_ROUNDING)


def test_a_flow_that_starts_from_rest_has_a_curve() -> None:
    reference = flow()
    reference[0] = 0.0
    errors = relative_l2_per_frame(0.9 * reference, reference)
    assert errors[0] == 0.0
    assert np.all(errors[1:] > 0.0)


def test_field_errors_of_a_known_flow() -> None:
    reference = np.zeros((1, 2, 2))
    reference[0] = [[3.0, 4.0], [0.0, 5.0]]
    prediction = np.zeros((1, 2, 2))
    prediction[0] = [[4.0, 3.0], [0.0, -5.0]]
    errors = field_errors(prediction, reference)
    # Turning a vector does not change its length: the speed alone would see no error here.
    assert errors["speed"] == 0.0
    assert errors["u"] == pytest.approx(1 / 3, rel=METRIC_ROUNDING)
    assert errors["v"] == pytest.approx(np.sqrt(101 / 41), rel=METRIC_ROUNDING)
    assert errors["velocity"] == pytest.approx(np.sqrt(102 / 50), rel=METRIC_ROUNDING)
    assert set(errors) == {"velocity", "u", "v", "speed"}, "one frame has no fluctuation"


def test_the_fluctuation_is_judged_apart_from_the_mean() -> None:
    """A steady answer to a flow that moves a little: the vector hides it, the fluctuation is wrong as a whole."""
    moving = 0.05 * flow(frames=40)
    moving -= moving.mean(axis=0)
    reference = np.array([1.0, 0.2]) + moving
    still = field_errors(reference - moving, reference)
    assert still["velocity"] < 0.1
    assert still["fluctuation"] == pytest.approx(1.0, abs=1e2 * METRIC_ROUNDING)
    faint = np.array([1.0, 0.2]) + 0.1 * moving
    assert "fluctuation" not in field_errors(faint, faint), "below 1 % of the velocity"


def test_the_worst_component_is_one_that_matters() -> None:
    reference = flow(dim=3) * np.array([1.0, 0.1, 0.001])
    wrong = reference * np.array([1.01, 0.1, 0.0])
    errors = field_errors(wrong, reference)
    assert errors["velocity"] < 0.15, "v is wrong by 90 %, and the vector hides it"
    assert worst_component(errors, reference) == "v"
    assert errors["v"] == pytest.approx(0.9, abs=METRIC_ROUNDING)


def test_field_errors_in_three_dimensions_with_pressure() -> None:
    reference = flow(dim=3)
    p = flow(5)[..., 0]
    errors = field_errors(1.1 * reference, reference, pressure=1.2 * p[:1] + 9.0, reference_pressure=p[:1])
    assert list(errors) == ["velocity", "fluctuation", "u", "v", "w", "speed", "p"]
    assert errors["speed"] == pytest.approx(0.1, abs=METRIC_ROUNDING)
    assert errors["p"] == pytest.approx(0.2, abs=1e2 * METRIC_ROUNDING)


def test_component_that_is_zero_has_no_relative_error() -> None:
    reference = flow(dim=3)
    reference[..., 2] = 1e-18
    assert list(field_errors(reference, reference)) == ["velocity", "fluctuation", "u", "v", "speed"]


def test_what_is_refused() -> None:
    reference = flow()
    with pytest.raises(PinnxError, match=r"u: expected the reference's shape \[3\], got \[2\]"):
        relative_l2(np.ones(2), np.ones(3), name="u")
    with pytest.raises(PinnxError, match="at least one value"):
        relative_l2(np.ones(0), np.ones(0))
    with pytest.raises(PinnxError, match="zero everywhere"):
        relative_l2(np.ones(3), np.zeros(3))
    with pytest.raises(PinnxError, match="zero everywhere"):
        field_errors(reference, np.zeros_like(reference))
    with pytest.raises(PinnxError, match="1 of 3 not finite in the prediction"):
        relative_l2([1.0, np.nan, 2.0], np.ones(3))
    with pytest.raises(PinnxError, match="1 of 3 not finite in the reference"):
        relative_l2(np.ones(3), [1.0, np.inf, 2.0])
    with pytest.raises(PinnxError, match=r"\[frames, points, 2 or 3\]"):
        field_errors(reference[0], reference[0])
    with pytest.raises(PinnxError, match="got no reference_pressure"):
        field_errors(reference, reference, pressure=reference[..., 0])
    with pytest.raises(PinnxError, match=r"\[n\] or \[frames, n\]"):
        relative_l2_up_to_constant(reference, reference)
    with pytest.raises(PinnxError, match=r"\[frames, points"):
        relative_l2_per_frame(np.ones(3), np.ones(3))
    with pytest.raises(PinnxError, match="zero everywhere"):
        relative_l2_per_frame(np.ones((2, 3)), np.zeros((2, 3)))


def test_norms_and_the_worst_place() -> None:
    points = np.random.default_rng(0).uniform(size=(50, 2))
    wanted = np.ones((50, 2))
    found = wanted.copy()
    found[17] += (3.0, -4.0)
    got = apart(found, wanted, points)
    assert (got.relative_l2, got.rmse, got.largest) == pytest.approx((0.5, 5 / np.sqrt(50), 5.0))
    assert got.worst_at == tuple(points[17])
    assert apart(wanted[:, 0], wanted[:, 0], points).largest == 0.0
    for bad, message in (
        ((wanted[1:], wanted, points), "prediction: expected shape"),
        ((wanted, 0 * wanted, points), "not zero everywhere"),
        ((wanted * np.nan, wanted, points), "prediction: expected finite"),
    ):
        with pytest.raises(PinnxError, match=message):
            apart(*bad)


def waves(axis: np.ndarray, numbers: tuple[int, ...], length: float) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.meshgrid(axis, axis, indexing="ij")
    u = sum((np.sin(2 * np.pi * n * y / length) / n for n in numbers), 0 * x)
    return u, 0 * x


def test_the_energy_of_a_wave_is_in_its_shell_and_all_of_it() -> None:
    length, n = 2.0, 48
    axis = np.arange(n) * length / n
    velocity = waves(axis, (3, 7), length)
    k, energy = energy_spectrum(velocity, (axis, axis), periods=(length, length))
    unit = 2 * np.pi / length
    assert k[[2, 6]] == pytest.approx([3 * unit, 7 * unit])
    assert energy[[2, 6]] * unit == pytest.approx([1 / 4 / 9, 1 / 4 / 49])
    assert (energy * unit).sum() == pytest.approx((velocity[0] ** 2).mean() / 2)


def test_a_window_leaves_the_slope_of_the_spectrum() -> None:
    axis = np.linspace(0.0, 1.0, 64)
    u = waves(axis, (5,), 1.03)  # not a whole number of waves: without a window 1e-3 of it is in far shells
    k, windowed = energy_spectrum(u, (axis, axis))
    _, cut = energy_spectrum(u, (axis, axis), periods=(64 / 63,) * 2)
    far = k > 2 * np.pi * 15
    assert np.argmax(windowed) == 4
    assert windowed[far].sum() < 1e-3 * cut[far].sum()


def test_the_wavenumber_up_to_which_a_reconstruction_has_the_energy() -> None:
    axis = np.arange(48) / 48
    wanted, smooth = (
        energy_spectrum(waves(axis, n, 1.0), (axis, axis), periods=(1.0, 1.0)) for n in ((1, 2, 3), (1, 2))
    )
    k = wanted[0]
    assert resolved_wavenumber(wanted[1], wanted[1], k) == pytest.approx(2 * np.pi * 3)
    assert resolved_wavenumber(smooth[1], wanted[1], k) == pytest.approx(2 * np.pi * 2)
    assert resolved_wavenumber(0.1 * wanted[1], wanted[1], k) == 0.0
    with pytest.raises(PinnxError, match="axes: expected even grids"):
        energy_spectrum(waves(axis**2, (1,), 1.0), (axis**2, axis))
