"""A report as a browser's parser sees it."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

VOID = {"img", "meta"}


class Page(HTMLParser):
    """Elements with their attributes, the text without markup, and whether tags are balanced."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        """All text, with plain single spaces."""
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str]]:
        """Attributes of every element of one kind."""
        return [attributes for name, attributes in self.elements if name == tag]

    def classes(self) -> list[str]:
        """Every class in use, in order."""
        return [a["class"] for _, a in self.elements if "class" in a]
