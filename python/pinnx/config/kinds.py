"""The kinds of value that a setting can have, each with its check and its words.

`phrase_of` turns a type and its limits into the words that messages and the documentation use:
`Annotated[int, Strict(), Ge(1)]` is "an integer >= 1". Kinds are strict: true is no number, "3" no
integer.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import AfterValidator, AllowInfNan, BaseModel, ConfigDict, Field, Strict, model_validator

from pinnx.physics.expression import Expression, number_or_formula

__all__ = [
    "Condition",
    "Count",
    "Factor",
    "Forces",
    "Formula",
    "Inner",
    "Interval",
    "MethodSection",
    "Natural",
    "NonNegative",
    "Number",
    "Positive",
    "Ramp",
    "Resolution",
    "Says",
    "Section",
    "Seed",
    "Several",
    "Share",
    "Switch",
    "Text",
    "phrase_of",
    "setting",
]


class Section(BaseModel):
    """A group of settings: frozen, and closed to unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    @model_validator(mode="before")
    @classmethod
    def _null_lifts_a_section(cls, given: Any) -> Any:
        """`window: null` is a window without limits, `boundaries: null` no boundaries."""
        if not isinstance(given, dict):
            return given
        return {name: value for name, value in given.items() if value is not None or not cls._is_section(name)}

    @classmethod
    def _is_section(cls, name: str) -> bool:
        """Whether a field is a section, or a list of sections, that null cannot stand for."""
        annotation = cls.model_fields[name].annotation if name in cls.model_fields else None
        if get_origin(annotation) is tuple:
            annotation = get_args(annotation)[0]
        return isinstance(annotation, type) and issubclass(annotation, Section)

    def changed(self, name: str) -> bool:
        """Whether a setting has another value than its default."""
        return bool(getattr(self, name) != type(self).model_fields[name].default)

    def only_one(self, names: Sequence[str]) -> str:
        """The one of some settings that is not null.

        Raises:
            ValueError: several are, or none is.
        """
        given = [name for name in names if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"expected exactly one of {', '.join(names)}, got {' and '.join(given) or 'none'}")
        return given[0]


class MethodSection(Section):
    """Settings of a ``method``; those of another one (``of`` of `setting`) are refused, as they would do nothing."""

    @model_validator(mode="after")
    def _settings_of_the_method_alone(self) -> Self:
        chosen = getattr(self, "method")  # noqa: B009
        for name, field in type(self).model_fields.items():
            methods = field.json_schema_extra["of"]  # type: ignore[index]
            if methods and self.changed(name) and chosen not in methods:
                raise ValueError(f"{name}: only for method {' and '.join(methods)}, got method {chosen}")
        return self


@dataclass(frozen=True)
class Says:
    """Words for a kind whose type does not say enough."""

    words: str


def setting(default: Any, description: str, unit: str = "", *, of: tuple[str, ...] = (), file: bool = False) -> Any:
    """Declare a setting.

    Args:
        default: its default; ... where it has none.
        description: what it means.
        unit: its unit, "" where it has none.
        of: methods that alone use it, in a `MethodSection`; (): all do.
        file: whether it names a file, relative to the folder in which the command runs.
    """
    return Field(default, description=description, json_schema_extra={"unit": unit, "of": of, "file": file})


def _increasing(interval: tuple[float, float]) -> tuple[float, float]:
    low, high = interval
    if not low < high:
        raise ValueError(f"expected [lo, hi] with lo < hi, got [{low:g}, {high:g}]")
    return interval


def _parsed(text: str) -> str:
    Expression(text)  # raises with the reason
    return text


def _numbers_where_constant(given: tuple[float | str, ...]) -> tuple[float | str, ...]:
    found = [number_or_formula(part) for part in given]
    return tuple(part.text if isinstance(part, Expression) else part for part in found)


Switch = Annotated[bool, Strict()]
Text = Annotated[str, Strict(), MinLen(1)]
Natural = Annotated[int, Strict(), Ge(0)]
Count = Annotated[int, Strict(), Ge(1)]
Several = Annotated[int, Strict(), Ge(2)]
Seed = Annotated[int, Strict(), Ge(0), Lt(2**63), Says("an integer >= 0 and < 2^63")]
# Below 20 the letters have no pixels, above 600 a picture takes gigabytes.
Resolution = Annotated[int, Strict(), Ge(20), Le(600), Says("an integer from 20 to 600")]
Number = Annotated[float, Strict(), AllowInfNan(False)]
NonNegative = Annotated[float, Strict(), AllowInfNan(False), Ge(0)]
Positive = Annotated[float, Strict(), AllowInfNan(False), Gt(0)]
Factor = Annotated[float, Strict(), AllowInfNan(False), Ge(0), Lt(1)]
Interval = Annotated[tuple[Number, Number], AfterValidator(_increasing), Says("two numbers [lo, hi], lo < hi")]
Share = Annotated[float, Strict(), AllowInfNan(False), Ge(0), Le(1)]
Inner = Annotated[float, Strict(), AllowInfNan(False), Gt(0), Lt(1)]
Ramp = Annotated[tuple[Share, Share], AfterValidator(_increasing), Says("two numbers [lo, hi], 0 <= lo < hi <= 1")]
Formula = Annotated[Text, AfterValidator(_parsed), Says("an expression in x, y, z, t")]
Condition = Annotated[Text, AfterValidator(_parsed), Says("a condition in x, y, z, t")]
Forces = Annotated[
    tuple[Number | Formula, ...],
    AfterValidator(_numbers_where_constant),
    Says("a list of numbers or expressions in x, y, z, t"),
]

SCALARS = {bool: "true or false", int: "an integer", float: "a number", str: "a text"}
PLURALS = {"an integer": "integers", "a number": "numbers", "a text": "texts"}
LIMITS: dict[type, Callable[[Any], str]] = {
    Ge: lambda limit: f">= {limit.ge:g}",
    Le: lambda limit: f"<= {limit.le:g}",
    Gt: lambda limit: f"> {limit.gt:g}",
    Lt: lambda limit: f"< {limit.lt:g}",
}


def phrase_of(annotation: Any, metadata: Iterable[Any] = ()) -> str:
    """Say in words what a setting accepts, such as "a number > 0 or null".

    Args:
        annotation: the type, as pydantic keeps it in `FieldInfo.annotation`.
        metadata: limits and words beside it, as in `FieldInfo.metadata`.
    """
    metadata = list(metadata)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return phrase_of(arguments[0], [*arguments[1:], *metadata])
    said = [item.words for item in metadata if isinstance(item, Says)]
    if said:
        return said[-1]
    if origin in (Union, types.UnionType):
        return " or ".join(phrase_of(argument) for argument in arguments)
    if annotation is type(None):
        return "null"
    if origin is Literal:
        return "one of " + ", ".join(str(choice) for choice in arguments)
    if origin is tuple and arguments[-1] is Ellipsis:
        return "a list of " + _plural(phrase_of(arguments[0]))
    if origin is tuple:
        return f"{len(arguments)} " + _plural(phrase_of(arguments[0]))
    if origin is dict:
        return "a mapping of names to " + _plural(phrase_of(arguments[1]))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "a section with the keys " + ", ".join(annotation.model_fields)
    limits = [LIMITS[type(item)](item) for item in metadata if type(item) in LIMITS]
    return " ".join([SCALARS[annotation], " and ".join(limits)]).strip()


def _plural(phrase: str) -> str:
    if phrase.startswith("a section"):
        return phrase.replace("a section", "sections", 1)
    if phrase.startswith("one of "):
        return phrase.removeprefix("one of ")
    for singular, plural in PLURALS.items():
        if phrase.startswith(singular):
            return plural + phrase.removeprefix(singular)
    return f"items, each {phrase}"
