"""history.jsonl: strict for a finished run, with cut lines for an interrupted one; the convergence of its rows."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import numpy as np
import pytest

from pinnx.errors import PinnxError
from pinnx.runs.history import Convergence, append_row, history_columns, read_rows, rewind

ROWS = [{"step": step, "loss/total": 1.0 / step} for step in (1, 10, 20)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "history.jsonl"
    for row in ROWS:
        append_row(path, row)
    return path


def test_history_is_one_object_a_line(path: Path) -> None:
    assert [json.loads(line) for line in path.read_text().splitlines()] == ROWS
    assert read_rows(path) == ROWS


def test_columns_have_nan_where_a_row_lacks_a_value(path: Path) -> None:
    append_row(path, {"step": 30, "loss/total": None, "loss/data": 2.0})
    columns = history_columns(path)
    np.testing.assert_array_equal(columns["step"], [1, 10, 20, 30])
    np.testing.assert_array_equal(columns["loss/total"], [1.0, 0.1, 0.05, np.nan])
    np.testing.assert_array_equal(columns["loss/data"], [np.nan, np.nan, np.nan, 2.0])


def test_rewind_removes_what_came_after_the_checkpoint(path: Path) -> None:
    with path.open("a") as file:
        file.write('{"step": 30, "loss/to')  # killed in the middle of a line
    assert read_rows(path, interrupted=True) == ROWS
    rewind(path, 10)
    append_row(path, {"step": 20})
    assert read_rows(path) == [*ROWS[:2], {"step": 20}]
    rewind(path, 0)
    assert path.read_text() == ""


def test_a_row_that_does_not_fit_leaves_no_half_a_line(path: Path) -> None:
    """A limit on the size of files, by the kernel: the write stops in the middle, as on a full disk."""
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for room in (0, 7):
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + room, limits[1]))
        try:
            with pytest.raises(OSError, match=r"No space left|File too large"):
                append_row(path, {"step": 30, "loss/total": 0.5})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert path.read_bytes() == before
    append_row(path, {"step": 30})
    assert read_rows(path) == [*ROWS, {"step": 30}]


def test_an_interrupted_run_may_have_no_history_yet(tmp_path: Path) -> None:
    assert read_rows(tmp_path / "history.jsonl", interrupted=True) == []
    with pytest.raises(PinnxError, match=r"history\.jsonl: no such file"):
        read_rows(tmp_path / "history.jsonl")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "expected at least one logged step, found none"),
        ('{"step": 1}\n{"ste', "line 2: expected JSON, got"),
        ('{"step": 1}\n[1]\n', "line 2: expected a JSON object with a step"),
        ('{"loss/total": 1}\n', "line 1: expected a JSON object with a step"),
    ],
)
def test_a_malformed_history_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text(content)
    with pytest.raises(PinnxError, match=message):
        history_columns(path)


def rows(decades: float, count: int, factor: float = 1.0) -> list[dict[str, float]]:
    """Losses that fall by so many decades in 1,000 steps, logged every 10; one column is always zero."""
    falls = [(step, 10.0 ** (-decades * step / 1000)) for step in range(10, 10 * count + 1, 10)]
    return [
        {
            "step": step,
            "loss/total": 1.0,
            "loss/data": factor * fall,
            "loss/momentum_x": 5.0 * fall,
            "loss/boundary": 0.0,
        }
        for step, fall in falls
    ]


@pytest.mark.parametrize("window", [10, None])
@pytest.mark.parametrize("decades", [-1.0, 0.0, 2.0])
def test_the_rate_of_an_exponential(decades: float, window: int | None) -> None:
    """Whatever the columns are multiplied with."""
    for factor in (1.0, 1e-3):
        assert Convergence(rows(decades, 57, factor), window).rate == pytest.approx(decades, abs=1e-9)


def test_it_is_that_of_the_last_steps_or_of_all() -> None:
    fast = rows(4.0, 50)
    lower = {"step": 1.0, "loss/total": 1.0, "loss/edge": 1.0}
    slow = [{name: value * lower.get(name, 10**-1.5) for name, value in row.items()} for row in rows(1.0, 100)]
    assert Convergence([*fast, *slow[50:]]).rate == pytest.approx(1.0, abs=1e-9)
    assert Convergence([*fast, *slow[50:]], window=None).rate == pytest.approx(2.5, abs=0.05)


def test_few_steps_and_losses_that_are_no_number_have_none() -> None:
    assert Convergence(rows(1.0, 3)).rate is None
    assert Convergence(rows(1.0, 4)).rate is not None
    nothing = [{"step": float(step), "loss/data": float("nan"), "loss/total": 1.0} for step in range(9)]
    assert Convergence(nothing).rate is None
