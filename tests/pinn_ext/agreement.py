"""What the tests of whole networks share: the same bits, agreement with the oracle, operators seen from outside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from cases import Case, forward_and_gradients, leaves, relative_error
from tolerances import KERNEL_FLOAT64, kernel_float32
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

both_dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
no_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
every_device = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, no_gpu])])
# One network whose widths fill no whole vectors and one whose widths do: the CPU's tiles lie differently (csrc/mlp).
ODD, EVEN = (5, 20, 37, 3), (32, 64, 3)
both_layouts = pytest.mark.parametrize("widths", [ODD, EVEN], ids=str)
# At least 1,131 parameters, 5 streams, 2,500 points: 13 times the work that makes a part worth a thread (csrc/mlp).
MANY = 2500


def same_bits(a: Sequence[Tensor], b: Sequence[Tensor]) -> bool:
    """Whether all tensors are equal, one by one."""
    return all(torch.equal(p, q) for p, q in zip(a, b, strict=True))


def assert_parity(case: Case, n: int, dtype: torch.dtype, seed: int) -> None:
    """Result and gradients of a case at ``n`` points are the oracle's in float64, to the rounding of ``dtype``."""
    inputs = case.inputs(n, seed=seed, dtype=dtype)
    exact = leaves(inputs, torch.float64)
    got = forward_and_gradients(case.kernel, inputs, seed=seed)
    wanted = forward_and_gradients(case.oracle, exact, seed=seed)
    errors = [relative_error(g, w) for g, w in zip(got, wanted, strict=True)]
    single = kernel_float32(case.summands(n), case.amplification(*exact))
    assert max(errors) <= (KERNEL_FLOAT64 if dtype == torch.float64 else single), f"result, then gradients: {errors}"


class Watch(TorchDispatchMode):
    """Sees every operator, and so keeps calls from the short way."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(func.name())
        return func(*args, **(kwargs or {}))


def assert_watched(run: Callable[[], list[Tensor]], operators: set[str]) -> None:
    """A call that a mode or the profiler watches shows its operators, and has the bits of one that is not watched."""
    wanted = run()
    with Watch() as watch:
        assert same_bits(run(), wanted)
    assert watch.names >= operators
    with torch.profiler.profile() as profile:
        assert same_bits(run(), wanted)
    assert {event.name for event in profile.events()} >= operators


def assert_bits_of_threads(run: Callable[[bool], list[Tensor]], dtype: torch.dtype) -> tuple[list[Tensor], ...]:
    """The bits are those of the number of threads, or, where asked for, of the numbers alone.

    ``run(invariant)`` runs at MANY points. Returns what one thread has, and what every number of threads has.
    """

    def on(threads: int, invariant: bool) -> list[Tensor]:
        torch.set_num_threads(threads)
        return run(invariant)

    invariant = [on(threads, True) for threads in (1, 2, 3)]
    assert same_bits(invariant[0], invariant[1])
    assert same_bits(invariant[0], invariant[2])
    free = {threads: on(threads, False) for threads in (1, 2, 3)}
    for threads, wanted in free.items():
        assert same_bits(on(threads, False), wanted)
        bound = KERNEL_FLOAT64 if dtype == torch.float64 else kernel_float32(5 * MANY, 1.0)
        assert max(relative_error(g, w) for g, w in zip(wanted, invariant[0], strict=True)) <= bound
    # The points were shared out differently, so all of the above had something to hold together.
    assert not same_bits(free[1], free[2])
    assert not same_bits(free[2], free[3])
    return *free.values(), invariant[0]


def shows_as_in(got: list[Tensor], wanted: list[Tensor]) -> bool:
    """Whether what is not finite in plain torch is not finite here; returns whether the first result shows it."""
    for g, w in zip(got, wanted, strict=True):
        assert w.isfinite().all() or not g.isfinite().all()
    return not got[0].isfinite().all()
