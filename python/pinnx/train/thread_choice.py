"""How many threads take a step: what measured steps say, and again from time to time, as neighbours come and go.

The result does not depend on the choice: sums over points are added in parts whose number is the machine's
(`FourierNetwork.partitions`), and SOAP takes one thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import fmean

import torch

from pinnx.train.hooks import Hook

__all__ = ["ThreadChoice"]

# Steps of one measurement: SOAP's QR comes once in five. Each candidate is measured twice, in turns.
BLOCK = 5
ROUNDS = 2
# A candidate that is so much slower in its first block is not measured again: beside a busy process that is the rule.
HOPELESS = 1.5
# Steps from one choice to the next.
PERIOD = 1000


class ThreadChoice(Hook):
    """Measures 1, 2, 4, ... threads in the first steps and every thousand, and takes the fastest.

    Args:
        most: the largest number of threads.
        report: called with a sentence where the choice changes.
    """

    def __init__(self, most: int, report: Callable[[str], None]) -> None:
        self._most = most
        self._candidates = sorted({min(2**i, most) for i in range(most.bit_length() + 1)})
        self._report = report
        self._chosen: int | None = None
        self._begin()

    def on_step(self, step: int) -> None:
        """After each step; the first one, which allocates, is not measured."""
        now = time.perf_counter()
        if not self._queue:
            if len(self._candidates) > 1 and step % PERIOD == 0:
                self._begin()
            return
        if self._started is None:
            torch.set_num_threads(self._queue[0])
            self._started, self._left = now, BLOCK
            return
        self._left -= 1
        if self._left:
            return
        self._block_done(self._queue.pop(0), (now - self._started) / BLOCK)
        self._started, self._left = time.perf_counter(), BLOCK

    def _begin(self) -> None:
        self._queue = self._candidates[::-1] * ROUNDS if len(self._candidates) > 1 else []
        self._blocks: dict[int, list[float]] = {n: [] for n in self._candidates}
        self._started: float | None = None
        self._left = 0

    def _block_done(self, threads: int, seconds: float) -> None:
        self._blocks[threads].append(seconds)
        if all(self._blocks.values()):
            mean = {n: fmean(blocks) for n, blocks in self._blocks.items()}
            best = min(mean.values())
            self._queue = [n for n in self._queue if mean[n] < HOPELESS * best]
            if not self._queue:
                self._choose(mean)
                return
        torch.set_num_threads(self._queue[0])

    def _choose(self, seconds: Mapping[int, float]) -> None:
        chosen = min(seconds, key=lambda n: (seconds[n], n))
        torch.set_num_threads(chosen)
        if chosen != self._chosen:
            rates = ", ".join(f"{n}: {1 / s:.0f}" for n, s in seconds.items())
            self._report(f"training on {chosen} of {self._most} threads (steps/s on {rates})")
        self._chosen = chosen
