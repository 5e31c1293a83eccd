"""The benchmark of the Jacobian, small: both candidates agree with the oracle, a wrong one does not pass."""

from __future__ import annotations

import bench_jacobian
import pytest
import torch
from harness import Timing, WrongResultError, measure
from machine import Limits
from networks import draw_network

import pinn_ext
from pinn_ext import Jet

CPU = torch.device("cpu")
LIMITS = Limits(10.0, 10.0, 10.0, 10.0, matmul_gflop_per_s=100.0, array_mib=1, matmul_size=8)
ONCE = Timing(budget_s=0.0, min_rounds=2, sample_s=0.0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_both_candidates_agree(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_jacobian, "fma_peak", lambda float64, milliseconds: 100.0)  # compiles a program
    for case in bench_jacobian.cases(draw_network(9, 6, 2, dtype=dtype), dtype):
        result = measure(case, CPU, ONCE, LIMITS)
        assert len(result.candidates) == 2
        assert result.candidates[0].share_of_limit


def test_a_wrong_residual_ends_the_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    right = pinn_ext.navier_stokes_residual
    monkeypatch.setattr(pinn_ext, "navier_stokes_residual", lambda jet, nu: right(Jet(1.001 * jet.data, jet.spec), nu))
    for case in bench_jacobian.cases(draw_network(9, 6, 1, dtype=torch.float64), torch.float64):
        with pytest.raises(WrongResultError, match="pinn_ext"):
            measure(case, CPU, ONCE, LIMITS)


def test_operations_are_those_of_the_layers() -> None:
    """By hand: 2 points; layers 4 x 4 and 3 x 4, so 28 weights and 35 unknowns; 5 streams, 3 columns."""
    of_rows, of_matrix = bench_jacobian.operations(draw_network(2, 4, 1, dtype=torch.float64))
    assert of_rows == 2 * 5 * 2 * (28 + 3 * 12 + 3 * 28)
    assert of_matrix == 6 * 35 * 36
