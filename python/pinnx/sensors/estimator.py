"""The manner of scikit-learn, without scikit-learn: a constructor that only stores, parameters by name.

What `fit` learns ends with an underscore; asking for it earlier is an error that says so. Such a
class can be cloned, compared, put into a pipeline or a grid search.
"""

from __future__ import annotations

import inspect
from typing import Any, NoReturn, Self

from pinnx.errors import PinnxError

__all__ = ["Estimator", "NotFittedError"]


class NotFittedError(PinnxError, AttributeError):
    """An attribute that only `fit` sets was read before it."""


class Estimator:
    """Parameters are the arguments of the constructor, kept under their own names and unchanged."""

    @classmethod
    def _parameters(cls) -> dict[str, inspect.Parameter]:
        parameters = dict(inspect.signature(cls.__init__).parameters)
        del parameters["self"]
        return parameters

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name; with ``deep``, those of parameters that have some as well."""
        found: dict[str, Any] = {}
        for name in self._parameters():
            value = getattr(self, name)
            found[name] = value
            if deep and hasattr(value, "get_params") and not isinstance(value, type):
                found |= {f"{name}__{inner}": part for inner, part in value.get_params().items()}
        return found

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name, ``outer__inner`` for those of a parameter.

        Raises:
            PinnxError: no parameter of this name; nothing has been set then.
        """
        known = self._parameters()
        for name in params:
            if name.partition("__")[0] not in known:
                raise PinnxError(f"{type(self).__name__}: no parameter {name!r}; it has {', '.join(known)}")
        for name, value in params.items():
            outer, nested, inner = name.partition("__")
            if nested:
                getattr(self, outer).set_params(**{inner: value})
            else:
                setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        parts = []
        for name, parameter in self._parameters().items():
            value = getattr(self, name)
            if parameter.default is inspect.Parameter.empty:
                parts.append(_short(value))
            elif value is not parameter.default and not _same(value, parameter.default):
                parts.append(f"{name}={_short(value)}")
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
