"""Gauss-Newton: its rows are the loss and its gradient, its step that of damped least squares; what it refuses."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import pinn_ext
from pinnx.errors import PinnxError
from pinnx.models import AddedField, FourierNetwork, StreamFunction, random_frequencies, train_frequencies
from pinnx.physics import discontinuity_corners
from pinnx.physics.corner_flow import corner_flow
from pinnx.physics.equations import EquationTerm
from pinnx.physics.navier_stokes import NavierStokes
from pinnx.physics.scales import UNIT
from pinnx.physics.term import JetTerm
from pinnx.train import Objective, Phase, Problem, Trainer, load_checkpoint, save_checkpoint
from pinnx.train import normal_equations as equations_module
from pinnx.train.gauss_newton import GIVES_UP, GaussNewton
from pinnx.train.normal_equations import NormalEquations
from pinnx.train.residual_rows import ResidualRows

MakeProblem = Callable[..., Problem]


# --- damped least squares -------------------------------------------------------------------------------------------


def least_squares(rows: int, unknowns: int, decades: float = 5.0) -> tuple[Tensor, Tensor]:
    """J with singular values over so many decades, and r."""
    generator = torch.Generator().manual_seed(rows)
    scales = 10.0 ** torch.linspace(0, -decades, unknowns, dtype=torch.float64)
    J = torch.randn(rows, unknowns, generator=generator, dtype=torch.float64) * scales
    return J, torch.randn(rows, generator=generator, dtype=torch.float64)


def damped_solution(J: Tensor, r: Tensor, damping: float) -> Tensor:
    """By a decomposition of J itself, with the damping as rows of its own."""
    p = J.shape[1]
    root = math.sqrt(damping * float(J.square().sum()) / p)
    below = root * torch.eye(p, dtype=torch.float64)
    right = torch.cat([r, r.new_zeros(p)])
    return -torch.linalg.lstsq(torch.cat([J, below]), right[:, None]).solution[:, 0]


def error(got: Tensor | None, wanted: Tensor) -> float:
    assert got is not None
    return float((got - wanted).norm() / wanted.norm())


@pytest.mark.parametrize(("rows", "unknowns"), [(90, 40), (40, 90), (300, 600)])
@pytest.mark.parametrize(("damping", "bound"), [(1e-2, 1e-3), (1e-8, 1e-8)])  # by float32 tiles, and in float64
def test_the_step_is_that_of_damped_least_squares(rows: int, unknowns: int, damping: float, bound: float) -> None:
    J, r = least_squares(rows, unknowns)
    wanted = damped_solution(J, r, damping)
    equations = NormalEquations([J[: rows // 3], J[rows // 3 :]], r)
    assert error(equations.solve(damping), wanted) < bound
    assert error(equations.solve(100 * damping), wanted) > 1e-3
    assert error(equations.solve(damping), wanted) < bound  # one matrix serves one damping after the other
    small = damped_solution(J, r, 1e-7)
    assert error(equations.solve(1e-7), small) < 1e-8, "in float64 again"


def test_memory_of_an_earlier_step_is_used_and_what_is_below_the_diagonal_is_not() -> None:
    J, r = least_squares(60, 30)
    earlier = NormalEquations([2.0 * J], r)
    earlier.solve(1.0)
    earlier._matrices[0].fill_(torch.nan)
    later = NormalEquations([J], r, memory=earlier)
    assert error(later.solve(1e-5), damped_solution(J, r, 1e-5)) < 1e-8
    assert later._matrices[0].data_ptr() == earlier._matrices[0].data_ptr()


def test_a_matrix_that_is_not_positive_definite_has_no_step() -> None:
    J, r = least_squares(10, 40)
    wide = NormalEquations([torch.cat([J, J]), 0.0 * J], torch.cat([r, r, r]))
    assert wide.solve(0.0) is None
    assert wide.solve(1e-6) is not None


@pytest.mark.parametrize("damping", [1e-2, 1e-5])
def test_conjugate_gradients_agree_with_the_factor(damping: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the tolerance of their residual; without the sketch they take far more products."""
    J, r = least_squares(500, 400)
    wanted = damped_solution(J, r, damping)
    monkeypatch.setattr(equations_module, "DENSE", 100)
    equations = NormalEquations([J[:200], J[200:]], r)
    assert error(equations.solve(damping), wanted) < 0.02
    with_sketch = equations.products
    monkeypatch.setattr(equations_module, "SKETCH", 1)
    plain = NormalEquations([J], r)
    plain.solve(damping)
    assert 0 < with_sketch < plain.products / 2


# --- rows of a problem ----------------------------------------------------------------------------------------------


def lid(make_problem: MakeProblem, **changes: Any) -> Problem:
    """The small problem with the corner's flow added to the network, whose pressure has the unknown viscosity."""
    problem = make_problem(dtype=torch.float64, learn_nu=True, corner_radius=0.1, **changes)
    equations, boundary = problem.terms[0].equations, problem.terms[2]
    corners = discontinuity_corners(boundary.conditions, boundary.conditions[0].bounds)
    field = corner_flow(corners, boundary.conditions[0].bounds, UNIT, lambda: equations.scaled_nu, dtype=torch.float64)
    assert field is not None
    return Problem(AddedField(problem.model, field), problem.terms, fields=problem.fields)


def curl(make_problem: MakeProblem) -> Problem:
    """The small problem with a stream function, whose mean velocity across a period is among the unknowns."""
    problem = make_problem(dtype=torch.float64)
    bounds = problem.terms[2].conditions[0].bounds
    equations = NavierStokes(2, steady=False, nu=0.1, learn_nu=True, divergence_free=True, dtype=torch.float64)
    term = EquationTerm(equations, bounds=bounds, num_points=16, seed=0)
    frequencies = random_frequencies((1.0, 1.0, 1.0), 0.5, 4, seed=0)
    network = FourierNetwork(frequencies, 2, width=8, layers=2, dtype=torch.float64)
    model = StreamFunction(network, field_scales=1.0, periodic=[1, 2])
    with torch.no_grad():
        model.mean.copy_(torch.tensor([0.2, -0.4]))
    return Problem(model, [term, *problem.terms[1:]], fields=problem.fields)


PROBLEMS: dict[str, Callable[[MakeProblem], Problem]] = {
    "plain": lambda make: make(dtype=torch.float64),
    "all sides": lambda make: make(dtype=torch.float64, sides=("left", "right"), learn_nu=True, parts_measured=True),
    "added field": lid,
    "stream function": curl,
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_rows_are_the_loss_and_its_gradient(make_problem: MakeProblem, name: str) -> None:
    """Against the loss that training minimises, in all parameters and the viscosity."""
    problem = PROBLEMS[name](make_problem)
    weights = torch.linspace(0.5, 2.0, len(problem.names), dtype=torch.float64)
    rows = ResidualRows(problem)
    for step in (0, 1):  # the second one in the memory of the first
        batch = problem.batch(step)
        residual, blocks = rows.at(batch, weights)
        total, _ = problem.loss(batch, weights)
        wanted = torch.autograd.grad(total, rows.unknowns())
        found = 2 * torch.cat(blocks).T @ residual
        assert float(residual.square().sum()) == pytest.approx(total.item(), rel=1e-12)
        assert error(found, torch.cat([g.flatten() for g in wanted])) < 1e-10
    assert {id(p) for p in rows.unknowns()} == {id(p) for p in problem.parameters()}
    assert not any("jet" in vars(module) for module in problem.model.modules())


def test_fields_that_are_prescribed_nowhere_have_no_rows(make_problem: MakeProblem) -> None:
    problem = make_problem(dtype=torch.float64)
    batch = problem.batch(0)
    _, blocks = ResidualRows(problem).at(batch, torch.ones(len(problem.names), dtype=torch.float64))
    points = len(batch["boundary"]["x"])
    assert [len(block) for block in blocks] == [16 * 3, 6 * 2, points * 2]


def test_a_term_that_takes_two_jets_of_a_stream_function_is_refused(
    make_problem: MakeProblem, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = curl(make_problem)
    term, weights = problem.terms[0], torch.ones(len(problem.names), dtype=torch.float64)
    once = term.weighed_residual
    monkeypatch.setattr(term, "weighed_residual", lambda model, points: (once(model, points), once(model, points))[1])
    with pytest.raises(PinnxError, match="gauss_newton: expected one jet of the model for a term, got 2"):
        ResidualRows(problem).at(problem.batch(0), weights)


# --- steps ----------------------------------------------------------------------------------------------------------


def trainer_of(problem: Problem, steps: int = 12, **changes: Any) -> Trainer:
    phase = Phase(lambda objective, steps: GaussNewton(objective), name="gauss_newton", dtype=torch.float64)
    given = {"weights": dict.fromkeys(problem.names, 1.0), "steps": steps, "log_every": 1} | changes
    return Trainer(problem, [phase], **given)


def test_a_step_that_lowers_nothing_is_not_taken(make_problem: MakeProblem, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the loss along it is NaN: parameters stay, damping grows, and after so many draws it stops."""
    trainer = trainer_of(make_problem(), steps=100)
    method = trainer.method
    assert isinstance(method, GaussNewton)
    trainer.train_step()
    before, damping = [p.detach().clone() for p in trainer.problem.parameters()], method.logged()["damping"]
    monkeypatch.setattr(Objective, "total", lambda self, batch: torch.tensor(torch.nan))
    trainer.train_step()
    assert method.logged() == {"lr": 0.0, "damping": 4 * damping}
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.problem.parameters(), strict=True))
    for _ in range(GIVES_UP - 1):
        assert not method.stopped
        trainer.train_step()
    assert method.stopped == f"no step lowered the loss at {GIVES_UP} draws of the points"


def test_a_step_behind_a_loss_that_is_not_finite_is_shorter(make_problem: MakeProblem) -> None:
    lengths = []
    for factor in (1.0, 0.01):
        trainer = trainer_of(make_problem())
        before = torch.cat([p.detach().flatten().double() for p in trainer.problem.parameters()])
        trainer.method.shrink(factor)
        trainer.train_step()
        lengths.append(float((torch.cat([p.detach().flatten() for p in trainer.problem.parameters()]) - before).norm()))
    assert 0 < lengths[1] < 0.5 * lengths[0]


def test_a_resumed_run_has_the_same_bits(make_problem: MakeProblem, tmp_path: Path) -> None:
    def parameters(trainer: Trainer) -> list[Tensor]:
        return [p.detach().clone() for p in trainer.problem.parameters()]

    whole = trainer_of(make_problem(learn_nu=True))
    for step in range(6):
        if step == 3:
            save_checkpoint(tmp_path / "3", whole.state_dict())
        whole.train_step()
    resumed = trainer_of(make_problem(learn_nu=True))
    resumed.load_state_dict(load_checkpoint(tmp_path / "3"))
    while resumed.step < 6:
        resumed.train_step()
    assert all(torch.equal(a, b) for a, b in zip(parameters(whole), parameters(resumed), strict=True))
    assert resumed.method.state_dict() == whole.method.state_dict()


# --- what it does not serve -----------------------------------------------------------------------------------------


def test_float32_is_refused(make_problem: MakeProblem) -> None:
    problem = make_problem()
    phase = Phase(lambda objective, steps: GaussNewton(objective))
    with pytest.raises(PinnxError, match=r"gauss_newton: expected a phase in float64, got torch\.float32"):
        Trainer(problem, [phase], weights=dict.fromkeys(problem.names, 1.0), steps=1)


def test_a_loss_that_is_no_sum_of_squares_is_refused(make_problem: MakeProblem) -> None:
    problem = make_problem()
    problem.terms[1]._rho = lambda misfit: misfit.abs() * misfit.square()
    with pytest.raises(PinnxError, match=r"expected a loss that is a sum of squares \(train\.data_loss: squares\)"):
        trainer_of(problem).train_step()


def test_parameters_beside_those_of_layers_are_refused(make_problem: MakeProblem) -> None:
    problem = make_problem(dtype=torch.float64)
    train_frequencies(problem.model)
    with pytest.raises(PinnxError, match="expected a network whose parameters are the weights and biases"):
        ResidualRows(problem).unknowns()


def test_another_network_is_refused(make_problem: MakeProblem) -> None:
    problem = make_problem(dtype=torch.float64)
    two = AddedField(problem.model, FourierNetwork(random_frequencies((1.0,) * 3, 0.5, 4, seed=1), 3))
    with pytest.raises(PinnxError, match="expected one Fourier network, got AddedField"):
        ResidualRows(Problem(two, problem.terms, fields=problem.fields))


class Learned(JetTerm):
    """A term with a parameter that the rows do not know."""

    name, names, spec, num_points = "learned", ("learned",), pinn_ext.JetSpec(), 1

    def draw(self, step: int, *share: Any) -> dict[str, Any]:
        return {"x": np.zeros((1, 3))}

    def residual(self, jet: pinn_ext.Jet, points: Mapping[str, Tensor]) -> Tensor:
        return jet.value

    def parameters(self) -> list[Tensor]:
        return []


def test_a_term_with_unknowns_of_its_own_is_refused(make_problem: MakeProblem) -> None:
    problem = make_problem(dtype=torch.float64)
    with pytest.raises(
        PinnxError, match="expected terms of equations and jets with single unknown numbers, got Learned"
    ):
        ResidualRows(Problem(problem.model, [Learned()], fields=problem.fields))
