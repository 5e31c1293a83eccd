"""The manner of scikit-learn, without scikit-learn: a constructor that only stores, parameters by name.

What `fit` learns ends with an underscore; asking for it earlier is an error that says so. Such a
class can be cloned, compared, put into a pipeline or a grid search.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from typing import Any, NoReturn, Self

from pinnx.errors import PinnxError

__all__ = ["Estimator", "NotFittedError"]


class NotFittedError(PinnxError, AttributeError):
    """An attribute that only `fit` sets was read before it."""


@dataclass(eq=False, repr=False)
class Estimator:
    """Parameters are the fields of the dataclass, kept under their own names and unchanged; none is an estimator."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name.

        Raises:
            PinnxError: no parameter of this name; nothing has been set then.
        """
        known = self.get_params()
        for name in params:
            if name not in known:
                raise PinnxError(f"{type(self).__name__}: no parameter {name!r}; it has {', '.join(known)}")
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        parts = []
        for field in fields(self):
            value = getattr(self, field.name)
            if field.default is MISSING:
                parts.append(_short(value))
            elif value is not field.default and not _same(value, field.default):
                parts.append(f"{field.name}={_short(value)}")
        return f"{type(self).__name__}({', '.join(parts)})"

    def __getattr__(self, name: str) -> NoReturn:
        # Reached only where there is no such attribute.
        if name.endswith("_") and not name.startswith("_"):
            raise NotFittedError(f"{type(self).__name__}: expected fit(...) before {name} is read")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __sklearn_tags__(self) -> Any:
        # Only scikit-learn asks, so it is there.
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags  # type: ignore[import-untyped]

        return Tags(
            estimator_type=None,
            target_tags=TargetTags(required=False),
            transformer_tags=TransformerTags(preserves_dtype=["float64", "float32"]),
            input_tags=InputTags(three_d_array=True),
        )


def _same(value: Any, default: Any) -> bool:
    # Plain values only: an array compared with a number is an array.
    plain = (str, int, float, bool, type(None))
    return isinstance(value, plain) and isinstance(default, plain) and type(value) is type(default) and value == default


def _short(value: Any) -> str:
    shape = getattr(value, "shape", None)
    if shape is not None and len(shape):
        return f"<{type(value).__name__} {list(shape)}>"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
