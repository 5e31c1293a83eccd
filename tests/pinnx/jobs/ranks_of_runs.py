"""Runs on ranks that are forked here, and what faults make of them: ``python ranks_of_runs.py FOLDER PART ...``.

A process of its own, on one thread, loads everything once; each rank is a fork of it with the environment that torchrun
gives. Prints what each rank found, as JSON.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from flow_files import TINY, prepare, source
from killed_runs import kill_at_call, status_of
from same_runs import assert_same_run, last_state
from torch import distributed

from pinnx.config import Config, load_config
from pinnx.errors import PinnxError
from pinnx.jobs import reconstruct, reconstruction, resume
from pinnx.jobs.cases.load_case import load_case
from pinnx.jobs.flows.flow_problem import flow_problem
from pinnx.jobs.judging.run_guard import flow_guard
from pinnx.jobs.trainer_setup import make_trainer
from pinnx.train import DistributedPINNTrainer, FirstOrder, Objective, Phase, Trainer
from pinnx.train.distributed import Apart, train_locally
from pinnx.train.joined_ranks import joined_ranks
from pinnx.train.ranks import OneProcess, Ranks

sys.path.append(str(Path(__file__).resolve().parents[3] / "benchmarks"))
from bench_slow_link import ENVIRONMENT, command, two_nodes

CLONE_NEWNET = 0x40000000
PLAIN = (*TINY, "train.steps=12", "train.dtype=float64", "train.optimizer=adam", "train.checkpoint_every=4")
# Together they use every sum over ranks: of gradients, of squares in parts of the time, of probes' gradients.
STRATEGIES = {
    "gradnorm": (
        "train.balance={method: gradnorm, every: 2}",
        "train.causal={tolerance: 1.0, every: 2}",
        "train.points.refine={method: rad, every: 3, candidates: 40}",
        "train.clip=0.1",
    ),
    "ntk": ("train.balance={method: ntk, every: 2}", "train.optimizer=soap"),
    "lbfgs": ("train.balance={method: relobralo}", "train.phases=[{optimizer: lbfgs, start: 0.4}]"),
}


def on_ranks(size: int, work: Callable[[int], Any], **more: str) -> list[int]:
    """Does the work on so many ranks; returns their exit statuses."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    children = []
    for rank in range(size):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1"}
                os.environ |= {"MASTER_PORT": port, "PINNX_RANK_TIMEOUT": "20", **more}
                work(rank)
                status = 0
            except PinnxError as error:
                sys.stderr.write(f"rank {rank}: {error}\n")  # in one piece: several processes write
                sys.stderr.flush()
                status = 2
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        children.append(child)
    return [status_of(child) for child in children]


def numbers_of(trainer: Trainer) -> list[float]:
    pieces = [p.detach().double().reshape(-1) for p in trainer.problem.parameters()]
    return torch.cat([*pieces, trainer.weights.values.double()]).tolist()


def trained(config: Config, ranks: OneProcess) -> list[float]:
    """Parameters and weights after a training."""
    flow = flow_problem(config, load_case(config, ranks=ranks))
    trainer = make_trainer(config, flow.problem, flow.weights, flow_guard(flow, ranks), ranks)
    trainer.run()
    return numbers_of(trainer)


def by_gradient(config: Config, ranks: OneProcess, every: int | None = None) -> list[float]:
    """Parameters after six steps of plain gradient descent; those of each rank by itself are averaged every so many."""
    flow = flow_problem(config, load_case(config, ranks=ranks))

    def method(objective: Objective, steps: int) -> FirstOrder:
        chosen = torch.optim.SGD(objective.parameters, lr=1e-3)
        return FirstOrder(objective, chosen, torch.optim.lr_scheduler.ConstantLR(chosen, 1.0))

    given = {"weights": flow.weights, "steps": 6, "ranks": ranks if every is None else Apart(ranks)}
    trainer = DistributedPINNTrainer(flow.problem, [Phase(method)], **given)
    if every is None:
        trainer.run()
    else:
        train_locally(trainer, ranks, rounds=6 // every, every=every, lr=1.0, momentum=0.0)
    return numbers_of(trainer)


def refusal(work: Callable[[], Any]) -> str:
    try:
        work()
    except PinnxError as error:
        return str(error)
    return ""


def trajectories(configs: Mapping[str, Config], folder: Path) -> dict[str, Any]:
    """Where trainings of 1, 2 and 4 ranks ended, by strategy; and one that forgets to add what its strategy needs."""

    def work(size: int, rank: int) -> None:
        ranks = joined_ranks()
        cpus = [sorted(os.sched_getaffinity(int(thread))) for thread in os.listdir("/proc/self/task")]
        found = {"cpus": cpus} | {name: trained(config, ranks) for name, config in configs.items()}
        if size == 2:
            plain = configs["ntk"]
            found |= {"gradient": by_gradient(plain, ranks)}
            found |= {f"local {every}": by_gradient(plain, ranks, every) for every in (1, 2)}
            Ranks.add = OneProcess.add  # type: ignore[method-assign]
            Ranks.before = OneProcess.before  # type: ignore[method-assign]
            found |= {f"{name} alone": refusal(partial(trained, configs[name], ranks)) for name in ("gradnorm", "ntk")}
        (folder / f"trained-{size}-{rank}.json").write_text(json.dumps(found))

    one = {name: trained(config, joined_ranks()) for name, config in configs.items()}
    for size in (2, 4):
        assert on_ranks(size, partial(work, size)) == [0] * size
    of_ranks = {
        f"{size}-{rank}": json.loads((folder / f"trained-{size}-{rank}.json").read_text())
        for size in (2, 4)
        for rank in range(size)
    }
    return {"1-0": one, **of_ranks}


def balanced(config: Config, folder: Path) -> list[dict[str, Any]]:
    """Where a training of two ranks ended of which the second is slow, and the points of each in the end."""

    def work(rank: int) -> None:
        ranks, original = joined_ranks(), Trainer.train_step
        cpus = sorted(os.sched_getaffinity(0))

        def slow(trainer: Trainer) -> None:
            time.sleep(0.05 * rank)
            original(trainer)

        Trainer.train_step = slow  # type: ignore[method-assign]
        found = {"trained": trained(config, ranks), "points": len(ranks.share.rows(1000)), "cpus": cpus}
        (folder / f"balanced-{rank}.json").write_text(json.dumps(found))

    assert on_ranks(2, work, PINNX_RANK_BALANCE="3", PINNX_RANK_BIND="0") == [0, 0]
    return [json.loads((folder / f"balanced-{rank}.json").read_text()) for rank in range(2)]


def at_step(step: int, act: Callable[[], Any]) -> None:
    """Has this process do something when it has taken so many steps."""
    original = Trainer.train_step

    def taken(trainer: Trainer) -> None:
        original(trainer)
        if trainer.step == step:
            act()

    Trainer.train_step = taken  # type: ignore[method-assign]


def kill_this() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def ends_at(rank_of: int, step: int, act: Callable[[], Any], config: Config, run: Path) -> Callable[[int], None]:
    """A run in which one rank does something to itself after a step."""

    def work(rank: int) -> None:
        if rank == rank_of:
            at_step(step, act)
        reconstruct(config, run)

    return work


def agent_with_store() -> tuple[int, dict[str, str]]:
    """The process with the store, as torchrun has one, and the environment of its ranks."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    agent = os.fork()
    if agent == 0:
        store = distributed.TCPStore("127.0.0.1", port, is_master=True, wait_for_workers=False)
        while store is not None:
            time.sleep(60)
    return agent, {"TORCHELASTIC_USE_AGENT_STORE": "True", "MASTER_PORT": str(port)}


def restarts(config: Config, folder: Path) -> dict[str, Any]:
    """Runs of two ranks of which one is killed, started again as torchrun does, on 2 and on other numbers of ranks."""

    def again(run: Path, size: int, **more: str) -> list[int]:
        return on_ranks(size, lambda rank: reconstruct(config, run), TORCHELASTIC_RESTART_COUNT="1", **more)

    agent, store = agent_with_store()
    killed = on_ranks(2, ends_at(1, 7, kill_this, config, folder / "killed"), **store)
    for other in ("on3", "damaged"):
        shutil.copytree(folder / "killed", folder / other)
    # The same store: it has the addresses of the ranks before.
    statuses = {name: again(folder / name, size, **store) for name, size in {"killed": 2, "on3": 3}.items()}
    os.kill(agent, signal.SIGKILL)
    status_of(agent)
    assert_same_run(folder / "whole", folder / "killed")
    ends = {name: last_state(folder / name)["model"] for name in ("whole", "on3")}
    ends = {name: torch.cat([p.reshape(-1) for p in model.values()]).tolist() for name, model in ends.items()}
    (folder / "early" / "checkpoints").mkdir(parents=True)  # killed before there was a configuration
    (folder / "early" / "checkpoints" / "step-00000000.safetensors.part").touch()
    statuses["early"] = again(folder / "early", 1)
    for path in (folder / "damaged" / "checkpoints").glob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:100])
    damaged = on_ranks(2, lambda rank: resume(folder / "damaged"))
    finished = again(folder / "whole", 2)
    return {"killed": killed, "again": statuses, "ends": ends, "damaged": damaged, "finished": finished}


def writes(config: Config, folder: Path) -> int:
    """Kills the rank that writes at each of the eight calls of a save, each run in all of its saves. Returns how often.

    Not in that of step 0: a run without a checkpoint is started anew.
    """
    kills, calls = 0, iter(range(1, 9))
    for number in range(3):
        run = folder / f"write{number}"
        for saved in (0, 4, 8):
            call = next(calls, 0)

            def armed(rank: int, call: int = call, saved: int = saved, run: Path = run) -> None:
                if rank == 0 and call:
                    at_step(saved + 3, partial(kill_at_call, call, ("before", "in", "after")[call % 3]))
                if saved:
                    resume(run)
                else:
                    reconstruct(config, run)

            statuses = on_ranks(2, armed)
            kills += statuses[0] == -signal.SIGKILL
        if statuses[0]:
            assert on_ranks(2, lambda rank, run=run: resume(run)) == [0, 0]
        assert_same_run(folder / "whole", run)
    return kills


def hangs(config: Config, folder: Path) -> dict[str, Any]:
    """A rank that stops answering, and a signal that one rank alone gets."""

    def hang() -> None:
        time.sleep(4)
        kill_this()

    hung = on_ranks(2, ends_at(1, 6, hang, config, folder / "hung"), PINNX_RANK_TIMEOUT="1")

    def stopped(rank: int) -> None:
        if rank == 1:
            at_step(6, lambda: os.kill(os.getpid(), signal.SIGTERM))
        reconstruct(config, folder / "stopped")

    return {"hung": hung, "stopped": on_ranks(2, stopped), "step": last_state(folder / "stopped")["clock"]["step"]}


def enter(namespace: str) -> None:
    """Moves this process, which has one thread, into a network namespace."""
    with open(f"/run/netns/{namespace}") as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")


def nodes(config: Config, folder: Path) -> dict[str, Any]:
    """Two nodes whose link is slow, and then cut; why there are none, where namespaces are not permitted."""

    def work(rank: int, names: list[str], run: Path, cut: int) -> None:
        enter(names[rank])
        if rank == 0:
            at_step(cut, lambda: command(f"ip -n {names[0]} link set pinnx0 down"))
        reconstruct(config, run)

    try:
        with two_nodes() as names:
            # A second of the link takes 125 kB; a step of two ranks, less than 2.
            command(f"tc -n {names[1]} qdisc add dev pinnx0 root tbf rate 1mbit burst 4kb latency 400ms")
            slow = on_ranks(2, partial(work, names=names, run=folder / "slow", cut=99), **ENVIRONMENT)
            command(f"tc -n {names[1]} qdisc del dev pinnx0 root")
            started = time.monotonic()
            cut = on_ranks(
                2, partial(work, names=names, run=folder / "cut", cut=6), **ENVIRONMENT, PINNX_RANK_TIMEOUT="1"
            )
            seconds = time.monotonic() - started
    except (OSError, subprocess.CalledProcessError) as error:
        return {"refused": f"{error} {getattr(error, 'stderr', '')}"}
    assert_same_run(folder / "whole", folder / "slow")
    assert on_ranks(2, lambda rank: resume(folder / "cut")) == [0, 0]
    assert_same_run(folder / "whole", folder / "cut")
    return {"slow": slow, "cut": cut, "seconds": seconds}


def lost_coordinator(config: Config, folder: Path) -> list[int]:
    """The process with the store of the group ends: so do the ranks, at their next checkpoint."""
    agent, store = agent_with_store()

    def work(rank: int) -> None:
        def lose() -> None:
            if rank == 0:
                os.kill(agent, signal.SIGKILL)
            time.sleep(0.3)

        at_step(6, lose)
        reconstruct(config, folder / "lost")

    found = on_ranks(2, work, **store)
    status_of(agent)
    return found


def killed_once(folder: Path) -> None:
    """What each process of torchrun does: the second one kills itself, but not after the restart."""
    reconstruction.write_report = lambda folder: (folder / "report.html").touch()
    if (os.environ["RANK"], os.environ["TORCHELASTIC_RESTART_COUNT"]) == ("1", "0"):
        at_step(7, kill_this)
    reconstruct(load_config(str(folder / "whole" / "config.yaml"), []), folder / "elastic")


def elastic(config: Config, folder: Path) -> int:
    """The exit status of torchrun, which has started all ranks again where one was killed."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--max-restarts", "1"]
    words = [sys.executable, *torchrun, __file__, str(folder), "under torchrun"]
    done = subprocess.run(words, env=os.environ | {"PINNX_RANK_TIMEOUT": "20"}, stdout=sys.stderr, check=False)
    assert_same_run(folder / "whole", folder / "elastic")
    return done.returncode


PARTS = {
    "elastic": elastic,
    "restarts": restarts,
    "hangs": hangs,
    "lost": lost_coordinator,
    "writes": writes,
    "nodes": nodes,
}


def main(folder: Path, parts: list[str]) -> dict[str, Any]:
    path, data = prepare(folder, "unsteady_grid")
    given = {name: load_config(path, [*PLAIN, *more, source(data)]) for name, more in STRATEGIES.items()}
    reconstruction.write_report = lambda folder: (folder / "report.html").touch()
    config = given["gradnorm"]
    reconstruct(config, folder / "alone")  # loads what each rank would load by itself
    found: dict[str, Any] = {}
    if "trained" in parts:
        found = {"trained": trajectories(given, folder), "balanced": balanced(given["ntk"], folder)}
    assert on_ranks(2, lambda rank: reconstruct(config, folder / "whole")) == [0, 0]
    return found | {name: part(config, folder) for name, part in PARTS.items() if name in parts}


if __name__ == "__main__":
    if sys.argv[2:] == ["under torchrun"]:
        killed_once(Path(sys.argv[1]))
    else:
        print(json.dumps(main(Path(sys.argv[1]), sys.argv[2:])))
