"""From which link on it pays to average every H steps in place of adding gradients in each (`train_locally`).

    python benchmarks/bench_slow_link.py [--quick] [--output FILE.json]

    loss      two ranks on this machine: steps until H = 1 has its loss after 600 steps, for each H
    link      seconds of a step of both, in two network namespaces whose link has a rate (tc, token bucket; needs root)
    time      steps times seconds: what it takes to come to that loss, by the rate

Losses do not depend on the link, so they are measured without one. A link here has a rate and no delay of its own: the
time of an all-reduce is what counts, and the table has it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import torch
from bench_scaling import flow_trainer, take_steps, trained
from harness import Timing
from results import command_of, finish_report, print_rows, start_report, write_json

from pinnx.train.distributed import Apart, train_locally
from pinnx.train.flat_tensors import flat
from pinnx.train.joined_ranks import joined_ranks
from pinnx.train.ranks import OneProcess

CPU = torch.device("cpu")
# Of 1e-3, 3e-3 and 1e-2 the last is the best for each H (bench_scaling.py).
STEPS, LONGER, RATES = 600, (1.0, 1.08, 1.17, 1.25, 1.5), (1e-2,)
EVERY = (1, 10, 50)
LINKS = ("1gbit", "100mbit", "10mbit", "1mbit")
ENVIRONMENT = {"MASTER_ADDR": "10.77.0.1", "GLOO_SOCKET_IFNAME": "pinnx0"}  # of ranks on two nodes


def measure_losses(ranks: OneProcess, steps: int, rates: Sequence[float]) -> list[dict[str, Any]]:
    """Steps until the loss of H = 1 after ``steps``, by H; None: not within the longest training."""
    goal, rows = float("inf"), []
    for every in EVERY:
        for factor in LONGER:
            count = round(factor * steps / 50) * 50
            losses = {lr: trained(ranks, every, count, lr) for lr in rates}
            best = min(losses, key=losses.__getitem__)
            goal = losses[best] if every == 1 else goal
            rows.append(
                {"every": every, "steps": count, "loss": losses[best], "lr": best, "there": losses[best] <= goal}
            )
            if rows[-1]["there"]:
                break
    return rows


def measure_steps(ranks: OneProcess, blocks: int) -> dict[str, float]:
    """Seconds of a step by H, and of one all-reduce of its gradient: medians of blocks, which alternate."""
    seconds: dict[str, list[float]] = {str(every): [] for every in EVERY}
    seconds |= {"reduce": [], "step_cpu": []}
    trainers = {every: flow_trainer(ranks if every == 1 else Apart(ranks), 10**6, 1e-3) for every in EVERY}
    for number in range(blocks + 1):
        for every, trainer in trainers.items():
            count = max(every, 10)
            ranks.leave()
            started = time.perf_counter()
            if every == 1:
                take_steps(trainer, count)
            else:
                train_locally(trainer, ranks, rounds=count // every, every=every)
            if number:
                seconds[str(every)].append((time.perf_counter() - started) / count)
        gradient = flat(trainers[1].problem.parameters())
        ranks.leave()
        started = time.perf_counter()
        for _ in range(10):
            ranks.add([gradient])
        seconds["reduce"].append((time.perf_counter() - started) / 10)
        started = time.process_time()
        take_steps(trainers[10], 10)
        seconds["step_cpu"].append((time.process_time() - started) / 10)
    return {name: median(found) for name, found in seconds.items()}


def work(kind: str, quick: bool) -> list[dict[str, Any]] | dict[str, float]:
    """What both ranks do."""
    torch.set_num_threads(1)
    ranks = joined_ranks()
    if kind == "loss":
        found: Any = measure_losses(ranks, 50 if quick else STEPS, RATES[:1] if quick else RATES)
    else:
        found = measure_steps(ranks, 1 if quick else 3)
    ranks.leave()
    return found


def on_two_ranks(kind: str, quick: bool, names: Sequence[str] = ()) -> Any:
    """What the first of two processes prints, each in a namespace where there are some."""
    address = ENVIRONMENT if names else {"MASTER_ADDR": "127.0.0.1"}
    started = []
    for rank in range(2):
        words = [*(["ip", "netns", "exec", names[rank]] if names else []), sys.executable, __file__, "--rank", kind]
        environment = os.environ | address | {"MASTER_PORT": "29517", "RANK": str(rank), "WORLD_SIZE": "2"}
        started.append(
            subprocess.Popen(
                [*words, *(["--quick"] if quick else [])], env=environment, stdout=subprocess.PIPE, text=True
            )
        )
    out = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        raise SystemExit("a rank has failed")
    return json.loads(out[0])


def command(text: str) -> None:
    """Runs a command without a shell; raises `CalledProcessError` where it fails."""
    subprocess.run(text.split(), check=True, capture_output=True, text=True)


@contextmanager
def two_nodes() -> Iterator[list[str]]:
    """Names of the namespaces: addresses 10.77.0.1 and 10.77.0.2, device pinnx0. Needs root, and ip."""
    names = [f"pinnx-{os.getpid()}-{number}" for number in range(2)]
    try:
        for name in names:
            command(f"ip netns add {name}")
        command(f"ip link add name pinnx0 netns {names[0]} type veth peer name pinnx0 netns {names[1]}")
        for number, name in enumerate(names, start=1):
            command(f"ip -n {name} addr add 10.77.0.{number}/24 dev pinnx0")
            for link in ("lo", "pinnx0"):
                command(f"ip -n {name} link set {link} up")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def measure(quick: bool) -> dict[str, Any]:
    """Losses, and the seconds of a step by link."""
    found: dict[str, Any] = {"losses": on_two_ranks("loss", quick), "links": []}
    with two_nodes() as names:
        for rate in LINKS[:1] if quick else LINKS:
            for name in names:
                command(f"tc -n {name} qdisc replace dev pinnx0 root tbf rate {rate} burst 32kb latency 400ms")
            found["links"].append({"rate": rate, "step_s": on_two_ranks("link", quick, names)})
    return found


def show(found: dict[str, Any]) -> None:
    """The tables on the terminal."""
    rows = [(row["every"], row["steps"], f"{row['loss']:.3g}", row["lr"], row["there"]) for row in found["losses"]]
    print_rows(("H", "steps", "loss", "rate of learning", "as good"), [tuple(map(str, row)) for row in rows])
    steps = {row["every"]: row["steps"] for row in found["losses"] if row["there"]}
    rows = []
    for link in found["links"]:
        times = {every: link["step_s"][str(every)] for every in EVERY}
        rows.append(
            (
                link["rate"],
                *(f"{1e3 * s:.1f} ms" for s in times.values()),
                *(f"{steps[every] * s:.1f} s" if every in steps else "-" for every, s in times.items()),
            )
        )
    print_rows(("link", *(f"a step, H = {e}" for e in EVERY), *(f"to the loss, H = {e}" for e in EVERY)), rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few steps, one link")
    parser.add_argument("--output", type=Path, help="JSON")
    parser.add_argument("--rank", choices=("loss", "link"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.rank:
        found = work(options.rank, options.quick)
        if os.environ["RANK"] == "0":
            print(json.dumps(found))
        return 0
    report = start_report(
        "slow link", command_of(__file__, arguments), CPU, torch.float32, Timing(), quick=options.quick
    )
    try:
        report.extra = measure(options.quick)
    except (OSError, subprocess.CalledProcessError) as error:
        said = " ".join(f"{error} {getattr(error, 'stderr', '')}".split())
        raise SystemExit(f"expected to make network namespaces (root, ip and tc), got: {said}") from None
    finish_report(report, CPU, torch.float32)
    show(report.extra)
    if options.output is not None:
        write_json(report, options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
