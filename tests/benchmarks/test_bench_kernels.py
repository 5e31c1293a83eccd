"""The benchmarks of kernels, small: all candidates agree with the oracle, a wrong one does not pass."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import bench_breakage
import bench_kernels
import bench_precision
import pytest
import torch
from function_problem import cases_of
from harness import Timing, WrongResultError, measure
from kernel_problems import SPEC_2D, Place, kernel_problems, oracle_fourier_jet
from machine import Limits
from networks import draw_network, flow_oracle
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


def test_the_jacobian_says_what_it_does(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a terminal too: from the first second on, and where seconds have passed."""
    said: list[str] = []
    monkeypatch.setattr("results.measure_limits", lambda *_: said.extend(capsys.readouterr()) or LIMITS)
    monkeypatch.setattr(bench_kernels, "LINE_S", 0.0)
    bench_kernels.main(["--jacobian", "--quick", "--sizes", "5x4x1", "--output", str(tmp_path / "jacobian.json")])
    assert said[:2] == ["", "jacobian: measuring the limits of the machine first\n"]
    lines = said[2].splitlines()
    assert lines[0] == "residual_jacobian, 5 points, width 4, 1 layers: the float64 oracle"
    assert sum(": round 1 of " in line for line in lines) == 3


def test_a_name_that_fits_nothing_is_refused() -> None:
    with pytest.raises(SystemExit, match="fits none"):
        bench_kernels.main(["--only", "fast"])


SMALL = {"num_times": 3, "num_nodes": 12, "width": 8}


def test_both_candidates_of_breakage_agree() -> None:
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


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_both_candidates_of_the_jacobian_agree(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_kernels, "fma_peak", lambda float64, milliseconds: 100.0)  # compiles a program
    for case in bench_kernels.jacobian_cases(draw_network(9, 6, 2, dtype=dtype), dtype):
        result = measure(case, CPU, ONCE, LIMITS)
        assert len(result.candidates) == 2
        assert result.candidates[0].share_of_limit


def test_the_jacobian_from_the_command_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bench_kernels, "fma_peak", lambda float64, milliseconds: 100.0)
    monkeypatch.setattr(bench_kernels, "QUICK_JACOBIAN", ONCE)
    monkeypatch.setattr("results.measure_limits", lambda *_: LIMITS)
    output = tmp_path / "jacobian.json"
    bench_kernels.main(["--jacobian", "--quick", "--sizes", "9x6x2", "--output", str(output)])
    read = json.loads(output.read_text())
    assert (read["benchmark"], read["settings"]["dtype"]) == ("jacobian", "float64")
    assert [case["part"] for case in read["cases"]] == list(bench_kernels.JACOBIAN_PARTS)


@pytest.mark.parametrize("options", [["--sizes", "9x6x2"], ["--jacobian", "--only", "jet"], ["--jacobian", "--cold"]])
def test_options_of_the_other_question_are_refused(options: list[str]) -> None:
    with pytest.raises(SystemExit, match=r"^--(sizes|jacobian): expected"):
        bench_kernels.main(options)


def test_a_wrong_residual_ends_the_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    right = pinn_ext.navier_stokes_residual
    monkeypatch.setattr(pinn_ext, "navier_stokes_residual", lambda jet, nu: right(Jet(1.001 * jet.data, jet.spec), nu))
    for case in bench_kernels.jacobian_cases(draw_network(9, 6, 1, dtype=torch.float64), torch.float64):
        with pytest.raises(WrongResultError, match="pinn_ext"):
            measure(case, CPU, ONCE, LIMITS)


def test_operations_are_those_of_the_layers() -> None:
    """By hand: 2 points; layers 4 x 4 and 3 x 4, so 28 weights and 35 unknowns; 5 streams, 3 columns."""
    of_rows, of_matrix = bench_kernels.operations(draw_network(2, 4, 1, dtype=torch.float64))
    assert of_rows == 2 * 5 * 2 * (28 + 3 * 12 + 3 * 28)
    assert of_matrix == 6 * 35 * 36


choice_of_products = pytest.mark.skipif(
    not hasattr(torch.backends.mkldnn, "matmul"), reason="torch before 2.9 has no choice of products"
)


@choice_of_products
def test_rows_of_each_precision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("results.measure_limits", lambda *_: LIMITS)
    bench_precision.main(["--quick", "--output", str(tmp_path / "p.json")])
    rows = json.loads((tmp_path / "p.json").read_text())["extra"]["precision"]
    assert [row["precision"] for row in rows] == ["float32", "float64", "bfloat16", "float16"]
    errors = {row["precision"]: row["error"] for row in rows}
    assert errors["float64"] < 1e-12 < errors["float32"] < 1e-5 < errors["float16"] < errors["bfloat16"]
    assert all(row["time_s"]["median"] > 0 and row["bytes"] >= 0 for row in rows)


@choice_of_products
def test_a_wrong_gradient_is_not_timed() -> None:
    steps = bench_precision.precisions(64, 16, CPU)
    wanted = flow_oracle(draw_network(64, 16, bench_precision.LAYERS))
    bfloat16 = next(step for step in steps if step.name == "bfloat16")
    assert bench_precision.error_of(bfloat16, wanted) < 0.06
    with pytest.raises(WrongResultError, match=r"^float16: expected an error <= 7.3e-03, got "):
        bench_precision.error_of(replace(bfloat16, name="float16"), [2 * tensor for tensor in wanted])
