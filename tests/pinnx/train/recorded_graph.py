"""A stand-in for a CUDA graph on machines without one, and steps with and without a graph.

The stand-in records the operations of a capture with the tensors that they read and wrote, and a replay computes them
again into the same memory. It refuses what a capture refuses: to read a number back, to copy from the host.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pinnx.train import Objective, Trainer
from pinnx.train.graph import StepGraph, UpdateGraph

REFUSED = {"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::lift_fresh"}


class RecordedGraph(TorchDispatchMode):
    """A CUDA graph in plain torch, as far as one step needs it."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[tuple[Any, tuple[Any, ...], dict[str, Any], list[Tensor]]] = []
        self._before: dict[int, tuple[Any, Any]] = {}  # memory that is written, as it was before

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name
        if name in REFUSED:
            raise RuntimeError(f"operation not permitted when stream is capturing: {name}")
        for tensor in written(func, args, kwargs or {}):
            memory = tensor.untyped_storage()
            self._before.setdefault(memory.data_ptr(), (memory, memory.clone()))
        result = func(*args, **(kwargs or {}))
        given = {t.untyped_storage().data_ptr() for t in tree_leaves([args, kwargs]) if isinstance(t, Tensor)}
        fresh = [t for t in tree_leaves(result) if isinstance(t, Tensor)]
        fresh = [t if t.untyped_storage().data_ptr() not in given else None for t in fresh]
        self._calls.append((func, args, kwargs or {}, fresh))
        return result

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        for memory, before in self._before.values():  # a capture computes nothing
            memory.copy_(before)
        with torch.no_grad():
            for *_, fresh in self._calls:
                for tensor in fresh:
                    if tensor is not None:
                        tensor.fill_(float("nan") if tensor.is_floating_point() else 0)

    def replay(self) -> None:
        with torch.no_grad():
            for func, args, kwargs, fresh in self._calls:
                again = [t for t in tree_leaves(func(*args, **kwargs)) if isinstance(t, Tensor)]
                for old, new in zip(fresh, again, strict=True):
                    if old is not None:
                        old.copy_(new)


def written(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    """What an operation changes in place."""
    given = {a.name: value for a, value in zip(func._schema.arguments, args, strict=False)} | kwargs
    changed = [given[a.name] for a in func._schema.arguments if a.is_write and a.name in given]
    return [t for t in tree_leaves(changed) if isinstance(t, Tensor)]


class AsOnCuda(Objective):
    """Eager steps round as replayed ones there: step sizes stand in tensors, and Adam is fused."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.replay = self.replay or (lambda change: change)


def eager_and_replayed(trainer: Trainer, steps: int) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    """Total, columns and gradients of some steps, without and with a graph; the parameters move in between."""
    parameters = trainer.problem.parameters()
    replayed = StepGraph(trainer.phases.objective.eager_gradients, parameters)
    for step in range(steps):
        batch = trainer.problem.batch(step)
        eager = [trainer.phases.objective.eager_gradients(batch), *(p.grad for p in parameters)]
        yield eager, [replayed(batch), *(p.grad.clone() for p in parameters)]
        with torch.no_grad():
            for p in parameters:
                p.add_(p.grad, alpha=-1e-2)


def assert_same(pairs: Iterator[tuple[list[Tensor], list[Tensor]]]) -> None:
    totals = []
    for eager, replayed in pairs:
        assert all(torch.equal(a, b) for a, b in zip(eager, replayed, strict=True))
        totals.append(replayed[0][0])
    assert len({total.item() for total in totals}) == len(totals), "each step had its own points, and keeps its numbers"


def replays_updates(trainer: Trainer) -> bool:
    """Clipping and Adam's step, or SOAP's."""
    updates = [change for change in trainer.method._changes if isinstance(change, UpdateGraph)]
    for of_group in getattr(trainer.method.optimizer, "_stacks", {}).values():
        updates += [update for stack in of_group for update in stack._replayed.values()]
    return bool(updates) and all(update.replays for update in updates)


def state_after(trainer: Trainer) -> list[Tensor]:
    trainer.run()
    state = trainer.method.optimizer.state_dict()["state"]
    return [p.detach().clone() for p in trainer.problem.parameters()] + [
        value for number in sorted(state) for value in tree_leaves(state[number]) if isinstance(value, Tensor)
    ]
