"""The polished flow of a finished run, measured anew as it stands in fields.h5.

Stream function and vorticity are put into the discrete equations of the case, whose sides are its own. What is left of
mass and momentum in each cell is the balance; the numbers that are stored are held against those of that flow.

Stored numbers are rounded, and walls divide by the square of a cell: at small Reynolds numbers that is all that is
left. The error of the check itself is what further rounding of this size changes.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from pinnx.errors import PinnxError, damage_named
from pinnx.evals.checks import Check, unless_coarse, verify
from pinnx.jobs.cases.box_case import box_problem
from pinnx.jobs.flows.flow_problem import FlowProblem
from pinnx.jobs.judging.metrics import polished_balance
from pinnx.physics.scales import Scales
from pinnx.physics.term import Measured
from pinnx.solvers import BoxProblem, GridFields, made_again

__all__ = ["stored_polish"]

Array = NDArray[np.float64]
# Times the rounding of float64: large enough to stand out of it.
ROUNDING = 64
GROUP, LINES, FIELDS = "polished", ("x", "y"), ("u", "v", "p", "psi", "omega")


def stored_polish(flow: FlowProblem, path: Path) -> list[Check]:
    """``polished_balance`` of mass, of momentum, and of the numbers that are stored; nothing where there are none.

    With solver.polish=true the network has the velocity of sides without one. ``path`` is that of fields.h5.

    Raises:
        PinnxError: a file that is damaged, or a grid that is none of the case.
    """
    if not path.is_file():
        return []
    with damage_named(path, "expected the fields of a run, got"), h5py.File(path, "r") as file:
        if GROUP not in file:
            return []
        stored = {name: np.asarray(file[GROUP][name][()], dtype=np.float64) for name in (*LINES, *FIELDS)}
    x, y = (stored[name] for name in LINES)
    if any(line.ndim != 1 or not (np.diff(line) > 0).all() for line in (x, y)) or any(
        stored[name].shape != (x.size, y.size) for name in FIELDS
    ):
        raise PinnxError(f"{path}: polished: expected fields on a grid of lines that rise, got others")
    otherwise = flow.model.predict if flow.config.solver.polish else None
    problem = box_problem(flow.config, flow.case, flow.nu, otherwise=otherwise)
    again = made_again(problem, x, y, stored["psi"], stored["omega"])
    measured = [*polished_balance(again), _as_stored(again, stored, flow.case.scales)]
    own = abs(_rounded(problem, stored).momentum - again.momentum) / ROUNDING
    reason = f"stored numbers are rounded, which makes an error of about {own:.2g}"
    return [unless_coarse(item, own, reason) for item in verify(measured, limits=flow.limits)]


def _rounded(problem: BoxProblem, stored: dict[str, Array]) -> GridFields:
    """The flow with grid and stream function rounded coarsely."""
    signs, step = np.random.default_rng(0), ROUNDING * np.finfo(np.float64).eps
    moved = {name: stored[name].copy() for name in (*LINES, "psi")}
    for name, values in moved.items():
        inner = values[1:-1] if name in LINES else values  # the ends are those of the box
        inner += step * (np.abs(values).max() if name in LINES else np.abs(inner)) * signs.choice([-1, 1], inner.shape)
    return made_again(problem, *moved.values(), stored["omega"])


def _as_stored(again: GridFields, stored: dict[str, Array], scales: Scales) -> Measured:
    """The largest difference of a stored number from that of the flow, in units of its field."""
    units = {"u": scales.velocity, "v": scales.velocity, "p": scales.pressure, "psi": scales.viscosity}
    units["omega"] = float(np.abs(again.columns["omega"]).max())  # beside the corners of a lid it has no other bound
    apart = np.max([np.abs(stored[name] - again.columns[name]) / units[name] for name in FIELDS], axis=0)
    at = np.unravel_index(int(apart.argmax()), apart.shape)
    value, place = float(apart[at]), (float(again.x[at[0]]), float(again.y[at[1]]))
    return Measured("polished_balance", value, "against that flow", part="stored fields", worst=value, worst_at=place)
