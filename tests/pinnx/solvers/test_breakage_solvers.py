"""Breakage solved classically: exact cases, method against method, moments, the adjoint, mistakes of earlier codes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import special
from scipy.integrate import trapezoid
from tolerances import (
    BREAKAGE_ADJOINT,
    BREAKAGE_CHEBYSHEV,
    BREAKAGE_LOW_END,
    BREAKAGE_PIVOT,
    CONVERGENCE_ORDER,
    EPS64,
    EXACT_BREAKAGE,
)

from pinn_ext import breakage_residual
from pinnx.errors import PinnxError
from pinnx.evals import BREAKAGE_CASES, ExactBreakage
from pinnx.physics import Daughters, Kinetics
from pinnx.solvers.breakage import (
    ChebyshevGrid,
    PivotGrid,
    SizeDistributions,
    SizeGrid,
    diameter,
    evolve,
    matrix_gradient,
    sensitivities,
    solve_breakage,
    volume,
)

CASES = pytest.mark.parametrize("name", BREAKAGE_CASES)


def grid_of(case: ExactBreakage, num: int, method: str = "chebyshev") -> SizeGrid:
    low, high = case.sizes[0], case.delta_at or 40.0  # exp(-40) is below rounding
    if method == "chebyshev":
        return ChebyshevGrid(low, high, num_nodes=num)
    return PivotGrid(low, high, num_pivots=num)


def solved(case: ExactBreakage, grid: SizeGrid, kinetics: Kinetics | None = None) -> SizeDistributions:
    start = None if case.delta_at else lambda v: case.density(v, 0.0)
    return solve_breakage(kinetics or case.kinetics, grid, case.times[1:], start=start, delta_at=case.delta_at)


def error(case: ExactBreakage, found: SizeDistributions) -> float:
    """The largest relative L2 of v f over ln v at the reported times."""
    v = np.geomspace(case.sizes[0], found.grid.v[-1] * (1 - 1e-9), 400)
    exact = np.array([case.density(v, t) for t in found.times])
    return float((np.linalg.norm(v * (found.density(v) - exact), axis=1) / np.linalg.norm(v * exact, axis=1)).max())


@CASES
def test_chebyshev_solves_the_exact_cases(name: str) -> None:
    case = BREAKAGE_CASES[name]
    found = solved(case, grid_of(case, 96))
    assert error(case, found) < BREAKAGE_CHEBYSHEV
    np.testing.assert_allclose(found.delta, case.delta_amplitude(found.times), rtol=1e-12, atol=1e-300)
    for order in (0, 1, 2, 3):
        exact = [case.moment(order, t) for t in found.times]
        assert (np.abs(found.moment(order) / exact - 1) < BREAKAGE_CHEBYSHEV).all()
    assert found.f.min() > -BREAKAGE_CHEBYSHEV * found.f.max()
    wrong = solved(case, found.grid, replace(case.kinetics, a=1.01 * case.kinetics.a))
    assert error(case, wrong) > 1e3 * BREAKAGE_CHEBYSHEV


@CASES
def test_fixed_pivot_is_of_second_order_positive_and_keeps_the_volume(name: str) -> None:
    case = BREAKAGE_CASES[name]
    coarse, fine = (solved(case, grid_of(case, num, "pivot")) for num in (80, 160))
    v = fine.grid.v[2:-2]
    exact = np.array([case.density(v, t) for t in fine.times])

    def off(found: SizeDistributions) -> float:
        return float((np.linalg.norm(v * (found.density(v) - exact), axis=1) / np.linalg.norm(v * exact, axis=1)).max())

    assert off(fine) < BREAKAGE_PIVOT
    assert error(case, coarse) > BREAKAGE_PIVOT  # so the bound sees half the pivots
    for found in (coarse, fine):
        grid, rate = found.grid, case.kinetics.rate(found.grid.v)
        kept = (grid.v * grid.weights) @ grid.matrix(case.kinetics) / (grid.v * grid.weights * rate)
        assert np.abs(kept).max() < 1e3 * EPS64
        assert found.moment(1) == pytest.approx(np.ones(3), abs=1e7 * EPS64)  # S t = 2000: as many roundings, and more
        assert found.f.min() > -1e3 * EPS64 * found.f.max()


def test_the_numbers_of_fixed_pivots_are_exact_where_the_rate_is_linear() -> None:
    """Two pivots share number and volume, and so S = v of what is between them: no error but that of hat functions."""
    case = BREAKAGE_CASES["case1"]
    found = solved(case, grid_of(case, 80, "pivot"))
    for f, t in zip(found.f, found.times, strict=True):
        shared = found.grid.sample(lambda v, t=t: case.density(v, t))
        np.testing.assert_allclose(f[1:-1], shared[1:-1], rtol=1e-9, atol=1e-12 * f.max())


KINETICS = {
    "uniform": Kinetics(0.7, 1.3),
    "parabolic": Kinetics(1.0, 0.8, daughters=Daughters.parabolic()),
    "power law": Kinetics(0.5, 2.0, daughters=Daughters.power_law(1.0)),
    "small daughters": Kinetics(1.0, 1.0, daughters=Daughters.power_law(-0.5)),
    "three of a product": Kinetics(1.0, 0.5, daughters=Daughters.product(3, 0.5)),
    "threshold": Kinetics(1.0, 1.0, threshold=0.5, daughters=Daughters.parabolic()),
}


@pytest.mark.parametrize("name", KINETICS)
def test_both_methods_agree_on_general_kinetics(name: str) -> None:
    kinetics, edges = KINETICS[name], [KINETICS[name].threshold]
    options = {"start": lambda v: np.exp(-v), "times": [1.0, 4.0]}
    reference = solve_breakage(kinetics, ChebyshevGrid(1e-3, 40.0, num_nodes=64, edges=edges), **options)
    v = np.geomspace(max(2e-3, 1.1 * kinetics.threshold), 8.0, 300)
    wanted, apart = v * reference.density(v), []
    for num in (160, 320):
        other = solve_breakage(kinetics, PivotGrid(1e-3, 40.0, num_pivots=num), **options)
        apart.append(np.linalg.norm(v * other.density(v) - wanted) / np.linalg.norm(wanted))
    assert apart[1] < BREAKAGE_PIVOT
    assert np.log2(apart[0] / apart[1]) == pytest.approx(2.0, abs=CONVERGENCE_ORDER)
    # Of first order below a threshold: a pivot above it takes a part of what is below.
    assert np.abs(other.below(v) - reference.below(v)).max() < (0.02 if kinetics.threshold else BREAKAGE_PIVOT)
    assert reference.moment(1) == pytest.approx(np.ones(2), abs=BREAKAGE_LOW_END)
    wrong = solve_breakage(replace(kinetics, daughters=Daughters(0.3, 0.2)), other.grid, **options)
    assert np.linalg.norm(v * wrong.density(v) - wanted) > 20 * BREAKAGE_PIVOT * np.linalg.norm(wanted)


@pytest.mark.parametrize("name", ["uniform", "parabolic", "power law", "three of a product"])
def test_moments_in_closed_form(name: str) -> None:
    """S = s0: M_k grows with b's k-th moment less one. S = s0 v: M0 grows with the number of daughters less one."""
    daughters, times = KINETICS[name].daughters, np.array([0.5, 2.0])
    grid, c, q = ChebyshevGrid(1e-6, 40.0, num_nodes=96), daughters.c, daughters.q
    constant = solve_breakage(Kinetics(0.4, 0.0, daughters=daughters), grid, times, start=lambda v: np.exp(-v))
    for order in (1.5, 2, 3):
        kept = special.beta(c + 1 + order, q + 1) / special.beta(c + 2, q + 1)
        exact = special.gamma(order + 1) * np.exp((kept - 1) * 0.4 * times)
        np.testing.assert_allclose(constant.moment(order), exact, rtol=BREAKAGE_CHEBYSHEV)
    linear = solve_breakage(Kinetics(0.4, 1.0, daughters=daughters), grid, times, start=lambda v: np.exp(-v))
    np.testing.assert_allclose(linear.moment(0), 1 + (daughters.number - 1) * 0.4 * times, rtol=1e-5)
    with pytest.raises(PinnxError, match="moment: expected an order above"):
        linear.moment(-2 - c)


def test_what_breaks_ends_below_the_threshold() -> None:
    kinetics = Kinetics(5.0, 1.0, threshold=0.5)
    found = solve_breakage(kinetics, ChebyshevGrid(1e-3, 1.0, edges=[0.5]), [1.0, 200.0], delta_at=1.0)
    assert found.below([0.5])[:, 0] == pytest.approx([found.below([0.5])[0, 0], 1.0], abs=1e-9)
    assert found.below([0.5])[0, 0] < 0.99
    with pytest.raises(PinnxError, match=r"edges: expected one at the threshold 0.5, got none; give edges=\(0.5,\)"):
        ChebyshevGrid(1e-3, 1.0).matrix(kinetics)


@pytest.mark.parametrize("method", ["chebyshev", "pivot"])
def test_what_engineers_read(method: str) -> None:
    """Case 1 in y = v (1 + t): the volume below is 1 - (1 + y) exp(-y), the number below 1 - exp(-y)."""
    case = BREAKAGE_CASES["case1"]
    found = solved(case, grid_of(case, 64 if method == "chebyshev" else 400, method))
    limit = 1e-5 if method == "chebyshev" else BREAKAGE_PIVOT
    v = np.geomspace(2e-3, 5.0, 60)
    y = v * (1 + found.times[:, None])
    np.testing.assert_allclose(found.below(v), 1 - (1 + y) * np.exp(-y), atol=limit)
    if method == "chebyshev":  # pivots have not the number of the smallest particles
        np.testing.assert_allclose(found.below(v, order=0), 1 - np.exp(-y), atol=limit)
    for share, wanted in ((0.1, 0.531812), (0.5, 1.678347), (0.9, 3.889720)):
        np.testing.assert_allclose(found.percentile(share) * (1 + found.times), wanted, rtol=2 * limit)
    sauter = (6 / np.pi) ** (1 / 3) / special.gamma(5 / 3) / (1 + found.times) ** (1 / 3)
    np.testing.assert_allclose(found.sauter(), sauter, rtol=2 * limit)
    assert np.isnan(found.percentile(1e-9)).all()
    np.testing.assert_allclose(volume(diameter(v)), v)


def test_a_delta_in_curves_and_percentiles() -> None:
    case = BREAKAGE_CASES["case3"]
    found = solve_breakage(case.kinetics, grid_of(case, 64), [0.0, 0.2], delta_at=1.0)
    below = found.below([0.5, 0.999, 1.0])
    np.testing.assert_allclose(below[0], [0, 0, 1], atol=1e-12)
    assert below[1, 1] == pytest.approx(1 - np.exp(-0.2), abs=2e-3)
    np.testing.assert_allclose(found.percentile(0.9), 1.0)
    assert found.percentile(0.1)[1] < 0.9


def test_the_adjoint_is_the_gradient() -> None:
    rng = np.random.default_rng(3)
    grid, times = ChebyshevGrid(1e-2, 20.0, num_nodes=24), np.array([0.0, 0.5, 2.0])
    kinetics = Kinetics(0.8, 1.2, daughters=Daughters.parabolic())
    matrix, state = grid.matrix(kinetics), grid.sample(lambda v: np.exp(-v))
    cotangents = rng.standard_normal((3, len(state)))
    gradient = matrix_gradient(matrix, state, times, cotangents)
    directions = [rng.standard_normal(matrix.shape) * np.abs(matrix) for _ in range(3)]
    slopes = sensitivities(matrix, directions, state, times)
    for direction, slope in zip(directions, slopes, strict=True):
        forward = float(np.sum(cotangents * slope))
        assert np.sum(gradient * direction) == pytest.approx(forward, rel=1e-10)
        step = 1e-5 / np.abs(direction).max()
        ends = [evolve(matrix + sign * step * direction, state, times) for sign in (1, -1)]
        difference = np.sum(cotangents * (ends[0] - ends[1])) / (2 * step)
        assert forward == pytest.approx(difference, rel=BREAKAGE_ADJOINT)
    # By the rate of each size, as an unknown S(v) needs it: a column of (B - 1) times the gradient.
    by_rate = np.sum(gradient * matrix / kinetics.rate(grid.v), axis=0)
    along = sensitivities(matrix, [matrix * np.log(grid.v)], state, times)[0]  # dS / da = S ln v
    assert np.sum(by_rate * kinetics.rate(grid.v) * np.log(grid.v)) == pytest.approx(
        np.sum(cotangents * along), rel=1e-9
    )


def start(v: np.ndarray) -> np.ndarray:
    return np.exp(-v)


GRID = ChebyshevGrid(1e-2, 1.0, num_nodes=8)
WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "no start": (lambda: solve_breakage(Kinetics(), GRID, [1.0]), "expected a start, a delta_at, or both"),
    "start of one number": (
        lambda: solve_breakage(Kinetics(), GRID, [1.0], start=lambda v: 1.0),
        "start: expected a density for each of the 8 volumes it is given, [8], got []",
    ),
    "start at other volumes": (
        lambda: solve_breakage(Kinetics(), PivotGrid(0.1, 1, num_pivots=4), [1.0], start=lambda v: np.ones(3)),
        "start: expected a density for each of the 40 volumes it is given, [40], got [3]",
    ),
    "start that is not finite": (
        lambda: solve_breakage(Kinetics(), GRID, [1.0], start=lambda v: np.where(v < 0.5, 1.0, np.nan)),
        "start: expected finite densities, got one that is not at v = 0.796102",
    ),
    "times": (lambda: solve_breakage(Kinetics(), GRID, [1.0, 0.5], start=start), "times: expected rising times from 0"),
    "delta": (lambda: GRID.matrix(Kinetics(), 0.5), "delta: expected it at the largest volume 1 or above, got 0.5"),
    "delta of pivots": (
        lambda: PivotGrid(0.1, 1).matrix(Kinetics(), 0.5),
        "delta: expected it at the largest volume 1",
    ),
    "volumes": (lambda: ChebyshevGrid(1.0, 0.5), "volumes: expected 0 < low < high, got 1.0 and 0.5"),
    "pivots": (lambda: PivotGrid(0.0, 0.5), "volumes: expected 0 < low < high, got 0.0"),
    "few nodes": (lambda: ChebyshevGrid(0.1, 1, num_nodes=3), "num_nodes: expected 4 or more, got 3"),
    "few pivots": (lambda: PivotGrid(0.1, 1, num_pivots=2), "num_pivots: expected 3 or more, got 2"),
    "below": (
        lambda: solve_breakage(Kinetics(), GRID, [1.0], start=start).density([1e-3]),
        "v: expected volumes from 0.01 on, got 0.001",
    ),
    "share": (
        lambda: solve_breakage(Kinetics(), GRID, [1.0], start=start).percentile(50),
        "percentile: expected a share between 0 and 1, got 50",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_message(name: str) -> None:
    wrong, message = WRONG[name]
    with pytest.raises(PinnxError, match=re.escape(message)) as caught:
        wrong()
    assert "\n" not in str(caught.value)


def dropped_cell(v: np.ndarray, f: np.ndarray) -> np.ndarray:
    """2 int_v^inf f dw for S = w by trapezoids, without the cell that begins at v."""
    cells = np.diff(v) * (f[1:] + f[:-1]) / 2
    return 2 * np.append(np.cumsum(cells[::-1])[::-1][1:], [0.0, 0.0])


@pytest.mark.parametrize("num", [41, 51])
def test_the_birth_integral(num: int) -> None:
    case, t = BREAKAGE_CASES["case1"], 5.0
    v = np.geomspace(*case.sizes, num)
    f, exact = case.density(v, t), 2 * (1 + t) * np.exp(-v * (1 + t))
    seen = f > 1e-6 * f.max()
    naive = np.abs(dropped_cell(v, f) / exact - 1)[seen]
    assert naive.mean() > 0.03
    assert naive.max() > 0.5
    g, at = torch.from_numpy(np.log(f))[None], torch.from_numpy(v)
    birth = f * (at - breakage_residual(g, torch.zeros_like(g), at, at, tail="exponential")[0]).numpy()
    assert np.abs(birth / exact - 1)[seen].max() < EXACT_BREAKAGE
    grid = ChebyshevGrid(case.sizes[0], 10.0, num_nodes=num)
    born = grid.matrix(case.kinetics) @ case.density(grid.v, t) + grid.v * case.density(grid.v, t)
    wanted = 2 * (1 + t) * (np.exp(-grid.v * (1 + t)) - np.exp(-10.0 * (1 + t)))
    assert np.abs(born - wanted).max() < BREAKAGE_CHEBYSHEV * wanted.max()


@pytest.mark.parametrize("grid", [ChebyshevGrid(1e-4, 1.0), PivotGrid(1e-4, 1.0)], ids=["chebyshev", "pivot"])
def test_a_delta_has_the_weight_one(grid: SizeGrid) -> None:
    case = BREAKAGE_CASES["case4"]
    found = solve_breakage(case.kinetics, grid, [0.0], delta_at=1.0)
    assert (found.f == 0).all()
    assert [found.moment(order)[0] for order in (0, 1, 2, 3)] == [1.0] * 4
    weights = []
    for num in (42, 48):  # a bell in its place weighs as its nodes happen to be
        v = np.geomspace(*case.sizes, num)
        bell = np.exp(-(((v - 1) / 0.02) ** 2) / 2) / (0.02 * np.sqrt(2 * np.pi))
        weights.append(trapezoid(bell, v))
    assert weights[0] < 0.1
    assert weights[1] > 4.0
