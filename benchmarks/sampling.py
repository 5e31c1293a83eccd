"""How samples are taken: a clock for each device, rounds in which all have their turn, medians and quartiles."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from machine import last_level_cache_bytes

__all__ = ["Statistics", "Timing", "interleaved"]

CACHE_MATTERS_S = 0.02  # to fill a cache of 32 MiB from memory takes some 3 ms


@dataclass(frozen=True)
class Timing:
    """How long to look.

    Attributes:
        budget_s: time for the rounds of one case, all candidates together.
        min_rounds, max_rounds: bounds on their number; `min_rounds` holds also where the budget does not suffice.
        sample_s: a sample repeats the call until it lasts about this long, so that the clock's own cost vanishes.
        cold: write over the last-level cache before every sample, which then is a single call.
    """

    budget_s: float = 2.0
    min_rounds: int = 9
    max_rounds: int = 101
    sample_s: float = 1e-3
    cold: bool = False


@dataclass(frozen=True)
class Statistics:
    """Median and quartiles of the samples."""

    median: float
    q25: float
    q75: float
    minimum: float
    samples: int

    @staticmethod
    def of(samples: Sequence[float]) -> Statistics:
        """Of at least two samples."""
        q25, median, q75 = statistics.quantiles(samples, n=4, method="inclusive")
        return Statistics(median, q25, q75, min(samples), len(samples))


def interleaved(
    runs: Sequence[Callable[[], object]],
    device: torch.device,
    timing: Timing,
    before_round: Callable[[int, int], object],
) -> tuple[list[list[float]], list[int]]:
    """Takes the samples: each run in turn, round after round.

    Args:
        runs: what is timed.
        device: whose clock counts.
        timing: how long to look.
        before_round: is called with the round and their number.

    Returns:
        Seconds per call, by run and round, and the calls of one sample.
    """
    clock = _CudaClock(device) if device.type == "cuda" else _CpuClock()
    flush = _flush(device) if timing.cold else None
    calls, prepare, round_s = [], [], 0.0
    for run in runs:
        run()  # warm-up: allocator, caches, lazily loaded kernels
        one = clock.seconds(run, 1)
        calls.append(1 if timing.cold else max(1, math.ceil(timing.sample_s / one)))
        # The cache is empty for everybody, or holds what this candidate left there, not its forerunner. To a call that
        # takes longer than the cache can matter, neither is of use.
        prepare.append(flush or (run if one < CACHE_MATTERS_S else _nothing))
        round_s += one * (calls[-1] + (prepare[-1] is run))
    rounds = min(max(math.ceil(timing.budget_s / round_s), timing.min_rounds), timing.max_rounds)
    samples: list[list[float]] = [[] for _ in runs]
    collects = gc.isenabled()
    gc.disable()
    try:
        for index in range(rounds):
            before_round(index, rounds)
            for run, before, count, own in zip(runs, prepare, calls, samples, strict=True):
                before()
                own.append(clock.seconds(run, count))
    finally:
        if collects:
            gc.enable()
    return samples, calls


def _nothing(*_: object) -> None:
    pass


def _flush(device: torch.device) -> Callable[[], object]:
    buffer = torch.empty(4 * last_level_cache_bytes(device), dtype=torch.uint8, device=device)
    return lambda: buffer.fill_(1)


class _CpuClock:
    def seconds(self, run: Callable[[], object], count: int) -> float:
        """Seconds per call."""
        start = time.perf_counter_ns()
        for _ in range(count):
            run()
        return (time.perf_counter_ns() - start) * 1e-9 / count


class _CudaClock:
    """The device's own clock, between two events in the current stream."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def seconds(self, run: Callable[[], object], count: int) -> float:
        """Seconds per call."""
        with torch.cuda.device(self._device):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
            torch.cuda.synchronize()
            start.record()
            for _ in range(count):
                run()
            end.record()
            torch.cuda.synchronize()
            return float(start.elapsed_time(end)) * 1e-3 / count
