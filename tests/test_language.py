"""Names and words of the sources: one name for one file, the field's words, and paths in the documents that exist."""

from __future__ import annotations

import importlib
import re
from collections import Counter
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
SOURCES = [
    path
    for folder in ("csrc", "pinn_ext", "python", "benchmarks", "examples")
    for path in sorted((CHECKOUT / folder).rglob("*"))
    if path.suffix in {".h", ".cpp", ".cu", ".py", ".pyi", ".yaml", ".css"} and "__pycache__" not in path.parts
]
# Words of a private voice: the subject is data, a function or a thread, and the verb says what happens.
REFUSED = ("whoever", "nobody", "told", "way back", "goes on", "lies", "meets", "to be had", "asked for", "made flow")
PATTERN = re.compile(rf"\b({'|'.join(REFUSED)})\b".replace(" ", r"\s+(?:[#*/]+\s+)?"), re.IGNORECASE)

pytestmark = pytest.mark.skipif(not SOURCES, reason="the tests do not run from a checkout: no sources beside them")


def found(text: str) -> list[str]:
    return [f"line {text[: match.start()].count(chr(10)) + 1}: {match[0]!r}" for match in PATTERN.finditer(text)]


def test_sources_and_messages_have_none_of_the_refused_words() -> None:
    hits = {str(path.relative_to(CHECKOUT)): found(path.read_text()) for path in SOURCES}
    assert {name: words for name, words in hits.items() if words} == {}


def test_a_refused_word_would_show() -> None:
    assert found("the corner lies there\n# it goes\n# on") == ["line 1: 'lies'", "line 2: 'goes\\n# on'"]
    assert found("earliest, untold, flies") == []


def test_no_two_modules_have_one_name() -> None:
    modules = [path.stem for path in SOURCES if path.suffix == ".py" and "pinnx" in path.parts]
    assert [name for name, times in Counter(modules).items() if times > 1 and not name.startswith("__")] == []


def test_paths_in_the_documents_exist() -> None:
    """Of the sources, in docs/architecture.md and CONTRIBUTING.md; names in capitals stand for one's own.

    Paths stand from the checkout, or from python/pinnx.
    """
    package = CHECKOUT / "python" / "pinnx"
    folders = [folder.name for folder in package.iterdir() if (folder / "__init__.py").exists()]
    for document in ("docs/architecture.md", "CONTRIBUTING.md"):
        text = (CHECKOUT / document).read_text()
        named = re.findall(r"`((?:csrc|pinn_ext|python|tests|benchmarks)/[\w./*-]+)`", text)
        inner = re.findall(rf"`((?:{'|'.join(folders)})/[\w./*-]+)`", text)
        assert named, document
        own = re.compile("[A-Z]{4}")
        missing = [name for name in named if not own.search(name) and not list(CHECKOUT.glob(name.rstrip("/")))]
        missing += [name for name in inner if not own.search(name) and not list(package.glob(name.rstrip("/")))]
        assert missing == [], document


def members_missing(text: str, sources: str) -> list[str]:
    """The `Class.member` of a text of which no class of that name has such a member."""
    missing = []
    for owner, member in re.findall(r"`([A-Z][A-Za-z]+)\.(?!txt\b)(\w+)(?:\([^`]*\))?`", text):
        bodies = re.findall(rf"^class {owner}\b.*?(?=^[^\s)]|\Z)", sources, re.MULTILINE | re.DOTALL)
        if not any(re.search(rf"^    (?:def )?{member}\b|self\.{member}\b", body, re.MULTILINE) for body in bodies):
            missing.append(f"{owner}.{member}")
    return missing


def test_members_in_the_architecture_exist() -> None:
    sources = "\n".join(path.read_text() for path in SOURCES if path.suffix == ".py")
    text = (CHECKOUT / "docs" / "architecture.md").read_text()
    assert members_missing(text, sources) == []
    assert members_missing("`Trainer.no_such_step`, `Trainer.run`, `NoSuch.run()`", sources) == [
        "Trainer.no_such_step",
        "NoSuch.run",
    ]


def test_streams_of_random_numbers_are_in_the_table() -> None:
    """Two uses of one stream would draw the same points; a new one takes a number that is free."""
    streams = [
        getattr(importlib.import_module(".".join(path.relative_to(CHECKOUT / "python").with_suffix("").parts)), name)
        for path in SOURCES
        if path.suffix == ".py" and "pinnx" in path.parts
        for name in re.findall(r"^([A-Z]+_STREAM) = ", path.read_text(), re.MULTILINE)
    ]
    conventions = (CHECKOUT / "docs" / "conventions.md").read_text()
    rows = re.findall(r"^\| 2\^(\d+)(?: \+ (\d+)\b(?! \w))?", conventions, re.MULTILINE)
    assert len(streams) == len(set(streams)) > 0
    assert sorted({*streams} - {1}) == sorted((1 << int(power)) + int(rest or 0) for power, rest in rows)
