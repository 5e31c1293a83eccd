"""Writes report.html: one file that holds its pictures and its style and loads nothing else.

Every number comes from what the run wrote; only norms for pictures are computed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pinnx.report.breakage_page import breakage_page
from pinnx.report.curves import draw_error_over_time, draw_measured
from pinnx.report.formatting import Html, percent, tag
from pinnx.report.frame import Figures, closing_tiles, folded, html_page, notes, section, tile, training
from pinnx.report.maps import draw_fields, draw_residuals, draw_slices, draw_spread, draw_times
from pinnx.report.run_data import Run, RunFields, kind_of, open_fields, read_run
from pinnx.report.sensor_maps import draw_sensors
from pinnx.report.summary import (
    found_numbers,
    found_status,
    given,
    headline,
    lead,
    main_error,
    synthetic_source,
    title_of,
)
from pinnx.report.tables import checks_table, datum, errors_table, sensors_table
from pinnx.runs.files import write_text
from pinnx.runs.folder import RunFolder

__all__ = ["write_report"]

_DPI, _TIMES = 110, 3  # of a configuration without them


def write_report(run_folder: Path) -> Path:
    """Writes ``report.html`` into a run folder, complete or not at all.

    Args:
        run_folder: holds config.yaml, metrics.json, history.jsonl, fields.h5, and sensors.csv of a flow. The
            configuration's ``report.dpi`` and ``report.frames`` set the resolution of the pictures and the number of
            times shown.

    Returns:
        The path of the report.

    Raises:
        PinnxError: a file is missing or malformed; the message names it.
    """
    folder = RunFolder(run_folder)
    run = read_run(folder.path)
    if kind_of(run.config) == "breakage":
        page = breakage_page(run, folder.fields)
    else:
        with open_fields(folder.fields) as fields:
            page = _page(run, fields)
    write_text(folder.report, page)
    return folder.report


def _page(run: Run, fields: RunFields) -> str:
    settings: Mapping[str, Any] = run.config.get("report") or {}
    figures = Figures(dpi=int(settings.get("dpi", _DPI)))
    sections = _sections(run, fields, figures, int(settings.get("frames", _TIMES)))
    return figures.fill(html_page(f"{title_of(run)}: reconstruction", _header(run, fields), *sections))


def _header(run: Run, fields: RunFields) -> Html:
    made = synthetic_source(run)
    note = f" The reference was computed by a solver, not measured: {made}."
    return tag(
        "header",
        tag("p", "Reconstruction from sensors", class_="eyebrow"),
        tag("h1", headline(run, fields)),
        tag("p", lead(run, fields), class_="lead"),
        *(tag("p", sentence, class_="lead") for sentence in found_numbers(run)),
        Html("") if made is None else tag("p", tag("strong", "Synthetic data."), note, class_="badge"),
        tag("dl", *_tiles(run, fields), class_="tiles"),
    )


def _tiles(run: Run, fields: RunFields) -> list[Html]:
    error = main_error(run, fields)
    worst = run.metrics.get("worst_component")
    name, shown = (fields.main, Html("unknown")) if error is None else (error[0], datum(error[1], percent(error[1])))
    tiles = [tile(f"Error in {name}", shown)]
    if worst:
        value = worst["relative_l2"]
        tiles.append(tile(f"Worst component: {worst['name']}", datum(value, percent(value))))
    return [
        *tiles,
        *(
            tile(f"Found: {name}", datum(item["value"]), found_status(run, item))
            for name, item in (run.metrics.get("found") or {}).items()
        ),
        tile("Sensors", datum(len(run.sensors))),
        *closing_tiles(run.metrics),
    ]


def _sections(run: Run, fields: RunFields, figures: Figures, num_times: int) -> list[Html]:
    errors = run.metrics.get("relative_l2") or {}
    return [
        section(
            "What was given",
            tag("ul", *(tag("li", sentence) for sentence in given(run, fields))),
            notes(run.metrics),
            figures.show(draw_sensors(fields, run.sensors)),
        ),
        section(
            "The result",
            *(figures.show(picture) for picture in draw_fields(fields, errors)),
            figures.show(draw_slices(fields)),
            figures.show(draw_measured(fields)),
        ),
        section("Checks and errors", checks_table(run.metrics), errors_table(run.metrics)),
        section(
            "Where and when it is wrong",
            figures.show(draw_spread(fields, run.metrics.get("ensemble") or {})),
            figures.show(draw_residuals(fields)),
            figures.show(draw_error_over_time(fields)),
            figures.show(draw_times(fields, num_times, errors)),
        ),
        training(run, figures),
        section(
            "How to repeat this run",
            folded("Sensor positions", sensors_table(run.sensors)),
            folded("Configuration", tag("pre", run.config_text)),
        ),
    ]
