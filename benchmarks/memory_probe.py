"""The memory of one step in this process, above its inputs: the largest resident set of the call less what was there.

    python benchmarks/memory_probe.py CANDIDATE POINTS WIDTH LAYERS LIMIT_GB THREADS      (one line of JSON)

A process of its own for each candidate and size: bench_memory.py starts them. Libraries are loaded and threads started
by a step of a tiny network beforehand. What is counted is the step itself with what it keeps for the next, and its
results, the loss and the gradients; a compiler's own memory is not. A step of few points is then held against the
oracle.
"""

from __future__ import annotations

import ctypes
import json
import re
import resource
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import ours
import torch
from harness import Candidate, validate
from networks import Network, draw_network, flow_oracle
from rivals import RIVALS
from step_cases import TOLERANCE

__all__ = ["MAKERS", "probe"]

FEW_POINTS = 256
MAKERS: Mapping[str, Callable[[Network], Candidate]] = {
    "pinn_ext, single pass": partial(ours.single_pass, ""),
    "pinn_ext.mlp_jet, residual in torch": partial(ours.jet_and_residual, ""),
    **{rival.name: rival.candidate for rival in RIVALS},
}


def probe(name: str, n: int, width: int, num_hidden: int, limit_bytes: int) -> dict[str, Any]:
    """Runs one step under a limit of the address space.

    Args:
        name: a key of `MAKERS`.
        n: points.
        width: features of a hidden layer.
        num_hidden: hidden layers.
        limit_bytes: how far the address space may grow beyond what it is before the step.

    Returns:
        ``bytes``, ``seconds`` and ``method``, by which the bytes were found.

    Raises:
        WrongResultError: the candidate is wrong.
        RuntimeError, MemoryError: the memory did not suffice.
    """
    MAKERS[name](draw_network(1, 8, 1)).run()
    candidate = MAKERS[name](draw_network(n, width, num_hidden))
    if any(rival.name == name and rival.compiles for rival in RIVALS):
        candidate.run()  # compiles for this size
    ctypes.CDLL(None).malloc_trim(0)
    resource.setrlimit(resource.RLIMIT_AS, (_status_bytes("VmSize") + limit_bytes, resource.RLIM_INFINITY))
    before, method = _watch()
    start = time.perf_counter()
    candidate.run()
    seconds = time.perf_counter() - start
    result = {"bytes": max(0, _peak(method) - before), "seconds": seconds, "method": method}
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    few = draw_network(FEW_POINTS, width, num_hidden)
    validate(name, MAKERS[name](few).result(), flow_oracle(few), TOLERANCE)
    return result


def _watch() -> tuple[int, str]:
    """Resident bytes now, and how their largest will be found."""
    try:
        Path("/proc/self/clear_refs").write_text("5")  # VmHWM starts anew from the resident set of this moment
    except OSError:
        # Cannot fall below an earlier peak, that of loading the libraries, and then tells too little.
        return _peak("ru_maxrss"), "ru_maxrss"
    return _status_bytes("VmRSS"), "VmHWM"


def _peak(method: str) -> int:
    if method == "VmHWM":
        return _status_bytes("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _status_bytes(field: str) -> int:
    match = re.search(rf"^{field}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    if match is None:
        raise RuntimeError(f"/proc/self/status: expected a line {field}, found none")
    return int(match[1]) * 1024


def main() -> None:
    """From the command line, for bench_memory.py."""
    name, *numbers, limit_gb, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    n, width, num_hidden = (int(number) for number in numbers)
    print(json.dumps(probe(name, n, width, num_hidden, int(float(limit_gb) * 1e9))))


if __name__ == "__main__":
    main()
