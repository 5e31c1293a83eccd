"""The benchmark of a slow link: the time to a loss is the steps until it is there, times their seconds on the link."""

from __future__ import annotations

import bench_slow_link
import pytest


def test_the_time_to_a_loss(capsys: pytest.CaptureFixture[str]) -> None:
    losses = [
        {"every": 1, "steps": 600, "loss": 0.83, "lr": 0.01, "there": True},
        {"every": 10, "steps": 600, "loss": 0.9, "lr": 0.01, "there": False},
        {"every": 10, "steps": 650, "loss": 0.82, "lr": 0.01, "there": True},
        {"every": 50, "steps": 900, "loss": 0.9, "lr": 0.01, "there": False},
    ]
    link = {"rate": "1mbit", "step_s": {"1": 0.1, "10": 0.02, "50": 0.01}}
    bench_slow_link.show({"losses": losses, "links": [link]})
    row = next(line for line in capsys.readouterr().out.splitlines() if "1mbit" in line)
    assert [cell.strip() for cell in row.strip("│ ").split("│")][4:] == ["60.0 s", "13.0 s", "-"]
