"""What a second rank costs and buys on this machine, and what a cluster would make of it.

    python benchmarks/bench_scaling.py [--quick] [--output FILE.json]

    ranks     a step of 2 ranks of one thread each against 1 rank of two threads, at the same points; the goal is 0.9
    reduce    seconds of one all-reduce (gloo, 2 ranks) by bytes, and the line through them: latency + bytes / bandwidth
    local     losses after as many steps: one all-reduce per step, and one every H steps (`train_locally`)
    cluster   weak scaling: t / (t + t_reduce) with steps t measured on an H200 and NCCL's own model of an all-reduce

Blocks of 20 steps of both kinds alternate, each kind in processes of its own, and a ratio is the median of the ratios
of one round, so that neighbours slow both alike. The ratio of the CPU times of all threads is free of neighbours, and
of waiting. Nothing is timed before the parameters of both kinds agree in float64 after some steps.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from harness import Statistics, Timing, WrongResultError
from numpy.typing import NDArray
from results import command_of, finish_report, print_rows, start_report, write_json
from torch import distributed

from pinnx.evals import TaylorGreen
from pinnx.models import FourierNetwork, random_frequencies
from pinnx.physics import EquationTerm, MeasuredValues, NavierStokes
from pinnx.train import DistributedPINNTrainer, FirstOrder, Objective, Phase, Problem
from pinnx.train.distributed import Apart, train_locally
from pinnx.train.flat_tensors import flat
from pinnx.train.joined_ranks import joined_ranks
from pinnx.train.ranks import OneProcess

CPU = torch.device("cpu")
GOAL = 0.9
SAME = 1e-9  # relative, after AGREED steps of Adam in float64
AGREED = 5
BOUNDS = {"t": (0.0, 1.0), "x": (0.0, 1.0), "y": (0.0, 1.0)}
SIZES = [(64, 1024), (64, 16384), (128, 4096), (256, 2048)]  # width of four layers, points of a step
BYTES = [4 << (2 * power) for power in range(12)]  # 4 B to 16 MiB
# NVIDIA/nccl, src/graph/tuning.cc of commit 01afd20: microseconds and GB/s of an all-reduce by trees with the protocol
# LL128, on nodes of eight A100 with NVLink; the bandwidth is that of its limit, halved, times its smallest correction.
GPUS_OF_A_NODE = 8
BASE_US, NVLINK_US, NETWORK_US, TREE_GB_PER_S = 4.4, 1.2, 8.5, 105.0 / 2 * 0.5
# Seconds of one GPU's loss and gradients, measured on an H200 (float32, a CUDA graph): width, points of each GPU.
GPU_STEPS_S = {(64, 1024): 0.081e-3, (128, 4096): 0.214e-3, (256, 16384): 2.92e-3, (256, 65536): 11.56e-3}


def reduce_on_gpus(gpus: int, num_bytes: int) -> float:
    """Seconds of one all-reduce by NCCL's model."""
    on_node, nodes = min(gpus, GPUS_OF_A_NODE), max(1, gpus // GPUS_OF_A_NODE)
    hops = 2 * ((on_node - 1) * NVLINK_US + int(np.log2(nodes)) * NETWORK_US)
    return (BASE_US + hops) * 1e-6 + num_bytes / (TREE_GB_PER_S * 1e9)


def network_of(width: int) -> FourierNetwork:
    """Four layers, from (t, x, y) to (u, v, p)."""
    return FourierNetwork(
        random_frequencies((1.0, 1.0, 1.0), 1.0, width // 2, seed=0), 3, width=width, layers=4, seed=1
    )


def buffer_bytes(parameters: int) -> int:
    """Of the one all-reduce of a step: gradient, total, its sum, three columns, a signal."""
    return 4 * (parameters + 2 + 3 + 1)


def trainer_of(width: int, num_points: int, ranks: OneProcess, dtype: torch.dtype) -> DistributedPINNTrainer:
    """A training of the Navier-Stokes equations at fresh points, by Adam."""
    equations = NavierStokes(2, steady=False, nu=0.01)
    term = EquationTerm(equations, bounds=BOUNDS, num_points=num_points, seed=0)
    problem = Problem(network_of(width), [term], fields=equations.fields)

    def method(objective: Objective, steps: int) -> FirstOrder:
        chosen = torch.optim.Adam(objective.parameters, lr=1e-4)
        return FirstOrder(objective, chosen, torch.optim.lr_scheduler.ConstantLR(chosen, 1.0))

    weights = dict.fromkeys(problem.names, 1.0)
    return DistributedPINNTrainer(
        problem, [Phase(method, dtype=dtype)], weights=weights, steps=10**9, ranks=ranks, checkpoint_every=10**9
    )


def take_steps(trainer: DistributedPINNTrainer, count: int) -> None:
    for _ in range(count):
        trainer.train_step()


@dataclass
class Worker:
    """A rank, or the one process that has all CPUs; in a process of its own, which holds its trainer."""

    ranks: OneProcess
    trainer: DistributedPINNTrainer = field(init=False)

    def prepare(self, width: int, num_points: int, dtype: torch.dtype) -> int:
        """Makes the trainer; returns the number of its parameters."""
        self.trainer = trainer_of(width, num_points, self.ranks, dtype)
        return sum(p.numel() for p in self.trainer.problem.parameters())

    def steps(self, count: int) -> tuple[float, float]:
        """Takes steps; returns the seconds of the clock and of this process's CPUs."""
        self.ranks.leave()
        started, spent = time.perf_counter(), time.process_time()
        take_steps(self.trainer, count)
        return time.perf_counter() - started, time.process_time() - spent

    def unknowns(self) -> NDArray[np.float64]:
        """All parameters, in one piece."""
        return flat(self.trainer.problem.parameters()).double().numpy()

    def reduce(self, rounds: int, repeats: int) -> dict[str, Any]:
        return measure_reduce(self.ranks, rounds, repeats)

    def local(self, steps: int, rates: Sequence[float]) -> list[dict[str, float]]:
        return measure_local(self.ranks, steps, rates)


def serve(connection: Connection, environment: Mapping[str, str]) -> None:
    """Calls the methods that arrive, each with its arguments, until None arrives."""
    os.environ |= environment
    worker = Worker(joined_ranks())
    torch.set_num_threads(1 if worker.ranks.size > 1 else 2)
    while (order := connection.recv()) is not None:
        name, *given = order
        connection.send(getattr(worker, name)(*given))
    worker.ranks.leave()


@contextmanager
def started(environments: Sequence[Mapping[str, str]]) -> Iterator[Callable[..., list[Any]]]:
    """Workers with these environments; the block's value has all do something and returns what each of them answers."""
    spawn, connections, workers = multiprocessing.get_context("spawn"), [], []
    for environment in environments:
        here, there = spawn.Pipe()
        workers.append(spawn.Process(target=serve, args=(there, environment), daemon=True))
        workers[-1].start()
        there.close()
        connections.append(here)

    def ask(*order: Any) -> list[Any]:
        for connection in connections:
            connection.send(order)
        return [connection.recv() for connection in connections]

    yield ask
    for connection in connections:
        connection.send(None)
    for worker in workers:
        worker.join()


def require_agreement(shared: NDArray[np.float64], alone: NDArray[np.float64]) -> None:
    """Ends a benchmark whose two candidates have not taken the same steps."""
    error = float(np.linalg.norm(shared - alone) / np.linalg.norm(alone))
    if not error <= SAME:
        raise WrongResultError(f"2 ranks: expected the parameters of 1 rank to {SAME:g}, got a difference of {error:g}")


def measure_ranks(
    kinds: Sequence[Callable[..., list[Any]]], sizes: Sequence[tuple[int, int]], rounds: int, block: int
) -> list[dict[str, Any]]:
    """One row for each size: seconds of a step of two ranks and of one process, and the ratio."""
    rows = []
    for width, num_points in sizes:
        for ask in kinds:
            ask("prepare", width, num_points, torch.float64)
            ask("steps", AGREED)
        require_agreement(*(ask("unknowns")[0] for ask in kinds))
        count, _ = (ask("prepare", width, num_points, torch.float32)[0] for ask in kinds)
        times, spent = np.zeros((2, rounds, 2))
        for number in range(-1, rounds):  # the first round warms up
            for kind, ask in enumerate(kinds):
                seconds, of_cpus = zip(*ask("steps", block), strict=True)
                if number >= 0:
                    times[number, kind], spent[number, kind] = max(seconds), sum(of_cpus)
        rows.append(
            {
                "width": width,
                "points": num_points,
                "bytes": buffer_bytes(count),
                "two_ranks_s": vars(Statistics.of(list(times[:, 0] / block))),
                "two_threads_s": vars(Statistics.of(list(times[:, 1] / block))),
                "ratio": vars(Statistics.of(list(times[:, 1] / times[:, 0]))),
                "cpu_ratio": vars(Statistics.of(list(spent[:, 1] / spent[:, 0]))),
            }
        )
    return rows


def measure_reduce(ranks: OneProcess, rounds: int, repeats: int) -> dict[str, Any]:
    """Seconds of an all-reduce by bytes, and the line through them (least squares of relative errors)."""
    buffers = [torch.zeros(size // 4) for size in BYTES]
    samples: list[list[float]] = [[] for _ in buffers]
    for number in range(rounds + 1):
        for buffer, own in zip(buffers, samples, strict=True):
            ranks.leave()
            started = time.perf_counter()
            for _ in range(repeats):
                distributed.all_reduce(buffer)
            if number:
                own.append((time.perf_counter() - started) / repeats)
    seconds = np.array([median(own) for own in samples])
    columns = np.stack([1.0 / seconds, np.array(BYTES) / seconds], axis=1)
    latency, per_byte = np.linalg.lstsq(columns, np.ones(len(BYTES)), rcond=None)[0]
    return {"bytes": BYTES, "s": seconds.tolist(), "latency_s": float(latency), "bytes_per_s": float(1.0 / per_byte)}


def flow_trainer(ranks: OneProcess, steps: int, lr: float) -> DistributedPINNTrainer:
    """Decaying vortices from 200 measured places and the equations, by Adam."""
    flow, equations = TaylorGreen(nu=0.02, wavenumber=np.pi), NavierStokes(2, steady=False, nu=0.02)
    network = FourierNetwork(random_frequencies((1.0, 1.0, 1.0), 1.0, 16, seed=0), 3, width=32, layers=3, seed=1)
    places = np.random.default_rng(0).uniform(size=(200, 3))
    data = MeasuredValues(places, flow.velocity(*places.T))
    terms = [EquationTerm(equations, bounds=BOUNDS, num_points=512, seed=0), data]
    problem = Problem(network, terms, fields=equations.fields)

    def method(objective: Objective, left: int) -> FirstOrder:
        chosen = torch.optim.Adam(objective.parameters, lr=lr)
        return FirstOrder(objective, chosen, torch.optim.lr_scheduler.CosineAnnealingLR(chosen, steps))

    weights = {**dict.fromkeys(equations.names, 1.0), "data": 10.0}
    return DistributedPINNTrainer(
        problem, [Phase(method)], weights=weights, steps=10**9, ranks=ranks, checkpoint_every=10**9
    )


def flow_loss(trainer: DistributedPINNTrainer) -> float:
    """The loss at points that no step has drawn, of all ranks together."""
    with torch.no_grad():
        return float(trainer.problem.loss(trainer.problem.batch(10**8), trainer.weights.values)[0])


def trained(ranks: OneProcess, every: int, steps: int, lr: float) -> float:
    """The loss after as many steps, with one all-reduce every ``every`` of them."""
    trainer = flow_trainer(ranks if every == 1 else Apart(ranks), steps, lr)
    if every == 1:
        take_steps(trainer, steps)
    else:
        train_locally(trainer, ranks, rounds=steps // every, every=every)
    return flow_loss(trainer)


def measure_local(ranks: OneProcess, steps: int, rates: Sequence[float]) -> list[dict[str, float]]:
    """Losses after as many steps, by the steps between two all-reduces; of the learning rates the best."""
    return [{"every": h, "loss": min(trained(ranks, h, steps, lr) for lr in rates)} for h in (1, 10, 50)]


def cluster_rows(steps_s: Mapping[tuple[int, int], float]) -> list[dict[str, Any]]:
    """Weak scaling of steps, by width and points of each GPU: efficiencies t / (t + t_reduce) by the number of GPUs."""
    rows = []
    for (width, points), step_s in steps_s.items():
        num_bytes = buffer_bytes(sum(p.numel() for p in network_of(width).parameters()))
        reduce_s = {gpus: reduce_on_gpus(gpus, num_bytes) for gpus in (8, 64, 512, 1024)}
        efficiency = {str(gpus): step_s / (step_s + seconds) for gpus, seconds in reduce_s.items()}
        rows.append({"width": width, "points": points, "step_s": step_s, "bytes": num_bytes, "efficiency": efficiency})
    return rows


def work(quick: bool) -> dict[str, Any]:
    """All numbers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
    sizes, rounds, block = ([(16, 64)], 2, 2) if quick else (SIZES, 15, 20)
    with started([place | {"RANK": rank} for rank in "01"]) as ranks, started([{}]) as alone:
        found: dict[str, Any] = {"ranks": measure_ranks([ranks, alone], sizes, rounds, block)}
        found["reduce"] = ranks("reduce", 2 if quick else 15, 2 if quick else 10)[0]
        found["local"] = ranks("local", 50 if quick else 600, [3e-3] if quick else [1e-3, 3e-3, 1e-2])[0]
    found["cluster"] = cluster_rows(GPU_STEPS_S)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the tables; returns 1 where the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tiny network, two rounds")
    parser.add_argument("--output", type=Path, help="JSON")
    options = parser.parse_args(arguments)
    report = start_report("scaling", command_of(__file__, arguments), CPU, torch.float32, Timing(), quick=options.quick)
    report.extra = work(options.quick)
    finish_report(report, CPU, torch.float32)
    show(report.extra)
    if options.output is not None:
        write_json(report, options.output)
    return int(any(row["ratio"]["median"] < GOAL for row in report.extra["ranks"]) and not options.quick)


def show(found: dict[str, Any]) -> None:
    """The tables on the terminal."""
    rows = [
        (
            f"{row['width']} wide, {row['points']} points",
            *(f"{1e3 * row[kind]['median']:.2f}" for kind in ("two_ranks_s", "two_threads_s")),
            f"{row['ratio']['median']:.2f}",
            f"{row['ratio']['q25']:.2f}-{row['ratio']['q75']:.2f}",
            f"{row['cpu_ratio']['median']:.2f}",
        )
        for row in found["ranks"]
    ]
    print_rows(("step", "2 ranks, ms", "2 threads, ms", f"ratio (goal {GOAL})", "quartiles", "of CPU times"), rows)
    line = found["reduce"]
    print(f"all-reduce of 2 ranks: {1e6 * line['latency_s']:.0f} us + bytes / {line['bytes_per_s'] / 1e9:.2f} GB/s")
    for row in found["local"]:
        print(f"an all-reduce every {row['every']} steps: loss {row['loss']:.3g}")
    table = [
        (
            f"{row['width']} wide, {row['points']} points",
            f"{1e3 * row['step_s']:.3g}",
            *(f"{efficiency:.2f}" for efficiency in row["efficiency"].values()),
        )
        for row in found["cluster"]
    ]
    print_rows(("a step of each GPU", "ms", *(f"{gpus} GPUs" for gpus in found["cluster"][0]["efficiency"])), table)


if __name__ == "__main__":
    sys.exit(main())
