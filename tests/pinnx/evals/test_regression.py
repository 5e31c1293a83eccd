"""Better, same, worse: what changes is seen, what does not is not, at the level that is said."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import ttest_ind

from pinnx.evals.regression import compare_figure, compare_figures


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


@pytest.mark.parametrize(
    ("values", "before", "better", "word"),
    [
        ([1.0], [1.9], "lower", "same"),  # of single values nothing says how they vary
        ([1.0], [2.1], "lower", "better"),
        ([1.0], [2.1], "higher", "worse"),
        ([1.0, 1.02, 0.98, 1.0, 1.0], [1.2, 1.22, 1.18, 1.2, 1.2], "higher", "same"),  # seen, but within the margin
        ([1.0, 1.02, 0.98, 1.0, 1.0], [1.3, 1.32, 1.28, 1.3, 1.3], "higher", "worse"),
        ([1.0, 2.0, 0.5, 1.0, 1.0], [1.3, 2.6, 0.65, 1.3, 1.3], "higher", "same"),  # noise
        ([1.0, 0.0], [1.0, 1.0], "lower", "not known"),  # it varies without a limit
    ],
)
def test_a_change_counts_beyond_noise_and_margin(
    values: list[float], before: list[float], better: str, word: str
) -> None:
    """As a benchmark compares parts of one run; whole runs are compared by the test alone."""
    more = ["it"] if better == "higher" else []
    found = compare_figures({"it": values}, {"it": before}, more_is_better=more, least=1.25, single=2.0)
    assert found["it"].word == word


def test_the_level_is_that_of_all_figures_together() -> None:
    """One that is seen alone is not among twenty; a figure of one side alone is none."""
    now, before = {"it": [1.2, 1.3, 1.15], "new": [1.0]}, {"it": BASE, "old": [1.0]}
    p = float(ttest_ind(*(np.log(side["it"]) for side in (now, before))).pvalue)
    (alone,) = compare_figures(now, before, more_is_better=[], level=10 * p).values()
    many = compare_figures(
        *({**side, **{str(i): BASE for i in range(20)}} for side in (now, before)), more_is_better=[], level=10 * p
    )
    assert (alone.word, many["it"].word, len(many)) == ("worse", "same", 21)
