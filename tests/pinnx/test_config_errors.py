"""What no configuration is: each error is one line that names the key, what was expected and what came."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from pinnx.config import Config, describe, load_config, loading
from pinnx.config.flow_section import Flow
from pinnx.config.yaml_text import parse_yaml
from pinnx.errors import PinnxError

CAVITY = ["data.path=cavity.mat"]


def loaded(tmp_path: Path, text: str, overrides: tuple[str, ...] = ()) -> Config:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    return load_config(path, overrides)


def refusal(overrides: list) -> str | None:
    """Return the message with which overrides of the cavity are refused, None where they pass."""
    try:
        load_config("cavity", overrides)
    except PinnxError as error:
        return str(error)
    return None


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
