"""fields.h5 of a breakage run.

v [m], t [T]; f [T, m] and reference/f, delta [T], reference/moments [T, 4]; passing [T, m], the share of the volume up
to v; curve/t [r] with curve/moments [r, 4] of the network; residual/breakage [r, s] at these times and volumes
residual/v; measured/t, v, f [k] where sizes were measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pinnx.evals.size_table import ORDERS, size_table
from pinnx.jobs.breakage.breakage_problem import BreakageProblem
from pinnx.jobs.breakage.breakage_results import BreakageResult
from pinnx.jobs.outputs import hdf5_in_memory
from pinnx.physics.breakage_pointwise import pointwise_balance

__all__ = ["stored_sizes", "write_sizes"]

Array = NDArray[np.float64]

# Of the map of the residual.
MAP_TIMES, MAP_VOLUMES = 40, 40


def stored_sizes(run: BreakageProblem, result: BreakageResult) -> dict[str, Array]:
    """What fields.h5 holds, by the names at the head of this module."""
    table, beside = result.table, result.yardstick
    v_all, times = table.grid.v, table.times.tolist()
    t, v, residual = _residual_map(run)
    along = size_table(run.model, t)
    stored = {
        "v": v_all,
        "t": table.times,
        "f": table.f,
        "delta": table.delta,
        "passing": table.below(v_all),
        "reference/f": np.array([beside.reference(v_all, time) for time in times]),
        "reference/moments": np.array([[beside.moments(order, time) for order in ORDERS] for time in times]),
        "curve/t": t,
        "curve/moments": np.column_stack([along.moment(order) for order in ORDERS]),
        "residual/v": v,
        "residual/breakage": residual,
    }
    measured = {} if run.measured is None else run.measured._asdict()
    return stored | {f"measured/{name}": column for name, column in measured.items()}


def write_sizes(path: Path, stored: Mapping[str, Array], reference_name: str) -> None:
    """Writes fields.h5, whole or not at all."""
    with hdf5_in_memory(path) as file:
        file.attrs.update(names="f", kind="breakage", reference=reference_name)
        for name, array in stored.items():
            file[name] = array


def _residual_map(run: BreakageProblem) -> tuple[Array, Array, Array]:
    """Times [r], volumes [s], and the relative residual there, [r, s], by a quadrature that no training uses."""
    case = run.case
    tau = np.linspace(0.0, np.log1p(case.end / case.time), MAP_TIMES + 1)[1:]
    largest = case.sizes[1] if case.delta_at is None else case.delta_at * (1 - 1e-6)
    t, v = np.expm1(tau) * case.time, np.geomspace(case.sizes[0], largest, MAP_VOLUMES)
    with torch.no_grad():
        found = pointwise_balance(run.model, np.repeat(t, len(v)), np.tile(v, len(t))).residual
    return t, v, found.double().cpu().numpy().reshape(len(t), len(v))
