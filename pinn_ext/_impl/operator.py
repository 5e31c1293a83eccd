"""How an operation becomes a torch operator: schema, CPU and CUDA kernel, fake, autograd.

The operators live in ``torch.ops.pinn_ext``. They are registered through ``torch.library`` at the dispatcher's own
level, so that ``torch.compile``, ``torch.export``, modes and transforms see them as they see torch's own. Each backward
pass is an operator too; one that has no autograd formula of its own raises when it is differentiated.

Eager calls on plain tensors take a short way: the same kernel and the same autograd formula without the dispatcher,
which in Python costs more than a small network's whole step (docs/performance.md). Inside ``torch.func`` the formula
follows the rules of transforms; the autograd of ``torch.library`` has none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import wraps
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.autograd import forward_ad

__all__ = ["Array", "Operator", "array", "launch_place", "outside_graphs", "register_operator"]

_library: Any = torch.library.Library("pinn_ext", "DEF")  # type: ignore[no-untyped-call]


def _refusal(name: str) -> Callable[..., Any]:
    def refuse(ctx: Any, *cotangents: Any) -> Any:
        raise RuntimeError(
            f"pinn_ext.{name}: expected to be differentiated no further, got a backward pass through it "
            "(fourier_features in plain torch is differentiable to any order)"
        )

    return refuse


def _kernel_alone(name: str, kernel: Callable[..., Any]) -> Callable[..., Any]:
    """The kernel without autocast, and not inside ``torch.func.jvp`` or a dual level.

    Autocast would round the kernel's own matrix products to bfloat16. And operators of ``torch.library`` have no
    forward-mode rule: they would drop the tangents and hand back zeros without a word. The level is all that can be
    seen here, so an operator on plain tensors inside one is refused as well.
    """

    @wraps(kernel)
    def run(*arguments: Any) -> Any:
        if forward_ad._current_level >= 0:
            raise RuntimeError(
                f"pinn_ext.{name}: expected to run outside forward-mode differentiation (torch.func.jvp, dual levels), "
                "for which it has no rule; jets carry derivatives by coordinates, grad and jacrev those by parameters"
            )
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                with torch.autocast(device, enabled=False):
                    return run(*arguments)
        return kernel(*arguments)

    return run


def _nobody_watches() -> bool:
    """Whether no compiler, mode, tracer or profiler has to see the operator."""
    return (
        not torch.compiler.is_compiling()
        and torch._C._len_torch_dispatch_stack() == 0
        and not torch._C._autograd._profiler_enabled()
        and not torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    )


def outside_graphs(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which torch.compile does not look into. As a decorator this would import the compiler: 1 s."""
    return torch.compiler.disable(function) if torch.compiler.is_compiling() else function  # type: ignore[no-untyped-call]


def transforms_active() -> bool:
    """Whether a transform of ``torch.func`` is active. Its tensors have no memory that a kernel could read."""
    return torch._C._are_functorch_transforms_active()


class Operator:
    """An operator of ``torch.ops.pinn_ext``; a call on plain tensors in eager mode does not go through the dispatcher.

    Args:
        schema, overload: of the registered operator.
        kernel, backward, setup_context: see `register_operator`.
    """

    def __init__(
        self,
        schema: str,
        overload: Any,
        kernel: Callable[..., Any],
        backward: Callable[..., Any],
        setup_context: Callable[..., None] | None,
    ) -> None:
        self.name = schema.split("(", 1)[0]
        self.overload = overload
        self.kernel = kernel
        self.backward = backward
        self.setup_context = setup_context
        arguments = schema[schema.index("(") + 1 : schema.index(")")].split(", ")
        types, self._names = zip(*[argument.split(" ") for argument in arguments], strict=True)
        self._tensors = tuple(i for i, kind in enumerate(types) if kind in ("Tensor", "Tensor?"))
        self._list = types.index("Tensor[]") if "Tensor[]" in types else None

    def __call__(self, *arguments: Any) -> Any:
        if transforms_active():
            return outside_graphs(torch_func_is_not_compiled)(self, arguments)
        if not _nobody_watches():
            return self.overload(*arguments)
        tensors = self.tensors_of(arguments)
        differentiable = False
        for tensor in tensors:
            if tensor is None:
                continue
            # The numbers of a lazy negative (the imaginary part of a conjugate) lie in memory with the other sign.
            if type(tensor) not in _PLAIN or tensor.is_neg():
                return self.overload(*arguments)
            differentiable = differentiable or tensor.requires_grad
        if differentiable and torch.is_grad_enabled():
            return _apply(self, arguments, *tensors)
        return self.kernel(*arguments)

    def tensors_of(self, arguments: Sequence[Any]) -> list[Any]:
        """The tensors among the arguments, or what stands in their places, those of the list last."""
        tensors = [arguments[i] for i in self._tensors]
        if self._list is not None:
            tensors += arguments[self._list]
        return tensors

    def names_of(self, count: int) -> list[str]:
        """The arguments' names, in the order of the ``count`` tensors of `tensors_of`."""
        names = [self._names[i] for i in self._tensors]
        return names + [self._names[i] for i in [self._list] * (count - len(names)) if i is not None]

    def placed(self, values: Sequence[Any], arguments: Sequence[Any]) -> tuple[Any, ...]:
        """The arguments with values in the places of the tensors, in the order of `tensors_of`."""
        nested = list(arguments)
        for i, value in zip(self._tensors, values, strict=False):
            nested[i] = value
        if self._list is not None:
            nested[self._list] = list(values[len(self._tensors) :])
        return tuple(nested)


_PLAIN = frozenset((Tensor, torch.nn.Parameter))


class _Nested:
    """An autograd context whose ``needs_input_grad`` has the form of the operator's arguments."""

    def __init__(self, ctx: Any) -> None:
        self._ctx = ctx
        self.needs_input_grad = ctx.operator.placed(ctx.needs_input_grad[2:], [None] * ctx.num_arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ctx, name)


class _Alive(_Nested):
    """The same for a backward pass after the transform, as that of ``torch.func.vjp`` may be.

    The tensors kept are then shells around those that have memory. Any operator of torch's own takes a shell off.
    """

    def __init__(self, ctx: Any) -> None:
        super().__init__(ctx)
        self.saved_tensors = tuple(t.view_as(t) for t in ctx.saved_tensors)


def _gradients(ctx: _Nested, cotangents: tuple[Any, ...]) -> tuple[Any, ...]:
    """What autograd takes of the operator's formula."""
    gradients = ctx.operator.backward(ctx, *cotangents)
    return None, None, *ctx.operator.tensors_of(gradients if isinstance(gradients, tuple) else (gradients,))


class _Eager(torch.autograd.Function):
    """An operator's autograd formula in eager mode. The tensors come once more, since autograd sees none in a tuple."""

    @staticmethod
    def forward(operator: Operator, arguments: tuple[Any, ...], *tensors: Any) -> Any:
        return operator.kernel(*arguments)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.operator, arguments = inputs[:2]
        ctx.num_arguments = len(arguments)
        if ctx.operator.setup_context is not None:
            ctx.operator.setup_context(ctx, arguments, output)

    @staticmethod
    def backward(ctx: Any, *cotangents: Any) -> Any:
        return _gradients(_Nested(ctx), cotangents)


class _InsideTorchFunc(_Eager):
    """The same formula with rules for the transforms of ``torch.func``."""

    @staticmethod
    def forward(operator: Operator, arguments: tuple[Any, ...], *tensors: Any) -> Any:
        return operator.overload(*arguments)  # a tracer may still watch

    @staticmethod
    def backward(ctx: Any, *cotangents: Any) -> Any:
        gradients = _gradients(_Alive(ctx), cotangents)
        names = ctx.operator.names_of(len(gradients) - 2)
        for name, needed, gradient in zip(names, ctx.needs_input_grad[2:], gradients[2:], strict=True):
            # A batch hides from the checks of arguments that a gradient is wanted; torch would take None for zeros.
            if needed and gradient is None and any(c is not None for c in cotangents):
                raise RuntimeError(
                    f"pinn_ext.{ctx.operator.name}: expected no gradient with respect to {name}, for which it "
                    "has no formula; detach it"
                )
        return gradients

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], operator: Operator, arguments: tuple[Any, ...], *tensors: Any) -> Any:
        """One entry of the batch after the other."""
        if info.batch_size == 0:
            raise ValueError(f"pinn_ext.{operator.name}: expected a batch of at least one for torch.func.vmap, got 0")
        results = []
        for i in range(info.batch_size):
            entry = [t if dim is None else t.select(dim, i) for t, dim in zip(tensors, in_dims[2:], strict=True)]
            results.append(operator(*operator.placed(entry, arguments)))
        if isinstance(results[0], tuple):
            return tuple(map(torch.stack, zip(*results, strict=True))), (0,) * len(results[0])
        return torch.stack(results), 0


def torch_func_is_not_compiled(operator: Operator, arguments: tuple[Any, ...]) -> Any:
    """Calls the operator where a transform is active. The name is what torch.compile gives as its reason."""
    tensors = operator.tensors_of(arguments)
    # torch.func.functionalize has no rule for a Function, and needs none: no operator writes to its arguments.
    if any(t is not None and torch._is_functional_tensor(t) for t in tensors):
        return operator.overload(*arguments)
    return _InsideTorchFunc.apply(operator, arguments, *tensors)  # type: ignore[no-untyped-call]


# Function.apply itself looks for functorch's transforms, argument by argument: 20 us a step. `Operator` has done so.
# tests/pinn_ext/test_private_names.py holds torch to what is assumed here.
_apply: Callable[..., Any] = super(torch.autograd.Function, _Eager).apply


def register_operator(
    schema: str,
    kernel: Callable[..., Any],
    fake: Callable[..., Any],
    *,
    backward: Callable[..., Any] | None = None,
    setup_context: Callable[..., None] | None = None,
) -> Operator:
    """Defines ``torch.ops.pinn_ext.<name>``.

    Args:
        schema: ``name(arguments) -> results`` in torch's schema language; at most one argument is a ``Tensor[]``.
        kernel: computes the results, on CPU and CUDA tensors alike.
        fake: allocates results of the right shape and dtype, for tracing.
        backward: ``backward(ctx, *cotangents)``, one result for each argument; None: not differentiable, and says so.
        setup_context: ``setup_context(ctx, inputs, output)`` saves what ``backward`` needs.
    """
    _library.define(schema)
    name = schema.split("(", 1)[0]
    kernel = _kernel_alone(name, kernel)
    for dispatch_key in ("CPU", "CUDA"):
        _library.impl(name, kernel, dispatch_key)
    torch.library.register_fake(f"pinn_ext::{name}", fake, lib=_library)
    if backward is None:
        # Without a formula torch would warn and hand back whatever other paths contribute: wrong numbers.
        backward, setup_context = _refusal(name), None
    torch.library.register_autograd(f"pinn_ext::{name}", backward, setup_context=setup_context, lib=_library)
    return Operator(schema, getattr(torch.ops.pinn_ext, name).default, kernel, backward, setup_context)


def launch_place(tensor: Tensor) -> AbstractContextManager[tuple[bool, int | None]]:
    """The device on which a kernel runs: ``with launch_place(x) as place: kernel(*place, ...)``.

    ``place`` is ``(is float64, stream)``; the stream is None on the CPU, else the current CUDA stream's handle.
    """
    if tensor.is_cuda:
        return _on_device(tensor)
    return _ON_CPU[tensor.dtype]


_ON_CPU = {torch.float32: nullcontext((False, None)), torch.float64: nullcontext((True, None))}


@contextmanager
def _on_device(tensor: Tensor) -> Iterator[tuple[bool, int | None]]:
    with torch.cuda.device(tensor.device):
        yield tensor.dtype == torch.float64, torch.cuda.current_stream(tensor.device).cuda_stream


Array: TypeAlias = tuple[int, int] | None
"""The address of a tensor's first number and how many numbers it has; None where there is no tensor."""


def array(tensor: Tensor | None) -> Array:
    """A tensor as the kernels take it that check lengths; None where there is none (not given, or not wanted)."""
    try:
        return None if tensor is None else (tensor.data_ptr(), tensor.numel())
    except RuntimeError as error:
        raise RuntimeError(
            "pinn_ext: expected tensors with memory, got one without; a batched backward pass (is_grads_batched=True, "
            "vectorize=True) has no rule, torch.func.jacrev and vmap have"
        ) from error
