"""The oracle of the breakage residual: every pair of node and piece, each piece by quadrature, no scan."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ["breakage_residual"]

POINTS = 24  # Gauss-Legendre; exact to rounding for rises of g up to about 20 in one piece


def breakage_residual(
    g: Tensor, g_t: Tensor, v: Tensor, S: Tensor, *, daughter: float | Tensor = 0.0, tail: Tensor | None = None
) -> Tensor:
    """As `pinn_ext.breakage_residual`, with the log of the tail's integral or None for ``tail``.

    Time and memory grow with times x nodes^2. Differentiable to any order.
    """
    x, w = (torch.as_tensor(a).to(g) for a in np.polynomial.legendre.leggauss(POINTS))
    s = (0.5 + 0.5 * x)[:, None]
    weight = S / v ** (daughter + 1.0)
    # Pieces over f at their own first node, [times, points, pieces] summed over the points.
    rise = torch.exp(s * g.diff(dim=1)[:, None]) * (weight[:-1] + s * weight.diff())
    piece = (0.5 * w[:, None] * rise).sum(1) * v.diff()
    # f at the first node of a piece over f at the node; of pieces before the node nothing, and no overflow.
    ratio = torch.triu(torch.exp(torch.triu(g[:, None, :-1] - g[:, :, None])))
    integral = (ratio * piece[:, None]).sum(2)
    if tail is not None:
        integral = integral + torch.exp(tail[:, None] - g)
    return g_t + S - (daughter + 2.0) * v**daughter * integral
