"""The dual norm of a residual, and the estimate made of it: exact for waves, and free of units."""

from __future__ import annotations

import numpy as np
import pytest

from pinnx.errors import PinnxError
from pinnx.evals import dual_norm, residual_estimate

N, L = 31, 2.0
H = L / (N + 1)
X, Y = np.meshgrid(*(H * np.arange(1, N + 1),) * 2, indexing="ij")


def wave(a: int, b: int) -> np.ndarray:
    return np.sin(a * np.pi * X / L) * np.sin(b * np.pi * Y / L)


@pytest.mark.parametrize(("a", "b"), [(1, 1), (3, 2), (9, 14)])
def test_a_wave_is_divided_by_its_wavenumber(a: int, b: int) -> None:
    of_differences = np.sqrt(sum((2 / H * np.sin(k * np.pi * H / L / 2)) ** 2 for k in (a, b)))
    assert dual_norm(wave(a, b), (H, H)) == pytest.approx(L / 2 / of_differences, rel=1e-12)


def test_an_error_that_is_a_potential_is_measured_as_it_is() -> None:
    # u = (1, 0) + grad phi: the divergence is lap phi, and its dual norm the length of grad phi.
    velocity = np.zeros((N, N, 2))
    velocity[..., 0] = 1.0
    k = np.pi / L
    phi = 1e-2 * wave(3, 2)
    estimate = residual_estimate(0.0 * velocity, -(9 + 4) * k**2 * phi, velocity, (H, H))
    wanted = 1e-2 * np.sqrt(13) * k * (L / 2) / np.sqrt((velocity**2).sum() * H * H)
    assert estimate == pytest.approx(wanted, rel=0.02)


def test_short_waves_of_a_residual_count_less_and_units_cancel() -> None:
    velocity = np.stack([wave(1, 2), wave(2, 1)], axis=-1)
    long, short = (np.stack([wave(k, k), 0 * X], axis=-1) for k in (1, 8))
    first, second = (residual_estimate(part, 0 * X, velocity, (H, H)) for part in (long, short))
    assert first > 7 * second > 0
    # In millimetres and milliseconds: a velocity is 1 as before, its rate of change 1e3 less per millimetre.
    scaled = residual_estimate(long / 1e3, 0 * X, velocity, (1e3 * H, 1e3 * H))
    assert scaled == pytest.approx(first, rel=1e-12)
    assert residual_estimate(2 * long, 0 * X, velocity, (H, H)) == pytest.approx(2 * first)


def test_three_dimensions_and_bad_input() -> None:
    axis = np.arange(1, 16) / 16
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    field = np.sin(np.pi * x) * np.sin(np.pi * y) * np.sin(np.pi * z)
    assert dual_norm(field, (1 / 16,) * 3) == pytest.approx(np.sqrt(1 / 8) / (np.sqrt(3) * np.pi), rel=5e-3)
    with pytest.raises(PinnxError, match="residual: expected finite numbers on a grid of 2 axes"):
        dual_norm(np.full((4, 4), np.nan), (1.0, 1.0))
    with pytest.raises(PinnxError, match="velocity: expected a flow that moves"):
        residual_estimate(np.zeros((4, 4, 2)), np.zeros((4, 4)), np.zeros((4, 4, 2)), (1.0, 1.0))
