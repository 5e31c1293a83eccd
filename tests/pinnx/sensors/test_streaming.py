"""Snapshots that come in blocks: the same sensors, within the memory that is allowed; what `fit` tells of passes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import h5py
import numpy as np
import pytest
import tolerances
import torch
from planted_snapshots import planted

from pinnx.data.blocks import DatasetSource, prefetched
from pinnx.errors import PinnxError
from pinnx.sensors import SensorSelector

MIB = 2**20
VALUES = 10.0 * 0.7 ** np.arange(12)
LAYOUTS = {
    "contiguous": {},
    "rows": {"chunks": (1, 90_000)},
    "tiles": {"chunks": (16, 512)},
    "zipped": {"chunks": (7, 90_000), "compression": "lzf"},
}


@pytest.fixture(scope="module")
def snapshots() -> np.ndarray:
    rng = np.random.default_rng(0)
    return (planted(rng, 90, 90_000, VALUES) + 0.01).astype(np.float32)


@pytest.fixture(scope="module")
def files(snapshots: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flows")
    for name, options in LAYOUTS.items():
        with h5py.File(folder / f"{name}.h5", "w") as file:
            file.create_dataset("u", data=snapshots, **options)
            file.create_dataset("uv", data=snapshots.reshape(90, 45_000, 2))
    return folder


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("basis", "method"), [("pod", "exact"), ("randomized", "exact"), ("randomized", "randomized")])
def test_a_file_in_blocks_gives_the_sensors_of_the_array(
    snapshots: np.ndarray, files: Path, layout: str, basis: str, method: str
) -> None:
    # Half of the layouts with the mean taken off, of those read by columns and by rows one each.
    subtract_mean = layout in ("tiles", "rows")
    # 32 MB of data; the selection itself takes 3 * 16 rows of 90,000 numbers, 17 MB, and 16 MB of scratch.
    options = {"basis": basis, "method": method, "subtract_mean": subtract_mean}
    streamed = SensorSelector(6, memory_limit=50 * MIB, **options).fit(f"{files / layout}.h5::u")
    passes = {"pod": 2 if layout in ("contiguous", "tiles") else 4, "randomized": 1 if method == "randomized" else 4}
    assert streamed.num_passes_ == passes[basis]
    whole = SensorSelector(6, **options).fit(snapshots)
    np.testing.assert_array_equal(streamed.selected_sensors_, whole.selected_sensors_)
    bound = tolerances.modes_by_squares(np.finfo(np.float32).eps, whole.singular_values_)
    np.testing.assert_allclose(streamed.basis_, whole.basis_, atol=bound)
    np.testing.assert_allclose(streamed.mean_, whole.mean_, atol=bound)


def test_vector_fields_in_blocks(snapshots: np.ndarray, files: Path) -> None:
    streamed = SensorSelector(6, memory_limit=50 * MIB).fit(f"{files / 'contiguous'}.h5::uv")
    whole = SensorSelector(6).fit(snapshots.reshape(90, 45_000, 2))
    np.testing.assert_array_equal(streamed.selected_sensors_, whole.selected_sensors_)
    assert streamed.num_passes_ == 2


@pytest.mark.parametrize("step", [1, 13, 90])
def test_blocks_of_any_size_give_the_same_sketch(snapshots: np.ndarray, step: int) -> None:
    options = {"basis": "randomized", "method": "randomized", "subtract_mean": True}
    wanted = SensorSelector(6, **options).fit(snapshots)
    blocks = (snapshots[begin : begin + step] for begin in range(0, 90, step))
    got = SensorSelector(6, memory_limit=200 * MIB, **options).fit(blocks)
    np.testing.assert_array_equal(got.selected_sensors_, wanted.selected_sensors_)
    assert (got.n_snapshots_, got.num_passes_, got.basis_method_) == (90, 1, "sketch")


def test_an_iterator_is_read_once(snapshots: np.ndarray) -> None:
    blocks = [snapshots[:50], snapshots[50:]]
    again = SensorSelector(6, memory_limit=200 * MIB).fit(blocks)
    assert again.num_passes_ == 4
    with pytest.raises(PinnxError, match=r"X: expected blocks that can be read again .* basis='randomized'"):
        SensorSelector(6, memory_limit=200 * MIB).fit(iter(blocks))


def test_identity_in_one_pass(snapshots: np.ndarray, files: Path) -> None:
    got = SensorSelector(6, basis="identity", method="randomized", memory_limit=50 * MIB)
    got.fit(f"{files / 'rows'}.h5::u")
    assert (got.num_passes_, got.basis_method_) == (1, "sketch")
    with pytest.raises(PinnxError, match="expected snapshots that fit the memory limit for 'identity', got more"):
        SensorSelector(6, basis="identity", memory_limit=50 * MIB).fit(f"{files / 'rows'}.h5::u")


def test_a_sketch_has_rows_for_all_components(snapshots: np.ndarray, files: Path) -> None:
    options = {"basis": "identity", "method": "randomized", "oversampling": 0, "memory_limit": 40 * MIB}
    got = SensorSelector(6, **options).fit(f"{files / 'contiguous'}.h5::uv")
    assert got.basis_method_ == "sketch"
    assert got.basis_.shape == (45_000, 2, 12)
    assert got.rank_ == 6


class Sliced:
    """Rows that are made when they are asked for, as of a format that this package does not know."""

    def __init__(self, array: np.ndarray) -> None:
        self._array, self.shape, self.dtype = array, array.shape, array.dtype
        self.largest = 0

    def __getitem__(self, rows: slice) -> np.ndarray:
        self.largest = max(self.largest, len(self._array[rows]))
        return self._array[rows].copy()


@pytest.mark.parametrize("limit", [None, 50 * MIB, 10**9])
@pytest.mark.parametrize("components", [1, 2])
def test_rows_that_can_be_sliced(snapshots: np.ndarray, limit: int | None, components: int, tmp_path: Path) -> None:
    data = snapshots if components == 1 else snapshots.reshape(90, -1, 2)
    X = Sliced(data)
    got = SensorSelector(6, n_modes=6, memory_limit=limit, cache=tmp_path).fit(X)
    whole = SensorSelector(6, n_modes=6).fit(data)
    np.testing.assert_array_equal(got.selected_sensors_, whole.selected_sensors_)
    streamed = limit == 50 * MIB
    assert (X.largest < 40) == streamed
    assert got.basis_method_ == ("range_finder" if streamed else "snapshots")
    assert SensorSelector(6, n_modes=6, memory_limit=limit, cache=tmp_path).fit(Sliced(data)).from_cache_


def test_rows_of_other_numbers_and_shapes(snapshots: np.ndarray) -> None:
    whole = (100 * snapshots).astype(np.int16)
    got = SensorSelector(6, memory_limit=90 * MIB).fit(Sliced(whole))
    assert got.basis_method_ == "range_finder"
    np.testing.assert_array_equal(got.selected_sensors_, SensorSelector(6).fit(whole).selected_sensors_)
    for wrong in (snapshots[0], snapshots[:0], snapshots.astype(complex)):
        with pytest.raises(PinnxError, match="X: expected"):
            SensorSelector(6, memory_limit=50 * MIB).fit(Sliced(wrong))


def test_a_limit_that_cannot_be_kept_is_refused(files: Path) -> None:
    with pytest.raises(PinnxError, match=r"memory_limit: expected at least \d+ bytes for 48 rows") as e:
        SensorSelector(6, memory_limit=20 * MIB).fit(f"{files / 'rows'}.h5::u")
    enough = int(str(e.value).split("at least ")[1].split()[0])
    SensorSelector(6, memory_limit=enough).fit(f"{files / 'rows'}.h5::u")


def test_what_is_not_there_is_named(files: Path) -> None:
    with pytest.raises(PinnxError, match=r"X: no dataset 'w' in .*rows.h5; it holds u, uv"):
        SensorSelector(6).fit(f"{files / 'rows'}.h5::w")


def test_a_nan_in_a_stream_is_found(snapshots: np.ndarray) -> None:
    wrong = snapshots.copy()
    wrong[70, 123] = np.nan
    for options in ({}, {"method": "randomized", "basis": "randomized"}):
        with pytest.raises(PinnxError, match="snapshots: expected finite values"):
            SensorSelector(6, memory_limit=200 * MIB, **options).fit([wrong[:50], wrong[50:]])


def test_blocks_must_agree(snapshots: np.ndarray) -> None:
    with pytest.raises(PinnxError, match=r"X: expected blocks of shape \['b', 90000\], as the first, got \[5, 8\]"):
        SensorSelector(6, memory_limit=200 * MIB).fit([snapshots[:50], np.zeros((5, 8), np.float32)])


def test_raw_reading_is_what_h5py_reads(snapshots: np.ndarray, files: Path) -> None:
    for layout in LAYOUTS:
        with h5py.File(f"{files / layout}.h5") as file:
            source = DatasetSource(file["u"], block_bytes=5 * MIB)
            rows = torch.cat([block.clone() for block in source.rows()])
            np.testing.assert_array_equal(rows.numpy(), snapshots)
            assert source.reads_columns == (layout in ("contiguous", "tiles"))


def test_one_block_ahead_and_no_more() -> None:
    made: list[int] = []

    def blocks() -> Iterator[int]:
        for index in range(6):
            made.append(index)
            yield index

    for index, block in enumerate(prefetched(blocks())):
        assert block == index
        deadline = time.monotonic() + 5.0
        while len(made) < min(index + 2, 6) and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.01)
        assert len(made) == min(index + 2, 6)


def test_what_a_reader_raises_comes_through_and_threads_end() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise OSError("a cable")

    with pytest.raises(OSError, match="a cable"):
        list(prefetched(broken()))
    ahead = prefetched(iter(range(100)))
    assert next(ahead) == 0
    assert [thread for thread in threading.enumerate() if thread.name.startswith("pinnx-prefetch")], "it reads ahead"
    ahead.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("pinnx-prefetch")]


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
