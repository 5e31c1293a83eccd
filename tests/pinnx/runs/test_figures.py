"""Figures beside earlier ones: what is another value, and what is noise."""

from __future__ import annotations

import numpy as np
import pytest

from pinnx.errors import PinnxError
from pinnx.runs.figures import compare_figures, relative_spread


def figure(value: float, better: str = "higher", spread: float = 0.0) -> dict[str, dict[str, object]]:
    return {"it": {"value": value, "unit": "", "better": better, "spread": spread}}


@pytest.mark.parametrize(
    ("value", "better", "spread", "verdict"),
    [
        (100.0, "higher", 0.0, "same"),
        (79.0, "higher", 0.0, "worse"),
        (81.0, "higher", 0.0, "same"),
        (126.0, "higher", 0.0, "better"),
        (126.0, "lower", 0.0, "worse"),
        (79.0, "lower", 0.0, "better"),
        (70.0, "higher", 0.2, "same"),
        (70.0, "higher", 0.02, "worse"),
    ],
)
def test_a_change_beyond_margin_and_noise_counts(value: float, better: str, spread: float, verdict: str) -> None:
    found = compare_figures(figure(value, better, spread), figure(100.0, better))
    assert found == {"it": {"before": 100.0, "ratio": value / 100.0, "verdict": verdict}}
    assert compare_figures(figure(value, better), figure(100.0, better, spread))["it"]["verdict"] == verdict


def test_noise_of_a_known_spread_raises_no_alarm_and_a_true_change_does(seed: int) -> None:
    """Normal noise of 15 %: 200 pairs of the same speed, and 200 with a quarter of it."""
    rng = np.random.default_rng(seed)
    repeated = 100.0 * np.exp(0.15 * rng.standard_normal(1000))
    spread = relative_spread(repeated.tolist())
    assert spread == pytest.approx(0.67 * 0.15, rel=0.2)
    draws = 100.0 * np.exp(0.15 * rng.standard_normal((200, 2)))
    verdicts = [compare_figures(figure(a, spread=spread), figure(b, spread=spread))["it"]["verdict"] for a, b in draws]
    assert verdicts.count("same") >= 195
    slowed = [compare_figures(figure(0.25 * a, spread=spread), figure(b, spread=spread)) for a, b in draws]
    assert sum(item["it"]["verdict"] == "worse" for item in slowed) >= 195


def test_figures_of_one_side_alone_and_values_that_are_none() -> None:
    assert compare_figures(figure(1.0), {}) == {}
    assert relative_spread([1.0, 2.0, 3.0]) == 0.0
    for value in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(PinnxError, match="it: expected values > 0, got"):
            compare_figures(figure(value), figure(1.0))
