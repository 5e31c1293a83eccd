"""How the processes that ``torchrun`` started come together: the process group, its backend, and PINNX_RANK_*."""

from __future__ import annotations

import atexit
import os
import time
from contextlib import suppress
from datetime import timedelta

import torch
from torch import distributed

from pinnx.errors import PinnxError
from pinnx.train.ranks import ALONE, TIMEOUT, OneProcess, Ranks

__all__ = ["joined_ranks"]

# Seconds before Python ends, in which gloo's threads give back the tensors of the last operation. For that they wait
# for Python's lock; one that still waits as Python ends aborts the process, which torchrun takes for a lost rank.
GIVE_BACK = 0.2


def joined_ranks() -> OneProcess:
    """The ranks that ``torchrun`` started, this process among them; `ALONE` where it started one, or none.

    Joins the process group at the first call, NCCL on CUDA devices and gloo on the CPU; one that is there is used. On
    the CPU each rank of a machine keeps to its part of the CPUs from then on, unless PINNX_RANK_BIND is 0.

    Raises:
        PinnxError: fewer CUDA devices than ranks on this machine, a timeout that is no number > 0, PINNX_RANK_BIND that
            is not 0 or 1, or a balance that is no whole number >= 0, or not 0 on CUDA devices.
    """
    if not distributed.is_available():
        return ALONE
    if not distributed.is_initialized():
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return ALONE
        _join(timedelta(seconds=_timeout()))
    if distributed.get_world_size() == 1:
        return ALONE
    global _JOINED
    if _JOINED is None:
        bound = _bound()
        _JOINED = Ranks(_timeout(), _balance())
        if bound:
            _JOINED.take_cpus()
    return _JOINED


_JOINED: Ranks | None = None


def _join(timeout: timedelta) -> None:
    """Makes the default group, in a part of torchrun's store that has no addresses of ranks before a restart."""
    from torch.distributed.rendezvous import rendezvous

    store, rank, size = next(rendezvous("env://", timeout=timeout))
    part = f"pinnx/start-{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}-of-{size}"
    store = distributed.PrefixStore(part, store)
    distributed.init_process_group(_backend(), store=store, rank=rank, world_size=size, timeout=timeout)
    atexit.register(time.sleep, GIVE_BACK)


def _timeout() -> float:
    text = os.environ.get("PINNX_RANK_TIMEOUT", str(TIMEOUT))
    with suppress(ValueError):
        if 0.0 < (seconds := float(text)) < float("inf"):
            return seconds
    raise PinnxError(f"PINNX_RANK_TIMEOUT: expected seconds > 0, got {text!r}")


def _bound() -> bool:
    text = os.environ.get("PINNX_RANK_BIND", "1")
    if text not in ("0", "1"):
        raise PinnxError(f"PINNX_RANK_BIND: expected 0 or 1, got {text!r}")
    return text == "1" and hasattr(os, "sched_setaffinity") and not torch.cuda.is_available()


def _balance() -> int:
    text = os.environ.get("PINNX_RANK_BALANCE", "0")
    if not text.isdecimal():
        raise PinnxError(f"PINNX_RANK_BALANCE: expected steps >= 0, got {text!r}")
    if int(text) and torch.cuda.is_available():
        raise PinnxError(
            "PINNX_RANK_BALANCE: expected CPUs, got CUDA devices, where a step has the same points; unset it"
        )
    return int(text)


def _backend() -> str:
    """Of the group; a CUDA device is this rank's own from here on."""
    if not torch.cuda.is_available():
        return "gloo"
    local, count = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if local >= count:
        raise PinnxError(
            f"torchrun: expected a CUDA device for each process of a machine, got process {local + 1} on {count}; "
            "use --nproc-per-node of at most that number"
        )
    torch.cuda.set_device(local)
    return "cpu:gloo,cuda:nccl"
