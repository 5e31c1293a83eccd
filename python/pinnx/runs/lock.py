"""That one process alone writes a run.

The lock is the kernel's (flock), so it ends with the process, however that ends. The file stays: removing it would let
two processes lock two files of one name.
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pinnx.errors import PinnxError

__all__ = ["locked"]


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
