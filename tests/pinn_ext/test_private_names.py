"""The private names of torch that the package relies on: a complete list, and what each of them is taken to mean."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.autograd import forward_ad
from torch.utils._python_dispatch import TorchDispatchMode

import pinn_ext

VERSION = f"in torch {torch.__version__}"
USED = {
    "torch._C._are_functorch_transforms_active",
    "torch._C._autograd._profiler_enabled",
    "torch._C._len_torch_dispatch_stack",
    "torch._is_functional_tensor",
    "torch.autograd.forward_ad._current_level",
}


def private_names(path: Path) -> Iterator[str]:
    """Attributes of torch in a file that begin with an underscore, but for ``__version__`` and its like."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute):
            name = ast.unparse(node).replace("forward_ad.", "torch.autograd.forward_ad.")
            last = name.rsplit(".", 1)[-1]
            if name.startswith("torch.") and last.startswith("_") and last not in ("_C", "_autograd", "__version__"):
                yield name


def test_the_list_is_complete() -> None:
    assert pinn_ext.__file__ is not None
    files = Path(pinn_ext.__file__).parent.rglob("*.py")
    assert {name for file in files for name in private_names(file)} == USED


class Mode(TorchDispatchMode):
    """A mode that changes nothing."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


def test_a_dispatch_mode_shows() -> None:
    assert torch._C._len_torch_dispatch_stack() == 0, VERSION
    with Mode():
        assert torch._C._len_torch_dispatch_stack() == 1, VERSION


@pytest.mark.parametrize("transform", [torch.func.grad, torch.func.vmap], ids=["grad", "vmap"])
def test_a_functional_transform_shows(transform: Any) -> None:
    seen = []

    def look(x: torch.Tensor) -> torch.Tensor:
        seen.append(torch._C._are_functorch_transforms_active())
        return x.sum()

    transform(look)(torch.ones(3))
    assert seen == [True], VERSION
    assert not torch._C._are_functorch_transforms_active(), VERSION


def test_a_profiler_shows() -> None:
    assert not torch._C._autograd._profiler_enabled(), VERSION
    with torch.profiler.profile():
        assert torch._C._autograd._profiler_enabled(), VERSION


def test_functionalize_shows_in_the_tensors() -> None:
    seen = []

    def look(x: torch.Tensor) -> torch.Tensor:
        seen.append(torch._is_functional_tensor(x))
        return x.sum()

    torch.func.functionalize(look)(torch.ones(3))
    torch.func.grad(look)(torch.ones(3))
    assert seen == [True, False], VERSION


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own forward mode
def test_forward_mode_shows() -> None:
    assert forward_ad._current_level < 0, VERSION
    with forward_ad.dual_level():
        assert forward_ad._current_level >= 0, VERSION
    levels = []

    def look(x: torch.Tensor) -> torch.Tensor:
        levels.append(forward_ad._current_level)
        return x

    torch.func.jvp(look, (torch.ones(1),), (torch.ones(1),))
    assert levels[0] >= 0, VERSION


def test_a_function_without_the_search_for_transforms() -> None:
    """`super(Function, ...).apply` is the C++ half of ``Function.apply``: the same node of autograd."""

    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            return 2.0 * x

        @staticmethod
        def backward(ctx: Any, *cotangents: Any) -> Any:
            return 2.0 * cotangents[0]

    apply = super(torch.autograd.Function, Double).apply
    x = torch.ones(2, requires_grad=True)
    y = apply(x)
    assert type(y.grad_fn) is type(Double.apply(x).grad_fn), VERSION
    y.sum().backward()
    assert torch.equal(x.grad, torch.full((2,), 2.0)), VERSION
