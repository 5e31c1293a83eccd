"""One training step's loss and gradients as a CUDA graph: one launch in place of hundreds.

The whole-network capture of torch's notes on CUDA semantics: the points stand in tensors that stay, some steps warm up
on a side stream, the next one is captured there; from then on a step copies its points in and replays. The parameters
are read where they are, so an optimiser changes them in place, outside of the graph. Their gradients are None before
the capture: the backward pass then writes them, rather than adds to them, to the same addresses in each replay.

What is not a tensor, such as sizes and the weights of the terms, stays as it was at the capture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from typing import Literal

import torch
from torch import Tensor, cuda, nn

from pinnx.errors import PinnxError
from pinnx.train.problem import Batch

__all__ = ["StepGraph", "UseCudaGraph", "fill", "use_cuda_graph"]

UseCudaGraph = Literal["auto", "on", "off"]

# As in torch's notes: the first pass creates handles and workspaces, which a capture cannot; the others cost nothing.
WARM_UP = 3


def use_cuda_graph(setting: UseCudaGraph, device: torch.device) -> bool:
    """Whether steps are replayed: auto on a CUDA device.

    Raises:
        PinnxError: on another device for which it was asked.
    """
    if setting == "on" and device.type != "cuda":
        raise PinnxError(f"train.cuda_graph: expected a CUDA device for on, got {device.type}; use auto or off")
    return setting != "off" and device.type == "cuda"


class StepGraph:
    """A loss and its backward pass, captured at the first batch and replayed at every one.

    Args:
        loss: batch -> (total, terms), on one CUDA device; reads no number back, and copies nothing from the host.
        parameters: what the total is differentiated by; changed in place between calls.
    """

    def __init__(
        self, loss: Callable[[Batch], tuple[Tensor, dict[str, Tensor]]], parameters: Iterable[nn.Parameter]
    ) -> None:
        self._loss = loss
        self._parameters = list(parameters)
        self._graph: cuda.CUDAGraph | None = None

    def __call__(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The total and the terms at a batch; the gradients are the parameters' ``grad``, until the next call.

        Raises:
            PinnxError: a batch of another shape than the first.
        """
        if self._graph is None:
            self._graph = self._captured(batch)
        else:
            fill(self._batch, batch)
        self._graph.replay()
        for parameter, gradient in zip(self._parameters, self._gradients, strict=True):
            parameter.grad = gradient
        total, *terms = self._values.clone().unbind()
        return total, dict(zip(self._names, terms, strict=True))

    def _captured(self, batch: Batch) -> cuda.CUDAGraph:
        self._batch = replace(batch, **{name: tensor.clone() for name, tensor in _tensors(batch).items()})
        with cuda.device(batch.collocation.device):
            # One stream for both: what belongs to a stream, such as handles of libraries, is there before the capture.
            stream = cuda.Stream()
            stream.wait_stream(cuda.current_stream())
            with cuda.stream(stream):
                for _ in range(WARM_UP):
                    self._forget_gradients()
                    self._step()
            cuda.current_stream().wait_stream(stream)
            graph = cuda.CUDAGraph()
            self._forget_gradients()
            with cuda.graph(graph, stream=stream):
                self._values = self._step()
        self._gradients = [parameter.grad for parameter in self._parameters]
        return graph

    def _step(self) -> Tensor:
        """Total and terms, one array; the graph of autograd ends here, and with it what it keeps of the stream."""
        total, terms = self._loss(self._batch)
        total.backward()
        self._names = tuple(terms)
        return torch.stack([total.detach(), *(term.detach() for term in terms.values())])

    def _forget_gradients(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None


def fill(static: Batch, batch: Batch) -> None:
    """Copies a batch into the tensors of another one of the same shapes.

    Raises:
        PinnxError: other shapes, or another number of boundary points.
    """
    there, here = _tensors(static), _tensors(batch)
    shapes = [{name: list(tensor.shape) for name, tensor in tensors.items()} for tensors in (there, here)]
    counts = static.num_boundary, batch.num_boundary
    if shapes[0] != shapes[1] or counts[0] != counts[1]:
        raise PinnxError(
            f"train.cuda_graph: expected points as in the first step, {shapes[0]} with {counts[0]} at boundaries, "
            f"got {shapes[1]} with {counts[1]}"
        )
    for name, tensor in there.items():
        tensor.copy_(here[name])


def _tensors(batch: Batch) -> dict[str, Tensor]:
    values = {field.name: getattr(batch, field.name) for field in fields(batch)}
    return {name: value for name, value in values.items() if isinstance(value, Tensor)}
