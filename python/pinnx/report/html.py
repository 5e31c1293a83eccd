"""Writes report.html: one file that holds its pictures and its style and asks for nothing else.

Nothing is computed again but norms for pictures: every number comes from what the run wrote.
"""

from __future__ import annotations

import base64
from importlib.resources import files
from pathlib import Path

from pinnx.report.curves import draw_error_over_time, draw_loss
from pinnx.report.fields import Fields, open_fields
from pinnx.report.knowledge import is_synthetic, known, name_of_flow, source_of
from pinnx.report.maps import draw_fields, draw_instants, draw_residuals, draw_sensors
from pinnx.report.markup import Html, tag
from pinnx.report.picture import Picture, to_png
from pinnx.report.run import Run, read_run
from pinnx.report.tables import checks_table, datum, errors_table, facts_table, sensors_table
from pinnx.report.words import duration, percent, plural
from pinnx.runs.files import write_text

__all__ = ["write_report"]

# Nothing may be fetched and no script may run, whatever a file of the run holds.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


_DPI, _FRAMES = 110, 3  # of a configuration that does not say


def write_report(run_folder: Path) -> Path:
    """Writes ``report.html`` into a run folder, complete or not at all.

    Args:
        run_folder: holds config.yaml, metrics.json, history.jsonl, sensors.csv and fields.h5.
            The sections ``report.dpi`` and ``report.frames`` of the configuration are followed.

    Returns:
        The path of the report.

    Raises:
        PinnxError: a file is missing or malformed; the message names it.
    """
    folder = Path(run_folder)
    run = read_run(folder)
    with open_fields(folder / "fields.h5") as fields:
        page = _page(run, fields)
    target = folder / "report.html"
    write_text(target, page)
    return target


def _page(run: Run, fields: Fields) -> str:
    title = f"{name_of_flow(run)}: reconstruction"
    style = files("pinnx.report").joinpath("style.css").read_text(encoding="utf-8")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Html(style)),
    )
    body = tag("body", tag("main", _header(run, fields), *_sections(run, fields)))
    return f'<!DOCTYPE html>\n<html lang="en">\n{head}\n{body}\n</html>\n'


def _header(run: Run, fields: Fields) -> Html:
    badge = Html("")
    if is_synthetic(run):
        made = source_of(run).removeprefix("synthetic:").strip()
        said = f" The reference was made by a solver, not measured: {made}"
        badge = tag("p", tag("strong", "Synthetic data."), said, class_="badge")
    return tag(
        "header",
        tag("p", "Flow reconstruction", class_="eyebrow"),
        tag("h1", _headline(run)),
        tag("p", _lead(run, fields), class_="lead"),
        badge,
        tag("dl", *_tiles(run), class_="tiles"),
    )


def _headline(run: Run) -> str:
    subject = f"{name_of_flow(run)} from {plural(len(run.sensors), 'sensor')}"
    error = _speed_error(run)
    if error is None:
        return f"{subject}, without a reference"
    return f"{subject}: {percent(error)} error in speed"


def _lead(run: Run, fields: Fields) -> str:
    kind = "A steady flow" if fields.times is None else "An unsteady flow"
    words = f"{kind} in {fields.dim} dimensions on {fields.layout}"
    if fields.times is not None:
        words += f" at {plural(fields.num_frames, 'instant')}"
    words += f", reconstructed from the velocity at {plural(len(run.sensors), 'place')}"
    error, seconds = _speed_error(run), run.metrics.get("train_s")
    if isinstance(seconds, int | float):
        words += f" in {duration(seconds)} of training"
    if error is None:
        return f"{words}. No reference is known, so neither is the error."
    return f"{words}. The relative L2 error of the speed is {percent(error)}."


def _speed_error(run: Run) -> float | None:
    value = (run.metrics.get("relative_l2") or {}).get("speed")
    return float(value) if isinstance(value, int | float) else None


def _tiles(run: Run) -> list[Html]:
    error, seconds = _speed_error(run), run.metrics.get("train_s")
    checks = run.metrics.get("checks") or ()
    num_passed = sum(item.get("passed") is True for item in checks)
    verdict = "passed" if checks and num_passed == len(checks) else "failed"
    return [
        _tile("Speed error", Html("unknown") if error is None else datum(error, percent(error))),
        _tile("Sensors", datum(len(run.sensors))),
        _tile("Training", datum(seconds, duration(seconds) if seconds is not None else None)),
        _tile("Checks passed", Html(f"{num_passed} of {len(checks)}"), verdict),
    ]


def _tile(name: str, value: Html, kind: str | None = None) -> Html:
    return tag("div", tag("dt", name), tag("dd", value, class_=kind))


def _sections(run: Run, fields: Fields) -> list[Html]:
    errors = run.metrics.get("relative_l2") or {}
    settings = run.config.get("report") or {}
    figures = _Figures(dpi=int(settings.get("dpi", _DPI)))
    num_frames = int(settings.get("frames", _FRAMES))
    return [
        _section(
            "What the reconstruction knew",
            tag("ul", *(tag("li", sentence) for sentence in known(run, fields))),
            figures.show(draw_sensors(fields, run.sensors, run.ranks)),
        ),
        _section("The flow", figures.show(draw_fields(fields, errors))),
        _section("How far to trust it", checks_table(run.metrics), errors_table(run.metrics)),
        _section(
            "Where and when it errs",
            figures.show(draw_residuals(fields)),
            figures.show(draw_error_over_time(fields)),
            figures.show(draw_instants(fields, num_frames, errors)),
        ),
        _section("The training", figures.show(draw_loss(run.history)), facts_table(run.metrics)),
        _section(
            "To do it again",
            _folded("Sensor positions", sensors_table(run.ranks, run.sensors)),
            _folded("Configuration", tag("pre", run.config_text)),
        ),
    ]


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
