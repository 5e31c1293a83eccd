"""Performance that is a warning: slower or converging less than the baseline of this machine, or a GPU that waits."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Any

from pinnx.config import Config
from pinnx.jobs.recorded_baseline import Baseline

__all__ = ["usual_performance", "yellow_lines"]

LEAST = 0.8  # of the baseline
LEAST_USE = 50.0  # per cent of the time
WORDS = {"steps_per_s": "steps/s", "convergence_rate": "rate of convergence"}


def usual_performance(config: Config, here: Mapping[str, Any]) -> dict[str, float]:
    """The performance of evals.baseline, the median of its runs.

    Args:
        config: of the run.
        here: what it runs on.

    Returns:
        Figure -> value; empty without a baseline of this machine and these versions.
    """
    if config.evals.baseline is None:
        return {}
    baseline = Baseline.read(config.evals.baseline)
    return {name: median(values) for name, values in baseline.performance.items()} if baseline.device == here else {}


def yellow_lines(metrics: Mapping[str, Any], usual: Mapping[str, float]) -> list[str]:
    """A sentence for each line that a finished run has crossed.

    Args:
        metrics: what metrics.json says.
        usual: of ``usual_performance``.
    """
    found = [
        f"{words} of {metrics[name]:.3g}, below {LEAST:g} of {usual[name]:.3g} in the baseline"
        for name, words in WORDS.items()
        if name in usual and metrics.get(name) is not None and metrics[name] < LEAST * usual[name]
    ]
    use = metrics.get("gpu_utilisation")
    if use is not None and use < LEAST_USE:
        found.append(f"the GPU computed {use:.0f} % of the time, below {LEAST_USE:.0f} %")
    return found
