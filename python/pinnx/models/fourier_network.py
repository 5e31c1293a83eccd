"""A multilayer perceptron behind random Fourier features, with its jets.

    x = (coordinates - o) / X,   h_0 = [cos(2 pi x B), sin(2 pi x B)],   h_l = f(h_{l-1} W_l^T + b_l),   y = h_L W^T + b
    fields = Y y

Column j of B [d, m] is a wave with B[i, j] cycles per unit of input i. Origin and scales are those of `FieldModel`.

Source: Tancik et al., NeurIPS 2020 (features); VS-PINN, Ko and Park, J. Comput. Phys. 2025 (scaling by axis).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

import pinn_ext
from pinn_ext.reference import ACTIVATIONS
from pinnx.errors import PinnxError
from pinnx.models.field_model import FieldModel, StatedEquations
from pinnx.threads import num_partitions

__all__ = ["FourierNetwork"]


class FourierNetwork(FieldModel):
    """A network from coordinates to fields, with derivatives in one pass.

    Args:
        frequencies: B, [d, m]; a buffer, not trained (`pinnx.models.train_frequencies`).
        num_outputs: fields, c.
        width: features of each hidden layer.
        layers: number of hidden layers, >= 1.
        activation: as for `pinn_ext.mlp_jet`.
        seed: names the first weights (Glorot normal; biases are zero).
        dtype: torch.float32 or torch.float64.
        scales: origin and scales, as for `FieldModel`.

    Attributes:
        partitions: parts of the points whose gradients are added, whatever the number of threads: the bits of a
            training do not depend on it.

    Raises:
        PinnxError: sizes below one, an unknown activation; as `FieldModel`.
    """

    fused = True
    thread_invariant = True

    def __init__(
        self,
        frequencies: Tensor,
        num_outputs: int,
        *,
        width: int = 64,
        layers: int = 4,
        activation: pinn_ext.Activation = "tanh",
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
        **scales: Any,
    ) -> None:
        if frequencies.dim() != 2 or 0 in frequencies.shape:
            raise PinnxError(f"frequencies: expected shape [d, m], d, m >= 1, got {list(frequencies.shape)}")
        d, m = frequencies.shape
        if min(num_outputs, width, layers) < 1:
            raise PinnxError(f"network: expected sizes >= 1, got outputs {num_outputs}, width {width}, layers {layers}")
        if activation not in ACTIVATIONS:
            raise PinnxError(f"activation: expected one of {', '.join(ACTIVATIONS)}, got {activation!r}")
        super().__init__(d, num_outputs, **scales)
        self.activation: pinn_ext.Activation = activation
        self.partitions = num_partitions()
        self.register_buffer("frequencies", frequencies.to(dtype))
        sizes = [2 * m, *[width] * layers, num_outputs]
        generator = torch.Generator().manual_seed(seed)
        weights = []
        for fan_in, fan_out in pairwise(sizes):
            weights.append(torch.empty(fan_out, fan_in, dtype=dtype))
            nn.init.xavier_normal_(weights[-1], generator=generator)
        # By name, not in a ParameterList: reading one runs ten lines of Python for each parameter, in every step.
        self._names = [[f"{kind}_{i}" for i in range(len(weights))] for kind in ("weight", "bias")]
        for name, weight in zip(self._names[0], weights, strict=True):
            self.register_parameter(name, nn.Parameter(weight))
        for name, weight in zip(self._names[1], weights, strict=True):
            self.register_parameter(name, nn.Parameter(torch.zeros(len(weight), dtype=dtype)))

    @property
    def weights(self) -> list[Tensor]:
        """The matrix of each layer, [out, in]."""
        return [getattr(self, name) for name in self._names[0]]

    @property
    def biases(self) -> list[Tensor]:
        """The bias of each layer, [out]."""
        return [getattr(self, name) for name in self._names[1]]

    def forward(self, x: Tensor) -> Tensor:
        """As `FieldModel.forward`, differentiable to any order."""
        hidden = pinn_ext.fourier_features(self._checked(x), self.frequencies)
        *inner, (last_weight, last_bias) = zip(self.weights, self.biases, strict=True)
        for weight, bias in inner:
            hidden = ACTIVATIONS[self.activation](nn.functional.linear(hidden, weight, bias))
        return nn.functional.linear(hidden, last_weight, last_bias)

    def jet(self, x: Tensor, spec: pinn_ext.JetSpec) -> pinn_ext.Jet:
        options = {"thread_invariant": self.partitions, "products": self.products}
        return pinn_ext.mlp_jet(*self.operands(x), spec, self.activation, **options)

    def equations_loss(self, equations: StatedEquations, x: Tensor, weights: Tensor, **options: Any) -> Any:
        """As `FieldModel.equations_loss`; equations with a fused loss take one pass over the points."""
        return equations.network_loss(self, x, weights, **options)

    def operands(self, x: Tensor) -> tuple[Tensor, Tensor, list[Tensor], list[Tensor]]:
        """What the fused operations take, ``(x, B, weights, biases)``.

        Raises:
            PinnxError: inputs of another shape or dtype than the network's.
        """
        return self._checked(x), self.frequencies, self.weights, self.biases
