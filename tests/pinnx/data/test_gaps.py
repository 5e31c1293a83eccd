"""A gap in scattered places is found where a solid is, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from pinnx.data.gaps import largest_gap


def grid(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2)


CHANNEL = grid(np.linspace(0, 4, 41), np.linspace(0, 2, 21))


def without(places: np.ndarray, low: tuple[float, float], high: tuple[float, float]) -> np.ndarray:
    return places[~((places > low) & (places < high)).all(axis=1)]


@pytest.mark.parametrize(
    ("low", "high", "radius"), [((1, 0.5), (2, 1.5), 0.5), ((-1, 1), (1, 3), 1.0), ((1, -1), (2, 1), 0.5)]
)
def test_a_block_inside_a_step_and_a_block_on_a_wall_are_found(
    low: tuple[float, float], high: tuple[float, float], radius: float
) -> None:
    gap = largest_gap(without(CHANNEL, low, high))
    assert gap is not None
    assert ((gap.middle > low) & (gap.middle < high)).all()
    assert gap.radius == pytest.approx(radius, abs=0.05)
    assert 0.099 < gap.spacing < 0.142  # of a corner the diagonal
    # In a known body it needs no word.
    box = np.array([low, high], dtype=np.float64)
    assert largest_gap(without(CHANNEL, low, high), lambda p: ((p >= box[0]) & (p <= box[1])).all(axis=1)) is None


def test_places_that_leave_nothing_out(rng: np.random.Generator) -> None:
    clustered, layers = np.tanh(np.linspace(-2, 2, 40)), np.linspace(0, 1, 60) ** 2
    for places in (
        CHANNEL,
        grid(clustered, np.linspace(0, 1, 40)),
        grid(np.linspace(0, 10, 20), layers),
        grid(np.linspace(0, 1, 6), np.linspace(0, 1, 50)),  # rows
        *(rng.uniform(0, 1, (num, dim)) for num in (100, 1000) for dim in (2, 3)),
        without(CHANNEL, (1, 0.5), (2, 1.5))[::10],  # too few to tell
    ):
        assert largest_gap(places) is None


def test_a_ball_in_space_is_found(rng: np.random.Generator) -> None:
    places = rng.uniform(-1, 1, (4000, 3))
    gap = largest_gap(places[np.linalg.norm(places, axis=1) > 0.5])
    assert gap is not None
    assert np.linalg.norm(gap.middle) < 0.1
