"""The step benchmark, small: candidates agree with the oracle, a wrong rival is reported, a wrong step ends the run."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import bench_step
import pytest
import rivals
import torch
from bench_step import TOLERANCE, Scene, case_makers
from harness import Candidate, Timing, WrongResultError, measure, validate
from machine import Limits
from networks import (
    SPEC,
    arithmetic_floor,
    draw_network,
    flow_oracle,
    heat,
    heat_oracle,
    jet_and_residual,
    on_threads,
    oracle,
    single_pass,
)
from results import SCHEMA
from rivals import NOT_INSTALLED, RIVALS, Rival, why_absent
from torch import Tensor

import pinn_ext
from pinn_ext import reference

CPU = torch.device("cpu")
LIMITS = Limits(10.0, 10.0, 10.0, 10.0, matmul_gflop_per_s=100.0, array_mib=1, matmul_size=8)
ONCE = Timing(budget_s=0.0, min_rounds=2, sample_s=0.0)
SIZE = (37, 12, 2)
NETWORK = draw_network(*SIZE)
WANTED = flow_oracle(NETWORK)


def rival_parameters() -> list[Any]:
    slow = [pytest.mark.slow]  # inductor compiles
    return [pytest.param(rival, id=rival.name, marks=slow if rival.compiles else []) for rival in RIVALS]


@pytest.mark.parametrize("rival", rival_parameters())
@pytest.mark.filterwarnings("ignore")  # of other people's libraries
def test_each_rival_agrees_with_the_oracle(rival: Rival) -> None:
    reason = why_absent(rival, CPU)
    if reason is not None:
        pytest.skip(reason)
    candidate = rival.candidate(NETWORK)
    for _ in range(2):  # gradients do not pile up
        validate(rival.name, candidate.result(), WANTED, TOLERANCE)


@pytest.mark.parametrize(
    "make",
    [
        lambda: single_pass("", NETWORK),
        lambda: single_pass("", NETWORK, torch.float64),
        lambda: jet_and_residual("", NETWORK),
        lambda: on_threads(1, single_pass("", NETWORK)),
    ],
    ids=["single pass", "float64", "jet and residual", "one thread"],
)
def test_ours_agrees_with_the_oracle(make: Callable[[], Candidate]) -> None:
    threads = torch.get_num_threads()
    candidate = make()
    for _ in range(2):
        validate("ours", candidate.result(), WANTED, TOLERANCE)
    assert torch.get_num_threads() == threads


def test_heat_equation_agrees_with_its_oracle() -> None:
    network = draw_network(*SIZE, 1)
    candidate = heat("heat", network)
    assert candidate.reference is not None
    validate("heat", candidate.result(), candidate.reference(), TOLERANCE)
    # Another equation than Navier-Stokes, so another loss: the reference is not a copy of the candidate.
    with pytest.raises(WrongResultError):
        validate("heat", candidate.result(), [0.5 * heat_oracle(network)[0], *heat_oracle(network)[1:]], TOLERANCE)


def test_an_oracle_in_pieces_is_the_oracle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("networks.ORACLE_NUMBERS", 5 * 12)
    for whole, pieces in zip(WANTED, flow_oracle(NETWORK), strict=True):
        assert (whole - pieces).abs().max() <= 1e-13 * whole.abs().max()


def test_the_oracle_is_the_mean_square() -> None:
    exact = NETWORK.trainable(torch.float64)
    jet = reference.mlp_jet(exact.x, exact.B, exact.weights, exact.biases, SPEC, "tanh")
    loss = reference.navier_stokes_residual(jet, 0.01).square().mean(0).sum()
    assert WANTED[0].item() == pytest.approx(loss.item(), rel=1e-13)
    assert len(WANTED) == 1 + len(NETWORK.parameters())
    assert oracle(NETWORK, lambda jet, rows: torch.zeros_like(jet.value) * jet.value)[0] == 0.0


@pytest.mark.parametrize(("n", "width", "layers"), [(1024, 64, 4), (7, 12, 1)])
def test_arithmetic_floor_is_its_formula(n: int, width: int, layers: int) -> None:
    floor = arithmetic_floor(draw_network(n, width, layers))
    assert floor == 2 * 5 * n * width * width * (3 * layers - 1)


def test_a_network_of_odd_width_has_a_whole_number_of_frequencies() -> None:
    network = draw_network(3, 37, 2)
    assert [list(w.shape) for w in network.weights] == [[37, 36], [37, 37], [3, 37]]
    assert network.size == {"n": 3, "width": 37, "layers": 2}


def scene() -> Scene:
    return Scene(CPU, quick=True, tell=lambda text: None, left_out=[])


def only(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Leaves these rivals, the others take too long here."""
    chosen = tuple(rival for rival in RIVALS if rival.function in names)
    monkeypatch.setattr("bench_step.RIVALS", chosen)


def test_a_rival_that_is_not_installed_has_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(rivals.importlib.util, "find_spec", lambda name: None if name == "jax" else find(name))
    only(monkeypatch, "per_point_hessians", "jets")
    here = scene()
    ((_, make),) = case_makers(here, ["rivals"], [SIZE])
    assert [c.name for c in make().candidates][2:] == ["PyTorch eager, jets by hand"]
    names = ["JAX jit, Hessians of a point", "JAX jit, jets by hand"]
    assert [(item["name"], item["reason"]) for item in here.left_out] == [(name, NOT_INSTALLED) for name in names]


def test_a_wrong_rival_is_reported_and_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    right = rivals.nested_residual
    monkeypatch.setattr(rivals, "nested_residual", lambda *arguments: 1.0001 * right(*arguments))
    only(monkeypatch, "nested_autograd")
    here = scene()
    ((_, make),) = case_makers(here, ["rivals"], [SIZE])
    result = measure(make(), CPU, ONCE, LIMITS)
    assert all("pinn_ext" in c.name for c in result.candidates)
    (item,) = here.left_out
    assert "not compared" in str(item["reason"])
    assert "expected a relative error <= 1.0e-05" in str(item["reason"])


def test_a_rival_that_fails_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any) -> Tensor:
        raise RuntimeError("out of memory\nand a long story")

    monkeypatch.setattr(rivals, "nested_residual", fail)
    only(monkeypatch, "nested_autograd")
    here = scene()
    ((_, make),) = case_makers(here, ["rivals"], [SIZE])
    make()
    assert here.left_out[0]["reason"] == "failed: out of memory"


def test_a_wrong_step_of_ours_ends_the_benchmark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    right = pinn_ext.navier_stokes_loss

    def wrong(*arguments: Any, **options: Any) -> Any:
        total, terms = right(*arguments, **options)
        return 1.0001 * total, terms

    monkeypatch.setattr(pinn_ext, "navier_stokes_loss", wrong)
    monkeypatch.setattr("results.measure_limits", lambda *_: LIMITS)
    only(monkeypatch)
    output = tmp_path / "step.json"
    options = ["--quick", "--sizes", "37x12x2", "--parts", "rivals", "--out", str(output)]
    with pytest.raises(WrongResultError, match="pinn_ext, single pass"):
        bench_step.main(options)
    assert not output.exists()


@pytest.fixture
def result(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """What the command line writes, of one small size and two rivals."""
    monkeypatch.setattr("results.measure_limits", lambda *_: LIMITS)
    monkeypatch.setitem(bench_step.TIMINGS, "quick", ONCE)
    monkeypatch.setattr("bench_step.ODD_WIDTHS", (20,))
    only(monkeypatch, "nested_autograd", "compiled_jets")
    output, chart = tmp_path / "step.json", tmp_path / "step.png"
    parts = ["rivals", "threads", "float64", "heat", "odd"]
    options = ["--quick", "--sizes", "37x12x2", "--parts", *parts]
    bench_step.main([*options, "--out", str(output), "--chart", str(chart)])
    assert chart.read_bytes().startswith(b"\x89PNG")
    read: dict[str, Any] = json.loads(output.read_text())
    return read


def test_from_the_command_line(result: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert [case["part"] for case in result["cases"]] == ["rivals", "threads", "float64", "heat", "odd"]
    for case in result["cases"]:
        assert case["bound"] == "peak"
        assert case["peak_gflop_per_s"]["median"] > 0.0
        for candidate in case["candidates"]:
            assert 0.0 < candidate["error"] < TOLERANCE
            assert 0.0 < candidate["share_of_limit"] < 2.0
    odd = result["cases"][-1]
    assert [c["name"] for c in odd["candidates"]] == ["width 32", "width 20"]
    assert odd["size"]["width"] == 32
    (left_out,) = result["extra"]["left_out"]
    assert left_out["name"] == "torch.compile, jets by hand"
    assert "--quick" in left_out["reason"]
    assert "jax" in result["versions"]
    figures = {goal["what"] for goal in result["extra"]["goals"]}
    assert {"share of the peak", "speed in float64, of float32's"} <= figures


def test_another_instruction_set_runs_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command and its environment; the process itself runs in `bench_step.py --quick`."""
    info = replace(pinn_ext.build_info(), active_instruction_set="avx512", instruction_sets=("avx2", "avx512"))
    monkeypatch.setattr(pinn_ext, "build_info", lambda: info)
    used = iter(["avx2", "avx512"])

    def run(command: list[str], env: dict[str, str], **options: Any) -> None:
        assert env["PINN_EXT_ISA"] == "avx2"
        assert command[command.index("--parts") + 1] == "ours"
        assert command[command.index("--sizes") + 1] == "37x12x2"
        written = {"schema": SCHEMA, "machine": {"instruction_set": next(used)}, "cases": ["a case"]}
        Path(command[-1]).write_text(json.dumps(written))

    monkeypatch.setattr(bench_step.subprocess, "run", run)
    assert bench_step._other_isa(scene(), [SIZE]) == {"avx2": ["a case"]}
    with pytest.raises(RuntimeError, match="expected a process of avx2, got avx512"):
        bench_step._other_isa(scene(), [SIZE])


def test_sizes_are_read_from_the_command_line() -> None:
    assert bench_step.size_of("1024x64x4") == (1024, 64, 4)
    with pytest.raises(SystemExit):
        bench_step.main(["--sizes", "1024x64"])
