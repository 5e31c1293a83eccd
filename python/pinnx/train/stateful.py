"""What a checkpoint is made of: parts with a state, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from pinnx.errors import PinnxError

__all__ = ["Stateful", "copy_of", "load_state", "state_of"]


@runtime_checkable
class Stateful(Protocol):
    """Whatever changes during a training."""

    def state_dict(self) -> dict[str, Any]:
        """Tensors, numbers, strings, and containers of them."""
        ...

    def load_state_dict(self, state: Any) -> Any:
        """Takes what ``state_dict`` gave, into the tensors that are there."""
        ...


def state_of(parts: Mapping[str, Stateful]) -> dict[str, Any]:
    """The state of each part, by name."""
    return {name: part.state_dict() for name, part in parts.items()}


def load_state(parts: Mapping[str, Stateful], state: Mapping[str, Any]) -> None:
    """Gives each part its state.

    Raises:
        PinnxError: parts that are missing or unknown, or the state of another configuration.
    """
    wanted = "checkpoint: expected one of this configuration"
    if set(state) != set(parts):
        differing = {"without": set(parts) - set(state), "with": set(state) - set(parts)}
        shown = " and ".join(f"{word} {', '.join(sorted(names))}" for word, names in differing.items() if names)
        raise PinnxError(f"{wanted}, got one {shown}")
    for name, part in parts.items():
        try:
            part.load_state_dict(state[name])
        except (KeyError, TypeError, AttributeError, ValueError, RuntimeError) as error:
            raise PinnxError(f"{wanted}, got another {name}: {' '.join(str(error).split())}") from error


def copy_of(state: Any) -> Any:
    """A state that does not change with the parts it came from."""
    if isinstance(state, Tensor):
        return torch.clone(state.detach())
    if isinstance(state, Mapping):
        return {key: copy_of(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(map(copy_of, state))
    return state
