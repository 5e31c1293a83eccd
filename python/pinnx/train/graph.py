"""A training step as two CUDA graphs, loss with gradients and the optimiser's update: two launches for hundreds.

The whole-network capture of torch's notes on CUDA semantics: what changes from step to step stands in tensors that
stay, some steps warm up on a side stream, the next one is captured there; from then on a step fills these tensors and
replays. Parameters are read and changed where they are. Their gradients are None before the capture of the loss: the
backward pass then writes them, rather than adds to them, to the same addresses in each replay. An update cannot be
tried without being made: its first calls warm up, and are steps.

What is not a tensor, such as sizes, stays as it was at the capture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, cuda, nn

from pinnx.errors import PinnxError
from pinnx.train.problem import Batch

__all__ = ["StepGraph", "UpdateGraph", "UseCudaGraph", "use_cuda_graph"]

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
            with _aside(stream):
                for _ in range(WARM_UP):
                    self._forget_gradients()
                    self._step(self._batch)
            graph = cuda.CUDAGraph()
            self._forget_gradients()
            with cuda.graph(graph, stream=stream):
                self._values = self._step(self._batch)
        self._gradients = [parameter.grad for parameter in self._parameters]
        return graph

    def _forget_gradients(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None


class UpdateGraph:
    """A change of tensors in place: the first calls are eager, the next one is captured, and replayed from then on.

    Where the capture fails, all calls are eager.

    Args:
        change: reads and writes tensors that keep their places, allocates none that it leaves behind, reads no number
            back. A number of Python is that of the capture in each replay.
        device: of its tensors.
        report: gets a sentence where the capture failed.
    """

    def __init__(self, change: Callable[[], None], *, device: torch.device, report: Callable[[str], None]) -> None:
        self._change, self._device, self._report = change, device, report
        self._calls = 0
        self._stream: cuda.Stream | None = None
        self._graph: cuda.CUDAGraph | None = None

    def __call__(self) -> None:
        """Changes the tensors once."""
        self._calls += 1
        if self._calls == WARM_UP + 1:
            self._graph = self._captured()
        if self._graph is not None:
            self._graph.replay()
        elif self._calls <= WARM_UP:
            with cuda.device(self._device):
                self._stream = self._stream or cuda.Stream()
                with _aside(self._stream):
                    self._change()
        else:
            self._change()

    @property
    def replays(self) -> bool:
        """Whether the last call was a replay."""
        return self._graph is not None

    def _captured(self) -> cuda.CUDAGraph | None:
        """The graph; None where this change cannot be captured. A capture computes nothing."""
        graph = cuda.CUDAGraph()
        # The training runs already: threads that read its data may allocate meanwhile.
        mode = {"stream": self._stream, "capture_error_mode": "thread_local"}
        try:
            with cuda.device(self._device), _aside(self._stream), cuda.graph(graph, **mode):
                self._change()
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            self._report(f"the optimiser's update is not replayed as a CUDA graph, which is slower: {reason}")
            return None
        return graph


@contextmanager
def _aside(stream: cuda.Stream) -> Iterator[None]:
    """Work of the block on another stream, after what was begun before the block and before what begins behind it."""
    stream.wait_stream(cuda.current_stream())
    with cuda.stream(stream):
        yield
    cuda.current_stream().wait_stream(stream)
