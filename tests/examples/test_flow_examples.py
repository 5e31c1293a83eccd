"""Examples of flows with bodies are read as they stand, are short, and know what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pinnx.config import load_config
from pinnx.jobs.cases.load_case import load_case
from pinnx.jobs.flows.flow_problem import flow_problem

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FOLDER = EXAMPLES / "cylinder_piv"
FILES = ["cylinder_piv/cylinder_piv.yaml", "cylinder_re40.yaml", "backward_step_re100.yaml", "cylinder_wake_re100.yaml"]
DATA = ["steady_cylinder_re40.npz", "backward_step_re100.npz", "cylinder_wake_re100.h5"]


@pytest.mark.parametrize("name", FILES)
def test_a_flow_with_a_body_takes_fewer_than_20_lines(name: str) -> None:
    assert len([line for line in (EXAMPLES / name).read_text().splitlines() if line.split("#")[0].strip()]) < 20


@pytest.mark.parametrize(("name", "file"), list(zip(FILES[1:], DATA, strict=True)))
def test_an_example_fits_its_file(name: str, file: str, data_dir: Path) -> None:
    read = [("data.path", str(data_dir / file)), "sensors.method=random"]  # sensors are chosen in no time
    config = load_config(str(EXAMPLES / name), read)
    case = load_case(config)
    assert len(case.sensors) == 12
    assert case.reference is not None
    assert case.in_flow.all(), "no node of the file is in the body"
    assert {term.name for term in flow_problem(config, case).problem.terms} >= {"equations", "data", "boundary"}


def test_a_third_of_the_sensors_is_near_the_body_where_they_count_there(data_dir: Path) -> None:
    """And the period of the example is that of their signals: a mean and four harmonics of it leave nothing."""
    case = load_case(load_config(str(EXAMPLES / FILES[3]), [("data.path", str(data_dir / DATA[2])), "seed=1"]))
    assert (np.hypot(*case.sensors.positions.T) < 1.2).sum() == 4
    signals = case.velocity.reshape(60, -1)
    left = {}
    for period in (5.585, 5.4):
        angles = 2 * np.pi * np.outer(case.coordinates[::12, 0], np.arange(1, 5)) / period
        waves = np.hstack([np.ones((60, 1)), np.cos(angles), np.sin(angles)])
        misfit = signals - waves @ np.linalg.lstsq(waves, signals, rcond=None)[0]
        left[period] = np.linalg.norm(misfit) / np.linalg.norm(signals - signals.mean(axis=0))
    assert left[5.585] < 1e-3 < 0.05 < left[5.4]


def test_the_settings_of_the_example_fit_its_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER)
    config = load_config("cylinder_piv.yaml", [])
    case = load_case(config)
    assert len(case.sensors) == 58
    (body,) = case.bodies
    assert body.distance(case.sensors.positions).min() > 0.2
    assert config.problem.nu * 40 == case.scales.length * case.scales.velocity
    terms = {term.name for term in flow_problem(config, case).problem.terms}
    assert terms == {"equations", "data", "boundary", "slopes", "warm_start"}
    assert sum(condition.rough for condition in case.conditions) == 3
    blank = ~case.in_flow
    assert 0.5 < blank.mean() / (np.pi / 4 / (13 * 8)) < 1.5
    report = (FOLDER / "report.html").read_text()
    assert "no_slip on the body cylinder" in report
