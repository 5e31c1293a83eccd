"""The sensors that the fields miss by far more than the others: two that are exchanged, or one with a wrong sign.

    misfit_s = sqrt(mean over the times of sensor s of |predicted - measured|^2),    outlying: above FAR median(misfit)

Only many sensors show it: a network follows each of a few, right or wrong.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from pinnx.jobs.cases.case import Case
from pinnx.models.field_model import FieldModel

__all__ = ["outlying_sensors"]

# Measured with examples/cylinder_piv, 58 sensors: 2.1 as it is; with two exchanged 20.6 and 16.1 there, 7.4 at a
# neighbour; with one of the wrong sign 13.0 there, 3.7 at the next. Runs from 12 sensors, right ones: 1.1 to 5.2. Of
# 40 sensors and after 600 to 1,000 steps no right one is named: cylinder, step, vortex street, two cavities, demo.
FAR = 10.0
# Of 12 sensors two that are exchanged are fitted like all others (demo, cavity: 2.1 at most), while a viscosity of a
# third leaves one of 12 to 15 at a backward step, which is right.
FEWEST = 30


def outlying_sensors(case: Case, model: FieldModel) -> list[str]:
    """A sentence that names the sensors that stand out, by rank and place, the worst first; empty where none does.

    Args:
        case: of whose velocities the misfit is; those of which nothing was measured do not count.
        model: at the end of the training.
    """
    known = np.isfinite(case.velocity).any(axis=1)
    at, measured = case.coordinates[known], case.velocity[known]
    places, place_of = np.unique(at[:, -case.dim :], axis=0, return_inverse=True)
    if len(places) < FEWEST:
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
