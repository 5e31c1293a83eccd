"""Legacy files of VTK: every kind of mesh, ASCII and binary, as VTK writes them; a file that is cut is never data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pinnx.data import DataMapping, read_snapshots
from pinnx.data.legacy_vtk import NUMBERS, read_legacy_vtk
from pinnx.errors import PinnxError

X, Y = np.linspace(0, 4, 9), np.linspace(0, 2, 6)
MESH_Y, MESH_X = np.meshgrid(Y, X, indexing="ij")
PHASE = 1.3 * MESH_X + 0.7 * MESH_Y
U, V = 0.7 * np.cos(PHASE), -1.3 * np.cos(PHASE)  # divergence-free
NAMES = DataMapping(u="U u[..., 0]", v="U u[..., 1]", p="p")
GRIDS = ("STRUCTURED_POINTS", "RECTILINEAR_GRID", "STRUCTURED_GRID")


def written_by_vtk(path: Path, kind: str, binary: bool) -> Path:
    pyvista = pytest.importorskip("pyvista", reason="pyvista is not installed (extra: openfoam)")
    image = pyvista.ImageData(dimensions=(9, 6, 1), spacing=(X[1], Y[1], 1.0))
    points = np.stack([MESH_X.ravel(), MESH_Y.ravel(), np.zeros(MESH_X.size)], axis=1)
    mesh = {
        "STRUCTURED_POINTS": image,
        "RECTILINEAR_GRID": pyvista.RectilinearGrid(X, Y, [0.0]),
        "STRUCTURED_GRID": image.cast_to_structured_grid(),
        "UNSTRUCTURED_GRID": image.cast_to_unstructured_grid(),
        "POLYDATA": pyvista.PolyData(points),
    }[kind]
    mesh.point_data["U u"] = np.stack([U.ravel(), V.ravel(), np.zeros(U.size)], axis=1)
    mesh.point_data["p"], mesh.point_data["count"] = U.ravel() ** 2, np.arange(U.size)
    for axis, name in enumerate(("of x", "", "of z")):  # written as notes behind the array
        mesh.GetPointData().GetArray("U u").SetComponentName(axis, name)
    mesh.cell_data["of cells"], mesh.field_data["TIME"] = np.ones(mesh.n_cells), [1.5]
    mesh.save(path, binary=binary)
    assert f"DATASET {kind}".encode() in path.read_bytes()
    assert b"METADATA\nCOMPONENT_NAMES\nof%20x\n\nof%20z\n" in path.read_bytes()
    return path


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("kind", [*GRIDS, "UNSTRUCTURED_GRID", "POLYDATA"])
def test_every_kind_of_mesh_is_the_flow(tmp_path: Path, kind: str, binary: bool) -> None:
    path = written_by_vtk(tmp_path / "flow.vtk", kind, binary)
    flow = read_snapshots(path, NAMES)
    assert flow.grid_shape == ((9, 6) if kind in GRIDS else None)
    order = np.lexsort(flow.points.T[::-1])  # along y first, as in a grid
    wanted = np.stack([MESH_X.T.ravel(), MESH_Y.T.ravel()], axis=1)
    np.testing.assert_allclose(flow.points[order], wanted, atol=1e-6)
    tolerance = 0.0 if binary else 1e-9
    for found, array in ((flow.values[0, :, 0], U), (flow.values[0, :, 1], V), (flow.pressure[0], U**2)):
        np.testing.assert_allclose(found[order], array.T.ravel(), rtol=0, atol=tolerance)
    found = read_legacy_vtk(path)
    np.testing.assert_array_equal(found.fields["count"].ravel(), np.arange(54))
    assert (found.of_cells, found.of_file["TIME"].tolist()) == (["of cells"], [1.5])


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("kind", GRIDS)
def test_a_file_that_is_cut_anywhere_has_no_wrong_number(tmp_path: Path, kind: str, binary: bool) -> None:
    path = written_by_vtk(tmp_path / "flow.vtk", kind, binary)
    data, whole = path.read_bytes(), read_legacy_vtk(path)
    said = []
    for length in range(0, len(data) - 1, 5):
        path.write_bytes(data[:length])
        try:
            found = read_legacy_vtk(path)
        except PinnxError as error:
            said.append(str(error))
            continue
        np.testing.assert_array_equal(found.points, whole.points)
        for name, values in found.fields.items():
            np.testing.assert_array_equal(values, whole.fields[name])
    assert len(said) > 0.9 * len(data) / 5
    assert {line.partition(" VTK: ")[0] for line in said} == {"flow.vtk: cannot be read as"}


def test_a_file_by_hand_needs_no_library(tmp_path: Path) -> None:
    path = tmp_path / "flow.vtk"
    head = "# vtk DataFile Version 2.0\n\nASCII\nDATASET STRUCTURED_POINTS\nDIMENSIONS 2 3 1\n"
    text = f"{head}ORIGIN 1 2 0\nASPECT_RATIO 0.5 1 1\nPOINT_DATA 6\nVECTORS U float\n"
    text += "\n".join(f"{k} {-k} 0" for k in range(6))
    path.write_text(f"{text}\nSCALARS p int\nLOOKUP_TABLE default\n5 4 3 2 1 0\n")
    found = read_legacy_vtk(path)
    np.testing.assert_array_equal(found.points[:, 1], [[1.5, 2, 0], [1.5, 3, 0], [1.5, 4, 0]])
    np.testing.assert_array_equal(found.fields["U"][2, 1], [5, -5, 0])
    np.testing.assert_array_equal(found.fields["p"], [[5, 4], [3, 2], [1, 0]])
    tetrahedra = "DATASET UNSTRUCTURED_GRID\nPOINTS 4 float\n0 0 0 1 0 0 0 1 0 0 0 1\nCELLS 1 5\n4 0 1 2 3\n"
    path.write_text(
        head.partition("DATASET")[0] + f"{tetrahedra}CELL_TYPES 1\n10\nPOINT_DATA 4\nNORMALS n int\n{'1 ' * 12}"
    )
    np.testing.assert_array_equal(read_legacy_vtk(path).fields["n"], np.ones((4, 3)))


@pytest.mark.parametrize("kind", list(NUMBERS))
def test_every_kind_of_number(tmp_path: Path, kind: str) -> None:
    head = (
        "# vtk DataFile Version 3.0\n\nBINARY\nDATASET STRUCTURED_POINTS\nDIMENSIONS 2 3 1\nORIGIN 0 0 0\nSPACING 1 1 1"
    )
    text = f"{head}\nPOINT_DATA 6\nSCALARS p {kind}\nLOOKUP_TABLE default\n"
    (tmp_path / "flow.vtk").write_bytes(text.encode() + np.arange(6).astype(NUMBERS[kind]).tobytes())
    np.testing.assert_array_equal(read_legacy_vtk(tmp_path / "flow.vtk").fields["p"], np.arange(6).reshape(3, 2))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("POINT_DATA 6", "POINT_DATA 5", "a section '5'"),
        ("DIMENSIONS 2 3 1", "DIMENSIONS 2 2 1", "its fields have other lengths than its 4 points"),
        ("DATASET STRUCTURED_POINTS", "DATASET STRUCTURED_GRID", "no POINTS of DATASET STRUCTURED_GRID"),
        ("p float", "p string", r"expected numbers, got 'string' \[6, 1\]"),
        ("LOOKUP_TABLE default\n", "", "SCALARS p without a LOOKUP_TABLE"),
        ("5\n", "5", "it ends too early, or within a line"),
        ("# vtk", "# vxk", "it does not begin with # vtk DataFile Version"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = "# vtk DataFile Version 3.0\n\nASCII\nDATASET STRUCTURED_POINTS\nDIMENSIONS 2 3 1\n"
    text += "ORIGIN 0 0 0\nSPACING 1 1 1\n"
    text += "POINT_DATA 6\nSCALARS p float\nLOOKUP_TABLE default\n0 1 2 3 4 5\n"
    assert text.count(old) == 1
    path = tmp_path / "flow.vtk"
    path.write_text(text.replace(old, new))
    with pytest.raises(PinnxError, match=f"flow.vtk: cannot be read as VTK: {message}"):
        read_legacy_vtk(path)
