"""The benchmarks of ranks and a slow link: NCCL's model by hand, candidates that differ, the time to a loss."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import bench_scaling
import bench_slow_link
import numpy as np
import pytest
from harness import WrongResultError


def test_an_all_reduce_by_hand() -> None:
    """1,024 GPUs on 128 nodes: up and down a chain of 8 and a tree of depth 7."""
    assert bench_scaling.reduce_on_gpus(1024, 0) == pytest.approx((4.4 + 2 * (7 * 1.2 + 7 * 8.5)) * 1e-6)
    assert bench_scaling.reduce_on_gpus(8, 0) == pytest.approx((4.4 + 2 * 7 * 1.2) * 1e-6)
    assert bench_scaling.reduce_on_gpus(8, 26_250_000) - bench_scaling.reduce_on_gpus(8, 0) == pytest.approx(1e-3)


def test_efficiency_is_the_share_of_the_step() -> None:
    (row,) = bench_scaling.cluster_rows({(256, 16384): 1e-3})
    assert list(row["efficiency"]) == ["8", "64", "512", "1024"]
    weights = 4 * 256 * 256 + 4 * 256 + 3 * 256 + 3  # four layers and the output
    assert row["bytes"] == 4 * (weights + 6)
    assert row["efficiency"]["1024"] == pytest.approx(1e-3 / (1e-3 + 140.2e-6 + row["bytes"] / 26.25e9))


def test_steps_that_differ_end_the_benchmark() -> None:
    bench_scaling.require_agreement(np.ones(3), np.ones(3))
    with pytest.raises(WrongResultError, match="2 ranks: expected the parameters of 1 rank"):
        bench_scaling.require_agreement(np.ones(3), np.array([1.0, 1.0, 1.0 + 1e-6]))


@pytest.mark.slow
def test_a_quick_run(tmp_path: Path) -> None:
    """In a process of its own, which joins a group of ranks."""
    environment = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
    words = [sys.executable, bench_scaling.__file__, "--quick", "--output", str(tmp_path / "s.json")]
    subprocess.run(words, env=environment, check=True)
    extra = json.loads((tmp_path / "s.json").read_text())["extra"]
    assert all(row["ratio"]["median"] > 0 for row in extra["ranks"])
    assert extra["reduce"]["latency_s"] > 0


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
