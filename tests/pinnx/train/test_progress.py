"""What a training shows: a bar on a terminal, a line now and then in a log, nothing when quiet."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from pinnx.train.progress import TrainingProgress

TERMS = {"momentum_x": 1.0, "momentum_y": 0.25, "continuity": 2e-3, "data": 4e-5, "boundary": 3e-6}


def train(console: Console | None, steps: int = 100) -> None:
    with TrainingProgress(steps, console) as progress:
        for step in range(1, steps + 1):
            progress.advance(step)
            if step % 5 == 0 or step == 1:
                progress.losses(step, 1.25, TERMS, 57.0)


def test_a_log_gets_a_line_for_every_tenth() -> None:
    out = io.StringIO()
    train(Console(file=out, width=60))
    lines = out.getvalue().splitlines()
    assert [line.split()[1] for line in lines] == [f"{s}/100" for s in (1, *range(10, 101, 10))]
    wanted = "steps/s  loss 1.25e+00  (mx 1.0e+00  my 2.5e-01  div 2.0e-03  data 4.0e-05  wall 3.0e-06)"
    assert all(line.endswith(wanted) for line in lines), "not wrapped at the width of a terminal that is not there"


def test_a_terminal_gets_a_bar_with_step_speed_losses_and_time_left() -> None:
    out = io.StringIO()
    train(Console(file=out, force_terminal=True, width=200))
    shown = out.getvalue()
    for part in ("training", "100/100", "57 steps/s", "loss 1.25e+00", "div 2.0e-03", "0:00:00"):
        assert part in shown


def test_the_bar_ends_with_its_block() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120)

    def interrupted() -> None:
        with TrainingProgress(10, console) as progress:
            progress.advance(3)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert out.getvalue().count("\x1b[?25l") == out.getvalue().count("\x1b[?25h"), "the cursor is shown again"


def test_no_console_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    train(None)
    train(Console(quiet=True))
    assert capsys.readouterr() == ("", "")
