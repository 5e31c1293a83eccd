"""The checkpoints of one run: the last few and the best, newest first where one is damaged.

step-00000500.safetensors step-00001000.safetensors ...
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pinnx.errors import PinnxError
from pinnx.train.checkpoint import checkpoint_loss, load_checkpoint, save_checkpoint
from pinnx.train.hooks import Hook, LoggedStep

__all__ = ["CheckpointFolder", "Latest", "SaveCheckpoints"]

NAME = re.compile(r"step-(\d+)\.safetensors")


class Latest(NamedTuple):
    """The newest valid checkpoint, and why newer ones were not used."""

    path: Path
    state: dict[str, Any]
    refused: list[str]


class CheckpointFolder:
    """Saves checkpoints and finds the newest valid one.

    Args:
        path: the folder; it exists.
        keep: how many of the last are kept, beside the one with the least logged loss.

    Raises:
        PinnxError: no such folder, here and in every search; it is not made, for a misspelled one would look empty.
    """

    def __init__(self, path: str | os.PathLike[str], keep: int = 2) -> None:
        self.path, self._keep = Path(path), keep
        # Step -> loss of those that are whole as far as their headers tell. Damaged ones count for nothing.
        self._losses: dict[int, float] = {}
        for step in self._steps():
            try:
                self._losses[step] = checkpoint_loss(self._file(step))
            except PinnxError:
                continue  # `latest` reads it again, and says why

    def save(self, state: Mapping[str, Any], loss: float | None = None) -> Path:
        """Adds a checkpoint, then removes those that are neither among the last nor the best.

        Args:
            state: of all parts, the clock among them.
            loss: the last one that was logged; None: that of the checkpoint of the same step, where there is one.

        Raises:
            OSError: it cannot be written; those that were there are as before.
        """
        step = int(state["clock"]["step"])
        loss = self._losses.get(step, math.inf) if loss is None or math.isnan(loss) else loss
        path = self._file(step)
        save_checkpoint(path, state, loss=loss)
        self._losses[step] = loss
        best = min(self._losses, key=lambda number: (self._losses[number], -number))
        for old in sorted(self._losses)[: -self._keep]:
            if old != best:
                self._file(old).unlink(missing_ok=True)
                del self._losses[old]
        return path

    def latest(self) -> Latest:
        """Reads the newest checkpoint that is whole.

        Raises:
            PinnxError: there is none.
        """
        refused: list[str] = []
        for step in reversed(self._steps()):
            path = self._file(step)
            try:
                return Latest(path, load_checkpoint(path), refused)
            except PinnxError as error:
                self._losses.pop(step, None)
                refused.append(str(error))
        raise PinnxError("; ".join([f"{self.path}: expected a whole checkpoint, found none", *refused]))

    def of_step(self, step: int) -> Latest:
        """Reads the checkpoint of a step.

        Raises:
            PinnxError: there is none, with the steps of those that are there; or it is damaged.
        """
        steps = self._steps()
        others = f"there are those of {', '.join(str(other) for other in steps if other != step) or 'no step'}"
        if step not in steps:
            raise PinnxError(f"{self.path}: expected a checkpoint of step {step}; {others}")
        path = self._file(step)
        try:
            return Latest(path, load_checkpoint(path), [])
        except PinnxError as error:
            raise PinnxError(f"{error}; {others}") from None

    def remove_after(self, step: int) -> list[int]:
        """Removes the checkpoints of later steps, which a training from here on makes anew. Returns their steps."""
        removed = [later for later in self._steps() if later > step]
        for later in removed:
            self._file(later).unlink()
            self._losses.pop(later, None)
        return removed

    def _steps(self) -> list[int]:
        """Of all files, damaged ones too, rising."""
        if not self.path.is_dir():
            found = "a file" if self.path.exists() else "none"
            raise PinnxError(f"{self.path}: expected a folder of checkpoints, found {found}; make it first")
        return sorted(int(match[1]) for item in self.path.iterdir() if (match := NAME.fullmatch(item.name)))

    def _file(self, step: int) -> Path:
        return self.path / f"step-{step:08d}.safetensors"


class SaveCheckpoints(Hook):
    """Saves the checkpoints of a trainer, each with the loss that was logged last.

    Args:
        folder: of one training.
    """

    writes = True

    def __init__(self, folder: CheckpointFolder) -> None:
        self._folder = folder
        self._loss: float | None = None

    def on_log(self, logged: LoggedStep) -> None:
        self._loss = math.inf if logged.easier else logged.comparable

    def on_checkpoint(self, state: dict[str, Any]) -> None:
        self._folder.save(state, self._loss)
