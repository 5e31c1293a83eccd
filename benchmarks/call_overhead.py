"""What a call of `navier_stokes_loss` costs beyond its kernel: checks, allocation, dispatcher, autograd.

The compiled function is replaced by one that takes the time and passes the call on, so that the kernel's share is that
of the very call which is timed from outside. At one point there is next to nothing for the kernel to do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import ours
from harness import validate
from networks import draw_network, flow_oracle
from sampling import Statistics
from step_cases import TOLERANCE

from pinn_ext import _core

__all__ = ["measure_overhead"]

WARM_UP = 200


def measure_overhead(calls: int = 2000, *, width: int = 64, num_hidden: int = 4) -> dict[str, Any]:
    """Seconds of the call, of the kernel in it, of the difference, and of loss and ``backward()`` together.

    Raises:
        WrongResultError: the call does not compute the loss and its gradients.
    """
    network = draw_network(1, width, num_hidden)
    step = ours.single_pass("pinn_ext", network)
    validate("overhead", step.result(), flow_oracle(network), TOLERANCE)
    call = ours.loss_of(network.trainable())
    spent: list[int] = []
    with _timed_kernel(spent):
        whole = _seconds(call, calls)
    if len(spent) != WARM_UP + calls:
        raise RuntimeError(f"overhead: expected each of {WARM_UP + calls} calls to run one kernel, got {len(spent)}")
    inside = [ns * 1e-9 for ns in spent[-calls:]]
    return {
        "size": network.size,
        "call_s": asdict(Statistics.of(whole)),
        "kernel_s": asdict(Statistics.of(inside)),
        "overhead_s": asdict(Statistics.of([w - i for w, i in zip(whole, inside, strict=True)])),
        "step_s": asdict(Statistics.of(_seconds(step.run, calls))),
    }


@contextmanager
def _timed_kernel(spent: list[int]) -> Iterator[None]:
    """Within, each call of the compiled loss adds its nanoseconds."""
    kernel = _core.navier_stokes_loss

    def timed(*arguments: Any, **named: Any) -> None:
        start = time.perf_counter_ns()
        kernel(*arguments, **named)
        spent.append(time.perf_counter_ns() - start)

    _core.navier_stokes_loss = timed
    try:
        yield
    finally:
        _core.navier_stokes_loss = kernel


def _seconds(run: Callable[[], object], calls: int) -> list[float]:
    samples = []
    for index in range(WARM_UP + calls):
        start = time.perf_counter_ns()
        run()
        end = time.perf_counter_ns()
        if index >= WARM_UP:
            samples.append((end - start) * 1e-9)
    return samples
