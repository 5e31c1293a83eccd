"""Arrays that stay in their files: the same numbers as in memory, within the limit, each row once an epoch."""

from __future__ import annotations

import multiprocessing
import pickle
import tracemalloc
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from cut_files import kept_and_new_block_of_a_file_that_is_cut
from process_memory import mapped_bytes

from pinnx.data.memory_mapped import MemoryMappedDataset, block_lengths
from pinnx.data.stored_numbers import PLAIN
from pinnx.errors import PinnxError

ROWS = np.random.default_rng(0).normal(3.0, 2.0, (103, 4, 5)).astype(np.float32)
KINDS = ["npy", "fortran", ">f8", "i2", "f2", "contiguous", "chunks", "packed", "zarr"]


def stored(folder: Path, kind: str) -> tuple[str, np.ndarray]:
    """ROWS in a file, and what the file holds."""
    path = folder / f"rows.{'npy' if kind in KINDS[:5] else 'h5'}"
    arrays = {"fortran": np.asfortranarray(ROWS), "i2": (100 * ROWS).astype("i2")}
    array = arrays.get(kind, ROWS.astype(kind) if kind in (">f8", "f2") else ROWS)
    if path.suffix == ".npy":
        np.save(path, array)
        return str(path), np.asarray(array, "f8" if kind in (">f8", "i2", "f2") else "f4")
    if kind == "zarr":
        zarr = pytest.importorskip("zarr", reason="zarr is not installed (extra: zarr)")
        zarr.open_group(str(folder / "rows.zarr"), mode="w").create_array("a", data=ROWS, chunks=(10, 4, 5))
        return f"{folder / 'rows.zarr'}::a", ROWS
    with h5py.File(path, "w") as file:
        chunks = (10, 2, 5) if kind != "contiguous" else None
        counts = (100 * ROWS).astype("i2")
        dataset = file.create_dataset("a", data=counts if kind == "packed" else ROWS, chunks=chunks)
        if kind == "packed":
            dataset.attrs["scale_factor"] = 0.01
    return f"{path}::a", counts * 0.01 if kind == "packed" else ROWS


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_every_file_are_those_in_memory(tmp_path: Path, kind: str) -> None:
    path, wanted = stored(tmp_path, kind)
    rows = MemoryMappedDataset(path, 10, memory_limit=2 * 10 * 20 * 8)
    np.testing.assert_array_equal(rows[17:42], wanted[17:42])
    np.testing.assert_array_equal(rows[-1], wanted[-1])
    chosen = np.array([3, 101, 3, 50, -1, 0] * 5)
    batches = list(rows.get_batch_streaming(chosen))
    assert [len(batch) for batch in batches] == [10, 10, 10]
    np.testing.assert_array_equal(torch.cat(batches).numpy(), wanted[chosen])
    found = rows.statistics()
    assert (found.count, found.missing) == (wanted.size, 0)
    np.testing.assert_allclose([found.mean, found.std], [wanted.mean(dtype="f8"), wanted.std(dtype="f8")], rtol=1e-12)
    assert (found.low, found.high) == (wanted.min(), wanted.max())
    rows.close()


def test_it_is_a_sequence_of_rows(tmp_path: Path) -> None:
    path, values = stored(tmp_path, "chunks")
    dataset = MemoryMappedDataset(path, 10)
    np.testing.assert_array_equal(list(dataset), values)
    np.testing.assert_array_equal(dataset[np.int64(3)], values[3])
    assert dataset[5:5].shape == (0, *values.shape[1:])


def test_an_epoch_has_every_row_once_and_its_order_is_that_of_the_seed(tmp_path: Path) -> None:
    rows = MemoryMappedDataset(stored(tmp_path, "chunks")[0], 10)

    def epoch(**key: int) -> np.ndarray:
        batches = list(rows.shuffled(16, together=3, **key))
        assert {len(batch) for batch in batches[:-1]} == {16}
        return torch.cat(batches).numpy()

    first = epoch(seed=1)
    np.testing.assert_array_equal(np.sort(first.reshape(103, -1), axis=0), np.sort(ROWS.reshape(103, -1), axis=0))
    np.testing.assert_array_equal(first, epoch(seed=1))
    assert not np.array_equal(first, epoch(seed=1, epoch=1))
    assert not np.array_equal(first, ROWS)
    rows.close()


def test_an_epoch_stays_within_the_limit_of_memory(tmp_path: Path) -> None:
    """Twenty blocks of 1 MB, room for four: rows that are mixed count, too."""
    values = np.random.default_rng(0).normal(size=(2000, 2500)).astype(np.float32)
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file.create_dataset("a", data=values, chunks=(100, 2500))
    limit, batch = 4 * 10**6, 20 * 2500 * 4
    rows = MemoryMappedDataset(f"{tmp_path}/f.h5::a", 100, memory_limit=limit)
    with pytest.raises(PinnxError, match="together: expected 1 to 2 blocks, half of memory_limit, got 3"):
        next(rows.shuffled(20, together=3))
    sums = []
    tracemalloc.start()
    for taken in rows.shuffled(20):
        sums.append(taken[:, 0].numpy().copy())
        assert rows.kept_bytes <= limit
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    rows.close()
    np.testing.assert_array_equal(np.sort(np.concatenate(sums)), np.sort(values[:, 0]))
    assert peak < limit + 2 * batch + 10**5


def test_blocks_are_kept_up_to_the_limit_the_last_used_ones(tmp_path: Path) -> None:
    rows = MemoryMappedDataset(stored(tmp_path, "npy")[0], 10, memory_limit=4 * 10 * 20 * 4)
    for number in (0, 1, 2, 3, 0, 4, 0, 2):
        rows.block(number)
        assert rows.kept_bytes <= rows.memory_limit
    assert rows.blocks_read == 5  # block 1 has made room for 4
    rows.block(1)
    assert rows.blocks_read == 6
    rows.prefetch(range(10))
    assert rows.kept_bytes <= rows.memory_limit
    np.testing.assert_array_equal(rows.block(7), ROWS[70:80])
    rows.close()


@pytest.mark.parametrize("kind", ["npy", "contiguous", "chunks"])
def test_a_block_that_is_held_stays_as_it_is(tmp_path: Path, kind: str) -> None:
    rows = MemoryMappedDataset(stored(tmp_path, kind)[0], 10, memory_limit=2 * 10 * 20 * 4)
    held = rows.block(0)
    for number in range(1, rows.num_blocks):
        rows.block(number)
    assert 0 not in rows._kept
    rows.close()
    np.testing.assert_array_equal(held, ROWS[:10])
    with pytest.raises(ValueError, match="read-only"):
        held[0] = 0.0


def test_pages_of_dropped_blocks_are_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "a.npy").open("wb") as file:
        np.save(file, np.ones((64, 2**18), np.float32))

    def grown() -> float:
        rows = MemoryMappedDataset(tmp_path / "a.npy", 1, memory_limit=2**22)
        before, most = mapped_bytes(), 0
        for number in range(rows.num_blocks):
            assert rows.block(number).min() == 1.0
            most = max(most, mapped_bytes())
        rows.close()
        return most - before

    assert grown() < 2**24
    monkeypatch.setattr("pinnx.data.memory_mapped.release", lambda whole, part: None)
    assert grown() > 2**25


def test_a_part_of_a_memory_map_is_read_where_it_is(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", ROWS)
    rows = MemoryMappedDataset(lambda stack: (np.load(tmp_path / "a.npy", mmap_mode="r")[30:, ::2], PLAIN), 10)
    np.testing.assert_array_equal(rows[5:35], ROWS[35:65, ::2])
    whole = MemoryMappedDataset(lambda stack: (np.load(tmp_path / "a.npy", mmap_mode="r+")[30:], PLAIN), 10)
    np.testing.assert_array_equal(whole[5:35], ROWS[35:65])
    assert not whole.block(0).flags.writeable
    rows.close(), whole.close()


def test_numbers_are_normalised_by_one_pass_and_missing_ones_stay(tmp_path: Path) -> None:
    holes = ROWS.copy()
    holes[40:60, 1] = np.nan
    np.save(tmp_path / "rows.npy", holes)
    rows = MemoryMappedDataset(tmp_path / "rows.npy", 10)
    found = rows.normalise()
    assert (found.missing, rows.blocks_read) == (100, 11)
    assert rows.statistics().mean == pytest.approx(0.0, abs=1e-6)
    assert rows.statistics().std == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_array_equal(np.isnan(rows[40:60]), np.isnan(holes[40:60]))
    rows.close()


def sums(rows: MemoryMappedDataset) -> tuple[int, float]:
    return rows.blocks_read, float(rows[0:20].sum(dtype="f8"))


def test_each_process_opens_the_file_for_itself(tmp_path: Path) -> None:
    rows = MemoryMappedDataset(stored(tmp_path, "chunks")[0], 10)
    wanted = sums(rows)[1]
    assert not pickle.loads(pickle.dumps(rows))._kept
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as other:
        assert other.submit(sums, rows).result() == (0, wanted)
    rows.close()


def test_a_file_that_is_cut_while_it_is_mapped_is_one_line(tmp_path: Path) -> None:
    """In a process of its own, which the system would end."""
    np.save(tmp_path / "a.npy", np.zeros((100, 1000)))
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as other:
        said = other.submit(kept_and_new_block_of_a_file_that_is_cut, tmp_path / "a.npy").result()
    assert said == 2 * ["a.npy: expected 800,128 bytes or more, as when it was opened, got 1,000; another program has "
                        "cut it off"]  # fmt: skip


def test_blocks_consist_of_whole_chunks_or_are_contiguous() -> None:
    assert block_lengths((100, 64, 64, 64), None, 4) == (1, 64, 64, 64)
    assert block_lengths((100, 640, 640), None, 4) == (1, 409, 640)
    assert block_lengths((100, 1000), None, 4) == (100, 1000)
    assert block_lengths((100, 64, 512, 512), (1, 16, 16, 16), 4) == (1, 16, 32, 512)
    assert block_lengths((8, 4096, 4096), (8, 2048, 2048), 4) == (8, 2048, 2048)


def test_what_is_wrong_is_one_line(tmp_path: Path) -> None:
    path = stored(tmp_path, "chunks")[0]
    rows = MemoryMappedDataset(path, (10, 2, 5))
    with pytest.raises(PinnxError, match=r"expected blocks of whole rows, got \[10, 2, 5\]; set chunk_size"):
        rows[:3]
    with pytest.raises(PinnxError, match="indices: expected rows from 0 to 102, got 0 to 103"):
        list(MemoryMappedDataset(path, 10).get_batch_streaming([0, 103]))
    for wrong in (np.ones(103, dtype=bool), [1.5]):
        with pytest.raises(PinnxError, match=r"indices: expected integers, .*got (bool|float64)$"):
            list(MemoryMappedDataset(path, 10).get_batch_streaming(wrong))
    with pytest.raises(IndexError, match="row: expected one from 0 to 102, got 103"):
        MemoryMappedDataset(path, 10)[103]
    with pytest.raises(PinnxError, match=r"memory_limit: expected at least two blocks of 800 bytes, got 1,000; or"):
        MemoryMappedDataset(path, 10, memory_limit=1000)
    with pytest.raises(PinnxError, match=r"no array 'b' in rows\.h5; it holds a"):
        MemoryMappedDataset(path[:-1] + "b")
    with pytest.raises(PinnxError, match=r"path: expected FILE\.npy or FILE::ARRAY, got"):
        MemoryMappedDataset(path[:-3])
