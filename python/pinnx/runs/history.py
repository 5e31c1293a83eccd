"""history.jsonl: one JSON object for each logged step.

    {"step": 10, "time_s": 0.4, "lr": 0.003, "loss/total": 1.2, "loss/data": 0.7, ..., "steps_per_s": 64.0}

Rows are appended while a run trains. A process that is killed may leave a last line that is cut short.

How fast a training converges is read off its rows: decades that its losses fall in 1,000 steps. It is the mean over the
columns of log10 of their loss, of the earlier half of the last logged steps less that of the later half, over the steps
between. A weight adds the same number to both, so weights do not matter while they stay.
"""

from __future__ import annotations

import errno
import json
import math
import os
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinnx.errors import PinnxError
from pinnx.runs.files import read_text, write_text

__all__ = ["Convergence", "append_row", "flush_rows", "history_columns", "mean_logarithm", "read_rows", "rewind"]


def append_row(path: Path, row: Mapping[str, Any]) -> None:
    """Adds one line, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    with path.open("ab", buffering=0) as file:
        before, line = file.tell(), (json.dumps(row) + "\n").encode()
        if file.write(line) != len(line):  # the disk is full: half a line would spoil those that follow
            file.truncate(before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def flush_rows(path: Path) -> None:
    """Puts the rows on the disk: a checkpoint that outlives a power cut needs those before it."""
    if path.exists():
        with path.open("rb") as file:
            os.fsync(file.fileno())


def read_rows(path: Path, *, interrupted: bool = False) -> list[dict[str, Any]]:
    """All rows in order.

    Args:
        path: the file.
        interrupted: the run did not end: no file means no rows, and rows are read up to a line that is cut short.

    Raises:
        PinnxError: no such file, or a line that is no JSON object with a step.
    """
    if interrupted and not path.exists():
        return []
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            if interrupted:
                break
            raise PinnxError(f"{path}, line {number}: expected JSON, got: {error}") from None
        if not isinstance(row, dict) or not isinstance(row.get("step"), int):
            raise PinnxError(f"{path}, line {number}: expected a JSON object with a step")
        rows.append(row)
    return rows


def rewind(path: Path, last_step: int) -> None:
    """Removes the rows after a step, so that a resumed run does not log a step twice."""
    rows = [row for row in read_rows(path, interrupted=True) if row["step"] <= last_step]
    write_text(path, "".join(json.dumps(row) + "\n" for row in rows))


def history_columns(path: Path) -> dict[str, NDArray[np.float64]]:
    """Column -> ``[rows]`` float64, NaN where a row lacks the column.

    Raises:
        PinnxError: as `read_rows`; or there is no row.
    """
    rows = read_rows(path)
    if not rows:
        raise PinnxError(f"{path}: expected at least one logged step, found none")
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: np.array([_number(row.get(name)) for row in rows], dtype=np.float64) for name in names}


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


# Logged steps in each half: points that are new in each step move the loss of one by tens of per cent.
WINDOW, FEWEST = 10, 2


def mean_logarithm(row: Mapping[str, float]) -> float | None:
    """Of the columns of the loss in a row of the history, to the base 10; None where none of them is > 0."""
    losses = [value for name, value in row.items() if name.startswith("loss/") and name != "loss/total"]
    logarithms = [math.log10(value) for value in losses if 0 < value < math.inf]
    return math.fsum(logarithms) / len(logarithms) if logarithms else None


class Convergence:
    """The rate of the last logged steps.

    Args:
        rows: of the history, in order.
        window: logged steps in each half; None: half of them all.
    """

    def __init__(self, rows: Iterable[Mapping[str, float]] = (), window: int | None = WINDOW) -> None:
        self._last: deque[tuple[float, float]] = deque(maxlen=window and 2 * window)  # step, mean logarithm
        for row in rows:
            self.add(row)

    def add(self, row: Mapping[str, float]) -> None:
        """The next row of the history; one without a loss > 0 does not count."""
        if (logarithm := mean_logarithm(row)) is not None:
            self._last.append((row["step"], logarithm))

    @property
    def rate(self) -> float | None:
        """Decades in 1,000 steps; None where too few steps were logged."""
        half = len(self._last) // 2
        if half < FEWEST:
            return None
        earlier, later = list(self._last)[:half], list(self._last)[-half:]
        (step_before, before), (step_after, after) = (
            [math.fsum(column) / half for column in zip(*part, strict=True)] for part in (earlier, later)
        )
        return 1000.0 * (before - after) / (step_after - step_before)
