"""`fit` from snapshots to sensors against PySensors, modes first, then the clock, with the error on unseen snapshots.

modes        |X V|^2 of our r modes is within 1e-4 of the sum of the r largest eigenvalues of X X' in float64
error        |F^ - F| / |F| on snapshots that were left out of the fit, F^ by least squares on each one's own modes

PySensors takes a randomised decomposition. Where modes are noisy their largest entries are close, and pivots, and with
them the error, are another in every run: 34.0 to 35.8 % in 21 runs at 512 x 512. So its error is the median of
RIVAL_RUNS runs with the random states 0, 1, ..., beside the least and the largest; any single one is luck.
"""

from __future__ import annotations

import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from harness import Statistics, Timing, WrongResultError, interleaved
from machine import peak_memory, watch_memory

from pinnx.sensors import SensorSelector

CPU = torch.device("cpu")
ENERGY = 1e-4
PYSENSORS = "PySensors"
SETTLE_S = 0.2
RIVAL_RUNS = 9


@dataclass(frozen=True)
class FitCase:
    """Snapshots [T, n] float32 to fit, others to try (None: all are fitted, no error is given), number of sensors."""

    name: str
    train: np.ndarray
    unseen: np.ndarray | None
    k: int
    rival: bool = True


@dataclass(frozen=True)
class FitResult:
    """``times_rival`` is the rival's time over this one, round by round; None for the rival, and without one.

    ``error_range`` are the least and the largest error of the rival's runs, whose median is ``error``; None for ours.
    """

    case: str
    size: dict[str, int]
    name: str
    time_s: Statistics
    error: float | None
    times_rival: Statistics | None
    error_range: tuple[float, float] | None = None


def fit_cases(quick: bool, data: Path | None, left_out: list[dict[str, Any]]) -> Iterator[FitCase]:
    """The cases, one after the other, as they are large."""
    yield FitCase("waves 32 x 32", *waves(200, 32), 8)
    yield FitCase("waves 128 x 128", *waves(200, 128), 12)
    if quick:
        return
    path = None if data is None else data / "otp_temperature.npz"
    if path is None or not path.is_file():
        left_out.append({"name": "otp_temperature.npz", "reason": "set PINNX_DATA to its folder"})
    else:
        with np.load(path) as archive:
            temperature = archive["temperature"].astype(np.float32)
        held = np.arange(len(temperature)) % 5 == 4
        yield FitCase("otp_temperature", temperature, None, 12)
        yield FitCase("otp_temperature, a fifth unseen", temperature[~held], temperature[held], 12)
    yield FitCase("waves 512 x 512", *waves(200, 512), 12)


def waves(num: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Sums of 200 travelling waves, the longer the stronger, on a mean, with noise of 1 %; and 40 unseen ones."""
    rng = np.random.default_rng(0)
    line = np.linspace(0.0, 1.0, side, dtype=np.float32)
    x, y = np.meshgrid(line, line, indexing="ij")
    i, j = rng.integers(1, 9, 200), rng.integers(1, 9, 200)
    phase = rng.uniform(0.0, 2.0 * np.pi, 200)
    shapes = np.stack(
        [np.cos(2 * np.pi * (a * x + b * y) + c).ravel() for a, b, c in zip(i, j, phase, strict=True)]
    ).astype(np.float32)
    amplitudes = rng.standard_normal((num + 40, 200)) / (i**2 + j**2)
    fields = amplitudes.astype(np.float32) @ shapes
    fields += np.sin(np.pi * y).ravel()
    deviation = 0.01 * float(fields.std())
    for row in fields:
        row += deviation * rng.standard_normal(row.size, dtype=np.float32)
    return fields[:num], fields[num:]


def measure_fit(case: FitCase, timing: Timing, left_out: list[dict[str, Any]]) -> list[FitResult]:
    """Checks our modes, tells everybody's error, then times all, interleaved."""
    runs: dict[str, Callable[[], Any]] = {
        "pod, exact": SensorSelector(case.k).fit,
        "range finder, exact": SensorSelector(case.k, basis="randomized").fit,
        "one pass (sketch)": SensorSelector(case.k, basis="randomized", method="randomized").fit,
    }
    errors: dict[str, float | None] = {}
    ranges: dict[str, tuple[float, float] | None] = {}
    for name, fit in runs.items():
        selector = fit(case.train)
        if not name.startswith("one pass"):
            _check_energy(case, name, selector)
        errors[name] = _error(case, selector)
    if case.rival:
        try:
            runs[PYSENSORS], rival_errors = _pysensors(case)
            errors[PYSENSORS] = float(np.median(rival_errors)) if rival_errors else None
            ranges[PYSENSORS] = (min(rival_errors), max(rival_errors)) if rival_errors else None
        except ImportError:
            left_out.append({"name": PYSENSORS, "reason": "pip install '.[bench]'"})
    bound = [lambda fit=fit: fit(case.train) for fit in runs.values()]
    # PySensors comes last, and its BLAS's threads spin for a while after it: a round begins when they sleep.
    samples, _ = interleaved(bound, CPU, timing, lambda *_: time.sleep(SETTLE_S))
    size = {"T": len(case.train), "n": case.train.shape[1], "k": case.k}
    results = []
    for name, own in zip(runs, samples, strict=True):
        rival = samples[list(runs).index(PYSENSORS)] if PYSENSORS in runs and name != PYSENSORS else None
        ratios = None if rival is None else Statistics.of([b / a for a, b in zip(own, rival, strict=True)])
        results.append(FitResult(case.name, size, name, Statistics.of(own), errors[name], ratios, ranges.get(name)))
    return results


def _check_energy(case: FitCase, name: str, selector: SensorSelector) -> None:
    basis = torch.from_numpy(np.ascontiguousarray(selector.basis_))
    X = torch.from_numpy(case.train)
    gram = torch.zeros(len(X), len(X), dtype=torch.float64)
    for part in X.split(16_384, dim=1):
        gram.addmm_(part.double(), part.double().T)
    best = float(torch.linalg.eigvalsh(gram)[-basis.shape[1] :].sum())
    got = float((X @ basis).double().square().sum())
    if not got >= (1.0 - ENERGY) * best:
        raise WrongResultError(f"{case.name}: {name}: expected modes of energy {best:.6g}, got {got:.6g}")


def _error(case: FitCase, selector: SensorSelector) -> float | None:
    chosen = selector.selected_sensors_
    if len(set(chosen.tolist())) != case.k:
        raise WrongResultError(f"{case.name}: expected {case.k} places, got {chosen.tolist()}")
    if case.unseen is None:
        return None
    seen = (case.unseen - selector.mean_)[:, chosen]
    rebuilt = np.linalg.lstsq(selector.basis_[chosen], seen.T, rcond=None)[0].T @ selector.basis_.T + selector.mean_
    return float(np.linalg.norm(rebuilt - case.unseen) / np.linalg.norm(case.unseen))


def _pysensors(case: FitCase) -> tuple[Callable[[Any], Any], list[float]]:
    """Its fit with the defaults, and its errors on the unseen in RIVAL_RUNS runs; none where nothing is unseen."""
    from pysensors.basis import SVD
    from pysensors.reconstruction import SSPOR

    def fit(X: np.ndarray, random_state: int | None = None) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            basis = SVD(n_basis_modes=case.k, random_state=random_state)
            return SSPOR(basis=basis, n_sensors=case.k).fit(X, quiet=True, seed=0)

    errors = []
    for random_state in range(RIVAL_RUNS if case.unseen is not None else 0):
        model = fit(case.train, random_state)
        rebuilt = model.predict(case.unseen[:, model.selected_sensors], method="unregularized")
        errors.append(float(np.linalg.norm(rebuilt - case.unseen) / np.linalg.norm(case.unseen)))
    return fit, errors


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
        before, method = watch_memory()
        selector.fit(f"{path}::u")
        peak = peak_memory(method) - before if method == "VmHWM" else None
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
