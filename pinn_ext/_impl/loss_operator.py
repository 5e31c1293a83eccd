"""``navier_stokes_loss`` as a torch operator: kernel, fake, autograd.

The gradient is computed with the loss and kept, flat: all parameters in the order of the layers, then ``B``, then
``nu``. The backward pass scales it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pinn_ext import _core
from pinn_ext._impl import composed
from pinn_ext._impl.network import (
    fused_supports,
    network_of,
    no_gradients,
    num_parameters,
    shape_of,
    split_gradient,
    workspace,
)
from pinn_ext._impl.operator import array, launch_place, register_operator
from pinn_ext.navier_stokes import (
    navier_stokes_residual_backward_kernel,
    navier_stokes_residual_kernel,
)

__all__ = ["LossArguments", "composed_loss", "loss_operator", "scale_operator"]


@dataclass(slots=True)
class LossArguments:
    """The arguments of the operator, in its order."""

    x: Tensor  # [n, d]
    B: Tensor  # [d, m]
    parameters: list[Tensor]  # W_0 [out, 2m], b_0 [out], ...
    nu: Tensor  # [], [1] or [n]
    term_weights: Tensor  # [c]
    point_weights: Tensor | None  # [n]
    forcing: Tensor | None  # [d_space] or [n, d_space]
    base: Tensor | None  # [n, 1 + d_space, d_space]
    first: Sequence[int]
    weights: Sequence[float]  # of the Laplacian
    activation: str
    products: str
    steady: bool
    count: float | None  # None: n
    want_residual: bool
    want_gradient: bool
    want_frequencies: bool
    want_viscosity: bool
    parts: int

    @property
    def has_time(self) -> bool:
        return len(self.first) == self.term_weights.shape[0]

    @property
    def divisor(self) -> float:
        return self.x.shape[0] if self.count is None else self.count

    @property
    def differentiated(self) -> list[Tensor]:
        """What the flat gradient holds, in its order."""
        if not self.want_gradient:
            return []
        return [*self.parameters, *[self.B] * self.want_frequencies, *[self.nu] * self.want_viscosity]

    def results(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Memory for total [], terms [c], residual [n, c] and flat gradient; of the last two [0] where not wanted."""
        x, columns = self.x, self.term_weights.shape[0]
        residual = x.new_empty((x.shape[0], columns) if self.want_residual else 0)
        return x.new_empty(()), x.new_empty(columns), residual, x.new_empty(num_parameters(self.differentiated))

    def make_contiguous(self) -> None:
        """Replaces tensors that are not contiguous."""
        self.x, self.B, self.nu = self.x.contiguous(), self.B.contiguous(), self.nu.contiguous()
        self.term_weights = self.term_weights.contiguous()
        self.point_weights = None if self.point_weights is None else self.point_weights.contiguous()
        self.forcing = None if self.forcing is None else self.forcing.contiguous()
        self.base = None if self.base is None else self.base.contiguous()
        self.parameters = [p.contiguous() for p in self.parameters]


def _kernel(*arguments: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    a = LossArguments(*arguments)
    shape = shape_of(a.x, a.B, a.parameters, a.first, a.weights, True, a.activation)
    if a.products != "ieee" or not fused_supports(shape, a.x):
        return composed_loss(a)
    a.make_contiguous()
    total, terms, residual, gradient = a.results()
    scratch = workspace(a.x, shape, a.want_gradient, a.want_frequencies)
    with launch_place(a.x) as place:
        _core.navier_stokes_loss(
            *place,
            network=network_of(a.x, a.B, a.parameters, shape),
            nu=array(a.nu),
            forcing=array(a.forcing),
            base=array(a.base),
            steady=a.steady,
            term_weights=array(a.term_weights),
            point_weights=array(a.point_weights),
            count=a.divisor,
            total=array(total),
            terms=array(terms),
            residual=array(residual) if a.want_residual else None,
            gradient=array(gradient) if a.want_gradient else None,
            workspace=array(scratch),
            want_B=a.want_frequencies,
            want_nu=a.want_viscosity,
            parts=a.parts,
        )
    return total, terms, residual, gradient


def _fake(*arguments: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return LossArguments(*arguments).results()


class _NavierStokes(NamedTuple):
    """The equation as the composed path takes it."""

    arguments: LossArguments
    v_nu: Tensor | None  # adds up the gradient of nu

    def _nu(self, chunk: slice) -> Tensor:
        return self.arguments.nu if self.arguments.nu.numel() == 1 else self.arguments.nu[chunk]

    def _with_base(self, data: Tensor, chunk: slice) -> Tensor:
        base, space = self.arguments.base, 1 + self.arguments.has_time
        if base is None:
            return data
        data, dim = data.clone(), base.shape[2]
        data[0, :, :dim] += base[chunk, 0]
        data[space : space + dim, :, :dim] += base[chunk, 1:].transpose(0, 1)
        return data

    def forward(self, data: Tensor, chunk: slice) -> Tensor:
        a, data = self.arguments, self._with_base(data, chunk)
        forcing = a.forcing[chunk] if a.forcing is not None and a.forcing.dim() == 2 else a.forcing
        return navier_stokes_residual_kernel(data, self._nu(chunk), forcing, a.has_time, a.steady)

    def backward(self, v_residual: Tensor, data: Tensor, chunk: slice) -> Tensor:
        a, nu, v_nu = self.arguments, self._nu(chunk), self.v_nu
        v_data, v_here = navier_stokes_residual_backward_kernel(
            v_residual, self._with_base(data, chunk), nu, a.has_time, a.steady, v_nu is not None
        )
        if v_nu is not None:
            (v_nu if v_nu.numel() == 1 else v_nu[chunk]).add_(v_here)
        return v_data


def composed_loss(a: LossArguments) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The results of the operator, layer by layer."""
    network = composed.Network(a.B, a.parameters, a.first, a.weights, True, a.activation, a.products)
    _, _, residual, flat = a.results()
    views, v_nu = None, None
    if a.want_gradient:
        flat, views = composed.gradient_views(a.differentiated)
        v_nu = views.pop() if a.want_viscosity else None
    total, terms = composed.mean_square(
        a.x,
        network,
        _NavierStokes(a, v_nu),
        a.term_weights,
        a.point_weights,
        a.divisor,
        residual if a.want_residual else None,
        views,
    )
    return total, terms, residual, flat


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    _, B, parameters, nu, *ctx.options = inputs
    _, terms, residual, gradient = output
    ctx.mark_non_differentiable(terms, residual, gradient)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(gradient, B, nu, *parameters)


def _autograd(ctx: Any, v_total: Tensor | None, *_: None) -> tuple[Any, ...]:
    if v_total is None:
        return None, None, [None] * len(ctx.needs_input_grad[2]), None, *no_gradients(ctx.options)
    gradient, B, nu, *parameters = ctx.saved_tensors
    want_B, want_nu = ctx.options[-3:-1]  # what the gradient holds; the others count as constants
    inputs = [*parameters, *[B] * want_B, *[nu] * want_nu]
    wanted = [*ctx.needs_input_grad[2], *[True] * (want_B + want_nu)]
    # The inputs serve the refusal of a second differentiation alone, and cost 9 us.
    scaled = scale_operator(v_total, inputs if torch.is_grad_enabled() else [], gradient)
    pieces = split_gradient(scaled, inputs, wanted)
    v_nu = pieces.pop() if want_nu else None
    v_B = pieces.pop() if want_B else None
    return None, v_B, pieces, v_nu, *no_gradients(ctx.options)


# An operator of its own, of the inputs too, so that differentiating the gradient once more raises an error.
def _backward_kernel(v_total: Tensor, inputs: list[Tensor], gradient: Tensor) -> Tensor:
    return gradient * v_total


def _backward_fake(v_total: Tensor, inputs: list[Tensor], gradient: Tensor) -> Tensor:
    return gradient.new_empty(gradient.shape)


loss_operator = register_operator(
    "navier_stokes_loss(Tensor x, Tensor B, Tensor[] parameters, Tensor nu, Tensor term_weights, "
    "Tensor? point_weights, Tensor? forcing, Tensor? base, int[] first, float[] weights, str activation, str products, "
    "bool steady, float? count, bool want_residual, bool want_gradient, bool want_B, bool want_nu, int parts) "
    "-> (Tensor, Tensor, Tensor, Tensor)",
    _kernel,
    _fake,
    backward=_autograd,
    setup_context=_setup,
)
scale_operator = register_operator(
    "navier_stokes_loss_backward(Tensor v_total, Tensor[] inputs, Tensor gradient) -> Tensor",
    _backward_kernel,
    _backward_fake,
)
