"""Work side by side on a CUDA device: copies of points and independent terms, each on a stream of its own.

The host starts the work and does not wait; a result is waited for on the device, by the stream that uses it. On a CPU,
where torch's threads share each operation, work is done in order, at once (`CUDAStreamManager.concurrent`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, cuda
from torch.utils._pytree import tree_leaves

from pinnx.errors import PinnxError

__all__ = ["CUDAStreamManager", "Pending"]

T = TypeVar("T")


class Pending(Generic[T]):
    """The result of work that may still be running.

    Args:
        value: of the work; its tensors may not be there yet.
        done: recorded behind the work; None: it is done.
        device: of the work.
    """

    def __init__(self, value: T, done: Any = None, device: torch.device | None = None) -> None:
        self._value, self._done, self._device = value, done, device

    def result(self) -> T:
        """The value; on CUDA the current stream waits for it, the host does not."""
        if self._done is not None:
            current = cuda.current_stream(self._device)
            current.wait_event(self._done)
            for tensor in tree_leaves(self._value):
                if isinstance(tensor, Tensor) and tensor.is_cuda:
                    tensor.record_stream(current)  # its memory is not given away before this stream has used it
        return self._value


class CUDAStreamManager:
    """Runs work on streams in turn.

    Args:
        n_streams: how many, >= 1.
        device: None: the current CUDA device, or the CPU where there is none.

    Attributes:
        concurrent: whether work may overlap; False on a CPU.

    Raises:
        PinnxError: no stream.
    """

    def __init__(self, n_streams: int = 2, device: torch.device | str | None = None) -> None:
        if n_streams < 1:
            raise PinnxError(f"n_streams: expected an integer >= 1, got {n_streams}")
        chosen = device if device is not None else ("cuda" if cuda.is_available() else "cpu")
        self._device = torch.device(chosen)
        self.concurrent = self._device.type == "cuda"
        self._streams = [cuda.Stream(self._device) for _ in range(n_streams)] if self.concurrent else []
        self._next = 0

    def run_async(
        self, work: Callable[..., T], *arguments: Any, after_current: bool = True, **options: Any
    ) -> Pending[T]:
        """Starts ``work(*arguments, **options)`` on the next stream.

        Args:
            work: what is run; on a CPU at once.
            arguments: of the work.
            after_current: begin behind what the current stream has to do; False for work that reads nothing of it,
                such as a copy from the host.
            options: of the work.
        """
        if not self.concurrent:
            return Pending(work(*arguments, **options))
        stream = self._streams[self._next]
        self._next = (self._next + 1) % len(self._streams)
        if after_current:
            stream.wait_stream(cuda.current_stream(self._device))
        with cuda.stream(stream):
            value = work(*arguments, **options)
            done = cuda.Event()
            done.record(stream)
        return Pending(value, done, self._device)
