"""A linear layer on a jet: the same matrix on every stream, the bias on the value alone.

There is no kernel of ours here: all streams go through torch's matrix product at once.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from pinn_ext._impl.checks import check_same, check_tensor
from pinn_ext._impl.operator import register_operator
from pinn_ext._impl.product import Products, check_products, product
from pinn_ext.jet import Jet

__all__ = ["linear_jet"]


def linear_jet(jet: Jet, weight: Tensor, bias: Tensor | None = None, *, products: Products = "ieee") -> Jet:
    """``out[s] = jet[s] @ weight.T``, with ``bias`` added to stream 0, the value.

    Args:
        jet: ``[s, n, in]``, float32 or float64.
        weight: ``[out, in]``, dtype and device of the jet.
        bias: ``[out]``, or None.
        products: precision of the operands of the matrix products, as for `mlp_jet`.

    Returns:
        A jet of ``[s, n, out]``, differentiable once in the jet, ``weight`` and ``bias``.

    Raises:
        TypeError, ValueError: wrong type, shape, dtype or device.
    """
    check_tensor("jet.data", jet.data, ("s", "n", "in"))
    check_tensor("weight", weight, ("out", jet.data.shape[2]))
    check_same("weight", weight, "jet.data", jet.data)
    if bias is not None:
        check_tensor("bias", bias, (weight.shape[0],))
        check_same("bias", bias, "jet.data", jet.data)
    check_products(products, weight)
    return Jet(_linear_jet(jet.data, weight, bias, products), jet.spec)


def linear_jet_kernel(data: Tensor, weight: Tensor, bias: Tensor | None, products: str = "ieee") -> Tensor:
    out = product(data.reshape(-1, data.shape[2]), weight.t(), products)
    out = out.view(data.shape[0], data.shape[1], weight.shape[0])
    if bias is not None:
        out[0] += bias
    return out


def _fake(data: Tensor, weight: Tensor, bias: Tensor | None, products: str) -> Tensor:
    return data.new_empty((data.shape[0], data.shape[1], weight.shape[0]))


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    data, weight, bias, ctx.products = inputs
    ctx.has_bias = bias is not None
    ctx.save_for_backward(data, weight)


def _autograd(ctx: Any, v_out: Tensor) -> tuple[Tensor | None, Tensor, Tensor | None, None]:
    v_data, v_weight, v_bias = _linear_jet_backward(v_out, *ctx.saved_tensors, ctx.needs_input_grad[0], ctx.products)
    return v_data if ctx.needs_input_grad[0] else None, v_weight, v_bias if ctx.has_bias else None, None


def _backward_kernel(
    v_out: Tensor, data: Tensor, weight: Tensor, want_data: bool, products: str
) -> tuple[Tensor, Tensor, Tensor]:
    rows = v_out.reshape(-1, v_out.shape[2])
    v_data = product(rows, weight, products).view(data.shape) if want_data else data.new_empty(0)
    v_weight = product(rows.t(), data.reshape(-1, data.shape[2]), products)
    return v_data, v_weight, v_out[0].sum(0)


def _backward_fake(
    v_out: Tensor, data: Tensor, weight: Tensor, want_data: bool, products: str
) -> tuple[Tensor, Tensor, Tensor]:
    v_data = data.new_empty(data.shape if want_data else (0,))
    return v_data, weight.new_empty(weight.shape), weight.new_empty(weight.shape[0])


_linear_jet = register_operator(
    "linear_jet(Tensor data, Tensor weight, Tensor? bias, str products) -> Tensor",
    linear_jet_kernel,
    _fake,
    backward=_autograd,
    setup_context=_setup,
)
_linear_jet_backward = register_operator(
    "linear_jet_backward(Tensor v_out, Tensor data, Tensor weight, bool want_data, str products) "
    "-> (Tensor, Tensor, Tensor)",
    _backward_kernel,
    _backward_fake,
)
