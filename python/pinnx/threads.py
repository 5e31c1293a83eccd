"""Threads of the process: how they wait, and what one of them does best."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

__all__ = ["available_cpus", "bind", "num_partitions", "on_one_thread", "wait_passively"]

# What the kernels allow; more threads than that find no work in a sum over points.
MAX_PARTITIONS = 32


def available_cpus() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def bind(cpus: Iterable[int]) -> None:
    """Keeps all threads of this process to some CPUs; on Linux."""
    cpus = set(cpus)
    for thread in os.listdir("/proc/self/task"):
        with suppress(ProcessLookupError):  # it has ended
            os.sched_setaffinity(int(thread), cpus)


def num_partitions() -> int:
    """Parts in which sums over points are added: of the machine alone, so that threads may come and go."""
    return min(available_cpus(), MAX_PARTITIONS)


def wait_passively() -> None:
    """Lets waiting OpenMP threads sleep in place of spinning; of use before torch is imported.

    A thread that spins takes the CPU from a neighbour's, and gets it back a slice of the scheduler later: two threads
    beside one busy process are then 10 times slower. The user's own OMP_WAIT_POLICY or GOMP_SPINCOUNT stays.
    """
    if "GOMP_SPINCOUNT" not in os.environ:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@contextmanager
def on_one_thread() -> Iterator[None]:
    """Decompose a small matrix without waiting for other threads.

    eigh of 200 x 200 takes 2.4 ms on two threads and 2.8 on one; but it waits at hundreds of barriers, and
    where another library's threads (NumPy's BLAS) still spin, each costs a slice of the scheduler: 100 ms to 2 s.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
