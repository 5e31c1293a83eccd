"""The folder of a run: an earlier run is never overwritten, and one process alone writes it, however it ends."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
from pathlib import Path

import pytest

from pinnx.errors import PinnxError
from pinnx.runs.folder import RunFolder, locked


@pytest.mark.parametrize("exists", [False, True])
def test_a_new_folder_is_made_with_its_parents(tmp_path: Path, exists: bool) -> None:
    path = tmp_path / "a" / "b"
    if exists:
        path.mkdir(parents=True)
        (path / "notes.txt").write_text("mine")
    RunFolder(path).create()
    assert path.is_dir()
    assert not exists or (path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("name", RunFolder.FILES)
def test_a_folder_that_holds_a_run_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("precious")
    for call in (RunFolder(tmp_path).require_free, RunFolder(tmp_path).create):
        with pytest.raises(PinnxError) as caught:
            call()
        hint = f", or continue this run: pinnx resume {tmp_path}" if name == "config.yaml" else ""
        wanted = f"{tmp_path}: expected a folder without a run, found {name}; choose another --out{hint}"
        assert str(caught.value) == wanted
    assert (tmp_path / name).read_text() == "precious"
    assert [item.name for item in tmp_path.iterdir()] == [name]


def test_a_finished_run_is_not_offered_for_resuming(tmp_path: Path) -> None:
    for name in RunFolder.FILES:
        (tmp_path / name).touch()
    with pytest.raises(PinnxError, match=r"choose another --out$"):
        RunFolder(tmp_path).require_free()


def test_a_link_to_nowhere_counts_as_a_file_of_a_run(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").symlink_to(tmp_path / "gone")
    with pytest.raises(PinnxError, match=r"found config\.yaml"):
        RunFolder(tmp_path).require_free()


def test_the_command_to_resume_is_ready_for_a_shell(tmp_path: Path) -> None:
    path = tmp_path / "my run; really"
    assert RunFolder(path).resume_command == f"pinnx resume '{path}'"


def test_places_that_are_no_folder_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(PinnxError, match="expected a folder for the run, got a file"):
        RunFolder(file).require_free()
    with pytest.raises(PinnxError, match="the folder cannot be created: Not a directory"):
        RunFolder(file / "run").create()
    with pytest.raises(PinnxError, match="the folder cannot be created: File name too long"):
        RunFolder(tmp_path / ("n" * 300)).create()
    assert [item.name for item in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PinnxError, match="the folder cannot be written to"):
            RunFolder(tmp_path).create()
        with pytest.raises(PinnxError, match="the folder cannot be created"):
            RunFolder(tmp_path / "run").create()
    finally:
        tmp_path.chmod(0o700)


def holder(path: Path) -> int:
    """Another process that holds the lock until it is killed."""
    ready, tell = os.pipe()
    child = os.fork()
    if child == 0:
        with locked(path):
            os.write(tell, b"1")
            signal.pause()
        os._exit(1)
    assert os.read(ready, 1) == b"1"
    os.close(ready)
    os.close(tell)
    return child


def test_another_process_is_refused_until_the_first_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text("process 123456 on a_machine_with_a_long_name_that_crashed\n")
    child = holder(path)
    try:
        with pytest.raises(PinnxError) as caught, locked(path):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    name = f"process {child} on {socket.gethostname()}"
    wanted = f"{tmp_path}: expected a run that no other process writes, got one of {name}; wait for it to end"
    assert str(caught.value) == wanted
    with locked(path):
        assert path.read_text() == f"process {os.getpid()} on {socket.gethostname()}\n"
    with locked(path):
        pass


def test_what_cannot_be_locked_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PinnxError, match="lock: cannot be written: Not a directory"), locked(Path("/dev/null/lock")):
        pass

    def unsupported(*given: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with pytest.raises(PinnxError, match="has no locks: Operation not supported; choose"), locked(tmp_path / "lock"):
        pass
