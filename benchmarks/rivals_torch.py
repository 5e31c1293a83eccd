"""What users of PyTorch have today: the same step four ways, one function each.

Nested `autograd.grad` is what most published scripts do, forward over forward what `torch.func` offers; the jets by
hand are `plain_torch.py`, eager and compiled by inductor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import plain_torch
import torch
from harness import Candidate
from networks import NU, SPEC, Network, torch_step
from torch import Tensor
from torch.nn import functional

__all__ = ["compiled_jets", "forward_over_forward", "jets", "nested_autograd"]


def nested_autograd(name: str, network: Network) -> Candidate:
    """Three reverse passes for the gradients of u, v, p and four more for the second derivatives."""
    own = network.trainable()

    def loss() -> Tensor:
        return _mean_square(plain_torch.nested_residual(own.x, own.B, own.parameters(), "tanh", NU))

    return Candidate(name, torch_step(loss, own.parameters()))


def forward_over_forward(name: str, network: Network) -> Candidate:
    """`torch.func.jvp` along t, and jvp of jvp along x and y, for all points at once; then one reverse pass."""
    own = network.trainable()
    axes = [torch.zeros_like(own.x) for _ in range(3)]
    for axis, tangent in enumerate(axes):
        tangent[:, axis] = 1.0

    def net(x: Tensor) -> Tensor:
        hidden = plain_torch.fourier_features(x, own.B)
        for weight, bias in zip(own.weights[:-1], own.biases[:-1], strict=True):
            hidden = torch.tanh(functional.linear(hidden, weight, bias))
        return functional.linear(hidden, own.weights[-1], own.biases[-1])

    def along(function: Callable[[Tensor], Any], tangent: Tensor) -> Callable[[Tensor], Any]:
        return lambda x: torch.func.jvp(function, (x,), (tangent,))

    def loss() -> Tensor:
        value, rate = along(net, axes[0])(own.x)
        _, (d_x, d_xx) = along(along(net, axes[1]), axes[1])(own.x)
        _, (d_y, d_yy) = along(along(net, axes[2]), axes[2])(own.x)
        jet = (value, torch.stack([rate, d_x, d_y]), d_xx + d_yy)
        return _mean_square(plain_torch.navier_stokes_residual(jet, NU))

    return Candidate(name, torch_step(loss, own.parameters()))


def jets(name: str, network: Network) -> Candidate:
    """The closed formulas of `plain_torch.py`, eager."""
    own = network.trainable()
    return Candidate(name, torch_step(lambda: _jet_loss(own), own.parameters()))


def compiled_jets(name: str, network: Network) -> Candidate:
    """The same under `torch.compile`: inductor fuses what stands between the matrix products."""
    own = network.trainable()
    # Each size starts from nothing: torch gives up compiling a function after a number of different sizes.
    torch.compiler.reset()
    compiled = torch.compile(lambda: _jet_loss(own), fullgraph=True, dynamic=False)
    return Candidate(name, torch_step(compiled, own.parameters()))


def _jet_loss(network: Network) -> Tensor:
    return _mean_square(plain_torch.network_residual(network.x, network.B, network.parameters(), SPEC, "tanh", NU))


def _mean_square(residual: Tensor) -> Tensor:
    return residual.square().mean(0).sum()
