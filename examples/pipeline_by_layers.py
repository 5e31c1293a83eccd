"""A network split by layers: each process has some layers, and the jets of the points travel from one to the next.

    u . grad u + grad p - nu lap u = 0,   div u = 0   and u known at the same points: the Kovasznay flow

    torchrun --standalone --nproc-per-node 2 examples/pipeline_by_layers.py [--width 256] [--schedule 1f1b]

The stages are composed of `linear_jet` and `activation_jet`, behind `fourier_jet` in the first. `PipelineStage`
sends the points through them in parts. Before training, loss and gradients must be those of the whole network in one
fused pass. Only a network that one memory does not hold needs this: docs/scaling.md has the times.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from itertools import pairwise
from statistics import median

import torch
from torch import Tensor, distributed
from torch.distributed.pipelining import PipelineStage, Schedule1F1B, ScheduleGPipe

import pinn_ext

NU = 1 / 40
SPEC = pinn_ext.JetSpec(first=(0, 1), laplacian=(0, 1))
SCHEDULES = {"gpipe": ScheduleGPipe, "1f1b": Schedule1F1B}
# A gradient of the stages against that of the whole network, in eps of the dtype: sums in another order.
SAME = 300


def exact_velocity(x: Tensor) -> Tensor:
    """The velocity ``[n, 2]`` at points ``[n, 2]``."""
    rate = 0.5 / NU - math.sqrt(0.25 / NU**2 + 4 * math.pi**2)
    wave, angle = torch.exp(rate * x[:, 0]), 2 * math.pi * x[:, 1]
    return torch.stack([1 - wave * torch.cos(angle), rate / (2 * math.pi) * wave * torch.sin(angle)], 1)


class Layers(torch.nn.Module):
    """Consecutive layers of a network: points or a jet in, a jet or what the loss needs out.

    Args:
        layers: of this stage.
        B: frequencies, on the first stage alone.
        last: whether the network ends here: no activation behind its last layer, and then the residuals.
    """

    def __init__(self, layers: list[torch.nn.Linear], B: Tensor | None, last: bool) -> None:
        super().__init__()
        self.layers, self.B, self.last = torch.nn.ModuleList(layers), B, last

    def forward(self, data: Tensor) -> Tensor:
        """``[n, 2]`` or ``[4, n, width]`` -> ``[4, n, width]``, or residuals and velocity ``[n, 5]``."""
        jet = pinn_ext.Jet(data, SPEC) if self.B is None else pinn_ext.fourier_jet(data, self.B, SPEC)
        for number, layer in enumerate(self.layers, start=1):
            jet = pinn_ext.linear_jet(jet, layer.weight, layer.bias)
            if not (self.last and number == len(self.layers)):
                jet = pinn_ext.activation_jet(jet, "tanh")
        if not self.last:
            return jet.data
        return torch.cat([pinn_ext.navier_stokes_residual(jet, NU), jet.value[:, :2]], 1)


def pipeline_loss(found: Tensor, velocity: Tensor) -> Tensor:
    """Mean squares of the residuals and of the error of the velocity."""
    return found[:, :3].square().mean() + (found[:, 3:] - velocity).square().mean()


def whole_loss(layers: list[torch.nn.Linear], B: Tensor, x: Tensor) -> Tensor:
    """The same of the whole network, fused."""
    network = {"B": B, "weights": [layer.weight for layer in layers], "biases": [layer.bias for layer in layers]}
    jet = pinn_ext.mlp_jet(x, **network, spec=SPEC, activation="tanh")
    residual = pinn_ext.navier_stokes_residual(jet, NU)
    return residual.square().mean() + (jet.value[:, :2] - exact_velocity(x)).square().mean()


def network_of(width: int, depth: int) -> tuple[list[torch.nn.Linear], Tensor]:
    """All layers and the frequencies; every process draws the same ones."""
    torch.manual_seed(0)
    sizes = [width] * (depth + 1) + [3]
    layers = [torch.nn.Linear(a, b) for a, b in pairwise(sizes)]
    return layers, 0.4 * torch.randn(2, width // 2)


def points(n: int, step: int) -> Tensor:
    """Random points of the domain in a step, the same on all ranks, ``[n, 2]``."""
    drawn = torch.rand(n, 2, generator=torch.Generator().manual_seed(step), dtype=torch.get_default_dtype())
    return drawn * torch.tensor([1.5, 2.0]) - 0.5


class Pipeline:
    """The stage of this process, and the network of which it is a part."""

    def __init__(self, rank: int, size: int, options: argparse.Namespace) -> None:
        self.rank, self.first, self.last = rank, rank == 0, rank == size - 1
        layers, B = network_of(options.width, options.depth)
        self.own = slice(rank * len(layers) // size, (rank + 1) * len(layers) // size)
        self.layers = Layers(layers[self.own], B if self.first else None, self.last)
        stage = PipelineStage(self.layers, rank, size, torch.device("cpu"))
        self.schedule = SCHEDULES[options.schedule](stage, options.parts, loss_fn=pipeline_loss)

    def loss(self, x: Tensor) -> Tensor:
        """Gradients into the parameters of this stage; the loss, on the last one."""
        self.layers.zero_grad()
        losses: list[Tensor] = []
        target = {"target": exact_velocity(x), "losses": losses} if self.last else {}
        self.schedule.step(*([x] if self.first else []), **target)
        return torch.stack(losses).mean().detach() if self.last else torch.zeros(())

    def difference(self, x: Tensor, options: argparse.Namespace) -> float:
        """Of loss and gradients from those of the whole network, relative to each."""
        layers, B = network_of(options.width, options.depth)
        loss, expected = self.loss(x), whole_loss(layers, B, x)
        expected.backward()
        own = torch.nn.ModuleList(layers[self.own]).parameters()
        pairs = [(mine.grad, whole.grad) for mine, whole in zip(self.layers.parameters(), own, strict=True)]
        pairs += [(loss, expected.detach())] if self.last else []
        return max(float((mine - whole).norm() / whole.norm()) for mine, whole in pairs)


def milliseconds(work: Callable[[], object]) -> tuple[float, float]:
    """Of the clock, and of the CPUs of all ranks: medians of ten calls, behind two that warm up."""
    times = []
    for _ in range(12):
        distributed.barrier()
        started, spent = time.perf_counter(), time.process_time()
        work()
        cpu = torch.tensor(time.process_time() - spent)
        elapsed = time.perf_counter() - started
        distributed.all_reduce(cpu)
        times.append((1e3 * elapsed, 1e3 * float(cpu)))
    return median(clock for clock, _ in times[2:]), median(cpu for _, cpu in times[2:])


def report_times(pipeline: Pipeline, size: int, options: argparse.Namespace) -> None:
    """Of loss and gradients: by the stages, and by one process while the others wait."""
    x, (layers, B) = points(options.points, 0), network_of(options.width, options.depth)
    composed = Layers(layers, B, last=True)
    rows = [("stages", milliseconds(lambda: pipeline.loss(x)))]
    for name, loss in (
        ("the same layers in one process", lambda: pipeline_loss(composed(x), exact_velocity(x))),
        ("fused in one process", lambda: whole_loss(layers, B, x)),
    ):
        rows.append((name, milliseconds(lambda loss=loss: loss().backward() if pipeline.last else None)))
    sent = 2e-6 * (size - 1) * SPEC.num_streams * x.element_size() * len(x) * options.width
    if pipeline.last:
        print(f"{sent:.2f} MB are sent in a step", flush=True)
        print(*(f"{name}: {clock:.1f} ms, of CPUs {cpu:.1f} ms" for name, (clock, cpu) in rows), sep="\n", flush=True)


def main() -> None:
    """Checks, trains with Adam and prints the loss, and then the times of a step of the pipeline and of one process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--depth", type=int, default=4, help="hidden layers")
    parser.add_argument("--points", type=int, default=1024, help="of a step")
    parser.add_argument("--parts", type=int, default=4, help="in which these points travel")
    parser.add_argument("--schedule", choices=SCHEDULES, default="gpipe")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--float64", action="store_true")
    options = parser.parse_args()
    torch.set_default_dtype(torch.float64 if options.float64 else torch.float32)
    distributed.init_process_group("gloo")
    pipeline = Pipeline(distributed.get_rank(), distributed.get_world_size(), options)

    difference = pipeline.difference(points(options.points, 0), options)
    stage = f"stage {pipeline.rank}, layers {pipeline.own.start + 1} to {pipeline.own.stop}"
    if not difference < SAME * torch.finfo(torch.get_default_dtype()).eps:
        raise SystemExit(
            f"{stage}: expected the gradients of the whole network, got a relative difference of {difference:.1e}"
        )
    # with its end of line in one text: without a buffer (PYTHONUNBUFFERED) the lines of two stages would mix
    print(f"{stage}: the gradients of the whole network to {difference:.1e}\n", end="", flush=True)
    optimizer = torch.optim.Adam(pipeline.layers.parameters(), lr=5e-3)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, options.steps)
    for step in range(options.steps + 1):
        loss = pipeline.loss(points(options.points, step))
        if pipeline.last and step % max(1, options.steps // 10) == 0:
            print(f"step {step:5d}   loss {float(loss):.2e}", flush=True)
        optimizer.step()
        cosine.step()
    report_times(pipeline, distributed.get_world_size(), options)
    distributed.destroy_process_group()
    time.sleep(0.2)  # gloo's threads give tensors back; one that still does as Python ends would abort it


if __name__ == "__main__":
    main()
