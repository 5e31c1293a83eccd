"""PirateNet: residual blocks with gates, each of which is the identity at the start.

    phi = [cos(2 pi x B), sin(2 pi x B)],   U = f(A_u phi),   V = f(A_v phi),   h = phi
    in each block:   p = gate(f(A_1 h)),   q = gate(f(A_2 p)),   h <- alpha f(A_3 q) + (1 - alpha) h
    gate(g) = g U + (1 - g) V,   y = A h

A is a matrix and a bias, f an activation, alpha a parameter of each block, 0 at the start: then the network is linear
in its features, whatever its depth. No fused kernel takes it; it is composed of jets. The least-squares start of the
last layer from data, an option of the paper, is left out: 12 sensors do not determine it.

Source: Wang, Li, Chen and Perdikaris, "PirateNets: physics-informed deep learning with residual adaptive networks", J.
Mach. Learn. Res. 25 (402), 2024, section 4.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

import pinn_ext
from pinn_ext import Jet, JetSpec
from pinnx.errors import PinnxError
from pinnx.models.field_model import FieldModel
from pinnx.models.jet_algebra import product

__all__ = ["PirateNetwork"]

LAYERS_OF_A_BLOCK = 3


class PirateNetwork(FieldModel):
    """Residual blocks behind Fourier features.

    Args:
        frequencies: B, [d, m]; a buffer, not trained (`pinnx.models.train_frequencies`). The blocks are 2 m wide.
        num_outputs: fields, c.
        blocks: >= 1, of three layers each.
        activation: as for `pinn_ext.activation_jet`.
        seed: names the first weights (Glorot normal; biases are zero).
        dtype: torch.float32 or torch.float64.
        scales: origin and scales, as for `FieldModel`.

    Raises:
        PinnxError: no block, an unknown activation; as `FieldModel`.
    """

    def __init__(
        self,
        frequencies: Tensor,
        num_outputs: int,
        *,
        blocks: int = 1,
        activation: pinn_ext.Activation = "tanh",
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
        **scales: Any,
    ) -> None:
        if blocks < 1:
            raise PinnxError(f"network: expected one block or more, got {blocks}")
        if activation not in pinn_ext.ACTIVATIONS:
            raise PinnxError(f"activation: expected one of {', '.join(pinn_ext.ACTIVATIONS)}, got {activation!r}")
        super().__init__(len(frequencies), num_outputs, **scales)
        self.activation: pinn_ext.Activation = activation
        self.register_buffer("frequencies", frequencies.to(dtype))
        width, self._count = 2 * frequencies.shape[1], 2 + LAYERS_OF_A_BLOCK * blocks + 1
        generator = torch.Generator().manual_seed(seed)
        for layer in range(self._count):  # U, V, those of the blocks, the last
            weight = torch.empty(num_outputs if layer == self._count - 1 else width, width, dtype=dtype)
            nn.init.xavier_normal_(weight, generator=generator)
            self.register_parameter(f"weight_{layer}", nn.Parameter(weight))
            self.register_parameter(f"bias_{layer}", nn.Parameter(torch.zeros(len(weight), dtype=dtype)))
        self.alpha = nn.Parameter(torch.zeros(blocks, dtype=dtype))

    def jet(self, x: Tensor, spec: JetSpec) -> Jet:
        features = pinn_ext.fourier_jet(self._checked(x), self.frequencies, spec)
        u, v = self._sigma(0, features), self._sigma(1, features)
        difference = Jet(u.data - v.data, spec)

        def gate(jet: Jet) -> Jet:
            return Jet(v.data + product(jet, difference).data, spec)

        hidden = features
        for block, alpha in enumerate(self.alpha):
            start = 2 + LAYERS_OF_A_BLOCK * block
            inner = gate(self._sigma(start + 1, gate(self._sigma(start, hidden))))
            hidden = Jet(alpha * self._sigma(start + 2, inner).data + (1 - alpha) * hidden.data, spec)
        return self._linear(self._count - 1, hidden)

    def _linear(self, layer: int, jet: Jet) -> Jet:
        pair = getattr(self, f"weight_{layer}"), getattr(self, f"bias_{layer}")
        return pinn_ext.linear_jet(jet, *pair, products=self.products)

    def _sigma(self, layer: int, jet: Jet) -> Jet:
        return pinn_ext.activation_jet(self._linear(layer, jet), self.activation)
