"""L-BFGS and self-scaled Broyden: their formulas, functions whose minimum is known, why they stop, a small equation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import scipy.optimize
import torch
from torch import Tensor, nn

import pinn_ext
from pinnx.data.collocation import BoxPoints
from pinnx.errors import PinnxError
from pinnx.models import FourierNetwork, random_frequencies
from pinnx.physics import WHOLE, JetTerm, Measured, Points, Share
from pinnx.threads import on_one_thread
from pinnx.train import FirstOrder, Objective, Phase, Problem, Trainer, cosine_schedule, make_optimizer
from pinnx.train.curvature import Curvature, LimitedMemory, SelfScaledBroyden, broyden_numbers
from pinnx.train.gauss_newton import GaussNewton
from pinnx.train.quasi_newton import QuasiNewton

CURVATURES: dict[str, Callable[[Tensor], Curvature]] = {
    "lbfgs": lambda like: LimitedMemory(like, 20),
    "ssbroyden": SelfScaledBroyden,
}


class Function:
    """A function of a vector in place of a problem's loss."""

    constant = True

    def __init__(self, f: Callable[[Tensor], Tensor], start: list[float]) -> None:
        self.f, self.parameters, self.calls = f, [nn.Parameter(torch.tensor(start, dtype=torch.float64))], 0

    def gradients(self, batch: Any) -> Tensor:
        (x,) = self.parameters
        x.grad, self.calls = None, self.calls + 1
        value = self.f(x)
        value.backward()
        return torch.stack([value.detach(), value.detach(), x.grad.sum()])

    @property
    def x(self) -> Tensor:
        return self.parameters[0].detach()


def minimised(name: str, function: Function, steps: int = 400) -> QuasiNewton:
    method, batch = QuasiNewton(function, CURVATURES[name](function.x)), object()
    for _ in range(steps):
        method.evaluate(batch)
        method.update(batch)
        if method.stopped:
            break
    return method


def rosenbrock(x: Tensor) -> Tensor:
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


@pytest.mark.parametrize("name", CURVATURES)
@pytest.mark.parametrize("copies", [1, 5])
def test_rosenbrocks_valley_ends_at_ones(name: str, copies: int) -> None:
    """In about as many evaluations as SciPy's BFGS."""
    start = [-1.2, 1.0] * copies
    method = minimised(name, function := Function(rosenbrock, start))
    assert method.stopped
    assert (function.x - 1).abs().max() < 1e-8
    rival = scipy.optimize.minimize(scipy.optimize.rosen, start, jac=scipy.optimize.rosen_der, method="BFGS")
    assert function.calls < 2.5 * rival.nfev


@pytest.mark.parametrize("name", CURVATURES)
def test_an_ill_conditioned_quadratic_is_solved(name: str, rng: np.random.Generator) -> None:
    """At a condition number of 1e4 the gradient alone needs tens of thousands of steps."""
    turn = torch.from_numpy(np.linalg.qr(rng.normal(size=(12, 12)))[0])
    matrix = turn @ torch.diag(torch.logspace(0, 4, 12, dtype=torch.float64)) @ turn.T
    function = Function(lambda x: 0.5 * x @ matrix @ x, rng.normal(size=12).tolist())
    minimised(name, function, steps=150)
    assert function.x.norm() < 1e-6


@pytest.mark.parametrize("memory", [3, 50])
def test_two_loops_are_the_formula_of_bfgs(memory: int, rng: np.random.Generator) -> None:
    """Against the matrix (I - rho s y^T) H (I - rho y s^T) + rho s s^T, from gamma I, over the pairs that are kept."""
    curvature, kept = LimitedMemory(torch.zeros(6, dtype=torch.float64), memory), []
    for _ in range(7):
        s = torch.from_numpy(rng.normal(size=6))
        y = s * torch.linspace(1, 9, 6) + 0.01 * torch.from_numpy(rng.normal(size=6))
        curvature.add(s, y, math.nan)
        kept.append((s, y))
    s, y = kept[-1]
    inverse = torch.eye(6, dtype=torch.float64) * (s @ y) / (y @ y)
    for s, y in kept[-memory:]:
        left = torch.eye(6) - torch.outer(s, y) / (s @ y)
        inverse = left @ inverse @ left.T + torch.outer(s, s) / (s @ y)
    g = torch.from_numpy(rng.normal(size=6))
    torch.testing.assert_close(curvature.times(g), inverse @ g, rtol=1e-10, atol=1e-10)


def test_the_update_of_broyden_is_its_formula(rng: np.random.Generator) -> None:
    """Term by term, with H^-1 computed as such; H y = s, and H stays symmetric and positive definite."""
    n = 6
    curvature = SelfScaledBroyden(torch.zeros(n, dtype=torch.float64))
    hessian = torch.diag(torch.logspace(0, 3, n, dtype=torch.float64))
    inverse = torch.eye(n, dtype=torch.float64)
    thetas = []
    for k in range(9):
        s = torch.from_numpy(rng.normal(size=n))
        y = hessian @ s
        if k == 0:
            inverse = inverse * (s @ y) / (y @ y)
            product = float(s @ s)  # H is the identity before the first pair
        else:
            product = float(s @ torch.linalg.solve(inverse, s))
        b, h = float(s @ torch.linalg.solve(inverse, s) / (y @ s)), float(y @ inverse @ y / (y @ s))
        phi, tau = broyden_numbers(b, h, n)
        turned = inverse @ y
        v = s / (y @ s) - turned / (y @ turned)
        middle = inverse - torch.outer(turned, turned) / (y @ turned) + phi * (y @ turned) * torch.outer(v, v)
        inverse = middle / tau + torch.outer(s, s) / (y @ s)
        curvature.add(s, y, product)
        found = torch.stack([curvature.times(unit) for unit in torch.eye(n, dtype=torch.float64)])
        torch.testing.assert_close(found, inverse, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(curvature.times(y), s, rtol=1e-9, atol=1e-9)
        assert torch.linalg.eigvalsh((found + found.T) / 2).min() > 0
        thetas.append((1 - phi) / (1 + (b * h - 1) * phi))
    assert max(thetas) - min(thetas) > 0.01, "other members of Broyden's family than BFGS, theta = 0"


def test_numbers_of_broyden() -> None:
    """By hand: without curvature left over it is BFGS; b = 2, h = 1 has theta < 0; b = 1/2, h = 4 has theta > 0."""
    assert broyden_numbers(1.0, 1.0, 5) == (1.0, 1.0)
    assert broyden_numbers(2.0, 0.5, 5) == (1.0, 0.5)
    theta = -0.5  # max((r - 1) / a = -sqrt(1/2), min(1 / r, (1 - b) / b = -1/2)), a = 1
    assert broyden_numbers(2.0, 1.0, 3) == pytest.approx(((1 - theta) / 0.5, min(0.5 * 0.5**-0.5, 0.5)))
    theta = 1.0  # r = 1, (1 - b) / b = 1, a = 1
    assert broyden_numbers(0.5, 4.0, 3) == pytest.approx((0.0, min(2.0**-0.5, 1.0)))


@pytest.mark.parametrize("name", CURVATURES)
def test_why_it_stops(name: str) -> None:
    assert minimised(name, Function(lambda x: (x * 0).sum() + 1, [1.0, 2.0])).stopped == "the gradient is zero"
    # A corner, not a minimum of something smooth: behind it nothing is lower. The gradient is zero nowhere, not in the
    # corner either, which rounding may or may not reach.
    kink = minimised(name, Function(lambda x: torch.maximum(x, -2 * x).sum(), [1.0, 0.5]))
    assert kink.stopped.startswith("no step lowers the loss of ")
    assert minimised(name, Function(rosenbrock, [-1.2, 1.0]), steps=3).stopped == "", "it can go further"


@pytest.mark.parametrize("name", CURVATURES)
def test_a_direction_that_leads_up_is_a_restart(name: str) -> None:
    """Curvature of another function points uphill; it is forgotten, and the gradient leads down."""
    method, batch = minimised(name, function := Function(rosenbrock, [-1.2, 1.0]), steps=3), object()
    if name == "lbfgs":
        method._curvature._steps[-1].neg_()
    else:
        method._curvature._inverse.neg_()
    before = float(method.evaluate(batch)[0])
    method.update(batch)
    assert not method.stopped
    assert float(method.evaluate(batch)[0]) < before
    minimised(name, function)
    assert (function.x - 1).abs().max() < 1e-8


@pytest.mark.parametrize("name", CURVATURES)
def test_a_search_comes_back_from_where_the_loss_is_not_finite(name: str) -> None:
    """x - log x has no value at x <= 0, where a full step from 5 arrives."""
    function = Function(lambda x: (x - x.log()).sum() + (50 * (x - 1) ** 2).sum(), [5.0, 0.1])
    minimised(name, function)
    assert (function.x - 1).abs().max() < 1e-7


@pytest.mark.parametrize("name", CURVATURES)
def test_points_that_stay_are_evaluated_once(name: str) -> None:
    """The end of one step is the beginning of the next; other points are evaluated anew, and H stays."""
    function = Function(rosenbrock, [-1.2, 1.0])
    method = QuasiNewton(function, CURVATURES[name](function.x))
    for batch in ["first"] * 3:
        method.evaluate(batch)
        method.update(batch)
    calls = function.calls
    method.evaluate("first")
    assert function.calls == calls
    method.evaluate("second")
    assert function.calls == calls + 1
    assert not method._curvature.empty
    assert method.logged()["lr"] > 0
    function.constant = False  # weights that adapt
    method.evaluate("second")
    assert function.calls == calls + 2


def test_steps_do_not_depend_on_the_number_of_threads(rng: np.random.Generator) -> None:
    """40,000 unknowns: torch adds so many in parts, one for each thread, unless it is kept from it."""
    start, scale = rng.normal(size=40_000).tolist(), torch.from_numpy(rng.uniform(0.5, 2.0, size=40_000))
    found, before = [], torch.get_num_threads()

    def f(x: Tensor) -> Tensor:
        with on_one_thread():
            return (scale * (1 + x.square()).sqrt()).sum()

    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            minimised("lbfgs", function := Function(f, start), steps=4)
            found.append(function.x)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*found)


def test_smaller_steps_are_smaller() -> None:
    steps = []
    for factor in (0.5, 0.125):
        function = Function(lambda x: (1 + x.square()).log().sum(), [3.0])
        method = QuasiNewton(function, SelfScaledBroyden(function.x))
        method.shrink(factor)
        method.evaluate("points")
        method.update("points")
        steps.append(3.0 - float(function.x))
    assert steps[1] == pytest.approx(0.25 * steps[0])


def test_a_dense_matrix_of_too_many_unknowns_is_refused() -> None:
    with pytest.raises(PinnxError, match=r"expected at most 8192 parameters for ssbroyden, .*got 8193; use lbfgs"):
        SelfScaledBroyden(torch.zeros(8193))


# --- an equation --------------------------------------------------------------------------------------------------


class Poisson(JetTerm):
    """u'' + pi^2 sin(pi x) = 0 at random points of [0, 1], and u = 0 at both ends, over pi^2."""

    name, names = "poisson", ("poisson",)
    spec = pinn_ext.JetSpec(first=(0,), laplacian=(0,))
    num_points = 64

    def __init__(self) -> None:
        self._box = BoxPoints([0.0], [1.0], self.num_points, seed=0)

    def draw(self, step: int, share: Share = WHOLE) -> Points:
        x = self._box.draw(step, share.rows(self.num_points)).copy()
        x[:8], ends = np.arange(8)[:, None] % 2, np.zeros((len(x), 1))
        ends[:8] = 1.0
        return {"x": x, "source": np.sin(np.pi * x), "ends": ends}

    def residual(self, jet: pinn_ext.Jet, points: Mapping[str, Tensor]) -> Tensor:
        inside = jet.laplacian / math.pi**2 + points["source"]
        return torch.where(points["ends"] > 0, 3.0 * jet.value, inside)

    def measure(self, model: FourierNetwork, *, num_points: int, seed: int) -> list[Measured]:
        return []


def poisson_error(name: str, evaluations: int) -> float:
    """The largest error of u after as many evaluations of loss and gradient, in float64."""
    network = FourierNetwork(
        random_frequencies((1.0,), 0.5, 4, seed=0), 1, width=12, layers=2, seed=1, dtype=torch.float64
    )
    problem = Problem(network, [Poisson()], fields=["u"])

    def method(objective: Objective, steps: int) -> Any:
        if name == "gauss_newton":
            return GaussNewton(objective)
        if name in CURVATURES:
            like = torch.cat([p.detach().flatten() for p in objective.parameters])
            return QuasiNewton(objective, CURVATURES[name](like))
        optimizer = make_optimizer(name, objective.parameters, lr=1e-2, betas=(0.95, 0.95), precondition_frequency=2)
        return FirstOrder(objective, optimizer, cosine_schedule(optimizer, steps, 1e-5))

    phase = Phase(method, points_for=10**6 if name in CURVATURES else 1)
    trainer = Trainer(problem, [phase], weights={"poisson": 1.0}, steps=evaluations)
    spent = 0.0
    while spent < evaluations:
        trainer.train_step()
        spent += trainer.method.logged().get("evaluations", 1.0)
    x = np.linspace(0, 1, 101)[:, None]
    return float(np.abs(network.predict(x) - np.sin(np.pi * x)).max())


def test_curvature_beats_first_order_at_equal_evaluations() -> None:
    """The claim of the papers at small scale: one to three orders of accuracy."""
    errors = {name: poisson_error(name, 150) for name in ("adam", "soap", *CURVATURES)}
    assert errors["ssbroyden"] < 0.5 * errors["lbfgs"] < 0.1 * min(errors["adam"], errors["soap"])
    assert poisson_error("gauss_newton", 40) < errors["ssbroyden"], "at fresh points, in a quarter of the steps"
