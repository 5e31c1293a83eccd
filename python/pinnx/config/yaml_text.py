"""YAML as a configuration needs it: PyYAML's safe loader, less its traps.

`1e-3` is a number (YAML 1.1 wants a dot, and PyYAML would read a text), a key given twice is an
error (PyYAML keeps the last in silence), 010 is ten, and there are no dates, no yes and no, and no
numbers to base 60.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import yaml

from pinnx.errors import PinnxError

__all__ = ["parse_yaml"]

INTEGER = re.compile(r"[-+]?[0-9]+")
NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan")
TRUTH = re.compile(r"true|True|TRUE|false|False|FALSE")
NULL = re.compile(r"~|null|Null|NULL|")


class _Loader(yaml.SafeLoader):
    """The YAML 1.2 core schema, with unique keys."""

    yaml_implicit_resolvers: dict[str | None, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(
                    None, None, f"expected a key that is a text, got {key!r}", key_node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} stands here a second time", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


for _tag, _pattern, _first in (
    ("int", INTEGER, "-+0123456789"),
    ("float", NUMBER, "-+.0123456789"),
    ("bool", TRUTH, "tTfF"),
    ("null", NULL, ["~", "n", "N", ""]),
):
    _whole = re.compile(f"(?:{_pattern.pattern})$")
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _whole, list(_first))


def _decimal(loader: _Loader, node: yaml.ScalarNode) -> int:
    return int(node.value, 10)


_Loader.add_constructor("tag:yaml.org,2002:int", _decimal)


def parse_yaml(text: str, where: str) -> Any:
    """Return what a YAML text says: mappings, lists, numbers, texts, true, false, None.

    Args:
        text: the YAML.
        where: what it is, for messages: a file's name or an override.

    Raises:
        PinnxError: one line with the place and the reason.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or str(error).split("\n")[0]
        raise PinnxError(f"{where}{line}: expected YAML, got an error: {reason}") from None
