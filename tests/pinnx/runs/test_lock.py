"""One process alone writes a run, and the lock ends with it, however it ends."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
from pathlib import Path

import pytest

from pinnx.errors import PinnxError
from pinnx.runs.lock import locked


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
