"""One of two ranks: trains the small problem; the guard of rank 1 alone sees a fault. Writes what its guard did."""

from __future__ import annotations

import itertools
import json
import sys
import time
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

from pinnx.evals import check
from pinnx.models import FourierNetwork, random_frequencies
from pinnx.physics import EquationTerm, NavierStokes
from pinnx.train import FirstOrder, Guard, Objective, Phase, PhysicsLostError, Problem, Trainer

BOUNDS = {"t": (0.0, 1.0), "x": (0.0, 1.0), "y": (0.0, 1.0)}


def method(objective: Objective, steps: int) -> FirstOrder:
    chosen = torch.optim.Adam(objective.parameters, lr=1e-3)
    return FirstOrder(objective, chosen, torch.optim.lr_scheduler.ConstantLR(chosen, 1.0))


def trainer_of(values: tuple[float, ...]) -> Trainer:
    """A trainer whose guard is given these values, one after the other; the last from then on."""
    equations = NavierStokes(2, steady=False, nu=0.1)
    network = FourierNetwork(random_frequencies((1.0, 1.0, 1.0), 0.5, 4, seed=0), 3, width=8, layers=1, seed=1)
    problem = Problem(network, [EquationTerm(equations, bounds=BOUNDS, num_points=8, seed=0)], fields=equations.fields)
    given = itertools.chain(values, itertools.repeat(values[-1]))
    guard = Guard(lambda: [check("pde_residual_l2", next(given))], group=dist.group.WORLD)
    weights = dict.fromkeys(problem.names, 1.0)
    return Trainer(problem, [Phase(method)], weights=weights, steps=8, checkpoint_every=2, guard=guard)


def main(rank: int, folder: Path) -> None:
    store = dist.FileStore(str(folder / "store"), 2)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=2, timeout=timedelta(seconds=60))
    found = {}
    for name, values in {"fault": (1.0, 1.0, 50.0, 1.0), "near": (1.0, 1.0, 2.9), "lost": (1.0, 1.0, 50.0)}.items():
        trainer = trainer_of(values if rank == 1 else (1.0,))
        try:
            trainer.run()
            end = "trained"
        except PhysicsLostError:
            end = "stopped"
        sums = [float(item.detach().double().sum()) for item in trainer.problem.parameters()]
        found[name] = {"end": end, "step": trainer.step, "incidents": trainer.guard.incidents, "sums": sums}
    (folder / f"{rank}.json").write_text(json.dumps(found))
    dist.destroy_process_group()
    time.sleep(0.2)  # gloo's threads give tensors back; one that still does as Python ends would abort it


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
