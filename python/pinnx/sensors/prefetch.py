"""The next block is read while the last one is worked on: one thread, two blocks alive at most."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import TypeVar

__all__ = ["prefetched"]

T = TypeVar("T")


def prefetched(blocks: Iterator[T]) -> Iterator[T]:
    """Yield what an iterator yields, one block ahead, from a thread of its own.

    The iterator is asked for block i + 1 once block i has been handed over, and for i + 2 only when
    i + 1 has been. So an iterator that fills two buffers in turn never writes into one in use. What it
    raises is raised here, after the blocks before it.
    """
    handed: queue.Queue[tuple[bool, T | BaseException | None]] = queue.Queue()
    wanted = threading.Semaphore(1)
    stopped = threading.Event()

    def read() -> None:
        try:
            while True:
                wanted.acquire()
                if stopped.is_set():
                    return
                try:
                    block = next(blocks)
                except StopIteration:
                    handed.put((False, None))
                    return
                handed.put((True, block))
                del block
        except BaseException as error:  # handed over, raised by the reader
            handed.put((False, error))

    thread = threading.Thread(target=read, name="pinnx-prefetch", daemon=True)
    thread.start()
    try:
        while True:
            more, item = handed.get()
            if not more:
                if item is not None:
                    assert isinstance(item, BaseException)
                    raise item
                return
            wanted.release()
            yield item  # type: ignore[misc]
            del item
    finally:
        stopped.set()
        wanted.release()
        thread.join()
