"""Places without values at any time are a body: no sensor, no reference, no error there."""

from __future__ import annotations

import re
from pathlib import Path

import h5py
import numpy as np
import pytest
from flow_files import TINY

from pinnx.config import Config, load_config
from pinnx.errors import PinnxError
from pinnx.jobs import reconstruction
from pinnx.jobs.cases.load_case import load_case

X, Y, T = np.linspace(0, 4, 21), np.linspace(0, 2, 11), np.linspace(0, 2, 5)
MESH_T, MESH_X, MESH_Y = np.meshgrid(T, X, Y, indexing="ij")
PHASE = 1.3 * MESH_X + 0.7 * MESH_Y - 0.9 * MESH_T
OTHER = 0.6 * MESH_X - 2.9 * MESH_Y + 0.5 * MESH_T
U = 0.7 * np.cos(PHASE) - 2.9 * np.cos(OTHER)
V = -1.3 * np.cos(PHASE) - 0.6 * np.cos(OTHER)
BODY = (MESH_X - 1) ** 2 + (MESH_Y - 1) ** 2 < 0.3
HOLES = BODY[0].reshape(-1)


def config(folder: Path, *overrides: str, scattered: bool = False, hole: np.ndarray = BODY) -> Config:
    path = folder / "flow.npz"
    fields = {name: np.where(hole, np.nan, A) for name, A in (("u", U), ("v", V), ("p", PHASE))}
    places = {"x": X, "y": Y}
    if scattered:
        places = {"x": MESH_X[0].reshape(-1), "y": MESH_Y[0].reshape(-1)}
        fields = {name: A.reshape(5, -1) for name, A in fields.items()}
    np.savez(path, t=T, **places, **fields)
    arrays = ("data.arrays.t=t", "data.arrays.p=p", "flow.nu=0.01", "sensors.count=7")
    return load_config(None, [f"data.path={path}", *arrays, *TINY, *overrides])


@pytest.mark.parametrize("scattered", [False, True])
@pytest.mark.parametrize("method", ["interpolation", "qr", "randomized", "coverage", "lattice", "farthest", "random"])
def test_no_sensor_stands_in_a_hole(tmp_path: Path, method: str, scattered: bool) -> None:
    settings = [f"sensors.method={method}", "sensors.count=40"]
    if method in ("qr", "randomized"):
        settings += ["sensors.modes=4", "sensors.count=7"]
    case = load_case(config(tmp_path, *settings, scattered=scattered))
    assert case.reference is not None
    np.testing.assert_array_equal(case.reference.holes, HOLES)
    assert not case.reference.holes[case.sensors.indices].any()
    assert case.velocity.any(axis=1).all()
    assert any(note.startswith(f"{HOLES.sum()} of 231 places have no values at any time") for note in case.notes)


def test_positions_in_and_beside_a_hole_are_refused(tmp_path: Path) -> None:
    def measured(position: list[float]) -> np.ndarray:
        return load_case(config(tmp_path, "sensors.method=positions", f"sensors.positions=[{position}]")).velocity

    for position in ([1.0, 1.0], [1.1, 1.1], [0.45, 1.0]):
        with pytest.raises(PinnxError, match=r"sensor 1 at .*: expected to lie inside .* not in or beside a hole"):
            measured(position)
    assert measured([3.1, 1.05]).all()


def test_what_is_missing_outside_the_window_or_the_times_does_not_count(tmp_path: Path) -> None:
    once = BODY & (MESH_T < 0.4)
    for window in ("data.window.x=[2,4]", "data.times=[0.5,2]"):
        case = load_case(config(tmp_path, window, hole=once))
        assert case.reference is not None
        assert case.reference.holes is None
    with pytest.raises(PinnxError, match=r"u,v: expected values at all times .* got 21 of 1,155 missing"):
        load_case(config(tmp_path, hole=once))


def test_a_run_leaves_a_hole_blank_and_out_of_its_errors(tmp_path: Path) -> None:
    """Errors are those of the places in the flow; they are finite, and so are all fields there."""
    metrics = reconstruction.reconstruct(config(tmp_path), tmp_path / "run", command="a test")
    with h5py.File(tmp_path / "run" / "fields.h5") as file:
        for name in ("u", "p", "residual/continuity", "reference/u", "reference/p"):
            np.testing.assert_array_equal(np.isnan(file[name][...]).reshape(5, -1), np.tile(HOLES, (5, 1)))
        found, wanted = file["u"][...][:, ~BODY[0]].astype(float), U[:, ~BODY[0]]
    error = np.linalg.norm(found - wanted) / np.linalg.norm(wanted)
    assert metrics["relative_l2"]["u"] == pytest.approx(error, rel=1e-5)
    assert all(np.isfinite(value) for value in metrics["relative_l2"].values())
    assert metrics["baseline"] is not None
    assert (tmp_path / "run" / "report.html").stat().st_size > 10_000


def test_a_block_that_measurements_leave_out_is_a_note_but_for_a_known_body(tmp_path: Path) -> None:
    def notes(*overrides: str, hole: bool = True) -> tuple[str, ...]:
        kept = ((MESH_X[0] - 1) ** 2 + (MESH_Y[0] - 1) ** 2).ravel() > (0.6 if hole else -1)
        columns = np.column_stack([MESH_X[0].ravel(), MESH_Y[0].ravel(), U[0].ravel(), V[0].ravel()])[kept]
        np.savetxt(tmp_path / "piv.csv", columns, delimiter=",", header="x,y,u,v", comments="")
        domain = ("domain.x=[0, 4]", "domain.y=[0, 2]", "flow.nu=0.01")
        return load_case(load_config(None, [f"data.measurements={tmp_path / 'piv.csv'}", *domain, *overrides])).notes

    (note,) = notes()
    assert re.match(r"The data has no place within 0\.7\d* of \(\S+, \S+\), where its spacing is 0\.2\. If", note)
    assert notes(hole=False) == ()
    known = notes("boundaries=[{where: {circle: {center: [1, 1], radius: 0.775}}, u: 0, v: 0}]")
    assert not any("no place" in note for note in known)
