"""Gappy POD beside the network: the same measurements, an honest account of what it was given, and none made up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tolerances
from same_runs import Finished, Tiny

from pinnx.config import load_config
from pinnx.evals import field_errors
from pinnx.jobs.cases.case import Case
from pinnx.jobs.cases.load_case import load_case
from pinnx.jobs.judging.baseline import gappy_pod_baseline

DEMO = ("data.synthetic.resolution=16", "data.synthetic.num_frames=15")


def demo(*overrides: str) -> Case:
    return load_case(load_config("demo", [*DEMO, *overrides]))


def test_the_demo_has_all_baselines() -> None:
    baseline = gappy_pod_baseline(demo())
    assert list(baseline.errors) == ["gappy POD", "gappy POD, held out", "gappy POD, random sensors"]
    for errors in baseline.errors.values():
        assert set(errors) == {"velocity", "fluctuation", "u", "v", "speed"}
    everything, held_out, _ = (errors["speed"] for errors in baseline.errors.values())
    assert everything < 1e-3 < held_out < 0.5
    assert "learned from all 15 snapshots of this reference" in baseline.note
    assert "each of 5 stretches of frames" in baseline.note


def test_a_frame_that_is_held_out_has_not_been_seen() -> None:
    """A frame unlike all others: exact where it was seen, hopeless where it was not."""
    case = demo()
    assert case.reference is not None
    velocity = case.reference.velocity.copy()
    velocity[7] = np.random.default_rng(0).normal(size=velocity[7].shape)
    places = case.sensors.indices
    changed = replace(
        case,
        reference=replace(case.reference, values=velocity),
        velocity=velocity[:, places].reshape(case.velocity.shape),
    )
    before, after = gappy_pod_baseline(case).errors, gappy_pod_baseline(changed).errors
    assert after["gappy POD"]["u"] < 0.05
    assert after["gappy POD, held out"]["u"] > 5 * before["gappy POD, held out"]["u"]
    assert after["gappy POD, held out"]["u"] > 0.1


def test_it_gets_the_measurements_of_the_network() -> None:
    """Noise reaches the baseline too; without it the very same flow is nearly exact."""
    clean, noisy = gappy_pod_baseline(demo()), gappy_pod_baseline(demo("sensors.noise=0.2"))
    assert noisy.errors["gappy POD"]["speed"] > 10 * clean.errors["gappy POD"]["speed"]
    assert noisy.errors["gappy POD"]["speed"] < 0.2, "and it knows that there is noise"


def test_random_sensors_are_others_and_no_row_where_the_sensors_are_random() -> None:
    """The row does not depend on the sensors that were chosen; it is that of sensors that were drawn."""
    other, drawn = (gappy_pod_baseline(demo(f"sensors.method={method}")) for method in ("coverage", "random"))
    chosen = gappy_pod_baseline(demo())
    assert other.errors["gappy POD, random sensors"] == chosen.errors["gappy POD, random sensors"]
    assert other.errors["gappy POD, held out"] != chosen.errors["gappy POD, held out"]
    assert "gappy POD, random sensors" not in drawn.errors
    assert drawn.note.endswith("The sensors are random ones.")
    draws = [gappy_pod_baseline(demo("sensors.method=random", f"sensors.seed={seed}")).errors for seed in range(3)]
    errors = [item["gappy POD, held out"]["velocity"] for item in draws]
    assert chosen.errors["gappy POD, random sensors"]["velocity"] == pytest.approx(np.median(errors), rel=1e-9)


def test_measurements_of_another_flow_give_another_answer() -> None:
    """A wrong input must show: the measured numbers are used, not the reference's."""
    case = demo()
    wrong = replace(case, velocity=case.velocity[::-1].copy())
    assert gappy_pod_baseline(wrong).errors["gappy POD"]["speed"] > 0.1


def test_what_cannot_be_told_is_not_made_up(tiny: Tiny) -> None:
    steady, measured = (gappy_pod_baseline(load_case(tiny(name))) for name in ("steady_grid", "unsteady_csv"))
    assert not steady.errors
    assert not measured.errors
    assert "a steady flow has only the one to reconstruct" in steady.note
    assert "there are none" in measured.note


def test_few_frames(tiny: Tiny) -> None:
    two = gappy_pod_baseline(load_case(tiny("unsteady_grid", "data.times=[0.0, 0.4]")))
    assert list(two.errors) == ["gappy POD"]
    assert two.note.endswith("There are too few frames to hold some of them out.")
    three = gappy_pod_baseline(load_case(tiny("scattered_3d")))
    assert set(three.errors["gappy POD, held out"]) == {"velocity", "fluctuation", "u", "v", "w", "speed"}
    assert "each of 3 stretches" in three.note


def test_a_flow_that_does_not_change(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny("unsteady_grid")
    with np.load(tmp_path / "vortices.npz") as file:
        arrays = dict(file)
    np.savez(tmp_path / "vortices.npz", **(arrays | {name: 0 * arrays[name] + arrays[name][:1] for name in ("u", "v")}))
    baseline = gappy_pod_baseline(load_case(config))
    assert not baseline.errors
    assert baseline.note == (
        "Gappy POD: not available: snapshots: expected fields that differ, got 4 without any variation."
    )


def test_sensors_between_the_points(tiny: Tiny) -> None:
    """The decaying vortices have one mode, which two places between the points determine."""
    places = "sensors.positions=[[0.73, 0.41], [1.1, 0.9]]"
    case = load_case(tiny("unsteady_grid", "sensors.method=positions", places))
    baseline = gappy_pod_baseline(case)
    assert baseline.errors["gappy POD, held out"]["speed"] < tolerances.GAPPY_POD


@pytest.mark.parametrize("name", ["unsteady_grid", "steady_grid", "unsteady_csv"])
def test_metrics_say_so(finished: Finished, tiny: Tiny, name: str) -> None:
    _, _, metrics = finished(name)
    baseline = gappy_pod_baseline(load_case(tiny(name)))
    assert metrics["baseline"] == (baseline.errors or None)
    assert metrics["baseline_note"] == baseline.note
    assert (metrics["baseline"] is None) == (name != "unsteady_grid")


def test_the_errors_are_those_of_the_report(tiny: Tiny) -> None:
    """The same function as for the network: an answer of zero everywhere has an error of one."""
    case = load_case(tiny("unsteady_grid"))
    assert case.reference is not None
    assert field_errors(0 * case.reference.velocity, case.reference.velocity)["speed"] == 1.0
    assert gappy_pod_baseline(case).errors["gappy POD"]["speed"] < 1.0
