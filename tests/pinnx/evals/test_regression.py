"""Better, same, worse: what changes is seen, what does not is not, at the level that is said."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import ttest_ind

from pinnx.evals.regression import compare_figure


def word(values: list[float], baseline: list[float], *, more: bool = False, alpha: float = 0.05) -> str:
    return compare_figure(values, baseline, more_is_better=more, alpha=alpha).word


BASE = [1.0, 1.1, 0.95, 1.05, 1.0]


def test_which_direction_is_better() -> None:
    assert word([2.0], BASE) == "worse"
    assert word([2.0], BASE, more=True) == "better"
    assert word([0.5], BASE) == "better"
    assert word([1.08], BASE) == "same"


def test_the_line_is_that_of_the_test_of_two_samples() -> None:
    now = [1.2, 1.3, 1.15]
    p = float(ttest_ind(np.log(now), np.log(BASE)).pvalue)
    assert word(now, BASE, alpha=1.01 * p) == "worse"
    assert word(now, BASE, alpha=0.99 * p) == "same"
    found = compare_figure([1.0], BASE, more_is_better=False, alpha=0.05)
    center = math.exp(float(np.log(BASE).mean()))
    assert word([center * found.seen_from * 1.001], BASE) == "worse"
    assert word([center * found.seen_from * 0.999], BASE) == "same"


def test_runs_without_a_change_are_called_different_as_often_as_said() -> None:
    rng = np.random.default_rng(7)
    drawn = np.exp(0.3 * rng.normal(size=(4000, 6)))
    wrong = sum(word([float(row[0])], list(row[1:]), alpha=0.1) != "same" for row in drawn)
    assert 0.08 < wrong / 4000 < 0.12, "seed 7"


@pytest.mark.parametrize(
    ("values", "baseline", "expected"),
    [
        ([1.0], [1.0], "same"),
        ([1.1], [1.0], "not known"),  # nothing says how it varies
        ([1.1], [1.0, 1.0], "worse"),  # it does not vary
        ([math.inf], BASE, "worse"),
        ([math.nan], BASE, "worse"),
        ([6.0], [1.0, 1.5], "not known"),  # two values say little: a factor of ten would not show
        ([1.0], [math.inf, 1.0], "not known"),
        ([0.0], [0.0, 0.0], "same"),
    ],
)
def test_what_is_at_the_edge(values: list[float], baseline: list[float], expected: str) -> None:
    assert word(values, baseline) == expected
