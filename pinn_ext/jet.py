"""Jets: a value with its chosen derivatives, one contiguous array ``[streams, points, features]``.

Stream 0 is the value, streams ``1 .. len(first)`` are the first derivatives in the order of ``first``, and
the last stream, with a Laplacian, is ``sum_i weights[i] * d^2/dx_i^2`` over the chosen axes.
The layout and the propagation rules are derived in ``docs/conventions.md``.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

__all__ = ["Jet", "JetSpec"]


@dataclass(frozen=True)
class JetSpec:
    """Which derivatives a jet carries, and of which coordinates.

    Args:
        first: coordinates (columns of ``x``) of the first derivatives, each at most once.
        laplacian: coordinates summed in the Laplacian; each must also be in ``first``, because the chain
            rule ``lap f(z) = f''(z) |grad z|^2 + f'(z) lap z`` needs the gradient. Empty: no Laplacian.
        weights: one weight per axis of ``laplacian`` (default: all one), for operators such as
            ``u_xx + 4 u_yy``.

    Raises:
        TypeError: coordinates that are no whole numbers.
        ValueError: repeated or negative coordinates, a Laplacian axis that is not in ``first``, weights of
            the wrong number or not finite.
    """

    first: tuple[int, ...] = ()
    laplacian: tuple[int, ...] = ()
    weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "first", _whole_numbers("first", self.first))
        object.__setattr__(self, "laplacian", _whole_numbers("laplacian", self.laplacian))
        if self.weights is not None:
            object.__setattr__(self, "weights", tuple(float(w) for w in self.weights))
        self._check("first", self.first)
        self._check("laplacian", self.laplacian)
        missing = [i for i in self.laplacian if i not in self.first]
        if missing:
            raise ValueError(
                f"laplacian: expected coordinates that are also in first={self.first}, got {missing} beside them"
            )
        if self.weights is not None:
            if len(self.weights) != len(self.laplacian):
                raise ValueError(
                    f"weights: expected one per axis of laplacian={self.laplacian}, got {len(self.weights)}"
                )
            if not all(math.isfinite(w) for w in self.weights):
                raise ValueError(f"weights: expected finite numbers, got {self.weights}")

    @staticmethod
    def _check(name: str, axes: Sequence[int]) -> None:
        if any(i < 0 for i in axes) or len(set(axes)) != len(axes):
            raise ValueError(f"{name}: expected distinct coordinates >= 0, got {tuple(axes)}")

    @property
    def has_laplacian(self) -> bool:
        """Whether the last stream is a Laplacian."""
        return len(self.laplacian) > 0

    @property
    def num_streams(self) -> int:
        """Number of streams: 1 + len(first) + (1 with a Laplacian)."""
        return 1 + len(self.first) + int(self.has_laplacian)

    @property
    def laplacian_weights(self) -> tuple[float, ...]:
        """The Laplacian's weight for each coordinate of ``first``, 0 where it does not take part."""
        axes, weights = self.laplacian, self.weights or (1.0,) * len(self.laplacian)
        return tuple([weights[axes.index(i)] if i in axes else 0.0 for i in self.first])


class Jet:
    """A value with its chosen derivatives at ``n`` points.

    Unpacks like a tuple: ``value, first, laplacian = jet`` (``laplacian`` is None without one).

    Args:
        data: ``[s, n, c]``, one device, float32 or float64, with ``s == spec.num_streams``.
        spec: which stream is what.

    Raises:
        ValueError: ``data`` does not have the streams that ``spec`` names.
    """

    __slots__ = ("data", "spec")

    def __init__(self, data: Tensor, spec: JetSpec) -> None:
        if data.dim() != 3 or data.shape[0] != spec.num_streams:
            raise ValueError(f"data: expected shape [{spec.num_streams}, n, c] for {spec}, got {list(data.shape)}")
        self.data = data
        self.spec = spec

    @property
    def value(self) -> Tensor:
        """The value, ``[n, c]``."""
        return self.data[0]

    @property
    def first(self) -> Tensor:
        """The first derivatives, ``[len(spec.first), n, c]``."""
        return self.data[1 : 1 + len(self.spec.first)]

    @property
    def laplacian(self) -> Tensor | None:
        """The weighted Laplacian, ``[n, c]``, or None where the spec asks for none."""
        return self.data[-1] if self.spec.has_laplacian else None

    def derivative(self, coordinate: int) -> Tensor:
        """The first derivative with respect to one coordinate (a column of ``x``), ``[n, c]``."""
        if coordinate not in self.spec.first:
            raise ValueError(f"coordinate: expected one of first={self.spec.first}, got {coordinate}")
        return self.data[1 + self.spec.first.index(coordinate)]

    def __iter__(self) -> Iterator[Tensor | None]:
        yield self.value
        yield self.first
        yield self.laplacian

    def __repr__(self) -> str:
        return f"Jet(data={list(self.data.shape)} {self.data.dtype} on {self.data.device}, {self.spec})"


def _whole_numbers(name: str, axes: Sequence[int]) -> tuple[int, ...]:
    try:
        return tuple(operator.index(i) for i in axes)
    except TypeError:
        raise TypeError(f"{name}: expected a sequence of whole numbers, got {axes!r}") from None
