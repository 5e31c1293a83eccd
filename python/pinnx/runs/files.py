"""Files that appear whole or not at all.

The content goes to a temporary file beside its place, is flushed to the disk, and is moved into place in one step. A
reader sees the old file or the new one; a failure leaves the old one.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pinnx.errors import PinnxError

__all__ = ["atomic_write", "read_text", "write_text"]


@contextmanager
def atomic_write(path: str | os.PathLike[str], *, concurrent: bool = False) -> Iterator[Path]:
    """Yields the path of a temporary file, which replaces ``path`` when the block ends without an error.

    Args:
        path: the file to write; its folder exists.
        concurrent: several processes may write this file at once, so each gets a temporary file of its own. Otherwise
            its name is that of the file with ``.part``, and one that a killed process has left is overwritten.
    """
    path = Path(path)
    partial = path.with_name(f"{path.name}{f'.{secrets.token_hex(4)}' if concurrent else ''}.part")
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())  # renamed before its bytes are on the disk, a file may be empty after a power cut
        os.replace(partial, path)
        _flush_folder(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def _flush_folder(path: Path) -> None:
    """Puts the names in a folder on the disk: until then a power cut may undo a rename."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_text(path: Path) -> str:
    """Reads a text file in UTF-8.

    Raises:
        PinnxError: no such file, or one that cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise PinnxError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise PinnxError(f"{path}: could not be read: {error}") from error


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes a text file in UTF-8, whole or not at all."""
    with atomic_write(path) as partial:
        partial.write_text(text, encoding="utf-8")
