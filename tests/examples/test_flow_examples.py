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
FILES = ["cylinder_piv/cylinder_piv.yaml", "cylinder_re40.yaml", "backward_step_re100.yaml"]


@pytest.mark.parametrize("name", FILES)
def test_a_flow_with_a_body_takes_fewer_than_20_lines(name: str) -> None:
    assert len([line for line in (EXAMPLES / name).read_text().splitlines() if line.split("#")[0].strip()]) < 20


@pytest.mark.parametrize(("name", "file"), [(FILES[1], "steady_cylinder_re40"), (FILES[2], "backward_step_re100")])
def test_an_example_fits_its_file(name: str, file: str, data_dir: Path) -> None:
    read = [("data.path", str(data_dir / f"{file}.npz")), "sensors.method=random"]  # sensors are chosen in no time
    config = load_config(str(EXAMPLES / name), read)
    case = load_case(config)
    assert len(case.sensors) == 12
    assert case.reference is not None
    assert case.in_flow.all(), "no node of the file is in the body"
    assert {term.name for term in flow_problem(config, case).problem.terms} >= {"equations", "data", "boundary"}


def test_the_settings_of_the_example_fit_its_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER)
    config = load_config("cylinder_piv.yaml", [])
    case = load_case(config)
    assert len(case.sensors) == 58
    (body,) = case.bodies
    assert body.distance(case.sensors.positions).min() > 0.2
    assert config.problem.nu * 40 == case.scales.length * case.scales.velocity
    terms = {term.name for term in flow_problem(config, case).problem.terms}
    assert terms == {"equations", "data", "boundary", "slopes"}
    assert sum(condition.rough for condition in case.conditions) == 3
    blank = ~case.in_flow
    assert 0.5 < blank.mean() / (np.pi / 4 / (13 * 8)) < 1.5
    report = (FOLDER / "report.html").read_text()
    assert "no_slip on the body cylinder" in report
