"""Configuration: presets, overrides, exact round trips, a current table of keys. Errors: test_config_errors.py."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pinnx.config import (
    Config,
    configuration_markdown,
    describe,
    dump_config,
    load_config,
    loading,
    preset_names,
)
from pinnx.config.data_section import Arrays, Raw, Synthetic
from pinnx.config.evals_section import Limits
from pinnx.data import DataMapping, Snapshots, periodic_flow, read_snapshots
from pinnx.data.raw_arrays import RawArray
from pinnx.errors import PinnxError
from pinnx.evals import GATES

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"
CAVITY = ["data.path=cavity.mat"]


def loaded(tmp_path: Path, text: str, overrides: tuple[str, ...] = ()) -> Config:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    return load_config(path, overrides)


def read_as(config: Config, path: Path) -> Snapshots:
    """Read a file with the mapping of a configuration."""
    data = config.data
    mapping = DataMapping(
        **data.arrays.model_dump(),
        axes=data.axes,
        pressure_frame=data.pressure_frame,
        index_sets=data.index_sets,
    )
    return read_snapshots(path, mapping, check_orientation=data.check_orientation)


def test_presets_hold_their_recipes() -> None:
    assert preset_names() == ("case1", "case2", "case3", "case4", "cavity", "channel", "demo", "wake")
    cavity = load_config("cavity", CAVITY)
    assert (cavity.domain.x, cavity.domain.y) == ((0.0, 1.0), (0.0, 1.0))
    values = {item.where.side: (item.u, item.v) for item in cavity.boundaries}
    still = (0.0, 0.0)
    assert values == {"left": still, "right": still, "bottom": still, "top": (1.0, 0.0)}
    assert cavity.sensors.method == "random"
    wake = load_config("wake", ["data.path=wake.h5"])
    assert (wake.data.window.x, wake.data.window.y) == ((1.0, 7.0), (-2.0, 2.0))
    assert (wake.boundaries, wake.sensors.method) == ((), "interpolation")
    assert load_config("demo").data.synthetic is not None
    for config in (cavity, wake, load_config("demo")):
        assert config.sensors.count == 12
        assert config.train.optimizer == "soap"


@pytest.mark.parametrize(("name", "size"), [("ldc_re1000", 128), ("ldc_re3200", 256)])
def test_cavity_reads_its_files_as_they_are(data_dir: Path, name: str, size: int) -> None:
    path = data_dir / f"{name}.mat"
    flow = read_as(load_config("cavity", [("data.path", str(path))]), path)
    assert flow.grid_shape == (size, size)
    lid = flow.points[:, 1] == 1.0
    assert flow.velocity[0, lid, 0].mean() > 0.9


def test_wake_reads_its_file_as_it_is(data_dir: Path) -> None:
    path = data_dir / "cylinder_wake_re100.h5"
    config = load_config("wake", [("data.path", str(path))])
    flow = read_as(config, path)
    assert flow.velocity.shape == (60, 12000, 2)
    assert flow.pressure_frames is not None
    assert flow.pressure_frames.tolist() == [28]
    assert flow.nu == 0.01
    window = {axis: limits for axis, limits in config.data.window if limits is not None}
    assert flow.window(**window).num_points == 2533


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["flow.nu=1e-3", "flow.forcing=[0.1, 0, 0]", "domain.periodic=[x, z]", "flow.steady=null"],
        ["model.sigma=[0.5, 1, 2]", "model.input_scale=null", "data.times=[0.1, 1e2]"],
        ["boundaries=[{where: {circle: {center: [0, 0], radius: 0.5}}, u: '4*y*(1 - y)', p: 0}]"],
        ["boundaries.0.where={expression: 'x < 0.1 and y > 0'}", "boundaries.3.u=1 - exp(-20*x)"],
        ["boundaries.1.where={index: wall}", "data.index_sets.wall=wall_index"],
        [
            "sensors.method=positions",
            "sensors.positions=[[0.1, 0.2], [0.3, 1e-17]]",
            "sensors.margin=null",
            "sensors.min_distance=null",
        ],
        ["data.path=null", "data.measurements='a: #b.csv'", "data.pressure_frame=3"],
        ["train.lr=3.3333333333333333e-3", "evals.limits.conservation=5e-324"],
    ],
)
def test_round_trip_is_equal(tmp_path: Path, overrides: list[str]) -> None:
    config = load_config("cavity", CAVITY + overrides)
    text = dump_config(config)
    assert loaded(tmp_path, text) == config
    assert set(yaml.safe_load(text)) == set(Config.model_fields)


def test_measurements_are_a_file_or_a_section(tmp_path: Path) -> None:
    for text, overrides in (
        ("data: {measurements: a.csv}", ()),
        ("data: {measurements: {path: b.csv}}", ("data.measurements=a.csv",)),
        ("data: {measurements: b.csv}", ("data.measurements.path=a.csv",)),
        ("", ("data.measurements=a.csv",)),
    ):
        assert loaded(tmp_path, text, overrides).data.measurements.path == "a.csv"
    named = loaded(tmp_path, "data: {measurements: a.csv}", ["data.measurements.x=Points:0", "data.measurements.t=3"])
    assert (named.data.measurements.x, named.data.measurements.t, named.data.measurements.u) == ("Points:0", 3, "u")


def test_null_lifts_a_section(tmp_path: Path) -> None:
    """So that a preset's window or walls can be taken away on the command line."""
    wake = load_config("wake", ["data.path=a.h5", "data.window=null", "data.times=null", "train=null", "flow=null"])
    assert wake == load_config("wake", [*("data.path=a.h5", "data.window={}"), ("train", {}), ("flow", {})])
    assert wake.data.window.x is None
    assert load_config("cavity", [*CAVITY, "boundaries=null", "evals.limits=null"]).boundaries == ()
    assert loaded(tmp_path, "data: {path: a.h5}\ntrain:\nsensors:\n").train.steps == 3000
    with pytest.raises(PinnxError, match=r"train\.steps: expected an integer >= 1, got null"):
        loaded(tmp_path, "data: {path: a.h5}", ["train.steps=null"])


def test_one_seed_sets_all_and_each_can_be_set_apart(tmp_path: Path) -> None:
    def seeds(config: Config) -> list[int | None]:
        return [config.seed, config.sensors.seed, config.model.seed, config.train.seed]

    assert seeds(load_config("cavity", CAVITY)) == [0, 0, 0, 0]
    apart = load_config("cavity", [*CAVITY, "seed=3", "model.seed=0"])
    assert seeds(apart) == [3, 3, 0, 3]
    text = dump_config(apart)
    assert loaded(tmp_path, text) == apart
    assert seeds(loaded(tmp_path, text, ("seed=5",))) == [5, 5, 0, 5], "a written configuration can be run with another"
    with pytest.raises(PinnxError, match=r"^seed: expected an integer >= 0 and < 2\^63, got null$"):
        load_config("cavity", [*CAVITY, "seed=null"])


@pytest.mark.parametrize(
    ("text", "overrides"),
    [
        ("flow: {nu: 0.3, learn_nu: true}", ()),
        ("problem: {kind: flow, nu: 0.3, learn_nu: true}", ()),
        ("problem: {kind: flow, learn_nu: true}", ("flow.nu=0.3",)),
        ("flow: {nu: 1}", ("problem.nu=0.3", "problem.learn_nu=true")),
        ("flow: {nu: 1}", ("problem={kind: flow, nu: 0.3, learn_nu: true}",)),
        ("flow: {nu: 1}", ("flow={nu: 0.3, learn_nu: true}",)),
        ("", ("flow.nu=0.3", "problem.learn_nu=true")),
    ],
)
def test_a_kind_of_problem_has_two_spellings(tmp_path: Path, text: str, overrides: tuple[str, ...]) -> None:
    problem = loaded(tmp_path, f"data: {{path: a.mat}}\n{text}\n", overrides).problem
    assert (problem.kind, problem.nu, problem.learn_nu) == ("flow", 0.3, True)


@settings(deadline=None)  # the time is the machine's
@given(st.floats(min_value=5e-324, allow_infinity=False), st.floats(0.0, 1.0, exclude_max=True))
def test_round_trip_keeps_every_bit(tmp_path_factory, lr: float, beta: float) -> None:
    pairs = [("train.lr", lr), ("train.final_lr", 0.0), ("train.betas", [beta, beta])]
    config = load_config("cavity", [*CAVITY, *pairs])
    path = tmp_path_factory.mktemp("config") / "run.yaml"
    path.write_text(dump_config(config))
    assert load_config(path).train.betas == (beta, beta)
    assert load_config(path).train.lr == lr


def test_overrides_are_yaml_and_the_last_one_wins() -> None:
    config = load_config("cavity", [*CAVITY, "train.lr=1e-2", "train.steps=5", "train.steps=010"])
    assert (config.train.lr, config.train.steps) == (1e-2, 10)
    config = load_config("cavity", [("data.path", "a: #b.mat"), "boundaries.3.u=2"])
    assert (config.data.path, config.boundaries[3].u) == ("a: #b.mat", 2.0)
    config = load_config("cavity", [*CAVITY, "boundaries.3.u=4*y*(1-y)"])
    assert config.boundaries[3].u == "4*y*(1-y)"
    assert load_config("wake", ["data.path=2024-01-02"]).data.path == "2024-01-02"


def test_configuration_is_frozen() -> None:
    config = load_config("demo")
    with pytest.raises(ValidationError, match="frozen"):
        config.train.steps = 3  # type: ignore[misc]


def test_table_of_keys_is_complete() -> None:
    keys = describe()
    paths = [key.path for key in keys]
    assert len(set(paths)) == len(paths)
    assert {path.split(".")[0] for path in paths} == set(Config.model_fields) - {"problem"} | {"flow", "breakage"}
    for key in keys:
        assert len(key.description) > 5, key.path
        assert key.kind, key.path
        assert "|" not in key.kind, key.path


def test_document_is_current() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == configuration_markdown(), (
        'run: python -c "from pinnx.config import configuration_markdown as text; '
        "print(text(), end='')\" > docs/configuration.md"
    )


def test_settings_mirror_the_functions_they_feed() -> None:
    mapping = {field.name for field in dataclasses.fields(DataMapping)}
    assert set(Arrays.model_fields) | {"axes", "pressure_frame", "index_sets", "raw"} == mapping
    assert set(Raw.model_fields) == {field.name for field in dataclasses.fields(RawArray)}
    arguments = inspect.signature(periodic_flow).parameters
    assert set(Synthetic.model_fields) == set(arguments) - {"progress"}
    for name, value in Synthetic():
        assert value == pytest.approx(arguments[name].default), name
    assert dict(Limits()) == {name: gate.limit for name, gate in GATES.items() if gate.in_runs}


def test_names_of_files_become_absolute_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    hole = "domain.holes=[{airfoil: {path: a.dat}}, {circle: {center: [0, 0], radius: 1}}]"
    whole = load_config(None, ["data.measurements=m.csv", "evals.baseline=b.json", hole])
    given = loading.with_absolute_paths(whole)
    assert given.data.measurements.path == str(tmp_path / "m.csv")
    assert given.evals.baseline == str(tmp_path / "b.json")
    assert given.domain.holes[0].airfoil.path == str(tmp_path / "a.dat")
    assert given.domain.holes[1] == whole.domain.holes[1]
    assert loading.with_absolute_paths(load_config("cavity", CAVITY)).data.path == str(tmp_path / "cavity.mat")
    sizes = load_config("case1", ["breakage.learn=[s0]", "breakage.s0=2.0", "breakage.measurements=s.csv"])
    assert loading.with_absolute_paths(sizes).problem.measurements == str(tmp_path / "s.csv")
    plain = load_config("demo")
    assert loading.with_absolute_paths(plain) == plain
