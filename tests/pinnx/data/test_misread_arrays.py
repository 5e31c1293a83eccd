"""Arrays that are read as stored, but are hardly meant so: what is odd is said, and what is likely is named."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from pinnx.data import DataMapping, read_snapshots
from pinnx.data.quantities import read_fields
from pinnx.errors import PinnxError

T, X, Y = np.array([0.0, 0.5, 2.0]), np.linspace(0, 1, 7), np.linspace(-1, 1, 9) ** 3
GROWN = 1 + T[:, None, None]
FLOW = {"x": X, "y": Y, "t": T, "u": GROWN * (Y + X[:, None]), "v": GROWN * (0.5 * X[:, None] - Y)}


def stored(folder: Path, arrays: dict[str, np.ndarray]) -> Path:
    np.savez(folder / "f.npz", **arrays)
    return folder / "f.npz"


def scattered(**change: np.ndarray) -> dict[str, np.ndarray]:
    """Twenty frames of a divergence-free flow at 100 places."""
    x, y = np.random.default_rng(3).uniform(0, 2, (2, 100))
    t = np.linspace(0, 1, 20)
    phase = 1.3 * x + 0.7 * y - t[:, None]
    return {"x": x, "y": y, "t": t, "u": 0.7 * np.cos(phase), "v": -1.3 * np.cos(phase)} | change


def test_odd_values_are_said_and_marks_refused(tmp_path: Path) -> None:
    def notes(**change: np.ndarray) -> tuple[str, ...]:
        return read_snapshots(stored(tmp_path, scattered(**change)), DataMapping(t="t")).notes

    flow = scattered()
    seam, contradicted = [np.c_[flow[k], flow[k][:, :9]] for k in "uv"], -flow["v"][:, :9]
    places = {axis: np.r_[flow[axis], flow[axis][:9]] for axis in "xy"}
    assert notes() == notes(**places, u=seam[0], v=seam[1] + 1e-9) == ()
    (said,) = notes(**places, u=seam[0], v=np.c_[flow["v"], contradicted])
    assert said.startswith("9 of 109 places are copies of another one with other values, the first at (")
    assert read_fields(tmp_path / "f.npz", ["u", "v"], axes=("t", "n")).notes == (said,)
    twice = {name: np.insert(np.delete(flow[name], 7, axis=0), 7, flow[name][6], axis=0) for name in "uv"}
    assert notes(u=twice["u"]) == ()
    (said,) = notes(**twice)
    assert said.startswith("The velocity in 1 of 20 frames is that of the frame before, t = 0.368421. A frame that was")
    spoilt = flow["v"].copy()
    spoilt[3, :4] = 77.0
    (said,) = notes(v=spoilt)
    assert said.startswith("Look at u,v: 4 of 2,000 values are 77 or more, where all others are within 1.")
    for mark in (-9999.0, -32768.0, -32767.0, -2147483647.0, float(np.float32(-999.9))):
        spoilt[3, :4] = mark
        with pytest.raises(PinnxError, match=rf"u,v: .*, got {mark:.10g} in 4 of 4,000 where all others .*mask"):
            notes(v=spoilt)


MISREAD = {
    "a mask of what is bad": (
        {"m": np.zeros((3, 7, 9))},
        {"mask": "m"},
        r"mask: expected m to leave .* data.arrays.mask=~m",
    ),
    "one point in z": (
        {name: FLOW[name][:, None] for name in "uv"} | {"w": FLOW["u"][:, None], "z": np.zeros(1)},
        {"z": "z", "w": "w"},
        "; z has one point: leave z and the velocity along it out",
    ),
    "a table": (
        dict.fromkeys(("t", "x", "y", "u", "v"), np.arange(63.0)),
        {},
        "; this looks like a table, a row for each measurement: write a CSV, and name it by data.measurements",
    ),
    "all components staggered": ({name: FLOW[name][:, 1:] for name in "uv"}, {}, "is the grid staggered?"),
    "one component staggered": ({"v": FLOW["v"][:, :, 1:]}, {}, r"v: .*, got shape \[3, 7, 8\]; .* staggered\?"),
    "another shape": ({"v": FLOW["v"][:, :, 3:]}, {}, r"v: .*, got shape \[3, 7, 6\]$"),
}


@pytest.mark.parametrize("case", MISREAD)
def test_what_is_likely_is_named(tmp_path: Path, case: str) -> None:
    change, mapping, message = MISREAD[case]
    arrays = FLOW | change
    with pytest.raises(PinnxError, match=message):
        read_snapshots(stored(tmp_path, arrays), DataMapping(t="t", **mapping))


def test_files_that_are_another_kind_say_so(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    with h5py.File(path, "w") as file:
        file.update(FLOW | {"u_original/1": X, "u_original/2": X})
    with pytest.raises(
        PinnxError, match=r"u: no array 'u_original' in f.h5; name its cells by u_original/\*; it holds"
    ):
        read_snapshots(path, DataMapping(t="t", u="u_original"))
    with h5py.File(path, "a") as file:
        file["rows"] = np.zeros(3, dtype=[("x", "f8"), ("speed", "f8")])
    with pytest.raises(PinnxError, match=r"u: .* 'rows' of f.h5, got a table with the fields x, speed; store each"):
        read_snapshots(path, DataMapping(t="t", u="rows"))
    renamed = path.rename(tmp_path / "f.npz")
    with pytest.raises(PinnxError, match=r"f.npz: expected an npz file, got HDF5; rename it to end in .h5"):
        read_snapshots(renamed, DataMapping(t="t"))
