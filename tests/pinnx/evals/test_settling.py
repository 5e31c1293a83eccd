"""A number has settled where it no longer moves, not where its learning rate has run out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pinnx.evals import check, last_change

STEPS = np.arange(10, 1201, 10.0)
COSINE = 1e-5 + (3e-3 - 1e-5) * (1 + np.cos(np.pi * STEPS / 1200)) / 2


def spent() -> np.ndarray:
    return np.cumsum(COSINE) * 10


def test_a_number_on_its_way_has_not_settled() -> None:
    """From 1 towards 0.02, by the learning rate in each step: it gets to 0.16, and stands nearly still at the end."""
    on_its_way = np.exp(-spent())
    change = last_change(STEPS, COSINE, on_its_way)
    assert check("viscosity_settled", change).status == "failed"
    assert change == pytest.approx(0.16, abs=0.01)
    last_tenth_of_the_steps = abs(on_its_way[-1] / on_its_way[-12] - 1)
    assert last_tenth_of_the_steps < 0.01, "which says nothing"


def test_a_number_that_arrived_has() -> None:
    arrived = 0.02 * (1 + np.exp(-spent() / 0.2))
    assert check("viscosity_settled", last_change(STEPS, COSINE, arrived)).status == "passed"
    assert last_change(STEPS, COSINE, np.full(120, 0.02)) == 0.0
    late = 0.02 * (1 + 3 * np.exp(-spent()))
    assert check("viscosity_settled", last_change(STEPS, COSINE, late)).status == "warning"


def test_too_few_steps_tell_nothing() -> None:
    assert last_change(STEPS[::60], COSINE[::60], np.ones(2)) is None
    assert last_change([6.0], [1e-3], [0.1]) is None
    assert check("viscosity_settled", None).status == "failed"
    values = np.full(120, math.nan)
    assert math.isnan(last_change(STEPS, COSINE, values))


def test_a_number_near_zero_is_judged_by_a_size_of_its_own() -> None:
    """A force that is 1e-6 of what matters moves by more than itself, and has settled all the same."""
    noise = 1e-6 * np.sin(STEPS)
    assert check("forcing_settled", last_change(STEPS, COSINE, noise)).status == "failed"
    assert check("forcing_settled", last_change(STEPS, COSINE, noise, floor=1.0)).status == "passed"
    assert last_change(STEPS, COSINE, -2.0 - spent()) == pytest.approx(last_change(STEPS, COSINE, 2.0 + spent()))
