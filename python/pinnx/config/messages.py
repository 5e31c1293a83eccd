"""One line for whatever is wrong with a configuration: where, what was wanted, what came.

    sensors.count: expected an integer >= 1, got 'abc'
    train.stesp: unknown key; did you mean train.steps?

"Wanted" comes from the type of the setting (kinds.py), so that a message and the table of keys say
the same; "came" is what the user wrote, before any conversion.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from pinnx.config.describe import describe, section_of
from pinnx.config.kinds import phrase_of
from pinnx.config.root import PROBLEMS, Config, fields_of
from pinnx.errors import PinnxError

__all__ = ["error_of", "field_at", "unknown_key"]

Path = tuple[str | int, ...]
LONGEST_VALUE = 60  # characters of a wrong value that a message shows


def unknown_key(path: str) -> PinnxError:
    """Say that a key does not exist, and which known one is nearest to it."""
    return PinnxError(f"{path}: unknown key; did you mean {_nearest(path)}?")


def field_at(path: Path) -> tuple[FieldInfo | None, Path]:
    """Walk down the sections along a path, as far as it names fields.

    Returns:
        The last field (None where not even the first name is known), and the part of the path that
        leads to it, with the number behind it where it is a list of sections. What is left of the
        path is an unknown key, or is inside a value.
    """
    section: type[BaseModel] | None = Config
    field: FieldInfo | None = None
    walked = 0
    while walked < len(path) and section is not None and path[walked] in fields_of(section):
        field = fields_of(section)[str(path[walked])]
        walked += 1
        inner = section_of(field.annotation)
        section = inner[0] if inner else None
        if inner and inner[1] and walked < len(path) and isinstance(path[walked], int):
            walked += 1
    return field, path[:walked]


def error_of(error: ValidationError, settings: Mapping[str, Any]) -> PinnxError:
    """Turn what pydantic found into the first error's one line, unknown keys first, with the number of the others."""
    problems = error.errors(include_url=False)
    for problem in problems:
        if problem["type"] == "extra_forbidden":
            return unknown_key(".".join(map(str, _typed(problem["loc"], settings))))
    by_path: dict[Path, list[Any]] = {}
    for problem in problems:
        _, path = field_at(_typed(problem["loc"], settings))
        by_path.setdefault(path, []).append(problem)
    path, first = next(iter(by_path.items()))
    more = f" (and {len(by_path) - 1} more)" if len(by_path) > 1 else ""
    return PinnxError(f"{_message(path, first, settings)}{more}")


def _typed(location: Path, settings: Mapping[str, Any]) -> Path:
    """Where pydantic found something, by the names that users type: a kind of problem by its own name."""
    if not location or location[0] != "problem":
        return location
    kind = next((kind for kind in PROBLEMS if kind in settings), next(iter(PROBLEMS)))
    rest = location[1:]
    return (kind, *(rest[1:] if rest[:1] == (kind,) else rest))  # with several kinds the location names it too


def _message(path: Path, problems: list[Any], settings: Mapping[str, Any]) -> str:
    dotted = ".".join(str(part) for part in path) or "configuration"
    for problem in problems:
        if problem["type"] == "value_error":
            # A rule between settings, with its own text; it may begin with the key that it is about.
            reason = str(problem["ctx"]["error"])
            if not path and _is_key(reason.split(":")[0]):
                return reason
            about = f"{dotted}.{reason.split(':')[0]}"
            return f"{dotted}.{reason}" if _is_key(about) else f"{dotted}: {reason}"
    field, _ = field_at(path)
    wanted = phrase_of(field.annotation, field.metadata) if field else "a mapping of sections"
    if path and isinstance(path[-1], int):
        wanted = wanted.replace("a list of sections", "a section")
    missing = problems[0]["type"] == "missing" and len(_typed(problems[0]["loc"], settings)) == len(path)
    came = "nothing" if missing else _shown(_value_at(path, settings))
    return f"{dotted}: expected {wanted}, got {came}"


def _value_at(path: Path, settings: Any) -> Any:
    for part in path:
        settings = settings[part]
    return settings


def _shown(value: Any) -> str:
    is_word = value is None or isinstance(value, bool)
    text = json.dumps(value) if is_word else repr(value)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 3] + "..."


def _known_paths() -> Iterator[str]:
    """Yield every path that names something: keys, and the sections above them."""
    seen = set()
    for key in describe():
        parts = key.path.split(".")
        for length in range(1, len(parts) + 1):
            path = ".".join(parts[:length])
            if path not in seen and not path.endswith(".N"):
                seen.add(path)
                yield path


def _is_key(path: str) -> bool:
    return re.sub(r"\.\d+\.", ".N.", path) in set(_known_paths())


def _nearest(path: str) -> str:
    """Return the known path nearest to a wrong one, in whole or by its last name."""
    general = re.sub(r"\.\d+\.", ".N.", path)
    name = path.split(".")[-1]

    def likeness(known: str) -> tuple[float, float]:
        # At equal letters a key of the same depth is meant, and not the section above it.
        whole = _ratio(general, known) + 0.05 * (general.count(".") == known.count("."))
        # Names of one or two letters (x, lr) are too easily alike to count for themselves.
        last = _ratio(name, known.split(".")[-1]) if len(name) > 2 else 0.0
        return max(whole, last), whole

    numbers = re.findall(r"\.(\d+)(?=\.)", path)
    return re.sub(r"\bN\b", numbers[0] if numbers else "0", max(_known_paths(), key=likeness))


def _ratio(a: str, b: str) -> float:
    return difflib.SequenceMatcher(None, a, b).ratio()
