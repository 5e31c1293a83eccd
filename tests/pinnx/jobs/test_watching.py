"""What a run shows while it trains, and that watching changes no bit."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from same_runs import last_state, repr_bits

from pinnx.cli import main
from pinnx.config import Config
from pinnx.errors import PinnxError
from pinnx.jobs import reconstruct

Tiny = Callable[..., Config]
pytestmark = pytest.mark.usefixtures("no_report")


def test_a_live_view_and_a_profile_change_no_bit(tiny: Tiny, tmp_path: Path) -> None:
    config, run = tiny("unsteady_grid", "train.balance.method=relobralo"), tmp_path / "run"
    reconstruct(config, tmp_path / "plain")
    console = Console(file=io.StringIO(), force_terminal=True, width=120, _environ={"TERM": "xterm"})
    reconstruct(config, run, console=console, live=True, profile=True)
    watched = ("momentum_x", "pde_residual_l2", "sensor_misfit", "energy_budget", "epochs/hour")
    for part in ("sensors chosen in", *watched, "█", "weight", "profile: "):
        assert part in console.file.getvalue()
    assert (run / "profile.txt").stat().st_size > 0
    assert (run / "profile.json").stat().st_size > 0
    assert repr_bits(last_state(run)["model"]) == repr_bits(last_state(tmp_path / "plain")["model"])


def test_a_live_view_needs_a_terminal(
    tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PinnxError, match=r"^--live: expected a terminal, got a file or a pipe; leave --live out$"):
        reconstruct(tiny("unsteady_grid"), tmp_path / "run", live=True)
    assert main(["demo", "--live"]) == 2
    assert "--live: expected a terminal" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["demo", "--live", "--quiet"])
    assert "argument --quiet: not allowed with argument --live" in capsys.readouterr().err
    assert not (tmp_path / "demo_run").exists()
