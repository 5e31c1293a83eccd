"""A network's jet and the mean square of a residual on it, composed of the jet kernels and torch's matrix products.

    h_0 = fourier jet of x,   z_l = h_l W_l^T + b_l,   h_{l+1} = f(z_l),   y = z_L
    term_i = sum_points point_weight residual_i^2 / count,   total = sum_i term_weights[i] term_i

The kernels of the operators where no fused kernel takes the network: any dtype, any width. The forward and the backward
pass are scheduled by hand, on plain tensors without a graph, for one chunk of points after the other: memory is a
chunk's streams and the parameters' gradient, whatever n is. The gradient is one array: for each linear layer its weight
and its bias, then B where it is wanted, then the equation's coefficients. Each chunk's products are added to it in
place, in order, so that two runs give the same bits. Nothing here waits for the device or copies to it, and all sizes
follow from those of the arguments: a CUDA graph can hold it.

Adjoints: ``docs/conventions.md``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from pinn_ext._impl.product import product
from pinn_ext.activation import activation_jet_backward_kernel, activation_jet_kernel
from pinn_ext.fourier import fourier_jet_backward_kernel, fourier_jet_kernel
from pinn_ext.linear import linear_jet_kernel

__all__ = ["Network", "Residual", "gradient_views", "mean_square", "mlp_jacobian", "mlp_jet", "mlp_jet_gradient"]

MAX_NUMBERS = 2**25
"""Numbers that a chunk of points may hold: 128 MiB in float32, 256 MiB in float64, which every GPU has to spare.

With H hidden layers each array of a chunk then has about 2^25 / 2H numbers, 4 million of four layers: ten microseconds
of memory traffic at 3 TB/s, and more of products, so that a launch (some microseconds) does not count. On a CPU core
chunks of 2^18 to 2^25 numbers took the same time within 40 %.
"""


class Network(NamedTuple):
    """A network and the streams of its jet."""

    B: Tensor  # [d, m]
    parameters: list[Tensor]  # W_0 [out, 2m], b_0 [out], ...
    first: Sequence[int]
    lap_weights: Sequence[float]
    laplacian: bool
    activation: str
    products: str = "ieee"

    @property
    def streams(self) -> tuple[Sequence[int], Sequence[float], bool]:
        return self.first, self.lap_weights, self.laplacian

    @property
    def layers(self) -> list[tuple[Tensor, Tensor]]:
        return list(zip(self.parameters[::2], self.parameters[1::2], strict=True))

    @property
    def num_outputs(self) -> int:
        return self.layers[-1][0].shape[0]

    @property
    def num_streams(self) -> int:
        return 1 + len(self.first) + int(self.laplacian)

    def contiguous(self) -> Network:
        """The same with contiguous tensors."""
        return self._replace(B=self.B.contiguous(), parameters=[p.contiguous() for p in self.parameters])

    def empty_jet(self, x: Tensor) -> Tensor:
        """Memory for the jet at the points x, [s, n, c]."""
        return x.new_empty((self.num_streams, x.shape[0], self.num_outputs))

    def chunks(self, n: int, *, kept: bool) -> Iterator[slice]:
        """Equal parts of the points, each with at most MAX_NUMBERS numbers at its fullest moment."""
        features, *hidden = [weight.shape[1] for weight, _ in self.layers]
        widest = max(features, *hidden, self.num_outputs)
        # Forward alone a layer's input and output live together; else all that is kept, and one cotangent more. Beside
        # them the results and what is computed of them, with what the chunk before has left of these.
        numbers = (features + 2 * sum(hidden) + widest if kept else 2 * widest) + 3 * self.num_outputs
        most = max(1, MAX_NUMBERS // (self.num_streams * numbers))
        length = -(-n // -(-n // most)) if n else 1
        return (slice(begin, min(begin + length, n)) for begin in range(0, n, length))

    def jet(self, x: Tensor, tape: list[Tensor] | None = None) -> Tensor:
        """The network's jet, [s, n, c]. The tape takes what ``backward`` reads: h_0, z_0, h_1, z_1, ..., h_L.

        The h could be computed from the z again, in two thirds of the memory. But what a chunk holds is bounded as it
        is, and that costs a pass through each activation, up to 7 % of the time on one CPU core.
        """
        keep = _forget if tape is None else tape.append
        data = fourier_jet_kernel(x, self.B, *self.streams)
        keep(data)
        *hidden, last = self.layers
        for weight, bias in hidden:
            data = linear_jet_kernel(data, weight, bias, self.products)
            keep(data)
            data = activation_jet_kernel(data, *self.streams, self.activation)
            keep(data)
        return linear_jet_kernel(data, *last, self.products)

    def backward(self, v_out: Tensor, x: Tensor, tape: list[Tensor], gradient: list[Tensor]) -> None:
        """Adds a chunk's share to the views ``gradient``, B's where there is one for it. Uses the tape up."""
        layers = self.layers
        for layer in reversed(range(len(layers))):
            inputs = tape.pop()
            columns, rows = inputs.view(-1, inputs.shape[2]), v_out.view(-1, v_out.shape[2])
            product(rows.t(), columns, self.products, out=gradient[2 * layer], add=True)
            gradient[2 * layer + 1].add_(v_out[0].sum(0))
            if layer == 0 and len(gradient) == 2 * len(layers):
                return
            # The inputs have been used: their cotangent takes their place.
            v_out = product(rows, layers[layer][0], self.products, out=columns).view_as(inputs)
            if layer > 0:
                v_out = activation_jet_backward_kernel(v_out, tape.pop(), *self.streams, self.activation)
        _, v_B = fourier_jet_backward_kernel(v_out, x, self.B, *self.streams, False)
        gradient[-1].add_(v_B)

    def backward_rows(self, v_out: Tensor, tape: list[Tensor], rows: Tensor) -> None:
        """Writes the gradient of each point by itself, rows [n, p]. Leaves the tape as it is."""
        stop = rows.shape[1]
        for layer in reversed(range(len(self.layers))):
            weight, inputs = self.layers[layer][0], tape[2 * layer]
            out, width = weight.shape
            rows[:, stop - out : stop] = v_out[0]
            stop -= out * (width + 1)
            here = rows[:, stop : stop + out * width].view(-1, out, width)
            here.copy_(torch.einsum("sno,snk->nok", v_out, inputs))
            if layer > 0:
                v_out = torch.mm(v_out.reshape(-1, out), weight).view_as(inputs)
                v_out = activation_jet_backward_kernel(v_out, tape[2 * layer - 1], *self.streams, self.activation)


def _forget(tensor: Tensor) -> None:
    """Keeps nothing."""


def gradient_views(like: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Zeros for the gradients of some tensors, one array, and a view of each one's part in its shape."""
    flat = like[0].new_zeros(sum(tensor.numel() for tensor in like))
    parts = torch.split(flat, [tensor.numel() for tensor in like])
    return flat, [part.view(tensor.shape) for part, tensor in zip(parts, like, strict=True)]


def mlp_jet(x: Tensor, network: Network) -> Tensor:
    """The jet of a network at the points x [n, d], [s, n, c]."""
    out = network.empty_jet(x)
    for chunk in network.chunks(x.shape[0], kept=False):
        out[:, chunk] = network.jet(x[chunk])
    return out


def mlp_jet_gradient(v_out: Tensor, x: Tensor, network: Network, want_B: bool) -> Tensor:
    """The gradient of the parameters, then B's where it is wanted, given the cotangent of ``mlp_jet``'s result."""
    flat, gradient = gradient_views([*network.parameters, *[network.B] * want_B])
    for chunk in network.chunks(x.shape[0], kept=True):
        tape: list[Tensor] = []
        network.jet(x[chunk], tape)
        network.backward(v_out[:, chunk].contiguous(), x[chunk], tape, gradient)
    return flat


def mlp_jacobian(v_out: Tensor, x: Tensor, network: Network, rows: Tensor) -> None:
    """Writes the gradient of each point for each cotangent of its jet: v_out [columns, s, n, c], rows [n, columns, p].

    Products of one point's few streams: the memory of the rows bounds it, not the arithmetic.
    """
    for chunk in network.chunks(x.shape[0], kept=True):
        tape: list[Tensor] = []
        network.jet(x[chunk], tape)
        for column, v in enumerate(v_out):
            network.backward_rows(v[:, chunk].contiguous(), tape, rows[chunk, column])


class Residual(Protocol):
    """The residual of an equation on the jet of a chunk of points, and its adjoint."""

    def forward(self, data: Tensor, chunk: slice) -> Tensor:
        """[n, c], one column for each term."""

    def backward(self, v_residual: Tensor, data: Tensor, chunk: slice) -> Tensor:
        """The cotangent of the jet; adds to the gradients of the equation's own coefficients."""


def mean_square(
    x: Tensor,
    network: Network,
    equation: Residual,
    term_weights: Tensor,
    point_weights: Tensor | None,
    count: float,
    residual: Tensor | None,
    gradient: list[Tensor] | None,
) -> tuple[Tensor, Tensor]:
    """``total`` [] and ``terms`` [c], the weighted mean square of a residual on the network's jet.

    ``term_weights`` [c]; ``point_weights`` [n], or None: ones; ``count`` is what the sums over points are divided by,
    the points of the whole step. Writes the residual [n, c] where there is memory for it, and adds to ``gradient``, the
    views of the parameters' gradients, and B's where it is wanted; None: no gradient.
    """
    n = x.shape[0]
    terms, scale = torch.zeros_like(term_weights), term_weights * (2.0 / count)
    for chunk in network.chunks(n, kept=gradient is not None):
        tape: list[Tensor] | None = None if gradient is None else []
        data = network.jet(x[chunk], tape)
        here = equation.forward(data, chunk)
        if residual is not None:
            residual[chunk] = here
        weighted = here if point_weights is None else here * point_weights[chunk, None]
        terms.add_((weighted * here).sum(0))
        if tape is not None and gradient is not None:
            network.backward(equation.backward(weighted * scale, data, chunk), x[chunk], tape, gradient)
    terms.div_(count)
    return (term_weights * terms).sum(), terms
