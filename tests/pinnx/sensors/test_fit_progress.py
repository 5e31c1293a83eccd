"""What `fit` tells of its passes: each from nothing to all, in order, and nothing else changes."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import h5py
import numpy as np
import pytest
from planted_snapshots import planted

from pinnx.sensors import SensorSelector

MIB = 2**20
VALUES = 10.0 * 0.7 ** np.arange(12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("flows")
    data = (planted(np.random.default_rng(0), 90, 90_000, VALUES) + 0.01).astype(np.float32)
    for name, layout in {"contiguous": {}, "rows": {"chunks": (1, 90_000)}}.items():
        with h5py.File(found / f"{name}.h5", "w") as file:
            file.create_dataset("u", data=data, **layout)
    return found


@pytest.mark.parametrize(("layout", "total", "passes"), [("contiguous", 90_000, 2), ("rows", 90, 4)])
def test_every_pass_is_told(folder: Path, layout: str, total: int, passes: int, tmp_path: Path) -> None:
    name, limit = f"{folder / layout}.h5::u", 50 * MIB
    told: list[tuple[str, int, int | None]] = []
    options = {"memory_limit": limit, "cache": tmp_path}
    watched = SensorSelector(6, **options).fit(name, progress=lambda *said: told.append(said))
    seen = {what: [said[1:] for said in group] for what, group in groupby(told, key=lambda said: said[0])}
    assert list(seen) == ["hashing", *(f"pass {number}" for number in range(1, passes + 1))]
    assert watched.num_passes_ == passes
    for what, steps in seen.items():
        done = [step[0] for step in steps]
        assert {step[1] for step in steps} == {90 if what == "hashing" else total}
        assert done == sorted(set(done)), "each step once, forwards"
        assert done[-1] == steps[0][1]
        assert len(done) > 2, "not all at once"
        assert what == "hashing" or done[0] == 0
    plain = SensorSelector(6, memory_limit=limit).fit(name)
    np.testing.assert_array_equal(watched.basis_, plain.basis_)
    np.testing.assert_array_equal(watched.selected_sensors_, plain.selected_sensors_)
    assert (watched.num_passes_, watched.basis_method_) == (plain.num_passes_, plain.basis_method_)
    told.clear()
    SensorSelector(6, **options).fit(name, progress=lambda *said: told.append(said))
    assert {said[0] for said in told} == {"hashing"}, "the cache has the rest"


def test_a_stream_of_unknown_length() -> None:
    data = planted(np.random.default_rng(0), 60, 300, VALUES)
    told: list[tuple[str, int, int | None]] = []
    selector = SensorSelector(6, basis="randomized", method="randomized", memory_limit=200 * MIB)
    selector.fit((data[i : i + 20] for i in (0, 20, 40)), progress=lambda *said: told.append(said))
    assert told == [("pass 1", done, None) for done in (0, 20, 40, 60)]


def test_what_is_in_memory_is_not_told() -> None:
    data = planted(np.random.default_rng(0), 60, 300, VALUES)
    told: list[tuple[str, int, int | None]] = []
    SensorSelector(6).fit(data, progress=lambda *said: told.append(said))
    assert told == []


def test_what_a_listener_raises_ends_the_fit(folder: Path) -> None:
    def stop(what: str, done: int, total: int | None) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        SensorSelector(6, memory_limit=50 * MIB).fit(f"{folder / 'rows'}.h5::u", progress=stop)
