"""One training step's loss and gradients as a CUDA graph: one launch in place of hundreds.

The whole-network capture of torch's notes on CUDA semantics: the points stand in tensors that stay, some steps warm up
on a side stream, the next one is captured there; from then on a step copies its points in and replays. The parameters
are read where they are, so an optimiser changes them in place, outside of the graph. Their gradients are None before
the capture: the backward pass then writes them, rather than adds to them, to the same addresses in each replay.

What is not a tensor, such as sizes, stays as it was at the capture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

import torch
from torch import Tensor, cuda, nn

from pinnx.errors import PinnxError
from pinnx.train.problem import Batch

__all__ = ["StepGraph", "UseCudaGraph", "use_cuda_graph"]

UseCudaGraph = Literal["auto", "on", "off"]

# As in torch's notes: the first pass creates handles and workspaces, which a capture cannot; the others cost nothing.
WARM_UP = 3


def use_cuda_graph(setting: UseCudaGraph, device: torch.device) -> bool:
    """Whether steps are replayed: auto on a CUDA device.

    Raises:
        PinnxError: "on" with another device.
    """
    if setting == "on" and device.type != "cuda":
        raise PinnxError(f"train.cuda_graph: expected a CUDA device for on, got {device.type}; use auto or off")
    return setting != "off" and device.type == "cuda"


class StepGraph:
    """A loss with its backward pass, captured at the first batch and replayed at every one.

    Args:
        step: batch -> numbers of the step, one tensor without a graph, on one CUDA device; sets the gradients, reads
            no number back, and copies nothing from the host.
        parameters: what has gradients; changed in place between calls.
    """

    def __init__(self, step: Callable[[Batch], Tensor], parameters: Iterable[nn.Parameter]) -> None:
        self._step = step
        self._parameters = list(parameters)
        self._graph: cuda.CUDAGraph | None = None

    def __call__(self, batch: Batch) -> Tensor:
        """The numbers at a batch; the gradients are the parameters' ``grad``, until the next call.

        Raises:
            PinnxError: a batch of another shape than the first.
        """
        if self._graph is None:
            self._graph = self._captured(batch)
        else:
            self._batch.fill(batch)
        self._graph.replay()
        for parameter, gradient in zip(self._parameters, self._gradients, strict=True):
            parameter.grad = gradient
        return self._values.clone()

    def _captured(self, batch: Batch) -> cuda.CUDAGraph:
        self._batch = batch.clone()
        with cuda.device(batch.flat.device):
            # One stream for both: what belongs to a stream, such as handles of libraries, is there before the capture.
            stream = cuda.Stream()
            stream.wait_stream(cuda.current_stream())
            with cuda.stream(stream):
                for _ in range(WARM_UP):
                    self._forget_gradients()
                    self._step(self._batch)
            cuda.current_stream().wait_stream(stream)
            graph = cuda.CUDAGraph()
            self._forget_gradients()
            with cuda.graph(graph, stream=stream):
                self._values = self._step(self._batch)
        self._gradients = [parameter.grad for parameter in self._parameters]
        return graph

    def _forget_gradients(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None
