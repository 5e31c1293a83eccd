"""A whole network in one operation: Fourier features, all layers, and every derivative of a jet.

    h_0 = [cos(2 pi x B), sin(2 pi x B)],   h_{l+1} = f(h_l W_l^T + b_l),   y = h_L W_L^T + b_L

The points go through all layers in tiles that stay in the cache, and the backward pass computes each tile again, so
memory does not grow with the number of points. How the tiles are chosen, and what limits them, stands in
``docs/performance.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

import torch
from torch import Tensor

from pinn_ext import _composed, _core
from pinn_ext._checks import check_backward_precision, check_coordinates, check_mlp, check_spec_fits
from pinn_ext._library import address, launch_place, register_operator
from pinn_ext._paths import fused_serves
from pinn_ext.activation import Activation
from pinn_ext.fourier import jet_streams
from pinn_ext.jet import Jet, JetSpec

__all__ = ["BackwardPrecision", "mlp_jet"]

BackwardPrecision = Literal["full", "bfloat16"]

# The parts of the points where the bits must not depend on the number of threads, and the numbers that the parts'
# gradients may take (256 MB in float64).
_INVARIANT_PARTS = 32
_INVARIANT_NUMBERS = 1 << 25


def mlp_jet(
    x: Tensor,
    B: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    spec: JetSpec,
    activation: Activation,
    *,
    thread_invariant: bool = False,
    backward_precision: BackwardPrecision = "full",
) -> Jet:
    """The jet of a multilayer perceptron behind Fourier features, in one pass.

    Args:
        x: ``[n, d]`` coordinates, float32 or float64, 1 <= d <= 8.
        B: ``[d, m]`` frequencies in cycles per unit of each coordinate.
        weights: of the linear layers, ``[width, 2m]``, ``[width', width]``, ..., ``[c, width'']``; 1 to 32 layers, the
            last one without an activation.
        biases: one for each weight, ``[out]``.
        spec: which derivatives, by column of ``x``.
        activation: ``"tanh"``, ``"sine"``, ``"silu"`` or ``"gelu"``, between the layers.
        thread_invariant: gradients with the same bits on any number of threads, at up to 32 gradients' worth of
            memory. Without it they are the same for the same number of threads.
        backward_precision: ``"bfloat16"`` rounds the factors of the matrix products of the backward pass, those that
            make the gradients of weights and of inputs, to 8 bits, 2^-8 of each product at most; sums and all else stay
            in float32. For float32 on CPUs with AVX512-BF16 (``build_info().backward_precisions``); what it gains and
            costs stands in ``docs/performance.md``.

    Returns:
        A jet of ``[spec.num_streams, n, c]``, differentiable once in ``B``, ``weights`` and ``biases``, not in ``x``.
        The backward pass computes the forward pass again; beside the result nothing grows with ``n``. A NaN in the
        input is one in the result.

    Raises:
        TypeError, ValueError: wrong type, shape, dtype or device; ``x`` that requires a gradient; an unknown
            activation; a coordinate that ``x`` does not have; a ``backward_precision`` that is not to be had here.
    """
    check_coordinates(x, B)
    check_mlp(x, B, weights, biases, activation)
    check_spec_fits(spec, x.shape[1])
    parameters = interleaved(weights, biases)
    parts = invariant_parts(B, weights) if thread_invariant else 0
    streams = spec.first, spec.laplacian_weights, spec.has_laplacian
    data = _mlp_jet(x, B, parameters, *streams, activation, parts, backward_precision)
    return Jet(data, spec)


def interleaved(weights: Sequence[Tensor], biases: Sequence[Tensor]) -> list[Tensor]:
    """``[W_0, b_0, W_1, b_1, ...]``, the order of the flat gradient."""
    return [tensor for pair in zip(weights, biases, strict=True) for tensor in pair]


def num_parameters(parameters: Sequence[Tensor]) -> int:
    """Numbers in all tensors."""
    return sum([p.numel() for p in parameters])


def invariant_parts(B: Tensor, weights: Sequence[Tensor]) -> int:
    """In how many parts the points are cut where threads must not matter: of sizes alone."""
    size = sum(w.numel() for w in weights) + B.numel()
    return max(1, min(_INVARIANT_PARTS, _INVARIANT_NUMBERS // size))


@lru_cache(maxsize=256)
def mlp_shape(
    n: int,
    d: int,
    m: int,
    widths: tuple[int, ...],
    first: tuple[int, ...],
    weights: tuple[float, ...],
    laplacian: bool,
    activation: str,
) -> Any:
    """The kernels' description of a network and its points."""
    streams = jet_streams(list(first), list(weights), laplacian)
    return _core.MlpShape(n, d, m, widths, streams, getattr(_core.Activation, activation))


def shape_of(
    x: Tensor,
    B: Tensor,
    parameters: Sequence[Tensor],
    first: Sequence[int],
    weights: Sequence[float],
    laplacian: bool,
    activation: str,
) -> Any:
    """`mlp_shape` of tensors."""
    (n, d), m = x.shape, B.shape[1]
    widths = (2 * m, *(bias.shape[0] for bias in parameters[1::2]))
    return mlp_shape(n, d, m, widths, tuple(first), tuple(weights), laplacian, activation)


def addresses(tensors: Sequence[Tensor]) -> list[int]:
    """The address of each tensor's first number."""
    return [t.data_ptr() for t in tensors]


def workspace(like: Tensor, shape: Any, gradient: bool, want_B: bool) -> Tensor | None:
    """The scratch memory of a CUDA kernel; a CPU kernel keeps its own."""
    if not like.is_cuda:
        return None
    return like.new_empty(_core.cuda_workspace_bytes(shape, gradient, want_B), dtype=torch.uint8)


def split_gradient(flat: Tensor, like: Sequence[Tensor], wanted: Sequence[bool]) -> list[Tensor | None]:
    """The flat gradient as one tensor for each of `like`, None where it is not wanted."""
    pieces = flat.split_with_sizes([t.numel() for t in like])
    return [piece.view(t.shape) if want else None for piece, t, want in zip(pieces, like, wanted, strict=True)]


def no_gradients(options: Sequence[Any]) -> list[Any]:
    """What autograd takes as the gradients of arguments that are no tensors: torch holds an empty list for one of
    tensors."""
    return [[] if isinstance(option, list | tuple) and not option else None for option in options]


def _kernel(
    x: Tensor,
    B: Tensor,
    parameters: list[Tensor],
    first: list[int],
    weights: list[float],
    laplacian: bool,
    activation: str,
    parts: int,
    backward_precision: str,
) -> Tensor:
    check_backward_precision(backward_precision, x)
    shape = shape_of(x, B, parameters, first, weights, laplacian, activation)
    if not fused_serves(shape, x):
        return _composed.mlp_jet(x, B, parameters, first, weights, laplacian, activation)
    x, B = x.contiguous(), B.contiguous()
    parameters = [p.contiguous() for p in parameters]
    out = _fake(x, B, parameters, first, weights, laplacian, activation, parts, backward_precision)
    if out.numel() == 0:
        return out
    scratch = workspace(x, shape, False, False)
    with launch_place(x) as place:
        _core.mlp_jet(*place, address(x), address(B), addresses(parameters), address(out), address(scratch), shape)
    return out


def _fake(
    x: Tensor,
    B: Tensor,
    parameters: list[Tensor],
    first: list[int],
    weights: list[float],
    laplacian: bool,
    activation: str,
    parts: int,
    backward_precision: str,
) -> Tensor:
    return x.new_empty((1 + len(first) + int(laplacian), x.shape[0], parameters[-1].shape[0]))


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, B, parameters, *ctx.options = inputs
    ctx.save_for_backward(x, B, *parameters)


def _autograd(ctx: Any, v_out: Tensor) -> tuple[Any, ...]:
    x, B, *parameters = ctx.saved_tensors
    want_B, want_parameters = ctx.needs_input_grad[1], ctx.needs_input_grad[2]
    *streams, parts, backward_precision = ctx.options
    flat = _mlp_jet_backward(v_out, x, B, parameters, *streams, want_B, parts, backward_precision)
    inputs, wanted = [*parameters], [*want_parameters]
    if want_B:
        inputs, wanted = [*parameters, B], [*want_parameters, True]
    v_parameters = split_gradient(flat, inputs, wanted)
    v_B = v_parameters.pop() if want_B else None
    return None, v_B, v_parameters, *no_gradients(ctx.options)


def _backward_kernel(
    v_out: Tensor,
    x: Tensor,
    B: Tensor,
    parameters: list[Tensor],
    first: list[int],
    weights: list[float],
    laplacian: bool,
    activation: str,
    want_B: bool,
    parts: int,
    backward_precision: str,
) -> Tensor:
    bfloat16 = check_backward_precision(backward_precision, x)
    shape = shape_of(x, B, parameters, first, weights, laplacian, activation)
    if not fused_serves(shape, x):
        return _composed.mlp_jet_gradient(v_out, x, B, parameters, first, weights, laplacian, activation, want_B)
    size = num_parameters(parameters) + (B.numel() if want_B else 0)
    if v_out.numel() == 0:
        return x.new_zeros(size)
    v_out, x, B = v_out.contiguous(), x.contiguous(), B.contiguous()
    parameters = [p.contiguous() for p in parameters]
    gradient = x.new_empty(size)
    scratch = workspace(x, shape, True, want_B)
    with launch_place(x) as place:
        _core.mlp_jet_backward(
            *place,
            address(v_out),
            address(x),
            address(B),
            addresses(parameters),
            address(gradient),
            address(scratch),
            shape,
            want_B,
            parts,
            bfloat16,
        )
    return gradient


def _backward_fake(
    v_out: Tensor,
    x: Tensor,
    B: Tensor,
    parameters: list[Tensor],
    first: list[int],
    weights: list[float],
    laplacian: bool,
    activation: str,
    want_B: bool,
    parts: int,
    backward_precision: str,
) -> Tensor:
    return x.new_empty(num_parameters(parameters) + (B.numel() if want_B else 0))


_STREAMS = "int[] first, float[] weights, bool laplacian, str activation"

_mlp_jet = register_operator(
    f"mlp_jet(Tensor x, Tensor B, Tensor[] parameters, {_STREAMS}, int parts, str backward_precision) -> Tensor",
    _kernel,
    _fake,
    backward=_autograd,
    setup_context=_setup,
)
_mlp_jet_backward = register_operator(
    f"mlp_jet_backward(Tensor v_out, Tensor x, Tensor B, Tensor[] parameters, {_STREAMS}, bool want_B, int parts, "
    "str backward_precision) -> Tensor",
    _backward_kernel,
    _backward_fake,
)
