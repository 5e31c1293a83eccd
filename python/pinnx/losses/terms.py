"""Terms of a loss: mean squares over points, and their weighted total.

    term_c = sum_i w_i r_ic^2 / num_points,     total = sum_c weight_c term_c

The divisor is the number of points of the whole step, not of the rows at hand, so that micro-batches and ranks add up
to what one big batch gives.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from pinnx.errors import PinnxError

__all__ = ["mean_square", "weighted_total"]


def mean_square(values: Tensor, *, point_weights: Tensor | None = None, num_points: int | None = None) -> Tensor:
    """Mean square of each column over the points, [n, c] -> [c].

    Args:
        values: residuals or misfits, [n, c].
        point_weights: [n], or [n, c] where columns differ; None: ones.
        num_points: points of the whole step; None: n.

    Raises:
        PinnxError: no points, as a mean over nothing would be a loss that is always met; or weights of another shape.
    """
    count = values.shape[0] if num_points is None else num_points
    if count < 1:
        raise PinnxError("loss: expected at least one point, got none")
    squares = values.square()
    if point_weights is not None:
        if point_weights.shape not in (values.shape, values.shape[:1]):
            raise PinnxError(
                f"point_weights: expected shape [{values.shape[0]}] or {list(values.shape)}, "
                f"got {list(point_weights.shape)}"
            )
        squares = squares * (point_weights if point_weights.dim() == 2 else point_weights[:, None])
    return squares.sum(0) / count


def weighted_total(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """``sum_name weights[name] * terms[name]``, a scalar.

    Raises:
        PinnxError: a term without a weight; none is dropped silently.
    """
    missing = [name for name in terms if name not in weights]
    if missing or not terms:
        raise PinnxError(f"loss: expected a weight for each of {list(terms)}, got none for {missing}")
    return torch.stack([weights[name] * term for name, term in terms.items()]).sum()
