"""Better, same or worse: figures of runs held against those of a baseline, with the noise between runs.

On logarithms, as errors and speeds vary by factors: with n values of the baseline and m of the runs, pooled variance
s^2 and n + m - 2 degrees of freedom (Student's test of two samples; for m = 1 it is the prediction interval),

    |mean log r - mean log b| > t_(1 - alpha / 2) s sqrt(1 / n + 1 / m)

is a difference. ``alpha`` is the level of the whole comparison over the number of its figures (Bonferroni), so that
runs without a change are called better or worse anywhere in one comparison of twenty. All comparisons of this package
are made here: `pinnx compare`, of whole runs, and `pinnx benchmark --baseline`, of parts of one.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.special import stdtrit

__all__ = ["LEVEL", "Comparison", "compare_figure", "compare_figures"]

LEVEL = 0.05  # probability that figures without a change are called better or worse anywhere

BLIND = 10.0  # a comparison that sees only larger factors says nothing
Word = Literal["better", "same", "worse", "not known"]


@dataclass(frozen=True)
class Comparison:
    """One figure of runs beside a baseline.

    Attributes:
        word: better, same, worse; not known: no difference is seen, and one of a factor of ten would not be either, as
            values are few or scattered.
        factor: geometric mean of the runs over that of the baseline.
        seen_from: the factor, > 1, from which a difference in either direction is seen; inf: from none.
    """

    word: Word
    factor: float
    seen_from: float


def compare_figures(
    now: Mapping[str, Sequence[float]],
    before: Mapping[str, Sequence[float]],
    *,
    more_is_better: Collection[str],
    level: float = LEVEL,
    least: float = 1.0,
    single: float | None = None,
) -> dict[str, Comparison]:
    """Compares each figure that both have.

    Args:
        now: figure -> its values in the runs.
        before: the same of the baseline.
        more_is_better: names of speeds; of others less is better.
        level: of the whole comparison, in (0, 1).
        least: factor that repeated values have to change by as well, where they come from one run: parts of a run know
            nothing of who else used the machine.
        single: factor beyond which a figure counts as changed that has one value on a side, of which nothing says how
            it varies; up to it, as the same. None: such a figure is judged as all others.
    """
    names = [name for name in now if name in before]
    found = {
        name: compare_figure(now[name], before[name], more_is_better=name in more_is_better, alpha=level / len(names))
        for name in names
    }
    for name, seen in found.items():
        size = abs(math.log(seen.factor)) if 0 < seen.factor < math.inf else math.inf
        repeated = min(len(now[name]), len(before[name])) > 1
        if single is not None and not repeated and size > math.log(single):
            found[name] = replace(seen, word="better" if (seen.factor > 1) == (name in more_is_better) else "worse")
        elif size <= math.log(least) if repeated else single is not None:
            found[name] = replace(seen, word="same")
    return found


def compare_figure(
    values: Sequence[float], baseline: Sequence[float], *, more_is_better: bool, alpha: float
) -> Comparison:
    """Compares one figure.

    Args:
        values: of the runs, each >= 0; one that is not finite is worse than any other.
        baseline: of the baseline.
        more_is_better: for a speed; errors and memory are better where they are small.
        alpha: probability, in (0, 1), of calling runs without a change better or worse.
    """
    if not np.isfinite(values).all() and np.isfinite(baseline).all():
        return Comparison("worse", math.inf, 1.0)
    tiny = np.finfo(np.float64).tiny  # a figure that is zero, in logarithms
    runs, base = (np.log(np.maximum(given, tiny)) for given in (values, baseline))
    apart, freedom = float(runs.mean() - base.mean()), len(runs) + len(base) - 2
    if apart == 0.0:
        seen = _resolution(runs, base, freedom, alpha)
        return Comparison("same", 1.0, math.exp(min(seen, 700.0)))
    if freedom == 0 or not math.isfinite(apart):
        return Comparison("not known", math.exp(apart), math.inf)
    seen = _resolution(runs, base, freedom, alpha)
    word: Word = "better" if (apart > 0) == more_is_better else "worse"
    if abs(apart) <= seen:
        word = "same" if seen <= math.log(BLIND) else "not known"
    return Comparison(word, math.exp(min(apart, 700.0)), math.exp(min(seen, 700.0)))


def _resolution(runs: np.ndarray, base: np.ndarray, freedom: int, alpha: float) -> float:
    """The least difference of the means of logarithms that counts."""
    if freedom == 0:
        return math.inf
    squares = sum(float(((part - part.mean()) ** 2).sum()) for part in (runs, base))
    return float(stdtrit(freedom, 1 - alpha / 2)) * math.sqrt(squares / freedom * (1 / len(runs) + 1 / len(base)))
