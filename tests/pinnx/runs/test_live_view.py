"""The view on a terminal: curves that say how losses fall, weights, and checks that take little of the time."""

from __future__ import annotations

import io
import math
import re
from dataclasses import dataclass

import pytest
from rich.console import Console

from pinnx.runs.live_view import WIDTH, Curve, LiveView


@dataclass
class Verdict:
    name: str = "conservation"
    value: float = 2e-3
    limit: float = 1e-5
    unit: str = "U/L"
    status: str = "failed"


def drawn(numbers: list[float], width: int = WIDTH) -> str:
    curve = Curve(width)
    for number in numbers:
        curve.add(number)
    return str(curve)


def test_a_curve_is_logarithmic() -> None:
    assert drawn([10.0**-i for i in range(8)]) == "█▇▆▅▄▃▂▁"
    assert drawn([1e-7, 1.0, 1e-7]) == "▁█▁"
    assert drawn([3.0, 3.0]) == "▁▁"
    assert drawn([]) == ""


def test_what_has_no_logarithm_is_a_gap() -> None:
    assert drawn([1.0, 0.0, math.nan, math.inf, 0.1]) == "█   ▁"


@pytest.mark.parametrize("count", [7, 8, 9, 15, 16, 17, 1000, 12345])
def test_a_long_training_has_as_many_blocks(count: int) -> None:
    """All of it, from first to last, whatever its length."""
    shown = drawn([math.exp(-i / count) for i in range(count)], width=8)
    assert min(count, 4) <= len(shown) <= 8
    assert (shown[0], shown[-1]) == ("█", "▁")
    assert list(shown) == sorted(shown, reverse=True)


def test_the_view_has_curves_weights_and_checks() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100, _environ={"TERM": "xterm"})
    rows = [
        {"step": step, "steps_per_s": 10.0, "loss/total": 2.0 / step, "loss/data": 1.0 / step, "weight/data": 12.5}
        for step in (1, 10, 20)
    ]
    taken = {"epochs_per_hour": 36000.0, "peak_memory_gib": 0.5, "gpu_utilisation": 87.0, "convergence_rate": 2.345}
    rows[-1] |= taken
    with LiveView(20, console, lambda: [Verdict()], earlier=rows[:1]) as view:  # resumed after step 1
        for row in rows[1:]:
            view.row(row)
    assert isinstance(console.file, io.StringIO)
    last = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", console.file.getvalue()).split("\n")[-9:]
    shown = [" ".join(line.split()) for line in last]
    assert "step 20/20 10 steps/s loss 1.00e-01 0:00:00 left" in shown
    assert "36,000 epochs/hour peak 0.50 GiB GPU 87 % losses fall 2.35 decades in 1,000 steps" in shown
    assert "total █▃▁ 1.00e-01" in shown
    assert "data █▃▁ 5.00e-02 12.5" in shown
    assert "conservation 2.00e-03 1e-05 U/L failed" in shown


def test_a_terminal_of_ascii_gets_ascii() -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    with LiveView(2, Console(file=file, force_terminal=True, width=100), lambda: [Verdict()]) as view:
        view.row({"step": 1, "steps_per_s": 1.0, "loss/total": 2.0})
        view.row({"step": 2, "steps_per_s": 1.0, "loss/total": 1.0})
    file.flush()
    assert isinstance(file.buffer, io.BytesIO)
    assert b"#_" in file.buffer.getvalue()


def test_checks_take_a_twentieth_of_the_time() -> None:
    now, made = [0.0], []

    def checks() -> list[Verdict]:
        made.append(now[0])
        now[0] += 1.0
        return []

    view = LiveView(1000, Console(file=io.StringIO(), force_terminal=True), checks, clock=lambda: now[0])
    for step in range(1, 1001):
        now[0] += 0.1
        view.row({"step": step, "steps_per_s": 10.0, "loss/total": 1.0})
    assert made[:3] == pytest.approx([0.1, 21.2, 42.3], abs=1.0)
    assert len(made) == 6, "and after the last step"
