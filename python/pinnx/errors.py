"""The one error that is meant for a user's eyes.

Everything a user can cause (a missing file, a wrong shape, a contradictory setting) is raised as
`PinnxError` with a message of one line: what was wanted, what came. The command line prints that
line without a traceback and exits with status 2; any other exception is a defect of ours.
"""

from __future__ import annotations

__all__ = ["Interrupted", "PinnxError"]


class PinnxError(ValueError):
    """A one-line, user-facing error: what was wanted and what came."""


class Interrupted(PinnxError):  # noqa: N818 - not an error of the user's
    """The run was stopped by Ctrl-C and can go on; the message says how."""
