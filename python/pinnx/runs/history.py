"""history.jsonl: one JSON object for each logged step.

    {"step": 10, "time_s": 0.4, "lr": 0.003, "loss/total": 1.2, "loss/data": 0.7, ..., "steps_per_s": 64.0}

Rows are appended while a run trains. A process that is killed may leave a last line that is cut short.
"""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinnx.errors import PinnxError
from pinnx.runs.files import read_text, write_text

__all__ = ["append_row", "flush_rows", "history_columns", "read_rows", "rewind"]


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
