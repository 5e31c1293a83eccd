"""Gappy POD: exact inside its modes, the textbook's estimate with noise, and wrong where it must be."""

from __future__ import annotations

import numpy as np
import pytest
import tolerances

from pinnx.errors import PinnxError
from pinnx.sensors.gappy_pod import fit_gappy_pod


def fields_of(rng: np.random.Generator, num: int, scales: tuple[float, ...] = (3.0, 2.0, 1.0, 0.5)) -> np.ndarray:
    """Fields [num, 60, 2] around a mean, from as many fixed shapes as scales."""
    shapes = np.random.default_rng(7).normal(size=(len(scales), 120))
    mean = np.random.default_rng(8).normal(size=120)
    return ((rng.normal(size=(num, len(scales))) * scales) @ shapes + mean).reshape(num, 60, 2)


PLACES = np.array([3, 50, 17, 31])


def relative(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


def test_is_exact_for_new_fields_of_its_modes(rng: np.random.Generator) -> None:
    train, unseen = fields_of(rng, 20), fields_of(rng, 5)
    fitted = fit_gappy_pod(train, train[:, PLACES])
    assert fitted.num_modes == 4
    assert fitted.num_snapshots == 20
    assert relative(fitted.reconstruct(unseen[:, PLACES]), unseen) < tolerances.GAPPY_POD
    one = fitted.reconstruct(unseen[2, PLACES])
    np.testing.assert_allclose(one, unseen[2], atol=tolerances.GAPPY_POD * np.abs(unseen).max())


def test_modes_and_deviations_are_those_of_an_svd(rng: np.random.Generator) -> None:
    train = fields_of(rng, 20)
    fitted = fit_gappy_pod(train, train[:, PLACES])
    centred = (train - train.mean(axis=0)).reshape(20, -1)
    _, singular, modes = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(fitted.deviations, singular[:4] / np.sqrt(20), rtol=tolerances.GAPPY_POD)
    overlap = np.abs(fitted.modes.reshape(120, 4).T @ modes[:4].T)
    np.testing.assert_allclose(overlap, np.eye(4), atol=tolerances.GAPPY_POD)


def test_a_field_outside_its_modes_is_not_found(rng: np.random.Generator) -> None:
    """The wrong field must fail: gappy POD knows what it was shown and nothing else."""
    train = fields_of(rng, 20)
    other = rng.normal(size=(5, 60, 2)) * train.std()
    fitted = fit_gappy_pod(train, train[:, PLACES])
    assert relative(fitted.reconstruct(other[:, PLACES]), other) > 0.5


def test_with_noise_it_is_the_linear_minimum_mean_square_estimate(rng: np.random.Generator) -> None:
    """sigma from the training, covariance form:  m + P C' (C P C' + noise^2)^-1 (y - C m)."""
    train, noise = fields_of(rng, 30), 0.7
    fitted = fit_gappy_pod(train, train[:, PLACES], noise=noise)
    mean = train.mean(axis=0).ravel()
    centred = train.reshape(30, -1) - mean
    covariance = centred.T @ centred / 30
    rows = (2 * PLACES[:, None] + np.arange(2)).ravel()
    seen = rng.normal(size=8)
    inner = covariance[np.ix_(rows, rows)] + noise**2 * np.eye(8)
    wanted = mean + covariance[:, rows] @ np.linalg.solve(inner, seen - mean[rows])
    found = fitted.reconstruct(seen.reshape(4, 2)).ravel()
    np.testing.assert_allclose(found, wanted, atol=tolerances.GAPPY_POD * np.abs(wanted).max())


def test_knowing_the_noise_helps(rng: np.random.Generator) -> None:
    scales = tuple(3.0 * 0.7 ** np.arange(7))
    train, unseen = fields_of(rng, 60, scales), fields_of(rng, 40, scales)
    seen = unseen[:, PLACES] + rng.normal(size=(40, 4, 2))
    plain = fit_gappy_pod(train, train[:, PLACES], num_modes=7).reconstruct(seen)
    told = fit_gappy_pod(train, train[:, PLACES], noise=1.0).reconstruct(seen)
    assert relative(told, unseen) < 0.8 * relative(plain, unseen)


def test_the_mean_may_stay_in(rng: np.random.Generator) -> None:
    train, unseen = fields_of(rng, 20), fields_of(rng, 3)
    places = np.arange(0, 60, 6)
    fitted = fit_gappy_pod(train, train[:, places], subtract_mean=False)
    assert fitted.num_modes == 5
    assert not fitted.mean.any()
    assert relative(fitted.reconstruct(unseen[:, places]), unseen) < tolerances.GAPPY_POD


def test_places_between_points_are_as_good(rng: np.random.Generator) -> None:
    """What the sensors see is any linear function of the field."""
    train, unseen = fields_of(rng, 20), fields_of(rng, 3)
    weights = rng.normal(size=(5, 60))
    fitted = fit_gappy_pod(train, weights @ train)
    assert relative(fitted.reconstruct(weights @ unseen), unseen) < tolerances.GAPPY_POD


def test_sensors_that_see_nothing_leave_the_mean(rng: np.random.Generator) -> None:
    train = fields_of(rng, 20)
    blind = np.zeros((20, 2, 2))
    np.testing.assert_array_equal(fit_gappy_pod(train, blind).reconstruct(blind[0]), train.mean(axis=0))


def test_rounding_of_float32_is_no_mode(rng: np.random.Generator) -> None:
    train = fields_of(rng, 20).astype(np.float32)
    fitted = fit_gappy_pod(train, train[:, PLACES], noise=1e-3)
    assert fitted.num_modes == 4
    assert fitted.modes.dtype == np.float64


@pytest.mark.parametrize(
    ("shape", "seen", "more", "message"),
    [
        ((4, 5), (4, 2), {}, "snapshots: expected shape [T, n, c], got [4, 5]"),
        ((4, 5, 0), (4, 2, 0), {}, "snapshots: expected shape [T, n, c], got [4, 5, 0]"),
        ((4, 5, 2), (3, 2, 2), {}, "seen: expected shape [4, k, 2], got [3, 2, 2]"),
        ((4, 5, 2), (4, 2, 1), {}, "seen: expected shape [4, k, 2], got [4, 2, 1]"),
        ((4, 5, 2), (4, 0, 2), {}, "seen: expected shape [4, k, 2], got [4, 0, 2]"),
        ((1, 5, 2), (1, 2, 2), {}, "snapshots: expected two or more to learn from, got 1"),
        ((4, 5, 2), (4, 2, 2), {"noise": -1.0}, "noise: expected a standard deviation >= 0, got -1.0"),
        ((4, 5, 2), (4, 2, 2), {"noise": np.nan}, "noise: expected a standard deviation >= 0, got nan"),
        (
            (9, 5, 1),
            (9, 2, 1),
            {"num_modes": 3},
            "num_modes: expected 1 to 2 for 9 snapshots of rank 5 and 2 measured numbers, got 3",
        ),
        (
            (4, 9, 1),
            (4, 5, 1),
            {"num_modes": 4, "noise": 0.1},
            "num_modes: expected 1 to 3 for 4 snapshots of rank 3 and 5 measured numbers, got 4",
        ),
    ],
)
def test_refuses(rng: np.random.Generator, shape: tuple, seen: tuple, more: dict, message: str) -> None:
    with pytest.raises(PinnxError) as caught:
        fit_gappy_pod(rng.normal(size=shape), rng.normal(size=seen), **more)
    assert str(caught.value) == message


def test_refuses_what_is_not_finite_or_does_not_differ(rng: np.random.Generator) -> None:
    train = fields_of(rng, 5)
    same = np.repeat(train[:1], 4, axis=0)
    with pytest.raises(PinnxError, match="snapshots: expected fields that differ, got 4 without any variation"):
        fit_gappy_pod(same, same[:, PLACES])
    seen = train[:, PLACES].copy()
    fitted = fit_gappy_pod(train, seen)
    seen[0, 0, 0] = np.inf
    with pytest.raises(PinnxError, match="seen: expected finite values"):
        fit_gappy_pod(train, seen)
    with pytest.raises(PinnxError, match="seen: expected finite values"):
        fitted.reconstruct(seen)
    with pytest.raises(PinnxError, match=r"seen: expected shape \[\.\.\., 4, 2\], got \[4, 3\]"):
        fitted.reconstruct(np.zeros((4, 3)))
    train[0, 0, 0] = np.nan
    with pytest.raises(PinnxError, match="snapshots: expected finite values"):
        fit_gappy_pod(train, np.ones((5, 4, 2)))
