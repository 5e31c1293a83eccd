"""The table of all settings, taken from the sections themselves.

One row = one key by its full dotted path. A list of sections appears with a number in its path,
written N: `boundaries.N.where.side`.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from pinnx.config.kinds import phrase_of
from pinnx.config.root import Config, fields_of

__all__ = ["Key", "configuration_markdown", "describe", "section_of"]

INTRODUCTION = """\
# Configuration

A run is decided by one YAML file: the sections below, each with its keys. Start from a preset
(`cavity`, `wake`, `demo`) or from a file of your own, and override single keys on the command line
by their full path:

    pinnx reconstruct cavity --data ldc_re1000.mat --out run train.steps=500 sensors.count=8

A key that is not in this table is an error. `config.yaml` in the folder of a run holds every key
with the value that was used, and starts the same run again. Units are those of the data. A path is
relative to the folder in which the command runs.

Which equations hold is the section `problem` with its `kind`. Each kind is also a section by its own
name, which is shorter: `flow: {nu: 0.01}` and `problem: {kind: flow, nu: 0.01}` are the same, and so
are the overrides `flow.nu=0.01` and `problem.nu=0.01`. Both at once are refused.

This page is made from the code by `pinnx.config.configuration_markdown()`.
"""


@dataclass(frozen=True)
class Key:
    """One setting."""

    path: str  # full dotted path, such as "train.steps"
    kind: str  # what it accepts, in words
    default: str  # the default as YAML, "required" where there is none
    description: str  # what it means
    unit: str  # its unit, "" where it has none


@cache
def describe() -> tuple[Key, ...]:
    """Return all settings, in the order of the sections; a section itself is no setting."""
    return tuple(_keys_of(Config, ""))


def section_of(annotation: Any) -> tuple[type[BaseModel], bool] | None:
    """Return the section that a type holds and whether it is a list of them; None for a value."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return section_of(arguments[0])
    if origin in (Union, types.UnionType):
        return next(filter(None, map(section_of, arguments)), None)
    if origin is tuple and arguments[-1] is Ellipsis:
        inner = section_of(arguments[0])
        return inner and (inner[0], True)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    return None


def configuration_markdown() -> str:
    """Return the text of docs/configuration.md: one table for each section."""
    lines = [INTRODUCTION]
    for name, field in fields_of(Config).items():
        inner = section_of(field.annotation)
        about = f"{field.description}." if inner is None else inspect.getdoc(inner[0])
        lines += [f"## {name}", "", f"{about[:1].upper()}{about[1:]}" if about else "", ""]
        lines += ["| key | accepts | default | meaning | unit |", "|---|---|---|---|---|"]
        for key in describe():
            if key.path.split(".")[0] == name:
                cells = (f"`{key.path}`", key.kind, f"`{key.default}`", key.description, key.unit)
                lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    return "\n".join(lines)


def _keys_of(section: type[BaseModel], prefix: str) -> Iterator[Key]:
    for name, field in fields_of(section).items():
        path = prefix + name
        inner = section_of(field.annotation)
        if inner is not None:
            yield from _keys_of(inner[0], f"{path}.N." if inner[1] else f"{path}.")
            continue
        unit = field.json_schema_extra["unit"]  # type: ignore[index]
        yield Key(
            path=path,
            kind=phrase_of(field.annotation, field.metadata),
            default=_yaml_of(field.default),
            description=field.description or "",
            unit=str(unit),
        )


def _yaml_of(default: Any) -> str:
    if default is PydanticUndefined or default is ...:
        return "required"
    plain = list(default) if isinstance(default, tuple) else default
    text = yaml.safe_dump(plain, default_flow_style=True, width=1000)
    return text.removesuffix("\n").removesuffix("\n...")
