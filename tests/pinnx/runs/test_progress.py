"""A bar on a terminal, lines in a log, nothing when quiet."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from rich.console import Console

from pinnx.runs.progress import ProgressBar, TrainingProgress

TERMS = {"momentum_x": 1.0, "continuity": 2e-3, "data": 4e-5}


def terminal(**options: Any) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=160, _environ={"TERM": "xterm"}, **options)


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", console.file.getvalue())


def train(console: Console | None, steps: int = 100) -> None:
    with TrainingProgress(steps, console) as progress:
        for step in range(1, steps + 1):
            progress.step(step)
            if step % 5 == 0 or step == 1:
                progress.losses(step, 1.25, TERMS, 57.0)


def select(console: Console | None) -> None:
    with ProgressBar(console, transient=True) as progress:
        progress.status("reading flow.h5")
        progress.advance("pass 1", 45, 90)
        progress.status("comparing with random places")


def test_a_log_gets_a_line_for_every_tenth_of_the_training() -> None:
    console = Console(file=io.StringIO(), width=60)
    train(console)
    lines = written(console).splitlines()
    assert [line.split()[1] for line in lines] == [f"{s}/100" for s in (1, *range(10, 101, 10))]
    wanted = "57 steps/s  loss 1.25e+00  (momentum_x 1.0e+00  continuity 2.0e-03  data 4.0e-05)"
    assert all(line.endswith(wanted) for line in lines), "not wrapped at the width of a terminal that is not there"


def test_a_terminal_gets_a_bar_with_step_speed_losses_and_time_left() -> None:
    console = terminal()
    train(console)
    for part in ("training", "100%", "step 100/100", "57 steps/s", "loss 1.25e+00", "continuity 2.0e-03", "0:00:00"):
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
