"""What the tests of whole networks share: the same bits, agreement with the oracle, operators seen from outside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from cases import Case, forward_and_gradients, leaves, relative_error
from tolerances import KERNEL_FLOAT64, kernel_float32
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


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
