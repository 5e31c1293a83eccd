"""The honest yardstick beside a network: two classical solvers on the same breakage problem, and their errors.

Forward breakage is linear in f. Collocation with a matrix exponential solves it in tenths of a second, more accurately
than a network; a report that left this out would mislead.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pinnx.data.size_densities import SizeDensities
from pinnx.evals.exact_breakage import ExactBreakage
from pinnx.evals.size_table import relative_l2_of_sizes
from pinnx.physics.breakage_kinetics import Kinetics
from pinnx.physics.breakage_model import BreakageCase
from pinnx.solvers.breakage import (
    ChebyshevGrid,
    KineticsFit,
    MeasuredSizes,
    PivotGrid,
    SizeDistributions,
    SizeGrid,
    fit_kinetics,
    solve_breakage,
)

__all__ = ["Yardstick", "fitted_kinetics", "yardstick"]

Array = NDArray[np.float64]

NODES, PIVOTS = 96, 160
# Of the largest v f of the start: what is above holds nothing that float64 keeps beside the rest.
NOTHING = 1e-18


@dataclass(frozen=True)
class Yardstick:
    """What the classical solvers say."""

    # f (volumes [m], time) -> [m]: the exact solution, else that of the collocation.
    reference: Callable[[Array, float], Array]
    reference_name: str  # in words
    moments: Callable[[int, float], float]  # (order, time) -> of the reference
    solvers: Mapping[str, Mapping[float, float]]  # name -> time -> relative error of f; of the reference itself none
    seconds: Mapping[str, float]  # name -> time that it took


def yardstick(
    case: BreakageCase, kinetics: Kinetics, table: SizeDistributions, exact: ExactBreakage | None
) -> Yardstick:
    """Solves a case at the times of the network's table, and compares at its volumes, with the kinetics as found."""
    low, high = case.sizes[0], _top(case)
    grids: dict[str, SizeGrid] = {
        "Chebyshev collocation": ChebyshevGrid(low, high, num_nodes=NODES),
        "fixed pivot": PivotGrid(low, high, num_pivots=PIVOTS),
    }
    found, seconds = {}, {}
    for name, grid in grids.items():
        started = time.perf_counter()
        found[name] = solve_breakage(kinetics, grid, table.times, start=case.start, delta_at=case.delta_at)
        seconds[name] = time.perf_counter() - started
    first, *others = found
    if exact is not None:
        words, others = "the exact solution", list(found)
        moments: Callable[[int, float], float] = exact.moment

        def reference(v: Array, t: float) -> Array:
            return np.asarray(exact.formula(v, np.asarray(t)), dtype=np.float64)

    else:
        words, solved = first, found[first]

        def reference(v: Array, t: float) -> Array:
            return solved.density(v)[_row(solved, t)]

        def moments(order: int, t: float) -> float:
            return float(solved.moment(order)[_row(solved, t)])

    tables = {name: replace(table, f=found[name].density(table.grid.v), delta=found[name].delta) for name in others}
    errors = {name: relative_l2_of_sizes(each, reference, case.sizes[1]) for name, each in tables.items()}
    return Yardstick(reference, words, moments, errors, seconds)


def fitted_kinetics(case: BreakageCase, measured: SizeDensities, names: Sequence[str]) -> KineticsFit:
    """The numbers of these names from the same measurements by a classical fit, with intervals of 95 %.

    The kinetics of the case are the first guess. Errors of number densities are relative to them.

    Raises:
        PinnxError: the measurements do not determine them.
    """
    times, row = np.unique(measured.t, return_inverse=True)
    v, column = np.unique(measured.v, return_inverse=True)
    values = np.full((len(times), len(v)), np.nan)
    values[row, column] = measured.f
    grid = ChebyshevGrid(case.sizes[0], _top(case), num_nodes=NODES)
    given = {"start": case.start, "delta_at": case.delta_at, "unknown": names, "relative": True}
    return fit_kinetics(MeasuredSizes(times, v, values), case.kinetics, grid, **given)


def _top(case: BreakageCase) -> float:
    """The largest volume that holds particles at the start."""
    if case.start is None:
        return case.top
    v = np.geomspace(case.sizes[0], case.top, 2000)
    volume = v**2 * case.start(v)
    return float(v[np.flatnonzero(volume > NOTHING * volume.max())[-1]])


def _row(found: SizeDistributions, t: float) -> int:
    return int(np.argmin(np.abs(found.times - t)))
