"""A network that is added to a fixed field.

    y = network(x) + field(x)

Where the field has what no network fits, a jump or a singular point, the network has the smooth rest to learn. Values,
derivatives and all that is made of them, losses and checks, are those of the sum.
"""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor, nn

import pinn_ext
from pinnx.models.field_model import FieldModel, StatedEquations

__all__ = ["AddedField", "FixedField"]


class FixedField(Protocol):
    """A field without parameters of its own, as a module whose buffers follow the model's device."""

    def jet(self, x: Tensor, spec: pinn_ext.JetSpec) -> pinn_ext.Jet:
        """The field and its derivatives at inputs [n, d], as `FieldModel.jet`."""
        ...

    def beside(self, x: Tensor) -> dict[str, Any]:
        """What a fused loss of the equations at inputs [n, d] takes in its place, by the name of the argument."""
        ...


class AddedField(FieldModel):
    """The sum of a model and a fixed field.

    Args:
        network: what is trained.
        field: what is added, a module.
    """

    def __init__(self, network: FieldModel, field: nn.Module) -> None:
        scales = {"coordinate_scales": network.coordinate_scales, "field_scales": network.field_scales}
        super().__init__(len(network.origin), len(network.field_scales), origin=network.origin, **scales)
        self.network, self.field = network, field
        self.thread_invariant = network.thread_invariant
        self.fused = network.fused and not isinstance(network, AddedField)  # the loss takes one field beside a network

    @property
    def frequencies(self) -> Tensor:
        """Those of the network."""
        return self.network.frequencies

    def jet(self, x: Tensor, spec: pinn_ext.JetSpec) -> pinn_ext.Jet:
        """As `FieldModel.jet`."""
        return pinn_ext.Jet(self.network.jet(x, spec).data + self.field.jet(x, spec).data, spec)

    def equations_loss(self, equations: StatedEquations, x: Tensor, weights: Tensor, **options: Any) -> Any:
        """As `FieldModel.equations_loss`; a fused loss of the network takes the field beside it."""
        if not (self.fused and equations.takes_base_flow):
            return super().equations_loss(equations, x, weights, **options)
        return equations.network_loss(self.network, x, weights, **self.field.beside(x), **options)
