"""HTML from Python values: whatever is not already markup is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

__all__ = ["Html", "join", "table", "tag"]

_VOID = {"img", "meta"}


class Html(str):
    """Text that is markup already. Only this module and string constants make it."""

    __slots__ = ()


def join(children: Iterable[str], between: str = "") -> Html:
    """Children one after another, each escaped unless it is markup."""
    safe = (child if isinstance(child, Html) else escape(child) for child in children)
    return Html(between.join(safe))


def tag(name: str, /, *children: str, **attributes: str | None) -> Html:
    """One element: ``tag("p", "a < b", class_="note")``.

    A trailing underscore in an attribute's name is dropped; an attribute that is None is left out.
    """
    pairs = "".join(f' {key.rstrip("_")}="{escape(value)}"' for key, value in attributes.items() if value is not None)
    if name in _VOID:
        return Html(f"<{name}{pairs}>")
    return Html(f"<{name}{pairs}>{join(children)}</{name}>")


def table(caption: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> Html:
    """A table whose first column names the rows."""
    head = tag("thead", tag("tr", *(tag("th", text, scope="col") for text in header)))
    body = [tag("tr", tag("th", row[0], scope="row"), *(tag("td", cell) for cell in row[1:])) for row in rows]
    whole = tag("table", tag("caption", caption), head, tag("tbody", *body))
    return tag("div", whole, class_="scroll")
