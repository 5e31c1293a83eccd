"""Configuration: presets, overrides, one-line errors, exact round trips, a current table of keys."""

from __future__ import annotations

import copy
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
from pinnx.config.flow_section import Flow
from pinnx.config.yaml_text import parse_yaml
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
    assert refusal([*CAVITY, "seed=null"]) == "seed: expected an integer >= 0 and < 2^63, got null"


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


@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        (
            "flow: {nu: 1}\nproblem: {kind: flow}",
            (),
            "problem: expected one section of problem, flow, breakage, got problem and flow",
        ),
        ("problem: {kind: heat}", (), "problem.kind: expected one of flow, breakage, got 'heat'"),
        ("problem: {nu: 1}", (), "problem.kind: expected one of flow, breakage, got None"),
        ("problem: flow", (), "problem.kind: expected one of flow, breakage, got 'flow'"),
        ("flow: {kind: flow}", (), "flow.kind: unknown key; did you mean flow.nu?"),
        ("problem: {kind: flow, mu: 1}", (), "flow.mu: unknown key; did you mean flow.nu?"),
        ("problem: {kind: flow, nu: -1}", (), "flow.nu: expected a number > 0 or null, got -1"),
        ("", ("problem.nu=-1",), "flow.nu: expected a number > 0 or null, got -1"),
        ("", ("problem.mu=1",), "flow.mu: unknown key; did you mean flow.nu?"),
        (
            "flow: 3",
            (),
            f"flow: expected a section with the keys {', '.join(Flow.model_fields)}, got 3",
        ),
    ],
)
def test_a_kind_of_problem_that_is_wrong_is_one_line(
    tmp_path: Path, text: str, overrides: tuple[str, ...], message: str
) -> None:
    with pytest.raises(PinnxError) as caught:
        loaded(tmp_path, f"data: {{path: a.mat}}\n{text}\n", overrides)
    assert str(caught.value) == message


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


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["train.stesp=3"], "train.stesp: unknown key; did you mean train.steps?"),
        (["steps=3"], "steps: unknown key; did you mean train.steps?"),
        (["model.steps=3"], "model.steps: unknown key; did you mean train.steps?"),
        (["sensor.count=3"], "sensor.count: unknown key; did you mean sensors.count?"),
        (["train.steps.x=3"], "train.steps.x: unknown key; did you mean train.steps?"),
        (["train={stesp: 3}"], "train.stesp: unknown key; did you mean train.steps?"),
        (["trian={steps: 3}"], "trian: unknown key; did you mean train?"),
        (
            ["evals.limits.reconstrution=3"],
            "evals.limits.reconstrution: unknown key; did you mean evals.limits.reconstruction?",
        ),
        (
            ["boundaries.2.were={side: top}"],
            "boundaries.2.were: unknown key; did you mean boundaries.2.where?",
        ),
        (
            ["boundaries=[{where: {cirle: 1}}]"],
            "boundaries.0.where.cirle: unknown key; did you mean boundaries.0.where.circle?",
        ),
        (["boundaries.4.u=1"], "boundaries.4.u: expected a number below 4 after boundaries"),
        (["train.steps"], "override 'train.steps': expected key=value"),
        (["=3"], "override '=3': expected key=value"),
    ],
)
def test_unknown_keys_name_the_nearest(overrides: list[str], message: str) -> None:
    with pytest.raises(PinnxError) as caught:
        load_config("cavity", CAVITY + overrides)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["sensors.count=abc"], "sensors.count: expected an integer >= 1, got 'abc'"),
        (["sensors.count=0"], "sensors.count: expected an integer >= 1, got 0"),
        (["sensors.count=1.5"], "sensors.count: expected an integer >= 1, got 1.5"),
        (["sensors.count=true"], "sensors.count: expected an integer >= 1, got true"),
        (["sensors.count="], "sensors.count: expected an integer >= 1, got null"),
        (["flow.nu=0"], "flow.nu: expected a number > 0 or null, got 0"),
        (["flow.nu=-0.1"], "flow.nu: expected a number > 0 or null, got -0.1"),
        (["flow.nu=.nan"], "flow.nu: expected a number > 0 or null, got nan"),
        (["flow.nu=.inf"], "flow.nu: expected a number > 0 or null, got inf"),
        (["data.arrays.nu=-1"], "data.arrays.nu: expected a number > 0 or a text or null, got -1"),
        (["flow.learn_nu=yes"], "flow.learn_nu: expected true or false, got 'yes'"),
        (["flow.forcing=['sin(q)', 0]"], "flow.forcing: expression 'sin(q)': unknown name q; did you mean sqrt?"),
        (["flow.forcing=['1 < 2', 0]"], "flow.forcing: expression '1 < 2': expected a number, got a condition"),
        (["flow.forcing=y"], "flow.forcing: expected a list of numbers or expressions in x, y, z, t or null, got 'y'"),
        (
            ["flow.forcing=[true, 0]"],
            "flow.forcing: expected a list of numbers or expressions in x, y, z, t or null, got [True, 0]",
        ),
        (["flow.forcing=[1]"], "flow.forcing: expected 2 or 3 numbers or expressions, got 1"),
        (["train.betas=[0.9]"], "train.betas: expected 2 numbers >= 0 and < 1, got [0.9]"),
        (["train.betas=[0.9, 1]"], "train.betas: expected 2 numbers >= 0 and < 1, got [0.9, 1]"),
        (["train.dtype=float16"], "train.dtype: expected one of float32, float64, got 'float16'"),
        (["train.final_lr=1"], "train.final_lr: expected at most lr = 0.003, got 1"),
        (["domain.x=[1, 0]"], "domain.x: expected [lo, hi] with lo < hi, got [1, 0]"),
        (["domain.periodic=[q]"], "domain.periodic: expected a list of x, y, z, got ['q']"),
        (["domain.periodic=[x, x]"], "domain.periodic: expected each axis once, got ['x', 'x']"),
        (
            ["model.sigma=[1, -2]"],
            "model.sigma: expected a number > 0 or a list of numbers > 0, got [1, -2]",
        ),
        (
            ["evals=3"],
            "evals: expected a section with the keys points, grid, times, formats, left_out, left_out_steps, members, "
            "limits, baseline, acknowledged, got 3",
        ),
        (
            ["boundaries=[3]"],
            "boundaries.0: expected a section with the keys where, u, v, w, p, condition, speed, slopes, weight, "
            "until, flux, got 3",
        ),
        (
            ["boundaries=[{u: 1}]"],
            "boundaries.0.where: expected a section with the keys side, range, section, hole, circle, index, "
            "expression, got nothing",
        ),
        (
            ["boundaries.0={where: {side: top}}"],
            "boundaries.0: expected a value for one of u, v, w, p, or a condition, slopes or a flux, got none",
        ),
        (
            ["boundaries.0.where.index=wall"],
            "boundaries.0.where: expected exactly one of side, section, hole, circle, index, expression, got side "
            "and index",
        ),
        (
            ["boundaries.0.u=sinn(x)"],
            "boundaries.0.u: expression 'sinn(x)': unknown name sinn; did you mean sin?",
        ),
        (
            ["boundaries.0.where={circle: {center: [0, 0], radius: 0}}"],
            "boundaries.0.where.circle.radius: expected a number > 0, got 0",
        ),
        (
            ["data.measurements=b.csv"],
            "data: expected exactly one of path, measurements, synthetic, got path and measurements",
        ),
        (
            ["data.path=null"],
            "data: expected exactly one of path, measurements, synthetic, got none",
        ),
        (
            ["sensors.method=positions"],
            "sensors: method positions: expected sensors.positions, got none",
        ),
        (
            ["sensors.positions=[[0, 0]]"],
            "sensors.positions: only for method positions, got method random; set method to positions or it to null",
        ),
        (
            ["sensors.method=positions", "sensors.positions=[[0, 0]]", "sensors.min_distance=0.1"],
            "sensors.min_distance: not for method positions, which are taken as they are; set it to null",
        ),
        (
            [
                "sensors.method=positions",
                "sensors.positions=[[0, 0]]",
                "sensors.margin=1",
                "sensors.min_distance=null",
            ],
            "sensors.margin: not for method positions, which are taken as they are; set it to null",
        ),
        (
            ["train.steps=0", "train.lr=a", "sensors.count=0"],
            "sensors.count: expected an integer >= 1, got 0 (and 2 more)",
        ),
    ],
)
def test_wrong_values_are_one_line(overrides: list[str], message: str) -> None:
    with pytest.raises(PinnxError) as caught:
        load_config("cavity", CAVITY + overrides)
    assert str(caught.value) == message


def test_every_wrong_type_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any value where another belongs: one line that names the key, never a traceback."""
    preset = parse_yaml((loading.PRESETS / "cavity.yaml").read_text(), "cavity")
    monkeypatch.setattr(loading, "_read", lambda name: copy.deepcopy(preset))  # a thousand times: read once
    wrong = ({"a": 1}, [[1]], [], -1, 1e400, "", "?", True, None, [{"where": None}])
    num_refused = 0
    for key in describe():
        path = key.path.replace(".N.", ".0.")
        for value in wrong:
            message = refusal([*CAVITY, (path, value)])
            if message is not None:
                num_refused += 1
                assert "\n" not in message
                assert message.startswith(path.split(".")[0])
    assert num_refused > 5 * len(describe())


def refusal(overrides: list) -> str | None:
    """Return the message with which overrides of the cavity are refused, None where they pass."""
    try:
        load_config("cavity", overrides)
    except PinnxError as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: {steps: 3, steps: 4}", ", line 1: expected YAML, got an error: key 'steps' stands"),
        ("train: {steps: [3}", ", line 1: expected YAML, got an error: "),
        ("a\tb: - :", "expected YAML, got an error: "),
        ("1: 2", ", line 1: expected YAML, got an error: expected a key that is a text, got 1"),
        ("- 3", "expected a mapping of sections, got list"),
        ("!!python/object:os.system {}", ", line 1: expected YAML, got an error: "),
    ],
)
def test_files_that_are_no_configuration(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(PinnxError) as caught:
        loaded(tmp_path, text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_empty_file_lacks_its_data(tmp_path: Path) -> None:
    with pytest.raises(PinnxError) as caught:
        loaded(tmp_path, "# nothing yet\n")
    assert str(caught.value).startswith("data: expected exactly one of path")


def test_missing_file_lists_the_presets(tmp_path: Path) -> None:
    with pytest.raises(PinnxError) as caught:
        load_config("cavty")
    presets = "case1, case2, case3, case4, cavity, channel, demo, wake"
    assert str(caught.value) == f"cavty: expected a YAML file or a preset ({presets}), got neither"
    with pytest.raises(PinnxError, match="expected a YAML file, got: "):
        load_config(tmp_path)


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
