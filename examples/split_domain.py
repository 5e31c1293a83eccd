"""A domain split into parts side by side, a network and a process for each, and conditions at the faces between them.

    u . grad u + grad p - nu lap u = f,   div u = 0   in 0 <= x <= length, 0 <= y <= 1,   u measured at places in it

    python examples/split_domain.py [--length 8] [--width 32] [--steps 2000]     # one network
    torchrun --standalone --nproc-per-node 4 examples/split_domain.py            # four

At a face the networks match values (u, v, p) and fluxes of momentum (u u + p - nu u_x, u v - nu v_x), as in cPINN
(Jagtap, Kharazmi and Karniadakis, CMAME 365, 2020). Each takes those of its neighbour as constants: the gradients are
those of the sum of all losses, with the jump of a face in it once. Every --balance steps points move from slow ranks to
those that wait. The flow is exact: eddies with lap psi = -K^2 psi and f = nu K^2 u. docs/scaling.md says what it buys.
"""

from __future__ import annotations

import argparse
import math
import os
import time

import torch
from torch import Tensor, distributed

import pinn_ext

NU, K = 0.05, 2 * math.pi
EQUATIONS = pinn_ext.JetSpec(first=(0, 1), laplacian=(0, 1))  # d/dx, d/dy and the Laplacian
FACES = pinn_ext.JetSpec(first=(0,))
ANGLES, PHASES = 2 * math.pi * torch.rand(2, 256, generator=torch.Generator().manual_seed(0))


def exact_velocity(x: Tensor) -> Tensor:
    """(psi_y, -psi_x), ``[n, 2]``, at points ``[n, 2]``: psi are 256 waves of length 1, their speed has an rms of 1."""
    kx, ky = ANGLES.cos(), ANGLES.sin()
    waves = torch.sin(K * (x[:, :1] * kx + x[:, 1:] * ky) + PHASES) * math.sqrt(2 / len(PHASES))
    return torch.stack([-waves @ ky, waves @ kx], 1)


def gathered(value: float) -> Tensor:
    """The number of each rank, ``[ranks]``."""
    numbers = torch.zeros(distributed.get_world_size(), dtype=torch.float64)
    numbers[distributed.get_rank()] = value
    distributed.all_reduce(numbers)
    return numbers


class Part:
    """One network on left <= x <= right, and its loss."""

    def __init__(self, rank: int, size: int, options: argparse.Namespace) -> None:
        self.left, self.right = rank * options.length / size, (rank + 1) * options.length / size
        self.neighbours = [
            (x, other) for x, other in ((self.left, rank - 1), (self.right, rank + 1)) if 0 <= other < size
        ]
        self.random = torch.Generator().manual_seed(rank)
        self.measured = self.points(round(options.density * (self.right - self.left)))
        self.measured_velocity = exact_velocity(self.measured)
        self.test = self.points(5000)
        self.pool = self.points(round(256 * (self.right - self.left)))  # its forcing is computed once
        self.forcing = NU * K**2 * exact_velocity(self.pool)
        torch.manual_seed(rank)
        w = options.width
        self.layers = [torch.nn.Linear(*sizes) for sizes in [(w, w), (w, w), (w, 3)]]
        self.network = {
            "B": 0.5 * torch.randn(2, w // 2),  # random frequencies, in waves per unit of length
            "weights": [layer.weight for layer in self.layers],
            "biases": [layer.bias for layer in self.layers],
            "activation": "tanh",
        }

    def points(self, n: int) -> Tensor:
        """Random points of the part, ``[n, 2]``."""
        low, high = torch.tensor([[self.left, 0.0], [self.right, 1.0]])
        return low + (high - low) * torch.rand(n, 2, generator=self.random)

    def local(self, x: Tensor) -> Tensor:
        """What the network sees: places from the middle of its part."""
        return x - torch.tensor([(self.left + self.right) / 2, 0.5])

    def velocity(self, x: Tensor) -> Tensor:
        """``[n, 2]``."""
        return pinn_ext.mlp_jet(self.local(x), **self.network, spec=pinn_ext.JetSpec()).value[:, :2]

    def misfit_and_faces(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Mean square error at the measurements; sides ``[faces, n, 5]`` of the faces at heights ``y [n]``."""
        faces = [torch.stack([torch.full_like(y, x), y], 1) for x, _ in self.neighbours]
        jet = pinn_ext.mlp_jet(self.local(torch.cat([self.measured, *faces])), **self.network, spec=FACES)
        misfit = jet.value[: len(self.measured), :2] - self.measured_velocity
        (u, v, p), (u_x, v_x, _) = (stream[len(self.measured) :].unbind(1) for stream in jet.data)
        sides = torch.stack([u, v, p, u * u + p - NU * u_x, u * v - NU * v_x], 1)
        return misfit.square().mean(), sides.view(len(faces), len(y), 5)

    def equations(self, n: int) -> Tensor:
        """Mean square of the residuals at n points of the pool, with its gradient in one pass."""
        rows = torch.randint(len(self.pool), (n,), generator=self.random)
        flow = {"nu": NU, "forcing": self.forcing[rows], "term_weights": [1 / K**2] * 3}
        return pinn_ext.navier_stokes_loss(self.local(self.pool[rows]), **self.network, **flow, spec=EQUATIONS)[0]

    def report(self, step: int, jump: float, n: int, cpu: float) -> None:
        """Prints, on the first rank, the error of all parts, the largest jump, the points and the seconds of CPUs."""
        with torch.no_grad():
            exact = exact_velocity(self.test)
            wrong = gathered(float((self.velocity(self.test) - exact).square().sum()))
        error = math.sqrt(wrong.sum() / gathered(float(exact.square().sum())).sum())
        largest, counts, seconds = gathered(jump).max().sqrt(), gathered(n).int().tolist(), gathered(cpu).sum()
        if distributed.get_rank() == 0:
            text = f"step {step:5d}   relative L2 error of the velocity {error:.2e}   jump at faces {largest:.2e}"
            print(f"{text}   points {counts}   CPU {seconds:.1f} s", flush=True)


def exchange(part: Part, mine: Tensor) -> tuple[Tensor, list[distributed.Work]]:
    """What the neighbours have at the same faces, once the work is done."""
    theirs, calls = torch.empty_like(mine.detach()), []
    for (_, rank), own, other in zip(part.neighbours, mine.detach(), theirs, strict=True):
        calls += [distributed.P2POp(distributed.isend, own, rank), distributed.P2POp(distributed.irecv, other, rank)]
    return theirs, distributed.batch_isend_irecv(calls) if calls else []


def train(part: Part, options: argparse.Namespace) -> None:
    """Adam; prints how the error of the velocity and the jumps at the faces fall."""
    rank, size = distributed.get_rank(), distributed.get_world_size()
    optimizer = torch.optim.Adam([p for layer in part.layers for p in layer.parameters()], lr=options.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, options.steps)
    heights = torch.Generator().manual_seed(0)  # of all ranks: both sides of a face draw the same points
    n, worked, cpu = options.points // size, 0.0, 0.0
    for step in range(options.steps + 1):
        started, cpu_started = time.perf_counter(), time.process_time()
        misfit, mine = part.misfit_and_faces(torch.rand(options.face_points, generator=heights))
        theirs, under_way = exchange(part, mine)
        equations = part.equations(n)  # while the faces travel
        arrived = time.perf_counter()
        for work in under_way:
            work.wait()
        started += time.perf_counter() - arrived  # time of waiting is none of work
        jump = (mine - theirs).square().sum() / (5 * options.face_points)
        loss = equations + options.data_weight * misfit + options.face_weight * jump
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        worked += time.perf_counter() - started
        cpu += time.process_time() - cpu_started
        if step % max(1, options.steps // 10) == 0:
            part.report(step, float(jump.detach()), n, cpu)
        if options.balance and step % options.balance == options.balance - 1:
            speeds = gathered(n / worked)
            n, worked = round(0.5 * n + 0.5 * options.points * float(speeds[rank] / speeds.sum())), 0.0


def main() -> None:
    """One part on each process that torchrun has started; one part without torchrun."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--length", type=float, default=8.0)
    parser.add_argument("--density", type=float, default=12.0, help="measurements on a unit of area")
    parser.add_argument("--width", type=int, default=32, help="of each network")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--points", type=int, default=2048, help="of a step, on all ranks")
    parser.add_argument("--face-points", type=int, default=32, help="at each face")
    parser.add_argument("--lr", type=float, default=5e-3)
    parser.add_argument("--data-weight", type=float, default=10.0)
    parser.add_argument("--face-weight", type=float, default=10.0, help="0: no conditions at the faces")
    parser.add_argument("--balance", type=int, default=0, help="steps after which points move; 0: they stay")
    options = parser.parse_args()
    alone = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0", "RANK": "0", "WORLD_SIZE": "1"}
    os.environ.update({name: value for name, value in alone.items() if name not in os.environ})
    distributed.init_process_group("gloo")
    train(Part(distributed.get_rank(), distributed.get_world_size(), options), options)
    distributed.destroy_process_group()
    time.sleep(0.2)  # gloo's threads give tensors back; one that still does as Python ends would abort it


if __name__ == "__main__":
    main()
