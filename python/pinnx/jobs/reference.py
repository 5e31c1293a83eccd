"""A reference by a classical solver: the flow of a configuration on a grid of points, with its own error.

The file is .npz: x [n_x], y [n_y], u, v, p [n_x, n_y], index [i, j] = (x_i, y_j), NaN in
bodies, nu, reference_error (relative, of the
extrapolated velocity), gci (of the finest grid, before), order (observed), cells [2] of the finest grid.
"""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from pinnx.config import Config
from pinnx.config.root import require_flow
from pinnx.errors import PinnxError
from pinnx.evals.accuracy import relative_l2
from pinnx.jobs.cases.box_case import box_of
from pinnx.jobs.cases.case_bodies import case_holes, in_bodies, prescribed_bodies
from pinnx.jobs.cases.case_scales import case_scales
from pinnx.jobs.cases.output_points import OutputPoints, output_grid
from pinnx.physics.boundary import boundary_conditions
from pinnx.physics.boundary_slopes import slope_statements
from pinnx.runs.files import atomic_write
from pinnx.solvers import NotApplicableError, Study, default_cells, solve_box

__all__ = ["make_reference"]

# A yardstick takes more cells than what stands beside a network: three times the time for a third of the error.
FINER = 1.5


def make_reference(config: Config, out: str | Path, *, console: Console | None = None) -> Study:
    """Solves the flow of a configuration and writes it as snapshots that ``pinnx reconstruct --data`` reads.

    Args:
        config: the sections domain, problem, boundaries, solver and evals.grid are used. Of bodies in a stream that is
            known far away the sides are 16 sizes away, and 32 behind; what half of that changes is in the error.
        out: a new .npz file.
        console: where a line on the result is shown; None: nowhere.

    Raises:
        PinnxError: a file that exists or has another ending, or a flow that the solver does not solve.
    """
    out = Path(out)
    if out.suffix != ".npz":
        raise PinnxError(f"--out: expected a file that ends in .npz, got {out}")
    if os.path.exists(out):
        raise PinnxError(f"--out: expected a file that does not exist yet, got {out}")
    require_flow(config, "reference")
    if config.problem.nu is None:
        raise PinnxError("flow.nu: expected the kinematic viscosity, > 0, got none")
    if config.solver.unknown:
        raise PinnxError(f"solver.unknown: expected none for a reference, got {', '.join(config.solver.unknown)}")
    domain = config.domain.model_dump()
    bounds = {axis: domain[axis] for axis in "txyz" if domain[axis] is not None}
    for axis in "xy":
        if axis not in bounds:
            raise PinnxError(f"domain.{axis}: expected [lo, hi], the extent of the flow in {axis}, got none")
    holes = case_holes(config, bounds, np.empty((0, 2)))
    entries = [entry.model_dump() for entry in config.boundaries]
    conditions = boundary_conditions(entries, bounds, holes=holes)
    bodies = (*holes.values(), *prescribed_bodies(config, len("xyz" if "z" in bounds else "xy")))
    scales = case_scales(config, bounds, [], conditions)
    slopes = slope_statements(entries, bounds, holes=holes)
    given: dict[str, Any] = {"nu": config.problem.nu, "scales": scales, "slopes": slopes, "bodies": bodies}
    cells = config.solver.cells or round(FINER * default_cells(scales.viscosity / config.problem.nu))
    output = output_grid(bounds, None, config.evals.grid)
    try:
        problem = box_of(config, conditions, bounds, **given)
        study = solve_box(problem, cells)
        if problem.far:
            near, study = study, solve_box(box_of(config, conditions, bounds, farther=2.0, **given), cells)
            flow = output.points[~in_bodies(output.points, bodies, bounds)]
            # What the sides disturb falls as their distance: what is left is what doubling it changed.
            moved = relative_l2(near.at(flow)[:, :2], study.at(flow)[:, :2], name="velocity")
            study = replace(study, error=math.hypot(study.error, moved))
    except NotApplicableError as error:
        raise PinnxError(f"reference: the solver does not apply: {error}") from None
    _write(out, study, output, in_bodies(output.points, bodies, bounds))
    if console is not None:
        how = "extrapolated" if study.smooth else "of which bodies are made"
        x, y = study.grids[-1].x.size - 1, study.grids[-1].y.size - 1
        console.print(
            f"{out}: velocity within {study.error:.1e} (relative), from {x} x {y} cells {how}; "
            f"grid-convergence index before {study.gci:.1e}; {study.seconds:.1f} s",
            soft_wrap=True,
        )
    return study


def _write(out: Path, study: Study, output: OutputPoints, solid: NDArray[np.bool_]) -> None:
    assert output.grid_shape is not None
    fields = (np.where(solid, np.nan, 1.0) * study.at(output.points).T).reshape(3, *output.grid_shape)
    points = output.points.reshape(*output.grid_shape, 2)
    finest = study.grids[-1]
    try:
        with atomic_write(out) as partial, partial.open("wb") as file:
            np.savez_compressed(
                file,
                **dict(zip("uvp", fields, strict=True)),
                **dict(zip("xy", np.moveaxis(points, -1, 0), strict=True)),  # of each point: no order is left to guess
                nu=study.nu,
                reference_error=study.error,
                gci=study.gci,
                order=np.nan if study.order is None else study.order,
                cells=np.array([finest.x.size - 1, finest.y.size - 1]),
            )
    except OSError as error:
        raise PinnxError(f"{out}: expected to write it, got: {error.strerror or error}") from None
