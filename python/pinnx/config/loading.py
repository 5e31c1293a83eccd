"""From a preset or a YAML file and overrides to a checked configuration, and back.

    preset or file -> overrides, in order -> unknown keys, values and relations -> Config

An override is "a.b.c=VALUE", its value in YAML: "train.lr=1e-3", "sensors.positions=[[1, 0]]",
"boundaries.0.u=4*y*(1-y)"; or a pair (path, value) that is taken as it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_origin

import yaml
from pydantic import ValidationError

from pinnx.config.kinds import Section
from pinnx.config.messages import error_of, field_at, unknown_key
from pinnx.config.root import PROBLEMS, SEEDED, Config
from pinnx.config.yaml_text import parse_yaml
from pinnx.errors import PinnxError

__all__ = ["dotted", "dump_config", "is_within", "load_config", "preset_names", "with_absolute_paths"]

PRESETS = Path(__file__).resolve().parents[1] / "presets"

Override = str | tuple[str, Any]


def preset_names() -> tuple[str, ...]:
    """Return the names of the presets, sorted."""
    return tuple(sorted(path.stem for path in PRESETS.glob("*.yaml")))


def load_config(preset_or_path: str | os.PathLike[str] | None, overrides: Iterable[Override] = ()) -> Config:
    """Read a configuration, apply overrides and check everything.

    Args:
        preset_or_path: the name of a preset, or a YAML file; None: nothing but defaults.
        overrides: each "a.b=VALUE" with a YAML value, or ("a.b", value); later ones win.

    Returns:
        The configuration, frozen.

    Raises:
        PinnxError: one line: no such preset or file, an unknown key (the nearest known one is
            named), a value of the wrong kind, or settings that contradict each other.
    """
    settings = _by_kind({} if preset_or_path is None else _read(preset_or_path))
    _lengthen(settings)
    for override in overrides:
        path, value = _split(override) if isinstance(override, str) else override
        if path == "problem":
            settings = _by_kind({**{k: v for k, v in settings.items() if k not in PROBLEMS}, path: value})
        else:
            _apply(settings, _short(path, settings), value)
        _lengthen(settings)
    try:
        return Config.model_validate(_as_problem(settings))
    except ValidationError as error:
        raise error_of(error, settings) from None


def dump_config(config: Config) -> str:
    """Return all keys with their values as YAML, which `load_config` reads back equal."""
    plain = config.model_dump(mode="json")
    for name in SEEDED:  # so that another seed at the top still sets them
        if plain[name]["seed"] == config.seed:
            plain[name]["seed"] = None
    # Flow style None: sections stand line by line, the innermost lists and mappings on one line.
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100)


def dotted(section: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Plain settings by their dotted names; lists and empty mappings are values."""
    for name, value in section.items():
        if isinstance(value, Mapping) and value:
            yield from dotted(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def is_within(name: str, given: Sequence[str]) -> bool:
    """Whether a dotted setting is one of these settings and sections, or in one."""
    return any(name == other or name.startswith(f"{other}.") for other in given)


def _read(preset_or_path: str | os.PathLike[str]) -> dict[str, Any]:
    name = os.fspath(preset_or_path)
    is_preset = name in preset_names()
    path = PRESETS / f"{name}.yaml" if is_preset else Path(name)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise PinnxError(
            f"{name}: expected a YAML file or a preset ({', '.join(preset_names())}), got neither"
        ) from None
    except (OSError, ValueError) as error:
        raise PinnxError(f"{name}: expected a YAML file, got: {error}") from None
    settings = parse_yaml(text, name)
    if settings is None:
        settings = {}
    if not isinstance(settings, dict):
        raise PinnxError(f"{name}: expected a mapping of sections, got {type(settings).__name__}")
    return settings


def _by_kind(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings with the section `problem` by the name of its kind."""
    given = [name for name in ("problem", *PROBLEMS) if name in settings]
    if len(given) > 1:
        raise PinnxError(
            f"problem: expected one section of {', '.join(('problem', *PROBLEMS))}, got {' and '.join(given)}"
        )
    if given != ["problem"]:
        return settings
    rest = {name: value for name, value in settings.items() if name != "problem"}
    problem = settings["problem"]
    kind = problem.get("kind") if isinstance(problem, dict) else problem
    if not isinstance(problem, dict) or kind not in PROBLEMS:
        raise PinnxError(f"problem.kind: expected one of {', '.join(PROBLEMS)}, got {kind!r}")
    return {**rest, kind: {name: value for name, value in problem.items() if name != "kind"}}


def _lengthen(settings: dict[str, Any]) -> None:
    """`data.measurements: FILE` and `data.noise: SHARE` as the sections that they are short for, in place."""
    data = settings.get("data")
    if isinstance(data, dict) and isinstance(data.get("measurements"), str):
        data["measurements"] = {"path": data["measurements"]}
    if isinstance(data, dict) and isinstance(data.get("noise"), int | float | str):
        data["noise"] = {"share": data["noise"]}


def _short(path: str, settings: dict[str, Any]) -> str:
    """An override's path with the name of the kind in place of `problem`."""
    present = next((kind for kind in PROBLEMS if kind in settings), next(iter(PROBLEMS)))
    first, dot, rest = path.partition(".")
    if first == "problem" and dot:
        return f"{present}.{rest}"
    if first in PROBLEMS and first != present:
        raise PinnxError(f"{path}: the problem is of kind {present}")
    return path


def _as_problem(settings: dict[str, Any]) -> dict[str, Any]:
    """What `Config` takes: the section of a kind as its section `problem`."""
    kind = next((kind for kind in PROBLEMS if kind in settings), None)
    if kind is None:
        return settings
    rest = {name: value for name, value in settings.items() if name != kind}
    given = {} if settings[kind] is None else settings[kind]
    if isinstance(given, dict) and "kind" in given:
        raise unknown_key(f"{kind}.kind")
    return {**rest, "problem": {**given, "kind": kind} if isinstance(given, dict) else given}


def _split(override: str) -> tuple[str, Any]:
    path, separator, text = override.partition("=")
    if not separator or not path.strip():
        raise PinnxError(f"override {override!r}: expected key=value")
    if text.startswith("@"):  # an attribute of a file; in YAML it would need quotes within those of the shell
        return path.strip(), text
    return path.strip(), parse_yaml(text, f"override {override!r}")


def _apply(settings: dict[str, Any], path: str, value: Any) -> None:
    """Set one key of nested settings, in place; sections on the way are made where missing."""
    parts: list[str | int] = [int(part) if part.isdigit() else part for part in path.split(".")]
    if not _exists(parts):
        raise unknown_key(path)
    here: Any = settings
    for depth, part in enumerate(parts):
        walked = ".".join(str(item) for item in parts[:depth])
        if isinstance(part, int):
            size = len(here) if isinstance(here, list) else 0
            if part >= size:
                raise PinnxError(f"{path}: expected a number below {size} after {walked}")
        elif not isinstance(here, dict):
            raise PinnxError(f"{path}: expected a section at {walked}, got {here!r}")
        if depth == len(parts) - 1:
            here[part] = value
        elif isinstance(here, dict) and here.get(str(part)) is None:
            here[part] = {}
        here = here[part]


def _exists(parts: list[str | int]) -> bool:
    """Whether a path names a setting, an item of a list or a name that is the user's to choose."""
    field, walked = field_at(tuple(parts))
    if field is None:
        return False
    rest = parts[len(walked) :]
    return get_origin(field.annotation) is dict or all(isinstance(part, int) for part in rest)


def with_absolute_paths(config: Config) -> Config:
    """The same configuration, with the same files from any working directory: so that a run can be resumed there."""
    return _absolute(config)


def _absolute(section: Any) -> Any:
    """A section, or a list of them, in which names of files (``file`` of `setting`) are absolute."""
    if isinstance(section, tuple):
        return tuple(map(_absolute, section))
    if not isinstance(section, Section):
        return section
    given = {}
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if value is not None and field.json_schema_extra["file"]:  # type: ignore[index]
            value = str(Path(value).expanduser().resolve())
        given[name] = _absolute(value)
    return section.model_copy(update=given)
