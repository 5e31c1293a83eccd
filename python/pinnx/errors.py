"""The one error that is meant for a user's eyes.

Everything a user can cause (a missing file, a wrong shape, a contradictory setting) is raised as
`PinnxError` with a message of one line: what was wanted, what came. The command line prints that
line without a traceback and exits with status 2; any other exception is a defect of ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from signal import SIGINT

__all__ = ["Interrupted", "PinnxError", "damage_named"]


class PinnxError(ValueError):
    """A one-line, user-facing error: what was wanted and what came."""


class Interrupted(PinnxError):  # noqa: N818 - not an error of the user's
    """The run was stopped by a signal and can be continued; the message says how.

    Args:
        message: one line.
        signal: its number; Ctrl-C where it is not given.
    """

    def __init__(self, message: str, signal: int = SIGINT) -> None:
        super().__init__(message)
        self.signal = signal


@contextmanager
def damage_named(name: object, what: str) -> Iterator[None]:
    """Turn what a reading library raises into one line with the name of the file.

    HDF5, zipfile, zlib, NumPy, SciPy and torch let errors of every type through where a file is damaged. Only calls of
    theirs belong inside: a defect of ours must not look like a damaged file.

    Args:
        name: of the file.
        what: could not be done, or is damaged.
    """
    try:
        yield
    except PinnxError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise PinnxError(f"{name}: {what}: {reason}") from None
