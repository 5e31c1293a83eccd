"""The bar of `pinnx sensors`: on a terminal only, from nothing to all, gone at the end."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from pinnx.select.progress import SelectionProgress


@pytest.fixture
def terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=120, _environ={"TERM": "xterm"})


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", console.file.getvalue())


def test_passes_are_shown_on_a_terminal(terminal: Console) -> None:
    with SelectionProgress(terminal) as progress:
        bar = progress._bar
        assert bar is not None
        progress.say("reading flow.h5 in blocks")
        assert bar.tasks[0].total is None
        for done in (0, 30, 90):
            progress.advance("hashing", done, 90)
        assert (bar.tasks[0].completed, bar.tasks[0].total) == (90, 90)
        progress.advance("pass 1", 0, 90)
        assert (bar.tasks[0].completed, bar.tasks[0].total) == (0, 90), "each pass begins anew"
        progress.advance("pass 1", 45, 90)
        bar.refresh()
        progress.advance("held-out", 7, None)
        assert bar.tasks[0].total is None
        progress.say("comparing with random places")
        assert len(bar.tasks) == 1
    shown = written(terminal)
    for part in ("reading the snapshots, pass 1", "50%"):
        assert part in shown
    assert shown.rstrip(" \r\n").count("\n") < 40


def test_lines_elsewhere() -> None:
    console = Console(file=io.StringIO(), force_terminal=False, width=120)
    with SelectionProgress(console) as progress:
        progress.say("reading flow.h5 in blocks")
        progress.advance("pass 1", 45, 90)
        progress.say("comparing with random places")
    assert written(console) == "reading flow.h5 in blocks\ncomparing with random places\n"


def test_quiet(terminal: Console) -> None:
    terminal.quiet = True
    with SelectionProgress(terminal) as progress:
        progress.say("reading")
        progress.advance("pass 1", 45, 90)
    assert written(terminal) == ""


def test_an_error_leaves_no_bar(terminal: Console) -> None:
    progress = SelectionProgress(terminal)
    with pytest.raises(KeyboardInterrupt), progress:
        raise KeyboardInterrupt
    assert progress._bar is not None
    assert not progress._bar.live.is_started
