"""Noise that is stated: from which source, in which units, what is refused, what is said of the misfit beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from same_runs import Tiny

from pinnx.config import Config
from pinnx.errors import PinnxError
from pinnx.jobs import reconstruct
from pinnx.jobs.cases.load_case import load_case, stored_case
from pinnx.jobs.flows.flow_problem import flow_problem
from pinnx.jobs.judging.noise import at_the_noise, noise_lines
from pinnx.physics import MeasuredValues
from pinnx.runs.folder import RunFolder
from pinnx.runs.history import history_columns
from pinnx.train.noise_estimate import NoiseEstimate


def note_of(config: Config) -> str:
    return next((note for note in load_case(config).notes if note.startswith("Noise")), "")


def test_noise_that_is_added_is_known_unless_it_is_denied(tiny: Tiny) -> None:
    case = load_case(tiny("unsteady_grid", "sensors.noise=0.1"))
    size = float(np.sqrt(np.mean(case.velocity**2)))
    for name in "uv":
        np.testing.assert_allclose(case.deviations[name], 0.1 * size, rtol=1e-12)
    assert "by sensors.noise, which adds it" in note_of(tiny("unsteady_grid", "sensors.noise=0.1"))
    assert load_case(tiny("unsteady_grid", "sensors.noise=0.1", "data.noise=0.0")).deviations == {}
    assert load_case(tiny("unsteady_grid")).deviations == {}
    twice = load_case(tiny("unsteady_grid", "sensors.noise=0.1", "data.noise=0.2"))
    assert twice.deviations["u"][0] == pytest.approx(2 * case.deviations["u"][0])


def with_deviations(config: Config, cells: str) -> None:
    """Columns u_std and v_std behind the rows of the file."""
    path = Path(config.data.measurements.path)
    head, *rows = path.read_text().splitlines()
    path.write_text("\n".join([f"{head},u_std,v_std", *(f"{row},{cells}" for row in rows)]))


def test_columns_come_first_then_numbers_then_the_share(tiny: Tiny) -> None:
    config = tiny("unsteady_csv", "data.noise={share: 0.5, v: 0.02}")
    case = load_case(config)
    assert set(case.deviations["v"]) == {0.02}
    assert case.deviations["u"][0] == pytest.approx(0.5 * np.sqrt(np.mean(case.velocity**2)))
    with_deviations(config, "0.01,0.03")
    case = load_case(config)
    assert (set(case.deviations["u"]), set(case.deviations["v"])) == ({0.01}, {0.03})
    assert note_of(config) == (
        "Noise of the measurements, by columns of standard deviations: 0.01 for u, 0.03 for v. They are not fitted "
        "closer than that."
    )
    assert load_case(tiny("unsteady_csv")).rows(np.arange(15) < 4).deviations == {}
    assert len(case.rows(np.arange(15) < 4).deviations["u"]) == 4
    term = flow_problem(config, case).problem.terms[1]
    assert isinstance(term, MeasuredValues)
    np.testing.assert_allclose(term.draw(0)["mask"][0], np.sqrt(2 / (1 + 1 / 9)) * np.array([1.0, 1 / 3]), rtol=1e-12)


def test_deviations_stay_with_the_run_where_its_data_are_gone(tiny: Tiny, tmp_path: Path, no_report: None) -> None:
    config = tiny("unsteady_csv")
    with_deviations(config, "0.01,0.03")
    reconstruct(config, tmp_path / "run")
    whole = load_case(config)
    Path(config.data.measurements.path).unlink()
    stored = stored_case(config, RunFolder(tmp_path / "run"))
    for name in "uv":
        np.testing.assert_array_equal(stored.deviations[name], whole.deviations[name])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.noise.w=0.1", "data.noise.w: expected a quantity that is measured, u, v"),
        ("data.noise.u=0.1", "data.noise: expected that of u, v, got none of v; data.noise.share sets the others"),
    ],
)
def test_noise_of_a_part_is_refused(tiny: Tiny, override: str, message: str) -> None:
    with pytest.raises(PinnxError) as caught:
        load_case(tiny("unsteady_csv", override))
    assert str(caught.value).startswith(message)


def test_a_deviation_of_zero_is_refused(tiny: Tiny) -> None:
    config = tiny("unsteady_csv")
    with_deviations(config, "0.01,0")
    with pytest.raises(PinnxError, match=r"v_std: expected a standard deviation > 0 in each row with v, got 0; data"):
        load_case(config)


@pytest.mark.parametrize(
    ("numbers", "misfit", "said"),
    [
        (24, 0.04, "the noise is fitted too"),
        (24, 0.7, ""),
        (24, 1.4, ""),
        (24, 3.0, "contradict"),
        (5000, 0.5, "the noise is fitted too"),
        (5000, 1.0, ""),
        (5000, 1.7, "contradict"),
    ],
)
def test_a_misfit_far_from_the_noise_is_a_yellow_line(numbers: int, misfit: float, said: str) -> None:
    facts = {"numbers": numbers, "misfit": misfit, "found": "stated", "share": 0.1, "used": True, "contradicting": None}
    lines = noise_lines(facts)
    assert (said in lines[0]) if said else lines == []
    assert at_the_noise(facts) == (not said)
    assert noise_lines(None) == []
    assert not at_the_noise(None)


@pytest.mark.parametrize(
    ("share", "misfit", "said"),
    [
        (0.001, 0.04, ""),
        (0.05, 0.04, "data.noise=estimated"),
        (0.05, 0.04, "flow that is not resolved, or sensors that are wrong or exchanged"),
        (0.05, 1.0, ""),
        (0.3, 1.0, "units and sensors"),
    ],
)
def test_noise_that_was_not_stated_is_a_yellow_line(share: float, misfit: float, said: str) -> None:
    lines = noise_lines(estimated(share, misfit))
    assert (said in lines[0]) if said else lines == []
    assert at_the_noise(estimated(share, misfit)) == (not said and share > 0.001)


@pytest.mark.parametrize(("share", "misfit"), [(0.05, 0.04), (0.05, 1.0), (0.3, 1.0)])
def test_a_sensor_that_explains_it_is_named_instead(share: float, misfit: float) -> None:
    odd = {"place": [500000.25, 0.5], "left_out": 0.41, "without_it": 0.044}
    (line,) = noise_lines(estimated(share, misfit) | {"contradicting": odd})
    assert line.startswith("the sensor at (500000.25, 0.5) contradicts the others and the equations: ")
    assert "by 4.4 % of the measurements in place of 41 %" in line.replace("\u00a0", " ")
    assert "data.noise" not in line
    assert noise_lines(estimated(0.001, misfit) | {"contradicting": odd}) == []


def estimated(share: float, misfit: float) -> dict[str, Any]:
    facts = {"numbers": 24, "misfit": misfit, "found": "left-out sensors", "share": share, "used": False}
    return facts | {"contradicting": None}


def test_that_of_measurements_is_estimated_in_the_end_and_not_used(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_report: None
) -> None:
    monkeypatch.setattr("pinnx.jobs.judging.noise.YOUNG", 6)
    facts = reconstruct(tiny("unsteady_csv"), tmp_path / "run")["noise"]
    assert (facts["found"], facts["used"], facts["numbers"]) == ("left-out sensors", False, 30)
    assert facts["share"] > 0.1, "a network that has learned nothing"
    assert facts["contradicting"] is None
    assert reconstruct(tiny("unsteady_csv", "data.noise=0"), tmp_path / "denied")["noise"] is None
    assert reconstruct(tiny("unsteady_grid"), tmp_path / "exact")["noise"] is None


def test_an_estimate_is_used_where_it_is_wanted(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_report: None
) -> None:
    config = tiny("unsteady_csv", "data.noise=estimated")
    metrics = reconstruct(config, tmp_path / "run")
    assert metrics["noise"]["used"]
    assert any(note.startswith("step 3: noise of the measurements") for note in metrics["notes"])
    estimate = NoiseEstimate(1e3, 1e3)  # larger than any misfit
    monkeypatch.setattr("pinnx.train.found_noise.estimated_noise", lambda *given: estimate)
    reconstruct(config, tmp_path / "large")
    weights = history_columns(tmp_path / "large" / "history.jsonl")["weight/data"]
    assert weights[-1] == pytest.approx(10.0 * np.exp(-0.02) ** 2, rel=1e-4), "of the step after two of six"
    with pytest.raises(PinnxError, match=r"data\.noise: estimated takes train\.data_loss squares, got huber"):
        tiny("unsteady_csv", "data.noise=estimated", "train.data_loss=huber")


def test_a_run_reports_its_misfit_beside_the_noise(tiny: Tiny, tmp_path: Path, no_pictures: None) -> None:
    config = tiny("unsteady_grid", "data.noise=0.001")
    metrics = reconstruct(config, tmp_path / "run")
    facts = metrics["noise"]
    assert facts["numbers"] == 32
    assert facts["misfit"] == pytest.approx(metrics["sensor_misfit"] / 0.001, rel=1e-3)
    (check,) = [check for check in metrics["checks"] if check["name"] == "sensor_misfit"]
    assert check["note"] == "beyond the noise"
    assert any("times their noise" in note for note in metrics["notes"])
    assert "Their noise was stated: 0.1" in (tmp_path / "run" / "report.html").read_text()
