"""The error at sensors that a second training did not see, and what is said where there is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from same_runs import Finished, Tiny, made

from pinnx.config import Config
from pinnx.evals import Kovasznay, verify
from pinnx.jobs import reconstruct
from pinnx.jobs.cases.case import Case
from pinnx.jobs.cases.load_case import load_case
from pinnx.jobs.judging import held_out
from pinnx.jobs.judging.held_out import held_out_sensors
from pinnx.models.field_model import FieldModel
from pinnx.physics import MeasuredValues
from pinnx.train import NonFiniteLossError, Trainer


def test_without_a_reference_some_sensors_are_left_out(finished: Finished) -> None:
    folder, data, metrics = finished("unsteady_csv")
    checks = [item for item in metrics["checks"] if item["name"] == "held_out_sensors"]
    assert [item["note"].split("; ")[-1] for item in checks] == ["1 of 5 sensors left out, after 2 steps"] * 3
    assert checks[1]["note"].startswith("of the fluctuation")
    assert all(item["value"] > 0.0 and item["status"] == "failed" for item in checks[:2]), "after two steps"
    assert [item["worst_at"][:2] for item in checks[:2]] == metrics["held_out"]["positions"] * 2
    assert (checks[2]["part"], checks[2]["value"]) == ("whole flow", metrics["error_estimates"]["second training"])
    facts = metrics["held_out"]
    assert (facts["num_used"], facts["steps"], len(facts["positions"])) == (4, 2, 1)
    assert facts["positions"][0] in np.loadtxt(data, delimiter=",", skiprows=1)[:, 1:3].tolist()
    assert "did not see; it used the other 4." in (folder / "report.html").read_text().replace("\u00a0", " ")
    _, _, study = finished("steady_grid")
    assert study["held_out"] is None
    assert "held_out_sensors" not in {item["name"] for item in study["checks"]}


def test_they_take_no_part_in_the_training(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny("unsteady_grid", "evals.left_out=0.5", "evals.left_out_steps=3", "sensors.count=5", "seed=4")
    case, trained = load_case(config), []

    def run(trainer: Trainer) -> None:
        (data,) = (term for term in trainer.problem.terms if isinstance(term, MeasuredValues))
        trained.append((trainer.steps, data.coordinates))

    monkeypatch.setattr(Trainer, "run", run)
    found = held_out_sensors(config, case, None)
    ((steps, coordinates),) = trained
    assert steps == 3
    left = {tuple(place) for place in found.facts["positions"]}
    used = {tuple(place) for place in coordinates[:, 1:]}
    assert (len(left), len(used)) == (3, 2)
    assert left | used == {tuple(place) for place in case.coordinates[:, 1:]}
    assert len(coordinates) == 2 * 4, "at all times"


@pytest.mark.parametrize("mixed_up", [False, True])
def test_sensors_that_contradict_each_other_show(tiny: Tiny, mixed_up: bool) -> None:
    """A flow that twelve sensors tell, and the same sensors with their values exchanged."""
    config = tiny(
        *("steady_csv", "evals.left_out=0.2", "evals.left_out_steps=250", "boundaries=[]", "model.sigma=0.5"),
        *("model.width=16", "model.layers=2", "model.frequencies=8", "train.collocation_points=64", "train.lr=1e-2"),
    )
    flow = Kovasznay(nu=0.05)
    x, y = np.meshgrid(np.linspace(-0.4, 0.9, 4), np.linspace(-0.4, 0.4, 3))
    places = np.column_stack([x.ravel(), y.ravel()])
    values = flow.velocity(0, *places.T)
    order = np.random.default_rng(0).permutation(12) if mixed_up else np.arange(12)
    table = np.column_stack([places, values[order]])
    path = str(config.data.measurements.path)
    np.savetxt(path, table, delimiter=",", header="x,y,u,v", comments="", fmt="%.17g")
    (check,) = verify(held_out_sensors(config, load_case(config), None).measured)
    assert check.status == ("failed" if mixed_up else "passed"), check


@pytest.mark.parametrize(("factor", "status"), [(1.0, "passed"), (1.2, "warning"), (2.0, "failed")])
def test_a_flow_that_two_trainings_find_different_shows(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, factor: float, status: str
) -> None:
    """The left-out sensors are where both agree; the whole flow is not."""

    class Model:
        field_scales = np.ones(3)

        def __init__(self, factor: float) -> None:
            self.factor = factor

        def predict(self, points: np.ndarray) -> np.ndarray:
            at_sensors = (points[:, None] == case.coordinates).all(2).any(1)
            return np.where(at_sensors, 1.0, self.factor)[:, None] * np.ones(3)

    config = tiny("steady_csv")
    case = load_case(config)
    monkeypatch.setattr(held_out, "_trained", lambda *given: Model(factor))
    found = held_out_sensors(config, case, None, Model(1.0))
    (whole,) = (item for item in verify(found.measured) if item.part == "whole flow")
    assert whole.status == status
    assert whole.value == pytest.approx(factor - 1.0, abs=1e-12)
    assert whole.num_points is None
    assert found.measured[0].value == held_out_sensors(config, case, None).measured[0].value, "at the sensors"


@pytest.mark.parametrize(
    ("slow", "moves", "noise"), [(1.0, 1.0, 0.0), (1e-3, 1.0, 0.0), (0.0, 1.0, 0.0), (1.0, 0.1, 0.0), (1.0, 1.0, 0.005)]
)
def test_it_is_relative_to_all_sensors(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, slow: float, moves: float, noise: float
) -> None:
    """The same error where the left-out sensor stands in slow flow or at rest on a wall, and where little moves.

    What the noise leaves in the mean of both is subtracted.
    """

    class Model:
        @property
        def field_scales(self) -> np.ndarray:
            return np.full(3, case.scales.velocity)

        def predict(self, points: np.ndarray) -> np.ndarray:
            (rows,) = np.nonzero((points[:, None] == case.coordinates).all(2).any(0))
            wrong = 0.01 * (points[:, :1] / 0.5 - 1.0) * [1.0, 0.0, 0.0]  # of u: at 0, 0.5 and 1
            return np.column_stack([case.velocity[rows], np.zeros(len(rows))]) + wrong

    config = tiny("unsteady_csv", *[f"data.noise={{u: {noise}, v: {noise}}}"][: noise > 0.0])
    path, case = Path(config.data.measurements.path), load_case(config)
    monkeypatch.setattr(held_out, "_trained", lambda *given: Model())
    table = np.loadtxt(path, delimiter=",", skiprows=1)
    left = held_out_sensors(config, load_case(config), None).facts["positions"][0]
    table[(table[:, 1:3] == left).all(axis=1), 3:] *= slow
    if moves < 1.0:
        values = table[:, 3:].reshape(3, 5, 2)
        table[:, 3:] = (values.mean(axis=0) + moves * (values - values.mean(axis=0))).reshape(-1, 2)
    np.savetxt(path, table, delimiter=",", header="t,x,y,u,v", comments="", fmt="%.17g")
    case = load_case(config)
    found, fluctuation = held_out_sensors(config, case, None).measured
    velocity = case.velocity.reshape(3, 5, 2)
    size = 0.01 * np.sqrt(np.mean([1.0, 0.0, 1.0]) / 2)  # of u at three times, and of v
    beyond = [np.sqrt(1.0 - times * 2 * (noise / 0.01) ** 2 / 2) for times in (3, 3 - 1)]
    assert found.value == pytest.approx(beyond[0] * size / np.sqrt(np.mean(velocity**2)), rel=1e-6)
    moving, least = np.sqrt(np.mean(np.var(velocity, axis=0))), 0.1 * np.sqrt(np.mean(velocity**2))
    assert (moving < least) == (moves < 1.0) == ("relative to a tenth of the velocity" in fluctuation.note)
    assert fluctuation.value == pytest.approx(beyond[1] * size / max(moving, least), rel=1e-6)
    assert ("beyond the noise" in fluctuation.note) == (noise > 0.0)


def test_numbers_that_were_found_are_not_sought_again(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_report: None
) -> None:
    """From a first guess the shorter training does not find them, and a good run failed."""
    config = tiny("unsteady_csv", "flow.learn_nu=true", "flow.forcing=[0.5, 2.0]")
    starts = []

    def trained(config: Config, case: Case, steps: int, bar: object) -> FieldModel:
        starts.append((case.nu, config.problem.forcing, len(case.coordinates)))
        return made(config).problem.model

    monkeypatch.setattr(held_out, "_trained", trained)
    case = load_case(config)
    held_out_sensors(config, case, None, found={"nu": 0.03, "forcing_x": 0.7})
    held_out_sensors(config, case, None)
    assert starts == [(0.03, (0.7, 2.0), 12), (0.1, (0.5, 2.0), 12)]
    nu = reconstruct(config, tmp_path / "run")["nu"]
    assert starts[2:] == [(nu, (0.5, 2.0), 12)]
    assert nu != 0.1, "it has moved"


def test_what_cannot_be_checked_is_no_pass(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def verdict(config: Config) -> str:
        found = held_out_sensors(config, load_case(config), None)
        assert found.facts is None
        (check,) = verify(found.measured)
        assert check.status == "failed"
        return check.note.removeprefix("nothing to check: no value; ")

    config = tiny("steady_csv")
    assert verdict(config.model_copy(update={"evals": config.evals.model_copy(update={"left_out": 0.0})})) == (
        "evals.left_out is 0"
    )

    def diverge(*given: object) -> None:
        raise NonFiniteLossError("step 2: expected a finite loss, got nan")

    with monkeypatch.context() as patch:
        patch.setattr(held_out, "_trained", diverge)
        assert verdict(config) == "1 of 4 sensors left out, after 2 steps; step 2: expected a finite loss, got nan"
    path = Path(config.data.measurements.path)
    path.write_text("\n".join(path.read_text().splitlines()[:2]) + "\n")
    assert verdict(config) == "expected two sensors or more, to leave one out, got 1"
