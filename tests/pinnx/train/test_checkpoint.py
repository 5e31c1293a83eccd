"""A checkpoint counts only when complete: cut short, altered or foreign files are refused by name."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from pinnx.errors import PinnxError
from pinnx.train import checkpoint as module
from pinnx.train import load_checkpoint, save_checkpoint

STATE = {"step": 3, "network": {"w": torch.arange(6.0).reshape(2, 3)}, "list": [1, 2.5, None, "name"]}

KILLED_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
import torch
from pinnx.train import save_checkpoint

path = Path(sys.argv[1])
save_checkpoint(path, {"step": 1, "w": torch.ones(1000)})

def half_a_file(state, file):
    file.write(b"PK" + bytes(5000))
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)

torch.save = half_a_file
save_checkpoint(path, {"step": 2, "w": torch.zeros(1000)})
"""


def test_round_trip_is_bitwise(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, STATE)
    loaded = load_checkpoint(path)
    assert torch.equal(loaded.pop("network")["w"], STATE["network"]["w"])
    assert loaded == {"step": 3, "list": [1, 2.5, None, "name"]}
    assert [item.name for item in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_every_cut_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, STATE)
    whole = path.read_bytes()
    for size in (0, 1, 30, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(PinnxError, match=r"checkpoint\.pt: expected a whole checkpoint, got .*damaged") as caught:
            load_checkpoint(path)
        assert "\n" not in str(caught.value)


def test_an_altered_number_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, STATE)
    content = path.read_bytes()
    stored = torch.arange(6.0).numpy().tobytes()
    assert content.count(stored) == 1
    path.write_bytes(content.replace(stored, torch.arange(1.0, 7.0).numpy().tobytes()))
    with pytest.raises(PinnxError, match="expected a whole checkpoint, got one with a damaged part"):
        load_checkpoint(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    with pytest.raises(PinnxError, match="no such checkpoint"):
        load_checkpoint(path)
    path.write_text("weights, perhaps")
    with pytest.raises(PinnxError, match="expected a whole checkpoint, got a damaged file"):
        load_checkpoint(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", "<a/>")
    with pytest.raises(PinnxError, match="expected a whole checkpoint, got a damaged file"):
        load_checkpoint(path)
    for other in ({"step": 1}, {"format": 2, "step": 1}, [1, 2]):
        torch.save(other, path)
        with pytest.raises(PinnxError, match="expected a checkpoint of format 3, got another file"):
            load_checkpoint(path)


def test_no_code_in_a_checkpoint_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "checkpoint.pt"
    torch.save({"format": 1, "step": Trap()}, path)
    with pytest.raises(PinnxError, match="expected a whole checkpoint"):
        load_checkpoint(path)
    assert not (tmp_path / "trapped").exists()


class Trap:
    """An object that makes a folder when it is unpickled."""

    def __reduce__(self) -> tuple:
        return os.mkdir, ("trapped",)


def test_a_failure_while_writing_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, STATE)

    def fail(state: object, file: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.torch, "save", fail)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(path, {"step": 4})
    assert load_checkpoint(path)["step"] == 3
    assert [item.name for item in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_a_half_written_checkpoint_is_ignored(tmp_path: Path) -> None:
    """Killed in the middle of writing the second: the first is what is there, and the next one takes its place."""
    path = tmp_path / "checkpoint.pt"
    done = subprocess.run(
        [sys.executable, "-c", KILLED_WHILE_WRITING, str(path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert path.with_name("checkpoint.pt.part").exists()
    assert load_checkpoint(path)["step"] == 1
    save_checkpoint(path, {"step": 3})
    assert load_checkpoint(path)["step"] == 3
    assert [item.name for item in tmp_path.iterdir()] == ["checkpoint.pt"]
