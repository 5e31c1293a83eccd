"""Processes that train one problem together, and the one process that trains alone.

Each rank takes its share of the points of every term (`Share`), and losses are divided by the points of all. So totals,
columns and gradients of the ranks add up to those of one process: they go into one flat buffer, and one all-reduce per
step adds them. All ranks then hold the same numbers, and so decide and step alike.

Where ranks are not equally fast, points move from slow ones to fast ones until all work as long (`PINNX_RANK_BALANCE`).
With the part p_i of the points and t_i seconds between collective operations, p_i goes half of its distance to
(p_i / t_i) / sum_j (p_j / t_j).

A signal that one rank gets travels in the same buffer, and all stop after the same step. A rank that does not answer
ends the wait of the others by a timeout, and is named: those that wait say so in the store of the process group.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import pickle
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, NoReturn, TypeVar

import torch
from torch import Tensor, distributed

from pinnx.errors import PinnxError
from pinnx.physics.term import WHOLE, Share
from pinnx.threads import bind
from pinnx.train.flat_tensors import flat, place

__all__ = ["ALONE", "TIMEOUT", "OneProcess", "RankLostError", "Ranks", "only_process"]

T = TypeVar("T")

# Seconds that a rank waits for the others in one collective operation, unless PINNX_RANK_TIMEOUT says otherwise.
TIMEOUT = 300.0
# Seconds from the first rank that stops waiting until those that have not said so count as lost, at most.
GRACE = 5.0
# Bytes in one entry of the store, which takes at most 8 MiB.
PIECE = 1 << 22
# A rank keeps this share of an equal part at least, and has something to measure.
LEAST_PART = 0.1
# On a CUDA device steps from one look at the signals of the others to the next: a look waits for the device.
LOOK_EVERY = 100


class RankLostError(PinnxError):
    """A rank, or the coordinator, does not answer; the state is that of the step before, or of half a step."""


class OneProcess:
    """A process that trains alone: it has all points, and there is nothing to add.

    Attributes:
        rank: its number.
        size: how many train together.
        first: whether it writes the files.
        share: its part of the points.
        group: of torch.distributed; None: this process alone.
    """

    rank, size, first = 0, 1, True
    group: distributed.ProcessGroup | None = None
    share: Share = WHOLE

    def summed(self, parameters: Sequence[Tensor], numbers: Tensor) -> Tensor:
        """Adds the parameters' ``grad``, in place, and numbers [k] over the ranks. Returns the numbers."""
        return numbers

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Adds tensors over the ranks, in place; all of one dtype."""

    def before(self, count: int) -> int:
        """The sum of a number over the ranks before this one."""
        return 0

    def agreed(self, step: int, number: int) -> int:
        """The signal that some rank got, or 0: the same on all ranks.

        Args:
            step: steps done.
            number: of the signal that came to this rank, 0 for none.
        """
        return number

    def take_first(self, tensors: Sequence[Tensor]) -> None:
        """Sets tensors to those of the first rank, in place."""

    def require_same(self, step: int, state: Mapping[str, Any]) -> None:
        """Checks that all ranks have the same tensors in a state.

        Raises:
            PinnxError: one differs.
        """

    def from_first(self, make: Callable[[], T]) -> T:
        """What the first rank computes, however long that takes.

        Raises:
            PinnxError: it could not, with its reason.
        """
        return make()

    @contextmanager
    def together(self) -> Iterator[None]:
        """What fails in the block on one rank fails on all, with its reason.

        Raises:
            PinnxError: the error of this rank, or that of the first one that has one.
        """
        yield

    def leave(self) -> None:
        """Waits for all ranks to come here: the first one may keep the store, which the others read."""


ALONE = OneProcess()


def only_process() -> OneProcess:
    """`ALONE`, for a trainer that was given no ranks.

    Raises:
        PinnxError: torchrun started several processes: each would train a copy, and write the same files.
    """
    if (size := int(os.environ.get("WORLD_SIZE", "1"))) > 1:
        raise PinnxError(
            f"Trainer: expected one process, got {size} that torchrun started, each of which would train a copy and "
            "write the same files; use DistributedPINNTrainer, or ranks=pinnx.train.ALONE where each trains a problem "
            "of its own"
        )
    return ALONE


class Ranks(OneProcess):
    """The ranks of the default process group; they call the same methods in the same order.

    Args:
        timeout: seconds that a rank waits for the others; those of the group.
        balance: steps after which points move between ranks; 0: they stay.

    Raises:
        RankLostError: from every method, where a rank or the coordinator does not answer.
    """

    def __init__(self, timeout: float = TIMEOUT, balance: int = 0) -> None:
        self.rank, self.size = distributed.get_rank(), distributed.get_world_size()
        self.first, self.share = self.rank == 0, Share(self.rank, self.size)
        self.group = distributed.group.WORLD
        self._store = distributed.distributed_c10d._get_default_store()
        self._timeout, self._balance = timeout, balance
        self._worked, self._since = 0.0, time.perf_counter()  # seconds since points moved, but for those of waiting
        self._operations = 0  # collective ones so far
        self._given = 0  # values from the first rank so far
        self._blocks, self._inside = 0, False  # of `together` so far, and whether one is open
        self._signal = 0  # that came to this rank
        self._flag: Tensor | None = None  # sum of the signals at the last step

    def summed(self, parameters: Sequence[Tensor], numbers: Tensor) -> Tensor:
        gradients = [p.grad for p in parameters if p.grad is not None]
        signals = torch.full_like(numbers[:1], self._signal)
        self.add([*gradients, numbers, signals])
        self._flag = signals
        return numbers

    def add(self, tensors: Sequence[Tensor]) -> None:
        numbers = flat(tensors)
        self._call(distributed.all_reduce, numbers)
        place(numbers, tensors)

    def before(self, count: int) -> int:
        return sum(self._gathered(count)[: self.rank])

    def agreed(self, step: int, number: int) -> int:
        self._signal = number
        if self._balance and step % self._balance == 0:  # here, as all ranks come here behind each step
            self._move_points()
        if self._flag is None or (self._flag.is_cuda and step % LOOK_EVERY):
            return 0
        return (number or signal.SIGTERM) if float(self._flag) else 0

    def take_cpus(self) -> None:
        """Keeps this rank to its part of the CPUs that it shares with others of its machine.

        Else the scheduler may wake one where another one runs: on two CPUs an all-reduce took 0.34 ms for 0.20. Ranks
        whose launcher gave each its own CPUs keep them; more ranks than CPUs share all.
        """
        own = sorted(os.sched_getaffinity(0))
        machines = self._gathered((socket.gethostname(), own))
        sharing = [rank for rank, machine in enumerate(machines) if machine == machines[self.rank]]
        count, number = len(sharing), sharing.index(self.rank)
        if count <= len(own):
            bind(own[number * len(own) // count : (number + 1) * len(own) // count])

    def take_first(self, tensors: Sequence[Tensor]) -> None:
        numbers = flat(tensors)
        self._call(distributed.broadcast, numbers, src=0)
        place(numbers, tensors)

    def require_same(self, step: int, state: Mapping[str, Any]) -> None:
        self._asked(self._store.check, ["pinnx"])  # the coordinator is there
        digests = self._gathered(_digest(state))
        differing = [rank for rank, digest in enumerate(digests) if digest != digests[0]]
        if differing:
            raise PinnxError(
                f"step {step}: expected the same network on all ranks, got another on {_named(differing)}; "
                "use the same kind of machine and the same versions on all ranks"
            )

    def from_first(self, make: Callable[[], T]) -> T:
        self._given += 1
        key = f"pinnx/given/{self._given}"
        if not self.first:
            reason, value = pickle.loads(self._awaited(key))
            if reason:
                self._fail()
                raise PinnxError(reason)
            return value
        try:
            value = make()
        except PinnxError as error:
            self._give(key, pickle.dumps((str(error), None)))
            self._fail()
            raise
        self._give(key, pickle.dumps(("", value)))
        return value

    @contextmanager
    def together(self) -> Iterator[None]:
        self._blocks += 1
        self._inside = True
        reason, error = "", None
        try:
            yield
        except RankLostError:
            raise
        except PinnxError as raised:
            reason, error = str(raised), raised
            self._asked(self._store.set, f"pinnx/failed/{self._blocks}", reason)  # ends `from_first` of the others
        finally:
            self._inside = False
        reasons = self._gathered(reason)
        if error is not None:
            raise error
        for rank, reason in enumerate(reasons):
            if reason:
                raise PinnxError(f"rank {rank}: {reason}")

    def _move_points(self) -> None:
        """Sets the shares anew, by the file's head; every rank finds the same ones."""
        parts = [1.0 / self.size] * self.size
        if self.share.edges:
            parts = [stop - start for start, stop in itertools.pairwise(self.share.edges)]
        speeds = [part / seconds for part, seconds in zip(parts, self._gathered(self._worked), strict=True)]
        wanted = [0.5 * (part + speed / sum(speeds)) for part, speed in zip(parts, speeds, strict=True)]
        wanted = [max(part, LEAST_PART / self.size) for part in wanted]
        edges = [total / sum(wanted) for total in itertools.accumulate(wanted, initial=0.0)]
        self.share, self._worked = replace(self.share, edges=(*edges[:-1], 1.0)), 0.0

    def leave(self) -> None:
        with suppress(RankLostError):  # one that has left before it has come here as well
            self._gathered(None)

    def _fail(self) -> None:
        """Has all ranks read why, before the first one ends; a block of `together` does so by itself."""
        if not self._inside:
            self.leave()

    def _give(self, key: str, content: bytes) -> None:
        """Puts bytes into the store, the last of its pieces last."""
        pieces = [content[start : start + PIECE] for start in range(0, len(content), PIECE)]
        for number, piece in enumerate(pieces):
            self._asked(self._store.set, f"{key}/{number}", piece)
        self._asked(self._store.set, key, str(len(pieces)))

    def _awaited(self, key: str) -> bytes:
        """What the first rank puts into the store, once it is there; looking for it lets a signal be heard."""
        failed = f"pinnx/failed/{self._blocks}"
        while not self._asked(self._store.check, [key]):
            if self._asked(self._store.check, [failed]):
                raise PinnxError(self._asked(self._store.get, failed).decode())
            time.sleep(0.05)
        count = int(self._asked(self._store.get, key))
        return b"".join(self._asked(self._store.get, f"{key}/{number}") for number in range(count))

    def _gathered(self, value: T) -> list[T]:
        """The value of each rank."""
        found: list[Any] = [None] * self.size
        self._call(distributed.all_gather_object, found, value)
        return found

    def _call(self, operation: Callable[..., object], *given: Any, **more: Any) -> None:
        self._operations += 1
        self._worked += time.perf_counter() - self._since
        try:
            operation(*given, **more)
        except RuntimeError as error:
            self._refuse(error)
        self._since = time.perf_counter()

    def _refuse(self, error: RuntimeError) -> NoReturn:
        """Names the ranks that are not waiting as this one is."""
        key = f"pinnx/waiting/{self._operations}"
        self._asked(self._store.set, f"{key}/{self.rank}", "")
        until, missing = time.monotonic() + min(GRACE, self._timeout), list(range(self.size))
        while missing and time.monotonic() < until:
            missing = [rank for rank in missing if not self._asked(self._store.check, [f"{key}/{rank}"])]
            time.sleep(0.02)
        remedy = "torchrun --max-restarts, or pinnx resume, continues from the last checkpoint"
        if missing:
            raise RankLostError(
                f"{_named(missing)} of {self.size}: no answer within {self._timeout:g} s (PINNX_RANK_TIMEOUT), or the "
                f"process has ended; {remedy}"
            ) from error
        reason = " ".join(str(error).split())[:200]
        raise RankLostError(f"the ranks lost their connections, and all of them run: {reason}; {remedy}") from error

    def _asked(self, ask: Callable[..., Any], *given: Any) -> Any:
        """What the store answers; on a thread of its own, as the store waits for ever where a link is cut."""
        answers: list[Any] = []

        def work() -> None:
            with suppress(RuntimeError):
                answers.append(ask(*given))

        asking = threading.Thread(target=work, daemon=True)
        asking.start()
        asking.join(self._timeout)
        if answers:
            return answers[0]
        address = ":".join(os.environ.get(name, "?") for name in ("MASTER_ADDR", "MASTER_PORT"))
        raise RankLostError(
            f"the coordinator at {address} does not answer; start again, and pinnx resume continues from the last "
            "checkpoint"
        )


def _digest(state: Any) -> str:
    """Of all tensors in nested containers, in their order."""
    digest = hashlib.blake2b(digest_size=16)

    def add(value: Any) -> None:
        if isinstance(value, Tensor):
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        elif isinstance(value, Mapping):
            for item in value.values():
                add(item)
        elif isinstance(value, list | tuple):
            for item in value:
                add(item)

    add(state)
    return digest.hexdigest()


def _named(ranks: Sequence[int]) -> str:
    return ("rank " if len(ranks) == 1 else "ranks ") + ", ".join(map(str, ranks))
