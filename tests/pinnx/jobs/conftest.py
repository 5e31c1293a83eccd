"""Runs that are made once, and runs without the report, which other tests look at."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# So that `import flow_files` works under any import mode of pytest.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from flow_files import TINY, prepare, source

from pinnx.cli import main
from pinnx.config import Config, load_config
from pinnx.jobs import reconstruct, reconstruction

REPORTED = ("scattered_3d", "unsteady_csv")


def _empty_report(folder: Path) -> None:
    (folder / "report.html").touch()


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Path, dict[str, Any]]]:
    """The (run folder, data file, metrics) of a tiny run by name. Not to be changed by a test.

    Reports of two kinds of run are drawn; tests/pinnx/report has the others.
    """
    runs: dict[str, tuple[Path, Path, dict[str, Any]]] = {}

    def run_of(name: str) -> tuple[Path, Path, dict[str, Any]]:
        if name not in runs:
            folder = tmp_path_factory.mktemp(name)
            path, data = prepare(folder, name)
            config = load_config(path, [*TINY, source(data)])
            with pytest.MonkeyPatch.context() as patch:
                if name not in REPORTED:
                    patch.setattr(reconstruction, "write_report", _empty_report)
                runs[name] = (folder / "run", data, reconstruct(config, folder / "run", command="a test"))
        return runs[name]

    return run_of


@pytest.fixture
def tiny(tmp_path: Path) -> Callable[..., Config]:
    """A tiny configuration by name, with overrides; its data lies in the test's own folder."""

    def config_of(name: str, *overrides: str | tuple[str, Any]) -> Config:
        path, data = prepare(tmp_path, name)
        return load_config(path, [*TINY, source(data), *overrides])

    return config_of


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty report.html in place of the pictures, which take longer than the rest."""
    monkeypatch.setattr(reconstruction, "write_report", _empty_report)


@pytest.fixture
def verified(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, list[dict[str, Any]], str]]:
    """Exit status, verdicts and errors of `pinnx verify`."""

    def run(*words: str | Path) -> tuple[int, list[dict[str, Any]], str]:
        capsys.readouterr()
        status = main(["verify", *map(str, words), "--json"])
        out, err = capsys.readouterr()
        return status, json.loads(out) if out else [], err

    return run
