"""Calls on plain tensors in the CPU's memory: checked once for each signature, and no dispatcher.

A network of width 64 takes two milliseconds a step, after which caches hold nothing of Python or torch: every line of
Python that a call runs is then read from afar. So what the checks have found is kept by the signature of the call, and
a call whose signature is known reads addresses, allocates and runs the kernel (docs/performance.md).
"""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

__all__ = ["KnownCalls"]

Call = TypeVar("Call")


class KnownCalls(Generic[Call]):
    """The last calls that passed the checks, by signature and options; oldest out."""

    def __init__(self, most: int = 256) -> None:
        self._calls: dict[object, Call] = {}
        self._most = most
        self._adding = threading.Lock()

    def get(self, key: object) -> Call | None:
        """None too where an option cannot be a key: then it is none that the checks let pass."""
        try:
            return self._calls.get(key)
        except TypeError:
            return None

    def add(self, key: object, call: Call) -> None:
        """Keeps a call that is checked."""
        with self._adding:
            while len(self._calls) >= self._most:
                del self._calls[next(iter(self._calls))]
            self._calls[key] = call
