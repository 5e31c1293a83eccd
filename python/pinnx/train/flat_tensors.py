"""Several tensors as one vector: what line searches, ranks and checks of a gradient compute with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

__all__ = ["flat", "place"]


def flat(tensors: Iterable[Tensor]) -> Tensor:
    """Their numbers behind one another, [n], in memory of its own and without a graph."""
    return torch.cat([tensor.detach().reshape(-1) for tensor in tensors])


@torch.no_grad()
def place(numbers: Tensor, tensors: Sequence[Tensor]) -> None:
    """Gives tensors, where they are, the numbers that ``flat`` would have of them, [n]."""
    pieces = numbers.split([tensor.numel() for tensor in tensors])
    torch._foreach_copy_(tensors, [piece.view_as(tensor) for tensor, piece in zip(tensors, pieces, strict=True)])
