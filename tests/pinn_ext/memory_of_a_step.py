"""Prints by how many MB the peak of this process grows from a step at few points to one at many.

    python memory_of_a_step.py loss|jets FEW MANY

A step is the Navier-Stokes loss with all gradients, two hidden layers of width 64 in float32, as one fused operation or
layer by layer. A program of its own: the peak is that of a process and never falls.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

import pinn_ext

SPEC = pinn_ext.JetSpec(first=(0, 1, 2), laplacian=(1, 2))
WIDTH = 64


def peak_mb() -> float:
    """The largest resident set so far. (getrusage would begin with that of the process that started this one.)"""
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024 / 1e6


def step(way: str, x: Tensor, B: Tensor, layers: list[nn.Linear]) -> None:
    """Loss and gradients, which are let go."""
    if way == "loss":
        loss, _ = pinn_ext.navier_stokes_loss(
            x,
            B,
            [layer.weight for layer in layers],
            [layer.bias for layer in layers],
            0.01,
            spec=SPEC,
            activation="tanh",
            term_weights=[1.0, 1.0, 1.0],
        )
    else:
        jet = pinn_ext.fourier_jet(x, B, SPEC)
        for layer in layers[:-1]:
            jet = pinn_ext.activation_jet(pinn_ext.linear_jet(jet, layer.weight, layer.bias), "tanh")
        jet = pinn_ext.linear_jet(jet, layers[-1].weight, layers[-1].bias)
        loss = pinn_ext.navier_stokes_residual(jet, 0.01).square().mean()
    loss.backward()


def main() -> None:
    """Runs both steps; what exists before them does not count."""
    way, few, many = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    x = torch.rand(max(few, many), 3)
    B = torch.randn(3, WIDTH // 2)
    layers = [nn.Linear(a, b) for a, b in [(WIDTH, WIDTH), (WIDTH, WIDTH), (WIDTH, 3)]]
    step(way, x[:few], B, layers)
    before = peak_mb()
    step(way, x[:many], B, layers)
    print(peak_mb() - before)


if __name__ == "__main__":
    main()
