"""Finished runs to report on, each built once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

# So that `import run_folder` works under any import mode of pytest.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from run_folder import CASES, build_run

from pinnx.report import write_report


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a case by name, with its report. Not to be changed by a test."""
    folders: dict[str, Path] = {}

    def folder_of(name: str) -> Path:
        if name not in folders:
            folders[name] = build_run(tmp_path_factory.mktemp(name), CASES[name]())
            write_report(folders[name])
        return folders[name]

    return folder_of
