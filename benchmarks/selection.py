"""Choosing k columns: pinn_ext.pivoted_qr against SciPy's pivoted QR, pivots first, then the clock.

The rows of A are normal numbers, each 0.9 times as long as the one before. Before anything is timed, the exact pivots
must be those of SciPy (at every step where its two best columns differ by more than rounding), and the others must keep
their distance from the exact log volume. A share is that of one read of A by torch, in the same rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
import torch
from harness import Statistics, Timing, WrongResultError, interleaved
from machine import bare_traffic, fma_peak
from torch import Tensor

import pinn_ext

CPU = torch.device("cpu")


def may_lose(method: str, k: int) -> float:
    """Log volume. A sketch of k + 10 rows sees less where rows fall slowly."""
    return 1e-4 * k if method == "exact" else 0.2 * k


@dataclass(frozen=True)
class Selection:
    """One matrix and number of pivots; ``scipy`` is left out where it would take minutes."""

    r: int
    n: int
    k: int
    scipy: bool = True
    methods: tuple[str, ...] = ("exact", "randomized")


@dataclass(frozen=True)
class SelectionResult:
    """What one way to choose took. ``gflop_per_s`` counts 2 r n k, a product of every column with every direction."""

    name: str
    selection: Selection
    time_s: Statistics
    log_volume: float
    gflop_per_s: float
    share_of_peak: float
    share_of_one_read: float
    times_scipy: float | None


FULL = (Selection(100, 262_144, 12), Selection(100, 262_144, 100), Selection(1000, 262_144, 500, False, ("exact",)))
QUICK = (Selection(50, 16_384, 12),)


def random_rows(r: int, n: int, decay: float = 0.9, seed: int = 0) -> Tensor:
    """``[r, n]`` float32; rows of 1,000 numbers would underflow, so that they shrink no further than 1e-5."""
    scale = torch.clamp(decay ** torch.arange(r), min=1e-5)
    return torch.randn(r, n, generator=torch.Generator().manual_seed(seed)) * scale[:, None]


def measure_selection(selection: Selection, A: Tensor, timing: Timing) -> list[SelectionResult]:
    """Checks every method, then times all of them, SciPy and one read of ``A``, interleaved.

    Raises:
        WrongResultError: pivots or a log volume that are not what they should be; nothing was timed.
    """
    k = selection.k
    runs: dict[str, Callable[[], Any]] = {
        method: lambda method=method: pinn_ext.pivoted_qr(A, k, method=method) for method in selection.methods
    }
    volumes = {method: run().log_volume for method, run in runs.items()}
    if selection.scipy:
        matrix = A.numpy()
        R, pivots = scipy.linalg.qr(matrix, mode="r", pivoting=True)
        volumes["scipy"] = float(np.log(np.abs(np.diag(R[:, :k]))).sum())
        _check_pivots(pinn_ext.pivoted_qr(A, k).pivots.tolist(), pivots[:k].tolist(), selection)
        runs["scipy"] = lambda: scipy.linalg.qr(matrix, mode="r", pivoting=True)
    exact = volumes.get("scipy", volumes["exact"])
    for method in selection.methods:
        if not volumes[method] >= exact - may_lose(method, k):
            raise WrongResultError(
                f"{method} of {selection}: expected a log volume near {exact}, got {volumes[method]}"
            )
    runs["one read"] = bare_traffic(A.nbytes, 0, CPU)
    peak = fma_peak(False, 50)
    samples = dict(zip(runs, interleaved(list(runs.values()), CPU, timing, lambda *_: None)[0], strict=True))
    read = samples.pop("one read")
    flops = 2.0 * selection.r * selection.n * k
    results = []
    for name, own in samples.items():
        time_s = Statistics.of(own)
        scipy_s = samples.get("scipy")
        results.append(
            SelectionResult(
                name=name,
                selection=selection,
                time_s=time_s,
                log_volume=volumes[name],
                gflop_per_s=flops / time_s.median / 1e9,
                share_of_peak=flops / time_s.median / 1e9 / peak,
                share_of_one_read=_median_ratio(read, own),
                times_scipy=None if scipy_s is None else _median_ratio(scipy_s, own),
            )
        )
    return results


def _check_pivots(got: list[int], wanted: list[int], selection: Selection) -> None:
    same = sum(a == b for a, b in zip(got, wanted, strict=True))
    # Once two columns are as long to rounding, both orders are right and the rest may differ.
    if got[:12] != wanted[:12] or same < 0.9 * len(got):
        raise WrongResultError(f"{selection}: expected the pivots of SciPy {wanted}, got {got}")


def _median_ratio(above: Sequence[float], below: Sequence[float]) -> float:
    return Statistics.of([a / b for a, b in zip(above, below, strict=True)]).median
