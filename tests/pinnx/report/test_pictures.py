"""The geometry and the numbers of the pictures: holes, marks, colour scales, curves, sensors, words."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.patches import Polygon
from PIL import Image
from tolerances import METRIC_ROUNDING

from pinnx.errors import PinnxError
from pinnx.report.curves import draw_error_over_time, draw_loss, draw_measured, draw_performance, draw_physics
from pinnx.report.formatting import TIMES, Html, duration, enumeration, number, percent, plural, tag
from pinnx.report.maps import draw_fields, draw_times
from pinnx.report.panels import (
    BAR,
    add_colorbar,
    new_figure,
    range_of,
    style_curves,
    symmetric_range,
    to_pixels,
    to_png,
)
from pinnx.report.plane import GridPlane, ScatteredPlane
from pinnx.report.run_data import open_fields
from pinnx.report.sensor_maps import draw_placement, draw_sensors, mark_sensors, spread

Reported = Callable[[str], Path]


def ring(num_points: int = 1500, radius: float = 0.8) -> np.ndarray:
    points = np.random.default_rng(0).uniform(-2.0, 2.0, (num_points, 2))
    return points[np.hypot(*points.T) > radius]


def test_a_hole_stays_empty_and_the_rest_is_drawn() -> None:
    x, y = ring().T
    axis = np.linspace(-2.0, 2.0, 81)
    distance = np.hypot(*np.meshgrid(axis, axis))
    found = np.isfinite(ScatteredPlane(x, y).resample(x, axis, axis))
    inside, outside = distance < 0.6, (distance > 0.95) & (distance < 1.8)
    assert not found[inside].any()
    assert found[outside].mean() > 0.99
    # Without a hole in the points there is none in the picture.
    x, y = ring(radius=0.0).T
    assert np.isfinite(ScatteredPlane(x, y).resample(x, axis, axis))[inside].all()


@pytest.mark.parametrize("kind", ["grid", "scattered"])
def test_linear_fields_are_resampled_exactly(kind: str) -> None:
    x, y = np.linspace(0, 2, 9) ** 1.3, np.linspace(-1, 1, 7)
    grid_x, grid_y = np.meshgrid(x, y, indexing="ij")
    values = 3 * grid_x - 2 * grid_y
    if kind == "grid":
        plane = GridPlane(x, y)
    else:
        plane, values = ScatteredPlane(grid_x.ravel(), grid_y.ravel()), values.ravel()
    assert plane.extent == (x[0], x[-1], -1.0, 1.0)
    at_x, at_y = np.linspace(0.1, 2.0, 5), np.linspace(-0.9, 0.9, 4)
    wanted = 3 * at_x[None, :] - 2 * at_y[:, None]
    got = plane.resample(values, at_x, at_y)
    np.testing.assert_allclose(got, wanted, atol=1e2 * METRIC_ROUNDING)


def test_marks_are_spread_and_free_ones_stay() -> None:
    places = np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0], [100.0, 0.0]])
    marks = spread(places, apart=10.0)
    distance = np.linalg.norm(marks[:, None] - marks[None], axis=2) + 1e9 * np.eye(4)
    assert distance.min() > 9.8
    np.testing.assert_array_equal(marks[3], places[3])
    assert np.linalg.norm(marks[:3].mean(axis=0) - places[:3].mean(axis=0)) < 1.0


def test_a_mark_that_moved_points_to_its_place() -> None:
    _, ((ax,),) = new_figure((3.0, 3.0), [0.0])
    mark_sensors(ax, np.array([[0.5, 0.5]]), np.array([100.0, 100.0]))
    assert len(ax.lines) == 1
    mark_sensors(ax, np.array([[0.5, 0.5], [0.5, 0.51]]), np.array([100.0, 100.0]))
    assert len(ax.lines) == 1 + 2 * 4
    assert [text.get_text() for text in ax.texts] == ["1", "1", "2"]


def test_many_sensors_are_dots(reported: Reported) -> None:
    """One artist, however many: a mark with a number takes ten milliseconds, of 500 places five seconds."""
    places = np.random.default_rng(0).uniform(0.0, 4.0, (500, 2))
    _, ((ax,),) = new_figure((3.0, 3.0), [0.0])
    mark_sensors(ax, places, np.array([50.0, 50.0]))
    assert (len(ax.lines), len(ax.texts)) == (1, 0)
    with open_fields(reported("steady_grid") / "fields.h5") as fields:
        many, few = draw_sensors(fields, places), draw_sensors(fields, places[:60])
    assert "as dots, without their ranks, as they are more than 60" in many.caption
    assert many.alt.endswith("; and 480 more.")
    assert "numbered by rank" in few.caption
    assert len(few.figure.axes[0].texts) == 60


def test_without_a_reference_there_is_no_empty_panel(reported: Reported) -> None:
    with open_fields(reported("unsteady_measurements") / "fields.h5") as fields:
        (maps,), times = draw_fields(fields, {}), draw_times(fields, 3, {})
    for picture, panels in ((maps, 4), (times, 3)):
        shown = [ax for ax in picture.figure.axes if (ax.collections or ax.images) and ax.get_title()]
        assert len(shown) == panels
        assert "reference" not in picture.caption + picture.alt
    with open_fields(reported("unsteady_scattered") / "fields.h5") as fields:
        fields.main_frame = lambda: 0  # where no pressure is known
        beside, alone = draw_fields(fields, {})
    assert "The fields u, v and speed" in beside.caption
    assert "The reconstructed p at t" in alone.caption.replace("\u00a0", " ")


def test_measured_values_over_time_at_the_worst_places(reported: Reported, tmp_path: Path) -> None:
    path = tmp_path / "fields.h5"
    shutil.copy(reported("unsteady_measurements") / "fields.h5", path)
    with h5py.File(path, "a") as file:
        group = file["sensors"]
        places = np.repeat(np.arange(500.0), 900)
        coordinates = np.column_stack([np.tile(np.arange(900.0), 500), places, 0 * places])
        measured = np.column_stack([np.sin(coordinates[:, 0]), np.where(places == 3, np.nan, 1.0)])
        found = measured + np.where(places == 7, 0.5, 0.001)[:, None]
        for name, values in {"coordinates": coordinates, "measured": measured, "reconstructed": found}.items():
            del group[name]
            group[name] = values
    with open_fields(path) as fields:
        picture = draw_measured(fields)
    panels = [ax for ax in picture.figure.axes if ax.lines]
    assert len(panels) == 6, "however many places there are"
    assert panels[0].get_title() == "at (7, 0)"
    assert max(len(line.get_xdata()) for line in panels[0].lines if line.get_marker() == "o") == 300
    assert "6 of 500 places, those with the largest misfit first" in picture.caption.replace("\u00a0", " ")
    assert "Of 900 measured values of a panel one in 3 is drawn." in picture.caption


def test_measured_values_of_a_steady_flow(reported: Reported, tmp_path: Path) -> None:
    with open_fields(reported("measurements_only") / "fields.h5") as fields:
        at, picture = fields.at_sensors(), draw_measured(fields)
    misfit = np.linalg.norm(at.reconstructed - at.measured, axis=0) / np.linalg.norm(at.measured, axis=0)
    assert f"u {percent(misfit[0])}, v {percent(misfit[1])}." in picture.caption
    assert [ax.get_xlabel() for ax in picture.figure.axes] == ["u, measured", "v, measured"]
    path = tmp_path / "fields.h5"
    shutil.copy(reported("measurements_only") / "fields.h5", path)
    with h5py.File(path, "a") as file:
        file["sensors"].attrs["names"] = "u"
    with open_fields(path) as fields, pytest.raises(PinnxError, match=r"sensors: expected coordinates \[k, D\]"):
        draw_measured(fields)


def test_error_scales_are_centred_and_say_when_they_saturate() -> None:
    field = np.linspace(-1.0, 2.0, 1000)
    norm, beyond = symmetric_range(field)
    assert norm.vmin == -norm.vmax
    assert 1.9 < norm.vmax < 2.0
    assert beyond
    norm, beyond = symmetric_range(np.array([-3.0, 3.0]))
    assert (norm.vmin, norm.vmax, beyond) == (-3.0, 3.0, False)


def test_scales_of_fields_without_any_range() -> None:
    for field in (np.zeros(4), np.full(4, 7.0), np.full(4, np.nan)):
        norm, extend = range_of(field)
        assert norm.vmin < norm.vmax
        assert extend == "neither"
        assert symmetric_range(field)[0].vmax > 0


def test_error_curve_combines_to_the_number_in_the_table(reported: Reported) -> None:
    folder = reported("unsteady_scattered")
    errors = json.loads((folder / "metrics.json").read_text())["relative_l2"]
    with open_fields(folder / "fields.h5") as fields:
        picture = draw_error_over_time(fields)
    assert picture is not None
    curves = {line.get_label(): line for line in picture.figure.axes[0].get_lines()}
    for name in ("velocity", "speed", "u", "v", "p"):
        values = np.asarray(curves[name].get_ydata())
        assert np.sqrt(np.mean(values**2)) == pytest.approx(errors[name], rel=1e3 * METRIC_ROUNDING)
    assert len(curves["speed"].get_ydata()) == 5
    assert len(curves["p"].get_ydata()) == 1


@pytest.mark.parametrize("name", ["steady_grid", "measurements_only"])
def test_no_error_curve_without_time_or_reference(name: str, reported: Reported) -> None:
    with open_fields(reported(name) / "fields.h5") as fields:
        assert draw_error_over_time(fields) is None


def test_loss_draws_every_term_and_names_what_it_cannot() -> None:
    picture = draw_loss(
        {
            "step": np.arange(3.0),
            "lr": np.ones(3),
            "loss/total": np.array([1.0, 0.1, np.nan]),
            "loss/momentum_x": np.array([1.0, 0.1, 0.01]),
            "loss/boundary": np.zeros(3),
        }
    )
    ax = picture.figure.axes[0]
    assert ax.get_yscale() == "log"
    assert [line.get_label() for line in ax.get_lines()] == ["total", "momentum x"]
    assert "Zero or absent throughout: boundary." in picture.caption
    assert "Not drawn: 1 values that are missing or not finite." in picture.caption
    assert "The total goes from 1 to not finite." in picture.alt


def test_checks_and_what_the_training_took_are_curves_where_they_were_logged() -> None:
    steps, gaps = np.arange(4.0), np.array([np.nan, 0.1, np.nan, 0.01])
    history = {"step": steps, "physics/pde_residual_l2": gaps, "physics/conservation": np.zeros(4)}
    picture = draw_physics(history, {"pde_residual_l2": "the residual"})
    assert picture is not None
    (line,) = picture.figure.axes[0].get_lines()
    assert (line.get_label(), list(line.get_xdata()), list(line.get_ydata())) == ("pde residual", [1, 3], [0.1, 0.01])
    assert "pde residual: the residual." in picture.caption
    assert "At the end: pde residual 0.01." in picture.alt
    taken = draw_performance(history | {"epochs_per_hour": steps, "gpu_utilisation": np.full(4, 87.0)})
    assert taken is not None
    assert [ax.get_title() for ax in taken.figure.axes] == ["epochs per hour", "use of the GPU, %"]
    assert [ax.get_ylim()[0] for ax in taken.figure.axes] == [0.0, 0.0]
    assert draw_physics({"step": steps}, {}) is None
    assert draw_performance({"step": steps}) is None


def test_loss_of_a_run_that_never_was_finite() -> None:
    picture = draw_loss({"step": np.arange(2.0), "loss/total": np.full(2, np.nan)})
    assert to_png(to_pixels(picture.figure, 40), 40).startswith(b"\x89PNG")


def test_loss_needs_a_loss() -> None:
    with pytest.raises(PinnxError, match="expected columns loss/"):
        draw_loss({"step": np.arange(3.0)})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (3000, "3000"),
        (0.038149, "0.0381"),
        (0.99999, "1"),
        (64.953, "65"),
        (123456.7, "123000"),
        (1e-3, "0.001"),
        (4.5678e-4, f"4.57 {TIMES} 10⁻⁴"),
        (-1e-5, f"-1 {TIMES} 10⁻⁵"),
        (1.23456e8, "123456000"),
        (1.5e10, f"1.5 {TIMES} 10¹⁰"),
        (float("nan"), "not finite"),
    ],
)
def test_numbers(value: float, text: str) -> None:
    assert number(value).replace("\u00a0", " ") == text


def test_words() -> None:
    spoken = [percent(0.0381), percent(float("inf")), duration(46.1875), duration(200.4)]
    spoken += [duration(7500), duration(float("nan")), plural(1, "sensor"), plural(2, "sensor")]
    spoken += [enumeration(["u"]), enumeration(["u", "v", "p"])]
    assert [text.replace("\u00a0", " ") for text in spoken] == [
        "3.81 %",
        "not finite",
        "46.2 s",
        "3 min 20 s",
        "2 h 5 min",
        "not finite",
        "1 sensor",
        "2 sensors",
        "u",
        "u, v and p",
    ]


def test_markup_escapes_all_but_markup() -> None:
    assert tag("p", "a < b", Html("<b>c</b>"), title='"&') == ('<p title="&quot;&amp;">a &lt; b<b>c</b></p>')
    assert tag("td", class_=None) == "<td></td>"


def test_a_few_singular_values_do_not_make_a_picture_of_one_colour(rng: np.random.Generator) -> None:
    field = rng.uniform(-1.0, 1.0, (100, 100))
    assert range_of(field)[1] == "neither"
    field[0, :3] = 50.0
    norm, extend = range_of(field)
    assert extend == "both", "the colour bar says that values lie beyond"
    assert -1.0 <= norm.vmin < -0.9
    assert 0.9 < norm.vmax <= 1.0


@pytest.mark.parametrize(("extend", "tips"), [("neither", 0), ("both", 2)])
def test_a_colour_bar_has_the_scale_of_its_panel(extend: str, tips: int) -> None:
    """Each number stands where its colour is; the middle of a scale from -1e-3 to 1e-3 is zero."""
    figure, ((ax,),) = new_figure((2.0, 2.0), [BAR])
    drawn = ax.imshow(np.zeros((2, 2)), cmap="viridis", vmin=-1e-3, vmax=1e-3)
    add_colorbar(figure, drawn, ax, "error", extend)
    places = {text.get_text(): text.get_position() for text in figure.texts}
    box = ax.get_position()
    assert set(places) == {"\N{MINUS SIGN}1.0", "\N{MINUS SIGN}0.5", "0.0", "0.5", "1.0", "1e\N{MINUS SIGN}3", "error"}
    assert places["0.0"][1] == pytest.approx((box.y0 + box.y1) / 2)
    inset = 0.05 * box.height * (tips > 0)
    assert places["1.0"][1] == pytest.approx(box.y1 - inset)
    assert places["\N{MINUS SIGN}1.0"][1] == pytest.approx(box.y0 + inset)
    assert len([part for part in figure.artists if isinstance(part, Polygon)]) == tips
    assert len(figure.axes) == 1
    pixels = np.asarray(Image.open(io.BytesIO(to_png(to_pixels(figure, 100), 100))))
    column = pixels[:, round(figure.bbox.width * (box.x1 + 0.16 / figure.get_figwidth())), :3] / 255.0
    top, bottom = (round(pixels.shape[0] * (1.0 - y)) for y in (box.y1 - inset - 0.01, box.y0 + inset + 0.01))
    for row, end in ((top, 1.0), (bottom, 0.0)):
        assert np.abs(column[row] - np.array(colormaps["viridis"](end)[:3])).max() < 0.1


def test_powers_of_ten_are_plain_characters() -> None:
    figure, ((wide, narrow),) = new_figure((2.0, 2.0), [0.5, 0.5])
    wide.semilogy([1, 2], [1e-4, 10.0])
    narrow.semilogy([1, 2], [2e-3, 5e-3])
    for ax in (wide, narrow):
        style_curves(ax, "step", "loss")
    to_png(to_pixels(figure, 40), 40)
    labels = [{tick.get_text() for tick in ax.get_yticklabels(which="both")} for ax in (wide, narrow)]
    assert {"10⁻⁴", "10⁻²", "10⁰"} <= labels[0]
    assert f"3{TIMES}10⁻³" in labels[1]
    assert not any("$" in text for texts in labels for text in texts)


X, Y, Z = np.linspace(0.0, 2.0, 7), np.linspace(0.0, 1.0, 5), np.linspace(0.0, 1.0, 3)


def drawn(picture: object) -> np.ndarray:
    """What the colours stand for."""
    ax = picture.figure.axes[0]
    (mesh,) = (*ax.images, *ax.collections)[:1]  # an image on an even grid, else a mesh
    return np.asarray(mesh.get_array()).ravel()


def test_draws_the_standard_deviation_of_a_grid(rng: np.random.Generator) -> None:
    values = rng.normal(size=(6, 35, 1)).astype(np.float32)
    sensors = np.array([[0.0, 0.0], [2.0, 1.0], [1.0, 0.5]])
    picture = draw_placement((X, Y), values, sensors, ("T",), grid=True)
    np.testing.assert_allclose(drawn(picture), values[..., 0].astype(float).std(axis=0).reshape(7, 5).T.ravel())
    assert [text.get_text() for text in picture.figure.axes[0].texts] == ["1", "2", "3"]
    assert "standard deviation of T over 6 snapshots" in picture.caption.replace("\u00a0", " ")
    assert "2 at (2, 1)" in picture.alt
    assert to_png(to_pixels(picture.figure, 30), 30).startswith(b"\x89PNG")


def test_draws_the_only_snapshot_with_its_sign(rng: np.random.Generator) -> None:
    values = rng.normal(size=(1, 35, 1))
    picture = draw_placement((X, Y), values, np.array([[1.0, 0.5]]), ("T",), grid=True)
    np.testing.assert_array_equal(drawn(picture), values[0, :, 0].reshape(7, 5).T.ravel())
    vector = draw_placement((X, Y), rng.normal(size=(1, 35, 2)), np.array([[1.0, 0.5]]), ("u", "v"), grid=True)
    assert (drawn(vector) >= 0.0).all()
    assert "|(u, v)|" in vector.caption


@pytest.mark.parametrize("grid", [True, False])
def test_three_dimensions_are_drawn_in_a_plane(rng: np.random.Generator, grid: bool) -> None:
    axes = (X, Y, Z) if grid else tuple(rng.uniform(size=(3, 500)))
    values = rng.normal(size=(4, 105 if grid else 500, 3))
    picture = draw_placement(axes, values, rng.uniform(size=(5, 3)), ("u", "v", "w"), grid=grid)
    assert "z\u00a0=" in picture.caption
    assert to_png(to_pixels(picture.figure, 30), 30).startswith(b"\x89PNG")


def test_blocks_change_nothing(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    values = rng.normal(size=(4, 35, 2))
    whole = drawn(draw_placement((X, Y), values, np.array([[1.0, 0.5]]), ("u", "v"), grid=True))
    monkeypatch.setattr("pinnx.report.sensor_maps._BLOCK", 4)
    parts = drawn(draw_placement((X, Y), values, np.array([[1.0, 0.5]]), ("u", "v"), grid=True))
    np.testing.assert_array_equal(parts, whole)
    np.testing.assert_allclose(whole, np.sqrt(values.var(axis=0).sum(axis=1)).reshape(7, 5).T.ravel())
