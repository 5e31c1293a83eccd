"""Strategies in the loop: off they change no bit, on they move the weights, and a resumed run has the same ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from pinnx.errors import PinnxError
from pinnx.losses import (
    AugmentedLagrangian,
    CausalWeights,
    Discrepancy,
    GradNorm,
    LossWeights,
    ProgressivePhysics,
    ReLoBRaLo,
    TangentKernel,
    WeightStrategy,
)
from pinnx.train import (
    Hook,
    LoggedStep,
    NonFiniteLossError,
    Problem,
    Trainer,
    load_checkpoint,
    save_checkpoint,
)

Build = Callable[..., Trainer]
NAMES = ("momentum_x", "momentum_y", "continuity", "data", "boundary")
MAKE: dict[str, Callable[[LossWeights], WeightStrategy]] = {
    "relobralo": lambda weights: ReLoBRaLo(weights.configured, decay=0.9, lookback=0.5),
    "gradnorm": lambda weights: GradNorm(weights.configured, every=3, lr=0.1),
    "even": lambda weights: GradNorm(weights.configured, asymmetry=0.0, every=3, lr=0.1),
    "lagrangian": lambda weights: AugmentedLagrangian(weights.configured, [False, False, True, True, True], growth=0.5),
    "noise": lambda weights: Discrepancy(weights.configured, 3, 1e4),
    "ntk": lambda weights: TangentKernel(weights.configured, every=3),
    "ramp": lambda weights: ProgressivePhysics([True, True, True, False, False], 12, (0.3, 0.7), weights.values),
}
STRATEGIES = ["relobralo", "gradnorm", "ntk", "lagrangian", "noise", "ramp", "causal", "gradnorm ramp causal"]


class Log(Hook):
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.steps: list[LoggedStep] = []

    def on_log(self, logged: LoggedStep) -> None:
        self.steps.append(logged)


def bits(trainer: Trainer) -> list[object]:
    """The whole state, tensors as their bytes, but for the time that it took."""
    parts = trainer.state_dict()
    parts["clock"] = trainer.step
    leaves, structure = tree_flatten(parts)
    return [structure, *(leaf.numpy().tobytes() if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves)]


def parameters(trainer: Trainer) -> list[object]:
    return [parameter.detach().numpy().tobytes() for parameter in trainer.problem.parameters()]


@pytest.fixture
def make_adaptive(make_problem: Callable[..., Problem], make_trainer: Build) -> Build:
    """A trainer of the small problem with the strategies of a text."""

    def build(strategies: str, problem: Problem | None = None, **changes: object) -> Trainer:
        problem = problem or make_problem()
        configured = {"momentum_x": 1.0, "momentum_y": 2.0, "continuity": 3.0, "data": 4.0, "boundary": 5.0}
        weights = LossWeights(configured, problem.names, problem.model.frequencies)
        chosen = [MAKE[name](weights) for name in strategies.split() if name != "causal"]
        if "causal" in strategies:
            problem.terms[0].time_weights = torch.ones(4)
            given = {"tolerance": 0.1, "every": 3}
            chosen.append(CausalWeights(problem.terms[0], weights.configured, problem.names, **given))
        weights.adapt_by(*chosen)
        return make_trainer(problem=problem, weights=weights, **changes)

    return build


@pytest.mark.parametrize("strategies", STRATEGIES)
def test_it_changes_the_trajectory(make_adaptive: Build, strategies: str) -> None:
    on, off = make_adaptive(strategies), make_adaptive("")
    on.run()
    off.run()
    assert parameters(on) != parameters(off)
    balanced = not torch.equal(on.weights.values, on.weights.configured)
    assert balanced == (strategies not in ("ramp", "causal")), "the ramp ends at them, causal weights are of points"


def test_without_one_no_bit_changes(make_adaptive: Build, make_trainer: Build) -> None:
    off, plain = make_adaptive(""), make_trainer(weights=dict(zip(NAMES, (1.0, 2.0, 3.0, 4.0, 5.0), strict=True)))
    off.run()
    plain.run()
    assert bits(off) == bits(plain)
    assert off.weights.values.tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]


@pytest.mark.parametrize("stop", [1, 8])
@pytest.mark.parametrize("strategies", STRATEGIES)
def test_resume_equals_the_uninterrupted_run(make_adaptive: Build, tmp_path: Path, strategies: str, stop: int) -> None:
    whole, part, resumed = (make_adaptive(strategies) for _ in range(3))
    whole.run()
    for _ in range(stop):
        part.train_step()
    save_checkpoint(tmp_path / "c.pt", part.state_dict())
    resumed.load_state_dict(load_checkpoint(tmp_path / "c.pt"))
    resumed.run()
    assert bits(whole) == bits(resumed)


def test_a_checkpoint_of_other_strategies_is_refused(make_adaptive: Build) -> None:
    state = make_adaptive("gradnorm").state_dict()
    wanted = r"another weights: weights: expected held, relobralo, values, got gradnorm, held, values$"
    with pytest.raises(PinnxError, match=wanted):
        make_adaptive("relobralo").load_state_dict(state)
    with pytest.raises(PinnxError, match=r"weights: expected held, values, got gradnorm, held, values$"):
        make_adaptive("").load_state_dict(state)


@pytest.mark.parametrize("strategies", STRATEGIES)
def test_a_flag_that_is_read_later_changes_nothing(make_adaptive: Build, strategies: str) -> None:
    late, each = make_adaptive(strategies, check_every=5), make_adaptive(strategies)
    late.run()
    each.run()
    assert bits(late) == bits(each)


class Reads(TorchDispatchMode):
    """Notes the operations that read a number back from a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func._schema.name in ("aten::_local_scalar_dense", "aten::nonzero", "aten::item"):
            self.found.append(func._schema.name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("strategies", ["relobralo", "ntk", "lagrangian", "ramp causal"])
def test_steps_read_nothing_back(make_adaptive: Build, strategies: str) -> None:
    """Between two checks of the flag. GradNorm's Adam counts its steps on the CPU, on a CUDA device it does not."""
    trainer = make_adaptive(strategies, check_every=20, steps=20)
    trainer.train_step()
    with Reads() as reads:
        for _ in range(8):
            trainer.train_step()
    assert reads.found == []


def test_a_step_that_is_not_finite_leaves_the_weights_of_the_last_good_one(make_adaptive: Build) -> None:
    trainer, good = make_adaptive("relobralo", check_every=100), make_adaptive("relobralo")
    for _ in range(4):
        good.train_step()
    data = trainer.problem.terms[1]
    draw = data.draw
    data.draw = lambda step, *given: draw(step, *given) | ({"values": data.values * torch.nan} if step == 4 else {})
    with pytest.raises(NonFiniteLossError, match="step 5"):
        trainer.run()
    assert torch.equal(trainer.weights.values, good.weights.values)


def test_the_ramp_withholds_the_equations(make_adaptive: Build) -> None:
    """Up to 0.3 of the steps they have no part in the gradient: a run without them takes the same ones."""
    ramped, without = make_adaptive("ramp"), make_adaptive("")
    without.weights.values[:3] = 0.0
    for _ in range(4):
        ramped.train_step()
        without.train_step()
    assert parameters(ramped) == parameters(without)
    for _ in range(3):
        ramped.train_step()
        without.train_step()
    assert parameters(ramped) != parameters(without)


def test_gradnorm_evens_out_the_gradients_of_a_problem(make_adaptive: Build) -> None:
    """Without asymmetry the lengths of the weighted gradients end nearer to one another than with constant weights."""

    def spread(strategies: str) -> float:
        trainer = make_adaptive(strategies, steps=120)
        trainer.run()
        norms = trainer.problem.gradient_norms(trainer.problem.batch(0)) * trainer.weights.values
        return float(norms.log().std())

    assert spread("even") < 0.5 * spread("")


def test_gradient_norms_are_those_of_the_columns(make_problem: Callable[..., Problem]) -> None:
    problem = make_problem(dtype=torch.float64)
    batch = problem.batch(0)
    got = problem.gradient_norms(batch)
    for column, one in enumerate(torch.eye(5, dtype=torch.float64)):
        total, _ = problem.loss(batch, one)
        gradients = torch.autograd.grad(total, list(problem.model.parameters()), allow_unused=True)
        wanted = torch.cat([gradient.flatten() for gradient in gradients if gradient is not None]).norm()
        assert got[column].item() == pytest.approx(wanted.item(), rel=1e-10)
    assert all(parameter.grad is None for parameter in problem.parameters()), "the step's gradients stay"


def test_constraints_end_nearer_to_zero_than_with_constant_weights(make_adaptive: Build) -> None:
    trainers = [make_adaptive(strategies, steps=120) for strategies in ("lagrangian", "")]
    for trainer in trainers:
        trainer.run()
    constrained, constant = ([t.numbers[1 + i].item() for i in (2, 3, 4)] for t in trainers)
    assert sum(constrained) < 0.8 * sum(constant)


@pytest.mark.parametrize("settings", [{}, {"corner_radius": 0.4, "parts_measured": True}])
def test_tangent_traces_are_those_of_the_kernel(
    make_problem: Callable[..., Problem], settings: dict[str, object]
) -> None:
    """The mean over probes, against the sum over points of |grad residual|^2, a backward pass for each."""
    problem = make_problem(dtype=torch.float64, **settings)
    batch, parameters = problem.batch(0), list(problem.model.parameters())
    wanted = []
    for term in problem.terms:
        for residual in term.weighed_residual(problem.model, batch[term.name]):
            rows = [
                torch.autograd.grad(r, parameters, retain_graph=True, allow_unused=True) for r in residual.flatten()
            ]
            wanted.append(sum(g.square().sum() for row in rows for g in row if g is not None).item())
    found = torch.stack([problem.tangent_traces(batch, step) for step in range(200)])
    spread = found.std(0) / 200**0.5
    assert ((found.mean(0) - torch.tensor(wanted, dtype=torch.float64)).abs() < 4 * spread).all()
    assert (spread < 0.15 * found.mean(0)).all(), "wrong traces would show"
    assert torch.equal(found[3], problem.tangent_traces(batch, 3)), "a resumed run draws the same signs"


@pytest.mark.parametrize("settings", [{}, {"corner_radius": 0.4, "parts_measured": True}])
def test_weighed_residuals_make_the_columns(make_problem: Callable[..., Problem], settings: dict[str, object]) -> None:
    problem = make_problem(dtype=torch.float64, **settings)
    batch = problem.batch(0)
    columns = problem.loss(batch, torch.ones(5, dtype=torch.float64))[1]
    found = [r.square().sum() for term in problem.terms for r in term.weighed_residual(problem.model, batch[term.name])]
    torch.testing.assert_close(torch.stack(found), columns, rtol=1e-10, atol=0.0)


def test_weights_that_adapt_are_logged(make_adaptive: Build) -> None:
    """With the value that the step took, so that the total is the weighted sum of the columns."""
    make_adaptive("relobralo ramp", log_every=1, hooks=[seen := Log()]).run()
    for logged in seen.steps:
        assert logged.total == pytest.approx(sum(logged.weights[n] * logged.columns[n] for n in NAMES), rel=1e-5)
        configured = zip((1.0, 2.0, 3.0, 4.0, 5.0), logged.columns.values(), strict=True)
        assert logged.comparable == pytest.approx(sum(weight * column for weight, column in configured), rel=1e-6)
        assert {f"weight/{name}" for name in NAMES} <= set(logged.as_row())
    assert seen.steps[0].weights["momentum_x"] == 0.0
    assert seen.steps[-1].weights["momentum_x"] > 0.0
    make_adaptive("", hooks=[plain := Log()]).run()
    assert [logged.comparable for logged in plain.steps] == [logged.total for logged in plain.steps]
    assert not any(key.startswith("weight/") for key in plain.steps[0].as_row())
