"""The folder of one run: the names of its files, that no earlier run is overwritten, and that one process writes it.

config.yaml sensors.csv history.jsonl checkpoints/       from the start of the training on
metrics.json fields.h5 report.html                       when it has ended
members/ profile.txt profile.json tensorboard mlflow_run.txt   where they were wanted

The lock is the kernel's (flock), so it ends with the process, however that ends. Its file stays: removing it would let
two processes lock two files of one name.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shlex
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from pinnx.errors import PinnxError

__all__ = ["RunFolder", "locked"]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds a lock for the time of the block.

    Args:
        path: its file, in a folder that exists; it names the process that holds the lock.

    Raises:
        PinnxError: another process holds it, or the file cannot be written.
    """
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise PinnxError(f"{path}: cannot be written: {error.strerror}") from error
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(file, 200, 0).decode("utf-8", "replace").strip() or "unknown"
            raise PinnxError(
                f"{path.parent}: expected a run that no other process writes, got one of {holder}; wait for it to end"
            ) from None
        except OSError as error:
            raise PinnxError(f"{path}: the file system has no locks: {error.strerror}; choose another one") from error
        os.truncate(file, 0)
        os.pwrite(file, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield
    finally:
        os.close(file)


UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}


class RunFolder:
    """Paths of one run.

    Args:
        path: the folder.
    """

    FILES = ("config.yaml", "metrics.json", "history.jsonl", "sensors.csv", "fields.h5", "checkpoints", "report.html")
    OPTIONAL = ("incidents", "members", "profile.txt", "profile.json", "tensorboard", "mlflow_run.txt")

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.config = self.path / "config.yaml"
        self.metrics = self.path / "metrics.json"
        self.history = self.path / "history.jsonl"
        self.sensors = self.path / "sensors.csv"
        self.fields = self.path / "fields.h5"
        self.checkpoints = self.path / "checkpoints"
        self.incidents = self.path / "incidents"
        self.report = self.path / "report.html"
        self.members = self.path / "members"
        self.profile = self.path / "profile.txt"
        self.trace = self.path / "profile.json"
        self.tensorboard = self.path / "tensorboard"
        self.mlflow = self.path / "mlflow_run.txt"

    @property
    def resume_command(self) -> str:
        """The command that continues an interrupted run."""
        return shlex.join(["pinnx", "resume", str(self.path)])

    @property
    def restart_command(self) -> str:
        """The command that trains anew with the same settings."""
        return shlex.join(["pinnx", "reconstruct", str(self.config), "--out", f"{self.path}_again"])

    def require_free(self) -> None:
        """Checks that a new run may use the folder.

        Raises:
            PinnxError: it holds a run, or it is a file.
        """
        if os.path.lexists(self.path) and not os.path.isdir(self.path):
            raise PinnxError(f"{self.path}: expected a folder for the run, got a file")
        held = [name for name in (*self.FILES, *self.OPTIONAL) if os.path.lexists(self.path / name)]
        if held:
            unfinished = self.config.name in held and self.report.name not in held
            raise PinnxError(
                f"{self.path}: expected a folder without a run, found {', '.join(held)}; choose another --out"
                + (f", or continue this run: {self.resume_command}" if unfinished else "")
            )

    def create(self) -> None:
        """Makes the folder, and that of its checkpoints.

        Raises:
            PinnxError: as ``require_free``; or it cannot be made or written.
        """
        self.require_free()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PinnxError(f"{self.path}: the folder cannot be created: {error.strerror}") from error
        try:
            self.checkpoints.mkdir()  # of two processes, one makes it
        except OSError as error:
            raise PinnxError(f"{self.path}: the folder cannot be written to: {error.strerror}") from error

    def locked(self) -> AbstractContextManager[None]:
        """Keeps other processes from writing this run, for the time of a block.

        Raises:
            PinnxError: another process writes it, or it cannot be written.
        """
        return locked(self.checkpoints / "lock")

    @contextmanager
    def writing(self, remedy: str) -> Iterator[None]:
        """Turns a disk that is full or read-only into one line.

        Args:
            remedy: what to do then.

        Raises:
            PinnxError: something could not be written in the block.
        """
        try:
            yield
        except OSError as error:
            if error.errno not in UNWRITABLE:
                raise
            raise PinnxError(f"{self.path}: could not be written: {os.strerror(error.errno)}; {remedy}") from error
