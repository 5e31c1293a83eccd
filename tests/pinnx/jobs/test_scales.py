"""The same flow in other units and coordinates: trained alike, written alike, judged alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from tolerances import OTHER_UNITS, OTHER_UNITS_WRITTEN

from pinnx.config import load_config
from pinnx.data.snapshots import Snapshots
from pinnx.errors import PinnxError
from pinnx.evals import evaluate, measure
from pinnx.jobs import reconstruct
from pinnx.jobs.cases.case_scales import known_variation
from pinnx.jobs.cases.load_case import load_case
from pinnx.jobs.flows.flow_problem import FlowProblem, flow_problem
from pinnx.jobs.trainer_setup import make_trainer
from pinnx.models import FourierNetwork
from pinnx.physics import BoundaryCondition, Side
from pinnx.sensors.selection import select_sensors

# An eigenbasis of a matrix without full rank is any basis of its null space: SOAP's first steps turn rounding into one.
SMOOTH = ("train.optimizer=adam",)
# (amplitude, wavenumbers along x and y, phase, frequency) of waves of a stream function: exactly free of divergence.
WAVES = ((0.5, 1.3, 0.7, 0.3, 0.9), (0.3, 2.1, -1.7, 1.1, 1.4), (0.2, -0.6, 2.9, 2.0, 0.5), (0.8, 0.4, 1.1, 0.7, 0.3))


@dataclass(frozen=True)
class Units:
    """A unit of length and of velocity, and where coordinates begin: x of the file is ``x + length * x_of_base``."""

    length: float = 1.0
    velocity: float = 1.0
    t: float = 0.0
    x: float = 0.0
    y: float = 0.0

    @property
    def time(self) -> float:
        return self.length / self.velocity

    def write(self, path: Path, *, steady: bool, size: tuple[int, int, int] = (5, 9, 12)) -> list[str]:
        """Writes the flow; returns the overrides that name it."""
        t, y, x = np.linspace(0, 2, size[0]), np.linspace(0, 2, size[1]), np.linspace(0, 4, size[2])
        at = np.meshgrid(t, y, x, indexing="ij")
        velocity = np.zeros((2, *size))
        for amplitude, k, m, phase, frequency in WAVES:
            wave = amplitude * np.cos(k * at[2] + m * at[1] + phase - frequency * at[0])
            velocity += [m * wave, -k * wave]
        velocity *= self.velocity
        arrays = {"x": self.x + self.length * x, "y": self.y + self.length * y}
        if steady:
            np.savez(path, **arrays, u=velocity[0, 0], v=velocity[1, 0])
        else:
            np.savez(path, **arrays, t=self.t + self.time * t, u=velocity[0], v=velocity[1])
        axes = ["data.axes=[y, x]"] if steady else ["data.axes=[t, y, x]", "data.arrays.t=t"]
        return [f"data.path={path}", *axes, f"flow.nu={0.01 * self.velocity * self.length!r}"]


METHOD = [
    *("sensors.count=6", "sensors.method=random", "train.dtype=float64", "train.collocation_points=32"),
    *("train.boundary_points=8", "model.width=8", "model.layers=2", "model.frequencies=8", "evals.points=64"),
    *("train.weights.data=100", "report.dpi=20", "report.frames=1"),
]


def everything(units: Units, *, steady: bool) -> list[Any]:
    """Settings in the user's units: formulas, numbers, a circle, a corner radius, a force, a viscosity to be found.

    Unsteady ones are periodic along x, in more than the data's extent.
    """
    speed, length = units.velocity, units.length
    y, time = f"((y - {units.y!r}) / {length!r})", "0" if steady else f"((t - {units.t!r}) / {units.time!r})"
    pressure = 0.3 * speed * speed
    conditions = [
        {"where": {"side": "left"}, "u": f"{speed!r} * (0.3 * sin({y}) + 0.1 * {time})", "p": pressure},
        {"where": {"side": "top"}, "u": speed, "v": 0.0},
        {"where": {"circle": {"center": [units.x + 2 * length, units.y + length], "radius": 0.5 * length}}, "v": 0.0},
        {"where": {"expression": f"{y} < 0.6"}, "u": 0.2 * speed},
    ]
    force = speed * speed / length
    period = [f"domain.x=[{units.x!r}, {units.x + 4.5 * length!r}]", "domain.periodic=[x]"]
    return [
        *([] if steady else period),
        ("boundaries", conditions),
        f"train.corner_radius={0.3 * length!r}",
        f"flow.forcing=[{0.1 * force!r}, {-0.2 * force!r}]",
        "flow.learn_nu=true",
        "train.steps=6",
    ]


@dataclass(frozen=True)
class Trained:
    """Numbers of a short training that do not depend on the units, each an array."""

    numbers: dict[str, np.ndarray]
    flow: FlowProblem


def trained(folder: Path, units: Units, *, steady: bool, overrides: tuple[str, ...] = ()) -> Trained:
    folder.mkdir()
    config = load_config(
        None, [*METHOD, *units.write(folder / "flow.npz", steady=steady), *everything(units, steady=steady), *overrides]
    )
    case = load_case(config)
    flow = flow_problem(config, case)
    trainer = make_trainer(config, flow.problem, flow.weights)
    trainer.run()
    last = case.output.coordinates(case.output.num_frames - 1)
    found = evaluate(flow.problem.model, flow.problem.terms, last)
    speed, force = units.velocity, units.velocity * units.velocity / units.length
    judged = measure(
        *(flow.problem.model, flow.problem.terms, case.bounds), periodic=tuple(case.periods), num_points=64, seed=0
    )
    return Trained(
        {
            "fields": found.fields / [speed, speed, speed * speed],
            "residual": found.residual / [force, force, speed / units.length],
            "nu": np.array(flow.equations.nu / (speed * units.length)),
            "gates": np.array([item.value for item in judged]),
            "scales": np.array([case.scales.length / units.length, case.scales.velocity / speed]),
        },
        flow,
    )


def differences(one: Trained, other: Trained) -> dict[str, float]:
    """The largest, relative to the largest number."""
    return {
        name: float(np.abs(other.numbers[name] - wanted).max() / np.abs(wanted).max())
        for name, wanted in one.numbers.items()
    }


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bool], Trained]:
    """The flow in its natural units, steady and unsteady."""
    folder = tmp_path_factory.mktemp("base")
    made = {steady: trained(folder / str(steady), Units(), steady=steady, overrides=SMOOTH) for steady in (False, True)}
    return made.__getitem__


@pytest.mark.parametrize("steady", [False, True])
def test_training_does_not_depend_on_units_and_origins(
    base: Callable[[bool], Trained], tmp_path: Path, rng: np.random.Generator, steady: bool
) -> None:
    for number in range(3):
        length, speed = (10 ** rng.uniform(-6, 6, 2)).tolist()
        t, x, y = (rng.uniform(-1e4, 1e4, 3) * [length / speed, length, length]).tolist()
        units = Units(length, speed, t, x, y)
        found = differences(base(steady), trained(tmp_path / str(number), units, steady=steady, overrides=SMOOTH))
        assert max(found.values()) < OTHER_UNITS, (units, found)


@pytest.mark.parametrize("steady", [False, True])
def test_powers_of_two_change_no_bit(tmp_path: Path, steady: bool) -> None:
    runs = [trained(tmp_path / str(n), Units(2.0**-n, 2.0**n), steady=steady) for n in (0, 10)]
    found = differences(*runs)
    assert set(found.values()) == {0.0}, found


def test_without_scales_the_units_would_count(base: Callable[[bool], Trained], tmp_path: Path) -> None:
    """So the tests above test something."""
    fixed = ("flow.scales.length=1", "flow.scales.velocity=1", *SMOOTH)
    found = differences(base(False), trained(tmp_path / "run", Units(0.1, 0.1), steady=False, overrides=fixed))
    assert min(found.values()) > 1e5 * OTHER_UNITS, found


def test_scattered_places_are_chosen_alike_far_from_zero(rng: np.random.Generator) -> None:
    """Cells of triangles were lost to rounding in UTM metres, and other sensors chosen."""
    points = rng.uniform([0.0, 0.0], [4.0, 2.0], (300, 2))
    for method in ("coverage", "random"):
        near, far = (
            select_sensors(Snapshots(points + origin, points[None]), 9, method=method)
            for origin in ([0.0, 0.0], [5.1e5, 4.5e6])
        )
        np.testing.assert_array_equal(near.indices, far.indices)


# What came from other people: the flow in millimetres, at 30 m/s, in UTM metres, in Unix seconds, from t = 85.
OTHERS = {
    "base": Units(),
    "millimetres": Units(1e-3, 1e-3),
    "fast": Units(1.0, 30.0),
    "utm": Units(x=5.1e5, y=4.5e6),
    "epoch": Units(t=1.7e9),
    "late": Units(t=85.0),
}


def written(folder: Path, units: Units, *overrides: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The datasets of fields.h5, and metrics, of a whole run."""
    folder.mkdir()
    named = units.write(folder / "flow.npz", steady=False)
    config = load_config(None, [*METHOD, *named, *SMOOTH, "train.steps=30", *overrides])
    metrics = reconstruct(config, folder / "run")
    with h5py.File(folder / "run" / "fields.h5") as file:
        return {name: file[name][()] for name in ("t", "x", "y", "u", "v", "p", "residual/continuity")}, metrics


def test_files_and_verdicts_are_those_of_the_base_units(tmp_path: Path, no_report: None) -> None:
    base, judged = written(tmp_path / "first", OTHERS["base"])
    for name, units in OTHERS.items():
        fields, metrics = written(tmp_path / name, units) if name != "base" else (base, judged)
        speed = units.velocity
        scales = {"u": speed, "v": speed, "p": speed * speed, "residual/continuity": speed / units.length}
        for field, scale in scales.items():
            difference = np.abs(fields[field] / scale - base[field]).max() / np.abs(base[field]).max()
            assert difference < OTHER_UNITS_WRITTEN, (name, field, difference)
        places = {"t": (units.time, units.t), "x": (units.length, units.x), "y": (units.length, units.y)}
        for axis, (scale, origin) in places.items():
            np.testing.assert_allclose(fields[axis], origin + scale * base[axis], rtol=1e-15)
        for one, other in zip(judged["checks"], metrics["checks"], strict=True):
            assert other["value"] == pytest.approx(one["value"], rel=OTHER_UNITS_WRITTEN), (name, one["name"])
        assert metrics["scales"]["velocity"] == pytest.approx(speed * judged["scales"]["velocity"])


def test_an_origin_that_is_subtracted_too_late_would_show(
    tmp_path: Path, no_report: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Coordinates that become float32 before that: a UTM grid has few rows left, in Unix seconds all frames are one."""
    subtract = FourierNetwork.inputs

    def late(self: FourierNetwork, coordinates: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        return subtract(self, coordinates.astype(np.float32).astype(np.float64), out)

    distinct = []
    for name in ("right", "late"):
        utm, _ = written(tmp_path / f"{name} utm", OTHERS["utm"], "train.steps=1")
        epoch, _ = written(tmp_path / f"{name} epoch", OTHERS["epoch"], "train.steps=1")
        distinct.append((len(np.unique(utm["u"][0, 3])), len(np.unique(epoch["u"][:, 3, 3]))))
        monkeypatch.setattr(FourierNetwork, "inputs", late)
    assert distinct[0] == (9, 5)
    assert distinct[1][0] < 9
    assert distinct[1][1] == 1


@pytest.mark.parametrize(
    ("units", "overrides", "message"),
    [
        (
            Units(),
            ["flow.nu=1e-9"],
            r"flow.nu: expected a Reynolds number U L / nu from 1e-05 to 1e\+07, got 3\.5e\+09 ",
        ),
        (Units(velocity=1e-9), ["flow.nu=1e-1"], "flow.nu: expected a Reynolds number U L / nu from 1e-05 "),
        (
            Units(x=1e13),
            [],
            r"domain.x: expected an extent that float64 resolves, got \[10000000000000.0, 10000000000004.0\]",
        ),
        (Units(), ["flow.scales.velocity=1e5"], "flow.scales.velocity: expected about 1.*, the velocity of the case"),
        (
            Units(),
            ["flow.scales.length=1e5"],
            "flow.scales.length: expected about .*, the length of the case, got ",
        ),
    ],
)
def test_units_that_cannot_be_right_are_refused(
    tmp_path: Path, units: Units, overrides: list[str], message: str
) -> None:
    config = load_config(None, [*METHOD, *units.write(tmp_path / "flow.npz", steady=True), *overrides])
    with pytest.raises(PinnxError, match=message):
        load_case(config)


def test_odd_units_are_a_note(tmp_path: Path) -> None:
    def notes(units: Units, *overrides: str, steady: bool = False) -> tuple[str, ...]:
        settings = [*METHOD, *units.write(tmp_path / "flow.npz", steady=steady), *overrides]
        return load_case(load_config(None, settings)).notes

    assert notes(Units()) == ()
    (said,) = notes(Units(velocity=1e-6), "flow.nu=1e-3", steady=True)
    assert said.startswith("The Reynolds number U L / nu is 0.0035, so viscosity outweighs all else: check the units")
    (said,) = notes(Units(), "domain.x=[0, 4000]", steady=True)
    assert said == "The domain is 2e+03 times longer in x than in y: are both in one unit?"
    (said,) = notes(Units(), "domain.t=[0, 9000]")
    assert said.startswith("In the time of the data the flow crosses the domain ")
    # Coordinates in km beside a velocity in m/s: 1000 times too fast, which all frames together hide.
    settings = [*METHOD, *Units(velocity=1e3).write(tmp_path / "flow.npz", steady=False)]
    with np.load(tmp_path / "flow.npz") as file:
        np.savez(tmp_path / "flow.npz", **dict(file) | {"t": 1e3 * file["t"]})
    (said,) = load_case(load_config(None, settings)).notes
    assert said.startswith("From one time to the next the flow crosses the domain 2")
    assert said.endswith("do the units of time, length and velocity belong together?")
    # A domain in mm beside places in m; a domain ten times as large as what was measured is none.
    extents = ("domain.x=[0, {0}]", "domain.y=[0, {0}]")
    (said,) = notes(Units(), *(extent.format(4000) for extent in extents), steady=True)
    assert said.startswith("The measurements span 0.000")
    assert said.endswith("of the domain or less in each direction: are their places and the domain in one unit?")
    assert notes(Units(), *(extent.format(40) for extent in extents), steady=True) == ()


def test_a_flow_at_rest_has_no_velocity_scale(tmp_path: Path) -> None:
    path = tmp_path / "rest.csv"
    path.write_text("x,y,u,v\n0.5,0.5,0,0\n0.2,0.7,0,0\n")
    still = [f"data.measurements={path}", "domain.x=[0, 1]", "domain.y=[0, 1]", "flow.nu=0.01"]
    with pytest.raises(PinnxError, match=r"^flow.scales.velocity: expected a velocity, as nothing that is measured"):
        load_case(load_config(None, still))
    assert load_case(load_config(None, [*still, "flow.scales.velocity=2"])).scales.velocity == 2.0
    lid = ("boundaries", [{"where": {"side": "top"}, "u": "4 * x * (1 - x)", "v": 0.0}])
    assert load_case(load_config(None, [*still, lid])).scales.velocity == pytest.approx(1.0, rel=1e-3)


def test_how_much_a_velocity_varies_where_it_is_known() -> None:
    """Of sensors and prescribed sides together; a uniform stream and a fluid at rest do not vary."""
    bounds = {"x": (0.0, 1.0), "y": (0.0, 1.0)}
    lid = [BoundaryCondition(Side("top"), {"u": 2.0, "v": 0.0, "p": 7.0}, bounds)]
    walls = [BoundaryCondition(Side("top"), {"u": 0.0, "v": 0.0}, bounds)]
    none, rest, nan = np.full((0, 2), np.nan), np.zeros((101, 2)), np.full((3, 2), np.nan)
    stream = np.array([[0.1, 0.0]] * 1000) * (1 + 1e-12 * np.arange(1000)[:, None])
    assert known_variation(none, None, [], unit=1.0) is None
    assert known_variation(nan, np.full(3, np.nan), [], unit=1.0) is None
    assert known_variation(rest, None, walls, unit=1.0) == 0.0
    assert known_variation(stream, None, [], unit=0.1) == 0.0
    assert known_variation(nan, np.full(3, 2.0), lid, unit=2.0) == 0.0
    assert known_variation(rest, None, lid, unit=2.0) == pytest.approx(0.5, rel=0.01)
    assert known_variation(nan, np.array([0.0, 2.0, np.nan]), lid, unit=2.0) == 0.5
    assert known_variation(np.array([[1e200, 0.0], [-1e200, 0.0]]), None, [], unit=1e200) == 1.0
