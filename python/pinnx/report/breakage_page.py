"""The report of a breakage run: sizes against the reference, moments, the map of the residual, other solvers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py

from pinnx.errors import damage_named
from pinnx.report.breakage_pictures import SizeFields, draw_moments, draw_passing, draw_residual_map, draw_sizes
from pinnx.report.formatting import Html, number, percent, table, tag
from pinnx.report.frame import Figures, closing_tiles, folded, html_page, notes, section, tile, training
from pinnx.report.run_data import Run
from pinnx.report.tables import checks_table, datum, errors_table

__all__ = ["breakage_page"]

_DPI = 110


def breakage_page(run: Run, fields: Path) -> str:
    """The whole file, of the small files of a run and its fields.h5.

    Raises:
        PinnxError: a damaged file; the message names it.
    """
    with damage_named(fields, "expected the sizes of a breakage run, got"), h5py.File(fields) as file:
        sizes = SizeFields.read(file, str(file.attrs["reference"]))
    errors: Mapping[str, float] = run.metrics.get("relative_l2") or {}
    found = run.metrics.get("found") or {}
    settings: Mapping[str, Any] = run.config.get("report") or {}
    figures = Figures(dpi=int(settings.get("dpi", _DPI)))
    case = (run.config.get("problem") or {}).get("case")
    header = tag(
        "header",
        tag("p", "Particles that break", class_="eyebrow"),
        tag("h1", _headline(errors, sizes)),
        tag("p", str(run.metrics.get("solver_note") or ""), class_="lead"),
        tag("dl", *_tiles(run, errors, found), class_="tiles"),
    )
    page = html_page(
        f"{case}: breakage" if case else "Breakage",
        header,
        section(
            "What was given",
            tag("ul", *(tag("li", str(item)) for item in run.metrics.get("equations") or ())),
            notes(run.metrics),
        ),
        section(
            "The result",
            *(figures.show(draw(sizes)) for draw in (draw_sizes, draw_passing, draw_moments)),
            _at_times("Moments, the integrals of v^k f", run.metrics.get("moments") or {}),
            _at_times("Diameters of spheres, in the unit of length of the volumes", run.metrics.get("diameters") or {}),
        ),
        section("Checks and errors", checks_table(run.metrics), errors_table(run.metrics)),
        section("Where and when it is wrong", figures.show(draw_residual_map(sizes))),
        training(run, figures),
        section("How to repeat this run", folded("Configuration", tag("pre", run.config_text))),
    )
    return figures.fill(page)


def _at_times(title: str, numbers: Mapping[str, Mapping[str, float | None]]) -> Html:
    """Numbers of the network by name, at the reported times."""
    times = list(next(iter(numbers.values()), {}))
    rows = [(time, *(datum(of[time]) for of in numbers.values())) for time in times]
    return table(title, ("", *numbers), rows)


def _headline(errors: Mapping[str, float], sizes: SizeFields) -> str:
    if not errors:
        return "Size distributions of breaking particles"
    worst = max(errors, key=lambda name: errors[name])
    return f"The sizes are within {percent(errors[worst])} of {sizes.reference_name}"


def _tiles(run: Run, errors: Mapping[str, float], found: Mapping[str, Mapping[str, float]]) -> list[Html]:
    tiles = [tile(f"Error at {name}", datum(value, percent(value))) for name, value in errors.items()]
    tiles += [tile(f"Found: {name}", datum(item["value"], number(item["value"]))) for name, item in found.items()]
    return [*tiles, *closing_tiles(run.metrics)]
