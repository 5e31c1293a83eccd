"""Progress on the terminal: a bar there, lines of text in a log or in CI."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

__all__ = ["ProgressBar", "TrainingProgress", "line_by_line", "performance_line", "training_line"]

# Least time from one line to the next. In a log it is also a hundredth of the time so far: a day makes 700 lines.
LINE_SECONDS, LINE_SHARE = 1.0, 0.01
# Of the names of a row: what is said before them, how they begin, how their numbers are written.
GROUPS = (("", "loss/", ".1e"), ("weights ", "weight/", ".3g"), ("", "number/", ".4g"), ("", "method/", ".2g"))
# Names of a row -> what is said behind their GiB.
MEMORY = {"memory_gib": "", "gpu_memory_gib": " on the GPU"}
PERFORMANCE = {
    "epochs_per_hour": "{:,.0f} epochs/hour",
    "peak_memory_gib": "peak {:.2f} GiB",
    "gpu_utilisation": "GPU {:.0f} %",
    "convergence_rate": "losses fall {:.2f} decades in 1,000 steps",
}


def line_by_line(console: Console | None) -> Callable[[str], None]:
    """What prints a line on a console, as it is; nothing without one."""
    if console is None:
        return lambda text: None
    return lambda text: console.print(text, highlight=False, markup=False, emoji=False, soft_wrap=True)


class _Bar(Progress):
    """A bar with something below it; a text wraps where the terminal is narrow."""

    below: RenderableType = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        if self.below:
            yield self.below


class ProgressBar:
    """What is being done and how much of it is done; a context manager.

    Args:
        console: where to write; None or a quiet one: nothing is written.
        transient: whether the bar is removed at the end.
    """

    def __init__(self, console: Console | None, *, transient: bool) -> None:
        self._console = console
        self._bar: _Bar | None = None
        if console is not None and console.is_terminal and not console.quiet:
            self._bar = _Bar(
                SpinnerColumn("line" if console.options.ascii_only else "dots"),
                TextColumn("{task.description}"),
                BarColumn(bar_width=20),
                TaskProgressColumn(),
                TimeRemainingColumn(),
                console=console,
                transient=transient,
            )
            self._name = "starting"
            self._task = self._bar.add_task(self._name, total=None)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends the bar before the block does, so that other output can follow."""
        if self._bar is not None:
            self._bar.stop()

    def status(self, text: str) -> None:
        """Begins a step of unknown length."""
        if self._bar is not None:
            self._begin(text, None)
        else:
            self.line(text)

    def line(self, text: str) -> None:
        """Prints a line."""
        line_by_line(self._console)(text)

    def advance(self, name: str, done: int, total: int | None) -> None:
        """Shows that ``done`` of ``total`` are done of the step ``name``; nothing without a terminal."""
        if self._bar is None:
            return
        if self._name != name:
            self._begin(name, total)
        self._bar.update(self._task, completed=done)

    def info(self, below: RenderableType) -> None:
        """Shows something below the bar."""
        if self._bar is not None:
            self._bar.below = below

    def _begin(self, name: str, total: int | None) -> None:
        # A new task in place of the last: rich cannot remove a task's total.
        assert self._bar is not None
        self._bar.remove_task(self._task)
        self._task, self._name = self._bar.add_task(name, total=total), name


class TrainingProgress(ProgressBar):
    """How far a training is, and the numbers of its logged steps, at most one line a second.

    Args:
        total: number of steps.
        console: where to write; None: nothing is written.
        clock: seconds that have passed.
    """

    def __init__(self, total: int, console: Console | None, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(console, transient=False)
        self._total, self._clock = total, clock
        self._started, self._shown = clock(), -math.inf

    def step(self, step: int) -> None:
        """Shows that ``step`` steps are done."""
        self.advance("training", step, self._total)

    def row(self, row: Mapping[str, float]) -> None:
        """Shows a row of history.jsonl: the first, the last, and those between that are far enough apart."""
        now = self._clock()
        pause = LINE_SECONDS if self._bar is not None else max(LINE_SECONDS, LINE_SHARE * (now - self._started))
        if now - self._shown < pause and row["step"] < self._total:
            return
        self._shown = now
        self._show(row)

    def _show(self, row: Mapping[str, float]) -> None:
        text = training_line(row, self._total)
        self.info(Text(text))
        if self._bar is None:
            self.line(text)


def performance_line(row: Mapping[str, float]) -> str:
    """What the training takes and how fast it converges, in one line: what of these a row has."""
    return "  ".join(form.format(row[name]) for name, form in PERFORMANCE.items() if name in row)


def training_line(row: Mapping[str, float], total: int, *, columns: bool = True) -> str:
    """The numbers of a logged step in one line.

    Args:
        row: of history.jsonl.
        total: number of steps.
        columns: those of the loss, and their weights, as well.
    """
    step, speed = int(row["step"]), row["steps_per_s"]
    parts = [f"step {step}/{total}", f"{speed:.0f} steps/s", f"loss {row['loss/total']:.2e}"]
    for title, prefix, form in GROUPS if columns else GROUPS[2:]:
        group = {name.removeprefix(prefix): value for name, value in row.items() if name.startswith(prefix)}
        shown = [f"{name} {value:{form}}" for name, value in group.items() if name != "total"]
        parts += [f"{title}({'  '.join(shown)})"] if shown else []
    parts += [f"{name} {row[name]:.4g}" for name in row if name == "nu" or name.startswith("forcing_")]
    parts += [f"{row[name]:.2f} GiB{where}" for name, where in MEMORY.items() if name in row]
    parts += [f"{timedelta(seconds=round((total - step) / speed))} left"] if speed > 0 else []
    return "  ".join(parts)
