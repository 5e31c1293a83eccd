"""The command: each bad input is one line on standard error and status 2, and leaves nothing behind."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flow_files import TINY, prepare

from pinnx import __version__
from pinnx.cli import main
from pinnx.cli.reconstruct_command import _beside_norms, _unchecked, _verdicts
from pinnx.data import Snapshots, read_snapshots
from pinnx.doctor import Finding
from pinnx.jobs import reconstruction
from pinnx.runs.folder import RunFolder

Refused = Callable[..., str]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has a working directory of its own, and empty reports."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(reconstruction, "write_report", lambda folder: (folder / "report.html").touch())


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Runs a command that must fail, and returns what it says."""

    def run(*words: str) -> str:
        before = sorted(tmp_path.rglob("*"))
        capsys.readouterr()
        try:
            status = main(words)
        except SystemExit as stop:  # argparse
            status = stop.code
        said = capsys.readouterr().err
        assert status == 2, said
        assert sorted(tmp_path.rglob("*")) == before, "nothing half-written is left behind"
        assert said.count("\n") == 1
        assert said.startswith("pinnx: error: ")
        return said.removeprefix("pinnx: error: ").rstrip()

    return run


def case(name: str) -> list[str]:
    """The words that run a case whose files lie in the working directory."""
    config, data = prepare(Path.cwd(), name)
    return ["reconstruct", config.name, "--data", data.name, "--out", "run", *TINY]


def test_missing_array(refused: Refused) -> None:
    said = refused(*case("unsteady_grid"), "data.arrays.u=velocity_x")
    wanted, held = said.split("; it holds ")
    assert wanted == "u: no array 'velocity_x' in vortices.npz"
    assert all(name in held for name in ("x", "y", "t", "u", "v", "p", "nu"))


def test_wrong_axis_order(refused: Refused) -> None:
    x = np.linspace(0.0, 6.0, 24, endpoint=False)
    a, b = np.meshgrid(x, x, indexing="xy")  # arrays [y, x]
    np.savez("flow.npz", x=x, y=x, u=np.sin(a) * np.cos(2 * b), v=-np.cos(a) * np.sin(2 * b) / 2, nu=0.1)
    Path("c.yaml").write_text("data: {arrays: {nu: nu}, axes: [x, y]}\nsensors: {count: 4, method: random}")
    given = ["reconstruct", "c.yaml", "--data", "flow.npz", "--out", "run", "--quiet", *TINY]
    said = refused(*given)
    assert said.startswith('axes: with ("x", "y") the field is not divergence-free')
    assert 'axes ("y", "x") fits' in said
    assert main([*given, "data.axes=[y, x]"]) == 0


@pytest.mark.parametrize("bad", ["inf", "0_5", "fast"])
def test_measurements_that_are_no_numbers(refused: Refused, bad: str) -> None:
    words = case("steady_csv")
    lines = Path("steady.csv").read_text().splitlines()
    lines[2] = ",".join([*lines[2].split(",")[:3], bad])
    Path("steady.csv").write_text("\n".join(lines))
    assert refused(*words) == f"steady.csv, line 3, column v: expected a finite number, got {bad!r}"


def test_nan_in_snapshots(refused: Refused) -> None:
    words = case("unsteady_grid")
    with np.load("vortices.npz") as file:
        arrays = dict(file)
    arrays["v"][0, 1, 2] = np.nan
    np.savez("vortices.npz", **arrays)
    assert refused(*words) == (
        "u,v: expected values at all times or at none (a body), got 1 of 120 missing (NaN) at some times, at 1 places; "
        "leave these out by data.window or data.times, or fill them in the file"
    )


def test_sensors_outside_the_domain(refused: Refused) -> None:
    given = case("unsteady_grid")
    said = refused(*given, "sensors.method=positions", "sensors.positions=[[0.5, 0.5], [3.0, 0.5]]")
    assert "sensor 2" in said
    assert "3" in said
    said = refused(*case("unsteady_csv"), "domain.x=[0, 0.5]")
    assert "expected sensors inside domain.x = [0, 0.5], got x = " in said


@pytest.mark.parametrize("nu", ["0", "-0.1", ".nan", "water"])
def test_viscosity_that_is_none(refused: Refused, nu: str) -> None:
    said = refused(*case("unsteady_grid"), f"flow.nu={nu}")
    assert said.startswith("flow.nu: expected a number > 0 or null, got ")


def test_viscosity_of_a_file_that_is_none(refused: Refused) -> None:
    words = case("unsteady_grid")
    with np.load("vortices.npz") as file:
        np.savez("vortices.npz", **(dict(file) | {"nu": -0.1}))
    assert refused(*words) == "nu: expected a viscosity > 0, got -0.1"


def test_words_that_mean_nothing(refused: Refused) -> None:
    given = case("unsteady_grid")
    assert refused(*given, "train.stesp=3") == "train.stesp: unknown key; did you mean train.steps?"
    assert refused("reconstruct", "cavty", "--out", "run") == (
        "cavty: expected a YAML file or a preset (case1, case2, case3, case4, cavity, channel, demo, wake), got neither"
    )
    assert refused(*given, "train.steps", "5") == "override 'train.steps': expected key=value"
    assert refused("demo", "cavity") == "override 'cavity': expected key=value"
    assert refused("doctor", "please") == "unrecognized arguments: please (see pinnx --help)"
    assert refused(*given, "--fast") == "unrecognized arguments: --fast (see pinnx --help)"
    assert refused("reconstrct").startswith("argument COMMAND: invalid choice: 'reconstrct'")
    assert refused(*given, "--data").startswith("argument --data: expected one argument")
    assert refused().startswith("the following arguments are required: COMMAND")


def test_files_that_are_not_there(refused: Refused) -> None:
    words = case("unsteady_grid")
    here = Path.cwd()
    Path("vortices.npz").rename("elsewhere.npz")
    assert refused(*words) == f"{here / 'vortices.npz'}: no such file"
    assert refused("reconstruct", "cavity", "--data", "no.csv", "--out", "run", "data.path=null").endswith(
        "no.csv: no such file"
    )
    Path("notes.txt").touch()
    assert "notes.txt" in refused("reconstruct", "cavity", "--data", "notes.txt", "--out", "run")
    assert "expected a YAML file" in refused("reconstruct", str(here), "--out", "run")


def test_a_source_is_needed_and_only_one(refused: Refused) -> None:
    said = refused("reconstruct", "cavity", "--out", "run")
    assert said == "data: expected exactly one of path, measurements, synthetic, got none"
    assert refused("reconstruct", "cavity").startswith("reconstruct: expected --out DIR, got none")
    assert refused("reconstruct", "--out", "run").startswith("reconstruct: expected a preset or a configuration, got")


def test_a_folder_that_holds_a_run(refused: Refused) -> None:
    words = case("unsteady_grid")
    for name in ("config.yaml", "checkpoints"):
        Path("run").mkdir(exist_ok=True)
        (Path("run") / name).write_text("precious")
    said = refused(*words)
    assert said == (
        "run: expected a folder without a run, found config.yaml, checkpoints; choose another --out, "
        "or continue this run: pinnx resume run"
    )
    assert (Path("run") / "config.yaml").read_text() == "precious"
    assert "expected a folder for the run, got a file" in refused(*words, "--out", "vortices.npz")


def test_resume_stands_alone(refused: Refused) -> None:
    for extra, got in ((["cavity"], "config"), (["train.steps=9"], "overrides"), (["--out", "b"], "out")):
        wanted = f"--resume: expected no other options, as a resumed run keeps its settings; got {got}"
        assert refused("reconstruct", "--resume", "run", *extra) == wanted
    assert "found no config.yaml in it" in refused("reconstruct", "--resume", "run")
    assert "argument --resume: expected one argument" in refused("reconstruct", "--resume")
    wanted = "resume: expected the folder of a run and no setting, as a run keeps its own; got "
    assert refused("resume") == f"{wanted}none"
    assert refused("resume", "run", "train.steps=9") == f"{wanted}the setting train.steps=9"
    Path("a=b").mkdir()
    assert "a=b: expected the folder of an interrupted run" in refused("resume", "a=b", "--step", "3")


def test_verdicts_are_listed_by_name() -> None:
    def said(**statuses: str) -> str:
        return _verdicts({"checks": [{"name": name, "status": status} for name, status in statuses.items()]})

    assert said(a="passed") == "all checks passed"
    assert said(a="failed", b="passed", c="warning", d="failed") == "checks failed: a, d; with a warning: c"
    assert said(c="warning") == "with a warning: c"


def test_why_a_check_could_not_be_made_is_printed() -> None:
    checks = [
        {"name": "a", "status": "not checked", "note": "the sensors leave it open"},
        {"name": "b", "status": "not checked", "note": ""},
        {"name": "c", "status": "passed", "note": "far below"},
    ]
    assert list(_unchecked({"checks": checks})) == ["a not checked: the sensors leave it open"]


def test_sides_without_a_velocity_stand_beside_the_estimates() -> None:
    def shown(*free: str) -> str:
        (line,) = _beside_norms(
            {"beside_norms": None, "forces": [], "error_estimates": {"residual": 0.01}, "free_sides": list(free)}
        )
        return line

    assert shown().endswith("no bounds: residual 0.01")
    assert shown("right").endswith("; they do not see errors at sides whose velocity is not given: right")


def test_a_run_from_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(case("unsteady_grid")) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    for part in (
        "choosing 4 sensors on 30 points",
        "step 6/6",
        "relative L2 error: velocity ",
        "; worst component: ",
        f"report: {Path('run')}",
    ):
        assert part in shown.out
    assert sorted(p.name for p in Path("run").iterdir()) == sorted(RunFolder.FILES)
    assert main(["resume", "run"]) == main(["reconstruct", "--resume", "run"]) == 2, "it has ended"


@pytest.mark.parametrize(
    "line",
    [
        "reconstruct {config} --data {data} --out run {set}",
        "reconstruct {set} {config} --data {data} --out run",
        "reconstruct --out run {set} --data {data} {config} --quiet",
        "reconstruct --data {data} {config} {set} --out run train.lr=1e-3",
    ],
)
def test_words_may_stand_anywhere(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    config, data = prepare(Path.cwd(), "steady_csv")
    assert main(line.format(config=config, data=data, set=" ".join(TINY)).split()) == 0
    shown = capsys.readouterr().out
    assert (shown == "") == ("--quiet" in line)
    assert "steps: 6" in (Path("run") / "config.yaml").read_text()


def test_a_file_with_an_equals_sign_is_a_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    config, data = prepare(Path.cwd(), "steady_csv")
    config.rename("lr=1.yaml")
    assert main(["reconstruct", "lr=1.yaml", "--data", str(data), "--out", "run", *TINY, "--quiet"]) == 0


@pytest.mark.filterwarnings("default")
def test_warnings_are_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    words = case("steady_grid")
    x = np.linspace(0.0, 1.0, 6)
    np.savez("uniform.npz", x=x, y=x, u=np.ones((6, 6)), v=np.zeros((6, 6)), p=np.zeros((6, 6)), nu=0.1)

    def warned(*given: Any, **more: Any) -> Snapshots:
        warnings.warn("odd", stacklevel=2)
        return read_snapshots(*given, **more)

    monkeypatch.setattr("pinnx.jobs.cases.load_case.read_snapshots", warned)
    assert main([*words, "--data", "uniform.npz", "--quiet"]) == 0
    assert capsys.readouterr().err == "pinnx: warning: odd\n"
    # What is odd about the input is no warning: it is kept.
    said, corner = json.loads(Path("run", "metrics.json").read_text())["notes"]
    assert said.startswith("The velocity is uniform")
    assert "no Stokes flow is added" in corner


@pytest.mark.parametrize("command", [[], ["reconstruct"], ["resume"], ["demo"], ["doctor"]])
def test_help(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([*command, "--help"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: {' '.join(['pinnx', *command])}")


def test_doctor_says_what_it_found(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["doctor"]) in (0, 1)  # 1 where there is a GPU and no kernels for it
    assert "instruction set: " in capsys.readouterr().out
    for finding, status, shown in (
        (Finding("rich", "15.0"), 0, "ok       rich: 15.0\n"),
        (Finding("rich", "gone", ok=False, remedy="get it"), 1, "MISSING  rich: gone\n         -> get it\n"),
    ):
        monkeypatch.setattr("pinnx.doctor.findings", lambda finding=finding: iter([finding]))
        assert main(["doctor"]) == status
        assert capsys.readouterr().out == shown


def test_the_process_itself() -> None:
    """One line, no traceback, status 2, from the real process."""
    given = [sys.executable, "-m", "pinnx", "reconstruct", "cavity", "--data", "no.mat", "--out", "run"]
    done = subprocess.run(given, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, f"reading {Path.cwd() / 'no.mat'}\n")
    assert done.stderr == f"pinnx: error: {Path.cwd() / 'no.mat'}: no such file\n"
    version = subprocess.run([*given[:3], "--version"], capture_output=True, text=True, check=True)
    assert version.stdout == f"pinnx {__version__}\n"


@pytest.mark.parametrize("size", [300, 5000])
def test_arguments_of_any_length(refused: Refused, size: int) -> None:
    """An override is no name of a file, and a name that no file can have is said to be none."""
    words = case("steady_csv")
    places = ", ".join(["[0.5, 0.25]"] * (size // 12))
    assert "sensors" in refused(*words, f"sensors.positions=[{places}]", "sensors.noise=0.1")
    name = "n" * size
    assert refused("reconstruct", name, "--out", "run").startswith(f"{name}: expected a YAML file")
    assert refused(*words, f"no.key.{name}=1").startswith(f"no.key.{name}: unknown key")
    assert "no such file" in refused(
        "reconstruct", "demo", "--data", f"{name}.npz", "data.synthetic=null", "--out", "run"
    )
    assert "no such file" in refused("sensors", f"{name}.h5", "--memory-limit", "1GB")
    assert name in refused("reconstruct", "demo", "--sensors", f"{name}.csv", "--out", "run")
    assert name in refused(*(name if word == "run" else word for word in words))
    assert name in refused("reconstruct", "--resume", name)
    assert name in refused("sensors", "no.npz", "--plot", f"{name}/a.png")
    for command in ("verify", "compare", "resume", "inspect", "breakage", "reference"):
        assert refused(command, name)
    assert refused("baseline", "run", f"{name}=1", "--out", "b.json").startswith("run: expected ")
    said = refused("baseline", "run", "--out", name)
    assert said == f"expected names of files and folders, got one of {size:,} letters"


@pytest.mark.parametrize("words", [["verify", "two\nlines"], ["inspect", "two\nlines.h5"]])
def test_a_name_of_two_lines_is_shown_in_one(refused: Refused, words: list[str]) -> None:
    assert "two lines" in refused(*words)


def test_a_training_that_failed_shows_in_the_exit_status(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pinnx.jobs.judging.metrics.YOUNG", 6)
    assert main([*case("steady_grid"), "train.lr=0.3", "--quiet"]) == 1
    assert capsys.readouterr().err.startswith("pinnx: the training has failed: at the sensors the network is ")
    assert (Path("run") / "metrics.json").exists()


def test_forces_are_printed_with_the_name_of_their_body() -> None:
    forces = [{"name": name, "drag": drag, "lift": 0.1} for name, drag in (("rib1", 0.5), ("rib2", 0.25))]
    lines = list(_beside_norms({"beside_norms": None, "forces": forces, "error_estimates": {}, "free_sides": []}))
    assert lines == ["drag of rib1: 0.5; lift: 0.1", "drag of rib2: 0.25; lift: 0.1"]
