"""The frame of report.html, whatever was solved: head, sections, tiles, numbered pictures.

One file that holds its pictures and its style and loads nothing else.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.resources import files
from typing import Any

from pinnx.report.curves import draw_found, draw_loss, draw_performance, draw_physics
from pinnx.report.formatting import Html, duration, join, tag
from pinnx.report.panels import Picture, to_pixels, to_png
from pinnx.report.run_data import Run
from pinnx.report.tables import STATUSES, datum, facts_table, status_of

__all__ = ["Figures", "closing_tiles", "folded", "html_page", "notes", "section", "tile", "training"]

# Nothing may be fetched and no script may run, whatever a file of the run holds.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def html_page(title: str, *content: Html) -> str:
    """The whole file."""
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
    body = tag("body", tag("main", *content))
    return f'<!DOCTYPE html>\n<html lang="en">\n{head}\n{body}\n</html>\n'


def closing_tiles(metrics: Mapping[str, Any]) -> list[Html]:
    """How long the training took, how many checks passed, and the worst of their verdicts."""
    seconds = metrics.get("train_s")
    verdicts = [status_of(item) for item in metrics.get("checks") or ()]
    worst = max(verdicts, key=STATUSES.index, default="failed")
    return [
        tile("Training time", datum(seconds, duration(seconds) if seconds is not None else None)),
        tile("Checks passed", Html(f"{verdicts.count('passed')} of {len(verdicts)}"), worst.replace(" ", "-")),
    ]


def tile(name: str, value: Html, kind: str | None = None) -> Html:
    """A number with its name, at the top of the page."""
    return tag("div", tag("dt", name), tag("dd", value, class_=kind))


def notes(metrics: Mapping[str, Any]) -> Html:
    """What the run left out of its input, averaged, overrode or assumed."""
    said = metrics.get("notes") or ()
    if not said:
        return Html("")
    items = [tag("li", str(note)) for note in said]
    return join((tag("p", tag("strong", "What was done to the input")), tag("ul", *items)))


def section(title: str, *content: Html) -> Html:
    """A section, or nothing where it has no content."""
    return tag("section", tag("h2", title), *content) if any(content) else Html("")


def folded(title: str, content: Html) -> Html:
    """Content that a click shows."""
    return tag("details", tag("summary", title), content)


class Figures:
    """Numbers the pictures in the order in which they are shown, and encodes each while the next one is drawn."""

    def __init__(self, dpi: int) -> None:
        self._dpi = dpi
        self._encoded: list[Future[bytes]] = []
        self._encoder = ThreadPoolExecutor(max_workers=1)

    def show(self, picture: Picture | None) -> Html:
        """A picture with its caption, by its number until the page is filled; nothing without one."""
        if picture is None:
            return Html("")
        self._encoded.append(self._encoder.submit(to_png, to_pixels(picture.figure, self._dpi), self._dpi))
        number = len(self._encoded)
        return tag(
            "figure",
            tag("img", src=f"figure-{number}", alt=picture.alt),
            tag("figcaption", tag("b", f"Figure {number}. "), picture.caption),
        )

    def fill(self, page: str) -> str:
        """The page with the pictures in it. Quotes in texts of a page are escaped, so none looks like a number here."""

        def data(number: re.Match[str]) -> str:
            png = self._encoded[int(number[1]) - 1].result()
            return f'src="data:image/png;base64,{base64.b64encode(png).decode("ascii")}"'

        return re.sub(r'src="figure-(\d+)"', data, page)


def training(run: Run, figures: Figures) -> Html:
    """The section on how the training went."""
    return section(
        "The training",
        figures.show(draw_found(run.history, run.metrics.get("found") or {})),
        figures.show(draw_loss(run.history)),
        figures.show(draw_physics(run.history, run.metrics.get("descriptions") or {})),
        figures.show(draw_performance(run.history)),
        facts_table(run.metrics),
    )
