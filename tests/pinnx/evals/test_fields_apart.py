"""Distances with their worst place, and spectra: exact for waves, and blind to the jump at the ends of a window."""

from __future__ import annotations

import numpy as np
import pytest

from pinnx.errors import PinnxError
from pinnx.evals import apart, energy_spectrum, resolved_wavenumber


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
