"""A bar on a terminal, lines in a log, nothing when quiet."""

from __future__ import annotations

import io
import re
from itertools import pairwise
from typing import Any

import pytest
from rich.console import Console

from pinnx.runs.progress import ProgressBar, TrainingProgress, training_line

ROW = {
    "step": 0,
    "time_s": 1.0,
    "lr": 1e-3,
    "loss/total": 1.25,
    "loss/momentum_x": 1.0,
    "loss/continuity": 2e-3,
    "loss/data": 4e-5,
    "steps_per_s": 20.0,
    "memory_gib": 0.314,
}


def terminal(width: int = 160, **options: Any) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, _environ={"TERM": "xterm"}, **options)


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", console.file.getvalue())


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def train(console: Console | None, steps: int = 100, seconds: float = 0.3) -> None:
    """A training that logs every fifth step, each of which takes ``seconds``."""
    clock = Clock()
    with TrainingProgress(steps, console, clock) as progress:
        for step in range(1, steps + 1):
            clock.now += seconds
            progress.step(step)
            if step % 5 == 0 or step == 1:
                progress.row({**ROW, "step": step})


def select(console: Console | None) -> None:
    with ProgressBar(console, transient=True) as progress:
        progress.status("reading flow.h5")
        progress.advance("pass 1", 45, 90)
        progress.status("comparing with random places")


def steps_shown(seconds: float, steps: int = 100) -> list[int]:
    console = Console(file=io.StringIO(), width=60)
    train(console, steps, seconds)
    return [int(line.split()[1].split("/")[0]) for line in written(console).splitlines()]


def test_a_log_gets_a_line_a_second_at_most() -> None:
    """The first and the last step are always shown."""
    assert steps_shown(0.3) == [1, *range(5, 101, 5)], "each logged step, 1.5 s apart"
    assert steps_shown(0.125) == [1, *range(10, 101, 10)]
    assert steps_shown(0.001) == [1, 100]


def test_lines_of_a_long_run_become_rarer() -> None:
    """One more per cent of the time from line to line: a day at a logged step a second makes 700 lines."""
    shown = steps_shown(10.0, steps=3000)
    assert len(shown) < 300
    assert max(b - a for a, b in pairwise(shown[:-1])) == 30


def test_a_line_has_every_number() -> None:
    assert training_line({**ROW, "step": 40}, 100) == (
        "step 40/100  20 steps/s  loss 1.25e+00  (momentum_x 1.0e+00  continuity 2.0e-03  data 4.0e-05)  "
        "0.31 GiB  0:00:03 left"
    )
    adapted = {**ROW, "weight/momentum_x": 1.0, "weight/data": 12.5, "nu": 0.01, "gpu_memory_gib": 2.0}
    assert training_line(adapted, 72100).endswith(
        "  weights (momentum_x 1  data 12.5)  nu 0.01  0.31 GiB  2.00 GiB on the GPU  1:00:05 left"
    )
    assert training_line({**ROW, "steps_per_s": 0.0}, 100).endswith("0.31 GiB"), "no speed, no time"


def test_a_line_in_a_log_is_not_wrapped() -> None:
    console = Console(file=io.StringIO(), width=60)
    train(console)
    assert all(line.endswith(" left") for line in written(console).splitlines())


@pytest.mark.parametrize("width", [60, 160])
def test_a_terminal_gets_a_bar_with_every_number_below(width: int) -> None:
    console = terminal(width=width)
    train(console)
    for part in ("training", "100%", "step 100/100", "20 steps/s", "continuity 2.0e-03", "0.31 GiB", "0:00:00"):
        assert part in written(console)


def test_a_log_gets_a_line_for_each_step_of_unknown_length() -> None:
    console = Console(file=io.StringIO(), width=120)
    select(console)
    assert written(console) == "reading flow.h5\ncomparing with random places\n"


def test_each_step_on_a_terminal_has_its_own_total() -> None:
    console = terminal()
    with ProgressBar(console, transient=True) as progress:
        bar = progress._bar
        assert bar is not None
        for name, done, total in (("hashing", 90, 90), ("pass 1", 0, 90), ("pass 1", 45, 90)):
            progress.advance(name, done, total)
            assert (bar.tasks[0].completed, bar.tasks[0].total) == (done, total)
        bar.refresh()
        for begin in (lambda: progress.advance("held-out", 7, None), lambda: progress.status("comparing")):
            begin()
            assert len(bar.tasks) == 1
            assert bar.tasks[0].total is None
    for part in ("pass 1", "50%"):
        assert part in written(console)


def test_the_bar_ends_with_its_block() -> None:
    console = terminal()
    progress = TrainingProgress(10, console)
    progress.step(3)
    with pytest.raises(KeyboardInterrupt), progress:
        raise KeyboardInterrupt
    assert progress._bar is not None
    assert not progress._bar.live.is_started
    shown = console.file.getvalue()
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h"), "the cursor is shown again"


def test_nothing_is_shown_without_a_console_or_when_quiet() -> None:
    for console in (terminal(quiet=True), Console(file=io.StringIO(), quiet=True), None):
        train(console)
        select(console)
        assert console is None or written(console) == ""


def test_a_line_shows_names_of_files_as_they_are() -> None:
    console = Console(file=io.StringIO(), width=20)
    with ProgressBar(console, transient=True) as progress:
        progress.line("run[bold]:smile: of more than twenty letters")
    assert written(console) == "run[bold]:smile: of more than twenty letters\n"
