"""What stands beside the norms of a run: the worst place of an error, waves that are there, sensors that stand out.

Outlying are sensors that the fields miss by far more than the others, two that are exchanged, or one with a wrong sign:

    misfit_s = sqrt(mean over the times of sensor s of |predicted - measured|^2),    outlying: above FAR median(misfit)

Only many sensors show it: a network follows each of a few, right or wrong.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pinnx.data.snapshots import Snapshots
from pinnx.errors import PinnxError
from pinnx.evals.fields_apart import apart, energy_spectrum, resolved_wavenumber
from pinnx.jobs.cases.case import Case
from pinnx.models.field_model import FieldModel

__all__ = ["beside_norms", "outlying_sensors"]

Array = NDArray[np.float64]
FEWEST = 8  # lines of a grid along each axis that make a spectrum
# Measured with examples/cylinder_piv, 58 sensors: 2.1 as it is; with two exchanged 20.6 and 16.1 there, 7.4 at a
# neighbour; with one of the wrong sign 13.0 there, 3.7 at the next. Runs from 12 sensors, right ones: 1.1 to 5.2. Of
# 40 sensors and after 600 to 1,000 steps no right one is named: cylinder, step, vortex street, two cavities, demo.
FAR = 10.0
# Of 12 sensors two that are exchanged are fitted like all others (demo, cavity: 2.1 at most), while a viscosity of a
# third leaves one of 12 to 15 at a backward step, which is right.
FEWEST_SENSORS = 30


def beside_norms(case: Case, fields: Array) -> dict[str, Any] | None:
    """Of the velocity at the output points, against the reference; None where there is none.

    Returns:
        ``rmse`` and ``largest`` (length of the difference, in the data's units), ``worst_at`` (x, y[, z][, t]); of an
        even grid without holes ``resolved_wavenumber`` and the ``highest_wavenumber`` of the grid, radians per length,
        at the frame of the worst place. The fields are [T n, c], frame by frame.
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


def outlying_sensors(case: Case, model: FieldModel) -> list[str]:
    """A sentence that names the sensors whose velocities stand out, by rank and place, the worst first, or nothing."""
    known = np.isfinite(case.velocity).any(axis=1)
    at, measured = case.coordinates[known], case.velocity[known]
    places, place_of = np.unique(at[:, -case.dim :], axis=0, return_inverse=True)
    if len(places) < FEWEST_SENSORS:
        return []
    squares = np.nansum((model.predict(at)[:, : case.dim] - measured) ** 2, axis=1)
    place_of = place_of.reshape(-1)
    misfit = np.sqrt(np.bincount(place_of, squares) / np.bincount(place_of))
    typical = float(np.median(misfit))
    ranks = cKDTree(case.sensors.positions).query(places)[1] + 1
    named = [
        f"{ranks[i]} at ({', '.join(f'{x:.4g}' for x in places[i])}) by {misfit[i] / typical:.3g} times the median"
        for i in np.argsort(-misfit)
        if misfit[i] > FAR * typical > 0
    ]
    if not named:
        return []
    return [
        f"the fields miss sensor {', '.join(named)} of all: look at place, sign and unit of what was measured there"
    ]
