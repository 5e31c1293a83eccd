"""`pinnx sensors`: what it writes, what it says, what it refuses, and that a reconstruction takes its file."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields as fields_of
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from flow_files import TINY, prepare

from pinnx.cli import main
from pinnx.config import load_config
from pinnx.data.quantities import read_fields
from pinnx.data.synthetic import periodic_flow
from pinnx.errors import PinnxError
from pinnx.jobs import reconstruction
from pinnx.jobs.cases.load_case import load_case
from pinnx.jobs.placing.sensors import _notes, choose_sensors, held_out_frames
from pinnx.sensors import SensorSet, select_sensors
from pinnx.sensors.selection import Selection


def test_writes_sensors_and_a_picture(heat: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["sensors", heat, "--variable", "temperature", "--count", "4"]
    assert main([*words, "--plot", "places.png", "--out", "places.csv"]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    sensors = SensorSet.read_csv("places.csv")
    assert len(sensors) == 4
    with np.load(heat) as file:
        points = file["xy"]
    assert (np.abs(sensors.positions[:, None] - points).sum(axis=2).min(axis=1) == 0.0).all()
    assert Path("places.png").read_bytes().startswith(b"\x89PNG")
    for part in ("places by 20", "log volume", "condition number", "worst error amplification",
                 "held-out", "median of 20", "written: places.csv", "written: places.png"):  # fmt: skip
        assert part in shown.out
    assert not list(Path.cwd().glob("*.part"))


def test_the_figures_say_that_the_choice_is_good(heat: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["sensors", heat, "--variable", "temperature", "--count", "4", "--method", "qr"])
    rows = {
        row[0].strip(): row[1:]
        for row in (line.split("│")[1:-1] for line in capsys.readouterr().out.splitlines())
        if row
    }
    for name in ("condition number", "worst error amplification"):
        chosen, random = (float(cell) for cell in rows[name])
        assert chosen < random
    chosen, random = (float(cell) for cell in rows["log volume"])
    assert chosen > random
    assert {"1", "2", "3", "4"} <= rows.keys(), "the places, as no file was asked for"


def test_the_same_words_give_the_same_file_and_the_cache_the_same_again(
    heat: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["sensors", heat, "--variable", "temperature", "--count", "5"]
    shown = []
    for number, more in enumerate(([], ["--cache"], ["--cache"], ["--cache", "elsewhere"])):
        assert main([*words, *more, "--out", f"{number}.csv"]) == 0
        shown.append(capsys.readouterr().out)
        assert Path(f"{number}.csv").read_bytes() == Path("0.csv").read_bytes()
    assert ["the choice was in the cache" in out for out in shown] == [False, False, True, False]
    tables = [out[out.index("┏") :].replace(f"{number}.csv", "") for number, out in enumerate(shown)]
    assert len(set(tables)) == 1
    # One choice by all snapshots, and one without those held out.
    assert len(list(Path("cache").iterdir())) == len(list(Path("elsewhere").iterdir())) == 2
    assert main([*words, "--seed", "1", "--cache", "--quiet"]) == 0
    assert len(list(Path("cache").iterdir())) == 4, "another parameter is another entry"


def test_options_reach_the_choice(heat: str) -> None:
    def places(*more: str) -> np.ndarray:
        assert (
            main(
                [
                    "sensors",
                    heat,
                    "--variable",
                    "temperature",
                    "--method",
                    "qr",
                    "--quiet",
                    "--out",
                    "s.csv",
                    "--overwrite",
                    *more,
                ]
            )
            == 0
        )
        return SensorSet.read_csv("s.csv").positions

    plain = places("--count", "6")
    gaps = np.linalg.norm(plain[:, None] - plain, axis=2)[np.triu_indices(6, 1)]
    apart = places("--count", "6", "--min-distance", "0.4")
    assert np.linalg.norm(apart[:, None] - apart, axis=2)[np.triu_indices(6, 1)].min() >= 0.4 > gaps.min()
    np.testing.assert_array_equal(places("--count", "3"), places("--count", "3", "--method", "exact"))
    assert len(places("--count", "3", "--method", "randomized", "--basis", "identity")) == 3
    assert len(places("--count", "3", "--method", "randomized", "--basis", "randomized", "--modes", "3")) == 3
    assert not np.array_equal(places("--count", "4"), places("--count", "4", "--subtract-mean"))
    for method in ("coverage", "lattice", "farthest", "random"):
        assert len(places("--count", "5", "--method", method, "sensors.margin=0.1")) == 5


def test_held_out_snapshots_take_no_part_in_their_error(heat: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The error is that of a choice and of modes from the other snapshots; the sensors are chosen by all."""
    assert main(["sensors", heat, "--variable", "temperature", "--count", "3", "--out", "s.csv"]) == 0
    shown = capsys.readouterr().out
    fields = read_fields(heat, ["temperature"])
    held = held_out_frames(20, 0.2)
    assert np.flatnonzero(held).tolist() == [2, 7, 12, 17]
    selection = Selection(3)
    candidates = selection.candidates(fields)
    error = selection.fit(fields.values[~held], candidates).quality(fields.values[held]).held_out_error
    (row,) = (line for line in shown.splitlines() if "error on" in line)
    assert f"{100 * error:.3g} %" in row
    np.testing.assert_array_equal(SensorSet.read_csv("s.csv").positions, select_sensors(fields, 3).positions)


def test_both_commands_choose_the_same_sensors(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> None:
    """With their defaults, on scattered points and on a grid, in the same order."""
    flow = periodic_flow(resolution=(24, 20), num_frames=12, max_wavenumber=3.5)
    x, y = flow.grid_lines
    arrays = {name: flow.velocity[..., axis].reshape(12, 24, 20) for axis, name in enumerate("uv")}
    np.savez("grid.npz", x=x, y=y, t=flow.times, **arrays)
    grid = ["data.arrays.t=t", "data.axes=[t, x, y]", "flow.nu=0.01"]
    wake = str(data_dir / "cylinder_wake_re100.h5")
    for path, settings, preset in (("grid.npz", grid, None), (wake, [], "wake")):
        words = ["sensors", path, *settings, *(["--config", preset] if preset else [])]
        words = [word for word in words if not word.startswith("flow.")]
        assert main([*words, "--out", "chosen.csv", "--overwrite", "--quiet"]) == 0
        config = load_config(preset, [*settings, ("data.path", path)])
        np.testing.assert_array_equal(SensorSet.read_csv("chosen.csv").positions, load_case(config).sensors.positions)


def test_the_demo_has_its_sensors(rng: np.random.Generator) -> None:
    config = load_config("demo")
    case = load_case(config)
    assert case.reference is not None
    selection = Selection(**config.sensors.model_dump(exclude={"noise", "positions", "weight"}))
    chosen = choose_sensors(case.reference, selection).sensors
    np.testing.assert_array_equal(chosen.positions, case.sensors.positions)


def test_one_snapshot_has_no_modes_to_pivot() -> None:
    """A network would get sensors that stand side by side; every other method serves."""
    flow = periodic_flow(resolution=(24, 20), num_frames=2, max_wavenumber=3.5)
    x, y = flow.grid_lines
    np.savez("steady.npz", x=x, y=y, **{name: flow.velocity[0, :, i].reshape(24, 20) for i, name in enumerate("uv")})
    given = ["data.path=steady.npz", "data.axes=[x, y]", "flow.nu=0.01", "sensors.count=5"]
    with pytest.raises(PinnxError, match=r"sensors\.method: expected interpolation, .* for a single snapshot"):
        load_case(load_config(None, [*given, "sensors.method=qr"]))
    for method in ("interpolation", "coverage", "lattice", "random"):
        assert len(load_case(load_config(None, [*given, f"sensors.method={method}"])).sensors) == 5


def test_the_defaults_are_those_of_the_configuration() -> None:
    defaults = {field.name: field.default for field in fields_of(Selection)}
    given = ["data.path=steady.npz", "flow.nu=0.01", "sensors.count=5"]
    section = load_config(None, given).sensors.model_dump()  # with the seed at the top
    shared = section.keys() & defaults.keys() - {"count"}
    assert shared == section.keys() - {"count", "noise", "positions", "weight"}
    assert {name: section[name] for name in shared} == {name: defaults[name] for name in shared}


def test_a_reconstruction_takes_the_file(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(reconstruction, "write_report", lambda folder: (folder / "report.html").touch())
    for name in ("unsteady_grid", "steady_grid"):
        config, data = prepare(Path.cwd(), name)
        flow = ["data.arrays.nu=nu", "data.axes=[t, x, y]", "data.arrays.t=t"]
        words = flow if name == "unsteady_grid" else ["data.axes=[x, y]"]
        assert main(["sensors", *words, data.name, "--count", "3", "--out", f"{name}.csv"]) == 0
        assert (
            main(["reconstruct", config.name, "--data", data.name, "--sensors", f"{name}.csv", "--out", name, *TINY])
            == 0
        )
        assert (Path(name) / "sensors.csv").read_bytes() == Path(f"{name}.csv").read_bytes()
        assert "method: positions" in (Path(name) / "config.yaml").read_text()
    capsys.readouterr()
    assert main(["reconstruct", config.name, "--data", data.name, "--sensors", "none.csv", "--out", "no"]) == 2
    assert "none.csv: no such file" in capsys.readouterr().err
    assert main(["reconstruct", "--resume", "no", "--sensors", "a.csv"]) == 2


def test_a_preset_says_which_array_is_what(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wake = str(data_dir / "cylinder_wake_re100.h5")
    assert main(["sensors", wake, "--config", "wake", "--count", "8", "--out", "wake.csv", "--plot", "wake.png"]) == 0
    places = SensorSet.read_csv("wake.csv").positions
    assert ((places >= [1.0, -2.0]) & (places <= [7.0, 2.0])).all()
    assert "12 held-out snapshots" in capsys.readouterr().out.replace("\u00a0", " ")


def test_standard_case(data_dir: Path) -> None:
    words = ["sensors", str(data_dir / "otp_temperature.npz"), "--variable", "temperature", "--quiet"]
    assert main([*words, "--count", "12", "--plot", "otp.png", "--out", "otp.csv"]) == 0
    assert len(SensorSet.read_csv("otp.csv")) == 12


@pytest.mark.parametrize(
    ("condition", "rank", "modes", "said"),
    [
        (np.inf, 2, 9, "some of the 9 modes none sees"),
        (40.0, 2, 9, "The first 2 sensors see all 9 modes;"),
        (1.0, 1, 1, "The first sensor sees the one mode;"),
    ],
)
def test_sensors_that_see_the_same_do_not_see_all_modes_by_that(
    condition: float, rank: int, modes: int, said: str
) -> None:
    """Eight in a round vortex, at two distances from its middle, were said to see all nine modes."""
    quality = SimpleNamespace(num_modes=modes, condition=condition)
    chosen = SimpleNamespace(num_held_out=2, weights=None, rank=rank, sensors=range(8), quality=quality, num_used=11)
    assert any(said in note.replace("\u00a0", " ") for note in _notes(chosen))


def test_places_far_from_the_origin_are_shown_apart(heat: str, capsys: pytest.CaptureFixture[str]) -> None:
    with np.load(heat) as file:
        np.savez("utm.npz", xy=file["xy"] + 5e5, temperature=file["temperature"])
    assert main(["sensors", "utm.npz", "--variable", "temperature", "--count", "4"]) == 0
    rows = [line.split("│")[2:4] for line in capsys.readouterr().out.splitlines() if line.startswith("│    ")]
    shown = {tuple(float(cell) for cell in row) for row in rows}
    assert len(rows) == len(shown) == 4
    assert all(x > 5e5 and y > 5e5 for x, y in shown)


def test_few_snapshots_are_said(heat: str, capsys: pytest.CaptureFixture[str]) -> None:
    with np.load(heat) as file:
        np.savez("one.npz", xy=file["xy"], few=file["temperature"][:3], one=file["temperature"][0])
    assert main(["sensors", "one.npz", "--variable", "few", "--count", "2"]) == 0
    shown = capsys.readouterr().out
    assert "No snapshot was held out" in shown
    assert "held-out snapshots" not in shown
    assert main(["sensors", "one.npz", "--variable", "one", "--count", "2", "--plot", "one.png"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "One snapshot has one mode" in shown
    assert "The first sensor sees the one mode" in shown


def test_nothing_is_overwritten_silently(heat: str, refused: Callable[..., str]) -> None:
    words = [heat, "--variable", "temperature", "--count", "3"]
    for option, name in (("--out", "kept.csv"), ("--plot", "kept.png")):
        Path(name).write_text("precious")
        said = refused(*words, option, name)
        assert said == f"{option}: {name} exists; expected another name, or --overwrite"
    Path("folder.csv").mkdir()
    assert "folder.csv exists" in refused(*words, "--out", "folder.csv", "--overwrite")
    assert main(["sensors", *words, "--out", "kept.csv", "--overwrite", "--quiet"]) == 0
    assert Path("kept.csv").read_text().startswith("rank,x,y\n")


def test_refuses(heat: str, refused: Callable[..., str]) -> None:
    given = [heat, "--variable", "temperature"]
    assert refused() == "sensors: expected a file of snapshots, got none (see pinnx sensors --help)"
    for unused in ("sensors.noise=0.1", "data.noise.u=1", "data.path=other.npz"):
        assert f"override '{unused}': expected a setting of data, sensors, but none of data.path" in refused(
            *given, unused
        )
    both = refused(*given, "--count", "3", "sensors.count=4")
    assert both == "sensors.count: expected the setting or the option of the same name, got both"
    assert refused("no.npz", "--variable", "a") == "no.npz: no such file"
    assert refused(heat, "--variable", "heat").startswith("variable: no array 'heat' in heat.npz; it holds")
    assert refused(heat).startswith("x: no array 'x' in heat.npz")
    assert refused(*given, "--count", "0") == "sensors.count: expected an integer >= 1, got 0"
    assert refused(*given, "--method", "qr", "--count", "200").startswith("n_sensors: expected 1 to 150")
    assert "150" in refused(*given, "--method", "qr", "--count", "150"), "two of the places are one"
    assert refused(*given, "--count", "three").startswith("argument --count: invalid int value: 'three'")
    assert refused(*given, "--hold-out", "0.9") == "hold-out: expected a fraction from 0 to 0.5, got 0.9"
    assert refused(*given, "--out", "a.txt") == "--out: expected a file that ends in .csv, got a.txt"
    assert refused(*given, "--plot", "a.jpg") == "--plot: expected a file that ends in .png, got a.jpg"
    assert refused(*given, "--out", "no/a.csv") == "--out: expected a folder that exists, got no"
    assert refused(*given, "data.window.x=[0,1]") == (
        "--variable: expected no setting of data but data.axes, got data.window.x=[0,1]"
    )
    assert (
        refused(*given, "--config", "wake")
        == "--variable: expected no setting of data but data.axes, got --config wake"
    )
    assert refused(heat, "--points", "xy").startswith("--points: expected together with --variable")
    assert refused(heat, "train.steps=3") == (
        "override 'train.steps=3': expected a setting of data, sensors; it would change nothing"
    )
    assert refused(heat, "data.aray=3").startswith("data.aray: unknown key; did you mean")
    assert refused(heat, "more.npz") == "override 'more.npz': expected key=value"
    assert refused(*given, "--method", "magic").startswith("sensors.method: expected one of interpolation, ")


def test_a_field_with_a_hole_in_its_numbers(heat: str, refused: Callable[..., str]) -> None:
    with np.load(heat) as file:
        arrays = dict(file)
    arrays["temperature"][3, 5] = np.nan
    np.savez(heat, **arrays)
    said = refused(heat, "--variable", "temperature")
    assert said == (
        "temperature: expected values at all times or at none (a body), got 1 of 3,000 missing (NaN) at some times, "
        "at 1 places; fill them in the file"
    )


def test_help_needs_no_packages() -> None:
    """Neither torch nor NumPy: help works where the installation is broken."""
    script = (
        "import sys; sys.modules['torch'] = sys.modules['numpy'] = sys.modules['rich'] = None\n"
        "from pinnx.cli import main; main(['sensors', '--help'])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: pinnx sensors")
