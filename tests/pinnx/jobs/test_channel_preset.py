"""The preset of the channel takes a cut-out as it is fetched, with the numbers of the database."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from pinnx.config import load_config
from pinnx.errors import PinnxError
from pinnx.jobs.cases.load_case import load_case
from pinnx.jobs.flows.flow_problem import flow_problem
from pinnx.jobs.trainer_setup import make_trainer

SMALL = ("model.width=8", "model.frequencies=512", "sensors.count=6", "train.collocation_points=16", "train.steps=1")


def stored(folder: Path, part: float = 1.0) -> str:
    """A profile with a wave along x and z, in the layout of a cut-out; ``part`` of the length."""
    x, z = (part * np.arange(8) * length / 8 for length in (8 * np.pi, 3 * np.pi))
    y, t = -np.cos(np.linspace(0, np.pi, 7)), 0.0065 * np.arange(3)
    mesh_t, mesh_z, mesh_y, mesh_x = np.meshgrid(t, z, y, x, indexing="ij")
    profile = 1 - mesh_y**2
    wave = [profile + 0.1 * profile * np.sin(2 * mesh_z / 3), 0 * mesh_x, 0.1 * profile * np.cos(mesh_x / 4 - mesh_t)]
    with h5py.File(folder / "cut.h5", "w") as file:
        file.update({"velocity": np.stack(wave, axis=-1).astype("f4"), "t": t, "xcoor": x, "ycoor": y, "zcoor": z})
    return f"data.path={folder / 'cut.h5'}"


def test_the_whole_channel(tmp_path: Path) -> None:
    config = load_config("channel", [stored(tmp_path), *SMALL])
    case = load_case(config)
    assert (case.nu, case.periods["x"]) == (5e-5, pytest.approx(8 * np.pi))
    assert case.bounds["z"] == (0.0, pytest.approx(3 * np.pi))
    flow = flow_problem(config, case)
    np.testing.assert_allclose(flow.equations.fixed_forcing.numpy() * case.scales.force, [0.0025, 0.0, 0.0], rtol=1e-6)
    spread = flow.problem.model.frequencies.std(dim=1)  # in cycles per half height, that of x and z rounded to periods
    assert float(spread[2] / spread[1]) == pytest.approx(6.0, rel=0.2)
    assert float(spread[3] / spread[1]) == pytest.approx(1.0, rel=0.2)
    make_trainer(config, flow.problem, flow.weights).run()


def test_a_part_of_it_is_no_period(tmp_path: Path) -> None:
    given = [stored(tmp_path, 0.5), *SMALL]
    part = ("domain={x: null, z: null, periodic: []}",)
    case = load_case(load_config("channel", [*given, *part]))
    assert case.bounds["x"][1] == pytest.approx(3.5 * np.pi)
    assert case.periods == {}
    with pytest.raises(PinnxError, match=r"domain.x: expected an extent around the data's"):
        load_case(load_config("channel", [*given, "domain.x=[0, 3]"]))
