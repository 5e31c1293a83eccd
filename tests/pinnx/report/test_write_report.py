"""The report as a whole: self-contained, true to the files, safe, and whole or absent."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from page import Page
from run_folder import CASES, build_run, build_scalar_run, grid_points

from pinnx.errors import PinnxError
from pinnx.evals import check
from pinnx.report import write_report

# sensors, fields, measured values, loss; then residuals, error over time, maps at several times, slices where there is
# something to show
FIGURES = {
    "steady_grid": 5,
    "unsteady_scattered": 7,
    "measurements_only": 5,
    "unsteady_measurements": 6,
    "synthetic_unsteady_grid": 7,
    "grid_3d": 8,
    "scattered_3d": 8,
}

Reported = Callable[[str], Path]


def page_of(folder: Path) -> Page:
    return Page(folder / "report.html")


def edit_metrics(folder: Path, **changes: Any) -> None:
    path = folder / "metrics.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.fixture
def copied(reported: Reported, tmp_path: Path) -> Path:
    """A run without a report, to be changed."""
    folder = tmp_path / "run"
    shutil.copytree(reported("steady_grid"), folder)
    (folder / "report.html").unlink()
    return folder


@pytest.mark.parametrize("name", CASES)
def test_is_one_file_that_asks_for_nothing(name: str, reported: Reported) -> None:
    page = page_of(reported(name))
    addresses = [a[key] for _, a in page.elements for key in ("src", "href") if key in a]
    assert len(addresses) == FIGURES[name]
    for address in addresses:
        kind, _, data = address.partition(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(data, validate=True).startswith(b"\x89PNG\r\n\x1a\n")
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.elements}
    assert "url(" not in page.source
    assert "@import" not in page.source
    policy = next(m["content"] for m in page.all("meta") if "http-equiv" in m)
    assert policy.startswith("default-src 'none'")


@pytest.mark.parametrize("name", CASES)
def test_can_be_read_without_seeing(name: str, reported: Reported) -> None:
    page = page_of(reported(name))
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("h1")) == 1
    assert all(len(image["alt"]) > 40 for image in page.all("img"))
    assert len(page.all("figcaption")) == FIGURES[name]
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(cell.get("scope") in ("row", "col") for cell in page.all("th"))


@pytest.mark.parametrize("name", CASES)
def test_holds_the_numbers_of_the_run(name: str, reported: Reported) -> None:
    folder = reported(name)
    page = page_of(folder)
    metrics = json.loads((folder / "metrics.json").read_text())
    shown = {element["value"] for element in page.all("data")}
    wanted = list(metrics["relative_l2"].values())
    wanted += [item["value"] for item in metrics["checks"] if item["value"] is not None]
    wanted += [item["limit"] for item in metrics["checks"]]
    wanted += [v for v in metrics.values() if isinstance(v, int | float)]
    assert {repr(value) for value in wanted} <= shown
    for text in (metrics["source"], metrics["command"], "torch 2.13.0", "46.2 s", "learn_nu"):
        assert text.removeprefix("synthetic: ") in page.text


def test_failed_checks_show_as_failed(reported: Reported) -> None:
    page = page_of(reported("steady_grid"))
    verdicts = [c for c in page.classes() if c.startswith("verdict")]
    assert verdicts == ["verdict passed", "verdict failed", "verdict failed", "verdict passed"]
    assert page.text.count("✗ failed") == 2
    assert "2 of 4" in page.text
    assert "nothing to check" in page.text


def test_synthetic_data_is_called_so(reported: Reported) -> None:
    assert "badge" in page_of(reported("synthetic_unsteady_grid")).classes()
    assert "Synthetic data." in page_of(reported("synthetic_unsteady_grid")).text
    for name in set(CASES) - {"synthetic_unsteady_grid"}:
        assert "badge" not in page_of(reported(name)).classes()


def test_without_a_reference_no_error_is_claimed(reported: Reported) -> None:
    text = page_of(reported("measurements_only")).text
    assert "without a reference" in text
    assert "error in speed" not in text
    assert "There is no reference, so the error is not known." in text
    assert "from a file of measurements" in text
    assert "Small residuals alone prove nothing" in text
    assert "No sensors were left out" in text


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("free", [[], ["left"]])
def test_the_error_at_left_out_sensors_is_explained(copied: Path, free: list[str]) -> None:
    facts = {"positions": [[0.1, 0.2], [0.3, 0.4]], "num_used": 10, "steps": 900}
    known = {"relative_l2": None, "worst_component": None, "free_sides": free}
    edit_metrics(copied, **known, held_out=facts, notes=["3 rows <were> left out."])
    page = Page(write_report(copied))
    assert ("many times too small" in page.text) == bool(free), "both trainings agree on what open sides leave open"
    assert "the error at 2 that a second training of 900 steps did not see; it used the other 10" in page.text
    assert "3 rows <were> left out." in page.text, "notes stand with what was given"
    given = page.source[page.source.index("What was given") : page.source.index("The result")]
    assert "3 rows &lt;were&gt; left out." in given


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize(
    ("change", "verdict"), [(0.17, "has not settled"), (0.05, "moving a little"), (0.01, "has settled")]
)
def test_a_number_that_was_found_stands_on_top(copied: Path, change: float, verdict: str) -> None:
    estimate = {"value": 0.16, "low": 0.15, "high": 0.17} if verdict == "has settled" else None
    found = {
        "nu": {"value": 0.172, "guess": 1.0, "check": "viscosity_settled", "estimate": estimate, "note": "no data"}
    }
    edit_metrics(copied, found=found, checks=[check("viscosity_settled", change).as_dict()])
    rows = [json.loads(line) for line in (copied / "history.jsonl").read_text().splitlines()]
    lines = (json.dumps({**row, "nu": 1.0 - 0.8 * row["step"] / 3000}) for row in rows)
    (copied / "history.jsonl").write_text("\n".join(lines))
    page = Page(write_report(copied))
    header = page.source[: page.source.index("</header>")]
    assert "Found by the training: viscosity = 0.172, from the guess 1. It" in header
    assert verdict in header
    assert ("Estimate: 0.16, interval 0.15 to 0.17." if estimate else ". No data.") in header
    assert '<dt>Found: nu</dt><dd class="{}"'.format(check("viscosity_settled", change).status) in header
    assert len(page.all("img")) == FIGURES["steady_grid"] + 1
    assert "What the training found: nu from 1 to 0.2." in page.text


def test_says_what_was_given(reported: Reported) -> None:
    text = page_of(reported("unsteady_scattered")).text
    assert "Measured: the velocity at 12 sensors and 5 times, with 1 % noise added." in text
    assert "chosen from the full reference, by pivoted QR" in text
    assert "The Navier-Stokes equations in 2 dimensions." in text
    assert "u = 1, v = 0 on the top side; u = sin(x), v = 0 on the circle of radius 0.7" in text
    assert "Nothing else was given, in particular no value of p. The rest of the reference is used only" in text


def test_a_run_with_other_fields_has_its_own_words(tmp_path: Path) -> None:
    page = Page(write_report(build_scalar_run(tmp_path)))
    assert len(page.all("img")) == 6
    for text in (
        "plate.npz from 5 sensors: 3.45 % error in c",
        "Measured: c at 5 sensors and 3 times.",
        "The equation of heat, with the conductivity k = 0.25.",
        "Boundary conditions: c = 0 on the left side.",
        "Nothing else was given. The rest of the reference",
        "Residuals of the equations at t = 0.5",
        "residual of the equation of heat",
        "The error of c is between",
    ):
        assert text in page.text
    everything = page.source.lower()
    for word in ("velocity", "speed", "pressure", "flow", "navier", "momentum"):
        assert word not in everything.replace("overflow", ""), word


@pytest.mark.usefixtures("no_pictures")
def test_text_is_escaped(copied: Path) -> None:
    attack = "<script>alert('1')</script>\"&"
    checks = [{"name": attack, "value": 1.0, "limit": 2.0, "unit": attack, "passed": True}]
    edit_metrics(
        copied,
        source=attack,
        command=attack,
        checks=checks,
        versions={attack: attack},
        extra=attack,
    )
    (copied / "config.yaml").write_text(f"data: {{path: '{attack.replace(chr(39), chr(39) * 2)}'}}")
    page = Page(write_report(copied))
    assert not page.all("script")
    assert page.source.count("&lt;script&gt;") >= 8
    assert "alert('1')" in page.text


@pytest.mark.parametrize("file", ["config.yaml", "metrics.json", "history.jsonl", "sensors.csv", "fields.h5"])
def test_a_missing_file_is_named(copied: Path, file: str) -> None:
    (copied / file).unlink()
    with pytest.raises(PinnxError, match=rf"{re.escape(file)}: no such file"):
        write_report(copied)
    assert not list(copied.glob("*report*"))


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(PinnxError, match=r"expected the folder of a run, got .*nowhere"):
        write_report(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.yaml", "a: [", "config.yaml: expected YAML"),
        ("config.yaml", "- 1", "config.yaml: expected names with values, got list"),
        ("metrics.json", "{", "metrics.json: expected JSON"),
        ("metrics.json", "[1]", "metrics.json: expected names with values, got list"),
        ("history.jsonl", "", "history.jsonl: expected at least one logged step"),
        ("history.jsonl", '{"step": 1}\n', "history.jsonl: expected columns loss/"),
        ("sensors.csv", "x,y\n1,2\n", "sensors.csv: expected the header rank,x,y"),
        ("fields.h5", "not HDF5", "fields.h5: expected HDF5"),
    ],
)
@pytest.mark.usefixtures("no_pictures")
def test_a_malformed_file_is_named(copied: Path, file: str, content: str, message: str) -> None:
    (copied / file).write_text(content)
    with pytest.raises(PinnxError, match=re.escape(message)):
        write_report(copied)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("v", "expected a dataset v"),
        ("p", "expected a dataset p"),
        ("x", "expected a dataset x"),
    ],
)
def test_a_missing_field_is_named(copied: Path, name: str, message: str) -> None:
    with h5py.File(copied / "fields.h5", "a") as file:
        del file[name]
    with pytest.raises(PinnxError, match=message):
        write_report(copied)


@pytest.mark.parametrize("name", ["u", "reference/p", "residual/continuity"])
def test_a_field_of_the_wrong_shape_is_named(copied: Path, name: str) -> None:
    with h5py.File(copied / "fields.h5", "a") as file:
        transposed = file[name][...].T
        del file[name]
        file[name] = transposed
    with pytest.raises(PinnxError, match=rf"{name}: expected shape \[33, 25\], got \[25, 33\]"):
        write_report(copied)


@pytest.mark.parametrize("name", ["steady", "grid", "names", "residual_names"])
def test_a_missing_attribute_is_named(copied: Path, name: str) -> None:
    with h5py.File(copied / "fields.h5", "a") as file:
        del file.attrs[name]
    with pytest.raises(PinnxError, match=f"expected an attribute {name}"):
        write_report(copied)


@pytest.mark.parametrize("changes", [{"names": ""}, {"vector": "u"}, {"vector": "u,c"}])
def test_names_that_do_not_fit_together_are_refused(copied: Path, changes: dict[str, str]) -> None:
    with h5py.File(copied / "fields.h5", "a") as file:
        file.attrs.update(changes)
    with pytest.raises(PinnxError, match="expected names of fields, with 2 of them or none in vector"):
        write_report(copied)


def test_points_on_a_line_are_refused(reported: Reported, tmp_path: Path) -> None:
    shutil.copytree(reported("unsteady_scattered"), tmp_path, dirs_exist_ok=True)
    with h5py.File(tmp_path / "fields.h5", "a") as file:
        file["y"][...] = 2 * file["x"][...]
    with pytest.raises(PinnxError, match="expected points that span an area"):
        write_report(tmp_path)


def test_a_diverged_field_still_has_a_report(copied: Path) -> None:
    with h5py.File(copied / "fields.h5", "a") as file:
        file["u"][...] = np.nan
    assert Page(write_report(copied)).all("h1")


def test_a_failed_write_leaves_the_old_report(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (copied / "report.html").write_text("old")

    def full(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("pinnx.report.page._page", lambda run, fields: "new")
    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="disk full"):
        write_report(copied)
    assert (copied / "report.html").read_text() == "old"
    assert [path.name for path in copied.glob("*report*")] == ["report.html"]


def test_two_reports_are_alike_need_no_window_system_and_leave_matplotlib_alone(
    reported: Reported, copied: Path
) -> None:
    code = (
        "import sys, pathlib, matplotlib; from pinnx.report import write_report\n"
        "settings = lambda: {key: matplotlib.rcParams[key] for key in matplotlib.rcParams if key != 'backend'}\n"
        "before = settings()\n"  # to read the backend would import pyplot
        f"write_report(pathlib.Path({str(copied)!r}))\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "assert settings() == before"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert (copied / "report.html").read_bytes() == (reported("steady_grid") / "report.html").read_bytes()


@pytest.mark.parametrize(("lengths", "num_sensors"), [((30.0, 1.0), 1), ((1.0, 12.0), 60)])
def test_slivers_and_any_number_of_sensors_are_drawn(
    lengths: tuple[float, float], num_sensors: int, tmp_path: Path
) -> None:
    axes = tuple(np.linspace(0.0, length, 9) for length in lengths)
    case = replace(CASES["steady_grid"](), points=grid_points(*axes), grid=axes)
    page = Page(write_report(build_run(tmp_path, case, num_sensors)))
    assert page.all("img")
    assert f"from {num_sensors} sensor{'s' if num_sensors > 1 else ''}" in page.text


def test_four_points_are_drawn(tmp_path: Path) -> None:
    case = replace(CASES["steady_grid"](), points=grid_points(*2 * (np.array([0.0, 1.0]),)), grid=None)
    assert Page(write_report(build_run(tmp_path, case, num_sensors=2))).all("img")


def test_one_time_and_a_reconstruction_at_rest(tmp_path: Path) -> None:
    case = replace(CASES["synthetic_unsteady_grid"](), times=np.array([1.0]), pressure_frames=[0])
    build_run(tmp_path, case)
    with h5py.File(tmp_path / "fields.h5", "a") as file:
        for name in ("u", "v", "p", "residual/continuity"):
            file[name][...] = 0.0
    assert len(Page(write_report(tmp_path)).all("img")) == 6
