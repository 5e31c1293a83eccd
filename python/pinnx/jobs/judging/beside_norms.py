"""What stands beside the norms of a run: the worst place of an error, the waves that are there."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinnx.data.snapshots import Snapshots
from pinnx.errors import PinnxError
from pinnx.evals.fields_apart import apart, energy_spectrum, resolved_wavenumber
from pinnx.jobs.cases.case import Case

__all__ = ["beside_norms"]

Array = NDArray[np.float64]
FEWEST = 8  # lines of a grid along each axis that make a spectrum


def beside_norms(case: Case, fields: Array) -> dict[str, Any] | None:
    """Of the velocity at the output points, against the reference; None where there is none.

    Returns:
        ``rmse`` and ``largest`` (length of the difference, in the data's units), ``worst_at`` (x, y[, z][, t]); of an
        even grid without holes ``resolved_wavenumber`` and the ``highest_wavenumber`` of the grid, radians per length,
        at the frame of the worst place.

    Args:
        case: with the reference.
        fields: [T n, c], frame by frame.
    """
    reference = case.reference
    if reference is None:
        return None
    velocity = fields[:, : case.dim].reshape(reference.velocity.shape)
    wanted, places = reference.velocity[:, case.in_flow], reference.points[case.in_flow]
    # All frames are one set of points: one at rest has no relative error of its own.
    every = np.tile(places, (reference.num_times, 1))
    whole = apart(velocity[:, case.in_flow].reshape(-1, case.dim), wanted.reshape(-1, case.dim), every)
    error = np.linalg.norm(velocity[:, case.in_flow] - wanted, axis=2)
    frame = int(error.max(axis=1).argmax())
    place = whole.worst_at if reference.times is None else (*whole.worst_at, float(reference.times[frame]))
    found = {"rmse": whole.rmse, "largest": whole.largest, "worst_at": list(place)}
    return found | _spectrum(case, reference, velocity[frame], frame)


def _spectrum(case: Case, reference: Snapshots, velocity: Array, frame: int) -> dict[str, Any]:
    shape = reference.grid_shape
    if shape is None or min(shape) < FEWEST or reference.holes is not None:
        return {}
    velocity = np.where(case.in_flow[:, None], velocity, reference.velocity[frame])  # at singular corners
    axes, periods, cut = reference.grid_lines, [], []
    for name, axis in zip(reference.axis_names, axes, strict=True):
        period = case.periods.get(name)
        repeated = period is not None and np.ptp(axis) > period - 0.5 * np.diff(axis).mean()
        periods.append(period)
        cut.append(slice(0, axis.size - 1) if repeated else slice(None))
    lines = [axis[part] for axis, part in zip(axes, cut, strict=True)]
    spectra = []
    for field in (velocity, reference.velocity[frame]):
        parts = [column.reshape(shape)[tuple(cut)] for column in field.T]
        try:
            k, energy = energy_spectrum(parts, lines, periods=periods)
        except PinnxError:  # a grid that is not even has no spectrum
            return {}
        spectra.append(energy)
    return {"resolved_wavenumber": resolved_wavenumber(*spectra, k), "highest_wavenumber": float(k[-1])}
