"""A whole network in one operation: Fourier features, all layers, and every derivative of a jet.

    h_0 = [cos(2 pi x B), sin(2 pi x B)],   h_{l+1} = f(h_l W_l^T + b_l),   y = h_L W_L^T + b_L

The points go through all layers in tiles that stay in the cache, and the backward pass computes each tile again, so
memory does not grow with the number of points. How the tiles are chosen, and what limits them, stands in
``docs/performance.md``.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from pinn_ext._impl.checks import check_coordinates, check_mlp, check_spec_fits
from pinn_ext._impl.jet_operator import jet_operator
from pinn_ext._impl.network import interleaved, invariant_parts
from pinn_ext._impl.product import Products, check_products
from pinn_ext.activation import Activation
from pinn_ext.jet import Jet, JetSpec

__all__ = ["mlp_jet"]


def mlp_jet(
    x: Tensor,
    B: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    spec: JetSpec,
    activation: Activation,
    *,
    thread_invariant: bool | int = False,
    products: Products = "ieee",
) -> Jet:
    """The jet of a multilayer perceptron behind Fourier features, in one pass.

    Args:
        x: ``[n, d]`` coordinates, float32 or float64, 1 <= d <= 8.
        B: ``[d, m]`` frequencies in cycles per unit of each coordinate.
        weights: of the linear layers, ``[width, 2m]``, ``[width', width]``, ..., ``[c, width'']``; 1 to 32 layers, the
            last one without an activation.
        biases: one for each weight, ``[out]``.
        spec: which derivatives, by column of ``x``.
        activation: as for `activation_jet`, between the layers.
        thread_invariant: gradients with the same bits on any number of threads, at up to 32 gradients' worth of
            memory; a number, 1 to 32, is that of the parts whose gradients are added, and so of the threads that find
            work. Without it they are the same for the same number of threads.
        products: precision of the operands of the matrix products: "ieee", that of the tensors; "bfloat16", "float16",
            and on CUDA "tf32", for float32 alone: layer by layer, with sums, activations and all streams in float32,
            and less accurate (``docs/performance.md``).

    Returns:
        A jet of ``[spec.num_streams, n, c]``, differentiable once in ``B``, ``weights`` and ``biases``, not in ``x``.
        The backward pass computes the forward pass again; beside the result nothing grows with ``n``. A NaN in the
        input is one in the result.

    Raises:
        TypeError, ValueError: wrong type, shape, dtype or device; ``x`` that requires a gradient; an unknown
            activation; a coordinate that ``x`` does not have.
    """
    check_coordinates(x, B)
    check_mlp(x, B, weights, biases, activation)
    check_spec_fits(spec, x.shape[1])
    check_products(products, x)
    parts = invariant_parts(thread_invariant, B, weights)
    streams = spec.first, spec.laplacian_weights, spec.has_laplacian
    return Jet(jet_operator(x, B, interleaved(weights, biases), *streams, activation, products, parts), spec)
