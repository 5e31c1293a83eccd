"""Random weight factorisation: each row of a weight matrix is a learned length times a learned direction.

    W = diag(exp(s)) V,   at the start s ~ Normal(mean, deviation) and V = diag(exp(-s)) W

The network is the same at the start, and each neuron then has a step size of its own. The product is formed in front of
the kernels, which see W; its gradient flows on to s and V.

Source: Wang, Wang, Seidman and Perdikaris, "Random weight factorization improves the training of continuous neural
representations", arXiv 2210.01274.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from pinnx.models.field_model import FieldModel

__all__ = ["factorize_weights"]


def factorize_weights(model: FieldModel, *, mean: float = 1.0, deviation: float = 0.1, seed: int = 0) -> None:
    """Factorises the matrices of all layers, in place.

    Args:
        model: whose parameters ``weight_...`` are matrices [out, in].
        mean: of s.
        deviation: of s, standard.
        seed: names the draw of s.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, weight in list(model.named_parameters()):
        if name.startswith("weight_"):
            scales = mean + deviation * torch.randn(len(weight), generator=generator, dtype=torch.float64)
            parametrize.register_parametrization(model, name, _Factorized(scales.to(weight)))


class _Factorized(nn.Module):
    """W from s [out] and V [out, in]."""

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.register_buffer("start", start, persistent=False)

    def forward(self, scales: Tensor, directions: Tensor) -> Tensor:
        return scales.exp()[:, None] * directions

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return self.start.clone(), torch.exp(-self.start)[:, None] * weight
