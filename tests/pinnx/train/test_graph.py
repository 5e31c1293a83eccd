"""Steps replayed as a CUDA graph: the numbers of eager steps, on a GPU, and without one on a stand-in for it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from recorded_graph import AsOnCuda, RecordedGraph, assert_same, eager_and_replayed, replays_updates, state_after
from torch import Tensor

from pinnx.config import load_config
from pinnx.errors import PinnxError
from pinnx.jobs import reconstruct
from pinnx.losses import CausalWeights, GradNorm, ProgressivePhysics
from pinnx.train import (
    FirstOrder,
    NonFiniteLossError,
    Objective,
    Phase,
    Problem,
    Trainer,
    cosine_schedule,
    graph,
)
from pinnx.train.curvature import LimitedMemory
from pinnx.train.graph import StepGraph, UpdateGraph, use_cuda_graph
from pinnx.train.problem import Batch
from pinnx.train.quasi_newton import QuasiNewton
from pinnx.train.soap_stack import SoapStack
from pinnx.train.stateful import copy_of

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Captures are recorded, and any device may have them."""
    stream = SimpleNamespace(wait_stream=lambda other: None)
    stand_in = SimpleNamespace(
        CUDAGraph=RecordedGraph,
        Stream=lambda: stream,
        current_stream=lambda: stream,
        device=lambda device: nullcontext(),
        graph=lambda recorded, stream, capture_error_mode="global": recorded,
        stream=lambda stream: nullcontext(),
    )
    monkeypatch.setattr(graph, "cuda", stand_in)
    monkeypatch.setattr("pinnx.train.objective.use_cuda_graph", lambda setting, device: setting == "on")
    monkeypatch.setattr("pinnx.train.phases.Objective", AsOnCuda)


Build = Callable[..., Any]


def on(problem: Problem, device: torch.device) -> Problem:
    problem.model.to(device)
    problem.terms[0].equations.to(device)
    return problem


# --- with a stand-in ----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize("learn_nu", [False, True])
@pytest.mark.parametrize("corner_radius", [None, 0.2])
def test_loss_and_gradients_are_those_of_eager_steps(
    make_problem: Build, make_trainer: Build, learn_nu: bool, corner_radius: float | None
) -> None:
    problem = make_problem(learn_nu=learn_nu, corner_radius=corner_radius)
    assert_same(eager_and_replayed(make_trainer(problem=problem), steps=4))


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize("clip", [None, 0.5])
@pytest.mark.parametrize("optimizer", ["soap", "adam"])
def test_a_trained_network_is_that_of_eager_steps(make_trainer: Build, optimizer: str, clip: float | None) -> None:
    given = {"optimizer": optimizer, "clip": clip}
    eager, replayed = (make_trainer(cuda_graph=setting, **given) for setting in ("off", "on"))
    assert all(torch.equal(a, b) for a, b in zip(state_after(eager), state_after(replayed), strict=True))
    assert replays_updates(replayed)
    if clip is not None:
        assert not torch.equal(state_after(make_trainer(optimizer=optimizer))[0], state_after(replayed)[0])


@pytest.mark.usefixtures("recorded")
def test_a_state_that_is_loaded_reaches_replayed_updates(make_trainer: Build) -> None:
    """The optimiser's tensors are others then: their graph is made anew."""
    eager, replayed = (make_trainer(optimizer="adam", clip=0.5, cuda_graph=setting) for setting in ("off", "on"))
    for trainer in (eager, replayed):
        for _ in range(6):
            trainer.train_step()
        trainer.method.load_state_dict(copy_of(trainer.method.state_dict()))
    assert all(torch.equal(a, b) for a, b in zip(state_after(eager), state_after(replayed), strict=True))
    assert replays_updates(replayed)


@pytest.mark.usefixtures("recorded")
def test_the_first_updates_are_steps_and_a_capture_is_none() -> None:
    total, added, held = torch.zeros(()), torch.ones(()), [1.0]

    def change() -> None:
        total.add_(added * held[0])

    update = UpdateGraph(change, device=CPU, report=lambda text: pytest.fail(text))
    for number in range(1, 7):
        update()
        assert total.item() == number
        assert update.replays == (number > graph.WARM_UP)
    added.fill_(10.0)
    held[0] = 100.0  # a number of Python stays that of the capture
    update()
    assert total.item() == 16.0


@pytest.mark.usefixtures("recorded")
def test_an_update_that_cannot_be_captured_is_eager_and_a_note(
    make_trainer: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, make_step = state_after(make_trainer(cuda_graph="off")), SoapStack._make_step

    def reads_back(self: SoapStack, *numbers: float) -> None:
        make_step(self, *numbers)
        self.params[0].sum().item()

    monkeypatch.setattr(SoapStack, "_make_step", reads_back)
    trainer = make_trainer(cuda_graph="on")
    assert all(torch.equal(a, b) for a, b in zip(plain, state_after(trainer), strict=True))
    assert not replays_updates(trainer)
    (note,) = trainer.clock.notes
    assert "is not replayed as a CUDA graph, which is slower: operation not permitted when stream is capturing" in note


@pytest.mark.usefixtures("recorded")
def test_options_that_change_reach_a_replayed_update(make_trainer: Build) -> None:
    def trained(setting: str, *, change: bool) -> list[Tensor]:
        trainer = make_trainer(cuda_graph=setting)
        for step in range(10):
            if change and step == 6:
                trainer.method.optimizer.param_groups[0]["betas"] = (0.5, 0.6)
            trainer.train_step()
        return trainer.problem.parameters()

    eager, replayed, unchanged = trained("off", change=True), trained("on", change=True), trained("on", change=False)
    assert all(torch.equal(a, b) for a, b in zip(eager, replayed, strict=True))
    assert not torch.equal(replayed[0], unchanged[0])


@pytest.mark.usefixtures("recorded")
def test_phases_are_those_of_eager_steps(make_problem: Build) -> None:
    """Another precision has a graph of its own, and all evaluations of a line search replay it."""

    def adam(objective: Objective, steps: int) -> FirstOrder:
        optimizer = torch.optim.Adam(objective.parameters, lr=1e-2)
        return FirstOrder(objective, optimizer, cosine_schedule(optimizer, steps, 1e-5))

    def lbfgs(objective: Objective, steps: int) -> QuasiNewton:
        like = torch.cat([p.detach().reshape(-1) for p in objective.parameters])
        return QuasiNewton(objective, LimitedMemory(like, 5))

    def trained(setting: str) -> list[Tensor]:
        problem = make_problem()
        phases = [Phase(adam), Phase(lbfgs, first=3, dtype=torch.float64, points_for=2)]
        weights = dict.fromkeys(problem.names, 1.0)
        Trainer(problem, phases, weights=weights, steps=8, cuda_graph=setting).run()
        return problem.parameters()

    eager, replayed = trained("off"), trained("on")
    assert all(torch.equal(a, b) for a, b in zip(eager, replayed, strict=True))
    assert {p.dtype for p in replayed} == {torch.float64}


@pytest.mark.usefixtures("recorded")
def test_a_loss_that_is_not_finite_stops_before_the_optimiser(make_trainer: Build) -> None:
    trainer = make_trainer(cuda_graph="on")
    for _ in range(3):
        trainer.train_step()
    before = [p.detach().clone() for p in trainer.problem.parameters()]
    trainer.problem.terms[1].values[2, 1] = float("nan")
    with pytest.raises(NonFiniteLossError, match=r"^step 4: expected a finite loss, got nan \(momentum_x .*data nan"):
        trainer.run()
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.problem.parameters(), strict=True))


@pytest.mark.usefixtures("recorded")
def test_gradients_of_others_in_between_do_no_harm(make_trainer: Build) -> None:
    """Whoever sets the gradients to None between two steps, the next one has its own."""
    eager, replayed = make_trainer(cuda_graph="off"), make_trainer(cuda_graph="on")
    for _ in range(4):
        replayed.method.optimizer.zero_grad(set_to_none=True)
        for trainer in (eager, replayed):
            trainer.train_step()
        pairs = zip(eager.problem.parameters(), replayed.problem.parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.usefixtures("recorded")
def test_weights_that_change_in_place_reach_the_next_replay(make_trainer: Build) -> None:
    eager, replayed = make_trainer(cuda_graph="off"), make_trainer(cuda_graph="on")
    for step in range(4):
        for trainer in (eager, replayed):
            trainer.weights.values.mul_(1.5 + step)
            trainer.train_step()
        assert torch.equal(eager.numbers, replayed.numbers)


@pytest.mark.usefixtures("recorded")
def test_weights_that_adapt_between_steps_give_the_steps_of_eager(make_trainer: Build) -> None:
    def build(setting: str) -> Trainer:
        trainer = make_trainer(cuda_graph=setting)
        ramp = ProgressivePhysics([True, True, True, False, False], 12, (0.2, 0.6), trainer.weights.values)
        term, configured = trainer.problem.terms[0], trainer.weights.configured
        term.time_weights = torch.ones(4)
        causal = CausalWeights(term, configured, trainer.problem.names, tolerance=1.0, every=2)
        trainer.weights.adapt_by(GradNorm(configured, every=2), ramp, causal)
        return trainer

    eager, replayed = build("off"), build("on")
    assert all(torch.equal(a, b) for a, b in zip(state_after(eager), state_after(replayed), strict=True))
    assert torch.equal(eager.weights.values, replayed.weights.values)
    assert not torch.equal(eager.weights.values, eager.weights.configured)
    in_time = [trainer.problem.terms[0].time_weights for trainer in (eager, replayed)]
    assert torch.equal(*in_time)
    assert in_time[0][-1] < 1.0


@pytest.mark.usefixtures("recorded")
@pytest.mark.skipif(not hasattr(torch.backends.mkldnn, "matmul"), reason="torch before 2.9 has no choice of products")
@pytest.mark.parametrize(("optimizer", "clip"), [("soap", None), ("soap", 0.5), ("adam", 0.5)])
def test_200_steps_with_weights_and_precisions_that_change_are_those_of_eager(
    make_trainer: Build, optimizer: str, clip: float | None
) -> None:
    schedule = {0: "float32", 50: "float16", 100: "float64", 150: "float16"}

    def build(setting: str) -> Trainer:
        given = {"optimizer": optimizer, "clip": clip, "steps": 200}
        trainer = make_trainer(cuda_graph=setting, precision=schedule, **given)
        configured = trainer.weights.configured
        ramp = ProgressivePhysics([True, True, True, False, False], 200, (0.2, 0.6), configured)
        trainer.weights.adapt_by(GradNorm(configured, every=25), ramp)
        return trainer

    eager, replayed = build("off"), build("on")
    assert all(torch.equal(a, b) for a, b in zip(state_after(eager), state_after(replayed), strict=True))
    assert torch.equal(eager.weights.values, replayed.weights.values)
    assert set(replayed.phases.objective._evaluate) == {"float16"}, "the graphs of float64 were those of another dtype"
    assert replays_updates(replayed)


@pytest.mark.usefixtures("recorded")
def test_a_batch_stays_its_owners(make_trainer: Build) -> None:
    trainer = make_trainer()
    problem = trainer.problem
    replayed = StepGraph(trainer.phases.objective.eager_gradients, problem.parameters())
    first, again = problem.batch(0), problem.batch(0)
    for batch in (first, problem.batch(1)):
        replayed(batch)
    assert torch.equal(first.flat, again.flat)


@pytest.mark.usefixtures("recorded")
def test_a_step_that_waits_for_the_device_is_seen(make_trainer: Build) -> None:
    """What the tests above rest on: the stand-in refuses what a capture refuses."""
    trainer = make_trainer()

    def step(batch: Batch) -> Tensor:
        numbers = trainer.phases.objective.eager_gradients(batch)
        return numbers * numbers[0].item()

    with pytest.raises(RuntimeError, match="not permitted when stream is capturing: aten::_local_scalar_dense"):
        StepGraph(step, trainer.problem.parameters())(trainer.problem.batch(0))


# --- the choice ---------------------------------------------------------------------------------------------------


def test_who_gets_a_graph(make_trainer: Build) -> None:
    assert [use_cuda_graph(setting, CUDA) for setting in ("auto", "on", "off")] == [True, True, False]
    assert [use_cuda_graph(setting, CPU) for setting in ("auto", "off")] == [False, False]
    refusal = r"^train\.cuda_graph: expected a CUDA device for on, got cpu; use auto or off$"
    with pytest.raises(PinnxError, match=refusal):
        use_cuda_graph("on", CPU)
    with pytest.raises(PinnxError, match=refusal):
        make_trainer(cuda_graph="on")
    trainer = make_trainer()
    trainer.train_step()
    (evaluate,) = trainer.phases.objective._evaluate.values()
    assert not isinstance(evaluate, StepGraph)


def test_a_run_that_asks_for_a_graph_on_the_cpu_is_refused_before_it_begins(tmp_path: Path) -> None:
    assert load_config("demo").train.cuda_graph == "auto"
    small = ["data.synthetic={resolution: 16, duration: 0.1, num_frames: 3, max_wavenumber: 2.0}", "train.device=cpu"]
    small.append("sensors.count=4")
    with pytest.raises(PinnxError, match=r"^train\.cuda_graph: expected a CUDA device for on, got cpu"):
        reconstruct(load_config("demo", [*small, "train.cuda_graph=on"]), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(PinnxError, match=r"train\.cuda_graph: expected one of auto, on, off, got"):
        load_config("demo", ["train.cuda_graph=true"])


def test_points_of_other_shapes_are_refused(make_problem: Build) -> None:
    static, batch = make_problem().batch(0), make_problem().batch(1)
    static.fill(batch)
    assert torch.equal(static.flat, batch.flat)
    wanted = r"^points: expected those of the first step, .*'equations\.x': \[16, 3\].* got .*"
    for changes, got in (({"collocation": 15}, r"\[15, 3\]"), ({"corner_radius": 0.2}, "equations.weights")):
        with pytest.raises(PinnxError, match=wanted + got):
            static.fill(make_problem(**changes).batch(1))


# --- on a GPU -----------------------------------------------------------------------------------------------------


@pytest.mark.gpu
@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("learn_nu", [False, True])
@pytest.mark.parametrize("corner_radius", [None, 0.2])
def test_cuda_loss_and_gradients(
    make_problem: Build, make_trainer: Build, dtype: torch.dtype, learn_nu: bool, corner_radius: float | None
) -> None:
    problem = on(make_problem(dtype=dtype, learn_nu=learn_nu, corner_radius=corner_radius), CUDA)
    assert_same(eager_and_replayed(make_trainer(problem=problem), steps=4))


@pytest.mark.gpu
@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("clip", [None, 0.5])
@pytest.mark.parametrize("optimizer", ["soap", "adam"])
def test_cuda_training(make_problem: Build, make_trainer: Build, optimizer: str, clip: float | None) -> None:
    problems = [on(make_problem(), CUDA) for _ in range(2)]
    eager, replayed = (
        make_trainer(optimizer=optimizer, clip=clip, problem=problem, cuda_graph=setting)
        for problem, setting in zip(problems, ("off", "auto"), strict=True)
    )
    assert all(torch.equal(a, b) for a, b in zip(state_after(eager), state_after(replayed), strict=True))
    assert isinstance(replayed.phases.objective._evaluate["ieee"], StepGraph)
    assert replays_updates(replayed)
    assert not replayed.clock.notes


@pytest.mark.gpu
@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("optimizer", ["soap", "adam"])
def test_cuda_steps_with_weights_and_precisions_that_change(
    make_problem: Build, make_trainer: Build, optimizer: str
) -> None:
    schedule = {0: "float32", 40: "bfloat16", 80: "float16", 120: "tf32", 160: "float64", 180: "float32"}

    def build(setting: str) -> Trainer:
        problem = on(make_problem(width=64), CUDA)
        trainer = make_trainer(problem=problem, cuda_graph=setting, optimizer=optimizer, steps=200, precision=schedule)
        configured = trainer.weights.configured
        ramp = ProgressivePhysics([True, True, True, False, False], 200, (0.2, 0.6), configured)
        trainer.weights.adapt_by(GradNorm(configured, every=5), ramp)
        return trainer

    eager, replayed = build("off"), build("on")
    assert all(torch.equal(a, b) for a, b in zip(state_after(eager), state_after(replayed), strict=True))
    assert torch.equal(eager.weights.values, replayed.weights.values)
    assert len(replayed.clock.notes) == 5


@pytest.mark.gpu
@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("setting", ["on", "off"])
def test_cuda_loss_that_is_not_finite(make_problem: Build, make_trainer: Build, setting: str) -> None:
    trainer = make_trainer(problem=on(make_problem(), CUDA), cuda_graph=setting)
    trainer.train_step()
    before = [p.detach().clone() for p in trainer.problem.parameters()]
    trainer.problem.terms[1].values[2, 1] = float("nan")
    with pytest.raises(NonFiniteLossError, match=r"^step 2: expected a finite loss, got nan"):
        trainer.run()
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.problem.parameters(), strict=True))


@pytest.mark.gpu
@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("setting", ["on", "off"])
@pytest.mark.parametrize("parts_measured", [False, True])
def test_cuda_steps_wait_for_nothing(
    make_problem: Build, make_trainer: Build, setting: str, parts_measured: bool
) -> None:
    problem = on(make_problem(parts_measured=parts_measured), CUDA)
    trainer = make_trainer(problem=problem, cuda_graph=setting, steps=40)
    for _ in range(8):  # the captures, the first preconditioners, the copy of the parts
        trainer.train_step()
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(20):
            trainer.train_step()
    finally:
        torch.cuda.set_sync_debug_mode(before)
    trainer.require_finite()
    assert trainer.step == 28
