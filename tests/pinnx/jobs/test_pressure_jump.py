"""A pressure that jumps over a period: in the model, in the fused loss, in the checks of runs and of files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from flow_files import TINY
from tolerances import KERNEL_FLOAT64

from pinnx.config import Config, load_config
from pinnx.errors import PinnxError
from pinnx.evals import periodic_error
from pinnx.evals.boundaries import BoundaryChecker
from pinnx.jobs.cases.load_case import load_case
from pinnx.jobs.flows.flow_problem import flow_problem
from pinnx.jobs.judging.metrics import checks_at_points

JUMP = "domain.jump.x=-0.6"


def channel(folder: Path, *overrides: str) -> Config:
    """Five measurements of the channel flow 3 y (2 - y) with nu = 0.05, period 2: the pressure falls by 0.6."""
    y = np.linspace(0.2, 1.8, 5)
    np.savetxt(
        folder / "piv.csv",
        np.column_stack([y, y, 3 * y * (2 - y), 0 * y]),
        delimiter=",",
        header="x,y,u,v",
        comments="",
    )
    domain = (f"data.measurements={folder / 'piv.csv'}", "domain.x=[0, 2]", "domain.y=[0, 2]", "domain.periodic=[x]")
    return load_config(None, [*domain, "flow.nu=0.05", "train.dtype=float64", *TINY, *overrides])


@pytest.mark.parametrize("forcing", [(), ("flow.forcing=[0.2, 0.1]",)])
def test_the_fused_loss_takes_the_ramp_as_its_gradient(forcing: tuple[str, ...], tmp_path: Path) -> None:
    config = channel(tmp_path, JUMP, *forcing)
    case = load_case(config)
    problem = flow_problem(config, case).problem
    term, model = problem.terms[0], problem.model
    assert model.fused
    x = torch.from_numpy(model.inputs(term.draw(0)["x"]))
    weights = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    fused, composed = (
        model.equations_loss(term.equations, x, weights),
        term.equations.jet_loss(model.jet(x, term.equations.spec), weights),
    )
    torch.testing.assert_close(fused.columns, composed.columns, rtol=KERNEL_FLOAT64, atol=0.0)
    gradients = [torch.autograd.grad(loss.total, list(model.parameters())) for loss in (fused, composed)]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)
    plain = channel(tmp_path, *forcing)
    still = flow_problem(plain, load_case(plain)).problem
    assert not torch.allclose(still.model.equations_loss(term.equations, x, weights).columns, fused.columns)


def test_the_pressure_rises_by_the_jump_and_the_check_knows_it(tmp_path: Path) -> None:
    config = channel(tmp_path, JUMP)
    case = load_case(config)
    flow = flow_problem(config, case)
    problem = flow.problem
    ends = problem.model.predict(np.array([[0.0, 0.7], [2.0, 0.7]]))
    assert ends[1] - ends[0] == pytest.approx([0.0, 0.0, -0.6], abs=1e-12)
    (check,) = (item for item in checks_at_points(flow, 20) if item.name == "periodic_error_max")
    assert check.value < KERNEL_FLOAT64
    without = periodic_error(problem.model, case.bounds, ("x",), 9, seed=0).value
    assert without == pytest.approx(0.6 / case.scales.pressure)


def test_a_file_of_a_driven_channel_is_periodic_up_to_the_jump() -> None:
    axes = [np.linspace(0, 2, 9), np.linspace(0, 2, 9)]
    x, y = np.meshgrid(*axes, indexing="ij")
    fields = {"u": 3 * y * (2 - y), "p": -0.3 * x}
    checker = BoundaryChecker(axes=axes, speed=3.0)
    assert [check.passed for check in checker.verify_periodic(fields, "x", jumps={"p": -0.6})] == [True, True]
    assert [check.passed for check in checker.verify_periodic(fields, "x")] == [True, False]


def test_a_jump_needs_a_period(tmp_path: Path) -> None:
    with pytest.raises(PinnxError, match=r"domain\.jump\.y: expected y among domain\.periodic"):
        channel(tmp_path, "domain.jump.y=1.0")
