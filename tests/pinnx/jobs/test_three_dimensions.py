"""Flows in three dimensions end to end: pressure that is measured nowhere, slices; the preset of the channel."""

from __future__ import annotations

import re
from pathlib import Path

import h5py
import numpy as np
import pytest

from pinnx.config import load_config
from pinnx.errors import PinnxError
from pinnx.evals import Beltrami
from pinnx.jobs import reconstruct
from pinnx.jobs.cases.load_case import load_case
from pinnx.jobs.flows.flow_problem import flow_problem
from pinnx.jobs.trainer_setup import make_trainer
from pinnx.report import write_report

SETTINGS = (
    *("data.arrays={t: t, z: z, w: w, p: p, nu: nu}", "data.axes=[t, x, y, z]", "sensors.count=30", "report.dpi=40"),
    *("model={architecture: siren, activation: sine, width: 32, layers: 3, frequencies: 16}", "report.frames=1"),
    *("train.steps=250", "train.lr=1e-2", "train.collocation_points=256", "evals.points=1000"),
)


@pytest.fixture
def decaying(tmp_path: Path) -> Path:
    """Ethier and Steinman's flow on a grid of 9 x 9 x 9 in [-1, 1]^3 at 5 times, with pressure."""
    flow, path = Beltrami(nu=0.2), tmp_path / "beltrami.npz"
    t, x = np.linspace(0.0, 0.5, 5), np.linspace(-1.0, 1.0, 9)
    mesh = np.meshgrid(t, x, x, x, indexing="ij")
    velocity = dict(zip("uvw", np.moveaxis(flow.velocity(*mesh), -1, 0), strict=True))
    np.savez(path, t=t, x=x, y=x, z=x, **velocity, p=flow.pressure(*mesh), nu=flow.nu)
    return path


def settings_file(folder: Path) -> str:
    path = folder / "beltrami.yaml"
    path.write_text("{}")
    return str(path)


def test_a_beltrami_flow_from_30_sensors(decaying: Path, tmp_path: Path, no_report: None) -> None:
    def run(name: str, weights: str) -> dict[str, float]:
        settings = [("data.path", str(decaying)), *SETTINGS, f"train.weights={weights}"]
        metrics = reconstruct(load_config(settings_file(tmp_path), settings), tmp_path / name)
        assert metrics["num_sensors"] == 30
        return metrics["relative_l2"]

    found = run("run", "{momentum: 1, continuity: 1, data: 100}")
    assert found["velocity"] < 0.1
    assert found["p"] < 0.3
    without = run("without", "{momentum: 0, continuity: 0, data: 100}")
    assert without["velocity"] > 2 * found["velocity"], "the equations had no part in it"
    assert without["p"] > 0.9
    page = write_report(tmp_path / "run").read_text().replace("\N{NO-BREAK SPACE}", " ")
    slices = re.findall(r'alt="Maps of the speed in the planes ([^:]*): ([^"]*)"', page)
    assert slices == [("x = 0 and y = 0 at t = 0.25", "reference, reconstruction, error.")]


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


def test_stages_of_the_friction_reynolds_number(tmp_path: Path) -> None:
    """180, 550 and 1,000 of one pressure gradient: each stage has the friction velocity of the flow."""
    stages = "train.curriculum=[{until: 0.3, numbers: {nu: 2.7778e-4}}, {until: 0.6, numbers: {nu: 9.0909e-5}}]"
    config = load_config("channel", [stored(tmp_path), *SMALL, "train.steps=3", stages])
    case = load_case(config)
    flow = flow_problem(config, case)
    trainer, seen = make_trainer(config, flow.problem, flow.weights), []
    while trainer.step < 3:
        gradient = float(flow.equations.fixed_forcing[0]) * case.scales.force
        viscosity = float(flow.equations.fixed_nu) * case.scales.velocity * case.scales.length
        friction = gradient**0.5  # the half height is 1
        seen.append((friction, friction / viscosity))
        trainer.train_step()
    assert seen == [pytest.approx((0.05, wanted), rel=1e-3) for wanted in (180, 550, 1000)]
