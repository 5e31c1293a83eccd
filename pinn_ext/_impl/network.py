"""A network as the fused kernels take it: shape, parameters, flat gradient, scratch memory."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import torch
from torch import Tensor

from pinn_ext import _core
from pinn_ext._impl.operator import array
from pinn_ext.build_info import build_info

__all__ = [
    "fused_supports",
    "interleaved",
    "invariant_parts",
    "jet_streams",
    "mlp_shape",
    "network_of",
    "no_gradients",
    "num_parameters",
    "shape_of",
    "split_gradient",
    "workspace",
]

# The parts of the points where the bits must not depend on the number of threads, and the numbers that the parts'
# gradients may take (256 MB in float64).
_INVARIANT_PARTS = 32
_INVARIANT_NUMBERS = 1 << 25


def interleaved(weights: Sequence[Tensor], biases: Sequence[Tensor]) -> list[Tensor]:
    """``[W_0, b_0, W_1, b_1, ...]``, the order of the flat gradient."""
    return [tensor for pair in zip(weights, biases, strict=True) for tensor in pair]


def num_parameters(parameters: Sequence[Tensor]) -> int:
    """Numbers in all tensors."""
    return sum([p.numel() for p in parameters])


def invariant_parts(thread_invariant: bool | int, B: Tensor, weights: Sequence[Tensor]) -> int:
    """In how many parts the points are cut, of sizes alone; 0: as many as there are threads."""
    if not thread_invariant:
        return 0
    wanted = _INVARIANT_PARTS if thread_invariant is True else thread_invariant
    if not 1 <= wanted <= _INVARIANT_PARTS:
        raise ValueError(f"thread_invariant: expected a bool, or 1 to {_INVARIANT_PARTS} parts, got {wanted}")
    size = sum(w.numel() for w in weights) + B.numel()
    return max(1, min(wanted, _INVARIANT_NUMBERS // size))


@lru_cache(maxsize=256)
def _streams(first: tuple[int, ...], weights: tuple[float, ...], laplacian: bool) -> Any:
    return _core.JetStreams(first, weights, laplacian)


def jet_streams(first: Sequence[int], weights: Sequence[float], laplacian: bool) -> Any:
    """The kernels' description of a jet's streams."""
    return _streams(tuple(first), tuple(weights), laplacian)


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
    streams = _streams(first, weights, laplacian)
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


def network_of(x: Tensor, B: Tensor, parameters: Sequence[Tensor], shape: Any) -> Any:
    """The kernels' view of a network and its points, all contiguous."""
    return _core.Network(array(x), array(B), [array(p) for p in parameters], shape)


def workspace(like: Tensor, shape: Any, gradient: bool, want_B: bool) -> Tensor | None:
    """The scratch memory of a CUDA kernel; a CPU kernel keeps its own."""
    if not like.is_cuda:
        return None
    return like.new_empty(_core.cuda_workspace_bytes(shape, gradient, want_B), dtype=torch.uint8)


def split_gradient(flat: Tensor, like: Sequence[Tensor], wanted: Sequence[bool]) -> list[Tensor | None]:
    """The flat gradient as one tensor for each of `like`, None where it is not wanted."""
    pieces = zip(flat.split_with_sizes([t.numel() for t in like]), like, wanted, strict=True)
    return [(piece if t.dim() == 1 else piece.view_as(t)) if want else None for piece, t, want in pieces]


def no_gradients(options: Sequence[Any]) -> list[Any]:
    """What autograd takes as the gradients of arguments that are no tensors: torch holds an empty list for one of
    tensors."""
    return [[] if isinstance(option, list | tuple) and not option else None for option in options]


def fused_supports(shape: Any, x: Tensor) -> bool:
    """Whether the fused kernel takes this network on this device; where not, one warning says so."""
    # A build without CUDA has no path for a CUDA tensor: the fused kernel's twin says how to rebuild.
    if not x.is_cuda or not _built_with_cuda():
        return True
    if _core.cuda_fused_supports(shape, x.dtype == torch.float64):
        return True
    _warn_composed(str(x.dtype).removeprefix("torch."))
    return False


@cache
def _built_with_cuda() -> bool:
    return build_info().cuda_version is not None


@cache
def _warn_composed(dtype: str) -> None:
    warnings.warn(
        f"pinn_ext: a network in {dtype} on CUDA goes layer by layer (composed); fused there are, in {dtype}: "
        f"{build_info().fused[f'cuda {dtype}']} (pinn_ext.build_info().fused)",
        stacklevel=2,
    )
