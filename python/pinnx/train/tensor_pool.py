"""Memory that is used again: tensors by shape, strides, dtype and device.

What comes back waits until the pool alone holds its memory. A tensor that a graph has saved for its backward pass, a
view, or an array of NumPy on it keeps it from being given out; so a caller that returns too early does no harm. On CUDA
memory stays with the stream on which it was returned, whose work may still read it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

from pinnx.errors import PinnxError

__all__ = ["PoolStatistics", "TensorPool"]


class _Key(NamedTuple):
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device
    stream: int


@dataclass
class PoolStatistics:
    """Counts since the pool was made.

    Args:
        reused: tensors that were given out of returned memory.
        allocated: tensors for which there was none.
        waited: times that returned memory was passed over, as something else still held it.
        returned: tensors that were taken back.
    """

    reused: int = 0
    allocated: int = 0
    waited: int = 0
    returned: int = 0


class TensorPool:
    """Gives out tensors whose numbers are not set, and takes them back.

    Args:
        device: of tensors, unless another is given.

    Attributes:
        statistics: how often memory was used again.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self._device = torch.device(device)
        self._free: dict[_Key, list[torch.UntypedStorage]] = defaultdict(list)
        self.statistics = PoolStatistics()

    @property
    def kept_bytes(self) -> int:
        """Of the memory that waits to be used again."""
        return sum(storage.nbytes() for kept in self._free.values() for storage in kept)

    def get_tensor(
        self,
        shape: Sequence[int],
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
        *,
        strides: Sequence[int] | None = None,
    ) -> Tensor:
        """A tensor without a graph; its numbers are whatever was there.

        Args:
            shape: sizes, >= 0.
            dtype: of the numbers.
            device: where; None: that of the pool.
            strides: in numbers; None: contiguous.

        Raises:
            PinnxError: strides that do not fit the shape.
        """
        shape = tuple(shape)
        if strides is None:
            strides = tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))
        if len(strides) != len(shape) or min((*shape, *strides), default=0) < 0:
            raise PinnxError(f"strides: expected one >= 0 for each of the sizes {list(shape)}, got {list(strides)}")
        place = self._device if device is None else torch.device(device)
        key = _key(shape, tuple(strides), dtype, place)
        for number, storage in enumerate(self._free[key]):
            if torch._C._storage_Use_Count(storage._cdata) == 1:
                del self._free[key][number]
                self.statistics.reused += 1
                return torch.empty(0, dtype=dtype, device=storage.device).set_(storage, 0, shape, strides)
            self.statistics.waited += 1
        self.statistics.allocated += 1
        return torch.empty_strided(shape, strides, dtype=dtype, device=place)

    def return_tensor(self, tensor: Tensor) -> None:
        """Takes a tensor back, also one that is not from here; it is given out once nothing else holds its memory.

        Raises:
            PinnxError: a part of a larger tensor, whose memory is not its own; or a tensor returned a second time.
        """
        tensor = tensor.detach()
        storage = tensor.untyped_storage()
        if tensor.numel() == 0:
            return
        numbers = 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
        if tensor.storage_offset() or storage.nbytes() != numbers * tensor.element_size():
            raise PinnxError(
                f"tensor: expected one with memory of its own, got a view {list(tensor.shape)} of a larger one"
            )
        key = _key(tuple(tensor.shape), tensor.stride(), tensor.dtype, tensor.device)
        if any(kept.data_ptr() == storage.data_ptr() for kept in self._free[key]):
            raise PinnxError(f"tensor: expected one that is in use, got {list(tensor.shape)} a second time")
        self.statistics.returned += 1
        self._free[key].append(storage)

    def clear(self) -> None:
        """Forgets the memory that waits."""
        self._free.clear()


def _key(shape: tuple[int, ...], strides: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> _Key:
    if device.type != "cuda":
        return _Key(shape, strides, dtype, device, 0)
    device = torch.device("cuda", torch.cuda.current_device() if device.index is None else device.index)
    return _Key(shape, strides, dtype, device, torch.cuda.current_stream(device).cuda_stream)
