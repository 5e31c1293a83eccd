"""What users of JAX have today: the same step under `jax.jit`, one function each formulation.

Importing this module imports JAX, on the CPU alone unless ``JAX_PLATFORMS`` says otherwise. Its arrays become torch
tensors outside the clock. Weights are kept as JAX's libraries keep them, [in, out].
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from typing import Any

# JAX would take three quarters of the GPU's memory at its first array.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import jax  # type: ignore[import-not-found, unused-ignore]
import jax.numpy as jnp  # type: ignore[import-not-found, unused-ignore]
import torch
from harness import Candidate
from networks import NU, Network
from torch import Tensor

Array = Any
Layers = list[tuple[Array, Array]]
Loss = Callable[[Layers, Array, Array], Array]


def per_point_hessians(name: str, network: Network) -> Candidate:
    """Jacobian and Hessians of one point under `vmap`, as in jaxpi (Wang et al. 2023, arXiv:2308.08468)."""

    def loss(layers: Layers, B: Array, x: Array) -> Array:
        def net(t: Array, x: Array, y: Array) -> Array:
            return _net(layers, B, jnp.stack([t, x, y]))

        def residual(t: Array, x: Array, y: Array) -> Array:
            u, v, _ = net(t, x, y)
            d_t, d_x, d_y = jax.jacrev(net, argnums=(0, 1, 2))(t, x, y)
            hessian_u = jax.hessian(lambda *point: net(*point)[0], argnums=(1, 2))(t, x, y)
            hessian_v = jax.hessian(lambda *point: net(*point)[1], argnums=(1, 2))(t, x, y)
            laplacian = jnp.stack([h[0][0] + h[1][1] for h in (hessian_u, hessian_v)])
            return _residual(u, v, d_t, d_x, d_y, laplacian)

        return _mean_square(jax.vmap(residual)(*x.T))

    return _candidate(name, network, loss)


def forward_over_forward(name: str, network: Network) -> Candidate:
    """`jax.jvp` along t, and jvp of jvp along x and y, for all points at once: what XLA does best."""

    def loss(layers: Layers, B: Array, x: Array) -> Array:
        def net(points: Array) -> Array:
            return _net(layers, B, points)

        def along(function: Callable[[Array], Any], axis: int) -> Callable[[Array], Any]:
            return lambda points: jax.jvp(function, (points,), (jnp.zeros_like(points).at[:, axis].set(1.0),))

        value, d_t = along(net, 0)(x)
        _, (d_x, d_xx) = along(along(net, 1), 1)(x)
        _, (d_y, d_yy) = along(along(net, 2), 2)(x)
        u, v, _ = value.T
        return _mean_square(_residual(u, v, d_t.T, d_x.T, d_y.T, (d_xx + d_yy).T).T)

    return _candidate(name, network, loss)


def jets(name: str, network: Network) -> Candidate:
    """The closed formulas of the jet, five streams through one matrix product for each layer."""

    def loss(layers: Layers, B: Array, x: Array) -> Array:
        k = 2.0 * math.pi * B
        phase = x @ k
        c, s, kappa = jnp.cos(phase), jnp.sin(phase), k[1] ** 2 + k[2] ** 2
        first = [jnp.concatenate([-s * rate, c * rate], 1) for rate in k]
        jet = jnp.stack([jnp.concatenate([c, s], 1), *first, jnp.concatenate([-c * kappa, -s * kappa], 1)])
        for weight, bias in layers[:-1]:
            z = jet @ weight
            f = jnp.tanh(z[0] + bias)
            f1 = 1.0 - f * f
            laplacian = -2.0 * f * f1 * (z[2] ** 2 + z[3] ** 2) + f1 * z[4]
            jet = jnp.concatenate([f[None], f1 * z[1:4], laplacian[None]])
        weight, bias = layers[-1]
        value, d_t, d_x, d_y, laplacian = jet @ weight
        u, v, _ = (value + bias).T
        return _mean_square(_residual(u, v, d_t.T, d_x.T, d_y.T, laplacian.T).T)

    return _candidate(name, network, loss)


def _net(layers: Layers, B: Array, x: Array) -> Array:
    phase = 2.0 * math.pi * (x @ B)
    hidden = jnp.concatenate([jnp.cos(phase), jnp.sin(phase)], -1)
    for weight, bias in layers[:-1]:
        hidden = jnp.tanh(hidden @ weight + bias)
    weight, bias = layers[-1]
    return hidden @ weight + bias


def _residual(u: Array, v: Array, d_t: Array, d_x: Array, d_y: Array, laplacian: Array) -> Array:
    """``momentum_x, momentum_y, continuity``; each derivative has the columns u, v, p in its first axis."""
    momentum_x = d_t[0] + u * d_x[0] + v * d_y[0] + d_x[2] - NU * laplacian[0]
    momentum_y = d_t[1] + u * d_x[1] + v * d_y[1] + d_y[2] - NU * laplacian[1]
    return jnp.stack([momentum_x, momentum_y, d_x[0] + d_y[1]])


def _mean_square(residual: Array) -> Array:
    return (residual**2).mean(0).sum()


def _candidate(name: str, network: Network, loss: Loss) -> Candidate:
    device = _device(network.x.device)

    def put(tensor: Tensor) -> Array:
        return jax.device_put(tensor.detach().cpu().numpy(), device)

    layers = [(put(w.T.contiguous()), put(b)) for w, b in zip(network.weights, network.biases, strict=True)]
    B, x = put(network.B), put(network.x)
    # Products in IEEE float32: the default of a GPU is less, and cost jaxpi its results.
    with jax.default_matmul_precision("highest"):
        compiled = jax.jit(jax.value_and_grad(loss)).lower(layers, B, x).compile()

    def run() -> Any:
        result: Any = compiled(layers, B, x)
        jax.block_until_ready(result)  # type: ignore[no-untyped-call, unused-ignore]
        return result

    return Candidate(name, run, tensors=_tensors)


def _device(device: torch.device) -> Any:
    try:
        return jax.devices("cpu" if device.type == "cpu" else "gpu")[0]
    except RuntimeError as error:
        raise RuntimeError(f"JAX has no device of this kind ({error})") from error


def _tensors(result: Any) -> Sequence[Tensor]:
    value, gradients = result
    flat = [value]
    for weight, bias in gradients:
        flat += [weight.T, bias]
    return [torch.tensor(jax.device_get(array)) for array in flat]
