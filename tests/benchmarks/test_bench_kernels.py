"""Every case of the kernel benchmark, small: all candidates agree with the oracle, a wrong one does not pass."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import bench_kernels
import pytest
import torch
from harness import Timing, WrongResultError, measure
from kernel_problems import SPEC_2D, Place, cases_of, kernel_problems, oracle_fourier_jet
from machine import Limits
from tolerances import KERNEL_FLOAT64

import pinn_ext
from pinn_ext import Jet, reference

CPU = torch.device("cpu")
LIMITS = Limits(10.0, 10.0, 10.0, 10.0, matmul_gflop_per_s=100.0, array_mib=1, matmul_size=8)
ONCE = Timing(budget_s=0.0, min_rounds=2, sample_s=0.0)
NAMES = [name for name, _ in kernel_problems(Place(CPU, torch.float64, compiled=False), 1, 2)]
every_problem = pytest.mark.parametrize("name", NAMES)


def problem_of(name: str, dtype: torch.dtype = torch.float64, n: int = 37, width: int = 12) -> Any:
    return dict(kernel_problems(Place(CPU, dtype, compiled=False), n, width))[name]()


@every_problem
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_all_candidates_agree(name: str, dtype: torch.dtype) -> None:
    for case in cases_of(problem_of(name, dtype), seed=1):
        result = measure(case, CPU, ONCE, LIMITS)
        assert len(result.candidates) >= 2
        assert result.work.num_bytes > 0


@every_problem
def test_an_oracle_in_pieces_is_the_oracle(name: str) -> None:
    problem = problem_of(name)
    whole, pieces = replace(problem, oracle_rows=1000), replace(problem, oracle_rows=5)
    for a, b in zip(cases_of(whole, seed=1), cases_of(pieces, seed=1), strict=True):
        for wanted, got in zip(a.reference(), b.reference(), strict=True):
            assert (got - wanted).abs().max() <= KERNEL_FLOAT64 * wanted.abs().max()


def test_oracle_of_the_fourier_jet_by_pairs() -> None:
    generator = torch.Generator().manual_seed(1)
    x, B = (torch.rand(shape, generator=generator, dtype=torch.float64) for shape in [(7, 3), (3, 5)])
    wanted = reference.fourier_jet(x, B, SPEC_2D).data
    assert (oracle_fourier_jet(x, B, SPEC_2D) - wanted).abs().max() <= KERNEL_FLOAT64 * wanted.abs().max()


def test_a_wrong_kernel_ends_the_benchmark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The negative control: the third derivative stream of our activation is off by a thousandth."""
    right = pinn_ext.activation_jet

    def wrong(jet: Jet, activation: Any) -> Jet:
        scale = torch.ones(jet.data.shape[0], 1, 1)
        scale[3] += 1e-3
        return Jet(right(jet, activation).data * scale, jet.spec)

    monkeypatch.setattr(pinn_ext, "activation_jet", wrong)
    monkeypatch.setattr(bench_kernels, "SIZES", ((37, 12),))
    monkeypatch.setattr(bench_kernels, "Timing", lambda: ONCE)  # the kernels before it are right, and take their time
    monkeypatch.setattr("results.measure_limits", lambda *_: LIMITS)
    output = tmp_path / "kernels.json"
    with pytest.raises(WrongResultError, match=r"activation_jet tanh forward .* pinn_ext: .* in stream 3 of 5"):
        bench_kernels.main(["--output", str(output)])
    assert not output.exists()


@pytest.mark.parametrize("options", [[], ["--cold", "--dtype", "float64"]])
def test_from_the_command_line(options: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bench_kernels, "SIZES", ((37, 12),))
    monkeypatch.setattr(bench_kernels, "Timing", lambda: ONCE)
    monkeypatch.setattr("results.measure_limits", lambda *_: LIMITS)
    monkeypatch.setattr("harness.last_level_cache_bytes", lambda device: 1 << 16)
    output = tmp_path / "kernels.json"
    bench_kernels.main(["--only", "navier", *options, "--output", str(output)])
    read = json.loads(output.read_text())
    assert [(case["kernel"], case["part"]) for case in read["cases"]] == [
        (f"navier_stokes_residual {dim}D", part) for dim in (2, 3) for part in ("backward", "forward")
    ]
    assert read["settings"]["cold"] is bool(options)


def test_a_name_that_fits_nothing_is_refused() -> None:
    with pytest.raises(SystemExit, match="fits none"):
        bench_kernels.main(["--only", "fast"])
