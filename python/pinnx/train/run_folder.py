"""The folder of one run: what is in it, and that nothing there is lost.

config.yaml sensors.csv history.jsonl checkpoint.pt      from the start of the training on
metrics.json fields.h5 report.html                       when it has ended
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pinnx.errors import PinnxError

__all__ = ["RunFolder", "write_text"]


def write_text(path: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    partial = path.with_name(path.name + ".part")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


class RunFolder:
    """Paths of one run, and its history.

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
    def how_to_go_on(self) -> str:
        """The command that goes on with an interrupted run."""
        return shlex.join(["pinnx", "reconstruct", "--resume", str(self.path)])

    def require_free(self) -> None:
        """Checks that a new run may use the folder.

        Raises:
            PinnxError: it holds a run, or it is a file.
        """
        if os.path.lexists(self.path) and not self.path.is_dir():
            raise PinnxError(f"{self.path}: expected a folder for the run, got a file")
        held = [name for name in self.FILES if os.path.lexists(self.path / name)]
        if held:
            can_go_on = self.config.name in held and self.report.name not in held
            raise PinnxError(
                f"{self.path}: expected a folder without a run, found {', '.join(held)}; choose another --out"
                + (f", or go on with it: {self.how_to_go_on}" if can_go_on else "")
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
            raise PinnxError(
                f"{self.path}: expected a place where a folder can be made, got: {error.strerror}"
            ) from error
        if not os.access(self.path, os.W_OK):
            raise PinnxError(f"{self.path}: expected a folder that can be written, got one that cannot")

    def append_history(self, row: Mapping[str, Any]) -> None:
        """Adds one line to history.jsonl."""
        with self.history.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def read_history(self, last_step: int) -> list[dict[str, Any]]:
        """The rows up to a step; a last line that was cut short is left out."""
        if not self.history.exists():
            return []
        rows = []
        for line in self.history.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                break
            if row["step"] <= last_step:
                rows.append(row)
        return rows

    def rewind_history(self, last_step: int) -> None:
        """Drops the rows after a step, so that a resumed run does not log a step twice."""
        rows = self.read_history(last_step)
        write_text(self.history, "".join(json.dumps(row) + "\n" for row in rows))
