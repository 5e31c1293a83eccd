"""Bases without a full SVD: against the full SVD, what rounding leaves of weak modes, and refusals."""

from __future__ import annotations

import numpy as np
import pytest
import tolerances
import torch
from planted_snapshots import largest_angle, modes_of, planted

from pinnx.data.blocks import ArraySource
from pinnx.errors import PinnxError
from pinnx.sensors.basis import Modes, find_modes, gram_matrix, modes_of_sketch, sketch_snapshots

DTYPES = (np.float32, np.float64)
VALUES = 10.0 * 0.7 ** np.arange(12)


def found(snapshots: np.ndarray, r: int | None, **options: object) -> Modes:
    source = ArraySource(torch.from_numpy(snapshots))
    return find_modes(source, r, 12, **({"subtract_mean": False} | options))  # type: ignore[arg-type]


@pytest.mark.parametrize("subtract_mean", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("num_times", "n"), [(40, 300), (90, 70), (130, 1500), (13, 1)])
def test_method_of_snapshots_is_the_svd(
    rng: np.random.Generator, num_times: int, n: int, dtype: type, subtract_mean: bool
) -> None:
    r = min(8, n)
    snapshots = (planted(rng, num_times, n, VALUES[: min(12, n)]) + 3.0 * rng.normal(size=n)).astype(dtype)
    got = found(snapshots, r, subtract_mean=subtract_mean)
    mean = snapshots.astype(np.float64).mean(axis=0)
    rows, values = modes_of(snapshots - mean if subtract_mean else snapshots, r)
    assert got.method == "snapshots"
    assert got.modes.dtype == torch.from_numpy(snapshots).dtype
    bound = tolerances.modes_by_squares(np.finfo(dtype).eps, got.singular_values.numpy())
    np.testing.assert_allclose(got.singular_values.numpy(), values, rtol=bound)
    np.testing.assert_allclose(got.modes.numpy(), rows, atol=bound)
    np.testing.assert_allclose(got.mean.numpy(), mean, atol=tolerances.rounding(10.0, num_times, np.finfo(dtype).eps))
    identity = (got.modes.double() @ got.modes.double().T).numpy()
    np.testing.assert_allclose(identity, np.eye(r), atol=bound)


def test_a_large_mean_costs_no_digits(rng: np.random.Generator) -> None:
    """Temperatures in kelvin: fluctuations of 1e-2 of 300, in float32."""
    fluctuations = planted(rng, 100, 2000, VALUES)
    snapshots = (300.0 + fluctuations).astype(np.float32)
    got = found(snapshots, 8, subtract_mean=True)
    exact = snapshots.astype(np.float64)
    rows, values = modes_of(exact - exact.mean(axis=0), 8)
    bound = tolerances.modes_by_squares(np.finfo(np.float32).eps, got.singular_values.numpy())
    assert largest_angle(got.modes.numpy(), rows) < bound
    np.testing.assert_allclose(got.singular_values.numpy(), values, rtol=bound)


@pytest.mark.parametrize("dtype", DTYPES)
def test_modes_that_squares_lose_are_found(rng: np.random.Generator, dtype: type) -> None:
    """float32 products, then float64 products, then the range finder, as the spectrum falls."""
    methods = set()
    for weakest in (1e-2, 1e-5, 1e-10):
        values = np.array([1.0, 0.3, weakest])
        snapshots = planted(rng, 80, 600, values).astype(dtype)
        if weakest < 10 * np.finfo(dtype).eps:
            continue
        got = found(snapshots, 3)
        methods.add((got.method, weakest))
        rows, _ = modes_of(planted_rows := snapshots.astype(np.float64), 3)
        assert len(planted_rows) == 80
        assert largest_angle(got.modes.numpy(), rows) < tolerances.WEAK_MODES
    if dtype is np.float64:
        assert methods == {("snapshots", 1e-2), ("snapshots", 1e-5), ("range_finder", 1e-10)}
    else:
        assert methods == {("snapshots", 1e-2), ("snapshots", 1e-5)}


@pytest.mark.parametrize("subtract_mean", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_range_finder_agrees_with_the_svd(rng: np.random.Generator, dtype: type, subtract_mean: bool) -> None:
    snapshots = (planted(rng, 120, 700, VALUES) + 3.0 * rng.normal(size=700)).astype(dtype)
    got = found(snapshots, 6, subtract_mean=subtract_mean, randomized=True)
    exact = snapshots.astype(np.float64)
    rows, values = modes_of(exact - exact.mean(axis=0) if subtract_mean else exact, 6)
    assert got.method == "range_finder"
    # Twelve or thirteen directions, all of them in the sketch of sixteen rows: exact but for rounding.
    bound = tolerances.modes_by_squares(np.finfo(dtype).eps, values)
    assert largest_angle(got.modes.numpy(), rows) < bound
    np.testing.assert_allclose(got.singular_values.numpy(), values, rtol=bound)


def test_power_iterations_sharpen(rng: np.random.Generator) -> None:
    """A slow spectrum, where the sketch alone misses much."""
    snapshots = planted(rng, 150, 800, 0.97 ** np.arange(140))
    rows, _ = modes_of(snapshots, 5)

    def lost(power_iterations: int) -> float:
        modes = found(snapshots, 5, randomized=True, power_iterations=power_iterations, oversampling=5).modes.numpy()
        return float(np.linalg.norm(snapshots - snapshots @ modes.T @ modes))

    best = float(np.linalg.norm(snapshots - snapshots @ rows.T @ rows))
    errors = [lost(q) for q in (0, 1, 2, 4)]
    assert errors == sorted(errors, reverse=True)
    assert best <= errors[-1] < best + 0.5 * (errors[0] - best)


def test_passes_are_counted(rng: np.random.Generator) -> None:
    for options, passes in (
        ({}, 2),
        ({"randomized": True, "power_iterations": 0}, 2),
        ({"randomized": True, "power_iterations": 3}, 5),
    ):
        source = ArraySource(torch.from_numpy(planted(rng, 80, 100, VALUES)))
        find_modes(source, 4, 4, subtract_mean=False, **options)  # type: ignore[arg-type]
        assert source.num_passes == passes
    source = ArraySource(torch.from_numpy(planted(rng, 80, 100, VALUES)))
    sketch_snapshots(source, 14, subtract_mean=True, seed=0)
    assert source.num_passes == 1


def test_a_sketch_keeps_lengths_and_the_span(rng: np.random.Generator) -> None:
    """All 12 planted directions are in a sketch of 40 rows; lengths hold to about 1 / sqrt(40)."""
    snapshots = planted(rng, 300, 500, VALUES) + 2.0
    source = ArraySource(torch.from_numpy(snapshots))
    sketch, mean, count = sketch_snapshots(source, 40, subtract_mean=True, seed=0)
    np.testing.assert_allclose(mean.numpy(), snapshots.mean(axis=0), rtol=tolerances.rounding(1.0, 300, 1e-16))
    got = modes_of_sketch(sketch, mean, count, 12, 12, subtract_mean=True)
    rows, values = modes_of(snapshots - snapshots.mean(axis=0), 12)
    assert (got.method, got.num_snapshots) == ("sketch", 300)
    assert largest_angle(got.modes.numpy(), rows) < tolerances.modes_by_squares(np.finfo(np.float64).eps, values)
    assert np.abs(np.log(got.singular_values.numpy() / values)).max() < 0.5


def test_modes_of_rounding_are_left_out_unless_asked_for(rng: np.random.Generator) -> None:
    snapshots = planted(rng, 50, 400, VALUES[:3]).astype(np.float32)
    assert len(found(snapshots, None).modes) == 3
    assert len(found(snapshots.astype(np.float64), None).modes) == 3
    with pytest.raises(PinnxError, match=r"n_modes: expected at most 3, the rank of the 50 snapshots, got 4"):
        found(planted(rng, 50, 400, VALUES[:3]), 4)


def test_a_single_snapshot_is_its_own_mode(rng: np.random.Generator) -> None:
    snapshot = rng.normal(size=(1, 30))
    got = found(snapshot, None, subtract_mean=True)
    assert float(got.singular_values[0]) == pytest.approx(np.linalg.norm(snapshot), rel=1e-12)
    assert not got.mean.any()


@pytest.mark.parametrize("randomized", [False, True])
def test_refuses_what_is_not_finite_or_does_not_vary(rng: np.random.Generator, randomized: bool) -> None:
    snapshots = rng.normal(size=(20, 30))
    for wrong in (np.nan, np.inf):
        snapshots[3, 4] = wrong
        with pytest.raises(PinnxError, match="snapshots: expected finite values, got NaN or infinite ones"):
            found(snapshots, 2, randomized=randomized)
    with pytest.raises(PinnxError, match="snapshots: expected fields that are not zero, got 20 without any variation"):
        found(np.zeros((20, 30)), 2, randomized=randomized)
    with pytest.raises(PinnxError, match="snapshots: expected fields that differ, got 20 without any variation"):
        found(np.full((20, 30), 7.3), 2, randomized=randomized, subtract_mean=True)


def test_gram_matrix_by_blocks_and_strips(rng: np.random.Generator) -> None:
    """More columns than a block holds, in float32, against float64."""
    snapshots = (5.0 + rng.normal(size=(100, 25_000))).astype(np.float32)
    exact = snapshots.astype(np.float64)
    for subtract_mean in (False, True):
        wanted = exact - exact.mean(axis=0) if subtract_mean else exact
        source = ArraySource(torch.from_numpy(snapshots))
        got = gram_matrix(source, subtract_mean=subtract_mean, dtype=torch.float32)
        bound = tolerances.rounding(25_000.0 * 26, 4, np.finfo(np.float32).eps)
        np.testing.assert_allclose(got.matrix.numpy(), wanted @ wanted.T, atol=bound)
        assert got.rms == pytest.approx(np.sqrt(np.mean(exact**2)), rel=1e-6)
