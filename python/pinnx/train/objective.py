"""The loss of a problem as a function of its parameters, at the points of one step: what a method of training asks for.

Total, columns and gradients come out of one pass. The weights stand in a tensor of their own that keeps its place, so
that a captured CUDA graph reads those of the step, and all evaluations of a line search use the same ones.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pinnx.losses.weighting import LossWeights
from pinnx.train.graph import StepGraph, UseCudaGraph, use_cuda_graph
from pinnx.train.problem import Batch, Problem

__all__ = ["Objective"]


class Objective:
    """Loss and gradients of a problem at a batch.

    Args:
        problem: what is minimised; its dtype and device are those of the numbers.
        weights: of the columns; `take_weights` copies them as they are then.
        cuda_graph: "on" or "off": replay loss and gradients as a CUDA graph; "auto": on a CUDA device.

    Attributes:
        problem: what is minimised.
        parameters: those of the model, then those of terms.
        weights: of the step at hand, [c], in the problem's dtype.
    """

    def __init__(self, problem: Problem, weights: LossWeights, *, cuda_graph: UseCudaGraph = "off") -> None:
        like = problem.model.frequencies
        self.problem = problem
        self.parameters = problem.parameters()
        self.weights = weights.values.to(like, copy=True)
        self._source = weights
        replayed = use_cuda_graph(cuda_graph, like.device)
        self._evaluate = StepGraph(self.eager_gradients, self.parameters) if replayed else self.eager_gradients

    def take_weights(self) -> None:
        """Takes the weights as they are now, for the step at hand."""
        self.weights.copy_(self._source.values)

    def gradients(self, batch: Batch) -> Tensor:
        """Sets the parameters' ``grad`` at a batch.

        Returns:
            Total, columns and the sum of the gradient, [c + 2], on the device and without a graph.
        """
        return self._evaluate(batch)

    def eager_gradients(self, batch: Batch) -> Tensor:
        """As `gradients`, operation by operation."""
        total, columns = self.problem.loss(batch, self.weights)
        for parameter in self.parameters:
            parameter.grad = None
        total.backward()
        entries = torch.cat([p.grad.reshape(-1) for p in self.parameters if p.grad is not None])
        return torch.cat([total.detach().reshape(1), columns, entries.sum().reshape(1)])

    @torch.no_grad()
    def total(self, batch: Batch) -> Tensor:
        """The weighted total at a batch, without gradients; a scalar on the device."""
        return self.problem.loss(batch, self.weights)[0]
