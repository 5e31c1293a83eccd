"""What several commands need: the console, and the package of the jobs.

The jobs are imported where they are used, so that help and the doctor work where a package is missing.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING

from pinnx.errors import PinnxError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["console_of", "key_of", "load_jobs", "require_used"]


def console_of(options: argparse.Namespace) -> Console:
    from rich.console import Console

    # No markup: a path such as run[1] is shown as it is. Of several ranks the first one speaks.
    return Console(
        quiet=options.quiet or os.environ.get("RANK", "0") != "0", markup=False, emoji=False, highlight=False
    )


def key_of(word: str) -> str:
    """The dotted key of an override ``key=value``."""
    return word.split("=", 1)[0]


def require_used(words: Sequence[str], used: Sequence[str], unused: Sequence[str] = ()) -> None:
    """Refuses an override that would act on nothing.

    Args:
        words: the overrides, ``key=value``.
        used: keys and sections that the command uses.
        unused: keys and sections in these that it does not.

    Raises:
        PinnxError: another key.
    """
    from pinnx.config.loading import is_within

    for word in words:
        key = key_of(word)
        if not is_within(key, used) or is_within(key, unused):
            but = f", but none of {', '.join(unused)}" if is_within(key, unused) else ""
            raise PinnxError(
                f"override {word!r}: expected a setting of {', '.join(used)}{but}; it would change nothing"
            )


def load_jobs() -> ModuleType:
    """The package of the jobs.

    Raises:
        PinnxError: a package is missing, or the kernels cannot run here.
    """
    try:
        with _no_collection():
            from pinnx import jobs
    except (ImportError, RuntimeError) as error:
        raise PinnxError(f"{error} (run pinnx doctor for details)") from error
    return jobs


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keeps the garbage collector away from what is imported, now and later: a tenth of the time of a start."""
    imported, enabled = "pinnx.jobs" in sys.modules, gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if not imported:
            gc.freeze()
        if enabled:
            gc.enable()
