"""Writes report.html: one file that holds its pictures and its style and loads nothing else.

Every number comes from what the run wrote; only norms for pictures are computed here.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from pinnx.report.curves import draw_error_over_time, draw_found, draw_loss, draw_performance, draw_physics
from pinnx.report.formatting import Html, duration, join, percent, tag
from pinnx.report.maps import draw_fields, draw_residuals, draw_spread, draw_times
from pinnx.report.measured import draw_measured
from pinnx.report.panels import Picture, to_png
from pinnx.report.run_data import Run, RunFields, open_fields, read_run
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
from pinnx.report.tables import STATUSES, checks_table, datum, errors_table, facts_table, sensors_table, status_of
from pinnx.runs.files import write_text
from pinnx.runs.folder import RunFolder

__all__ = ["write_report"]

# Nothing may be fetched and no script may run, whatever a file of the run holds.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_DPI, _TIMES = 110, 3  # of a configuration without them


def write_report(run_folder: Path) -> Path:
    """Writes ``report.html`` into a run folder, complete or not at all.

    Args:
        run_folder: holds config.yaml, metrics.json, history.jsonl, sensors.csv and fields.h5. The configuration's
            ``report.dpi`` and ``report.frames`` set the resolution of the pictures and the number of times shown.

    Returns:
        The path of the report.

    Raises:
        PinnxError: a file is missing or malformed; the message names it.
    """
    folder = RunFolder(run_folder)
    run = read_run(folder.path)
    with open_fields(folder.fields) as fields:
        page = _page(run, fields)
    write_text(folder.report, page)
    return folder.report


def _page(run: Run, fields: RunFields) -> str:
    style = files("pinnx.report").joinpath("style.css").read_text(encoding="utf-8")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{title_of(run)}: reconstruction"),
        tag("style", Html(style)),
    )
    body = tag("body", tag("main", _header(run, fields), *_sections(run, fields)))
    return f'<!DOCTYPE html>\n<html lang="en">\n{head}\n{body}\n</html>\n'


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
    error, seconds = main_error(run, fields), run.metrics.get("train_s")
    worst = run.metrics.get("worst_component")
    name, shown = (fields.main, Html("unknown")) if error is None else (error[0], datum(error[1], percent(error[1])))
    tiles = [_tile(f"Error in {name}", shown)]
    if worst:
        value = worst["relative_l2"]
        tiles.append(_tile(f"Worst component: {worst['name']}", datum(value, percent(value))))
    return [
        *tiles,
        *(
            _tile(f"Found: {name}", datum(item["value"]), found_status(run, item))
            for name, item in (run.metrics.get("found") or {}).items()
        ),
        _tile("Sensors", datum(len(run.sensors))),
        _tile("Training time", datum(seconds, duration(seconds) if seconds is not None else None)),
        _tile("Checks passed", *_passed(run)),
    ]


def _passed(run: Run) -> tuple[Html, str]:
    """How many checks passed, and the worst of their verdicts."""
    verdicts = [status_of(item) for item in run.metrics.get("checks") or ()]
    worst = max(verdicts, key=STATUSES.index, default="failed")
    return Html(f"{verdicts.count('passed')} of {len(verdicts)}"), worst


def _tile(name: str, value: Html, kind: str | None = None) -> Html:
    return tag("div", tag("dt", name), tag("dd", value, class_=kind))


def _sections(run: Run, fields: RunFields) -> list[Html]:
    errors = run.metrics.get("relative_l2") or {}
    settings: Mapping[str, Any] = run.config.get("report") or {}
    figures = _Figures(dpi=int(settings.get("dpi", _DPI)))
    return [
        _section(
            "What was given",
            tag("ul", *(tag("li", sentence) for sentence in given(run, fields))),
            _notes(run),
            figures.show(draw_sensors(fields, run.sensors)),
        ),
        _section(
            "The result",
            *(figures.show(picture) for picture in draw_fields(fields, errors)),
            figures.show(draw_measured(fields)),
        ),
        _section("Checks and errors", checks_table(run.metrics), errors_table(run.metrics)),
        _section(
            "Where and when it is wrong",
            figures.show(draw_spread(fields, run.metrics.get("ensemble") or {})),
            figures.show(draw_residuals(fields)),
            figures.show(draw_error_over_time(fields)),
            figures.show(draw_times(fields, int(settings.get("frames", _TIMES)), errors)),
        ),
        _section(
            "The training",
            figures.show(draw_found(run.history, run.metrics.get("found") or {})),
            figures.show(draw_loss(run.history)),
            figures.show(draw_physics(run.history, run.metrics.get("descriptions") or {})),
            figures.show(draw_performance(run.history)),
            facts_table(run.metrics),
        ),
        _section(
            "How to repeat this run",
            _folded("Sensor positions", sensors_table(run.sensors)),
            _folded("Configuration", tag("pre", run.config_text)),
        ),
    ]


def _notes(run: Run) -> Html:
    """What the run left out of its input, averaged, overrode or assumed."""
    notes = run.metrics.get("notes") or ()
    if not notes:
        return Html("")
    items = [tag("li", str(note)) for note in notes]
    return join((tag("p", tag("strong", "What was done to the input")), tag("ul", *items)))


def _section(title: str, *content: Html) -> Html:
    """A section, or nothing where it has no content."""
    return tag("section", tag("h2", title), *content) if any(content) else Html("")


def _folded(title: str, content: Html) -> Html:
    return tag("details", tag("summary", title), content)


class _Figures:
    """Numbers the pictures in the order in which they are shown."""

    def __init__(self, dpi: int) -> None:
        self._dpi = dpi
        self._shown = 0

    def show(self, picture: Picture | None) -> Html:
        if picture is None:
            return Html("")
        self._shown += 1
        data = base64.b64encode(to_png(picture.figure, self._dpi)).decode("ascii")
        return tag(
            "figure",
            tag("img", src=f"data:image/png;base64,{data}", alt=picture.alt),
            tag("figcaption", tag("b", f"Figure {self._shown}. "), picture.caption),
        )
