"""An equation of your own on pinn_ext: heat with a source, and a conductivity that is learned from measurements.

    u_t - alpha (u_xx + u_yy) = s   in 0 <= x, y <= 1, 0 <= t <= 1,   u given at 200 points of the inside

    python examples/heat_equation.py [--steps 1000] [--device cuda]

The residual is a line of plain torch on the jet of the network. The source is the one that makes
u = exp(-t) sin(pi x) sin(pi y) + t x y exact (a manufactured solution) with alpha = 0.1.
"""

from __future__ import annotations

import argparse
import math

import torch
from torch import Tensor

import pinn_ext

ALPHA = 0.1
SPEC = pinn_ext.JetSpec(first=(0, 1, 2), laplacian=(1, 2))  # columns t, x, y: u_t, u_x, u_y and u_xx + u_yy


def wave(x: Tensor) -> Tensor:
    """``exp(-t) sin(pi x) sin(pi y)``, ``[n, 1]``."""
    t, x1, y1 = x.split(1, dim=1)
    return torch.exp(-t) * torch.sin(math.pi * x1) * torch.sin(math.pi * y1)


def exact(x: Tensor) -> Tensor:
    """The solution ``[n, 1]`` at points ``[n, 3]`` of (t, x, y)."""
    return wave(x) + x.prod(dim=1, keepdim=True)


def source(x: Tensor) -> Tensor:
    """``s``, ``[n, 1]``: what is left of the exact solution in the equation."""
    return (2 * math.pi**2 * ALPHA - 1) * wave(x) + x[:, 1:2] * x[:, 2:3]


def main() -> None:
    """Trains with Adam and prints how the errors of u and of alpha fall."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.manual_seed(0)
    device = torch.device(options.device)

    B = (0.3 * torch.randn(3, 24)).to(device)  # random frequencies, in waves per unit
    layers = [torch.nn.Linear(a, b, device=device) for a, b in [(48, 48), (48, 48), (48, 1)]]
    weights, biases = [layer.weight for layer in layers], [layer.bias for layer in layers]
    log_alpha = torch.tensor(math.log(5 * ALPHA), device=device, requires_grad=True)  # five times too much

    def network(x: Tensor, spec: pinn_ext.JetSpec = SPEC) -> pinn_ext.Jet:
        """u and its derivatives in one pass, [5, n, 1]."""
        return pinn_ext.mlp_jet(x, B, weights, biases, spec, "tanh")

    def residual(x: Tensor) -> Tensor:
        """The equation, [n, 1]."""
        jet = network(x)
        return jet.derivative(0) - log_alpha.exp() * jet.laplacian - source(x)

    def points(n: int) -> Tensor:
        return torch.rand(n, 3, device=device)

    measured, test = points(200), points(5000)
    optimizer = torch.optim.Adam([{"params": [*weights, *biases]}, {"params": log_alpha, "lr": 2e-2}], lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, options.steps)
    for step in range(options.steps + 1):
        if step % max(1, options.steps // 10) == 0:
            with torch.no_grad():
                error = (network(test, pinn_ext.JetSpec()).value - exact(test)).norm() / exact(test).norm()
                alpha = log_alpha.exp().item()
            print(f"step {step:5d}   relative L2 error of u {error:.2e}   alpha {alpha:.4f}, exact {ALPHA}")
        mismatch = network(measured, pinn_ext.JetSpec()).value - exact(measured)
        loss = residual(points(512)).square().mean() + 100 * mismatch.square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


if __name__ == "__main__":
    main()
