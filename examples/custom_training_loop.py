"""Your own training script with the kernels of pinn_ext: the Kovasznay flow from its boundary values.

    u . grad u + grad p - nu lap u = 0,   div u = 0   in [-0.5, 1] x [-0.5, 1.5],   u given on the boundary

    python examples/custom_training_loop.py [--steps 1000] [--device cuda]

Exact solution: L. I. G. Kovasznay, Proc. Camb. Phil. Soc. 44 (1948) 58-62.
"""

from __future__ import annotations

import argparse
import math

import torch
from torch import Tensor

import pinn_ext

NU = 1 / 40
SPEC = pinn_ext.JetSpec(first=(0, 1), laplacian=(0, 1))  # d/dx, d/dy and the Laplacian: what the equations need


def exact_velocity(x: Tensor) -> Tensor:
    """The velocity ``[n, 2]`` at points ``[n, 2]``."""
    rate = 0.5 / NU - math.sqrt(0.25 / NU**2 + 4 * math.pi**2)
    wave, angle = torch.exp(rate * x[:, 0]), 2 * math.pi * x[:, 1]
    return torch.stack([1 - wave * torch.cos(angle), rate / (2 * math.pi) * wave * torch.sin(angle)], 1)


def interior(n: int) -> Tensor:
    """Random points of the domain, ``[n, 2]``."""
    return torch.rand(n, 2) * torch.tensor([1.5, 2.0]) - 0.5


def boundary(n: int) -> Tensor:
    """Random points of its four sides, ``[4 n, 2]``."""
    x = interior(4 * n).view(4, n, 2)
    for side, (axis, value) in enumerate([(0, -0.5), (0, 1.0), (1, -0.5), (1, 1.5)]):
        x[side, :, axis] = value
    return x.view(-1, 2)


def main() -> None:
    """Trains with Adam and prints how the error of the velocity falls."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.manual_seed(0)
    device = torch.device(options.device)

    B = (0.4 * torch.randn(2, 32)).to(device)  # random frequencies, in waves per unit of length
    layers = [torch.nn.Linear(a, b, device=device) for a, b in [(64, 64), (64, 64), (64, 3)]]

    weights, biases = [layer.weight for layer in layers], [layer.bias for layer in layers]
    network = {"B": B, "weights": weights, "biases": biases, "activation": "tanh"}

    def velocity(x: Tensor) -> Tensor:
        """u and v alone, without derivatives, ``[n, 2]``."""
        return pinn_ext.mlp_jet(x, **network, spec=pinn_ext.JetSpec()).value[:, :2]

    optimizer = torch.optim.Adam([p for layer in layers for p in layer.parameters()], lr=5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, options.steps)
    test_points = interior(5000).to(device)
    for step in range(options.steps + 1):
        if step % max(1, options.steps // 10) == 0:
            with torch.no_grad():
                exact = exact_velocity(test_points)
                error = (velocity(test_points) - exact).norm() / exact.norm()
            print(f"step {step:5d}   relative L2 error of the velocity {error:.2e}")
        inside, sides = interior(1024).to(device), boundary(64).to(device)
        # The mean square of the residuals, a third of each column's, and its gradients: one pass, no jets to keep.
        equations, _ = pinn_ext.navier_stokes_loss(inside, **network, nu=NU, spec=SPEC, term_weights=[1 / 3] * 3)
        loss = equations + 10 * (velocity(sides) - exact_velocity(sides)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


if __name__ == "__main__":
    main()
