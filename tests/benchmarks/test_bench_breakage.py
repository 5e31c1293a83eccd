"""The benchmark of breakage, small: both candidates of the step agree with the oracle, a wrong one does not pass."""

from __future__ import annotations

import bench_breakage
import pytest
import torch
from harness import Timing, WrongResultError, measure
from machine import Limits

CPU = torch.device("cpu")
LIMITS = Limits(10.0, 10.0, 10.0, 10.0, matmul_gflop_per_s=100.0, array_mib=1, matmul_size=8)
ONCE = Timing(budget_s=0.0, min_rounds=2, sample_s=0.0)
SMALL = {"num_times": 3, "num_nodes": 12, "width": 8}


def test_both_candidates_agree() -> None:
    result = measure(bench_breakage.step_case(torch.float32, **SMALL), CPU, ONCE, LIMITS)
    assert [candidate.name for candidate in result.candidates] == ["pinnx", "plain torch"]


def test_wrong_births_end_the_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    right = bench_breakage.scanned_births
    monkeypatch.setattr(bench_breakage, "scanned_births", lambda *given: 1.01 * right(*given))
    with pytest.raises(WrongResultError, match="plain torch"):
        measure(bench_breakage.step_case(torch.float32, **SMALL), CPU, ONCE, LIMITS)


def test_a_solve_and_kinetics_have_their_rivals_beside_them() -> None:
    solve = bench_breakage.solved("case3", "network", 3, 0)
    assert set(solve["solvers"]) == {"Chebyshev collocation", "fixed pivot"}
    assert solve["solvers"]["Chebyshev collocation"] < 1e-6 < solve["error"]
    row = bench_breakage.kinetics("case1", 3, 0)
    assert row["s0"] > 0.02 > row["s0 by least squares"]
    for name in ("s0", "a"):  # two ways to one minimum
        assert row[f"{name} by the adjoint"] == pytest.approx(row[f"{name} by least squares"], abs=1e-5)
        assert 0 < row[f"half width of {name}"] < 0.02
