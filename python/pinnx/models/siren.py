"""SIREN: sines in all layers, the first one too, as the fused operations take it.

    h_1 = sin(2 pi (x - o) B + omega b_0),   h_l = sin(omega (V_l h_{l-1} + b_l)),   y = V h + b

The first layer's sines are Fourier features, by sin(z + a) = cos(z) sin(a) + sin(z) cos(a): its phases
a = omega b_0 - 2 pi o B go into the matrix behind it, o the middle of the domain. So what the kernels see is B,
W_1 = omega [V_1 diag(sin a), V_1 diag(cos a)], W_l = omega V_l and omega b_l, formed in front of them; gradients flow
on to B, V and b.

Source: Sitzmann et al., "Implicit neural representations with periodic activation functions", NeurIPS 2020, section 3.2
and supplement 1.5 (start; omega as a factor speeds up the parameters behind it).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pinnx.errors import PinnxError
from pinnx.models.fourier_network import FourierNetwork
from pinnx.models.frequencies import train_frequencies

__all__ = ["Siren"]


class Siren(FourierNetwork):
    """A network of sines alone.

    Args:
        frequencies: B at the start, [d, m]: those of the m sines of the first layer, trained.
        num_outputs: fields, c.
        omega: factor on what goes into each sine, > 0.
        scale: factor on each input, [d]: the domain is one long; the paper's inputs are from -1 to 1.
        middle: o, [d], an input of the paper's zero.
        fixed: inputs whose frequencies stay as they are: the periodic ones.
        seed: names the first weights and biases.
        options: as for `FourierNetwork`; ``layers`` does not count the first one.

    Raises:
        PinnxError: as `FourierNetwork`; omega <= 0.
    """

    def __init__(
        self,
        frequencies: Tensor,
        num_outputs: int,
        *,
        omega: float = 30.0,
        scale: Sequence[float] | None = None,
        middle: Sequence[float] | None = None,
        fixed: Collection[int] = (),
        seed: int = 0,
        **options: Any,
    ) -> None:
        if not (math.isfinite(omega) and omega > 0):
            raise PinnxError(f"model.omega: expected a number > 0, got {omega}")
        super().__init__(frequencies, num_outputs, activation="sine", seed=seed, **options)
        d, m = frequencies.shape
        self.omega = omega
        # An input from -1 to 1 is 2 scale x - 1: there omega w turns by omega 2 scale w / 2 pi cycles per unit of x.
        rates = [omega * s / math.pi for s in (scale or [1.0] * d)]
        train_frequencies(self, fixed=fixed, rates=rates)
        turns = torch.tensor(middle or [0.0] * d, dtype=torch.float64) * 2 * math.pi
        self.register_buffer("_middle", turns.to(self.frequencies.dtype), persistent=False)
        self.weight_0 = nn.Parameter(self.weight_0.new_empty(len(self.bias_0), m))
        self.phases = nn.Parameter(self.bias_0.new_empty(m))
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            self.phases.uniform_(-1, 1, generator=generator).div_(math.sqrt(d))
            for weight, bias in zip(super().weights, super().biases, strict=True):
                fan_in = weight.shape[1]
                weight.uniform_(-1, 1, generator=generator).mul_(math.sqrt(6 / fan_in) / omega)
                bias.uniform_(-1, 1, generator=generator).div_(math.sqrt(fan_in))

    @property
    def weights(self) -> list[Tensor]:
        """The matrix of each layer as the kernels take it, [out, in]."""
        first, *inner, last = super().weights
        angle = self.omega * self.phases - self._middle @ self.frequencies
        first = torch.cat([first * angle.sin(), first * angle.cos()], dim=1)
        return [self.omega * first, *[self.omega * weight for weight in inner], last]

    @property
    def biases(self) -> list[Tensor]:
        """The bias of each layer as the kernels take it, [out]."""
        *inner, last = super().biases
        return [*[self.omega * bias for bias in inner], last]
