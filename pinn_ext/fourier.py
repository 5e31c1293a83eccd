"""Random Fourier features and their jets.

``features(x) = [cos(2 pi x B), sin(2 pi x B)]`` (Tancik et al., *Fourier features let networks learn high frequency
functions*, NeurIPS 2020, section 5). A scaling of the inputs, axis by axis, belongs into ``B``:
``fourier_jet(x, scale[:, None] * B, spec)`` sees stretched axes while every derivative stays physical
(VS-PINN, Ko and Park, J. Comput. Phys. 2025).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pinn_ext import _core
from pinn_ext._impl.checks import check_coordinates, check_spec_fits
from pinn_ext._impl.network import jet_streams
from pinn_ext._impl.operator import array, launch_place, register_operator
from pinn_ext.jet import Jet, JetSpec

__all__ = ["fourier_features", "fourier_jet"]


def fourier_features(x: Tensor, B: Tensor) -> Tensor:
    """The features ``[cos(2 pi x B), sin(2 pi x B)]``.

    Args:
        x: ``[n, d]`` coordinates, float32 or float64, 1 <= d <= 8.
        B: ``[d, m]`` frequencies in cycles per unit of each coordinate, dtype and device of ``x``.

    Returns:
        ``[n, 2m]``, the cosines before the sines. Differentiable in ``x`` and ``B`` to any order: value, first and
        second order by kernels, beyond that by plain torch. ``fourier_jet`` has the derivatives in one pass.

    Raises:
        TypeError, ValueError: wrong type, shape, dtype or device.
    """
    check_coordinates(x, B)
    return _fourier_features(x, B)  # type: ignore[no-any-return]


def fourier_jet(x: Tensor, B: Tensor, spec: JetSpec) -> Jet:
    """The jet of the features ``[cos(2 pi x B), sin(2 pi x B)]`` in one pass.

    Args:
        x: ``[n, d]`` coordinates, float32 or float64, 1 <= d <= 8.
        B: ``[d, m]`` frequencies in cycles per unit of each coordinate, dtype and device of ``x``.
        spec: which derivatives, by column of ``x``.

    Returns:
        A jet of ``[spec.num_streams, n, 2m]``, differentiable once in ``x`` and ``B``.

    Raises:
        TypeError, ValueError: wrong type, shape, dtype or device; a coordinate that ``x`` does not have.
    """
    check_coordinates(x, B)
    check_spec_fits(spec, x.shape[1])
    data = _fourier_jet(x, B, spec.first, spec.laplacian_weights, spec.has_laplacian)
    return Jet(data, spec)


def _sizes(x: Tensor, B: Tensor) -> dict[str, Any]:
    return {"n": x.shape[0], "d": x.shape[1], "m": B.shape[1]}


def _empty_partials(x: Tensor, B: Tensor) -> Tensor:
    """Room for one sum per chunk of points; adding them up in order gives the same bits on any number of threads."""
    return x.new_empty((_core.num_chunks(x.shape[0]), *B.shape))


# --- fourier_features ---------------------------------------------------------------------------------------------


def _features_kernel(x: Tensor, B: Tensor) -> Tensor:
    x, B = x.contiguous(), B.contiguous()
    out = x.new_empty((x.shape[0], 2 * B.shape[1]))
    with launch_place(x) as place:
        _core.fourier_features(*place, x=array(x), B=array(B), out=array(out), **_sizes(x, B))
    return out


def _features_fake(x: Tensor, B: Tensor) -> Tensor:
    return x.new_empty((x.shape[0], 2 * B.shape[1]))


def _features_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _features_autograd(ctx: Any, v_out: Tensor) -> tuple[Tensor, Tensor]:
    v_x, v_B = _fourier_features_backward(v_out, *ctx.saved_tensors)
    return v_x, v_B


def _features_backward_kernel(v_out: Tensor, x: Tensor, B: Tensor) -> tuple[Tensor, Tensor]:
    v_out, x, B = v_out.contiguous(), x.contiguous(), B.contiguous()
    v_x, partials = torch.empty_like(x), _empty_partials(x, B)
    with launch_place(x) as place:
        _core.fourier_features_backward(
            *place, v_out=array(v_out), x=array(x), B=array(B), v_x=array(v_x), partials=array(partials), **_sizes(x, B)
        )
    return v_x, partials.sum(0)


def _features_backward_fake(v_out: Tensor, x: Tensor, B: Tensor) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), B.new_empty(B.shape)


def _features_backward_autograd(ctx: Any, g_x: Tensor, g_B: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    gg_v_out, gg_x, gg_B = _fourier_features_second_order(g_x, g_B, *ctx.saved_tensors)
    return gg_v_out, gg_x, gg_B


def _second_order_kernel(
    g_x: Tensor, g_B: Tensor, v_out: Tensor, x: Tensor, B: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    g_x, g_B, v_out, x, B = (a.contiguous() for a in (g_x, g_B, v_out, x, B))
    gg_v_out, gg_x, partials = torch.empty_like(v_out), torch.empty_like(x), _empty_partials(x, B)
    with launch_place(x) as place:
        _core.fourier_features_second_order(
            *place,
            g_x=array(g_x),
            g_B=array(g_B),
            v_out=array(v_out),
            x=array(x),
            B=array(B),
            gg_v_out=array(gg_v_out),
            gg_x=array(gg_x),
            partials=array(partials),
            **_sizes(x, B),
        )
    return gg_v_out, gg_x, partials.sum(0)


def _second_order_fake(g_x: Tensor, g_B: Tensor, v_out: Tensor, x: Tensor, B: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return v_out.new_empty(v_out.shape), x.new_empty(x.shape), B.new_empty(B.shape)


def _second_order_in_torch(
    g_x: Tensor, g_B: Tensor, v_out: Tensor, x: Tensor, B: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The second-order kernel's formulas in differentiable torch operations: what higher orders are built on."""
    turn = 2 * math.pi
    m = B.shape[1]
    cos, sin = torch.cos(turn * x @ B), torch.sin(turn * x @ B)
    v_cos, v_sin = v_out[:, :m], v_out[:, m:]
    direction = turn * (g_x @ B + x @ g_B)
    v_phase = cos * v_sin - sin * v_cos
    v_rate = -direction * (cos * v_cos + sin * v_sin)
    gg_v_out = torch.cat([-sin * direction, cos * direction], 1)
    gg_x = turn * (v_rate @ B.T + v_phase @ g_B.T)
    gg_B = turn * (x.T @ v_rate + g_x.T @ v_phase)
    return gg_v_out, gg_x, gg_B


def _second_order_autograd(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
    create_graph = torch.is_grad_enabled()
    with torch.enable_grad(), torch.autocast(ctx.saved_tensors[0].device.type, enabled=False):
        # Aliases, because one input may depend on another (v_out on x, through the network behind the features):
        # a gradient of the inputs themselves would follow that path, which torch counts already.
        inputs = [i.view_as(i) for i in ctx.saved_tensors]
        outputs = _second_order_in_torch(*inputs)
        wanted = [i for i in inputs if i.requires_grad]
        results = iter(
            torch.autograd.grad(outputs, wanted, cotangents, create_graph=create_graph, materialize_grads=True)
        )
    return tuple(next(results) if i.requires_grad else None for i in inputs)


_fourier_features = register_operator(
    "fourier_features(Tensor x, Tensor B) -> Tensor",
    _features_kernel,
    _features_fake,
    backward=_features_autograd,
    setup_context=_features_setup,
)
_fourier_features_backward = register_operator(
    "fourier_features_backward(Tensor v_out, Tensor x, Tensor B) -> (Tensor, Tensor)",
    _features_backward_kernel,
    _features_backward_fake,
    backward=_features_backward_autograd,
    setup_context=_features_setup,
)
_fourier_features_second_order = register_operator(
    "fourier_features_second_order(Tensor g_x, Tensor g_B, Tensor v_out, Tensor x, Tensor B) "
    "-> (Tensor, Tensor, Tensor)",
    _second_order_kernel,
    _second_order_fake,
    backward=_second_order_autograd,
    setup_context=_features_setup,
)

# --- fourier_jet --------------------------------------------------------------------------------------------------


def fourier_jet_kernel(x: Tensor, B: Tensor, first: Sequence[int], weights: Sequence[float], laplacian: bool) -> Tensor:
    x, B = x.contiguous(), B.contiguous()
    out = _jet_fake(x, B, first, weights, laplacian)
    with launch_place(x) as place:
        _core.fourier_jet(
            *place,
            x=array(x),
            B=array(B),
            out=array(out),
            **_sizes(x, B),
            streams=jet_streams(first, weights, laplacian),
        )
    return out


def _jet_fake(x: Tensor, B: Tensor, first: Sequence[int], weights: Sequence[float], laplacian: bool) -> Tensor:
    return x.new_empty((1 + len(first) + int(laplacian), x.shape[0], 2 * B.shape[1]))


def _jet_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, B, *ctx.streams = inputs
    ctx.save_for_backward(x, B)


def _jet_autograd(ctx: Any, v_out: Tensor) -> tuple[Tensor | None, Tensor, None, None, None]:
    x, B = ctx.saved_tensors
    v_x, v_B = _fourier_jet_backward(v_out, x, B, *ctx.streams, ctx.needs_input_grad[0])
    return v_x if ctx.needs_input_grad[0] else None, v_B, None, None, None


def fourier_jet_backward_kernel(
    v_out: Tensor,
    x: Tensor,
    B: Tensor,
    first: Sequence[int],
    weights: Sequence[float],
    laplacian: bool,
    want_x: bool,
) -> tuple[Tensor, Tensor]:
    v_out, x, B = v_out.contiguous(), x.contiguous(), B.contiguous()
    v_x = torch.empty_like(x) if want_x else None
    partials = _empty_partials(x, B)
    with launch_place(x) as place:
        _core.fourier_jet_backward(
            *place,
            v_out=array(v_out),
            x=array(x),
            B=array(B),
            v_x=array(v_x),
            partials=array(partials),
            **_sizes(x, B),
            streams=jet_streams(first, weights, laplacian),
        )
    return x.new_empty(0) if v_x is None else v_x, partials.sum(0)


def _jet_backward_fake(v_out: Tensor, x: Tensor, B: Tensor, *options: Any) -> tuple[Tensor, Tensor]:
    want_x = options[-1]
    return x.new_empty(x.shape if want_x else (0,)), B.new_empty(B.shape)


_fourier_jet = register_operator(
    "fourier_jet(Tensor x, Tensor B, int[] first, float[] weights, bool laplacian) -> Tensor",
    fourier_jet_kernel,
    _jet_fake,
    backward=_jet_autograd,
    setup_context=_jet_setup,
)
_fourier_jet_backward = register_operator(
    "fourier_jet_backward(Tensor v_out, Tensor x, Tensor B, int[] first, float[] weights, bool laplacian, "
    "bool want_x) -> (Tensor, Tensor)",
    fourier_jet_backward_kernel,
    _jet_backward_fake,
)
