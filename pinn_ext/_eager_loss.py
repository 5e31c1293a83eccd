"""``navier_stokes_loss`` on plain tensors whose signature is known: no checks, and one node of autograd."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pinn_ext import _core
from pinn_ext._navier_stokes_operator import scale_operator
from pinn_ext._network import by_layer, split_flat

__all__ = ["EagerLoss"]

_CPU = torch.device("cpu")


@dataclass(slots=True)
class EagerLoss:
    """A call without its tensors.

    Args:
        dtype: of all tensors.
        columns: of the residual.
        residual: shape of the residual, None: not wanted.
        pieces: shape of each part of the flat gradient, in its order; empty: no gradient is wanted.
        want_frequencies: the gradient in ``B`` too.
        want_viscosity: the gradient in ``nu`` too.
        count, shape, size, parts: as the kernel takes them.
    """

    dtype: torch.dtype
    columns: int
    residual: tuple[int, int] | None
    pieces: tuple[torch.Size, ...]
    count: float
    shape: Any
    size: Any
    want_frequencies: bool
    want_viscosity: bool
    parts: int
    sizes: list[int] = field(init=False)
    gradient_size: int = field(init=False)

    def __post_init__(self) -> None:
        self.sizes = [piece.numel() for piece in self.pieces]
        self.gradient_size = sum(self.sizes)

    def __call__(self, addresses: list[int], parameters: Sequence[Tensor], B: Tensor, nu: Tensor) -> tuple[Tensor, ...]:
        """``(total, terms[, residual])``.

        Args:
            addresses: of x, B, nu, forcing, term_weights, point_weights, then of all weights, then of all biases.
            parameters: of the layers.
            B: frequencies.
            nu: viscosity.
        """
        if not self.pieces:
            return self.run(addresses, None)
        differentiated = [*parameters]
        if self.want_frequencies:
            differentiated.append(B)
        if self.want_viscosity:
            differentiated.append(nu)
        others: list[Tensor] = []
        return (_attach(self, addresses, others, *differentiated), *others)

    def run(self, addresses: list[int], gradient: Tensor | None) -> tuple[Tensor, ...]:
        """Runs the kernel; writes the flat gradient where there is memory for it."""
        total = torch.empty((), dtype=self.dtype, device=_CPU)
        terms = torch.empty(self.columns, dtype=self.dtype, device=_CPU)
        residual = None if self.residual is None else torch.empty(self.residual, dtype=self.dtype, device=_CPU)
        x, B, nu, forcing, term_weights, point_weights, *parameters = addresses
        _core.navier_stokes_loss(
            self.dtype is torch.float64,
            None,
            x,
            B,
            by_layer(parameters),
            nu,
            forcing,
            term_weights,
            point_weights,
            self.count,
            total.data_ptr(),
            terms.data_ptr(),
            0 if residual is None else residual.data_ptr(),
            0 if gradient is None else gradient.data_ptr(),
            0,
            self.shape,
            self.size,
            self.want_frequencies,
            self.want_viscosity,
            self.parts,
        )
        return (total, terms) if residual is None else (total, terms, residual)


class _Attached(torch.autograd.Function):
    """The total, with a backward pass that scales the gradient computed beside it."""

    @staticmethod
    def forward(ctx: Any, call: EagerLoss, addresses: list[int], others: list[Tensor], *differentiated: Tensor) -> Any:
        gradient = torch.empty(call.gradient_size, dtype=call.dtype, device=_CPU)
        total, *rest = call.run(addresses, gradient)
        others += rest
        ctx.call = call
        # The tensors too: torch then tells whoever changes them before the backward pass, or differentiates it.
        ctx.save_for_backward(gradient, *differentiated)
        return total

    @staticmethod
    def backward(ctx: Any, *cotangents: Any) -> Any:
        gradient, *differentiated = ctx.saved_tensors
        call = ctx.call
        if torch.is_grad_enabled():  # create_graph: through the operator, which refuses a second derivative
            scaled = scale_operator(cotangents[0], differentiated, gradient)
        else:
            scaled = gradient * cotangents[0]
        return None, None, None, *split_flat(scaled, call.sizes, call.pieces)


# Function.apply itself first looks for functorch's transforms; whoever reads addresses has done so.
_attach: Callable[..., Any] = super(torch.autograd.Function, _Attached).apply
