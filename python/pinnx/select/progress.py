"""What is being done and how far it has got: a bar on a terminal, a line for each step elsewhere."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

__all__ = ["SelectionProgress"]

# What a pass is called; passes over the snapshots count from 1.
NAMES = {"hashing": "looking into the cache", "held-out": "testing on held-out snapshots"}


class SelectionProgress:
    """A bar that goes away when all is done; on no terminal lines of words, without figures.

    Args:
        console: where to write; a quiet one writes nothing.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: Progress | None = None
        if console.is_terminal and not console.quiet:
            self._bar = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(bar_width=30),
                TaskProgressColumn(),
                TimeRemainingColumn(),
                console=console,
                transient=True,
            )
            self._task = self._bar.add_task("starting", total=None)
            self._shown = "starting"

    def __enter__(self) -> SelectionProgress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish()

    def finish(self) -> None:
        """Take the bar away; what follows is the answer."""
        if self._bar is not None:
            self._bar.stop()

    def say(self, text: str) -> None:
        """A step begins, of which nobody knows how long it takes."""
        if self._bar is None:
            self._console.print(text, soft_wrap=True)
        else:
            self._begin(text, None)

    def advance(self, what: str, done: int, total: int | None) -> None:
        """So much of a pass is done; ``what`` as `SensorSelector.fit` says it."""
        if self._bar is None:
            return
        text = NAMES.get(what, f"reading the snapshots, {what}")
        if self._shown != text:
            self._begin(text, total)
        self._bar.update(self._task, completed=done)

    def _begin(self, text: str, total: int | None) -> None:
        """A new task in place of the last: one that has a total cannot lose it again."""
        assert self._bar is not None
        self._bar.remove_task(self._task)
        self._task, self._shown = self._bar.add_task(text, total=total), text
