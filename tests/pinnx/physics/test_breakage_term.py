"""The balance of breakage as a term: exact solutions hold, wrong ones do not; its integrals, and the delta."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from scipy.integrate import trapezoid
from tolerances import BREAKAGE_GRID, BREAKAGE_MASS
from torch import Tensor

from pinnx.data.point_pool import Refinement
from pinnx.errors import PinnxError
from pinnx.evals import BREAKAGE_CASES
from pinnx.losses.robust import adaptive_epsilon
from pinnx.physics import (
    BreakageCase,
    BreakageModel,
    BreakageTerm,
    Daughters,
    Kinetics,
    Points,
    Share,
    SizeMeasurements,
    pointwise_balance,
    residual_adaptive_refinement,
)
from pinnx.physics.breakage_grid import VolumeGrid
from pinnx.physics.breakage_model import Growth
from pinnx.physics.breakage_term import Balance
from pinnx.physics.term import WHOLE
from pinnx.train import FirstOrder, Objective, Phase, Problem, Trainer, cosine_schedule, make_optimizer

LOG_F: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "case1": lambda v, t: 2 * torch.log1p(t) - v * (1 + t),
    "case2": lambda v, t: torch.log1p(2 * t * (1 + v)) - t * v**2 - v,
    "case3": lambda v, t: torch.log(2 * t + t**2 * (1 - v)) - t * v,
    "case4": lambda v, t: torch.log(2 * t) - t * v**2,
}


def case_of(name: str) -> BreakageCase:
    if name == "parabolic":  # no daughters next to the size that all particles have
        return BreakageCase(Kinetics(daughters=Daughters.parabolic()), (1e-4, 1.0), 10.0, delta_at=1.0)
    exact = BREAKAGE_CASES[name]
    start = None if exact.delta_at else lambda v: exact.density(v, 0.0)
    return BreakageCase(exact.kinetics, exact.sizes, exact.times[-1], start, exact.delta_at)


class ExactModel(BreakageModel):
    """The exact solution of a case in place of the network's; ``wrong`` is a factor on d(log f)/dt + S."""

    def __init__(self, name: str, wrong: float = 1.0) -> None:
        super().__init__(case_of(name), width=2, layers=1, dtype=torch.float64)
        self.log_f, self.wrong = LOG_F[name], wrong

    @torch.enable_grad()
    def growth(self, x: Tensor, t: Tensor) -> Growth:
        low, high = self._ends
        log_v = (low + high + (high - low) * x[:, 1]) / 2
        t = t.clone().requires_grad_()
        log_f = self.log_f(log_v.exp(), t)
        (slope,) = torch.autograd.grad(log_f.sum(), t)
        start = torch.from_numpy(self.case.log_start(log_v.exp().numpy()))
        excess = log_f - self.base(start, self.rate(log_v), t)
        return Growth(excess.detach(), self.wrong * (1 + t) * (slope + self.rate(log_v)).detach())


def as_batch(model: BreakageModel, points: Points) -> dict[str, Tensor]:
    """The arrays of a step as `Problem.batch` has them."""
    return {name: torch.from_numpy(model.inputs(array) if name == "x" else array) for name, array in points.items()}


def measured(model: BreakageModel, term: BreakageTerm | None = None) -> dict[str, float | None]:
    found = (term or BreakageTerm(model)).measure(model, num_points=1600, seed=0)
    return {item.gate: item.value for item in found}


@pytest.mark.parametrize("name", LOG_F)
def test_an_exact_solution_holds_and_a_wrong_one_does_not(name: str) -> None:
    right, wrong = (measured(ExactModel(name, factor)) for factor in (1.0, 1.03))
    assert right["mass_drift"] < BREAKAGE_MASS
    assert right["breakage_residual"] < BREAKAGE_GRID
    assert wrong["breakage_residual"] > 2 * BREAKAGE_GRID


def test_births_have_no_cell_dropped_and_no_trapezoid() -> None:
    """Case 2 at t = 1, where f spans forty orders of magnitude: births over f in closed form."""
    model = ExactModel("case2")
    term = BreakageTerm(model)
    balance, _, _ = term.balance(model, as_batch(model, term._at(np.array([1.0]))))
    v = term.grid.nodes
    exact, holds = 2 * (1 + v) / (1 + 2 * (1 + v)), v < 10  # f is below 1e-45 of its largest value beyond
    ours = balance.birth[0].numpy() / 2 / exact - 1
    assert np.abs(ours[holds]).max() < 0.01
    assert np.median(np.abs(ours[holds])) < 2e-4
    # The rule of earlier work: 45 nodes, a trapezoid, the cell behind the node left out.
    v = np.geomspace(*model.case.sizes, 45)
    f = BREAKAGE_CASES["case2"].density(v, 1.0)
    cells = np.diff(v) * (v[1:] * f[1:] + v[:-1] * f[:-1])
    later = np.cumsum(cells[::-1])[::-1]
    earlier_work = (later - cells) / np.maximum(f[:-1], 1e-45) / (2 * (1 + v[:-1]) / (1 + 2 * (1 + v[:-1]))) - 1
    assert np.abs(earlier_work[v[:-1] < 10]).max() > 0.3


@pytest.mark.parametrize("name", ["case3", "case4", "parabolic"])
def test_a_delta_weighs_one_and_its_first_births_are_exact(name: str) -> None:
    """A Gaussian in its place weighed 4.1, or 2e-5, on the same nodes."""
    model = BreakageModel(case_of(name), dtype=torch.float64)
    term = BreakageTerm(model)
    with torch.no_grad():
        balance, _, log_mass = term.balance(model, as_batch(model, term._at(np.array([1e-9]))))
    assert float(log_mass) == pytest.approx(0.0, abs=1e-8)
    # df/dt = b(v / R) S(R) / R at the start: t times it over f is one.
    assert (balance.birth[0] * 1e-9).numpy() == pytest.approx(np.ones(48), abs=1e-7)
    assert model.delta_amplitude([0.0, 1.0]) == pytest.approx([1.0, math.exp(-1.0)])


@pytest.mark.parametrize("daughters", [Daughters.uniform(), Daughters.power_law(0.7), Daughters.parabolic()])
def test_births_keep_the_volume_whatever_the_daughters(daughters: Daughters) -> None:
    """The volume of what is born is that of what breaks: int v (B - G) f dv = 0 for births of any f."""
    case = BreakageCase(Kinetics(2.0, 1.5, daughters=daughters), (1e-4, 10.0), 1.0, lambda v: np.exp(-v))
    model = BreakageModel(case, width=4, layers=1, dtype=torch.float64)
    term = BreakageTerm(model, num_nodes=96)
    balance, _, _ = term.balance(model, as_batch(model, term._at(np.array([0.1 * case.time]))))
    v, t = term.grid.nodes, 0.1 * case.time
    f = model.density(v * case.mean_volume, t)
    born = balance.birth[0].detach().numpy() / 1.1 * v**2 * f
    broken = model.rate(torch.from_numpy(np.log(v))).detach().numpy() * v**2 * f
    theta = np.pi * np.arange(96) / 95  # d(ln v) = sin(theta) d(theta): the trapezoid is spectral
    both = [trapezoid(rate * np.sin(theta), theta) for rate in (born, broken)]
    assert both[0] == pytest.approx(both[1], rel=1e-3)
    assert both[0] != pytest.approx(1.01 * both[1], rel=1e-3)


def test_the_start_holds_exactly_and_other_units_make_the_same_problem() -> None:
    case = case_of("case1")
    kinetics, sizes = Kinetics(1 / 500.0), (1e-9, 1e-5)  # volumes in 1e-6, times in 1 / (s0 v) = 5e8
    scaled = BreakageCase(kinetics, sizes, 10 * 5e8, lambda v: 3e6 * 7.0 * np.exp(-1e6 * v))
    assert scaled.mean_volume == pytest.approx(1e-6, rel=1e-8)
    assert scaled.number == pytest.approx(21.0, rel=1e-8)
    v, model = np.geomspace(1e-3, 10.0, 50), BreakageModel(case, dtype=torch.float64)
    assert model.density(v, 0.0) == pytest.approx(np.exp(-v), rel=1e-12)
    other = BreakageModel(scaled, dtype=torch.float64)
    wanted = model.density(v, 4.0) * 21e6
    assert other.density(v * 1e-6, 4.0 * scaled.time) == pytest.approx(wanted, rel=1e-7)
    losses = []
    for one in (model, other):
        term = BreakageTerm(one)
        losses.append(float(term.loss(one, as_batch(one, term.draw(3)), torch.ones(2).double()).total.detach()))
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_shares_add_up_to_the_step() -> None:
    model = BreakageModel(case_of("case1"), dtype=torch.float64)
    term, ones = BreakageTerm(model), torch.ones(2).double()
    whole = term.loss(model, as_batch(model, term.draw(3)), ones)
    parts = [term.loss(model, as_batch(model, term.draw(3, Share(i, 3))), ones).columns for i in range(3)]
    torch.testing.assert_close(sum(parts), whole.columns)


def test_times_that_are_drawn_ahead_are_those_of_their_step() -> None:
    """Whatever steps and shares came before; each step has its own."""
    model = BreakageModel(case_of("case1"), width=2, layers=1)
    running, rest = BreakageTerm(model, num_times=6), Share(1, 3)
    in_turn = [running.draw(step, share)["t"] for step in range(40) for share in (WHOLE, rest)]
    for step in (39, 3, 16):
        drawn = BreakageTerm(model, num_times=6).draw(step)["t"]
        assert np.array_equal(drawn, in_turn[2 * step])
        assert np.array_equal(drawn[2:4], in_turn[2 * step + 1])
        assert not np.array_equal(drawn, in_turn[2 * step - 2])


def test_a_grid_takes_integrals_and_carries_polynomials_of_ln_v() -> None:
    grid = VolumeGrid(1e-6, 60.0, num_nodes=64)
    assert np.sum(grid.weights * np.exp(-grid.fine)) == pytest.approx(1 - 1e-6, rel=1e-6)
    x, y = np.log(grid.nodes), np.log(grid.fine)
    assert (x**5) @ grid.interpolation == pytest.approx(y**5, rel=1e-9, abs=1e-6)
    assert np.abs((x**6) @ grid.interpolation - y**6).max() > 1e-2


@pytest.mark.parametrize("name", ["case2", "case3", "parabolic"])
def test_the_residual_at_pairs_is_that_of_the_grid_and_that_of_single_points(name: str) -> None:
    model = BreakageModel(case_of(name), dtype=torch.float64)
    term = BreakageTerm(model, refinement=Refinement("rar"))
    t = np.array([0.5, 2.0])
    with torch.no_grad():
        balance, _, _ = term.balance(model, as_batch(model, term._at(t)))
        pairs = np.column_stack([np.repeat(t, 40), np.tile(term.grid.nodes[:40], 2)])
        found = term._residual_sizes(model, pairs)
        np.testing.assert_allclose(found, balance.residual[:, :40].abs().numpy().ravel(), rtol=1e-6, atol=1e-9)
        order = np.random.default_rng(0).permutation(80)
        np.testing.assert_allclose(term._residual_sizes(model, pairs[order]), found[order], rtol=1e-9)
        between = pairs * [1.0, 1.01]  # volumes beside the nodes
        apart = term._residual_sizes(model, between) - pointwise_balance(model, *between.T).residual.abs().numpy()
        assert np.median(np.abs(apart)) < 1e-3


def test_refinement_chooses_the_candidates_with_the_largest_residual() -> None:
    model = BreakageModel(case_of("case1"), dtype=torch.float64, seed=1)
    v, t = np.geomspace(1e-3, 9.0, 400), np.linspace(0.1, 9.0, 400)
    with torch.no_grad():
        size = pointwise_balance(model, t, v).residual.abs().numpy()
    chosen_v, chosen_t = residual_adaptive_refinement(model, v, t, percentile=90.0, max_new_points=25)
    largest = np.argsort(-size)[:25]
    np.testing.assert_array_equal(chosen_v, v[largest])
    np.testing.assert_array_equal(chosen_t, t[largest])
    assert len(residual_adaptive_refinement(model, v, t)[0]) == 20  # 95 % of 400
    with pytest.raises(PinnxError, match="expected as many times as volumes"):
        residual_adaptive_refinement(model, v, t[1:])


def test_refined_points_stay_in_the_pool_and_come_up_in_later_steps() -> None:
    """Those of earlier work lived for one step."""
    model = BreakageModel(case_of("case3"))
    refinement = Refinement("rar", every=5, candidates=100, max_new_points=4, percentile=90.0)
    term = BreakageTerm(model, num_times=8, num_nodes=16, pieces=4, refinement=refinement)
    for step in range(1, 21):
        term.adapt(model, step)
    assert len(term.pool.points) == 16
    pool = {tuple(point) for point in term.pool.points.tolist()}
    for step in (20, 23, 31):
        points = term.draw(step)
        own = points["x"]
        assert sum(tuple(point) in pool for point in own.tolist()) == 4  # half of eight
        np.testing.assert_allclose(own[:, 0], points["t"])
    loss = term.loss(model, {k: x.float() for k, x in as_batch(model, term.draw(20)).items()}, torch.ones(2))
    assert torch.isfinite(loss.columns).all()


def test_adaptive_losses_weigh_the_residual_of_f_by_f() -> None:
    """The residual of f where f is small counts less than where it is large; relative to births all count alike."""
    share = torch.tensor([1.0, 1e-3, 1e-9], dtype=torch.float64)
    balance = Balance(torch.full_like(share, 1.5), torch.full_like(share, 0.5), share)
    assert balance.squares(None).std() == 0.0
    squares = balance.squares(adaptive_epsilon)
    assert squares[0] > squares[1] > 1e3 * squares[2]
    # The mean in place of the median makes the scale that of the largest f, and w f^2 of all others nothing.
    by_mean = balance.squares(partial(adaptive_epsilon, statistic="mean"))
    assert by_mean[1] / by_mean[0] < 0.1 * squares[1] / squares[0]


def test_sizes_that_hold_volume_count_in_adaptive_losses_too() -> None:
    """Case 2 at its start: exp(-5) of the largest f, and a third of the largest volume in ln v."""
    model = BreakageModel(case_of("case2"), dtype=torch.float64)
    term = BreakageTerm(model, point_loss=adaptive_epsilon, refinement=Refinement("rar"))
    points = as_batch(model, term._at(np.array([1e-9, 1e-9]), np.array([5.0, 0.01])))
    with torch.no_grad():
        at_nodes, own, _ = term.balance(model, points)
    most = 4 * np.exp(-2)
    v = term.grid.nodes
    wanted = np.maximum(np.exp(-v), v**2 * np.exp(-v) / most)[v < 50]
    np.testing.assert_allclose(at_nodes.share[0].numpy()[v < 50], wanted, rtol=5e-3)
    assert own.share.tolist() == pytest.approx([25 * np.exp(-5) / most, np.exp(-0.01)], rel=5e-3)


def test_measurements_are_a_term_in_logarithms() -> None:
    exact = BREAKAGE_CASES["case1"]
    model = BreakageModel(case_of("case1"), dtype=torch.float64)
    t, v = np.array([0.0, 2.0, 2.0, 5.0]), np.array([0.5, 0.1, 1.0, 2.0])
    term = SizeMeasurements(model, t, v, model.density(v, t) * np.exp([0.0, 0.1, -0.1, 0.2]))
    loss = term.loss(model, as_batch(model, term.draw(0)), torch.ones(1).double(), with_residual=True)
    assert float(loss.columns) == pytest.approx((0.01 + 0.01 + 0.04) / 4)
    assert loss.residual[:, 0].tolist() == pytest.approx([0.0, -0.1, 0.1, -0.2])
    (measured,) = term.measure(model, num_points=1, seed=0)
    assert measured.value == pytest.approx(math.sqrt(0.06 / 4))
    halves = [as_batch(model, term.draw(0, Share(part, 2))) for part in range(2)]
    parts = [term.loss(model, half, torch.ones(1).double()).columns for half in halves]
    assert float(sum(parts)) == pytest.approx(float(loss.columns))
    for wrong, message in (
        ((t, v, -exact.density(v, t)), "measurements: expected finite f > 0, got -.* in row 1"),
        ((t, [0.5, 0.1, 1.0, 20.0], exact.density(v, t)), "expected v from 0.001 to 10, got 20 in row 4"),
        ((t[1:], v, exact.density(v, t)), "expected times, volumes and densities"),
    ):
        with pytest.raises(PinnxError, match=message):
            SizeMeasurements(model, *wrong)


def test_a_short_training_solves_case_1(trained: BreakageModel) -> None:
    exact, v = BREAKAGE_CASES["case1"], np.geomspace(1e-3, 10.0, 200)
    for t in exact.times[1:]:
        wanted = v * exact.density(v, t)
        assert np.linalg.norm(v * trained.density(v, t) - wanted) < 0.02 * np.linalg.norm(wanted)


@pytest.fixture(scope="module")
def trained() -> BreakageModel:
    model = BreakageModel(case_of("case1"), width=32, layers=3)
    problem = Problem(model, [BreakageTerm(model, num_times=8, num_nodes=32)], fields=["log_f"])

    def method(objective: Objective, steps: int) -> FirstOrder:
        optimizer = make_optimizer("soap", objective.parameters, lr=5e-3, betas=(0.95, 0.95), precondition_frequency=5)
        return FirstOrder(objective, optimizer, cosine_schedule(optimizer, steps, 1e-5))

    Trainer(problem, [Phase(method)], weights={"breakage": 1.0, "mass": 1.0}, steps=400).run()
    return model


EXPONENTIAL = {"start": lambda v: np.exp(-v)}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "expected one of a start and a delta_at"),
        ({**EXPONENTIAL, "delta_at": 1.0}, "expected one of a start and a delta_at"),
        ({**EXPONENTIAL, "sizes": (1.0, 0.5)}, "expected sizes 0 < low < high"),
        ({"delta_at": 20.0}, "delta_at: expected a size in"),
        ({"delta_at": 1.0, "kinetics": Kinetics(daughters=Daughters(0, 2))}, "expected q = 0 or 1 beside a delta_at"),
        ({**EXPONENTIAL, "kinetics": Kinetics(threshold=0.5)}, "threshold: expected 0 for a network, .* takes it"),
        ({"start": lambda v: 0.0 * v}, "expected a number and a volume of particles > 0"),
    ],
)
def test_what_a_case_refuses(given: dict, message: str) -> None:
    with pytest.raises(PinnxError, match=message):
        BreakageCase(**({"kinetics": Kinetics(), "sizes": (1e-3, 10.0), "end": 1.0} | given))


def test_what_grid_and_model_refuse() -> None:
    with pytest.raises(PinnxError, match="even number of pieces, got 48 and 3"):
        VolumeGrid(0.1, 1.0, pieces=3)
    with pytest.raises(PinnxError, match="low < high, got 1 and"):
        VolumeGrid(1.0, 0.1)
    with pytest.raises(PinnxError, match="learn: expected names out of s0, a, got nu"):
        BreakageModel(case_of("case1"), learn=["nu"])
