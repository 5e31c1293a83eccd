"""Choosing sensors for a flow: methods, constraints that all of them keep, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.spatial.distance

from pinnx.data import DataMapping, Snapshots, read_snapshots
from pinnx.errors import PinnxError
from pinnx.sensors import SensorSelector, cell_areas, sample_velocity, select_sensors
from pinnx.sensors.selection import METHODS

CHOOSING = [method for method in METHODS if method != "positions"]
PATTERNS = ["coverage", "lattice", "farthest", "random"]


def flow(rng: np.random.Generator, num_times: int = 20, rank: int = 6, dim: int = 2, n: int = 200) -> Snapshots:
    """A flow of planted rank on scattered points."""
    weights = rng.normal(size=(num_times, rank))
    weights -= weights.mean(axis=0)
    velocity = (weights @ rng.normal(size=(rank, n * dim))).reshape(num_times, n, dim)
    points = rng.uniform(0.0, 1.0, size=(n, dim))
    return Snapshots(points=points, values=velocity, times=np.arange(num_times, dtype=float))


def grid(*sizes: int) -> Snapshots:
    lines = [np.linspace(0.0, 1.0, num) for num in sizes]
    points = np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1).reshape(-1, len(sizes))
    velocity = np.roll(points, 1, axis=1)[None]
    return Snapshots(points=points, values=velocity, grid_shape=sizes)


@pytest.mark.parametrize(
    "options", [{}, {"subtract_mean": True}, {"scale_modes": False}, {"area_weighted": False}], ids=str
)
@pytest.mark.parametrize("dim", [2, 3])
def test_qr_is_the_selector(rng: np.random.Generator, dim: int, options: dict[str, bool]) -> None:
    snapshots = flow(rng, dim=dim)
    snapshots.velocity[:] += rng.normal(size=(200, dim))
    sensors = select_sensors(snapshots, 8, method="qr", **options)
    given = {"scale_modes": True, "areas": cell_areas(snapshots.points), **options}
    if not given.pop("area_weighted", True):
        given["areas"] = None
    wanted = SensorSelector(8, **given).fit(snapshots.velocity).selected_sensors_
    np.testing.assert_array_equal(sensors.indices, wanted)
    np.testing.assert_array_equal(sensors.positions, snapshots.points[wanted])
    assert sensors.method == "qr"


def test_area_weighted_modes_do_not_see_the_mesh(rng: np.random.Generator) -> None:
    """Points that stand twice as dense in one half change no place; with points alike they do."""

    def fields(x: np.ndarray) -> np.ndarray:
        waves = [
            np.sin((i + 1) * np.pi * x[:, 0] + j) * np.cos(j * np.pi * x[:, 1]) for i in range(3) for j in range(3)
        ]
        amplitudes = np.random.default_rng(1).normal(size=(30, 9)) * 0.8 ** np.arange(9)
        return (amplitudes @ np.array(waves))[..., None]

    def chosen(x: np.ndarray, areas: np.ndarray | None) -> np.ndarray:
        return x[SensorSelector(5, scale_modes=True, areas=areas).fit(fields(x)).selected_sensors_]

    coarse = np.stack(np.meshgrid(np.arange(41) / 40, np.arange(41) / 40, indexing="ij"), -1).reshape(-1, 2)
    fine = np.stack(np.meshgrid(np.arange(161) / 160, np.arange(161) / 160, indexing="ij"), -1).reshape(-1, 2)
    uneven = np.unique(np.concatenate([coarse, fine[fine[:, 0] < 0.5]]), axis=0)
    even = chosen(coarse, cell_areas(coarse, (41, 41)))
    gaps = [np.linalg.norm(chosen(uneven, areas) - even, axis=1).max() for areas in (cell_areas(uneven), None)]
    assert gaps[0] < 0.06
    assert gaps[1] > gaps[0]


@pytest.mark.parametrize("method", CHOOSING)
@pytest.mark.parametrize("dim", [2, 3])
def test_every_method_keeps_to_the_constraints(rng: np.random.Generator, method: str, dim: int) -> None:
    snapshots = flow(rng, dim=dim, n=1500)
    snapshots.points[1400:] = snapshots.points[:100]  # nodes that elements share
    weights = (snapshots.points[:, 0] < 0.8).astype(float)
    sensors = select_sensors(snapshots, 12, method=method, min_distance=0.15, margin=0.1, weights=weights)
    again = select_sensors(snapshots, 12, method=method, min_distance=0.15, margin=0.1, weights=weights)
    np.testing.assert_array_equal(sensors.indices, again.indices)
    np.testing.assert_array_equal(snapshots.points[sensors.indices], sensors.positions)
    assert (sensors.method, len(sensors)) == (method, 12)
    assert scipy.spatial.distance.pdist(sensors.positions).min() >= 0.15
    low, high = snapshots.points.min(axis=0), snapshots.points.max(axis=0)
    assert (sensors.positions >= low + 0.1).all()
    assert (sensors.positions <= high - 0.1).all()
    assert (sensors.positions[:, 0] < 0.8).all()


@pytest.mark.parametrize("method", PATTERNS)
def test_patterns_on_grids_and_to_the_last_place(method: str) -> None:
    for sizes in ((4, 3), (3, 2, 2)):
        everything = select_sensors(grid(*sizes), 12, method=method)
        np.testing.assert_array_equal(np.sort(everything.indices), np.arange(12))
    points = np.repeat(grid(3, 3).points, 4, axis=0)
    doubled = Snapshots(points=points, values=np.ones((1, 36, 2)))
    assert len(np.unique(select_sensors(doubled, 9, method=method).positions, axis=0)) == 9
    with pytest.raises(PinnxError, match="expected at most 9, the sensors that fit on 9 points, got 10"):
        select_sensors(doubled, 10, method=method)
    assert len(select_sensors(Snapshots(points=np.ones((1, 2)), values=np.ones((1, 1, 2))), 1, method=method)) == 1


def test_a_lattice_has_rows() -> None:
    chosen = select_sensors(grid(81, 61), 12, method="lattice").positions
    np.testing.assert_allclose(np.unique(chosen[:, 1]), [1 / 6, 3 / 6, 5 / 6], atol=0.01)
    np.testing.assert_allclose(np.unique(chosen[:, 0].round(3)), [0.125, 0.375, 0.625, 0.875], atol=0.01)
    solid = select_sensors(grid(13, 13, 13), 27, method="lattice").positions
    assert [len(np.unique(column)) for column in solid.T] == [3, 3, 3]
    assert len(select_sensors(grid(40, 40), 7, method="lattice")) == 7


def test_coverage_and_farthest_points_cover_the_domain_whatever_the_mesh(rng: np.random.Generator) -> None:
    """The mean distance of a place to its nearest sensor is near that of a lattice, on a mesh finer in one corner."""
    x = rng.uniform(size=(6000, 2))
    x[:4000] *= 0.3
    snapshots = Snapshots(points=x, values=np.ones((1, len(x), 2)))
    places = rng.uniform(size=(4000, 2))

    def mean_distance(method: str) -> float:
        return float(
            scipy.spatial.distance.cdist(places, select_sensors(snapshots, 12, method=method).positions)
            .min(axis=1)
            .mean()
        )

    lattice = mean_distance("lattice")
    assert mean_distance("coverage") < 1.02 * lattice
    assert mean_distance("farthest") < 1.15 * lattice
    first, *_ = select_sensors(snapshots, 12, method="farthest").positions
    np.testing.assert_allclose(first, [0.5, 0.5], atol=0.05)


def test_interpolation_is_finer_where_the_flow_varies(rng: np.random.Generator) -> None:
    """The error of the interpolation is less than from covers of the domain that do not see the flow."""
    flow = grid(61, 31)
    x, y = flow.points.T
    near = np.exp(-(((x - 0.25) / 0.2) ** 2))
    waves = [near * np.sin(7 * i * x + 6 * y) for i in range(1, 5)] + [0.1 * x, 0.1 * y]
    velocity = (rng.normal(size=(20, 6)) @ np.array(waves))[..., None] * [1.0, 0.5]
    snapshots = Snapshots(points=flow.points, values=velocity, times=np.arange(20.0), grid_shape=(61, 31))
    found = {
        method: select_sensors(snapshots, 12, method=method) for method in ("interpolation", "coverage", "lattice")
    }

    def error(places: np.ndarray) -> float:
        area = cell_areas(snapshots.points, (61, 31))
        length = 0.5 * np.sqrt(area.sum() / 12)
        kernel = scipy.spatial.distance.cdist(snapshots.points, snapshots.points[places], "sqeuclidean")
        kernel = np.exp(-kernel / (2 * length**2))
        seen = velocity[:, places].transpose(1, 0, 2).reshape(12, -1)
        mean = seen.mean(axis=0)
        guess = mean + kernel @ np.linalg.solve(kernel[places] + 1e-3 * np.eye(12), seen - mean)
        return float(area @ ((guess - velocity.transpose(1, 0, 2).reshape(len(x), -1)) ** 2).sum(axis=1))

    errors = {method: error(sensors.indices) for method, sensors in found.items()}
    assert errors["interpolation"] < 0.9 * min(errors["coverage"], errors["lattice"])
    again = select_sensors(snapshots, 12, method="interpolation")
    np.testing.assert_array_equal(again.indices, found["interpolation"].indices)


def test_random_is_seeded_nested_and_by_area(rng: np.random.Generator, seed: int) -> None:
    x = rng.uniform(size=(3000, 2))
    x[:2000, 0] *= 0.25  # nine times as dense in the first quarter
    snapshots = Snapshots(points=x, values=np.ones((1, 3000, 2)))
    sensors = select_sensors(snapshots, 400, method="random", seed=seed)
    assert 0.15 < (sensors.positions[:, 0] < 0.25).mean() < 0.35
    np.testing.assert_array_equal(sensors.indices[:5], select_sensors(snapshots, 5, method="random", seed=seed).indices)
    other = select_sensors(snapshots, 5, method="random", seed=seed + 1)
    assert not np.array_equal(sensors.indices[:5], other.indices)


@pytest.mark.parametrize("method", ["interpolation", *PATTERNS])
def test_patterns_keep_off_inner_walls(data_dir: Path, method: str) -> None:
    steady = read_snapshots(data_dir / "steady_cylinder_re40.npz", DataMapping(nu="nu"))
    near = steady.window(x=(-0.7, 0.7), y=(-0.7, 0.7))
    sensors = select_sensors(near, 60, method=method)
    assert np.linalg.norm(sensors.positions, axis=1).min() > 0.501


def test_noise_modes_are_left_out_unless_asked_for(rng: np.random.Generator) -> None:
    clean = flow(rng, rank=2)
    stored = clean.velocity.astype(np.float32).astype(np.float64)
    rounded = Snapshots(points=clean.points, values=stored, times=clean.times)
    few = [select_sensors(snapshots, 2, method="qr").indices for snapshots in (rounded, clean)]
    np.testing.assert_array_equal(*few)
    assert len(select_sensors(rounded, 12, method="qr", modes=19)) == 12
    with pytest.raises(PinnxError, match=r"n_modes: expected at most 2, the rank of the 20"):
        select_sensors(clean, 4, method="qr", modes=3)


def test_positions_are_kept_exactly() -> None:
    wanted = [[0.123456789012345, 0.5], [0.0, 1.0]]
    sensors = select_sensors(grid(5, 5), 1, method="positions", positions=wanted)
    assert sensors.positions.tolist() == wanted
    assert sensors.indices is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"method": "rq"},
            "sensors.method: expected one of interpolation, qr, randomized, coverage, lattice, farthest, random, ",
        ),
        ({"count": 0}, "sensors.count: expected an integer >= 1, got 0"),
        ({"method": "positions"}, "sensors.positions: expected places for method positions"),
        ({"method": "qr", "positions": [[0, 0]]}, "sensors.positions: only for method positions, got method qr"),
        (
            {"method": "random", "modes": 3},
            "sensors.modes: only for method interpolation or qr or randomized, got method random",
        ),
        (
            {"method": "positions", "positions": [[0, 0]], "margin": 0.1},
            "sensors.margin: not for method positions",
        ),
        ({"margin": -0.1}, "sensors.margin: expected a number > 0, got -0.1"),
        (
            {"method": "random", "margin": 0.6},
            "sensors.margin: expected points at least 0.6 from the edge, got none; the farthest is 0.4",
        ),
        (
            {"method": "random", "count": 9, "min_distance": 0.9},
            "the sensors that fit at least 0.9 apart on 36 points, got 9",
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
        select_sensors(grid(6, 6), **{"count": 2, **arguments})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_wake_sensors_tell_its_modes_apart(data_dir: Path) -> None:
    """12 sensors of the real vortex street pin down its 8 modes; random ones do it worse."""
    mapping = DataMapping(t="t", axes=("t", "n"), nu=0.01)
    wake = read_snapshots(data_dir / "cylinder_wake_re100.h5", mapping).window(x=(1.0, 7.0), y=(-2.0, 2.0))
    modes = SensorSelector(9, subtract_mean=True).fit(wake.velocity).basis_
    sensors = select_sensors(wake, 12, method="qr")
    np.testing.assert_array_equal(sample_velocity(wake, sensors), wake.velocity[:, sensors.indices])

    def condition(indices: np.ndarray) -> float:
        return float(np.linalg.cond(modes[indices, :, :8].reshape(-1, 8)))

    assert condition(sensors.indices) < condition(select_sensors(wake, 12, method="random").indices)
