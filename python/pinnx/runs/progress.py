"""Progress on the terminal: a bar there, lines of text in a log or in CI."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

__all__ = ["ProgressBar", "TrainingProgress"]


class ProgressBar:
    """What is being done and how much of it is done; a context manager.

    Args:
        console: where to write; None or a quiet one: nothing is written.
        transient: whether the bar is removed at the end.
    """

    def __init__(self, console: Console | None, *, transient: bool) -> None:
        self._console = console
        self._bar: Progress | None = None
        if console is not None and console.is_terminal and not console.quiet:
            self._bar = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(bar_width=20),
                TaskProgressColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[info]}"),
                console=console,
                transient=transient,
            )
            self._name = "starting"
            self._task = self._bar.add_task(self._name, total=None, info="")

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
        if self._console is not None:
            self._console.print(text, soft_wrap=True, highlight=False)

    def advance(self, name: str, done: int, total: int | None) -> None:
        """Shows that ``done`` of ``total`` are done of the step ``name``; nothing without a terminal."""
        if self._bar is None:
            return
        if self._name != name:
            self._begin(name, total)
        self._bar.update(self._task, completed=done)

    def info(self, text: str) -> None:
        """Shows a text behind the bar."""
        if self._bar is not None:
            self._bar.update(self._task, info=text)

    def _begin(self, name: str, total: int | None) -> None:
        # A new task in place of the last: rich cannot remove a task's total.
        assert self._bar is not None
        self._bar.remove_task(self._task)
        self._task, self._name = self._bar.add_task(name, total=total, info=""), name


class TrainingProgress(ProgressBar):
    """Step, losses, steps per second and time left; without a terminal a line for every tenth of the steps.

    Args:
        total: number of steps.
        console: where to write; None: nothing is written.
    """

    def __init__(self, total: int, console: Console | None) -> None:
        super().__init__(console, transient=False)
        self._total = total
        self._next_line = 0

    def step(self, step: int) -> None:
        """Shows that ``step`` steps are done."""
        self.advance("training", step, self._total)

    def losses(self, step: int, total: float, terms: Mapping[str, float], steps_per_s: float) -> None:
        """Shows the losses of a logged step."""
        parts = "  ".join(f"{name} {value:.1e}" for name, value in terms.items())
        text = f"step {step}/{self._total}  {steps_per_s:.0f} steps/s  loss {total:.2e}  ({parts})"
        self.info(text)
        if self._bar is None and step >= self._next_line:
            self.line(text)
            tenth = max(1, self._total // 10)
            self._next_line = min(self._total, (step // tenth + 1) * tenth)
