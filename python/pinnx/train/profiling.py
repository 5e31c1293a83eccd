"""Where the time of a few steps is spent: a trace for Chrome's viewer, and a table of the most expensive operations."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import torch
from torch.profiler import ProfilerActivity, profile

from pinnx.train.hooks import Hook

__all__ = ["StepProfile"]

# The first steps allocate, capture a CUDA graph and measure how many threads to use.
BEFORE, STEPS = 50, 5
ROWS = 10


class StepProfile(Hook):
    """Profiles some steps of a training; as a context manager it ends with it.

    Args:
        trace: JSON file for chrome://tracing or https://ui.perfetto.dev.
        table: text file.
        first: steps that are done already.
        last: steps of the whole training; of a short one the last steps are profiled.
        report: called with a sentence when the files are there.
    """

    def __init__(self, trace: Path, table: Path, *, first: int, last: int, report: Callable[[str], None]) -> None:
        self._trace, self._table, self._report = trace, table, report
        self._begin = max(first, min(first + BEFORE, last - STEPS))
        self._at = first
        self._profile: profile | None = None

    def __enter__(self) -> Self:
        self.on_step(self._at)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._profile is not None:
            self._end(self._profile)

    def on_step(self, step: int) -> None:
        self._at = step
        if step == self._begin:
            cuda = [ProfilerActivity.CUDA] if torch.cuda.is_initialized() else []
            self._profile = profile(activities=[ProfilerActivity.CPU, *cuda])
            self._profile.start()
        elif self._profile is not None and step == self._begin + STEPS:
            self._end(self._profile)

    def _end(self, recorded: profile) -> None:
        self._profile = None
        recorded.stop()
        where = "device" if ProfilerActivity.CUDA in recorded.activities else "cpu"
        operations = recorded.key_averages()
        table = operations.table(sort_by=f"self_{where}_time_total", row_limit=ROWS, max_name_column_width=72)
        title = f"Steps {self._begin + 1} to {self._at}, the {ROWS} operations with the most time of their own\n"
        try:
            self._table.write_text(title + table)
            recorded.export_chrome_trace(str(self._trace))
        except OSError as error:
            warnings.warn(f"{self._table}: {error.strerror}; the training continues without a profile", stacklevel=2)
        else:
            self._report(f"profile: {self._table}; {self._trace} for chrome://tracing")
