"""The number of threads: the fastest by measured steps, and no difference to the result."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import torch

from pinnx.config import load_config
from pinnx.jobs.cases.load_case import load_case
from pinnx.jobs.flows.flow_problem import flow_problem
from pinnx.jobs.trainer_setup import make_trainer
from pinnx.train.thread_choice import BLOCK, PERIOD, ThreadChoice


@pytest.fixture(autouse=True)
def threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


class Clock:
    """Time that passes by the number of threads."""

    def __init__(self, seconds: dict[int, float]) -> None:
        self.seconds, self.now = seconds, 0.0

    def perf_counter(self) -> float:
        return self.now

    def step(self) -> None:
        self.now += self.seconds[torch.get_num_threads()]


def run(choice: ThreadChoice, clock: Clock, steps: range) -> None:
    for step in steps:
        clock.step()
        choice.on_step(step)


@pytest.mark.parametrize(("seconds", "fastest"), [({1: 1.0, 2: 0.6, 4: 0.5}, 4), ({1: 1.0, 2: 9.0, 4: 90.0}, 1)])
def test_the_fastest_is_taken(monkeypatch: pytest.MonkeyPatch, seconds: dict[int, float], fastest: int) -> None:
    clock, said = Clock(seconds), list[str]()
    monkeypatch.setattr(time, "perf_counter", clock.perf_counter)
    choice = ThreadChoice(4, said.append)
    run(choice, clock, range(1, 60))
    assert torch.get_num_threads() == fastest
    assert said == [
        f"training on {fastest} of 4 threads (steps/s on 1: 1, 2: {1 / seconds[2]:.0f}, 4: {1 / seconds[4]:.0f})"
    ]


def test_a_slow_candidate_is_measured_once_and_neighbours_may_come(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, said = Clock({1: 1.0, 2: 100.0}), list[str]()
    monkeypatch.setattr(time, "perf_counter", clock.perf_counter)
    choice = ThreadChoice(2, said.append)
    run(choice, clock, range(1, 60))
    assert clock.now < (BLOCK + 1) * 100.0 + 60  # one block of the slow one, and the first step
    clock.seconds = {1: 1.0, 2: 0.5}
    run(choice, clock, range(60, PERIOD + 60))
    assert torch.get_num_threads() == 2
    assert len(said) == 2


def test_the_result_does_not_depend_on_threads() -> None:
    config = load_config("demo", ["train.steps=12", "model.width=32", "data.synthetic.num_frames=5"])
    case = load_case(config)
    found = []
    for threads in (1, 2, 3):
        flow = flow_problem(config, case)
        trainer = make_trainer(config, flow.problem, flow.weights)
        torch.set_num_threads(threads)
        trainer.run()
        found.append(torch.cat([p.detach().reshape(-1) for p in flow.problem.parameters()]))
        torch.set_num_threads(1)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])
    # Not because threads are not taken: with as many parts as threads the bits differ.
    flow = flow_problem(config, case)
    flow.problem.model.partitions = 3
    make_trainer(config, flow.problem, flow.weights).run()
    assert not torch.equal(found[0], torch.cat([p.detach().reshape(-1) for p in flow.problem.parameters()]))
