"""Names and words of the sources: one name for one file, the field's words, and paths in the documents that exist."""

from __future__ import annotations

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
    """Of the sources, in docs/architecture.md and CONTRIBUTING.md; names in capitals stand for one's own."""
    for document in ("docs/architecture.md", "CONTRIBUTING.md"):
        named = re.findall(
            r"`((?:csrc|pinn_ext|python|tests|benchmarks)/[\w./*-]+)`", (CHECKOUT / document).read_text()
        )
        assert named, document
        own = re.compile("[A-Z]{4}")
        missing = [name for name in named if not own.search(name) and not list(CHECKOUT.glob(name.rstrip("/")))]
        assert missing == [], document
