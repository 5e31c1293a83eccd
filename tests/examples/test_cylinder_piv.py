"""The example of a measured flow with a body is read as it stands, and knows what it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pinnx.config import load_config
from pinnx.jobs.flow_problem import flow_problem
from pinnx.jobs.load_case import load_case

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "cylinder_piv"


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
    settings = [line for line in (FOLDER / "cylinder_piv.yaml").read_text().splitlines() if line.split("#")[0].strip()]
    assert len(settings) < 20
    blank = ~case.in_flow
    assert 0.5 < blank.mean() / (np.pi / 4 / (13 * 8)) < 1.5
    report = (FOLDER / "report.html").read_text()
    assert "no_slip on the body cylinder" in report
