"""A state by the names of attributes: what a checkpoint keeps of an object (`pinnx.train.stateful`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

__all__ = ["KeptState"]


class KeptState:
    """Its subclasses have the state that ``kept`` names: tensors, numbers, strings, containers, and parts with a state.

    Attributes:
        kept: names of attributes; the state has them without a leading underscore.
    """

    kept: ClassVar[tuple[str, ...]] = ()

    def state_dict(self) -> dict[str, Any]:
        """The attributes that are kept."""
        values = ((name.removeprefix("_"), getattr(self, name)) for name in self.kept)
        return {name: value.state_dict() if hasattr(value, "state_dict") else value for name, value in values}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes what ``state_dict`` gave, tensors in place, other values by the type of those that are there.

        Raises:
            ValueError: a tensor of another shape.
        """
        for name in self.kept:
            key = name.removeprefix("_")
            own, value = getattr(self, name), state[key]
            if hasattr(own, "load_state_dict"):
                own.load_state_dict(value)
            elif isinstance(own, Tensor):
                if own.shape != value.shape:
                    raise ValueError(f"{key}: expected {list(own.shape)}, got {list(value.shape)}")
                own.copy_(value)
            else:
                setattr(self, name, type(own)(value))
