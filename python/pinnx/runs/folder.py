"""The folder of one run: the names of its files, and that no earlier run is overwritten.

config.yaml sensors.csv history.jsonl checkpoint.pt      from the start of the training on
metrics.json fields.h5 report.html                       when it has ended
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from pinnx.errors import PinnxError

__all__ = ["RunFolder"]


class RunFolder:
    """Paths of one run.

    Args:
        path: the folder.
    """

    FILES = ("config.yaml", "metrics.json", "history.jsonl", "sensors.csv", "fields.h5", "checkpoint.pt", "report.html")

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.config = self.path / "config.yaml"
        self.metrics = self.path / "metrics.json"
        self.history = self.path / "history.jsonl"
        self.sensors = self.path / "sensors.csv"
        self.fields = self.path / "fields.h5"
        self.checkpoint = self.path / "checkpoint.pt"
        self.report = self.path / "report.html"

    @property
    def resume_command(self) -> str:
        """The command that continues an interrupted run."""
        return shlex.join(["pinnx", "reconstruct", "--resume", str(self.path)])

    def require_free(self) -> None:
        """Checks that a new run may use the folder.

        Raises:
            PinnxError: it holds a run, or it is a file.
        """
        if os.path.lexists(self.path) and not os.path.isdir(self.path):
            raise PinnxError(f"{self.path}: expected a folder for the run, got a file")
        held = [name for name in self.FILES if os.path.lexists(self.path / name)]
        if held:
            unfinished = self.config.name in held and self.report.name not in held
            raise PinnxError(
                f"{self.path}: expected a folder without a run, found {', '.join(held)}; choose another --out"
                + (f", or continue this run: {self.resume_command}" if unfinished else "")
            )

    def create(self) -> None:
        """Makes the folder.

        Raises:
            PinnxError: as ``require_free``; or it cannot be made or written.
        """
        self.require_free()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PinnxError(f"{self.path}: the folder cannot be created: {error.strerror}") from error
        if not os.access(self.path, os.W_OK):
            raise PinnxError(f"{self.path}: the folder cannot be written to")
