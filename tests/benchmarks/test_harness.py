"""The harness: a wrong candidate is never timed, the rounds are interleaved, the file is whole or absent."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from harness import Candidate, Case, Statistics, Timing, Work, WrongResultError, measure, rounding_tolerance, validate
from machine import Limits, bare_traffic, describe_machine, describe_versions, last_level_cache_bytes
from results import SCHEMA, finish_report, print_table, start_report, write_json
from torch import Tensor

CPU = torch.device("cpu")
LIMITS = Limits(10.0, 10.0, 10.0, 10.0, matmul_gflop_per_s=100.0, array_mib=1, matmul_size=8)
SHORT = Timing(budget_s=0.0, min_rounds=3, sample_s=0.0)
X = torch.linspace(-1.0, 1.0, 101)


def case_of(*runs: Callable[[], Sequence[Tensor]], bound: str = "traffic") -> Case:
    return Case(
        kernel="sine",
        part="forward",
        size={"n": 101},
        candidates=tuple(Candidate(f"candidate {i}", run) for i, run in enumerate(runs)),
        reference=lambda: [torch.sin(X.double())],
        tolerance=rounding_tolerance(torch.float32),
        work=Work(404, 404, flops=1000),
        bound=bound,
    )


def right() -> Sequence[Tensor]:
    return (torch.sin(X),)


def slightly_wrong() -> Sequence[Tensor]:
    return (torch.sin(X) * (1 + 1e-4),)


def test_right_candidates_are_timed() -> None:
    result = measure(case_of(right, right), CPU, SHORT, LIMITS)
    assert [c.name for c in result.candidates] == ["candidate 0", "candidate 1"]
    for candidate in result.candidates:
        assert 0.0 < candidate.error < result.tolerance
        assert candidate.time_s.samples == 3
        assert 0.0 < candidate.time_s.minimum <= candidate.time_s.q25 <= candidate.time_s.median
        assert candidate.time_s.median <= candidate.time_s.q75
        assert candidate.gb_per_s == pytest.approx(808 / candidate.time_s.median / 1e9)
        assert candidate.gflop_per_s == pytest.approx(1000 / candidate.time_s.median / 1e9)
    assert result.candidates[0].speed_of_first.median == 1.0


def test_share_of_the_matmul_limit() -> None:
    (candidate,) = measure(case_of(right, bound="matmul"), CPU, SHORT, LIMITS).candidates
    assert candidate.gflop_per_s is not None
    assert candidate.share_of_limit == pytest.approx(candidate.gflop_per_s / 100.0)


@pytest.mark.parametrize(
    "wrong",
    [
        slightly_wrong,
        lambda: (torch.full_like(X, torch.nan),),
        lambda: (torch.sin(X).masked_fill(X > 0.99, torch.inf),),
        lambda: (torch.zeros_like(X),),
        lambda: (torch.sin(X)[:-1],),
        lambda: (torch.sin(X), torch.sin(X)),
        lambda: (),
    ],
    ids=["1e-4 off", "NaN", "one infinity", "zero", "short", "too many", "nothing"],
)
def test_a_wrong_kernel_is_never_timed(wrong: Callable[[], Sequence[Tensor]]) -> None:
    """The negative control. Not even the right candidate beside it gets to the clock: each ran once."""
    calls: list[str] = []

    def counted(name: str, run: Callable[[], Sequence[Tensor]]) -> Callable[[], Sequence[Tensor]]:
        def call() -> Sequence[Tensor]:
            calls.append(name)
            return run()

        return call

    with pytest.raises(WrongResultError, match="candidate 1: expected"):
        measure(case_of(counted("right", right), counted("wrong", wrong)), CPU, SHORT, LIMITS)
    assert calls == ["right", "wrong"]


def test_a_kernel_that_goes_wrong_later_is_caught() -> None:
    calls = []

    def tires() -> Sequence[Tensor]:
        calls.append(1)
        return right() if len(calls) < 4 else slightly_wrong()

    with pytest.raises(WrongResultError, match="after timing"):
        measure(case_of(tires), CPU, SHORT, LIMITS)


def test_a_small_stream_is_not_hidden_by_a_large_one() -> None:
    """A value that is off by a tenth, beside a Laplacian a million times as large."""
    jet = torch.stack([torch.ones(4, 2), 1e6 * torch.ones(4, 2)]).double()
    off = jet.clone()
    off[0] += 0.1
    assert validate("jet", [jet], [jet], 1e-6) == 0.0
    with pytest.raises(WrongResultError, match="stream 0 of 2"):
        validate("jet", [off], [jet], 1e-6)


def test_one_array_agrees_with_the_same_streams_in_three() -> None:
    jet = torch.rand(5, 4, 2, dtype=torch.float64)
    assert validate("jet", [jet[0], jet[1:4], jet[4]], [jet], 0.0) == 0.0
    with pytest.raises(WrongResultError, match="expected streams of shapes"):
        validate("jet", [jet[0], jet[1:4]], [jet], 1.0)


def test_share_of_a_peak_that_each_round_measures() -> None:
    peaks: list[float] = []

    def peak() -> float:
        peaks.append(10.0 * (len(peaks) + 1))
        return peaks[-1]

    case = replace(case_of(right, bound="peak"), peak=peak)
    result = measure(case, CPU, SHORT, LIMITS)
    assert peaks == [10.0, 20.0, 30.0]  # as many as rounds
    assert result.peak_gflop_per_s is not None
    assert result.peak_gflop_per_s.median == 20.0
    (candidate,) = result.candidates
    assert candidate.share_of_limit is not None
    assert candidate.share_of_limit > 0.0


def test_a_candidate_may_have_its_own_reference_and_operations() -> None:
    """Numbers that are not the case's: they are held against their own, and their rate is that of their operations."""
    other = Candidate("cosine", lambda: (torch.cos(X),), reference=lambda: [torch.cos(X.double())], flops=4000)
    case = case_of(right)
    case = replace(case, candidates=(*case.candidates, other))
    sine, cosine = measure(case, CPU, SHORT, LIMITS).candidates
    assert sine.gflop_per_s == pytest.approx(1000 / sine.time_s.median / 1e9)
    assert cosine.gflop_per_s == pytest.approx(4000 / cosine.time_s.median / 1e9)
    wrong = replace(other, reference=lambda: [torch.sin(X.double())])
    with pytest.raises(WrongResultError, match="cosine"):
        measure(replace(case, candidates=(case.candidates[0], wrong)), CPU, SHORT, LIMITS)


def test_results_of_other_libraries_become_tensors_outside_the_clock() -> None:
    array = X.numpy()
    converted: list[str] = []

    def tensors(result: Any) -> Sequence[Tensor]:
        converted.append("now")
        return (torch.from_numpy(result),)

    case = replace(case_of(right), candidates=(Candidate("numpy", lambda: np.sin(array), tensors),))
    measure(case, CPU, SHORT, LIMITS)
    assert len(converted) == 2  # checked before and after


def test_progress_is_told() -> None:
    told: list[str] = []
    measure(case_of(right), CPU, SHORT, LIMITS, told.append)
    rounds = [f"round {i} of 3" for i in (1, 2, 3)]
    assert told == ["checks candidate 0", *rounds, "checks candidate 0, after timing"]


def test_rounds_are_interleaved() -> None:
    calls: list[str] = []

    def named(name: str) -> Callable[[], Sequence[Tensor]]:
        def run() -> Sequence[Tensor]:
            calls.append(name)
            return right()

        return run

    measure(case_of(named("A"), named("B")), CPU, SHORT, LIMITS)
    # Checked; warmed up and tried; three rounds of a call to fill the cache and a sample of one; checked again.
    assert "".join(calls) == "AB" + "AABB" + 3 * "AABB" + "AB"


def test_cold_samples_are_single_calls_with_an_emptied_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    flushes = []
    monkeypatch.setattr("harness._flush", lambda device: lambda: flushes.append(device))
    result = measure(case_of(right), CPU, Timing(budget_s=0.0, min_rounds=4, cold=True), LIMITS)
    assert len(flushes) == 4 * 2  # the candidate and the bare traffic
    assert result.candidates[0].calls_per_sample == 1


def test_statistics() -> None:
    samples = [3.0, 1.0, 2.0, 5.0, 4.0]
    assert Statistics.of(samples) == Statistics(median=3.0, q25=2.0, q75=4.0, minimum=1.0, samples=5)


def test_tolerance_grows_with_eps_and_sums() -> None:
    assert rounding_tolerance(torch.float64) == 2 * 17 * 2.0**-52
    assert rounding_tolerance(torch.float32, summands=10_000, amplification=50.0) == 2 * 166 * 2.0**-23


@pytest.mark.parametrize(("read", "written"), [(4096, 4096), (4096, 0), (0, 4096), (1024, 8192), (8192, 1024)])
def test_bare_traffic_moves_what_it_should(read: int, written: int) -> None:
    moved = sum(t.numel() * 4 for t in bare_traffic(read, written, CPU)() if t.dim() == 1)
    assert moved == (written if written >= read else min(read, written))


def test_machine_and_versions_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1000000")
    machine, versions = describe_machine(CPU), describe_versions()
    assert machine["cpu"]
    assert machine["environment"]["MALLOC_TRIM_THRESHOLD_"] == "1000000"
    assert machine["cores"] >= 1
    assert machine["kernel_threads"] >= 1
    assert machine["instruction_set"] in ("generic", "avx2", "avx512")
    assert versions["torch"] == torch.__version__
    assert versions["compiler"]
    assert last_level_cache_bytes(CPU) >= 1 << 18


def test_report_is_written_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("results.measure_limits", lambda *_: LIMITS)
    report = start_report("test", "python test.py", CPU, torch.float32, SHORT, quick=True)
    report.cases.append(measure(case_of(right, right), CPU, SHORT, LIMITS))
    finish_report(report, CPU, torch.float32)
    print_table(report)
    path = tmp_path / "results" / "test.json"
    write_json(report, path)
    read = json.loads(path.read_text())
    assert read["schema"] == SCHEMA
    assert read["finished"] >= read["started"]
    assert read["settings"]["quick"] is True
    assert read["settings"]["dtype"] == "float32"
    assert read["limits_after"]["copy_gb_per_s"] == 10.0
    assert read["cases"][0]["candidates"][1]["speed_of_first"]["samples"] == 3

    # A report that cannot be written leaves the old file and nothing beside it.
    report.load_after = float("nan")
    with pytest.raises(ValueError, match="JSON"):
        write_json(report, path)
    assert json.loads(path.read_text()) == read
    assert [p.name for p in path.parent.iterdir()] == ["test.json"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device (torch.cuda.is_available() is False)")
def test_the_gpu_has_its_own_clock() -> None:
    """Twice the work takes longer, although the call returns before the device is done."""
    cuda = torch.device("cuda")
    matrix = torch.full((2048, 2048), 1 / 2048, device=cuda)

    def power(k: int) -> Sequence[Tensor]:
        result = matrix
        for _ in range(k):
            result = result @ matrix
        return (result,)

    case = Case(
        "power",
        "forward",
        {"n": 2048},
        (Candidate("1", lambda: power(1)), Candidate("8", lambda: power(8))),
        lambda: [matrix.double()],
        rounding_tolerance(torch.float32, summands=2048, amplification=8.0),
        Work(matrix.nbytes, matrix.nbytes),
    )
    short, long = measure(case, cuda, SHORT, LIMITS).candidates
    assert long.time_s.median > 3 * short.time_s.median
    assert describe_machine(cuda)["gpu"]
