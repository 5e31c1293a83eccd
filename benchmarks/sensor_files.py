"""Selection out of a file larger than the memory allowed, against reading that file and doing nothing.

One contiguous HDF5 file of snapshots [T, 512 x 512] float32. Reading alone is the faster of two ways in each round: one
file and a buffer of 16 MB, which stays in the CPU's cache, and blocks of 64 MB with the file opened anew for each, as
`fit` reads. Who comes first alternates. All with the system's cache emptied of the file before each reading (`disk`),
and with what of it the cache holds (`cache`). The peak is the largest resident set during `fit` less that before it.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from harness import WrongResultError
from sampling import Statistics

from pinnx.sensors import SensorSelector

__all__ = ["FileResult", "measure_files"]

SIDE = 512
NUM_SENSORS = 12
SMALL_BUFFER, LARGE_BUFFER = 16 * 2**20, 64 * 2**20
RANK = 20


@dataclass(frozen=True)
class FileResult:
    """``share`` is the speed of `fit` over that of reading alone, round by round; passes count as one."""

    gigabytes: float
    memory_limit: int
    peak_bytes: int | None
    source: str
    read_s: Statistics
    fit_s: Statistics
    share: Statistics


def measure_files(gigabytes: float, memory_limit: int, rounds: int, tell: Callable[[str], object]) -> list[FileResult]:
    """Writes the file into the temporary folder, checks the sensors, then times; the file is removed."""
    num_snapshots = max(64, round(gigabytes * 1e9 / (4 * SIDE * SIDE)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "flow.h5"
        tell("writing the file")
        chosen_in_memory = _write(path, num_snapshots)
        selector = SensorSelector(NUM_SENSORS, basis="randomized", method="randomized", memory_limit=memory_limit)
        tell("checking")
        before = _reset_peak()
        selector.fit(f"{path}::u")
        peak = None if before is None else _peak() - before
        if peak is not None and peak > memory_limit:
            raise WrongResultError(f"file: expected at most {memory_limit} bytes, got a peak of {peak}")
        if selector.num_passes_ != 1 or selector.n_snapshots_ != num_snapshots:
            raise WrongResultError(f"file: expected one pass over {num_snapshots}, got {selector.num_passes_}")
        if len(chosen_in_memory) and not np.array_equal(selector.selected_sensors_, chosen_in_memory):
            raise WrongResultError("file: expected the sensors of the same snapshots in memory, got others")
        results = []
        for source in ("disk", "cache"):
            reads, fits = [], []
            for index in range(rounds):
                tell(f"{source}, {index + 1} of {rounds}")
                ways = (lambda: _read(path), lambda: _read_blocks(path), lambda: selector.fit(f"{path}::u"))
                order = (0, 1, 2) if index % 2 == 0 else (2, 1, 0)
                taken = {way: _seconds(ways[way], path, source) for way in order}
                reads.append(min(taken[0], taken[1]))
                fits.append(taken[2])
            share = [read / fit for read, fit in zip(reads, fits, strict=True)]
            results.append(
                FileResult(
                    path.stat().st_size / 1e9,
                    memory_limit,
                    peak,
                    source,
                    Statistics.of(reads),
                    Statistics.of(fits),
                    Statistics.of(share),
                )
            )
        return results


def _write(path: Path, num_snapshots: int) -> np.ndarray:
    """Snapshots of 20 random directions; returns the sensors of an in-memory fit where they are few."""
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((RANK, SIDE * SIDE)).astype(np.float32)
    scale = (0.8 ** np.arange(RANK)).astype(np.float32)
    with h5py.File(path, "w") as file:
        data = file.create_dataset("u", (num_snapshots, SIDE * SIDE), np.float32)
        for begin in range(0, num_snapshots, 64):
            count = min(64, num_snapshots - begin)
            data[begin : begin + count] = (rng.standard_normal((count, RANK)).astype(np.float32) * scale) @ directions
    os.sync()
    if num_snapshots > 512:
        return np.zeros(0, dtype=np.int64)
    with h5py.File(path) as file:
        return SensorSelector(NUM_SENSORS, basis="randomized", method="randomized").fit(file["u"][:]).selected_sensors_


def _seconds(run: Callable[[], object], path: Path, source: str) -> float:
    if source == "disk":
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _read(path: Path) -> None:
    buffer = memoryview(bytearray(SMALL_BUFFER))
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def _read_blocks(path: Path) -> None:
    buffer = memoryview(bytearray(LARGE_BUFFER))
    for begin in range(0, path.stat().st_size, LARGE_BUFFER):
        with path.open("rb", buffering=0) as file:
            file.seek(begin)
            file.readinto(buffer)


def _reset_peak() -> int | None:
    """Sets the largest resident set back to the present one, which is returned; None where there is no /proc."""
    clear = Path("/proc/self/clear_refs")
    if not clear.exists():
        return None
    clear.write_text("5")
    return _peak()


def _peak() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
