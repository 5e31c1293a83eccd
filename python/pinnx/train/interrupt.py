"""Ctrl-C and SIGTERM between steps, never inside one: half a step would leave a state that no run ever had.

SIGTERM is what batch systems and containers send before they kill. A signal that the process was started to ignore, as
in the background of a shell script, stays ignored.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["StoppedBetweenSteps", "deferred_interrupt", "sigterm_interrupts"]

Handler = Callable[[int, FrameType | None], None]


class StoppedBetweenSteps(KeyboardInterrupt):
    """Ctrl-C or SIGTERM, taken up after a whole step: ``state_dict()`` is one that the run had, and may be saved.

    Its argument is the number of the signal.
    """


@contextmanager
def deferred_interrupt() -> Iterator[Callable[[], int]]:
    """Yields a function that returns the number of the signal that came, 0 for none. A second one interrupts at once.

    Outside the main thread, where Python delivers no signals, it always returns 0.
    """
    came = 0

    def remember(number: int, frame: FrameType | None) -> None:
        nonlocal came
        if came:
            raise KeyboardInterrupt(number)
        came = number

    with _handled((signal.SIGINT, signal.SIGTERM), remember):
        yield lambda: came


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Has SIGTERM raise KeyboardInterrupt in the block, with its number as argument."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt(number)

    with _handled((signal.SIGTERM,), interrupt):
        yield


@contextmanager
def _handled(numbers: tuple[int, ...], handler: Handler) -> Iterator[None]:
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {n: signal.getsignal(n) for n in numbers if signal.getsignal(n) is not signal.SIG_IGN}
    try:
        for number in before:
            signal.signal(number, handler)
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
