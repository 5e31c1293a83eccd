"""An equation of your own under the trainer: Burgers, its viscosity found from readings, checkpoints and a verdict.

    u_t + u u_x - nu u_xx = 0   in 0 <= t <= 1, -1 <= x <= 1.5,   u at the start and at both ends, and at 30 points

    python examples/burgers_trainer.py [--steps 300] [--out DIR]

An equation is a class with its residual, in plain torch on the jet of the network. All else is the package's: fresh
points, SOAP and then Gauss-Newton in float64, checkpoints from which a second call with the same --out continues, and
the check of the residual at points that no step has drawn. The travelling wave u = c - a tanh(a (x - c t) / 2 nu) is
exact.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import pinn_ext
from pinnx.evals import evaluate, measure, verify
from pinnx.models import FourierNetwork, random_frequencies
from pinnx.physics import Equations, EquationTerm, MeasuredValues
from pinnx.train import (
    CheckpointFolder,
    FirstOrder,
    GaussNewton,
    Hook,
    LoggedStep,
    Objective,
    Phase,
    Problem,
    SaveCheckpoints,
    StoppedBetweenSteps,
    Trainer,
    cosine_schedule,
    make_optimizer,
)

BOUNDS = {"t": (0.0, 1.0), "x": (-1.0, 1.5)}
NU, SPEED, HEIGHT = 0.05, 0.5, 0.5


def exact(x: np.ndarray) -> np.ndarray:
    """u, [n, 1], at points [n, 2] of (t, x)."""
    return SPEED - HEIGHT * np.tanh(HEIGHT * (x[:, 1:] - SPEED * x[:, :1]) / (2 * NU))


class Burgers(Equations):
    """The equation, with its viscosity as a parameter: five times the right one at first."""

    names = ("burgers",)
    spec = pinn_ext.JetSpec(first=(0, 1), laplacian=(1,))  # u_t, u_x and u_xx

    def __init__(self) -> None:
        super().__init__()
        self.log_nu = nn.Parameter(torch.tensor(np.log(5 * NU)))

    def residual(self, jet: pinn_ext.Jet) -> Tensor:
        return jet.derivative(0) + jet.value * jet.derivative(1) - self.log_nu.exp() * jet.laplacian


class Progress(Hook):
    """Prints every twentieth step."""

    def __init__(self, equations: Burgers) -> None:
        self._equations = equations

    def on_log(self, logged: LoggedStep) -> None:
        if logged.step % 20 == 0:
            print(f"step {logged.step}: loss {logged.total:.2e}, nu {self._equations.log_nu.exp().item():.4f}")


def soap(objective: Objective, steps: int) -> FirstOrder:
    """SOAP with a learning rate that falls to the end of its phase."""
    optimizer = make_optimizer("soap", objective.parameters, lr=3e-3)
    return FirstOrder(objective, optimizer, cosine_schedule(optimizer, steps, 1e-4))


def make_trainer(steps: int, folder: CheckpointFolder) -> Trainer:
    """Four fifths of the steps are SOAP's, the last fifth are Gauss-Newton's."""
    network = FourierNetwork(random_frequencies((1.0, 2.5), 0.5, 16, seed=0), 1, width=32, layers=2, seed=1)
    equations = Burgers()
    draws = np.random.default_rng(0)
    edge = draws.uniform(*zip(*BOUNDS.values(), strict=True), (120, 2))
    edge[:40, 0], edge[40:80, 1], edge[80:, 1] = 0.0, *BOUNDS["x"]
    inside = draws.uniform(*zip(*BOUNDS.values(), strict=True), (30, 2))
    terms = [
        EquationTerm(equations, bounds=BOUNDS, num_points=512, seed=0, name="burgers"),
        MeasuredValues(edge, exact(edge), name="edge"),  # at the start and at both ends
        MeasuredValues(inside, exact(inside)),
    ]
    first = steps - steps // 5
    return Trainer(
        Problem(network, terms, fields=["u"]),
        [Phase(soap), Phase(lambda objective, left: GaussNewton(objective), first=first, dtype=torch.float64)],
        weights={"burgers": 1.0, "edge": 100.0, "data": 100.0},
        steps=steps,
        hooks=[Progress(equations), SaveCheckpoints(folder)],
        checkpoint_every=100,
    )


def main() -> None:
    """Trains, or continues from the newest checkpoint, and prints errors and verdict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--out", type=Path, default=Path("burgers_run"))
    options = parser.parse_args()
    options.out.mkdir(exist_ok=True)
    folder = CheckpointFolder(options.out)
    trainer = make_trainer(options.steps, folder)
    if any(options.out.iterdir()):
        found = folder.latest()
        print(f"continues from {found.path}")
        trainer.load_state_dict(found.state)
    try:
        trainer.run()
    except StoppedBetweenSteps:  # Ctrl-C or SIGTERM
        trainer.save()
        print(f"stopped after step {trainer.step}; the same command continues")
        return
    trainer.save()

    problem = trainer.problem
    points = np.random.default_rng(1).uniform(*zip(*BOUNDS.values(), strict=True), (2000, 2))
    wanted = exact(points)
    error = np.linalg.norm(evaluate(problem.model, problem.terms, points).fields - wanted) / np.linalg.norm(wanted)
    print(f"relative error of u {error:.2e}, of nu {problem.terms[0].equations.log_nu.exp().item() / NU - 1:+.2e}")
    for check in verify(measure(problem.model, problem.terms, BOUNDS, num_points=2000, seed=0)):
        print(f"{check.label}: {check.value:.2e}, limit {check.limit:g}, {check.status}")


if __name__ == "__main__":
    main()
