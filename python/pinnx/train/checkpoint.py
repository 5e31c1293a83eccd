"""Checkpoints that count only when complete.

A file that is cut short or altered fails torch's own checksums (the format is a zip archive) and is refused by name.
"""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import torch

from pinnx.errors import PinnxError, damage_named
from pinnx.runs.files import atomic_write

__all__ = ["load_checkpoint", "save_checkpoint"]

FORMAT = 3  # 1 named its parts by hand; networks of 2 were in the user's units


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Writes ``state`` (tensors, numbers, strings and containers of them) to ``path``, whole or not at all."""
    with atomic_write(path) as partial, partial.open("wb") as file:
        torch.save({"format": FORMAT, **state}, file)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Reads what ``save_checkpoint`` wrote, on the CPU; no code in the file is run.

    Raises:
        PinnxError: no such file, a file that is cut short or altered, or one of another format.
    """
    if not os.path.isfile(path):
        raise PinnxError(f"{path}: no such checkpoint")
    with damage_named(path, "expected a whole checkpoint, got a damaged file"):
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise PinnxError(f"{path}: expected a whole checkpoint, got one with a damaged part {damaged}")
        state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, dict) or state.pop("format", None) != FORMAT:
        raise PinnxError(f"{path}: expected a checkpoint of format {FORMAT}, got another file")
    return state
