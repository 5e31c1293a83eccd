"""Files that appear whole or not at all, whatever happens while they are written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pinnx.runs.files import atomic_write, write_text

KILLED_WHILE_WRITING = """
import os, signal, sys
from pinnx.runs.files import atomic_write

with atomic_write(sys.argv[1]) as partial:
    partial.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("concurrent", [False, True])
def test_the_file_appears_at_the_end_of_the_block(tmp_path: Path, concurrent: bool) -> None:
    path = tmp_path / "result.csv"
    with atomic_write(path, concurrent=concurrent) as partial:
        partial.write_text("new")
        assert not path.exists()
        assert partial.parent == tmp_path, "a rename is atomic within one file system"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metrics.json"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "new \ud800")  # half a character: nothing that could be encoded

    def interrupted() -> None:
        with atomic_write(path) as partial:
            partial.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    def full(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="disk full"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_bytes_name_and_folder_reach_the_disk_in_this_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a power cut would ask: the content before the rename, the folder after it."""
    done: list[str] = []
    flush, move = os.fsync, os.replace

    def flushed(file: int) -> None:
        done.append(f"flush {os.readlink(f'/proc/self/fd/{file}')}")
        flush(file)

    def moved(source: Path, target: Path) -> None:
        done.append("rename")
        move(source, target)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(os, "replace", moved)
    write_text(tmp_path / "a", "text")
    assert done == [f"flush {tmp_path / 'a.part'}", "rename", f"flush {tmp_path}"]


def test_writers_at_once_do_not_share_a_temporary_file(tmp_path: Path) -> None:
    path = tmp_path / "entry"
    with atomic_write(path, concurrent=True) as first, atomic_write(path, concurrent=True) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_killed_process_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "fields.h5"
    write_text(path, "old")
    done = subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, str(path)], cwd=tmp_path, check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    write_text(path, "new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path], "what the killed process left is gone"
