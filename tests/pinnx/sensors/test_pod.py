"""POD: the invariants of a singular value decomposition, planted ranks, and rounding noise."""

from __future__ import annotations

import numpy as np
import pytest
import tolerances

from pinnx.errors import PinnxError
from pinnx.sensors import pod_basis


def planted(rng: np.random.Generator, rank: int, shape: tuple[int, int, int]) -> np.ndarray:
    """Snapshots whose fluctuations have a known rank, with a mean of their own size on top."""
    num_times, n, d = shape
    weights = rng.normal(size=(num_times, rank))
    weights -= weights.mean(axis=0)
    fields = rng.normal(size=(rank, n * d))
    return (weights @ fields + rng.normal(size=n * d)).reshape(shape)


@pytest.mark.parametrize("shape", [(12, 40, 2), (12, 30, 3), (40, 5, 2), (2, 9, 2)])
def test_modes_are_orthonormal_and_rebuild_the_snapshots(rng: np.random.Generator, shape: tuple[int, int, int]) -> None:
    velocity = rng.normal(size=shape)
    basis = pod_basis(velocity)
    num_times, n, d = shape
    assert basis.rank == min(num_times - 1, n * d)
    modes = basis.modes.reshape(basis.rank, n * d)
    size = tolerances.pod_rounding(max(num_times, n * d))
    np.testing.assert_allclose(modes @ modes.T, np.eye(basis.rank), atol=size)
    fluctuation = (velocity - velocity.mean(axis=0)).reshape(num_times, n * d)
    rebuilt = fluctuation @ modes.T @ modes
    assert np.abs(rebuilt - fluctuation).max() < size * basis.singular_values[0]
    energies = np.linalg.norm(fluctuation @ modes.T, axis=0)
    np.testing.assert_allclose(energies, basis.singular_values[: basis.rank], rtol=size)
    assert (np.diff(basis.singular_values) <= 0.0).all()
    assert basis.energy()[-1] == pytest.approx(1.0)


@pytest.mark.parametrize("rank", [1, 3, 8])
def test_finds_a_planted_rank(rng: np.random.Generator, rank: int) -> None:
    basis = pod_basis(planted(rng, rank, (20, 50, 2)))
    assert basis.rank == rank
    assert basis.num_above_rounding == rank
    assert basis.modes.shape == (rank, 50, 2)


def test_the_rounding_of_float32_is_rank_but_not_signal(rng: np.random.Generator) -> None:
    velocity = planted(rng, 4, (20, 50, 2)).astype(np.float32).astype(np.float64)
    basis = pod_basis(velocity)
    assert basis.num_above_rounding == 4
    assert basis.rank == 19  # every mode that 20 snapshots less their mean can have


def test_a_small_mode_is_not_lost(rng: np.random.Generator) -> None:
    """1e-10 of the first mode is far above eps, and far below sqrt(eps), where squaring loses it."""
    velocity = planted(rng, 1, (20, 50, 2)) + 1e-10 * planted(rng, 1, (20, 50, 2))
    assert pod_basis(velocity).rank == 2


def test_modes_do_not_depend_on_the_order_of_the_snapshots(rng: np.random.Generator) -> None:
    velocity = planted(rng, 3, (15, 40, 2))
    shuffled = velocity[rng.permutation(15)]
    np.testing.assert_allclose(pod_basis(shuffled).modes, pod_basis(velocity).modes, atol=tolerances.POD_SHUFFLED)


def test_one_snapshot_is_its_own_mode(rng: np.random.Generator) -> None:
    velocity = rng.normal(size=(1, 30, 2))
    basis = pod_basis(velocity)
    assert basis.rank == 1
    np.testing.assert_array_equal(basis.mean, 0.0)
    mode = basis.modes[0].ravel()
    cosine = mode @ velocity.ravel() / np.linalg.norm(velocity)
    assert abs(cosine) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("velocity", "message"),
    [
        (np.zeros((3, 4)), "expected shape [T, n, d], got [3, 4]"),
        (np.zeros((0, 4, 2)), "expected shape [T, n, d], got [0, 4, 2]"),
        (np.full((2, 4, 2), np.nan), "expected finite snapshots, got NaN or infinite values"),
        (np.zeros((1, 4, 2)), "expected snapshots that differ, got 1 without any variation"),
        (np.full((5, 4, 2), 0.1), "expected snapshots that differ, got 5 without any variation"),
    ],
)
def test_refuses(velocity: np.ndarray, message: str) -> None:
    with pytest.raises(PinnxError) as caught:
        pod_basis(velocity)
    assert str(caught.value) == f"velocity: {message}"
