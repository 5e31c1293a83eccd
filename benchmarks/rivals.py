"""The rivals of a step: which there are, which can run here, and those of PyTorch and DeepXDE, one function each.

A rival is a function ``(name, network) -> Candidate``. Those of JAX are in a module that is imported only when it is
wanted, as DeepXDE is, so that a library that is not installed costs a line in the table and nothing else.

Nested `autograd.grad` is what most published scripts do, forward over forward what `torch.func` offers; the jets by
hand are closed formulas, eager and compiled by inductor.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import math
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from importlib import metadata
from typing import Any, TypeAlias

import torch
from harness import Candidate
from networks import NU, SPEC, Network, torch_step
from torch import Tensor
from torch.nn import functional

from pinn_ext import JetSpec, reference

NOT_INSTALLED = "not installed (pip install .[bench])"


@dataclass(frozen=True)
class Rival:
    """One formulation. ``needs``: the library it imports; ``compiles``: inductor, which takes its time."""

    name: str
    module: str
    function: str
    needs: str = "torch"
    compiles: bool = False

    def candidate(self, network: Network) -> Candidate:
        """Ready to run; imports the library."""
        make = getattr(importlib.import_module(self.module), self.function)
        result: Candidate = make(self.name, network)
        return result


RIVALS = (
    Rival("PyTorch eager, nested autograd", __name__, "nested_autograd"),
    Rival("torch.func, forward over forward", __name__, "forward_over_forward"),
    Rival("DeepXDE (PyTorch)", __name__, "reverse_over_reverse", needs="deepxde"),
    Rival("JAX jit, Hessians of a point", "rivals_jax", "per_point_hessians", needs="jax"),
    Rival("JAX jit, forward over forward", "rivals_jax", "forward_over_forward", needs="jax"),
    Rival("JAX jit, jets by hand", "rivals_jax", "jets", needs="jax"),
    Rival("PyTorch eager, jets by hand", __name__, "jets"),
    Rival("torch.compile, jets by hand", __name__, "compiled_jets", compiles=True),
)


def why_absent(rival: Rival, device: torch.device, *, quick: bool = False) -> str | None:
    """Why the rival is left out, for the table; None: it can run."""
    if importlib.util.find_spec(rival.needs) is None:
        return NOT_INSTALLED
    if not rival.compiles:
        return None
    if quick:
        return "left out by --quick (to compile takes 20 s)"
    if device.type == "cuda":
        return None if importlib.util.find_spec("triton") else "needs triton"
    return None if shutil.which(os.environ.get("CXX", "g++")) else "needs a C++ compiler (g++ or CXX)"


def rival_versions() -> dict[str, str | None]:
    """Versions of the rivals' libraries; None: not installed."""
    return dict(_versions("jax", "jaxlib", "deepxde"))


def _versions(*names: str) -> Iterator[tuple[str, str | None]]:
    for name in names:
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            yield name, None


TupleJet: TypeAlias = tuple[Tensor, Tensor, Tensor]
TURN = 2.0 * math.pi


def fourier_features(x: Tensor, B: Tensor) -> Tensor:
    """``[cos(2 pi x B), sin(2 pi x B)]``, [n, 2m]."""
    phase = TURN * (x @ B)
    return torch.cat([torch.cos(phase), torch.sin(phase)], 1)


def fourier_jet(x: Tensor, B: Tensor, spec: JetSpec) -> TupleJet:
    """The jet of the features: ``(-s k_j, c k_j)`` and ``(-c kappa, -s kappa)`` with the rates k = 2 pi B."""
    phase = TURN * (x @ B)
    c, s = torch.cos(phase), torch.sin(phase)
    k = TURN * B[list(spec.first)]
    kappa = (k.new_tensor(spec.laplacian_weights)[:, None] * k.square()).sum(0)
    k = k[:, None]
    return torch.cat([c, s], 1), torch.cat([-s * k, c * k], 2), torch.cat([-c * kappa, -s * kappa], 1)


def linear_jet(jet: TupleJet, weight: Tensor, bias: Tensor) -> TupleJet:
    """The matrix on every stream, the bias on the value."""
    value, first, laplacian = jet
    return (
        functional.linear(value, weight, bias),
        functional.linear(first, weight),
        functional.linear(laplacian, weight),
    )


def breakage_residual(g: Tensor, g_t: Tensor, v: Tensor, S: Tensor) -> Tensor:
    """Uniform daughters; log f plus the weight's log linear between nodes, the tail a reverse ``logcumsumexp``."""
    h = g + torch.log(S / v)
    rise = h.diff(dim=1)
    near = rise.abs() < 1e-2
    far = torch.where(near, 1.0, rise)
    series = 1.0 + rise / 2.0 * (1.0 + rise / 3.0 * (1.0 + rise / 4.0 * (1.0 + rise / 5.0 * (1.0 + rise / 6.0))))
    phi = torch.where(near, series, torch.expm1(far) / far)
    piece = h[:, :-1] + torch.log(phi * v.diff())
    tail = torch.logcumsumexp(piece.flip(1), 1).flip(1)
    birth = functional.pad(2.0 * torch.exp(tail - g[:, :-1]), (0, 1))
    return g_t + S - birth


def activation_jet(jet: TupleJet, spec: JetSpec, activation: str) -> TupleJet:
    """``f, f' z_j, f'' sum_j w_j z_j^2 + f' lap z``."""
    z, first, laplacian = jet
    f, f1, f2 = DERIVATIVES[activation](z)
    # A slice where the axes of the Laplacian lie together with unit weights, as they do here, spares a product.
    inner = first[spec.first.index(spec.laplacian[0]) :]
    return f, f1 * first, f2 * inner.square().sum(0) + f1 * laplacian


def _tanh(z: Tensor) -> TupleJet:
    f = torch.tanh(z)
    f1 = 1.0 - f * f
    return f, f1, -2.0 * f * f1


def _sine(z: Tensor) -> TupleJet:
    f = torch.sin(z)
    return f, torch.cos(z), -f


def _silu(z: Tensor) -> TupleJet:
    s = torch.sigmoid(z)
    s1 = s * (1.0 - s)
    return z * s, s + z * s1, s1 * (2.0 + z * (1.0 - 2.0 * s))


def _gelu(z: Tensor) -> TupleJet:
    distribution = 0.5 * (1.0 + torch.erf(z * math.sqrt(0.5)))
    density = torch.exp(-0.5 * z * z) * (1.0 / math.sqrt(TURN))
    return z * distribution, distribution + z * density, density * (2.0 - z * z)


# f, f' and f'' of the activations that are compared.
DERIVATIVES: dict[str, Callable[[Tensor], TupleJet]] = {"tanh": _tanh, "sine": _sine, "silu": _silu, "gelu": _gelu}


def navier_stokes_residual(jet: TupleJet, nu: float) -> Tensor:
    """Unsteady momentum and continuity, [n, d + 1], from a jet with the first derivatives (t, x, y[, z])."""
    value, first, laplacian = jet
    rate, *gradients = first
    dim = len(gradients)
    momentum = rate[:, :dim] - nu * laplacian[:, :dim]
    momentum = momentum + torch.stack([g[:, dim] for g in gradients], 1)
    for j, gradient in enumerate(gradients):
        momentum = momentum + value[:, j : j + 1] * gradient[:, :dim]
    continuity = torch.stack([g[:, j] for j, g in enumerate(gradients)]).sum(0)
    return torch.cat([momentum, continuity[:, None]], 1)


def network_residual(
    x: Tensor, B: Tensor, layers: Sequence[Tensor], spec: JetSpec, activation: str, nu: float
) -> Tensor:
    """The residual of a network on Fourier features, by jets. ``layers``: weight, bias, weight, bias, ..."""
    jet = fourier_jet(x, B, spec)
    for weight, bias in zip(layers[:-2:2], layers[1:-2:2], strict=True):
        jet = activation_jet(linear_jet(jet, weight, bias), spec, activation)
    return navier_stokes_residual(linear_jet(jet, layers[-2], layers[-1]), nu)


def nested_residual(x: Tensor, B: Tensor, layers: Sequence[Tensor], activation: str, nu: float) -> Tensor:
    """The two-dimensional residual of the same network by nested autograd, as most published scripts have it."""
    function = reference.ACTIVATIONS[activation]
    x = x.detach().requires_grad_(True)
    hidden = fourier_features(x, B)
    for weight, bias in zip(layers[:-2:2], layers[1:-2:2], strict=True):
        hidden = function(functional.linear(hidden, weight, bias))
    u, v, p = functional.linear(hidden, layers[-2], layers[-1]).unbind(1)
    u_t, u_x, u_y = _gradient(u, x)
    v_t, v_x, v_y = _gradient(v, x)
    _, p_x, p_y = _gradient(p, x)
    u_xx, u_yy = _gradient(u_x, x)[1], _gradient(u_y, x)[2]
    v_xx, v_yy = _gradient(v_x, x)[1], _gradient(v_y, x)[2]
    momentum_x = u_t + u * u_x + v * u_y + p_x - nu * (u_xx + u_yy)
    momentum_y = v_t + u * v_x + v * v_y + p_y - nu * (v_xx + v_yy)
    return torch.stack([momentum_x, momentum_y, u_x + v_y], 1)


def _gradient(y: Tensor, x: Tensor) -> tuple[Tensor, ...]:
    (gradient,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    return gradient.unbind(1)


def nested_autograd(name: str, network: Network) -> Candidate:
    """Three reverse passes for the gradients of u, v, p and four more for the second derivatives."""
    own = network.trainable()

    def loss() -> Tensor:
        return _mean_square(nested_residual(own.x, own.B, own.parameters(), "tanh", NU))

    return Candidate(name, torch_step(loss, own.parameters()))


def forward_over_forward(name: str, network: Network) -> Candidate:
    """`torch.func.jvp` along t, and jvp of jvp along x and y, for all points at once; then one reverse pass."""
    own = network.trainable()
    axes = [torch.zeros_like(own.x) for _ in range(3)]
    for axis, tangent in enumerate(axes):
        tangent[:, axis] = 1.0

    def net(x: Tensor) -> Tensor:
        hidden = fourier_features(x, own.B)
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
        return _mean_square(navier_stokes_residual(jet, NU))

    return Candidate(name, torch_step(loss, own.parameters()))


def jets(name: str, network: Network) -> Candidate:
    """The closed formulas of `py`, eager."""
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
    return _mean_square(network_residual(network.x, network.B, network.parameters(), SPEC, "tanh", NU))


def _mean_square(residual: Tensor) -> Tensor:
    return residual.square().mean(0).sum()


def _deepxde() -> Any:
    """Imports DeepXDE on its PyTorch backend."""
    os.environ["DDE_BACKEND"] = "pytorch"
    with redirect_stderr(io.StringIO()):  # it names its backends
        import deepxde  # type: ignore[import-not-found, import-untyped, unused-ignore]
    # DeepXDE makes a GPU, where there is one, the default of all new tensors, ours included.
    torch.set_default_device(None)
    return deepxde


def reverse_over_reverse(name: str, network: Network) -> Candidate:
    """`dde.grad.jacobian` and `dde.grad.hessian` in the residual, as in DeepXDE's Navier-Stokes examples.

    The step is DeepXDE's own, all of it but the optimiser: the points go from NumPy to torch, derivatives are cached
    within a step, and each equation is a mean square.
    """
    deepxde = _deepxde()
    device = network.x.device
    sizes = [2 * network.B.shape[1], *(weight.shape[0] for weight in network.weights)]
    net = deepxde.nn.FNN(sizes, "tanh", "Glorot normal").to(device)
    B = network.B.detach().clone()
    net.apply_feature_transform(lambda x: fourier_features(x, B))
    parameters = []
    with torch.no_grad():
        for linear, weight, bias in zip(net.linears, network.weights, network.biases, strict=True):
            linear.weight.copy_(weight)
            linear.bias.copy_(bias)
            parameters += [linear.weight, linear.bias]

    cube = deepxde.geometry.Cuboid([-1, -1, -1], [1, 1, 1])
    data = deepxde.data.PDE(cube, _residual, [], anchors=network.x.cpu().numpy())
    model = deepxde.Model(data, net)
    model.compile("adam", lr=1e-3, verbose=0)
    points, targets, _ = data.train_next_batch()
    inputs = points if device.type == "cpu" else torch.as_tensor(points, device=device)

    def loss() -> Tensor:
        _, losses = model.outputs_losses_train(inputs, targets, None)
        return losses.sum()  # type: ignore[no-any-return]

    return Candidate(name, torch_step(loss, parameters))


def _residual(x: Any, y: Any) -> list[Any]:
    """Momentum in x and y, continuity; coordinates t, x, y are 0, 1, 2."""
    deepxde = _deepxde()

    def d(component: int, axis: int) -> Any:
        return deepxde.grad.jacobian(y, x, i=component, j=axis)

    def dd(component: int, axis: int) -> Any:
        return deepxde.grad.hessian(y, x, component=component, i=axis, j=axis)

    u, v = y[:, 0:1], y[:, 1:2]
    momentum_x = d(0, 0) + u * d(0, 1) + v * d(0, 2) + d(2, 1) - NU * (dd(0, 1) + dd(0, 2))
    momentum_y = d(1, 0) + u * d(1, 1) + v * d(1, 2) + d(2, 2) - NU * (dd(1, 1) + dd(1, 2))
    return [momentum_x, momentum_y, d(0, 1) + d(1, 2)]
