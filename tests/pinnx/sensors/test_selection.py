"""Sensor selection: pivots against SciPy and against their law, ranks, randomness, messages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import scipy.spatial.distance
import tolerances

from pinnx.data import DataMapping, Snapshots, read_snapshots
from pinnx.errors import PinnxError
from pinnx.sensors import pod_basis, sample_velocity, select_sensors


def flow(rng: np.random.Generator, num_times: int, rank: int, dim: int = 2) -> Snapshots:
    """A flow of planted rank on 60 scattered points."""
    n = 60
    weights = rng.normal(size=(num_times, rank))
    weights -= weights.mean(axis=0)
    velocity = (weights @ rng.normal(size=(rank, n * dim))).reshape(num_times, n, dim)
    return Snapshots(
        points=rng.uniform(0.0, 1.0, size=(n, dim)),
        velocity=velocity,
        times=np.arange(num_times, dtype=float),
    )


def grid(num: int) -> Snapshots:
    line = np.linspace(0.0, 1.0, num)
    points = np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)
    velocity = np.stack([points[:, 1], -points[:, 0]], axis=1)[None]
    return Snapshots(points=points, velocity=velocity, grid_shape=(num, num))


def stacked(
    snapshots: Snapshots, num_modes: int, *, subtract_mean: bool = False, scale_modes: bool = True
) -> np.ndarray:
    """The matrix [d r, n] of the method's law, written out."""
    basis = pod_basis(snapshots.velocity, subtract_mean=subtract_mean)
    modes = basis.modes[:num_modes]
    if scale_modes:
        modes = np.einsum("rnd,r->rnd", modes, basis.singular_values[:num_modes])
    rows = [mode[:, component] for mode in modes for component in range(snapshots.dim)]
    return np.array(rows)


@pytest.mark.parametrize("scale_modes", [False, True])
@pytest.mark.parametrize("subtract_mean", [False, True])
@pytest.mark.parametrize("dim", [2, 3])
def test_qr_takes_scipys_pivots(rng: np.random.Generator, dim: int, subtract_mean: bool, scale_modes: bool) -> None:
    options = {"subtract_mean": subtract_mean, "scale_modes": scale_modes}
    snapshots = flow(rng, 20, 6, dim)
    snapshots.velocity[:] += rng.normal(size=(60, dim))  # a mean flow
    sensors = select_sensors(snapshots, 8, modes=6, **options)
    _, _, pivots = scipy.linalg.qr(stacked(snapshots, 6, **options), pivoting=True)
    np.testing.assert_array_equal(sensors.indices, pivots[:8])
    np.testing.assert_array_equal(sensors.positions, snapshots.points[pivots[:8]])
    assert sensors.method == "qr"


def test_each_pivot_is_the_longest_column_that_is_left(rng: np.random.Generator) -> None:
    """The law itself, by Gram-Schmidt: no other point had a longer remainder when it was chosen."""
    snapshots = flow(rng, 20, 6)
    matrix = stacked(snapshots, 6)
    sensors = select_sensors(snapshots, 12, modes=6)
    assert sensors.indices is not None
    for index in sensors.indices:
        lengths = np.linalg.norm(matrix, axis=0)
        assert lengths[index] >= lengths.max() * (1 - tolerances.PIVOT_LENGTH)
        direction = matrix[:, index] / lengths[index]
        matrix = matrix - np.outer(direction, direction @ matrix)
    # All rows are spent: 12 = 6 modes of 2 components.
    assert np.abs(matrix).max() < tolerances.PIVOT_LENGTH


def test_qr_is_deterministic_and_nested(rng: np.random.Generator) -> None:
    snapshots = flow(rng, 20, 6)
    twelve = select_sensors(snapshots, 12, modes=6)
    np.testing.assert_array_equal(twelve.indices, select_sensors(snapshots, 12, modes=6).indices)
    np.testing.assert_array_equal(twelve.indices[:5], select_sensors(snapshots, 5, modes=6).indices)


def test_qr_beats_random_sensors_at_the_volume(rng: np.random.Generator) -> None:
    snapshots = flow(rng, 20, 6)
    matrix = stacked(snapshots, 6)

    def log_volume(indices: np.ndarray) -> float:
        return float(np.log(np.linalg.svd(matrix[:, indices], compute_uv=False)).sum())

    chosen = log_volume(select_sensors(snapshots, 12, modes=6).indices)
    others = [log_volume(select_sensors(snapshots, 12, method="random", seed=seed).indices) for seed in range(20)]
    assert chosen > max(others)


@pytest.mark.parametrize(("rank", "dim"), [(1, 2), (3, 2), (2, 3)])
def test_a_planted_rank_limits_the_count(rng: np.random.Generator, rank: int, dim: int) -> None:
    snapshots = flow(rng, 20, rank, dim)
    assert len(select_sensors(snapshots, rank * dim)) == rank * dim
    with pytest.raises(PinnxError) as caught:
        select_sensors(snapshots, rank * dim + 1)
    assert str(caught.value) == (
        f"sensors.count: expected at most {rank * dim}, the rank of {rank} POD modes of "
        f"20 snapshots, got {rank * dim + 1}; use more snapshots or sensors.method=random"
    )


def test_a_steady_flow_has_one_mode_of_two_components() -> None:
    assert len(select_sensors(grid(6), 2)) == 2
    with pytest.raises(PinnxError, match=r"expected at most 2.*sensors\.method=random"):
        select_sensors(grid(6), 3)


def test_noise_modes_are_left_out_unless_asked_for(rng: np.random.Generator) -> None:
    clean = flow(rng, 20, 2)
    stored = clean.velocity.astype(np.float32).astype(np.float64)
    rounded = Snapshots(points=clean.points, velocity=stored, times=clean.times)
    np.testing.assert_array_equal(select_sensors(rounded, 4).indices, select_sensors(clean, 4).indices)
    assert len(select_sensors(rounded, 12, modes=19)) == 12
    with pytest.raises(PinnxError, match=r"sensors\.modes: expected at most 2, the rank of the 20"):
        select_sensors(clean, 4, modes=3)


def test_random_is_seeded_without_repetition_and_nested(seed: int) -> None:
    snapshots = grid(8)
    sensors = select_sensors(snapshots, 12, method="random", seed=seed)
    again = select_sensors(snapshots, 12, method="random", seed=seed)
    np.testing.assert_array_equal(sensors.indices, again.indices)
    assert len(set(sensors.indices.tolist())) == 12
    smaller = select_sensors(snapshots, 5, method="random", seed=seed)
    np.testing.assert_array_equal(sensors.indices[:5], smaller.indices)
    other = select_sensors(snapshots, 12, method="random", seed=seed + 1)
    assert not np.array_equal(sensors.indices, other.indices)
    everything = select_sensors(snapshots, 64, method="random", seed=seed)
    np.testing.assert_array_equal(np.sort(everything.indices), np.arange(64))


def test_random_keeps_its_distances(seed: int) -> None:
    snapshots = grid(21)
    sensors = select_sensors(snapshots, 12, method="random", seed=seed, min_distance=0.15, margin=0.1)
    gaps = scipy.spatial.distance.pdist(sensors.positions)
    assert gaps.min() >= 0.15
    assert sensors.positions.min() >= 0.1
    assert sensors.positions.max() <= 0.9
    free = select_sensors(snapshots, 12, method="random", seed=seed)
    assert free.positions.min() < 0.1 or scipy.spatial.distance.pdist(free.positions).min() < 0.15


def test_qr_keeps_the_margin(rng: np.random.Generator) -> None:
    snapshots = flow(rng, 20, 6)
    low, high = snapshots.points.min(axis=0), snapshots.points.max(axis=0)
    sensors = select_sensors(snapshots, 6, margin=0.2)
    assert (sensors.positions >= low + 0.2).all()
    assert (sensors.positions <= high - 0.2).all()
    np.testing.assert_array_equal(snapshots.points[sensors.indices], sensors.positions)


def test_random_never_takes_one_place_twice(seed: int) -> None:
    points = np.repeat(grid(3).points, 4, axis=0)
    snapshots = Snapshots(points=points, velocity=np.ones((1, 36, 2)))
    sensors = select_sensors(snapshots, 9, method="random", seed=seed)
    assert len(np.unique(sensors.positions, axis=0)) == 9
    with pytest.raises(PinnxError, match="expected at most 9, the sensors that fit on 36 points"):
        select_sensors(snapshots, 10, method="random", seed=seed)


def test_positions_are_kept_exactly() -> None:
    wanted = [[0.123456789012345, 0.5], [0.0, 1.0]]
    sensors = select_sensors(grid(5), 1, method="positions", positions=wanted)
    assert sensors.positions.tolist() == wanted
    assert sensors.indices is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "rq"}, "sensors.method: expected one of qr, random, positions, got 'rq'"),
        ({"count": 0}, "sensors.count: expected an integer >= 1, got 0"),
        ({"method": "positions"}, "sensors.positions: expected places for method positions"),
        ({"positions": [[0, 0]]}, "sensors.positions: only for method positions, got method qr"),
        ({"method": "random", "modes": 3}, "sensors.modes: only for method qr, got method random"),
        ({"min_distance": 0.1}, "sensors.min_distance: only for method random, got method qr"),
        (
            {"method": "positions", "positions": [[0, 0]], "margin": 0.1},
            "sensors.margin: only for method qr or random, got method positions",
        ),
        ({"margin": -0.1}, "sensors.margin: expected a number > 0, got -0.1"),
        (
            {"method": "random", "margin": 0.6},
            "sensors.margin: expected points at least 0.6 from the edge, got none; the farthest is 0.4",
        ),
        (
            {"method": "random", "count": 9, "min_distance": 0.9},
            "the sensors that fit at least 0.9 apart on 36 points with seed 0, got 9",
        ),
        (
            {"method": "positions", "positions": [[0.1, 0.1], [0.5, 1.5]]},
            "sensor 2 at (0.5, 1.5): expected to lie inside x in [0, 1], y in [0, 1]",
        ),
        (
            {"method": "positions", "positions": [[0.1, 0.1, 0.1]]},
            "sensors.positions: expected 2 coordinates each, got an array of shape [1, 3]",
        ),
    ],
)
def test_refuses(arguments: dict, message: str) -> None:
    with pytest.raises(PinnxError) as caught:
        select_sensors(grid(6), **{"count": 2, **arguments})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_wake_sensors_tell_its_modes_apart(data_dir: Path) -> None:
    """12 sensors of the real vortex street pin down its 8 modes; random ones do it worse."""
    mapping = DataMapping(t="t", axes=("t", "n"), nu=0.01)
    wake = read_snapshots(data_dir / "cylinder_wake_re100.h5", mapping)
    wake = wake.window(x=(1.0, 7.0), y=(-2.0, 2.0))
    basis = pod_basis(wake.velocity)
    assert basis.num_above_rounding == 9
    sensors = select_sensors(wake, 12)
    np.testing.assert_array_equal(sample_velocity(wake, sensors), wake.velocity[:, sensors.indices])

    def condition(indices: np.ndarray) -> float:
        seen = basis.modes[:8, indices].reshape(8, -1)
        return float(np.linalg.cond(seen))

    random = select_sensors(wake, 12, method="random").indices
    assert condition(sensors.indices) < condition(random)
