"""A view of a training that stays on the terminal: curves of the losses, weights, and the checks as they stand."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from pinnx.runs.progress import TrainingProgress, performance_line, training_line

__all__ = ["Curve", "LiveView"]

# From the least to the largest number; the second for terminals that show ASCII alone.
BLOCKS, ASCII_BLOCKS = "▁▂▃▄▅▆▇█", "_.-~+*%#"
WIDTH = 48
# Checks take at most this share of the time.
CHECK_SHARE = 0.05
STYLES = {"passed": "green", "warning": "yellow", "failed": "red"}


class Verdict(Protocol):
    """What is shown of a check."""

    name: str
    value: float
    limit: float
    unit: str
    status: str


class Curve:
    """Numbers > 0 over the steps as blocks in a logarithmic scale, however many they are.

    Args:
        width: most blocks.
        blocks: from the least to the largest number.
    """

    def __init__(self, width: int = WIDTH, blocks: str = BLOCKS) -> None:
        self._width, self._blocks, self._stride, self._skipped = width, blocks, 1, 0
        self._numbers: list[float] = []

    def add(self, number: float) -> None:
        """The next number."""
        self._skipped += 1
        if self._skipped < self._stride:
            return
        self._skipped = 0
        self._numbers.append(number)
        if len(self._numbers) == 2 * self._width:
            self._numbers, self._stride = self._numbers[1::2], 2 * self._stride

    def __str__(self) -> str:
        shown = self._numbers[:: -1 - len(self._numbers) // (self._width + 1)][::-1]
        logarithms = [math.log10(number) if 0 < number < math.inf else None for number in shown]
        known = [value for value in logarithms if value is not None]
        low, high = min(known, default=0.0), max(known, default=0.0)
        scale = (len(self._blocks) - 1) / (high - low) if high > low else 0.0
        return "".join(" " if value is None else self._blocks[round(scale * (value - low))] for value in logarithms)


class LiveView(TrainingProgress):
    """The progress of a training with curves and checks below it, once a second at most.

    Args:
        total: number of steps.
        console: a terminal.
        checks: the checks of the fields as they are now.
        earlier: rows of the history, of a run that is resumed.
        clock: seconds that have passed.
    """

    def __init__(
        self,
        total: int,
        console: Console,
        checks: Callable[[], Sequence[Verdict]],
        earlier: Iterable[Mapping[str, float]] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(total, console, clock)
        self._checks, self._curves = checks, dict[str, Curve]()
        self._blocks = ASCII_BLOCKS if console.options.ascii_only else BLOCKS
        self._verdicts: Sequence[Verdict] = ()
        self._next_check = -math.inf
        for row in earlier:
            self._add(row)

    def row(self, row: Mapping[str, float]) -> None:
        self._add(row)
        super().row(row)

    def _add(self, row: Mapping[str, float]) -> None:
        for name, value in row.items():
            if name.startswith("loss/"):
                self._curves.setdefault(name.removeprefix("loss/"), Curve(blocks=self._blocks)).add(value)

    def _show(self, row: Mapping[str, float]) -> None:
        started = self._clock()
        if started >= self._next_check or row["step"] == self._total:
            self._verdicts = self._checks()
            ended = self._clock()
            self._next_check = ended + (ended - started) / CHECK_SHARE
        line, performance = Text(training_line(row, self._total, columns=False)), Text(performance_line(row))
        self.info(Group(line, performance, self._losses(row), self._table()))

    def _losses(self, row: Mapping[str, float]) -> Table:
        adapted = any(name.startswith("weight/") for name in row)
        table = Table("loss", "over the steps, logarithmic", "now", *(["weight"] if adapted else []), box=None)
        for name, curve in self._curves.items():
            weight = row.get(f"weight/{name}")
            cells = [name, str(curve), f"{row[f'loss/{name}']:.2e}", "" if weight is None else f"{weight:.3g}"]
            table.add_row(*cells[: 3 + adapted])
        return table

    def _table(self) -> Table:
        table = Table("check", "value", "limit", "", box=None)
        for item in self._verdicts:
            limit = f"{item.limit:g} {item.unit}".rstrip()
            table.add_row(item.name, f"{item.value:.2e}", limit, Text(item.status, STYLES[item.status]))
        return table
