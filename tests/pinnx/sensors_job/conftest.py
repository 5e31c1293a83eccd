"""What the tests of `pinnx sensors` share: a folder of their own, a file of snapshots, a command that must fail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pinnx.cli import main


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PINNX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture
def heat(rng: np.random.Generator) -> str:
    """A file of 20 temperature fields at 150 places, of five shapes; the last place is the first again."""
    points = rng.uniform(size=(150, 2))
    points[149] = points[0]
    shapes = np.stack(
        [np.cos(np.pi * (i * points[:, 0] + j * points[:, 1])) for i, j in ((0, 1), (1, 0), (2, 1), (1, 3))]
    )
    temperature = 300 + rng.normal(size=(20, 4)) * (8, 4, 2, 1) @ shapes
    np.savez("heat.npz", temperature=temperature.astype(np.float32), xy=points)
    return "heat.npz"


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that must fail, and returns what it says."""

    def files() -> dict[Path, tuple[int, int]]:
        """Size and time of the last change of each, which a write changes."""
        stats = {path: path.stat() for path in tmp_path.rglob("*") if path.is_file()}
        return {path: (stat.st_size, stat.st_mtime_ns) for path, stat in stats.items()}

    def run(*words: str) -> str:
        before = files()
        capsys.readouterr()
        try:
            status = main(["sensors", *words])
        except SystemExit as stop:  # argparse
            status = stop.code
        said = capsys.readouterr().err
        assert status == 2, said
        assert files() == before
        assert said.count("\n") == 1
        assert said.startswith("pinnx: error: ")
        return said.removeprefix("pinnx: error: ").rstrip()

    return run
