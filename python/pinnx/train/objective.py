"""The loss of a problem as a function of its parameters, at the points of one step: what a method of training asks for.

Total, columns and gradients come out of one pass. The weights stand in a tensor of their own that keeps its place, so
that a captured CUDA graph reads those of the step, and all evaluations of a line search use the same ones.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

import torch
from torch import Tensor

import pinn_ext
from pinnx.losses.weighting import LossWeights
from pinnx.train.flat_tensors import flat
from pinnx.train.graph import StepGraph, UpdateGraph, UseCudaGraph, use_cuda_graph
from pinnx.train.problem import Batch, Problem
from pinnx.train.ranks import ALONE, OneProcess

__all__ = ["Objective"]


class Objective:
    """Loss and gradients of a problem at a batch.

    Args:
        problem: what is minimised; its dtype and device are those of the numbers.
        weights: of the columns; `take_weights` copies them as they are then.
        cuda_graph: "on" or "off": replay loss and gradients as a CUDA graph; "auto": on a CUDA device.
        ranks: that each have a share of the points; their losses and gradients are added.
        report: gets a sentence where an update cannot be captured.

    Attributes:
        problem: what is minimised.
        parameters: those of the model, then those of terms.
        weights: of the step at hand, [c], in the problem's dtype.
        ranks: that each have a share of the points.
        products: precision of the matrix products of a first-order step; any other evaluation is IEEE.
        replay: makes a CUDA graph of an update that changes tensors in place; None: steps are eager.
        loss_scale: [], factor on the loss in float16, so that small cotangents stay in its range; gradients are
            divided by it.
    """

    def __init__(
        self,
        problem: Problem,
        weights: LossWeights,
        *,
        cuda_graph: UseCudaGraph = "off",
        ranks: OneProcess = ALONE,
        report: Callable[[str], None] = lambda text: None,
    ) -> None:
        like = problem.model.frequencies
        self.problem = problem
        self.parameters = problem.parameters()
        self.weights = weights.values.to(like, copy=True)
        self._source, self.ranks = weights, ranks
        self.products: pinn_ext.Products = "ieee"
        self.loss_scale = like.new_ones(())
        self._replayed = use_cuda_graph(cuda_graph, like.device)
        self.replay = partial(UpdateGraph, device=like.device, report=report) if self._replayed else None
        self._evaluate: dict[str, Callable[[Batch], Tensor]] = {}  # by precision of the products

    @property
    def constant(self) -> bool:
        """Whether the weights of columns and points stay from step to step."""
        return not self._source.adapts

    def take_weights(self) -> None:
        """Takes the weights as they are now, for the step at hand."""
        self.weights.copy_(self._source.values)

    def gradients(self, batch: Batch, products: pinn_ext.Products = "ieee") -> Tensor:
        """Sets the parameters' ``grad`` at a batch.

        Args:
            batch: the points.
            products: precision of the matrix products.

        Returns:
            Total, columns and the sum of the gradient, [c + 2], on the device and without a graph.
        """
        if products not in self._evaluate:
            step = partial(self.eager_gradients, products=products)
            self._evaluate[products] = StepGraph(step, self.parameters) if self._replayed else step
        return self.ranks.summed(self.parameters, self._evaluate[products](batch))

    def eager_gradients(self, batch: Batch, products: pinn_ext.Products = "ieee") -> Tensor:
        """As `gradients`, operation by operation, at the points of this rank."""
        scale = self.loss_scale if products == "float16" else None
        for parameter in self.parameters:
            parameter.grad = None
        with nullcontext() if products == "ieee" else self.problem.model.multiplying(products):
            total, columns = self.problem.loss(batch, self.weights if scale is None else self.weights * scale)
            total.backward()
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        total = total.detach()
        if scale is not None:
            torch._foreach_div_(gradients, scale)
            total = total / scale
        summed = flat(gradients).sum()
        return torch.cat([total.reshape(1), columns, summed.reshape(1)])

    @torch.no_grad()
    def total(self, batch: Batch) -> Tensor:
        """The weighted total at a batch, without gradients, at the points of this rank; a scalar on the device."""
        return self.problem.loss(batch, self.weights)[0]
