"""A reference by a classical solver: the flow of a configuration on a grid of points, with its own error.

The file is .npz: x [n_x], y [n_y], u, v, p [n_x, n_y], index [i, j] = (x_i, y_j), NaN in
bodies, nu, reference_error (relative, of the
extrapolated velocity), gci (of the finest grid, before), order (observed), cells [2] of the finest grid.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from pinnx.config import Config
from pinnx.config.root import require_flow
from pinnx.errors import PinnxError
from pinnx.jobs.cases.box_case import box_of
from pinnx.jobs.cases.case_bodies import case_holes, in_bodies, prescribed_bodies
from pinnx.jobs.cases.case_scales import case_scales
from pinnx.jobs.cases.output_points import output_grid
from pinnx.physics.boundary import boundary_conditions
from pinnx.physics.outlines import Body
from pinnx.runs.files import atomic_write
from pinnx.solvers import NotApplicableError, Study, default_cells, solve_box

__all__ = ["make_reference"]

# A yardstick takes more cells than what stands beside a network: three times the time for a third of the error.
FINER = 1.5


def make_reference(config: Config, out: str | Path, *, console: Console | None = None) -> Study:
    """Solves the flow of a configuration and writes it as snapshots that ``pinnx reconstruct --data`` reads.

    Args:
        config: the sections domain, problem, boundaries, solver and evals.grid are used.
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
    conditions = boundary_conditions([entry.model_dump() for entry in config.boundaries], bounds, holes=holes)
    bodies = (*holes.values(), *prescribed_bodies(config, len("xyz" if "z" in bounds else "xy")))
    scales = case_scales(config, bounds, [], conditions)
    try:
        problem = box_of(config, conditions, bounds, nu=config.problem.nu, scales=scales, bodies=bodies)
        study = solve_box(problem, config.solver.cells or round(FINER * default_cells(scales.viscosity / problem.nu)))
    except NotApplicableError as error:
        raise PinnxError(f"reference: the solver does not apply: {error}") from None
    _write(out, config, study, bounds, bodies)
    if console is not None:
        x, y = study.grids[-1].x.size - 1, study.grids[-1].y.size - 1
        console.print(
            f"{out}: velocity within {study.error:.1e} (relative), from {x} x {y} cells extrapolated; "
            f"grid-convergence index before {study.gci:.1e}; {study.seconds:.1f} s",
            soft_wrap=True,
        )
    return study


def _write(
    out: Path, config: Config, study: Study, bounds: dict[str, tuple[float, float]], bodies: Sequence[Body]
) -> None:
    output = output_grid(bounds, None, config.evals.grid)
    assert output.grid_shape is not None
    outside = np.where(in_bodies(output.points, bodies, bounds), np.nan, 1.0)
    fields = (outside * study.at(output.points).T).reshape(3, *output.grid_shape)
    points = output.points.reshape(*output.grid_shape, 2)
    finest = study.grids[-1]
    try:
        with atomic_write(out) as partial, partial.open("wb") as file:
            np.savez_compressed(
                file,
                **dict(zip("uvp", fields, strict=True)),
                x=points[:, 0, 0],
                y=points[0, :, 1],
                nu=study.nu,
                reference_error=study.error,
                gci=study.gci,
                order=np.nan if study.order is None else study.order,
                cells=np.array([finest.x.size - 1, finest.y.size - 1]),
            )
    except OSError as error:
        raise PinnxError(f"{out}: expected to write it, got: {error.strerror or error}") from None
