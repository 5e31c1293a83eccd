"""Files that other libraries write: each is read as the plain file, or is refused in one line."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from pinnx.data import DataMapping, Snapshots, read_snapshots
from pinnx.errors import PinnxError

X, Y = np.linspace(0, 4, 9), np.linspace(0, 2, 6)
MESH_Y, MESH_X = np.meshgrid(Y, X, indexing="ij")
PHASE = 1.3 * MESH_X + 0.7 * MESH_Y
U, V = 0.7 * np.cos(PHASE), -1.3 * np.cos(PHASE)  # divergence-free
ARRAYS = {"x": X, "y": Y, "u": U, "v": V}
SCATTERED = DataMapping(u="U[..., 0]", v="U[..., 1]")


def wanted(folder: Path) -> Snapshots:
    np.savez(folder / "plain.npz", **ARRAYS)
    return read_snapshots(folder / "plain.npz", DataMapping())


def write_mesh(path: Path, **fields: np.ndarray) -> Path:
    meshio = pytest.importorskip("meshio", reason="meshio is not installed (extra: mesh)")
    points = np.stack([MESH_X.ravel(), MESH_Y.ravel(), np.zeros(MESH_X.size)], axis=1)
    corner = np.arange(MESH_X.size).reshape(MESH_X.shape)
    quads = np.stack([corner[:-1, :-1], corner[:-1, 1:], corner[1:, 1:], corner[1:, :-1]], axis=-1).reshape(-1, 4)
    velocity = np.stack([U.ravel(), V.ravel(), np.zeros(U.size)], axis=1)
    meshio.Mesh(
        points, [("quad", quads)], point_data={"U": velocity} | fields, cell_data={"rho": [np.ones(len(quads))]}
    ).write(path)
    return path


def write_zarr(path: Path, **change: np.ndarray) -> Path:
    zarr = pytest.importorskip("zarr", reason="zarr is not installed (extra: zarr)")
    store = zarr.open_group(str(path), mode="w")
    for name, array in (ARRAYS | change).items():
        store.create_array(name, data=array, chunks=tuple(max(1, size // 2) for size in array.shape))
    store.attrs["nu"] = 0.01
    return path


@pytest.mark.parametrize("ending", ["vtk", "vtu", "xdmf"])
def test_a_mesh_has_the_flow_at_its_points(tmp_path: Path, ending: str) -> None:
    flow = read_snapshots(write_mesh(tmp_path / f"flow.{ending}"), SCATTERED)
    assert flow.grid_shape is None
    np.testing.assert_array_equal(flow.points, np.stack([MESH_X.ravel(), MESH_Y.ravel()], axis=1))
    np.testing.assert_array_equal(flow.values[0], np.stack([U.ravel(), V.ravel()], axis=1))


def test_a_mesh_says_what_it_does_not_have(tmp_path: Path) -> None:
    path = write_mesh(tmp_path / "flow.vtu")
    with pytest.raises(PinnxError, match=r"u: expected real numbers in 'rho' of flow.vtu, got a field of cells"):
        read_snapshots(path, DataMapping(u="rho", v="U[..., 1]"))
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(PinnxError, match=r"^flow.vtu: cannot be read as VTU: "):
        read_snapshots(path, SCATTERED)


def test_zarr_is_the_same_flow(tmp_path: Path) -> None:
    flow = read_snapshots(write_zarr(tmp_path / "flow.zarr"), DataMapping(nu="@nu"))
    np.testing.assert_array_equal(flow.values, wanted(tmp_path).values)
    assert flow.nu == 0.01


def test_chunks_of_zarr_that_were_never_written_are_no_data(tmp_path: Path) -> None:
    stopped = U.copy()
    stopped[3:] = 0.0
    path = write_zarr(tmp_path / "flow.zarr", u=stopped)
    with pytest.raises(PinnxError, match=r"u: .* got 3 of 6 chunks that were never written"):
        read_snapshots(path, DataMapping())


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_what_xarray_marks_as_missing_is_no_velocity(tmp_path: Path, zarr_format: int) -> None:
    zarr = pytest.importorskip("zarr", reason="zarr is not installed (extra: zarr)")
    body = np.zeros(U.shape, dtype=bool)
    body[2:4, 3:5] = True
    store = zarr.open_group(str(tmp_path / "flow.zarr"), mode="w", zarr_format=zarr_format)
    for name, line in (("x", X), ("y", Y)):
        array = store.create_array(name, data=line, fill_value=np.nan)
        if zarr_format == 3:
            array.attrs["_FillValue"] = "AAAAAAAA+H8="  # NaN, as xarray writes it
    for name, values in (("u", U), ("v", V)):
        counts = np.where(body, -32768, np.round(values / 1e-4)).astype("i2")
        array = store.create_array(name, data=counts, fill_value=-32768 if zarr_format == 2 else 0)
        array.attrs["scale_factor"] = 1e-4
        if zarr_format == 3:
            array.attrs["_FillValue"] = -32768
    np.savez(tmp_path / "plain.npz", **ARRAYS | {"u": np.where(body, np.nan, U), "v": np.where(body, np.nan, V)})
    flow, plain = (
        read_snapshots(tmp_path / name, DataMapping(), keep_gaps=True) for name in ("flow.zarr", "plain.npz")
    )
    np.testing.assert_allclose(flow.values, plain.values, rtol=0.0, atol=0.5e-4 * (1 + 1e-9))  # half a count


@pytest.mark.parametrize("kind", ["<f8", ">f8", "fortran"])
def test_npy_files_of_a_folder_are_the_same_flow(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "flow"
    folder.mkdir()
    for name, array in ARRAYS.items():
        np.save(folder / f"{name}.npy", np.asfortranarray(array) if kind == "fortran" else array.astype(kind))
    np.testing.assert_array_equal(read_snapshots(folder, DataMapping()).values, wanted(tmp_path).values)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PinnxError, match=r"expected a folder of .npy files or a Zarr store, got neither"):
        read_snapshots(tmp_path, DataMapping())


def test_a_missing_library_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "flow.vtu").write_text("")
    monkeypatch.setitem(sys.modules, "meshio", None)
    with pytest.raises(PinnxError, match=r"flow.vtu: expected the package meshio, .* pip install 'pinn-ext\[mesh\]'"):
        read_snapshots(tmp_path / "flow.vtu", SCATTERED)


def write_foam(folder: Path, nx: int = 4, ny: int = 3) -> Path:
    """An OpenFOAM case of nx x ny cells, one thick, at two times: U = (x + t, y, 0) at the centres."""
    mesh, inner, outer = folder / "constant" / "polyMesh", [], []
    mesh.mkdir(parents=True)
    (folder / "system").mkdir()

    def corner(i: int, j: int, k: int) -> int:
        return (k * (ny + 1) + j) * (nx + 1) + i

    for j in range(ny):
        for i in range(nx):
            low, high = (i, j), (i + 1, j + 1)
            ends = {
                (1, 0): [
                    corner(high[0], j, 0),
                    corner(high[0], high[1], 0),
                    corner(high[0], high[1], 1),
                    corner(high[0], j, 1),
                ],
                (0, 1): [corner(i, high[1], 0), corner(i, high[1], 1), corner(*high, 1), corner(*high, 0)],
            }
            for (across, up), face in ends.items():
                inside = i + across < nx and j + up < ny
                (inner if inside else outer).append((face, j * nx + i, (j + up) * nx + i + across))
            if i == 0:
                outer.append(([corner(0, j, 0), corner(0, j, 1), corner(0, j + 1, 1), corner(0, j + 1, 0)], j * nx, 0))
            if j == 0:
                outer.append(([corner(i, 0, 0), corner(i + 1, 0, 0), corner(i + 1, 0, 1), corner(i, 0, 1)], i, 0))
            back = [corner(*low, 0), corner(i, j + 1, 0), corner(*high, 0), corner(i + 1, j, 0)]
            front = [corner(*low, 1), corner(i + 1, j, 1), corner(*high, 1), corner(i, j + 1, 1)]
            outer += [(back, j * nx + i, 0), (front, j * nx + i, 0)]

    def write(path: Path, kind: str, text: str) -> None:
        head = f"FoamFile {{ version 2.0; format ascii; class {kind}; object {path.name}; }}\n"
        path.write_text(head + text)

    def listed(items: list[str]) -> str:
        return f"{len(items)}\n(\n" + "\n".join(items) + "\n)\n"

    faces, places = inner + outer, [(i, j, 0.1 * k) for k in (0, 1) for j in range(ny + 1) for i in range(nx + 1)]
    write(mesh / "points", "vectorField", listed([f"({x} {y} {z})" for x, y, z in places]))
    write(mesh / "faces", "faceList", listed([f"4({' '.join(map(str, face))})" for face, *_ in faces]))
    write(mesh / "owner", "labelList", listed([str(owner) for _, owner, _ in faces]))
    write(mesh / "neighbour", "labelList", listed([str(other) for *_, other in inner]))
    walls = f"walls {{ type patch; nFaces {len(outer)}; startFace {len(inner)}; }}"
    write(mesh / "boundary", "polyBoundaryMesh", listed([walls]))
    control = "application icoFoam; startFrom startTime; startTime 0; endTime 1; deltaT 0.5; writeFormat ascii;"
    write(folder / "system" / "controlDict", "dictionary", control)
    for time in ("0", "0.5"):
        (folder / time).mkdir()
        values = [f"({i + 0.5 + float(time)} {j + 0.5} 0)" for j in range(ny) for i in range(nx)]
        field = f"dimensions [0 1 -1 0 0 0 0];\ninternalField nonuniform List<vector>\n{listed(values)};\n"
        write(folder / time / "U", "volVectorField", f"{field}boundaryField {{ walls {{ type zeroGradient; }} }}")
    (folder / "case.foam").touch()
    return folder / "case.foam"


def test_a_case_of_openfoam_has_its_cells_at_all_times(tmp_path: Path) -> None:
    pytest.importorskip("pyvista", reason="pyvista is not installed (extra: openfoam)")
    flow = read_snapshots(write_foam(tmp_path), DataMapping(t="t", u="U[..., 0]", v="U[..., 1]"))
    np.testing.assert_array_equal(flow.times, [0.0, 0.5])
    np.testing.assert_allclose(flow.values[0], flow.points, atol=1e-12)
    np.testing.assert_allclose(flow.values[1], flow.points + np.array([0.5, 0.0]), atol=1e-12)
    assert flow.num_points == 12


@pytest.mark.parametrize("kind", ["vti", "vtr", "vts", "vtp", "vtu"])
def test_xml_files_of_vtk_are_read_by_pyvista_and_structured_ones_have_a_grid(tmp_path: Path, kind: str) -> None:
    pyvista = pytest.importorskip("pyvista", reason="pyvista is not installed (extra: openfoam)")
    image = pyvista.ImageData(dimensions=(9, 6, 1), spacing=(X[1], Y[1], 1.0))
    points = np.stack([MESH_X.ravel(), MESH_Y.ravel(), np.zeros(MESH_X.size)], axis=1)
    made = {
        "vti": image,
        "vtr": pyvista.RectilinearGrid(X, Y, [0.0]),
        "vts": image.cast_to_structured_grid(),
        "vtp": pyvista.PolyData(points),
        "vtu": image.cast_to_unstructured_grid(),  # of pixels, which meshio does not know
    }[kind]
    made.point_data["U"] = np.stack([U.ravel(), V.ravel(), np.zeros(U.size)], axis=1)
    path = tmp_path / f"flow.{kind}"
    made.save(path)
    flow, whole = read_snapshots(path, SCATTERED), wanted(tmp_path)
    if kind in ("vtp", "vtu"):
        assert flow.grid_shape is None
        np.testing.assert_allclose(flow.points, points[:, :2], atol=1e-6)
        np.testing.assert_array_equal(flow.values[0], np.stack([U.ravel(), V.ravel()], axis=1))
    else:
        assert flow.grid_shape == (9, 6)
        np.testing.assert_allclose(flow.points, whole.points, atol=1e-6)
        np.testing.assert_array_equal(flow.values, whole.values)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(
        PinnxError, match=rf"flow.{kind}: cannot be read as {kind.upper()}: it does not end with </VTKF"
    ):
        read_snapshots(path, SCATTERED)


def test_times_of_xdmf_are_a_series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where the writer puts its numbers
    meshio = pytest.importorskip("meshio", reason="meshio is not installed (extra: mesh)")
    mesh = meshio.read(write_mesh(tmp_path / "one.vtu"))
    with meshio.xdmf.TimeSeriesWriter("flow.xdmf") as writer:
        writer.write_points_cells(mesh.points, mesh.cells)
        for number in range(3):
            writer.write_data(0.5 * number, point_data={"U": (1 + number) * mesh.point_data["U"]})
    flow = read_snapshots(tmp_path / "flow.xdmf", DataMapping(t="t", u="U[..., 0]", v="U[..., 1]"))
    np.testing.assert_allclose(flow.times, [0.0, 0.5, 1.0])
    np.testing.assert_allclose(flow.values[2], 3 * np.stack([U.ravel(), V.ravel()], axis=1))
