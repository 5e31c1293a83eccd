"""What is minimised: a model, and the terms of its loss.

The points of a step go through one buffer: the arrays of all terms are written into it in float64, it is converted
once, and copied to the device once. Terms in plain torch that need the same derivatives share one pass through the
network (a side of the domain and a handful of sensors are too few points for a pass each).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate, chain

import numpy as np
import torch
from torch import Tensor, nn

import pinn_ext
from pinnx.data.collocation import uniform_points
from pinnx.errors import PinnxError
from pinnx.models.field_model import FieldModel
from pinnx.physics.equations import EquationTerm
from pinnx.physics.term import WHOLE, JetTerm, Share, Term, TermLoss
from pinnx.train.ranks import ALONE, OneProcess
from pinnx.train.stateful import Stateful
from pinnx.train.streams import CUDAStreamManager
from pinnx.train.tensor_pool import TensorPool
from pinnx.train.term_checks import (
    require_model,
    require_names,
    require_points,
    require_scales,
    require_share,
    require_trained,
)

__all__ = ["Batch", "Problem"]

# Random signs of their own; docs/conventions.md has all streams.
PROBE_STREAM = 1 << 23

Layout = tuple[tuple[str, str, tuple[int, ...]], ...]  # (term, array, shape)


class Batch:
    """The points of one step, on the device: ``batch[term][array]``.

    Args:
        flat: all arrays behind one another.
        layout: which they are, in their order.
    """

    def __init__(self, flat: Tensor, layout: Layout) -> None:
        self.flat, self.layout = flat, layout
        self._terms: dict[str, dict[str, Tensor]] = {}
        pieces = flat.split([math.prod(shape) for *_, shape in layout])
        for (term, array, shape), piece in zip(layout, pieces, strict=True):
            self._terms.setdefault(term, {})[array] = piece.view(shape)

    def __getitem__(self, term: str) -> Mapping[str, Tensor]:
        return self._terms[term]

    def clone(self) -> Batch:
        """The same points in memory of its own."""
        return Batch(self.flat.clone(), self.layout)

    def fill(self, other: Batch) -> None:
        """Takes the points of another batch into this one's memory.

        Raises:
            PinnxError: other arrays, or other shapes.
        """
        if other.layout != self.layout:
            shapes = [{f"{t}.{a}": list(shape) for t, a, shape in batch.layout} for batch in (self, other)]
            raise PinnxError(f"points: expected those of the first step, {shapes[0]}, got {shapes[1]}")
        self.flat.copy_(other.flat)


class Problem:
    """A model and the terms of its loss.

    Args:
        model: coordinates -> fields.
        terms: at least one, with different names.
        fields: names of the model's outputs.
        checks: terms that hold by the form of the model: measured and not trained.

    Raises:
        PinnxError: what is no `FieldModel`, or one without frequencies; no terms, or two terms or columns of one name;
            another number of fields than the model has; values in other scales than the model's, or equations that do
            not state theirs where the model has some; a term with a parameter that it does not give to the optimiser,
            or to checkpoints, or on another device.
    """

    def __init__(
        self, model: FieldModel, terms: Sequence[Term], *, fields: Sequence[str], checks: Sequence[Term] = ()
    ) -> None:
        require_model(model)
        keys = [term.name for term in terms]
        if not terms or len(set(keys)) != len(keys):
            raise PinnxError(f"problem: expected terms with names of their own, got {keys}")
        if len(fields) != (outputs := len(model.field_scales)):
            raise PinnxError(f"fields: expected {outputs} names, one for each output of the model, got {list(fields)}")
        require_names(terms)
        self.model = model
        self.terms = tuple(terms)
        self.fields = tuple(fields)
        self.checked = (*terms, *checks)
        require_scales(model, self.checked)
        self.names = tuple(chain.from_iterable(term.names for term in terms))
        if len(set(self.names)) != len(self.names):
            raise PinnxError(f"problem: expected columns with names of their own, got {', '.join(self.names)}")
        require_trained(model, self.terms, self.parameters())
        self._sizes = [len(term.names) for term in terms]
        # Terms that share a pass, and each other one by itself.
        passes: dict[object, list[int]] = {}
        for number, term in enumerate(terms):
            shared = isinstance(term, JetTerm) and type(term).loss is JetTerm.loss
            passes.setdefault(term.spec if shared else number, []).append(number)
        self._passes = tuple(passes.values())
        self._shares_add_up = False
        self._workspace = TensorPool()
        self._streams: CUDAStreamManager | None = None

    def parameters(self) -> list[nn.Parameter]:
        """What the optimiser trains: the model's parameters, and those of terms that have any, each once."""
        own = [term.parameters() for term in self.terms if hasattr(term, "parameters")]
        return list(dict.fromkeys(chain(self.model.parameters(), *own)))

    def unknown_numbers(self) -> list[tuple[str, nn.Parameter]]:
        """The numbers that terms or the model learn beside the network, by the names of their parameters."""
        modules = [term.equations for term in self.terms if isinstance(term, EquationTerm)]
        of_terms = [item for module in modules for item in module.named_parameters()]
        return [*of_terms, *self.model.unknown_numbers()]

    def parts(self) -> dict[str, Stateful]:
        """The model, and the terms that have a state."""
        terms = {f"term {term.name}": term for term in self.terms if isinstance(term, Stateful)}
        return {"model": self.model, **terms}

    def to_dtype(self, dtype: torch.dtype) -> None:
        """Has parameters, points and residuals in another precision from now on, float32 or float64."""
        owned = chain.from_iterable(vars(term).values() for term in self.checked)
        for module in (self.model, *self.checked, *owned):
            if isinstance(module, nn.Module):
                module.to(dtype)

    @contextmanager
    def in_dtype(self, dtype: torch.dtype) -> Iterator[None]:
        """Inside, parameters, points and residuals are in another precision; then in that of before."""
        before = self.model.frequencies.dtype
        self.to_dtype(dtype)
        try:
            yield
        finally:
            self.to_dtype(before)

    def batch(self, step: int, share: Share = WHOLE) -> Batch:
        """The points of one step.

        Raises:
            PinnxError: a term that draws no NumPy arrays, fewer points than ``num_points``, or no share of them.
        """
        points = [term.draw(step, share) for term in self.terms]
        for term, arrays in zip(self.terms, points, strict=True):
            require_points(self.model, term, arrays, share)
            if share.parts > 1 and not self._shares_add_up:
                require_share(term, step, share)
        self._shares_add_up |= share.parts > 1
        drawn = [(term.name, *item) for term, arrays in zip(self.terms, points, strict=True) for item in arrays.items()]
        layout = tuple((term, name, array.shape) for term, name, array in drawn)
        stops = list(accumulate(array.size for *_, array in drawn))
        flat = self._workspace.get_tensor([stops[-1]], torch.float64)
        host = flat.numpy()
        for (_, name, array), stop in zip(drawn, stops, strict=True):
            out = host[stop - array.size : stop].reshape(array.shape)
            if name == "x":
                self.model.inputs(array, out=out)
            else:
                out[...] = array
        placed = self._on_device(flat)
        self._workspace.return_tensor(flat)  # in float64 on the CPU it is that of the batch, and waits
        return Batch(placed, layout)

    def adapt(self, step: int) -> None:
        """Has terms with points that follow the training adapt them, before a step; a batch that is kept stays."""
        for term in self.terms:
            if hasattr(term, "adapt"):
                term.adapt(self.model, step)

    def loss(self, batch: Batch, weights: Tensor) -> tuple[Tensor, Tensor]:
        """The weighted total, and its columns without a graph, [len(names)].

        Args:
            batch: the points.
            weights: one for each of ``names``, [len(names)].
        """
        pieces = weights.split(self._sizes)
        if self._streams is None:
            passes = [self._pass(numbers, batch, pieces) for numbers in self._passes]
        else:
            pending = [self._streams.run_async(self._pass, numbers, batch, pieces) for numbers in self._passes]
            passes = [each.result() for each in pending]
        by_number = {number: loss for losses in passes for number, loss in losses.items()}
        losses = [by_number[number] for number in range(len(self.terms))]
        total = losses[0].total
        for term in losses[1:]:
            total = total + term.total
        return total, torch.cat([term.columns for term in losses])

    def use_streams(self, n_streams: int) -> None:
        """Copies points, and evaluates terms that share no pass, on so many CUDA streams; 1: in order.

        Raises:
            PinnxError: more than one on the CPU.
        """
        device = self.model.frequencies.device
        if n_streams > 1 and device.type != "cuda":
            raise PinnxError(
                f"train.streams: expected 1 on the {device.type}, where terms run in order, got {n_streams}"
            )
        self._streams = CUDAStreamManager(n_streams, device) if n_streams > 1 else None

    def _pass(self, numbers: Sequence[int], batch: Batch, pieces: Sequence[Tensor]) -> dict[int, TermLoss]:
        """The losses of the terms that share a pass, or of one, by number."""
        drawn = [batch[self.terms[i].name] for i in numbers]
        if len(numbers) == 1:
            (i,) = numbers
            return {i: self.terms[i].loss(self.model, drawn[0], pieces[i])}
        inputs, spec = [points["x"] for points in drawn], self.terms[numbers[0]].spec
        parts = self.model.jet(torch.cat(inputs), spec).data.split([len(x) for x in inputs], dim=1)
        return {
            i: self.terms[i].jet_loss(pinn_ext.Jet(part, spec), points, pieces[i])
            for i, part, points in zip(numbers, parts, drawn, strict=True)
        }

    def _on_device(self, flat: Tensor) -> Tensor:
        """Points [n] float64 in the model's dtype and on its device."""
        like = self.model.frequencies
        if not like.is_cuda:
            return flat.to(like)
        # Pinned, so that the host does not wait for the copy; on a stream of its own it waits for no step before it.
        pinned = torch.empty(len(flat), dtype=like.dtype, pin_memory=True).copy_(flat)
        if self._streams is None:
            return pinned.to(like.device, non_blocking=True)
        copied = self._streams.run_async(pinned.to, like.device, non_blocking=True, after_current=False)
        return copied.result()

    def gradient_norms(self, batch: Batch, ranks: OneProcess = ALONE) -> Tensor:
        """The length of each column's gradient in the model's parameters, [len(names)], by a backward pass for each."""
        lengths = []
        for term, count in zip(self.terms, self._sizes, strict=True):
            for one in torch.eye(count, dtype=batch.flat.dtype, device=batch.flat.device):
                with torch.enable_grad():
                    total = term.loss(self.model, batch[term.name], one).total
                norms = [torch.linalg.vector_norm(gradient) for gradient in self._gradients(total, ranks)]
                lengths.append(torch.linalg.vector_norm(torch.stack(norms)))
        return torch.stack(lengths)

    def tangent_traces(self, batch: Batch, step: int, ranks: OneProcess = ALONE) -> Tensor:
        """For each column the mean over its points of |grad residual|^2, by one probe of random signs, [len(names)].

        Raises:
            PinnxError: a term without ``weighed_residual``.
        """
        traces = []
        for number, term in enumerate(self.terms):
            if not isinstance(term, JetTerm | EquationTerm):
                raise PinnxError(f"term {term.name}: expected weighed_residual, as JetTerm has it, got none")
            with torch.enable_grad():
                residuals = term.weighed_residual(self.model, batch[term.name])
            for column, residual in enumerate(residuals):
                stream = PROBE_STREAM + 64 * number + column
                count = residual.numel()
                mine = {"first_index": ranks.before(count), "stream": stream}
                drawn = uniform_points([-1.0], [1.0], count, seed=0, step=step, **mine)
                signs = torch.from_numpy(np.sign(drawn)).to(residual).view_as(residual)
                traces.append(sum(gradient.square().sum() for gradient in self._gradients(residual, ranks, signs)))
        return torch.stack(traces)

    def _gradients(self, output: Tensor, ranks: OneProcess, cotangent: Tensor | None = None) -> list[Tensor]:
        """In the model's parameters that the output depends on, over all ranks; its graph stays."""
        parameters = list(self.model.parameters())
        found = torch.autograd.grad(output, parameters, cotangent, retain_graph=True, allow_unused=True)
        gradients = [gradient for gradient in found if gradient is not None]
        ranks.add(gradients)
        return gradients

    @torch.no_grad()
    def residual(self, batch: Batch, name: str) -> tuple[Mapping[str, Tensor], Tensor]:
        """The points of a term, and its residual at them, [n, r], without weights."""
        (term,) = [term for term in self.terms if term.name == name]
        ones = torch.ones(len(term.names), dtype=batch.flat.dtype, device=batch.flat.device)
        found = term.loss(self.model, batch[name], ones, with_residual=True).residual
        if found is None:
            raise PinnxError(f"term {name}: expected a residual on request, got none")
        return batch[name], found
