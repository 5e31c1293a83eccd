"""Runs with the Stokes flow at corners: said, acting, right in the viscosity, the same for any number of threads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from same_runs import Tiny, parameter_bytes, trained

from pinnx.config import Config
from pinnx.jobs.cases.load_case import load_case
from pinnx.jobs.flows.flow_problem import flow_problem
from pinnx.jobs.judging.metrics import errors_against
from pinnx.jobs.outputs import evaluate_output, write_fields
from pinnx.jobs.trainer_setup import make_trainer
from pinnx.models import AddedField
from pinnx.train import Trainer

WALLS: tuple[str, Any] = (
    "boundaries",
    [{"where": {"side": side}, "u": float(side == "top"), "v": 0.0} for side in ("left", "right", "bottom", "top")],
)


def test_a_note_says_where_it_is_added_and_where_it_cannot_be(tiny: Tiny) -> None:
    assert stokes_note(tiny("steady_grid", WALLS)).startswith(
        "At 2\N{NO-BREAK SPACE}corners two sides prescribe different velocities: the Stokes flow there is added"
    )
    moving = [*WALLS[1][:3], {"where": {"side": "top"}, "u": "t + 1", "v": 0.0}]
    assert stokes_note(tiny("unsteady_grid", ("boundaries", moving))).startswith(
        "At 2\N{NO-BREAK SPACE}corners two sides disagree, and no Stokes flow is added"
    )
    off = load_case(tiny("steady_grid", WALLS, "model.corner_flow=false"))
    assert not [note for note in off.notes if "Stokes" in note]
    unused = "train.corner_radius has no effect: there is no corner at which two sides disagree."
    assert unused in load_case(tiny("unsteady_grid", "train.corner_radius=0.1")).notes
    assert unused not in load_case(tiny("steady_grid", WALLS, "train.corner_radius=0.1")).notes


def stokes_note(config: Config) -> str:
    (note,) = [note for note in load_case(config).notes if "Stokes" in note]
    return note


def on_threads(config: Config, threads: int) -> Trainer:
    torch.set_num_threads(threads)
    try:
        return trained(config)
    finally:
        torch.set_num_threads(1)


def test_it_acts_and_threads_do_not(tiny: Tiny) -> None:
    config = tiny("steady_grid", WALLS, "flow.learn_nu=true", "train.collocation_points=2048")
    with_it = trained(config)
    assert isinstance(with_it.problem.model, AddedField)
    assert parameter_bytes(on_threads(config, 3)) == parameter_bytes(with_it)
    without = trained(tiny("steady_grid", WALLS, "flow.learn_nu=true", "model.corner_flow=false"))
    assert parameter_bytes(without) != parameter_bytes(with_it)


def test_the_gradient_of_the_viscosity_is_that_of_the_whole_loss(tiny: Tiny) -> None:
    """The added pressure follows the viscosity: its Stokes terms cancel in the loss and in the gradient alike."""
    config = tiny("steady_grid", WALLS, "flow.learn_nu=true", "train.dtype=float64")
    flow = flow_problem(config, load_case(config))
    trainer = make_trainer(config, flow.problem, flow.weights)
    log_nu, step = flow.equations.log_nu, 1e-6
    trainer.loss().backward()
    found, at = float(log_nu.grad), log_nu.detach().clone()
    losses = []
    for sign in (1, -1):
        log_nu.data.copy_(at + sign * step)
        losses.append(float(trainer.loss().detach()))
    assert found == pytest.approx((losses[0] - losses[1]) / (2 * step), rel=1e-6)


def test_a_corner_with_an_infinite_pressure_has_no_values_and_is_in_no_error(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny("steady_grid", WALLS)
    case, without = load_case(config), load_case(tiny("steady_grid", WALLS, "model.corner_flow=false"))
    assert stokes_note(config).endswith(
        "2\N{NO-BREAK SPACE}output points there have no values, and no error counts them."
    )
    corners = np.isin(case.output.points[:, 0], case.bounds["x"]) & (case.output.points[:, 1] == case.bounds["y"][1])
    assert corners.sum() == 2
    np.testing.assert_array_equal(case.in_flow, without.in_flow & ~corners)
    flow = flow_problem(config, case)
    found = evaluate_output(case.output, flow.problem)
    assert np.abs(found.fields[corners, 2]).min() > 1e3 * np.abs(found.fields[~corners, 2]).max()
    inside, whole = errors_against(case, found.fields), errors_against(without, found.fields)
    assert inside is not None
    assert whole is not None
    assert inside["p"] < 1e-3 * whole["p"]
    write_fields(tmp_path / "fields.h5", flow, found)
    with h5py.File(tmp_path / "fields.h5") as file:
        for name in ("u", "p", "residual/momentum_x", "reference/u"):
            np.testing.assert_array_equal(np.isnan(file[name][:]).ravel(), corners)
