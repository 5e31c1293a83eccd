"""``pinnx reference``: a flow with its own error, which a run reads and is judged against."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from box_files import BOX, EXACT
from flow_files import TINY

from pinnx.cli import main
from pinnx.config import Config, load_config
from pinnx.errors import PinnxError
from pinnx.jobs import reconstruct
from pinnx.jobs.cases import stream_case
from pinnx.jobs.cases.load_case import load_case
from pinnx.jobs.reference import make_reference


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The configuration, and the reference that the command makes of it."""
    folder = tmp_path_factory.mktemp("reference")
    (folder / "case.yaml").write_text(BOX)
    out = folder / "reference.npz"
    assert main(["reference", str(folder / "case.yaml"), "--out", str(out), "evals.grid=21", "--quiet"]) == 0
    return folder / "case.yaml", out


def config_of(made: tuple[Path, Path], *overrides: str | tuple[str, object]) -> Config:
    return load_config(made[0], [*TINY, ("data.path", str(made[1])), *overrides])


def test_its_error_is_below_what_it_says(made: tuple[Path, Path]) -> None:
    with np.load(made[1]) as file:
        stored = {name: file[name] for name in file.files}
    x, y = stored["x"], stored["y"]
    assert x.shape == (21, 21)
    wanted = EXACT.velocity(0.0, x, y)
    found = np.stack([stored["u"], stored["v"]], axis=-1)
    error = np.linalg.norm(found - wanted) / np.linalg.norm(wanted)
    assert error < stored["reference_error"] < 0.01 < 3 * stored["gci"]
    pressure, exact = stored["p"] - stored["p"].mean(), EXACT.pressure(0.0, x, y)
    assert np.linalg.norm(pressure - exact + exact.mean()) < 0.01 * np.linalg.norm(pressure)
    assert stored["nu"] == 0.05
    assert stored["order"] == pytest.approx(2.0, abs=0.5)


def test_a_square_one_is_read_without_its_axes(made: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    main(["verify", str(made[1]), "--conservation", "--json"])
    statuses = {item["name"]: item["status"] for item in json.loads(capsys.readouterr().out)}
    assert statuses["net_flux"] == "passed"


def test_the_sides_of_a_stream_are_in_its_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A square in a stream: sides three times as far away change it by less than the error says, more than cells do."""
    given: dict[str, Any] = {"domain.x": [-1.0, 3.0], "domain.y": [-1.5, 1.5], "flow.nu": 0.05, "solver.cells": 27}
    given["flow.scales"] = {"length": 1.0, "velocity": 1.0}
    given["domain.holes"] = [{"name": "body", "rectangle": {"x": [-0.5, 0.5], "y": [-0.5, 0.5]}}]
    given["boundaries"] = [{"where": {"hole": "body"}, "condition": "no_slip"}]
    given["boundaries"] += [
        {"where": {"side": side}, "condition": "free_stream", "speed": 1.0} for side in ("left", "bottom", "top")
    ]
    config = load_config(None, [*given.items(), ("evals.grid", 21), ("data.path", str(tmp_path / "none.npz"))])
    study = make_reference(config, tmp_path / "stream.npz")
    for name in ("UPSTREAM", "DOWNSTREAM", "BESIDE"):
        monkeypatch.setattr(stream_case, name, 3 * getattr(stream_case, name))
    make_reference(config, tmp_path / "farther.npz")
    near, far = (np.load(tmp_path / f"{name}.npz") for name in ("stream", "farther"))
    assert near["reference_error"] == study.error
    inside = np.isnan(near["u"])
    assert 10 < inside.sum() < 30
    moved, size = (
        np.linalg.norm([parts[~inside] for parts in fields])
        for fields in ((near["u"] - far["u"], near["v"] - far["v"]), (far["u"], far["v"]))
    )
    assert near["gci"] < moved / size < study.error


def test_sides_by_name_are_those_of_the_reference(tmp_path: Path) -> None:
    """Between sides without friction a uniform stream stays one; with friction it does not."""
    inlet = {"where": {"side": "left"}, "u": 1.0, "v": 0.0}
    outlet = {"where": {"side": "right"}, "condition": "zero_gradient"}
    given = {"domain.x": [0.0, 2.0], "domain.y": [0.0, 1.0], "flow.nu": 0.1, "solver.cells": 18, "evals.grid": 21}
    changes = []
    for wall in ("slip", "no_slip"):
        walls = [{"where": {"side": side}, "condition": wall} for side in ("bottom", "top")]
        more = [("boundaries", [inlet, outlet, *walls]), ("data.path", str(tmp_path / "none.npz"))]
        make_reference(load_config(None, [*given.items(), *more]), tmp_path / f"{wall}.npz")
        with np.load(tmp_path / f"{wall}.npz") as stored:
            changes.append(np.abs(stored["u"] - 1.0).max())
    assert changes[0] < 1e-6 < 0.4 < changes[1]


def test_a_body_is_a_hole_of_the_reference(tmp_path: Path) -> None:
    """A step in a channel: no numbers inside, and a run reads it as it was."""
    sides = [{"where": {"side": side}, "u": 0.0, "v": 0.0} for side in ("bottom", "top")]
    sides += [{"where": {"side": "left"}, "u": "4*y*(1-y)", "v": 0.0}, {"where": {"side": "right"}, "p": 0.0}]
    given = {"domain.x": [0.0, 2.0], "domain.y": [0.0, 1.0], "flow.nu": 0.05, "solver.cells": 18, "evals.grid": 21}
    given["data.path"] = str(tmp_path / "step.npz")
    given["domain.holes"] = [{"name": "step", "rectangle": {"x": [0.5, 1.0], "y": [0.0, 0.5]}}]
    given["boundaries"] = [*sides, {"where": {"hole": "step"}, "u": 0.0, "v": 0.0}]
    make_reference(load_config(None, list(given.items())), tmp_path / "step.npz")
    with np.load(tmp_path / "step.npz") as stored:
        x, y = stored["x"], stored["y"]
        inside = (x > 0.5) & (x < 1.0) & (y < 0.5)
        for name in "uvp":
            np.testing.assert_array_equal(np.isnan(stored[name]), inside)
        assert np.nanmax(stored["u"][x == 0.8]) > 1.5, "the flow is faster over the step"
    case = load_case(load_config(None, [*given.items(), ("sensors.method", "random")]))
    assert case.reference is not None
    assert (~case.in_flow).sum() == inside.sum()


@pytest.fixture(scope="module")
def run(made: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A tiny run that reads the reference, and its metrics."""
    folder = tmp_path_factory.mktemp("judged") / "run"
    return folder, reconstruct(config_of(made), folder)


def test_a_run_is_judged_against_it_and_says_how_good_it_is(
    made: tuple[Path, Path], run: tuple[Path, dict[str, Any]]
) -> None:
    folder, metrics = run
    with np.load(made[1]) as file:
        error = float(file["reference_error"])
    assert metrics["reference_error"] == error
    assert set(metrics["relative_l2"]) == {"velocity", "u", "v", "speed", "p"}
    assert any(note.startswith("The reference has a relative error of") for note in metrics["notes"])
    assert "by its own account" in (folder / "report.html").read_text()


def test_the_solver_stands_beside_the_network(run: tuple[Path, dict[str, Any]]) -> None:
    """Also in the report; the network's field is its own, and the polished one in a group of its own."""
    folder, metrics = run
    assert set(metrics["baseline"]) == {"solver", "polished"}
    assert metrics["baseline"]["solver"]["velocity"] < 1e-3 < 0.1 < metrics["relative_l2"]["velocity"]
    assert metrics["baseline"]["solver"]["p"] < 0.01
    assert metrics["baseline"]["polished"]["velocity"] < 0.03
    page = (folder / "report.html").read_text()
    assert "polished</th>" in page
    assert metrics["solver_note"].replace("'", "&#x27;") in page
    with h5py.File(folder / "fields.h5") as file:
        assert file["solver/u"].shape == file["u"].shape == (21, 21)
        assert np.linalg.norm(file["solver/u"][:] - file["reference/u"][:]) < 0.01
        assert np.linalg.norm(file["polished/u"][:]) > 0
        balances = [file["polished"].attrs[name] for name in ("mass", "momentum")]
        own = np.stack([file["u"][:], file["v"][:]], axis=-1)
        wanted = np.stack([file["reference/u"][:], file["reference/v"][:]], axis=-1)
    checks = [item for item in metrics["checks"] if item["name"] == "polished_balance"]
    assert [(item["part"], item["value"], item["status"]) for item in checks] == [
        ("mass", balances[0], "passed"),
        ("momentum", balances[1], "passed"),
    ]
    assert max(balances) < checks[0]["limit"] == 1e-10
    assert "polished_balance (momentum)" in page
    assert np.linalg.norm(own - wanted) / np.linalg.norm(wanted) == pytest.approx(
        metrics["relative_l2"]["velocity"], rel=1e-5
    )


def test_the_polished_flow_is_measured_anew(
    run: tuple[Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each of its fields counts: one number that is wrong by a millionth of its unit fails."""
    folder, metrics = run

    def polished(of: Path, *words: str) -> list[dict[str, Any]]:
        capsys.readouterr()
        assert main(["verify", str(of), "--conservation", "--json", *words]) == 1, "a training of a few steps"
        checks = json.loads(capsys.readouterr().out)
        return [item for item in checks if item["name"] == "polished_balance"]

    mass, momentum, stored = polished(folder)
    assert [item["status"] for item in (mass, momentum, stored)] == ["passed"] * 3
    wanted = [item for item in metrics["checks"] if item["name"] == "polished_balance"]
    assert momentum["value"] == pytest.approx(wanted[1]["value"], abs=1e-11)
    assert (mass["limit"], stored["part"]) == (1e-10, "stored fields")
    assert polished(next((folder / "checkpoints").glob("*.safetensors"))) == [], "it is that of the end of the run"
    wrong = tmp_path / "run"
    shutil.copytree(folder, wrong)
    failed = {}
    for name in ("u", "v", "p", "psi", "omega", "x"):
        with h5py.File(wrong / "fields.h5", "r+") as file:
            values = file[f"polished/{name}"][()]
            at = (5, 7) if values.ndim == 2 else (5,)
            file[f"polished/{name}"][at] = values[at] + 1e-6
        failed[name] = [item["part"] for item in polished(wrong) if item["status"] == "failed"]
        with h5py.File(wrong / "fields.h5", "r+") as file:
            file[f"polished/{name}"][...] = values
    solved = ("psi", "omega", "x")
    assert failed == {name: [*(["momentum"] if name in solved else []), "stored fields"] for name in failed}
    assert [item["status"] for item in polished(wrong)] == ["passed"] * 3
    text = (wrong / "config.yaml").read_text()
    (wrong / "config.yaml").write_text(text.replace("nu: 0.05", "nu: 0.051"))
    assert polished(wrong)[1]["status"] == "failed", "another viscosity"
    strict, changed = re.subn(r"(polished_balance): [^,}]+", r"\1: 1.0e-18", text)
    assert changed == 1
    (wrong / "config.yaml").write_text(strict)
    rounded = polished(wrong)[1]
    assert (rounded["status"], rounded["value"] < 3 * rounded["discretisation"] < 1e-10) == ("not checked", True)
    assert rounded["note"].startswith("stored numbers are rounded, which makes an error of about ")
    with h5py.File(wrong / "fields.h5", "r+") as file:
        del file["polished"]
    assert polished(wrong) == []


def test_the_error_may_have_another_name_or_be_a_number(made: tuple[Path, Path]) -> None:
    named = load_case(config_of(made, "data.arrays.error=gci")).reference
    number = load_case(config_of(made, "data.arrays.error=0.03")).reference
    assert named is not None
    assert number is not None
    with np.load(made[1]) as file:
        assert named.error == float(file["gci"])
    assert number.error == 0.03


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("flow.nu=null", "flow.nu: expected the kinematic viscosity"),
        ("domain.x=null", r"domain\.x: expected \[lo, hi\]"),
        ("domain.t=[0, 1]", "does not apply: it solves steady flows, and this one changes in time"),
        ("domain.z=[0, 1]", "does not apply: it solves flows in the plane, and this one has three dimensions"),
        ("domain.periodic=[y]", "does not apply: it needs the velocity along all four sides, and y is periodic"),
        ("flow.forcing=['y', 0]", "does not apply: it takes a constant force, and flow.forcing has a formula"),
        ("boundaries.1.v=null", "does not apply: .* there is no v on the right"),
        (
            "boundaries.1.where={circle: {center: [0, 0], radius: 0.1}}",
            "bodies at rest with the velocity zero on them, and the circle at",
        ),
        ("boundaries.1.u=0", "does not apply: of what flows through the sides .* flows in and not out"),
        ("solver.unknown=[top]", "solver.unknown: expected none for a reference, got top"),
        ("solver.cells=5", "solver.cells: expected 18 or more, got 5"),
    ],
)
def test_messages(made: tuple[Path, Path], tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(PinnxError, match=message):
        make_reference(config_of(made, override), tmp_path / "other.npz")
    assert not (tmp_path / "other.npz").exists()


def test_files(made: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(PinnxError, match="expected a file that does not exist yet"):
        make_reference(config_of(made), made[1])
    with pytest.raises(PinnxError, match=r"expected a file that ends in \.npz"):
        make_reference(config_of(made), tmp_path / "other.mat")
    with pytest.raises(PinnxError, match="expected to write it, got: No such file"):
        make_reference(config_of(made), tmp_path / "nowhere" / "other.npz")


def test_the_command_names_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reference", "cavity"]) == 2
    assert "reference: expected --out FILE.npz, got none" in capsys.readouterr().err
    for unused in ("train.steps=5", "sensors.count=3", "data.window.x=[0,1]", "evals.points=9", "solver.polish=false"):
        assert main(["reference", "cavity", "--out", "unused.npz", unused]) == 2
        assert f"override '{unused}': expected a setting of domain, flow, problem" in capsys.readouterr().err
