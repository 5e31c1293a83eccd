"""A flow in three dimensions from 30 sensors, end to end: velocity, a pressure that is measured nowhere, slices."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from pinnx.config import load_config
from pinnx.evals import Beltrami
from pinnx.jobs import reconstruct
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
