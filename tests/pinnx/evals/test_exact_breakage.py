"""The exact breakage solutions by quadrature, where a wrong rate fails, and tables of sizes against closed forms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import special
from tolerances import EXACT_BREAKAGE, TABULATED_SIZES, WRONG_FLOW

from pinnx.errors import PinnxError
from pinnx.evals import BREAKAGE_CASES, ExactBreakage
from pinnx.evals.size_table import TabulatedAxis, diameters
from pinnx.physics.breakage_grid import VolumeGrid
from pinnx.solvers.breakage import SizeDistributions, diameter

CASES = pytest.mark.parametrize("case", BREAKAGE_CASES.values(), ids=BREAKAGE_CASES)
GAUSS = np.polynomial.legendre.leggauss(24)
STEP = 1e-30  # of the derivative by complex step, which has no rounding of a difference


def residual(case: ExactBreakage, v: float, t: float) -> float:
    """Left side minus right side of the equation for the continuous part, over its largest term."""
    rate = case.kinetics.rate
    f_t = case.formula(np.asarray(v), np.asarray(t + STEP * 1j)).imag / STEP
    ends = np.linspace(np.log(v), np.log(v + 60 if case.delta_at is None else case.delta_at), 201)
    half = np.diff(ends)[:, None] / 2
    w = np.exp(ends[:-1, None] + half * (1 + GAUSS[0]))  # dw = w d(ln w)
    birth = float(np.sum(half * GAUSS[1] * 2 * rate(w) * case.formula(w, np.asarray(t))))
    if case.delta_at is not None:
        birth += 2 / case.delta_at * rate(case.delta_at) * case.delta_amplitude(t)
    death = rate(v) * case.formula(np.asarray(v), np.asarray(t))
    return float((f_t - birth + death) / max(abs(f_t), birth, death))


@CASES
def test_the_equation_holds_at_random_places(case: ExactBreakage) -> None:
    rng = np.random.default_rng(0)
    low, high = case.sizes
    high = min(high, 0.99 * (case.delta_at or np.inf), 20.0)
    v = np.exp(rng.uniform(np.log(low), np.log(high), 40))
    t = rng.uniform(0.05, 1.0, 40) * case.times[-1]
    places = [place for place in zip(v, t, strict=True) if case.density(*place) > 1e-250]  # the rest underflows
    assert len(places) >= 20
    assert max(abs(residual(case, *place)) for place in places) < EXACT_BREAKAGE
    wrong = replace(case, kinetics=replace(case.kinetics, s0=1.1))
    assert max(abs(residual(wrong, *place)) for place in places) > WRONG_FLOW


@CASES
def test_moments_in_closed_form_are_those_of_the_density(case: ExactBreakage) -> None:
    for t in case.times:
        for order in (0, 1):
            assert case.moment_by_quadrature(order, t) == pytest.approx(case.moment(order, t), rel=EXACT_BREAKAGE)
    assert case.moment(0, case.times[1]) > 1.5  # a number that grows, so the comparison sees something


def test_the_start_and_the_second_moment() -> None:
    v = np.array([0.1, 0.5, 1.0, 3.0])
    for name in ("case1", "case2"):
        np.testing.assert_allclose(BREAKAGE_CASES[name].density(v, 0.0), np.exp(-v), rtol=1e-15)
        assert BREAKAGE_CASES[name].delta_amplitude(3.0) == 0
    for name in ("case3", "case4"):
        assert (BREAKAGE_CASES[name].density(v, 0.0) == 0).all()
        assert (BREAKAGE_CASES[name].density(v[2:], 7.0) == 0).all()  # at the delta and above
        assert BREAKAGE_CASES[name].delta_amplitude(0.0) == 1
    assert BREAKAGE_CASES["case1"].moment(2, 4.0) == pytest.approx(2 / 5, rel=EXACT_BREAKAGE)
    with pytest.raises(PinnxError, match="moment: expected an order of 0 or more, got -1"):
        BREAKAGE_CASES["case1"].moment(-1, 0.0)


def table(name: str, times: list[float], high: float) -> SizeDistributions:
    case, grid = BREAKAGE_CASES[name], VolumeGrid(1e-3, high, num_nodes=64, pieces=8)
    t = np.array(times)
    f = case.density(grid.fine, t[:, None])
    axis = TabulatedAxis(grid.fine, grid.weights)
    return SizeDistributions(axis, case.kinetics, t, f, case.delta_amplitude(t), case.delta_at)


def test_curves_and_diameters_in_closed_form() -> None:
    """Case 1 in y = v (1 + t): the volume below is 1 - (1 + y) exp(-y)."""
    case, times = BREAKAGE_CASES["case1"], [0.0, 2.0, 5.0]
    sizes = table("case1", times, 40.0)
    y = sizes.grid.v * (1 + sizes.times[:, None])
    np.testing.assert_allclose(sizes.below(sizes.grid.v), 1 - (1 + y) * np.exp(-y), atol=TABULATED_SIZES)
    np.testing.assert_allclose(sizes.density([0.1]), case.density([0.1], sizes.times[:, None]), rtol=TABULATED_SIZES)
    found, factor = diameters(sizes), (1 + sizes.times) ** (1 / 3)
    for name, place in (("d10", 0.531812), ("d50", 1.678347), ("d90", 3.889720)):
        np.testing.assert_allclose(found[name] * factor, diameter(place), rtol=TABULATED_SIZES)
    np.testing.assert_allclose(found["d32"] * factor, diameter(1.0) / special.gamma(5 / 3), rtol=TABULATED_SIZES)
    assert found["d50"][1] < 0.8 * found["d50"][0]


def test_particles_of_one_size() -> None:
    found = diameters(table("case3", [0.0, 0.5, 1e4], 1.0))
    assert [found[name][0] for name in found] == pytest.approx([float(diameter(1.0))] * 4)
    assert found["d90"][1] == pytest.approx(float(diameter(1.0)))  # 61 % of the volume has not broken
    assert np.isnan(found["d10"][2])  # below the smallest volume
