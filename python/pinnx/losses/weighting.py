"""The weights of the columns of a loss, total = sum_i weight_i column_i."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pinnx.errors import PinnxError

__all__ = ["LossWeights"]


class LossWeights:
    """Constant weights, in a tensor that keeps its place on the device: a CUDA graph reads it there.

    What adapts weights changes ``values`` in place, and has a ``state_dict`` as this one has.

    Args:
        weights: one for each name, and no other.
        names: of the columns, in their order.
        like: a tensor of the model: the dtype and the device.

    Raises:
        PinnxError: a column without a weight, or a weight without a column.
    """

    def __init__(self, weights: Mapping[str, float], names: Sequence[str], like: Tensor) -> None:
        missing, unknown = [name for name in names if name not in weights], sorted(set(weights) - set(names))
        if missing or unknown:
            got = f"none for {missing}" if missing else f"{unknown}"
            raise PinnxError(f"weights: expected one for each column of the loss, {', '.join(names)}, got {got}")
        self.values = like.new_tensor([weights[name] for name in names])

    def state_dict(self) -> dict[str, Tensor]:
        """The values."""
        return {"values": self.values}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Takes what ``state_dict`` gave, in place.

        Raises:
            ValueError: another number of weights.
        """
        if state["values"].shape != self.values.shape:
            raise ValueError(f"weights: expected {list(self.values.shape)}, got {list(state['values'].shape)}")
        self.values.copy_(state["values"])
