"""`pinnx sensors --memory-limit`: files beyond it are read in blocks, with the answer of the whole, or refused."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from pinnx.cli import main
from pinnx.errors import PinnxError
from pinnx.jobs.placing.sensors_input import parse_size, shown_size
from pinnx.sensors import SensorSet

MIB = 2**20
NUM_TIMES, NX, NY = 150, 300, 200


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 150 frames [t, y, x] of two quantities of 12 waves, 72 MB, y falling."""
    rng = np.random.default_rng(0)
    x, y = np.linspace(0.0, 2.0, NX), np.linspace(1.0, -1.0, NY)
    mesh = np.meshgrid(y, x, indexing="ij")
    waves = [(a, b) for a in range(1, 5) for b in range(3)]
    # Six modes stand out, so that the two ways to find them agree to far below the distance of two pivots.
    sizes = 0.8 ** np.arange(12) * np.repeat([1.0, 1e-2], 6)
    path = tmp_path_factory.mktemp("files") / "flow.h5"
    with h5py.File(path, "w") as file:
        file["x"], file["y"] = x, y
        file["w"] = np.where(mesh[1] < 1.0, 1.0, 1e-3)
        for name, shift in (("q", 0.0), ("r", 1.0)):
            shapes = np.stack([np.sin(a * mesh[1] + 2 * b * mesh[0] + shift * a) for a, b in waves])
            values = 3.0 + (rng.normal(size=(NUM_TIMES, 12)) * sizes) @ shapes.reshape(12, -1)
            file[name] = values.reshape(NUM_TIMES, NY, NX).astype(np.float32)
    return path


def figures(out: str) -> list[float]:
    """All numbers of the tables; the last digit may be rounded the other way."""
    return [
        float(word) for word in out[out.index("┏") :].split("written")[0].split() if re.fullmatch(r"-?[\d.]+", word)
    ]


@pytest.mark.parametrize(
    ("variable", "more"),
    [
        ("q,r", []),
        ("q", ["--subtract-mean", "--weights", "w", "sensors.area_weighted=false", "--hold-out", "0"]),
        ("q,r", ["--basis", "randomized", "--method", "randomized"]),
        ("q", ["--method", "interpolation"]),
    ],
    ids=str,
)
def test_the_answer_of_the_whole(
    flow: Path, variable: str, more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["sensors", str(flow), "--variable", variable, "data.axes=[t,y,x]", "--count", "6", "--modes", "6", *more]
    shown = []
    for name, limit in (("whole", []), ("blocks", ["--memory-limit", "90MB"])):
        assert main([*words, "--out", f"{name}.csv", *limit]) == 0
        shown.append(capsys.readouterr().out)
    assert ["in blocks" in out for out in shown] == [False, True]
    whole, blocks = (SensorSet.read_csv(f"{name}.csv").positions for name in ("whole", "blocks"))
    np.testing.assert_array_equal(blocks, whole)
    assert len(figures(shown[0])) >= 6
    assert figures(shown[1]) == pytest.approx(figures(shown[0]), rel=2e-3)
    assert ("error on" in shown[1]) == ("--hold-out" not in more)


def test_a_file_within_the_limit_is_read_whole(flow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["sensors", str(flow), "--variable", "q", "data.axes=[t,y,x]", "--modes", "6", "--hold-out", "0"]
    shown = []
    for name, limit in (("whole", []), ("fits", ["--memory-limit", "2GB"])):
        assert main([*words, "--out", f"{name}.csv", *limit]) == 0
        shown.append(capsys.readouterr().out)
    assert "in blocks" not in shown[1]
    assert Path("fits.csv").read_bytes() == Path("whole.csv").read_bytes()
    assert figures(shown[1]) == figures(shown[0])


def test_picture_and_cache(flow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["sensors", str(flow), "--variable", "q", "data.axes=[t,y,x]", "--memory-limit", "60MB", "--cache"]
    for number, found in enumerate((False, True)):
        assert main([*words, "--plot", f"{number}.png", "--out", f"{number}.csv"]) == 0
        shown = capsys.readouterr().out
        assert ("the choice was in the cache" in shown) == found
        assert "The picture shows the first snapshot" in shown
    assert Path("0.csv").read_bytes() == Path("1.csv").read_bytes()
    assert Path("0.png").read_bytes().startswith(b"\x89PNG")


def test_a_nan_in_the_file(flow: Path, tmp_path: Path, refused: Callable[..., str]) -> None:
    wrong = tmp_path / "wrong.h5"
    for frame in (2, 3):  # the first is held out of the second choice
        wrong.write_bytes(flow.read_bytes())
        with h5py.File(wrong, "r+") as file:
            file["q"][frame, 5, 5] = np.nan
        said = refused(str(wrong), "--variable", "q", "data.axes=[t,y,x]", "--memory-limit", "60MB")
        assert said.startswith("q: expected values at all times or at none (a body), got 1 of ")


def test_refuses(flow: Path, refused: Callable[..., str]) -> None:
    given = ["--variable", "q", "data.axes=[t,y,x]"]
    for size in ("lots", "0", "12 apples", "MB"):
        assert refused(str(flow), *given, "--memory-limit", size) == (
            f"--memory-limit: expected a size such as 512MB or 1.5GiB, got {size!r}"
        )
    assert refused(str(flow), *given, "--memory-limit", "5MB").startswith("memory_limit: expected at least ")
    assert refused(str(flow), "--memory-limit", "60MB", "data.arrays.u=q", "data.arrays.v=r").startswith(
        "--memory-limit: expected at least 576MB, as a flow is read whole, got 60MB; --variable"
    )
    with h5py.File(flow) as file:
        arrays = {name: file[name][:] for name in ("x", "y", "q")}
    with h5py.File("turned.h5", "w") as turned:
        turned["x"], turned["y"], turned["q"] = arrays["x"], arrays["y"], arrays["q"].transpose(1, 2, 0)
    with h5py.File("v73.mat", "w") as matlab:
        matlab["x"], matlab["y"], matlab["q"] = arrays["x"], arrays["y"], arrays["q"]
    np.savez("flow.npz", **arrays)
    assert refused("flow.npz", *given, "--memory-limit", "60MB") == (
        "--memory-limit: expected at least 109MB, as a .npz file is read whole, got 60MB; --variable NAME of an HDF5 "
        "file is read in blocks"
    )
    for size in ("1kB", "108.6MB", "7"):  # another number than what is wanted, never above what was given
        said = refused("flow.npz", *given, "--memory-limit", size)
        assert ", got " + {"108.6MB": "108MB", "7": "7B"}.get(size, size) + ";" in said
    assert "as a .mat file is read whole" in refused("v73.mat", "--variable", "q", "--memory-limit", "60MB")
    assert refused("turned.h5", "--variable", "q", "data.axes=[y,x,t]", "--memory-limit", "60MB").startswith(
        "q: expected the time as the first axis, to be read in blocks, got ('y', 'x', 't')"
    )
    assert refused(str(flow), "--variable", "q[:100]", "--memory-limit", "60MB").startswith(
        "q[:100]: expected a whole array, to be read in blocks"
    )
    assert main(["sensors", "flow.npz", *given, "--memory-limit", "1GB", "--quiet"]) == 0


@pytest.mark.parametrize(
    ("text", "size"),
    [("512MB", 512 * 10**6), ("1.5 GiB", 3 * 2**29), ("2g", 2 * 10**9), ("70000", 70_000), ("9KB", 9000), ("12B", 12)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size
    assert parse_size(shown_size(size)) >= size


def test_sizes_that_are_none() -> None:
    for text in ("MB", "", "-3MB", "1.2.3MB", "5 PB", "1e9", "nan"):
        with pytest.raises(PinnxError, match="--memory-limit: expected a size"):
            parse_size(text)


PEAK = """
    import json, sys
    import h5py, numpy as np
    from pinnx.cli import main
    path, limit, *more = sys.argv[1:]
    rng = np.random.default_rng(0)
    with h5py.File("warm.h5", "w") as file:
        file["xy"], file["u"] = rng.uniform(size=(3000, 2)), rng.normal(size=(100, 3000)).astype(np.float32)
    words = ["--variable", "u", "--count", "6", "--quiet", "--overwrite", "--out", "s.csv", *more]
    assert main(["sensors", "warm.h5", *words]) == 0

    def peak():
        return int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1]) * 1024

    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    before = peak()
    assert main(["sensors", path, *words, *(["--memory-limit", limit] if limit != "none" else [])]) == 0
    print(json.dumps(peak() - before))
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """320 MB: 800 frames of 100,000 scattered places."""
    rng = np.random.default_rng(0)
    left = (rng.normal(size=(800, 12)) * 0.7 ** np.arange(12)).astype(np.float32)
    right = rng.normal(size=(12, 100_000)).astype(np.float32)
    path = tmp_path_factory.mktemp("large") / "flow.h5"
    with h5py.File(path, "w") as file:
        file["xy"] = rng.uniform(size=(100_000, 2))
        data = file.create_dataset("u", (800, 100_000), np.float32)
        for begin in range(0, 800, 100):
            data[begin : begin + 100] = left[begin : begin + 100] @ right
    return path


def peak(large: Path, limit: str, *more: str) -> int:
    words = [sys.executable, "-c", textwrap.dedent(PEAK), str(large), limit, *more]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("more", [[], ["--basis", "randomized", "--method", "randomized", "--cache"]], ids=str)
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak is set back through /proc, on Linux")
def test_the_limit_holds(large: Path, more: list[str]) -> None:
    """A file of 320 MB, 80 MiB allowed; figures and files included."""
    assert peak(large, "80MiB", *more) <= 80 * MIB


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak is set back through /proc, on Linux")
def test_without_a_limit_it_takes_more(large: Path) -> None:
    """The measurement sees what is held; and files that are read whole take three times their size at most."""
    assert 320_000_000 < peak(large, "none") < 3 * 320_000_000
