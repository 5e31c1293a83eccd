"""Viscosity and the lid's speed from sensors: found from a wrong guess, with an honest spread."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from box_flows import cavity, grid_points, relative

from pinnx.errors import PinnxError
from pinnx.solvers import Study, fit_box, solve_box

PLACES = np.random.default_rng(3).uniform(0.1, 0.9, (12, 2))
NU, CELLS = 1 / 400, 36


@pytest.fixture(scope="module")
def truth() -> Study:
    return solve_box(cavity(NU), CELLS)


def test_viscosity_and_lid_are_found_from_a_wrong_guess(truth: Study) -> None:
    velocity = truth.at(PLACES)[:, :2]
    velocity[3, 0] = np.nan  # a component that was not measured
    fit = fit_box(cavity(1 / 100, unknown_lid=True), PLACES, velocity, learn_nu=True, guess=[0.6], num_cells=CELLS)
    assert fit.study.nu == pytest.approx(NU, rel=0.02)
    assert fit.study.a[1] == pytest.approx(1.0, rel=5e-3)
    everywhere = grid_points(np.linspace(0.05, 0.95, 30), np.linspace(0.05, 0.95, 30))
    wanted = truth.at(everywhere)[:, :2]
    assert relative(fit.study.at(everywhere)[:, :2], wanted) < 5e-3
    # Without the search the guess is another flow.
    assert relative(solve_box(cavity(1 / 100), CELLS).at(everywhere)[:, :2], wanted) > 0.1


def test_another_viscosity_in_the_data_is_another_answer() -> None:
    velocity = solve_box(cavity(1 / 200), CELLS).at(PLACES)[:, :2]
    fit = fit_box(cavity(NU), PLACES, velocity, learn_nu=True, num_cells=CELLS)
    assert fit.study.nu == pytest.approx(1 / 200, rel=0.02)
    assert fit.misfit < 0.01


def test_noise_gives_a_spread_that_covers_the_truth(truth: Study, seed: int) -> None:
    clean = truth.at(PLACES)[:, :2]
    noisy = clean + 0.01 * np.random.default_rng(seed).normal(size=clean.shape)
    fit = fit_box(cavity(NU, unknown_lid=True), PLACES, noisy, learn_nu=True, guess=[1.0], num_cells=CELLS)
    assert fit.errors.shape == (2,)
    assert abs(fit.study.a[1] - 1.0) < 5 * fit.errors[0] < 0.2
    assert abs(np.log(fit.study.nu / NU)) < 5 * fit.errors[1] < 1.5


def test_messages(truth: Study) -> None:
    velocity = truth.at(PLACES)[:, :2]
    with pytest.raises(PinnxError, match="got 0 numbers and 24 measurements"):
        fit_box(cavity(NU), PLACES, velocity, learn_nu=False)
    with pytest.raises(PinnxError, match="got 2 numbers and 0 measurements"):
        fit_box(cavity(NU, unknown_lid=True), PLACES, np.nan * velocity, learn_nu=True, guess=[1.0])
    with pytest.raises(PinnxError, match=r"solver\.cells"):
        fit_box(replace(cavity(NU)), PLACES, velocity, learn_nu=True, num_cells=3)
