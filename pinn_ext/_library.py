"""How an operation becomes a torch operator: schema, CPU and CUDA kernel, fake, autograd.

The operators live in ``torch.ops.pinn_ext``. They are registered through ``torch.library`` at the dispatcher's own
level, so that a call pays for one dispatch and no more, and so that ``torch.compile``, ``torch.export`` and DDP see
them as they see torch's own. Each backward pass is an operator too; one that has no autograd formula of its own
raises when it is differentiated.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

__all__ = ["address", "launch_place", "register_operator"]

_library: Any = torch.library.Library("pinn_ext", "DEF")  # type: ignore[no-untyped-call]


def _refusal(name: str) -> Callable[..., Any]:
    def refuse(ctx: Any, *cotangents: Any) -> Any:
        raise RuntimeError(f"pinn_ext.{name}: expected to be differentiated no further, got a backward pass through it")

    return refuse


def _without_forward_mode(name: str, kernel: Callable[..., Any]) -> Callable[..., Any]:
    """Refuses to run inside ``torch.func.jvp`` or a dual level.

    Operators of ``torch.library`` have no forward-mode rule: they would drop the tangents and hand back zeros without
    a word. The level is all that can be seen here, so an operator on plain tensors inside one is refused as well.
    """

    @wraps(kernel)
    def refuse_or_run(*arguments: Any) -> Any:
        if forward_ad._current_level >= 0:
            raise RuntimeError(
                f"pinn_ext.{name}: expected to run outside forward-mode differentiation (torch.func.jvp, dual levels), "
                "for which it has no rule; jets carry the derivatives by coordinates"
            )
        return kernel(*arguments)

    return refuse_or_run


def register_operator(
    schema: str,
    kernel: Callable[..., Any],
    fake: Callable[..., Any],
    *,
    backward: Callable[..., Any] | None = None,
    setup_context: Callable[..., None] | None = None,
) -> Any:
    """Defines ``torch.ops.pinn_ext.<name>`` and returns it.

    Args:
        schema: ``name(arguments) -> results`` in torch's schema language.
        kernel: computes the results, on CPU and CUDA tensors alike.
        fake: allocates results of the right shape and dtype, for tracing.
        backward: ``backward(ctx, *cotangents)``, one result for each argument; None: not differentiable, and says so.
        setup_context: ``setup_context(ctx, inputs, output)`` saves what ``backward`` needs.
    """
    _library.define(schema)
    name = schema.split("(", 1)[0]
    for dispatch_key in ("CPU", "CUDA"):
        _library.impl(name, _without_forward_mode(name, kernel), dispatch_key)
    torch.library.register_fake(f"pinn_ext::{name}", fake, lib=_library)
    if backward is None:
        # Without a formula torch would warn and hand back whatever other paths contribute: wrong numbers.
        backward, setup_context = _refusal(name), None
    torch.library.register_autograd(f"pinn_ext::{name}", backward, setup_context=setup_context, lib=_library)
    return getattr(torch.ops.pinn_ext, name).default


class launch_place:  # noqa: N801 - reads as the with statement that it is
    """The device on which a kernel runs: ``with launch_place(x) as place: kernel(*place, ...)``.

    ``place`` is ``(is float64, stream)``; the stream is None on the CPU, else the current CUDA stream's handle.
    """

    __slots__ = ("_guard", "_place")

    def __init__(self, tensor: Tensor) -> None:
        float64 = tensor.dtype == torch.float64
        if tensor.is_cuda:
            self._guard: Any = torch.cuda.device(tensor.device)
            self._place: tuple[bool, int | None] = (float64, torch.cuda.current_stream(tensor.device).cuda_stream)
        else:
            self._guard = nullcontext()
            self._place = (float64, None)

    def __enter__(self) -> tuple[bool, int | None]:
        self._guard.__enter__()
        return self._place

    def __exit__(self, *error: object) -> None:
        self._guard.__exit__(*error)


def address(tensor: Tensor | None) -> int:
    """The address of a tensor's first number; 0 where there is no tensor (not given, or not wanted)."""
    return 0 if tensor is None else tensor.data_ptr()
