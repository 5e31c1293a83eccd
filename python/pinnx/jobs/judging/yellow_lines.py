"""Performance that is a warning: slower or converging less than the baseline of this machine, a GPU that waits, losses
that no longer fall.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

from pinnx.config import Config
from pinnx.jobs.judging.recorded_baseline import Baseline
from pinnx.runs.history import mean_logarithm
from pinnx.train.trend import FALL, Trend

__all__ = ["STOPPED", "Stagnation", "usual_performance", "yellow_lines"]

LEAST = 0.8  # of the baseline
LEAST_USE = 50.0  # per cent of the time
# Of the steps, without a fall of the losses. With a tenth one training in five has such a stretch, with a fifth 2 of
# 159, one of them with a step size that was too large.
STALLED, FEWEST_ROWS = 0.2, 10
STOPPED = "the losses fell by less than"
WORDS = {"steps_per_s": "steps/s", "convergence_rate": "rate of convergence"}


def usual_performance(config: Config, here: Mapping[str, Any]) -> dict[str, float]:
    """The performance of evals.baseline, figure -> median of its runs; empty without one of ``here``, as `versions`."""
    if config.evals.baseline is None:
        return {}
    baseline = Baseline.read(config.evals.baseline)
    return {name: median(values) for name, values in baseline.performance.items()} if baseline.device == here else {}


def yellow_lines(metrics: Mapping[str, Any], usual: Mapping[str, float]) -> list[str]:
    """A sentence for each line that a finished run has crossed, by metrics.json and `usual_performance`."""
    found = [
        f"{words} of {metrics[name]:.3g}, below {LEAST:g} of {usual[name]:.3g} in the baseline"
        for name, words in WORDS.items()
        if name in usual and metrics.get(name) is not None and metrics[name] < LEAST * usual[name]
    ]
    use = metrics.get("gpu_utilisation")
    if use is not None and use < LEAST_USE:
        found.append(f"the GPU computed {use:.0f} % of the time, below {LEAST_USE:.0f} %")
    return found


class Stagnation:
    """Says once when the losses of a training have stopped falling: the mean of the logarithms of its columns.

    Under a curriculum losses do not compare. Of ``earlier`` rows of the history nothing is said.
    """

    def __init__(self, config: Config, earlier: Iterable[Mapping[str, float]] = ()) -> None:
        train = config.train
        patience = max(round(STALLED * train.steps), FEWEST_ROWS * train.log_every)
        self._trend, self._said = Trend(None if train.curriculum else patience), False
        for row in earlier:
            self.add(row)

    def add(self, row: Mapping[str, float]) -> str | None:
        """Takes the next row of the history in. A sentence where they have stopped, the first time."""
        if self._said or (logarithm := mean_logarithm(row)) is None:
            return None
        self._trend.add(int(row["step"]), 10.0**logarithm)
        if not self._trend.stalled:
            return None
        self._said = True
        few = f"{100 * FALL:.0f} % in the last {self._trend.patience} steps"
        return (
            f"step {row['step']:.0f}: {STOPPED} {few}; "
            "another train.lr or a wider network may help, more steps alone may not"
        )
