"""``mlp_jet`` on plain tensors whose signature is known: no checks, and one node of autograd."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pinn_ext import _core
from pinn_ext._mlp_operator import gradient_operator
from pinn_ext._network import by_layer, split_flat

__all__ = ["EagerJet"]

_CPU = torch.device("cpu")


@dataclass(slots=True)
class EagerJet:
    """A call without its tensors.

    Args:
        dtype: of all tensors.
        out: shape of the jet.
        pieces: shape of each part of the flat gradient, in its order; empty: no gradient is wanted.
        want_frequencies: the gradient in ``B`` too.
        shape: of the network and its points, as the kernel takes it.
        streams: of the jet, as the operator takes them.
        activation, parts: as the operator takes them.
    """

    dtype: torch.dtype
    out: tuple[int, int, int]
    pieces: tuple[torch.Size, ...]
    want_frequencies: bool
    shape: Any
    streams: tuple[Any, ...]
    activation: str
    parts: int
    sizes: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.sizes = [piece.numel() for piece in self.pieces]

    def __call__(self, addresses: list[int], x: Tensor, B: Tensor, parameters: Sequence[Tensor]) -> Tensor:
        """The jet.

        Args:
            addresses: of x and B, then of all weights, then of all biases.
            x: points.
            B: frequencies.
            parameters: of the layers.
        """
        return _attach(self, addresses, x, B, *parameters) if self.pieces else self.run(addresses)

    def run(self, addresses: list[int]) -> Tensor:
        """Runs the kernel."""
        out = torch.empty(self.out, dtype=self.dtype, device=_CPU)
        x, B, *parameters = addresses
        if out.numel() > 0:
            _core.mlp_jet(self.dtype is torch.float64, None, x, B, by_layer(parameters), out.data_ptr(), 0, self.shape)
        return out


class _Attached(torch.autograd.Function):
    """The jet, with a backward pass by the operator of the gradient."""

    @staticmethod
    def forward(ctx: Any, call: EagerJet, addresses: list[int], x: Tensor, B: Tensor, *parameters: Tensor) -> Tensor:
        ctx.call = call
        ctx.save_for_backward(x, B, *parameters)
        return call.run(addresses)

    @staticmethod
    def backward(ctx: Any, *cotangents: Any) -> Any:
        x, B, *parameters = ctx.saved_tensors
        call: EagerJet = ctx.call
        options = *call.streams, call.activation, call.want_frequencies, call.parts
        flat = gradient_operator(cotangents[0], x, B, parameters, *options)
        shaped = split_flat(flat, call.sizes, call.pieces)
        v_B = shaped.pop() if call.want_frequencies else None
        return None, None, None, v_B, *shaped


# Function.apply itself first looks for functorch's transforms; whoever reads addresses has done so.
_attach: Callable[..., Any] = super(torch.autograd.Function, _Attached).apply
