"""The progress of a training on the terminal: step, loss terms, steps per second, time left."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

__all__ = ["TrainingProgress"]

SHORT = {"momentum_x": "mx", "momentum_y": "my", "momentum_z": "mz", "continuity": "div", "boundary": "wall"}


class TrainingProgress:
    """A progress bar on a terminal; a line for every tenth of the steps elsewhere (logs, CI).

    Args:
        total: number of steps.
        console: where to write; None: nothing is written.
    """

    def __init__(self, total: int, console: Console | None) -> None:
        self._total = total
        self._console = console
        self._next_line = 0
        self._bar: Progress | None = None
        if console is not None and console.is_terminal:
            self._bar = Progress(
                TextColumn("training"),
                BarColumn(bar_width=20),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[info]}"),
                console=console,
            )
            self._task = self._bar.add_task("training", total=total, info="")

    def __enter__(self) -> TrainingProgress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, step: int) -> None:
        """Says that ``step`` steps are done."""
        if self._bar is not None:
            self._bar.update(self._task, completed=step)

    def losses(self, step: int, total: float, terms: Mapping[str, float], steps_per_s: float) -> None:
        """Shows the losses of a logged step."""
        if self._console is None:
            return
        parts = "  ".join(f"{SHORT.get(name, name)} {value:.1e}" for name, value in terms.items())
        info = f"{steps_per_s:5.0f} steps/s  loss {total:.2e}  ({parts})"
        if self._bar is not None:
            self._bar.update(self._task, completed=step, info=info)
        elif step >= self._next_line:
            self._console.print(f"step {step}/{self._total}  {info}", soft_wrap=True, highlight=False)
            tenth = max(1, self._total // 10)
            self._next_line = min(self._total, (step // tenth + 1) * tenth)
