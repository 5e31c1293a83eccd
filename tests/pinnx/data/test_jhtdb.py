"""Cut-outs in chunks: resumed, checked and tried again, without the network; nothing is made up."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest

from pinnx.data import DataMapping, jhtdb, read_snapshots
from pinnx.errors import PinnxError

BOX: dict[str, Any] = {"x": (3, 9), "y": (1, 5), "z": (2, 5), "times": (2, 4), "step": 0.5, "wait_s": 0.0, "retries": 2}


class Service:
    """Answers with the index of x, y, z times that of the time, or fails as it is asked to."""

    def __init__(self, *failures: Any) -> None:
        self.failures, self.calls = list(failures), 0

    def __call__(self, variable: str, part: Mapping[str, tuple[int, int]], index: int) -> tuple[np.ndarray, Any]:
        self.calls += 1
        lines = {axis: np.arange(a, b + 1) / 10.0 for axis, (a, b) in part.items()}
        z, y, x = np.meshgrid(*(10 * lines[axis] for axis in "zyx"), indexing="ij")
        values = index * np.stack([x, y, z] if variable == "velocity" else [x], axis=-1)
        failure = self.failures.pop(0) if self.failures else None
        if isinstance(failure, Exception):
            raise failure
        return (values if failure is None else failure(values)), lines


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jhtdb, "CHUNK", 4)
    monkeypatch.delenv("JHTDB_TOKEN", raising=False)


def test_a_cutout_is_read_as_the_flow_it_is(tmp_path: Path) -> None:
    given = {"variables": ("velocity", "pressure")}
    path = jhtdb.fetch_cutout(tmp_path / "cut.h5", "channel", **BOX, **given, fetch=(service := Service()))
    assert service.calls == 2 * 2 * 2 * 2
    assert [file.name for file in tmp_path.iterdir()] == ["cut.h5"]
    names = {axis: f"{axis}coor" for axis in "xyz"} | {n: f"velocity[..., {i}]" for i, n in enumerate("uvw")}
    mapping = DataMapping(**names, t="t", p="pressure[..., 0]", axes=("t", "z", "y", "x"))
    flow = read_snapshots(path, mapping, check_orientation=False)
    np.testing.assert_array_equal(flow.times, [0.5, 1.5])
    np.testing.assert_allclose(flow.values[1], 40 * flow.points)
    np.testing.assert_allclose(flow.pressure[0], 20 * flow.points[:, 0])


def test_an_interrupted_call_continues_and_a_damaged_chunk_is_fetched_again(tmp_path: Path) -> None:
    path = tmp_path / "cut.h5"
    with pytest.raises(PinnxError, match=r"JHTDB: expected velocity at time 2, .* got in 3 tries: the net is down"):
        jhtdb.fetch_cutout(path, "channel", **BOX, fetch=Service(None, *[OSError("the net is down")] * 3))
    (kept,) = (tmp_path / "cut.h5.parts").glob("*.npz")
    assert not path.exists()
    kept.write_bytes(kept.read_bytes()[:-40] + bytes(40))
    jhtdb.fetch_cutout(path, "channel", **BOX, fetch=(again := Service()))
    assert again.calls == 8
    with pytest.raises(PinnxError, match=r"cut\.h5: expected a new file that ends in \.h5, got one that exists"):
        jhtdb.fetch_cutout(path, "channel", **BOX, fetch=again)
    jhtdb.fetch_cutout(tmp_path / "whole.h5", "channel", **BOX, fetch=Service())
    with h5py.File(path) as one, h5py.File(tmp_path / "whole.h5") as other:
        np.testing.assert_array_equal(one["velocity"][()], other["velocity"][()])


def test_what_was_fetched_is_not_fetched_again(tmp_path: Path) -> None:
    with pytest.raises(PinnxError, match="got in 3 tries"):
        jhtdb.fetch_cutout(tmp_path / "cut.h5", "channel", **BOX, fetch=Service(*[None] * 5, *[OSError()] * 3))
    jhtdb.fetch_cutout(tmp_path / "cut.h5", "channel", **BOX, fetch=(again := Service()))
    assert again.calls == 3


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda values: 0.0 * values, "a block of zeros"),
        (lambda values: np.where(np.arange(4)[:, None] < 3, 0.0, values), "a block of zeros"),
        (lambda values: np.where(values == values.max(), -999.9, values), "values that are missing"),
        (lambda values: np.where(values == values.max(), np.nan, values), "values that are missing"),
        (lambda values: values[1:], r"shape \[2, 4, 4, 3\] with \[3, 4, 4\] coordinates, not \[3, 4, 4, 3\]"),
    ],
)
def test_a_wrong_answer_is_tried_again_and_never_filled_in(tmp_path: Path, answer: Any, reason: str) -> None:
    box = BOX | {"z": (2, 4), "x": (3, 6), "y": (1, 4), "times": (1,)}
    with pytest.raises(PinnxError, match=f"got in 3 tries: .*{reason}"):
        jhtdb.fetch_cutout(tmp_path / "a.h5", "channel", **box, fetch=Service(*[answer] * 3))
    assert not list(tmp_path.rglob("*.npz"))
    jhtdb.fetch_cutout(tmp_path / "a.h5", "channel", **box, fetch=(service := Service(answer, answer)))
    assert service.calls == 3


@pytest.mark.parametrize(("dataset", "y", "found"), [("channel", 20, True), ("isotropic1024coarse", 20, False),
                                                      ("channel", 19, False)])  # fmt: skip
def test_a_chunk_that_is_a_wall_is_zero_and_no_other_plane(tmp_path: Path, dataset: str, y: int, found: bool) -> None:
    """Lines of the service are index / 10 here: y = 2 - 1 is the upper wall of the channel."""

    def fetch(variable: str, part: Mapping[str, tuple[int, int]], index: int) -> tuple[np.ndarray, Any]:
        values, lines = Service()(variable, part, index)
        lines["y"] = lines["y"] - 1.0
        return values * (part["y"][0] != y), lines

    box = BOX | {"y": (y - 4, y), "times": (1,)}  # chunks of four: the last one is a plane
    if found:
        path = jhtdb.fetch_cutout(tmp_path / "a.h5", dataset, **box, fetch=fetch)
        with h5py.File(path) as file:
            assert not file["velocity"][0, :, -1].any()
            assert file["velocity"][0, :, :-1].all()
        return
    with pytest.raises(PinnxError, match=f"y {y} to {y}, .* got in 3 tries: a block of zeros"):
        jhtdb.fetch_cutout(tmp_path / "a.h5", dataset, **box, fetch=fetch)


def test_a_token_is_needed_and_no_message_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        PinnxError, match="token: expected that of a user of the database, by JHTDB_TOKEN or token=, got no"
    ):
        jhtdb.fetch_cutout(tmp_path / "a.h5", "channel", **BOX)
    monkeypatch.setenv("JHTDB_TOKEN", "my.secret")
    failing = Service(*[OSError("https://x?token=my.secret")] * 3)
    with pytest.raises(PinnxError) as caught:
        jhtdb.fetch_cutout(tmp_path / "a.h5", "channel", **BOX, fetch=failing)
    assert "token=TOKEN" in str(caught.value)
    assert "secret" not in str(caught.value)
    monkeypatch.setitem(sys.modules, "givernylocal", None)
    with pytest.raises(PinnxError, match=r"expected the package givernylocal, .* pip install 'pinn-ext\[jhtdb\]'"):
        jhtdb.fetch_cutout(tmp_path / "a.h5", "channel", **BOX)


class Cutout(dict):
    """What getCutout returns, as far as it is read: arrays by name, and which of them are fields."""

    @property
    def data_vars(self) -> list[str]:
        return [name for name in self if not name.endswith("coor")]


class TurbDataset:
    """Takes what `turb_dataset` of givernylocal 3.6.4 takes."""

    def __init__(self, dataset_title: str = "", output_path: str = "", auth_token: str = "") -> None:
        self.title, self.token = dataset_title, auth_token
        assert output_path.strip()


def get_cutout(
    cube: TurbDataset,
    var: str,
    xyzt_axes_ranges_original: np.ndarray,
    xyzt_strides: np.ndarray,
    trace_memory: bool = False,
    verbose: bool = True,
) -> Cutout:
    """Has the arguments of getCutout of givernylocal 3.6.4, and the checks that it makes of them."""
    assert (cube.title, cube.token, verbose) == ("channel", "a token", False)
    ranges, time = xyzt_axes_ranges_original[:3], xyzt_axes_ranges_original[3]
    assert {ranges.dtype, time.dtype} <= {np.dtype(np.int32), np.dtype(np.int64)}
    assert all(type(stride) in (np.int32, np.int64) for stride in xyzt_strides)
    assert time[0] == time[1] >= 1
    values, lines = Service()(var, dict(zip("xyz", map(tuple, ranges.tolist()), strict=True)), int(time[0]))
    arrays = {f"{axis}coor": line for axis, line in lines.items()} | {f"{var}_{time[0]:04d}": values}
    return Cutout({name: SimpleNamespace(values=array) for name, array in arrays.items()})


def test_the_call_is_the_one_that_givernylocal_publishes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = {"turbulence_dataset": {"turb_dataset": TurbDataset}, "turbulence_toolkit": {"getCutout": get_cutout}}
    monkeypatch.setitem(sys.modules, "givernylocal", SimpleNamespace())
    for name, content in package.items():
        monkeypatch.setitem(sys.modules, f"givernylocal.{name}", SimpleNamespace(**content))
    given = {"variables": ("velocity", "pressure")}
    jhtdb.fetch_cutout(tmp_path / "cut.h5", "channel", **BOX, **given, token="a token")
    jhtdb.fetch_cutout(tmp_path / "same.h5", "channel", **BOX, **given, fetch=Service())
    with h5py.File(tmp_path / "cut.h5") as one, h5py.File(tmp_path / "same.h5") as other:
        for name in other:
            np.testing.assert_array_equal(one[name][()], other[name][()])
