"""Grids refined around the winners, quotas of regions, and the walls of a channel."""

from __future__ import annotations

import numpy as np
import pytest
import tolerances

from pinnx.errors import PinnxError
from pinnx.sensors import SensorSelector, channel_wall_weights

SHAPE = (32, 48)


@pytest.fixture
def snapshots(rng: np.random.Generator) -> np.ndarray:
    """Smooth waves on a grid: what one place sees its neighbours nearly see."""
    x, y = np.meshgrid(np.linspace(0, 1, SHAPE[0]), np.linspace(0, 1, SHAPE[1]), indexing="ij")
    waves = [np.cos(np.pi * (i * x + j * y) + i - j) / (1 + i + j) for i in range(4) for j in range(4)]
    return rng.normal(size=(80, 16)) @ np.reshape(waves, (16, -1))


@pytest.mark.parametrize("refine", [4, (8, 2)])
def test_refinement_comes_near_the_choice_among_all(snapshots: np.ndarray, refine: object) -> None:
    full = SensorSelector(8).fit(snapshots)
    refined = SensorSelector(8, grid_shape=SHAPE, refine=refine).fit(snapshots)
    coarse_lines = 4 if refine == 4 else 8
    coarse = np.zeros(SHAPE, dtype=bool)
    coarse[::coarse_lines, ::coarse_lines] = True
    only_coarse = SensorSelector(8, forbidden=~coarse.ravel()).fit(snapshots)
    assert only_coarse.log_volume_ < refined.log_volume_
    assert refined.log_volume_ > full.log_volume_ - tolerances.REFINED_VOLUME
    assert len(set(refined.selected_sensors_.tolist())) == 8


def test_refinement_by_one_is_the_choice_among_all(snapshots: np.ndarray) -> None:
    full = SensorSelector(8).fit(snapshots).selected_sensors_
    np.testing.assert_array_equal(SensorSelector(8, grid_shape=SHAPE, refine=1).fit(snapshots).selected_sensors_, full)


def test_refinement_keeps_to_the_constraints(snapshots: np.ndarray) -> None:
    n = SHAPE[0] * SHAPE[1]
    points = np.stack(np.unravel_index(np.arange(n), SHAPE), axis=1).astype(float)
    regions = (points[:, 1] >= 24).astype(np.int64)
    chosen = SensorSelector(
        6,
        grid_shape=SHAPE,
        refine=4,
        forced=[101],
        forbidden=points[:, 0] < 2,
        positions=points,
        min_distance=5.0,
        quotas={0: 4, 1: 2},
        regions=regions,
        costs=np.zeros(n),
        weights=np.ones(n),
    )
    chosen.fit(snapshots)
    places = points[chosen.selected_sensors_]
    assert chosen.selected_sensors_[0] == 101
    assert (places[:, 0] >= 2).all()
    gaps = np.linalg.norm(places[:, None] - places, axis=2) + 1e9 * np.eye(6)
    assert gaps.min() >= 5.0
    assert np.bincount(regions[chosen.selected_sensors_]).tolist() == [4, 2]


def test_quotas_are_exact(snapshots: np.ndarray) -> None:
    n = SHAPE[0] * SHAPE[1]
    regions = np.arange(n) * 4 // n
    for quotas, wanted in (
        ([1, 2, 3, 4], [1, 2, 3, 4]),
        ({0: 0, 3: 7}, [0, None, None, 7]),
    ):
        chosen = SensorSelector(10, regions=regions, quotas=quotas).fit(snapshots).selected_sensors_
        counts = np.bincount(regions[chosen], minlength=4)
        for region, count in enumerate(wanted):
            assert count is None or counts[region] == count
    most = SensorSelector(10, regions=regions, max_per_region=3).fit(snapshots).selected_sensors_
    assert np.bincount(regions[most]).max() <= 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"refine": 4}, "refine: expected grid_shape, the numbers of places along each axis, got none"),
        ({"refine": 4, "grid_shape": (5, 5)}, "grid_shape: expected numbers >= 1 with product 1536, the places of X"),
        ({"refine": (2, 8), "grid_shape": SHAPE}, "refine: expected an integer >= 1 or falling ones"),
        ({"refine": 0.5, "grid_shape": SHAPE}, "refine: expected an integer >= 1 or falling ones"),
        ({"refine": 32, "grid_shape": SHAPE}, "refine: expected at least 4 places on every 32th line, got 2"),
        ({"quotas": [1, 2]}, "quotas: expected regions, a label for each place, got none"),
        ({"quotas": [1], "regions": np.zeros(3, int)}, "regions: expected 1536 integers, got int64 [3]"),
        ({"quotas": [1], "regions": np.zeros(1536, int)}, "quotas: expected them to sum to 4"),
        ({"quotas": [9], "regions": np.zeros(1536, int)}, "sum to at most 4, the sensors, got {0: 9}"),
        ({"quotas": {7: 1}, "regions": np.zeros(1536, int)}, "quotas: expected at most 0 for region 7"),
        (
            {"quotas": [4], "max_per_region": 2, "regions": np.zeros(1536, int)},
            "quotas, max_per_region: expected one of them, got both",
        ),
    ],
)
def test_refuses(snapshots: np.ndarray, options: dict, message: str) -> None:
    with pytest.raises(PinnxError) as caught:
        SensorSelector(4, **options).fit(snapshots)
    assert message in str(caught.value)


def test_channel_weights_draw_sensors_to_the_walls(rng: np.random.Generator) -> None:
    y = np.linspace(-1.0, 1.0, 201)
    weights = channel_wall_weights(y, 1.0)
    np.testing.assert_array_equal(weights == 5.0, np.abs(y) > 0.9001)
    assert set(weights.tolist()) == {1.0, 5.0}
    np.testing.assert_array_equal(channel_wall_weights(y + 1.0, 1.0, centre=1.0), weights)
    np.testing.assert_array_equal(channel_wall_weights(2.0 * y, 2.0, factor=5.0, distance=0.1), weights)
    fields = rng.normal(size=(50, 8)) @ np.stack([np.cos(i * np.pi * y / 2) for i in range(8)])
    near = [
        np.count_nonzero(np.abs(y[SensorSelector(8, weights=w).fit(fields).selected_sensors_]) > 0.9)
        for w in (None, weights)
    ]
    assert near[1] > near[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.0, 1.5], 1.0), "y: expected places from -1 to 1, got 1.5; a channel from 0 to 2 h has centre=h"),
        (([[0.0]], 1.0), "y: expected finite coordinates [n], got [1, 1]"),
        (([0.0], 0.0), "half_height: expected a number > 0, got 0"),
        (([0.0], 1.0, -5.0), "factor: expected a number > 0, got -5"),
        (([0.0], 1.0, 5.0, 1.5), "distance: expected a number > 0 up to 1, got 1.5"),
    ],
)
def test_channel_refuses(arguments: tuple, message: str) -> None:
    with pytest.raises(PinnxError) as caught:
        channel_wall_weights(*arguments)
    assert message in str(caught.value)
