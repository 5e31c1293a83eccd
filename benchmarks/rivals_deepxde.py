"""What users of DeepXDE have today: its network, its derivatives, its loss, on the PyTorch backend.

Importing this module imports DeepXDE. The step is DeepXDE's own, all of it but the optimiser: the points go from NumPy
to torch, derivatives are cached within a step, and each equation is a mean square.
"""

from __future__ import annotations

import io
import os
from contextlib import redirect_stderr
from typing import Any

import plain_torch
import torch
from harness import Candidate
from networks import NU, Network, torch_step
from torch import Tensor

os.environ["DDE_BACKEND"] = "pytorch"
with redirect_stderr(io.StringIO()):  # it names its backends
    import deepxde  # type: ignore[import-not-found, import-untyped, unused-ignore]

# DeepXDE makes a GPU, where there is one, the default of all new tensors, ours included.
torch.set_default_device(None)

__all__ = ["reverse_over_reverse"]


def reverse_over_reverse(name: str, network: Network) -> Candidate:
    """`dde.grad.jacobian` and `dde.grad.hessian` in the residual, as in DeepXDE's Navier-Stokes examples."""
    device = network.x.device
    sizes = [2 * network.B.shape[1], *(weight.shape[0] for weight in network.weights)]
    net = deepxde.nn.FNN(sizes, "tanh", "Glorot normal").to(device)
    B = network.B.detach().clone()
    net.apply_feature_transform(lambda x: plain_torch.fourier_features(x, B))
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

    def d(component: int, axis: int) -> Any:
        return deepxde.grad.jacobian(y, x, i=component, j=axis)

    def dd(component: int, axis: int) -> Any:
        return deepxde.grad.hessian(y, x, component=component, i=axis, j=axis)

    u, v = y[:, 0:1], y[:, 1:2]
    momentum_x = d(0, 0) + u * d(0, 1) + v * d(0, 2) + d(2, 1) - NU * (dd(0, 1) + dd(0, 2))
    momentum_y = d(1, 0) + u * d(1, 1) + v * d(1, 2) + d(2, 2) - NU * (dd(1, 1) + dd(1, 2))
    return [momentum_x, momentum_y, d(0, 1) + d(1, 2)]
