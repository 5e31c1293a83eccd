"""The kinetics of a mill, a disperser or a flocculator from sieve data in a CSV.

    time [min], diameter [um], passing [%]
    0, 125, 3.1
    0, 250, 11.8
    ...

``passing`` is the share of the volume (or mass) in particles smaller than the sieve. Sieves are the same at all times,
and a value may be missing. The distribution at t = 0 is measured no better than the others: its curve between the
sieves is a cubic spline in ln v whose values are unknowns of the fit, beside the kinetics. Nothing depends on what
passes the smallest sieve.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from pinnx.data.column_units import split_unit
from pinnx.data.csv_table import column_key, read_csv_table
from pinnx.errors import PinnxError
from pinnx.physics.breakage_kinetics import Kinetics
from pinnx.solvers.breakage.chebyshev import ChebyshevGrid
from pinnx.solvers.breakage.distributions import volume
from pinnx.solvers.breakage.kinetics_fit import KineticsFit, fit_kinetics
from pinnx.solvers.breakage.observed_sizes import MeasuredSizes

__all__ = ["fit_sieves", "read_sieves"]

Array = NDArray[np.float64]

# Nodes between two sieves, at the beginning: the spline is a cubic there.
NUM_NODES = 8


def read_sieves(path: str | os.PathLike[str]) -> MeasuredSizes:
    """Sieve data from a CSV with the columns time, passing, and diameter or volume.

    Volumes are those of spheres, in the unit of the diameter cubed; nothing is converted but percent.

    Raises:
        PinnxError: a column that is missing, two values of one sieve at one time, or shares outside 0 to 1.
    """
    table = read_csv_table(path, ("time", "passing"))
    keys = [column_key(name) for name in table.header]
    size = "volume" if "volume" in keys else "diameter"
    missing = [name for name in ("time", size, "passing") if name not in keys]
    if missing:
        raise PinnxError(
            f"{table.path.name}: expected the columns time, diameter (or volume) and passing, got "
            f"{', '.join(table.header) or 'none'}"
        )
    columns = [keys.index(name) for name in ("time", size, "passing")]
    numbers = table.numbers(columns, optional=columns[2:])
    times, at = np.unique(numbers[:, 0], return_inverse=True)
    sizes, sieve = np.unique(numbers[:, 1], return_inverse=True)
    if not (sizes > 0).all():
        raise PinnxError(f"{table.path.name}: expected a {size} > 0, got {sizes.min():g}")
    values = np.full((len(times), len(sizes)), np.nan)
    for (line, _), row, column, value in zip(table.rows, at, sieve, numbers[:, 2], strict=True):
        if np.isfinite(values[row, column]):
            raise PinnxError(f"{table.path.name}, line {line}: expected one value of each sieve at a time, got two")
        values[row, column] = value
    percent = split_unit(table.header[columns[2]])[1] in ("%", "percent")
    values = values / 100 if percent else values
    if not ((values >= 0) & (values <= 1) | np.isnan(values)).all():
        unit = "0 to 100 %" if percent else "0 to 1; percent are named in the header: passing [%]"
        raise PinnxError(f"{table.path.name}: expected passing from {unit}, got {np.nanmax(np.abs(values)):g}")
    return MeasuredSizes(times, sizes if size == "volume" else volume(sizes), values, "passing")


def fit_sieves(
    measured: MeasuredSizes, guess: Kinetics | None = None, *, unknown: Sequence[str] = ("s0", "a")
) -> KineticsFit:
    """Finds numbers of the kinetics from sieve data, with intervals; all shares count alike.

    Args:
        measured: of kind "passing", from t = 0 on; all particles pass the largest sieve then.
        guess: rate and daughters; None: S grows with v, such that the largest break once, daughters are uniform.
        unknown: names out of s0, a, and c, q of the daughters.

    Raises:
        PinnxError: no time 0, a start that is not known up to its largest particle; as ``fit_kinetics``.
    """
    times, v, values = measured.times, measured.v, measured.values
    if len(times) < 2 or times[0] != 0:
        raise PinnxError(f"sieves: expected times from 0 on, two or more, got {times.tolist()}")
    if len(v) < 4 or not np.isfinite(values[0]).all() or values[0, -1] < 1:
        raise PinnxError(
            "sieves: expected a share for each of 4 sieves or more at time 0, and 100 % for the largest, got "
            f"{values[0].tolist()}"
        )
    guess = guess or Kinetics(1.0 / (times[-1] * v[-1]), 1.0)
    curves = CubicSpline(
        np.log(v), np.eye(len(v), len(v) - 1), bc_type=((2, np.zeros(len(v) - 1)), (1, np.zeros(len(v) - 1)))
    )

    def start(at: Array) -> Array:
        """What stays above each sieve but the largest -> number density, [n, sieves - 1]."""
        return np.asarray(-curves(np.log(at), 1) / at[:, None] ** 2)

    grid = ChebyshevGrid(v[0], v[-1], num_nodes=NUM_NODES, edges=[*v[1:-1], guess.threshold])
    # The largest sieve has no error: everything passes it.
    inside = MeasuredSizes(times, v[:-1], values[:, :-1], "passing")
    return fit_kinetics(inside, guess, grid, start=start, start_guess=1 - values[0, :-1], unknown=unknown)
