"""Correct first, then timed: how every benchmark of this folder compares candidates.

A *case* is one question at one size: several candidates, ours first, that compute the same numbers. `measure` lets
each candidate run once, holds its result against a float64 reference, and only then times them all, interleaved:

    A B C T  A B C T  A B C T ...      (T: bare memory traffic of as many bytes, see machine.py)

so that drift of the machine affects all alike; a ratio is the median of the ratios within one round. After the last
round every result is checked once more. There is no way to the clock that does not lead past the reference.
"""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from machine import Limits, bare_traffic, last_level_cache_bytes
from torch import Tensor

CACHE_MATTERS_S = 0.02  # to fill a cache of 32 MiB from memory takes some 3 ms


@dataclass(frozen=True)
class Timing:
    """How long to look.

    Attributes:
        budget_s: time for the rounds of one case, all candidates together.
        min_rounds, max_rounds: bounds on their number; `min_rounds` holds also where the budget does not suffice.
        sample_s: a sample repeats the call until it lasts about this long, so that the clock's own cost vanishes.
        cold: write over the last-level cache before every sample, which then is a single call.
        cpu_time: take the time of all threads of the process in place of the clock's: for one thread beside other work.
    """

    budget_s: float = 2.0
    min_rounds: int = 9
    max_rounds: int = 101
    sample_s: float = 1e-3
    cold: bool = False
    cpu_time: bool = False


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
    clock = _CudaClock(device) if device.type == "cuda" else _CpuClock(timing.cpu_time)
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
    def __init__(self, cpu_time: bool) -> None:
        self._now = time.process_time_ns if cpu_time else time.perf_counter_ns

    def seconds(self, run: Callable[[], object], count: int) -> float:
        """Seconds per call."""
        start = self._now()
        for _ in range(count):
            run()
        return (self._now() - start) * 1e-9 / count


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


class WrongResultError(RuntimeError):
    """A candidate does not compute what the reference computes; it is not timed."""


@dataclass(frozen=True)
class Work:
    """What a case must do at least: bytes of its inputs and outputs, once each, and floating point operations.

    ``flops`` is None where counting says little, as for transcendental functions.
    """

    bytes_read: int
    bytes_written: int
    flops: int | None = None

    @property
    def num_bytes(self) -> int:
        """Bytes read and written."""
        return self.bytes_read + self.bytes_written


@dataclass(frozen=True)
class Candidate:
    """One way to compute the case's numbers. ``run`` is what is checked and what is timed, one and the same.

    Args:
        name: in the tables.
        run: computes, and waits for what it computed unless the device's clock does (CUDA events).
        tensors: makes tensors of another library's result, outside the clock; None: they are tensors.
        reference: where the candidate's numbers are not the case's, as those of a float64 or of another equation, its
            own reference; called once.
        flops: where they are not the case's.
    """

    name: str
    run: Callable[[], Any]
    tensors: Callable[[Any], Sequence[Tensor]] | None = None
    reference: Callable[[], Sequence[Tensor]] | None = None
    flops: int | None = None

    def result(self) -> Sequence[Tensor]:
        """What one run computes, as tensors."""
        result: Sequence[Tensor] = self.run() if self.tensors is None else self.tensors(self.run())
        return result


@dataclass(frozen=True)
class Case:
    """One question at one size.

    Args:
        kernel: what is computed, e.g. ``"activation_jet tanh"``.
        part: and which pass of it, e.g. ``"backward"``.
        size: the sizes by name.
        candidates: ours first.
        reference: the same numbers in float64; called once.
        tolerance: bound on the error, relative to the largest magnitude of each stream; see `rounding_tolerance`.
        work: bytes and operations; the same for every candidate.
        bound: the limit against which the share is taken: ``"traffic"`` (the case's bytes moved by torch, in the same
            rounds), ``"matmul"`` (torch's rate for large square matrices, measured in the same run), or ``"peak"``.
        peak: with that bound, measures the peak of the fused multiply-add units, GFLOP/s; once in each round.
    """

    kernel: str
    part: str
    size: dict[str, int]
    candidates: tuple[Candidate, ...]
    reference: Callable[[], Sequence[Tensor]]
    tolerance: float
    work: Work
    bound: str = "traffic"
    peak: Callable[[], float] | None = None


@dataclass(frozen=True)
class CandidateResult:
    """What one candidate took. ``speed_of_first`` is its time over that of the first candidate, round by round."""

    name: str
    error: float
    time_s: Statistics
    calls_per_sample: int
    gb_per_s: float
    gflop_per_s: float | None
    share_of_limit: float | None
    speed_of_first: Statistics


@dataclass(frozen=True)
class CaseResult:
    """All candidates of a case, the first one first."""

    kernel: str
    part: str
    size: dict[str, int]
    tolerance: float
    work: Work
    bound: str
    traffic_s: Statistics
    candidates: list[CandidateResult] = field(default_factory=list)
    peak_gflop_per_s: Statistics | None = None


def rounding_tolerance(dtype: torch.dtype, *, summands: int = 1, amplification: float = 0.0) -> float:
    """Bound on the relative error of a rounded computation against the float64 reference on the same inputs.

    ``2 eps (16 + sqrt(K) + a)``: 16 eps for an elementary function and the about ten products of a chain rule; sqrt(K)
    eps for a sum of K rounded terms (independent errors: Higham and Mary, SIAM J. Sci. Comput. 41 (2019)); a eps for
    the rounding of an intermediate value that is enlarged by `a` on its way to the result, as that of a phase is; and
    2, because in float64 the reference rounds as well.
    """
    return 2.0 * torch.finfo(dtype).eps * (16.0 + math.sqrt(summands) + amplification)


def validate(name: str, got: Sequence[Tensor], wanted: Sequence[Tensor], tolerance: float) -> float:
    """Compares results with the reference, tensor by tensor and stream by stream.

    A tensor of three axes is a jet: each of its streams is held against that stream's own largest magnitude, so that a
    wrong value does not hide beside a large Laplacian. ``[s, n, c]`` agrees with the same streams in several tensors.

    Returns:
        The largest relative error.

    Raises:
        WrongResultError: another number of streams, another shape, not finite, or an error above the tolerance.
    """
    streams, wanted_streams = _streams(got), _streams(wanted)
    shapes, wanted_shapes = [list(t.shape) for t in streams], [list(t.shape) for t in wanted_streams]
    if shapes != wanted_shapes or not shapes:
        raise WrongResultError(f"{name}: expected streams of shapes {wanted_shapes}, got {shapes}")
    errors = [_relative_error(g, w) for g, w in zip(streams, wanted_streams, strict=True)]
    worst = max(range(len(errors)), key=errors.__getitem__)
    if not errors[worst] <= tolerance:
        raise WrongResultError(
            f"{name}: expected a relative error <= {tolerance:.1e}, got {errors[worst]:.1e} in stream {worst} of "
            f"{len(errors)}, {shapes[worst]}"
        )
    return errors[worst]


def _streams(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [s for t in tensors for s in (t.detach().unbind(0) if t.dim() == 3 else (t.detach(),))]


def _relative_error(got: Tensor, wanted: Tensor) -> float:
    error = (got.double() - wanted.double()).abs().max().item()
    size = wanted.abs().max().item()
    if not math.isfinite(error) or not math.isfinite(size):
        return math.inf
    if size == 0.0:
        return 0.0 if error == 0.0 else math.inf
    return float(error / size)


def measure(
    case: Case,
    device: torch.device,
    timing: Timing,
    limits: Limits,
    progress: Callable[[str], object] | None = None,
) -> CaseResult:
    """Checks every candidate against the reference, times them interleaved, and checks them again.

    Args:
        case: the candidates.
        device: where they run.
        timing: how long to look.
        limits: of the machine.
        progress: called between samples with what comes next.

    Raises:
        WrongResultError: a candidate is wrong, before or after; nothing was timed of a case that is wrong before.
    """
    shared = [t.detach() for t in case.reference()] if any(c.reference is None for c in case.candidates) else []
    wanted = [shared if c.reference is None else [t.detach() for t in c.reference()] for c in case.candidates]
    label = f"{case.kernel} {case.part} {case.size}"
    tell = progress or (lambda text: None)

    def check(when: str = "") -> list[float]:
        errors = []
        for candidate, w in zip(case.candidates, wanted, strict=True):
            tell(f"checks {candidate.name}{when}")
            errors.append(validate(f"{label}: {candidate.name}{when}", candidate.result(), w, case.tolerance))
        return errors

    errors = check()
    traffic = Candidate("traffic", bare_traffic(case.work.bytes_read, case.work.bytes_written, device))
    peaks: list[float] = []

    def before_round(index: int, count: int) -> None:
        tell(f"round {index + 1} of {count}")
        if case.peak is not None:
            peaks.append(case.peak())

    runs = [candidate.run for candidate in (*case.candidates, traffic)]
    samples, calls = interleaved(runs, device, timing, before_round)
    again = check(", after timing")
    *times, traffic_times = samples
    result = CaseResult(
        kernel=case.kernel,
        part=case.part,
        size=case.size,
        tolerance=case.tolerance,
        work=case.work,
        bound=case.bound,
        traffic_s=Statistics.of(traffic_times),
        peak_gflop_per_s=Statistics.of(peaks) if peaks else None,
    )
    for index, candidate in enumerate(case.candidates):
        error = max(errors[index], again[index])
        own = _candidate_result(
            case, candidate, error, calls[index], times[index], times[0], traffic_times, peaks, limits
        )
        result.candidates.append(own)
    return result


def _candidate_result(
    case: Case,
    candidate: Candidate,
    error: float,
    calls_per_sample: int,
    times: Sequence[float],
    first_times: Sequence[float],
    traffic_times: Sequence[float],
    peaks: Sequence[float],
    limits: Limits,
) -> CandidateResult:
    """One candidate's times, rates, and share of the case's limit; ratios are those within one round."""
    time_s = Statistics.of(times)
    flops = candidate.flops or case.work.flops
    flop_rate = None if flops is None else flops / time_s.median / 1e9
    share: float | None
    if case.bound == "traffic":
        share = Statistics.of([t / own for t, own in zip(traffic_times, times, strict=True)]).median
    elif peaks and flops is not None:
        share = Statistics.of([flops / own / 1e9 / peak for own, peak in zip(times, peaks, strict=True)]).median
    else:
        share = None if flop_rate is None else flop_rate / limits.matmul_gflop_per_s
    return CandidateResult(
        name=candidate.name,
        error=error,
        time_s=time_s,
        calls_per_sample=calls_per_sample,
        gb_per_s=case.work.num_bytes / time_s.median / 1e9,
        gflop_per_s=flop_rate,
        share_of_limit=share,
        speed_of_first=Statistics.of([own / first for own, first in zip(times, first_times, strict=True)]),
    )
