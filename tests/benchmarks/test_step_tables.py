"""Goals, tables and the picture of the step, from results written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from results import print_rows
from tables import NESTED, draw_step, goal_rows, goals, markdown, memory_rows, milliseconds, step_header, step_rows


def statistics(median: float) -> dict[str, Any]:
    return {"median": median, "q25": median, "q75": median, "minimum": median, "samples": 5}


def candidate(name: str, time_s: float, ratio: float, share: float = 0.5) -> dict[str, Any]:
    return {
        "name": name,
        "error": 2e-7,
        "time_s": statistics(time_s),
        "speed_of_first": statistics(ratio),
        "share_of_limit": share,
        "gflop_per_s": 100.0 / ratio,
    }


def case(part: str, *candidates: dict[str, Any], width: int = 64) -> dict[str, Any]:
    return {
        "part": part,
        "size": {"n": 1024, "width": width, "layers": 4},
        "bound": "peak",
        "work": {"flops": 100_000_000},
        "peak_gflop_per_s": statistics(200.0),
        "candidates": list(candidates),
    }


def rivals_case(share: float, nested: float, best: float, width: int = 64) -> dict[str, Any]:
    return case(
        "rivals",
        candidate("pinn_ext, single pass", 1e-3, 1.0, share),
        candidate("pinn_ext.mlp_jet, residual in torch", 1.3e-3, 1.3),
        candidate(NESTED, nested * 1e-3, nested),
        candidate("JAX", best * 1e-3, best),
        width=width,
    )


def result_of(*cases: dict[str, Any], device: str = "cpu", **extra: Any) -> dict[str, Any]:
    return {"machine": {"device": device}, "cases": list(cases), "extra": {"left_out": [], **extra}}


def verdicts(result: dict[str, Any]) -> dict[str, bool | None]:
    return {goal.what: goal.met for goal in goals(result)}


@pytest.mark.parametrize("met", [True, False])
def test_goals_of_the_rivals(met: bool) -> None:
    measured = rivals_case(0.76, 21.0, 3.6) if met else rivals_case(0.74, 19.0, 3.4)
    assert verdicts(result_of(measured)) == {
        "share of the peak": met,
        f"against {NESTED}": met,
        "against the best rival (JAX)": met,
        "mlp_jet and residual in torch, time over the single pass": None,
    }


@pytest.mark.parametrize("met", [True, False])
def test_goals_of_ours(met: bool) -> None:
    better = 1.01 if met else 0.99
    result = result_of(
        case("threads", candidate("2 threads", 1e-3, 1.0), candidate("1 thread", 2e-3, 1.95 * better)),
        case("float64", candidate("float64", 2e-3, 1.0), candidate("float32", 1e-3, 0.45 * better)),
        case("heat", candidate("navier_stokes_loss", 1e-3, 1.0), candidate("heat", 1e-3, 1.45 / better)),
        instruction_sets={"avx2": [case("ours", candidate("pinn_ext", 1e-3, 1.0, 0.75 * better))]},
    )
    held = {what: verdict for what, verdict in verdicts(result).items() if verdict is not None}
    assert len(held) == 4
    assert set(held.values()) == {met}


def test_other_widths_and_devices_have_no_goals() -> None:
    for result in (
        result_of(rivals_case(0.1, 2.0, 1.0, width=48)),
        result_of(rivals_case(0.1, 2.0, 1.0), device="cuda"),
    ):
        assert set(verdicts(result).values()) == {None}


def test_odd_widths_are_compared_by_operation() -> None:
    (goal,) = goals(result_of(case("odd", candidate("width 64", 1e-3, 1.0), candidate("width 50", 1e-3, 1.25))))
    assert goal.measured == pytest.approx(1.25)
    assert goal.what == "time per operation, width 50 over width 64"
    assert goal.met
    (slow,) = goals(result_of(case("odd", candidate("width 64", 1e-3, 1.0), candidate("width 50", 1e-3, 1.6))))
    assert slow.met is False


def test_tables_name_who_was_left_out() -> None:
    first, second = rivals_case(0.76, 21.0, 3.6), rivals_case(0.86, 11.0, 3.6, width=256)
    del second["candidates"][2]
    sizes = [first["size"], second["size"]]
    left_out = [{"name": NESTED, "size": sizes[1], "reason": "failed: out of memory"}]
    left_out += [{"name": "DeepXDE", "size": size, "reason": "not installed"} for size in sizes]
    result = result_of(first, second, left_out=left_out)
    assert step_header(result) == ("loss and all gradients", "1,024 x 64", "1,024 x 256", "error")
    rows = {row[0]: row[1:] for row in step_rows(result)}
    assert rows["pinn_ext, single pass"] == ("1 ms, 1.0x", "1 ms, 1.0x", "2e-07")
    assert rows[NESTED] == ("21 ms, 21.0x", "failed: out of memory", "2e-07")
    assert rows["DeepXDE"] == ("not installed", "not installed", "")
    assert rows["arithmetic floor at the measured peak"] == ("0.5 ms, 76 % reached", "0.5 ms, 86 % reached", "")
    assert markdown(step_header(result), list(step_rows(result))).count("\n") == 1 + len(rows)
    assert ("share of the peak", "1,024 x 64 x 4", ">= 75 %", "76 %", "met") in list(goal_rows(result))


def test_milliseconds() -> None:
    assert [milliseconds(s) for s in (1.234e-3, 15.24e-3, 0.2361, 12.5)] == [
        "1.23 ms",
        "15.2 ms",
        "236 ms",
        "12,500 ms",
    ]


def test_brackets_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(("who", "why"), [("JAX", "not installed (pip install .[bench])")])
    assert ".[bench]" in capsys.readouterr().out


def test_memory_rows_mark_what_was_not_measured() -> None:
    base = {"extrapolated": False, "small": {}, "reason": None, "goal_bytes": None, "bytes": None}
    rows = [
        base | {"name": "ours", "bytes": 150e6, "seconds": 40.0, "goal_bytes": 200e6},
        base | {"name": "more", "bytes": 250e6, "seconds": 40.0, "goal_bytes": 200e6},
        base | {"name": "rival", "bytes": 5e9, "seconds": 60.0},
        base | {"name": "nested", "bytes": 300e9, "extrapolated": True, "small": {"4096": 1, "8192": 2}},
        base | {"name": "JAX", "reason": "not installed"},
    ]
    assert list(memory_rows({"extra": {"memory": rows}})) == [
        ("ours", "150 MB", "40.0 s", "measured, <= 200 MB met"),
        ("more", "250 MB", "40.0 s", "measured, <= 200 MB missed"),
        ("rival", "5.0 GB", "60.0 s", "measured"),
        ("nested", "~300 GB", "", "extrapolated from 4,096 and 8,192 points, not run"),
        ("JAX", "", "", "not installed"),
    ]


def test_the_picture_needs_rivals(tmp_path: Path) -> None:
    path = tmp_path / "images" / "step.png"
    left_out = [{"name": "DeepXDE", "size": {"n": 1024, "width": 64, "layers": 4}, "reason": "not installed"}]
    draw_step(result_of(rivals_case(0.76, 21.0, 3.6), left_out=left_out), path)
    first = path.read_bytes()
    draw_step(result_of(rivals_case(0.76, 21.0, 3.6), left_out=left_out), path)
    assert path.read_bytes() == first
    with pytest.raises(ValueError, match="got none"):
        draw_step(result_of(case("threads", candidate("2 threads", 1e-3, 1.0))), path)
