"""The package's own ways through a step, as its users call them: a function ``(name, network) -> Candidate`` each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from harness import Candidate
from networks import NU, SPEC, Network, heat_oracle, heat_residual, heat_source, torch_step
from torch import Tensor

import pinn_ext

__all__ = ["heat", "jet_and_residual", "loss_of", "on_threads", "single_pass"]


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
