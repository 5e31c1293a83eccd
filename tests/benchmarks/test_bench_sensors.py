"""The sensor benchmark, small: wrong modes are not timed, goals follow the figures, a file leaves nothing behind."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import sensor_fits
from bench_sensors import goals, main
from harness import Timing, WrongResultError
from machine import Limits
from sensor_fits import FitCase, measure_files, measure_fit, waves

LIMITS = Limits(10.0, 10.0, 10.0, 10.0, matmul_gflop_per_s=100.0, array_mib=1, matmul_size=8)
SHORT = Timing(budget_s=0.0, min_rounds=2)


def test_fits_are_checked_and_told_with_their_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("results.measure_limits", lambda *_: LIMITS)
    monkeypatch.setattr("bench_sensors.TIMINGS", {"quick": SHORT})
    monkeypatch.setattr(
        "bench_sensors.fit_cases", lambda *_: iter([FitCase("waves 32 x 32", *waves(60, 32), 6, rival=False)])
    )
    output = tmp_path / "sensors.json"
    main(["--quick", "--parts", "fit", "--threads", "1", "--out", str(output)])
    result = json.loads(output.read_text())
    rows = result["extra"]["fit"]
    assert [row["name"] for row in rows] == ["pod, exact", "range finder, exact", "one pass (sketch)"]
    assert all(0.0 < row["error"] < 2.0 for row in rows)
    (goal,) = [goal for goal in goals(result) if goal.wanted is not None]
    assert (goal.what, goal.size, goal.at_most) == ("fit, pod, exact", "waves 32 x 32", True)


def test_the_error_of_a_randomised_rival_is_a_median(monkeypatch: pytest.MonkeyPatch) -> None:
    """One run of it is luck, good or bad; ours is one number."""
    pytest.importorskip("pysensors")
    monkeypatch.setattr(sensor_fits, "RIVAL_RUNS", 5)
    rows = measure_fit(FitCase("waves 32 x 32", *waves(60, 32), 6), SHORT, [])
    ours, rival = rows[0], next(row for row in rows if row.name == sensor_fits.PYSENSORS)
    assert ours.error_range is None
    assert rival.error_range is not None
    assert rival.error is not None
    assert rival.error_range[0] <= rival.error <= rival.error_range[1]


def test_wrong_modes_are_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sensor_fits, "interleaved", lambda *_: pytest.fail("timed"))
    train, unseen = waves(40, 16)
    fit = sensor_fits.SensorSelector.fit

    def wrong(self: object, X: np.ndarray) -> object:
        fitted = fit(self, X)
        fitted.basis_ = np.linalg.qr(np.random.default_rng(0).normal(size=fitted.basis_.shape))[0].astype(np.float32)
        return fitted

    monkeypatch.setattr(sensor_fits.SensorSelector, "fit", wrong)
    with pytest.raises(WrongResultError, match="pod, exact: expected modes of energy"):
        measure_fit(FitCase("wrong", train, unseen, 4, rival=False), SHORT, [])


def test_a_small_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    results = measure_files(0.1, 140 * 2**20, 2, lambda _: None)
    assert [result.source for result in results] == ["disk", "cache"]
    assert all(result.share.median > 0.0 for result in results)
    assert not list(tmp_path.iterdir())
