"""Runs on several ranks (gloo, real processes): the trajectory of one process, and what faults make of a run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import distributed

from pinnx.cli import main
from pinnx.config import Config
from pinnx.errors import PinnxError
from pinnx.jobs.cases.load_case import load_case
from pinnx.jobs.flows.flow_problem import flow_problem
from pinnx.jobs.trainer_setup import make_trainer
from pinnx.train import DistributedPINNTrainer, Trainer
from pinnx.train.joined_ranks import _balance, _bound, joined_ranks
from pinnx.train.ranks import OneProcess

pytestmark = pytest.mark.skipif(
    not (distributed.is_available() and distributed.is_gloo_available()), reason="this build of torch has no gloo"
)
# Sums over ranks are added in another order than over one process: 12 steps of Adam let that grow no further.
SAME = 1e-12


def found_on_ranks(folder: Path, *parts: str) -> tuple[dict[str, Any], str]:
    script = Path(__file__).with_name("ranks_of_runs.py")
    done = subprocess.run(
        [sys.executable, str(script), str(folder), *parts],
        env=os.environ | {"OMP_NUM_THREADS": "1"},  # threads that wait would not be there in a fork
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    print(done.stderr)
    assert done.returncode == 0
    return json.loads(done.stdout), done.stderr


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> tuple[dict[str, Any], str]:
    """What ranks found, and what they said; in one process, as that loads everything first."""
    slow = any(item.get_closest_marker("slow") and item.path == request.path for item in request.session.items)
    parts = ["trained", "elastic", "restarts", "hangs", *(["lost", "writes", "nodes"] if slow else [])]
    return found_on_ranks(tmp_path_factory.mktemp("ranks"), *parts)


@pytest.mark.parametrize("strategy", ["gradnorm", "ntk", "lbfgs"])
def test_any_number_of_ranks_takes_the_steps_of_one(ranks: tuple[dict[str, Any], str], strategy: str) -> None:
    trained = ranks[0]["trained"]
    assert len(trained) == 1 + 2 + 4
    for numbers in trained.values():
        np.testing.assert_allclose(numbers[strategy], trained["1-0"][strategy], rtol=0, atol=SAME)


def test_points_move_from_a_slow_rank_and_the_steps_stay(ranks: tuple[dict[str, Any], str]) -> None:
    fast, slow = ranks[0]["balanced"]
    assert fast["points"] + slow["points"] == 1000
    assert slow["points"] < 300
    for rank in (fast, slow):
        np.testing.assert_allclose(rank["trained"], ranks[0]["trained"]["1-0"]["ntk"], rtol=0, atol=SAME)


def test_each_rank_keeps_to_its_part_of_the_cpus(ranks: tuple[dict[str, Any], str]) -> None:
    every = sorted(os.sched_getaffinity(0))
    for size in (2, 4):
        of_ranks = [ranks[0]["trained"][f"{size}-{rank}"]["cpus"] for rank in range(size)]
        assert all(len(threads) > 1 and threads == [threads[0]] * len(threads) for threads in of_ranks)
        parts = [threads[0] for threads in of_ranks]
        enough = size <= len(every)
        joined = [cpu for part in parts for cpu in part]
        assert joined == every if enough else parts == [every] * size
    assert [rank["cpus"] for rank in ranks[0]["balanced"]] == [every, every]  # PINNX_RANK_BIND=0


def test_a_strategy_that_each_rank_follows_by_itself_is_noticed(ranks: tuple[dict[str, Any], str]) -> None:
    for rank in ("2-0", "2-1"):
        for strategy in ("gradnorm", "ntk"):
            said = ranks[0]["trained"][rank][f"{strategy} alone"]
            assert said.startswith("step 4: expected the same network on all ranks, got another on rank 1")


def test_local_steps_of_one_are_gradient_descent(ranks: tuple[dict[str, Any], str]) -> None:
    """The mean of steps with the ranks' own gradients is the step with their mean; of two steps it is not."""
    for rank in ("2-0", "2-1"):
        found = ranks[0]["trained"][rank]
        np.testing.assert_allclose(found["local 1"], found["gradient"], rtol=0, atol=SAME)
        assert np.abs(np.subtract(found["local 2"], found["gradient"])).max() > 1e-6
        assert found["local 2"] == ranks[0]["trained"]["2-0"]["local 2"]


def test_a_killed_rank_ends_the_others_and_the_run_continues_on_any_number(ranks: tuple[dict[str, Any], str]) -> None:
    """Bitwise on as many ranks: that is compared where the runs are made."""
    found, said = ranks[0]["restarts"], ranks[1]
    assert found["killed"] == [2, -9]
    assert "rank 0: rank 1 of 2: no answer within 20 s" in said
    assert found["again"] == {"killed": [0, 0], "on3": [0, 0, 0], "early": [0]}
    np.testing.assert_allclose(found["ends"]["on3"], found["ends"]["whole"], rtol=0, atol=SAME)
    assert found["finished"] == [0, 0], "a run that had ended gives its metrics"


def test_torchrun_starts_killed_ranks_again_and_the_trajectory_stays(ranks: tuple[dict[str, Any], str]) -> None:
    """Bitwise: that is compared where the run is made. Rank 0 has seen the loss, so there was one."""
    assert ranks[0]["elastic"] == 0
    assert "failed (exitcode: -9) local_rank: 1" in ranks[1]


def test_all_ranks_say_that_no_checkpoint_is_whole(ranks: tuple[dict[str, Any], str]) -> None:
    assert ranks[0]["restarts"]["damaged"] == [2, 2]
    for rank in range(2):
        said = [line for line in ranks[1].splitlines() if line.startswith(f"rank {rank}: ") and "damaged" in line]
        assert "expected a whole checkpoint, found none" in said[0]


def test_a_hung_rank_is_named(ranks: tuple[dict[str, Any], str]) -> None:
    assert ranks[0]["hangs"]["hung"] == [2, -9]
    assert "rank 0: rank 1 of 2: no answer within 1 s (PINNX_RANK_TIMEOUT)" in ranks[1]


def test_a_signal_to_one_rank_stops_all_after_one_step(ranks: tuple[dict[str, Any], str]) -> None:
    assert ranks[0]["hangs"]["stopped"] == [2, 2]
    assert ranks[0]["hangs"]["step"] == 7
    assert "rank 1: stopped after step 7 with the other ranks" in ranks[1]


@pytest.mark.slow
def test_faults_of_the_coordinator_of_links_and_of_saves(ranks: tuple[dict[str, Any], str]) -> None:
    found, said = ranks
    assert found["lost"] == [2, 2]
    for rank in range(2):
        assert f"rank {rank}: the coordinator at 127.0.0.1:" in said
    assert found["writes"] == 8, "a kill at each call of a save"
    if "refused" in found["nodes"]:
        pytest.skip(f"no network namespaces here: {found['nodes']['refused']}")
    assert found["nodes"]["slow"] == [0, 0]
    assert found["nodes"]["cut"] == [2, 2]
    assert found["nodes"]["seconds"] < 60, "two timeouts of 1 s and the start, on a busy machine 17 s"
    assert "rank 1: the coordinator at 10.77.0.1:" in said


class _Two(OneProcess):
    """Rank 0 of two, of which there is one."""

    size = 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["train.optimizer=gauss_newton"], "train.optimizer gauss_newton: expected one process, got 2 ranks; use"),
        (
            [
                "train.points.refine={method: r3}",
                "train.phases=[{optimizer: lbfgs, start: 0.5}]",
                "train.quasi_newton.points_for=2",
            ],
            "train.points.refine: expected one process, or points that are drawn anew in each step",
        ),
    ],
)
def test_what_does_not_work_across_ranks_is_refused(tiny: Any, given: list[str], message: str) -> None:
    plain = ["train.dtype=float64", "model.factorization.mean=null", "train.data_loss=squares"]
    config: Config = tiny("unsteady_grid", *plain, *given)
    flow = flow_problem(config, load_case(config))
    make_trainer(config, flow.problem, flow.weights)
    with pytest.raises(PinnxError) as caught:
        make_trainer(config, flow.problem, flow.weights, ranks=_Two())
    assert str(caught.value).startswith(message)


def test_other_commands_are_refused_on_several_processes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["verify", "run"]) == 2
    assert "pinnx: error: torchrun: expected reconstruct, demo or resume" in capsys.readouterr().err


def test_a_timeout_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("PINNX_RANK_TIMEOUT", "soon")
    with pytest.raises(PinnxError, match="PINNX_RANK_TIMEOUT: expected seconds > 0, got 'soon'"):
        joined_ranks()


def test_a_binding_that_is_neither_on_nor_off_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINNX_RANK_BIND", "no")
    with pytest.raises(PinnxError, match="PINNX_RANK_BIND: expected 0 or 1, got 'no'"):
        _bound()


@pytest.mark.parametrize(("given", "cuda"), [("often", False), ("-1", False), ("50", True)])
def test_a_balance_that_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch, given: str, cuda: bool) -> None:
    monkeypatch.setenv("PINNX_RANK_BALANCE", given)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    with pytest.raises(PinnxError, match="PINNX_RANK_BALANCE: expected CPUs" if cuda else "expected steps >= 0, got"):
        _balance()


def test_without_torchrun_it_is_the_trainer(tiny: Any) -> None:
    config = tiny("unsteady_grid")
    ends = []
    for kind in (Trainer, DistributedPINNTrainer):
        flow = flow_problem(config, load_case(config))
        made = make_trainer(config, flow.problem, flow.weights)
        trainer = kind(flow.problem, made.phases._phases, weights=flow.weights, steps=3)
        trainer.run()
        ends.append(torch.cat([p.detach().reshape(-1) for p in flow.problem.parameters()]))
    torch.testing.assert_close(*ends, rtol=0, atol=0)
