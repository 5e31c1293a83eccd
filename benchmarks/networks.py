"""The network of the step benchmarks, its loss by the oracle, and the operations that a step cannot do without.

    h_0 = [cos(2 pi x B), sin(2 pi x B)],   h_l = tanh(h_{l-1} W_l^T + b_l),   y = h_L W^T + b

A *step* is the loss ``sum_i mean(residual_i^2)`` and its gradients in all weights and biases. A candidate hands
back ``(loss, v_weight, v_bias, v_weight, v_bias, ...)``, in the order of `Network.parameters`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from harness import Candidate
from torch import Tensor

import pinn_ext
from pinn_ext import Jet, JetSpec, reference

TOLERANCE = 1e-5  # of each tensor's largest magnitude, from the oracle in float64

Run = Callable[[], Sequence[Tensor]]
Residual = Callable[[Jet, slice], Tensor]

SPEC = JetSpec(first=(0, 1, 2), laplacian=(1, 2))  # (t, x, y)
NU = 0.01
ALPHA = 0.1  # diffusivity of the heat equation
ORACLE_NUMBERS = 1 << 17  # rows times features of one piece of the oracle: its graph then stays below 1 GB


@dataclass(frozen=True, eq=False)
class Network:
    """Points, frequencies and layers; ``weights[l]`` is [out, in], the last layer has no activation."""

    x: Tensor  # [n, 3]: t, x, y
    B: Tensor  # [3, m]
    weights: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]

    @property
    def num_points(self) -> int:
        """Rows of x."""
        return self.x.shape[0]

    @property
    def width(self) -> int:
        """Features of a hidden layer."""
        return self.weights[0].shape[0]

    @property
    def num_hidden(self) -> int:
        """Layers with an activation."""
        return len(self.weights) - 1

    @property
    def size(self) -> dict[str, int]:
        """By name, as the tables have it."""
        return {"n": self.num_points, "width": self.width, "layers": self.num_hidden}

    def parameters(self) -> tuple[Tensor, ...]:
        """Weight, bias, weight, bias, ..."""
        return tuple(itertools.chain.from_iterable(zip(self.weights, self.biases, strict=True)))

    def trainable(self, dtype: torch.dtype | None = None) -> Network:
        """The same numbers in tensors of its own, in which weights and biases are differentiated."""

        def own(tensor: Tensor, differentiated: bool) -> Tensor:
            return tensor.detach().to(dtype or tensor.dtype, copy=True).requires_grad_(differentiated)

        return Network(
            own(self.x, False),
            own(self.B, False),
            tuple(own(weight, True) for weight in self.weights),
            tuple(own(bias, True) for bias in self.biases),
        )


def draw_network(
    n: int,
    width: int,
    num_hidden: int,
    outputs: int = 3,
    *,
    device: torch.device | None = None,
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
) -> Network:
    """Points uniform in (-1, 1), frequencies of half a turn, weights of variance 1 / fan_in; m = width // 2.

    Drawn on the CPU in float32, so that every device and dtype sees the same numbers.
    """
    generator = torch.Generator().manual_seed(seed)
    m = max(1, width // 2)

    def normal(*shape: int, scale: float) -> Tensor:
        return (scale * torch.randn(shape, generator=generator)).to(device, dtype)

    x = (2.0 * torch.rand((n, 3), generator=generator) - 1.0).to(device, dtype)
    B = normal(3, m, scale=0.5)
    sizes = [2 * m, *[width] * num_hidden, outputs]
    weights = tuple(normal(o, i, scale=i**-0.5) for i, o in itertools.pairwise(sizes))
    biases = tuple(normal(o, scale=0.1) for o in sizes[1:])
    return Network(x, B, weights, biases)


def arithmetic_floor(network: Network) -> int:
    """Operations of the hidden layers' matrix products, ``2 s n W^2 (3 L - 1)`` for s streams and L layers of width W.

    Forward, gradient of the weight, gradient of the input; the first layer's input has none. Multiplications and
    additions both count. Features, activations, the last layer and the residual come on top and are not counted.
    """
    products = [weight.numel() for weight in network.weights[:-1]]
    return 2 * SPEC.num_streams * network.num_points * (3 * sum(products) - products[0])


def torch_step(loss: Callable[[], Tensor], parameters: Sequence[Tensor]) -> Run:
    """Loss and ``backward()``, as in a training loop; the gradients do not pile up."""

    def run() -> Sequence[Tensor]:
        for parameter in parameters:
            parameter.grad = None
        total = loss()
        total.backward()  # type: ignore[no-untyped-call]
        return (total, *(p.grad for p in parameters if p.grad is not None))

    return run


def oracle(network: Network, residual: Residual) -> list[Tensor]:
    """Loss and gradients in float64 by nested autograd, some rows at a time.

    Args:
        network: rounded as the candidates see it.
        residual: ``(jet, rows) -> [rows, r]``, differentiable.
    """
    exact = network.trainable(torch.float64)
    parameters = exact.parameters()
    n, step = network.num_points, max(1, ORACLE_NUMBERS // network.width)
    sums = [torch.zeros((), dtype=torch.float64, device=exact.x.device), *(torch.zeros_like(p) for p in parameters)]
    for begin in range(0, n, step):
        rows = slice(begin, min(begin + step, n))
        piece = replace(exact, x=exact.x[rows])
        jet = reference.mlp_jet(piece.x, piece.B, piece.weights, piece.biases, SPEC, "tanh")
        loss = residual(jet, rows).square().sum() / n
        gradients = torch.autograd.grad(loss, parameters)
        for total, part in zip(sums, (loss, *gradients), strict=True):
            total += part.detach()
    return sums


def flow_oracle(network: Network) -> list[Tensor]:
    """`oracle` of the Navier-Stokes step."""
    return oracle(network, lambda jet, rows: reference.navier_stokes_residual(jet, NU))


def heat_source(network: Network) -> Tensor:
    """``sin(3 x) cos(2 y) exp(-t)``, [n]."""
    t, x, y = network.x.unbind(1)
    return torch.sin(3.0 * x) * torch.cos(2.0 * y) * torch.exp(-t)


def heat_residual(jet: Jet, source: Tensor) -> Tensor:
    """``u_t - alpha lap u - s``, [n]: an equation that the package does not ship, as its user would write it."""
    assert jet.laplacian is not None
    return jet.first[0, :, 0] - ALPHA * jet.laplacian[:, 0] - source


def heat_oracle(network: Network) -> list[Tensor]:
    """`oracle` of the heat step; the source is rounded as the candidates see it."""
    source = heat_source(network).double()
    return oracle(network, lambda jet, rows: heat_residual(jet, source[rows]))


def single_pass(name: str, network: Network, dtype: torch.dtype | None = None) -> Candidate:
    """`navier_stokes_loss` and ``backward()``, gradients of all weights and biases."""
    own = network.trainable(dtype)
    return Candidate(name, torch_step(loss_of(own), own.parameters()))


def loss_of(network: Network) -> Callable[[], Tensor]:
    """The call of `navier_stokes_loss` alone."""
    weights, biases = list(network.weights), list(network.biases)
    term_weights = network.x.new_ones(3)

    def loss() -> Tensor:
        result = pinn_ext.navier_stokes_loss(
            network.x,
            network.B,
            weights,
            biases,
            NU,
            spec=SPEC,
            activation="tanh",
            term_weights=term_weights,
        )
        return result[0]

    return loss


def jet_and_residual(name: str, network: Network) -> Candidate:
    """`mlp_jet`, and behind it the residual as a user's own torch code."""
    own = network.trainable()

    def loss() -> Tensor:
        jet = pinn_ext.mlp_jet(own.x, own.B, own.weights, own.biases, SPEC, "tanh")
        return _flow_residual(jet).square().mean(0).sum()

    return Candidate(name, torch_step(loss, own.parameters()))


def heat(name: str, network: Network) -> Candidate:
    """`mlp_jet` and the heat equation with a source, which the package does not ship; a network of one output."""
    own, source = network.trainable(), heat_source(network)

    def loss() -> Tensor:
        jet = pinn_ext.mlp_jet(own.x, own.B, own.weights, own.biases, SPEC, "tanh")
        return heat_residual(jet, source).square().mean()

    return Candidate(name, torch_step(loss, own.parameters()), reference=lambda: heat_oracle(network))


def on_threads(threads: int, candidate: Candidate) -> Candidate:
    """The candidate on so many threads of torch and of the kernels; before and after, it is as many as it was."""

    def run() -> Sequence[Tensor]:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            return candidate.run()  # type: ignore[no-any-return]
        finally:
            torch.set_num_threads(before)

    return Candidate(candidate.name, run, candidate.tensors, candidate.reference, candidate.flops)


def _flow_residual(jet: pinn_ext.Jet) -> Tensor:
    """Unsteady Navier-Stokes in two dimensions, [n, 3]."""
    value, rate, d_x, d_y, laplacian = jet.data
    u, v = value[:, :1], value[:, 1:2]
    momentum = rate[:, :2] + u * d_x[:, :2] + v * d_y[:, :2] - NU * laplacian[:, :2]
    momentum = momentum + torch.stack([d_x[:, 2], d_y[:, 2]], 1)
    return torch.cat([momentum, d_x[:, :1] + d_y[:, 1:2]], 1)
