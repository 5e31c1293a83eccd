"""The memory benchmark, small: fresh processes, a limit that stops, extrapolations that are marked."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import bench_memory
import pytest
from bench_memory import MAKERS, extrapolate
from machine import Limits
from rivals import RIVALS

LIMITS = Limits(10.0, 10.0, 10.0, 10.0, matmul_gflop_per_s=100.0, array_mib=1, matmul_size=8)
OURS = "pinn_ext, single pass"
EAGER = "PyTorch eager, jets by hand"


@pytest.fixture(autouse=True)
def quick_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("results.measure_limits", lambda *_: LIMITS)


def rows_of(output: Path, *options: str) -> list[dict[str, Any]]:
    size = ["--points", "16384", "--width", "32", "--layers", "2", "--small", "1024", "2048", "--threads", "1"]
    bench_memory.main([*size, *options, "--out", str(output)])
    read: dict[str, Any] = json.loads(output.read_text())
    assert read["benchmark"] == "memory"
    rows: list[dict[str, Any]] = read["extra"]["memory"]
    return rows


def test_ours_first_and_every_rival_is_measured() -> None:
    assert next(iter(MAKERS)) == OURS
    assert {rival.name for rival in RIVALS} <= set(MAKERS)


def test_a_line_through_two_points() -> None:
    assert extrapolate({1000: 30, 2000: 50}, 10_000) == pytest.approx(210)


@pytest.mark.slow
def test_a_process_for_each_size(tmp_path: Path) -> None:
    (row,) = rows_of(tmp_path / "memory.json", "--only", EAGER)
    assert row["reason"] is None
    assert not row["extrapolated"]
    assert row["method"] in ("VmHWM", "ru_maxrss")
    # Five streams of two layers of width 32 in float32 must be kept for the backward pass, for one.
    assert row["bytes"] > 16384 * 5 * 2 * 32 * 4
    assert row["small"]["2048"] < row["bytes"]


def test_beyond_the_limit_is_extrapolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_memory, "_probe", lambda name, n, options: {"bytes": 1000 * n, "seconds": 1.0})
    (row,) = rows_of(tmp_path / "memory.json", "--only", EAGER, "--limit-gb", "0.01")
    assert row["extrapolated"]
    assert row["bytes"] == 1000 * 16384
    assert "seconds" not in row


@pytest.mark.slow
def test_beyond_the_address_space_is_stopped(tmp_path: Path) -> None:
    """The address space ends before the memory does: the first small size is stopped and says so."""
    (row,) = rows_of(tmp_path / "memory.json", "--only", EAGER, "--limit-gb", "0.0001")
    assert row["bytes"] is None
    assert re.match(r"failed at 1,024 points: ", row["reason"])


def test_a_name_that_fits_nothing_is_refused() -> None:
    with pytest.raises(SystemExit, match="fits none"):
        bench_memory.main(["--only", "fast"])
