"""What ranks of a process group tell one another: words as JSON, candidates, and a result.

Messages are tensors where the backend takes them: on the CPU, or on CUDA where there is no other (NCCL alone). They
come back on the device of the one who asks.
"""

from __future__ import annotations

import json
import math
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from pinn_ext._checks import describe
from pinn_ext._group_field import Field, make_field

__all__ = ["Messages"]


class Messages:
    """Of the ranks of ``group``.

    Raises:
        TypeError: no process group, or none that this rank belongs to.
    """

    def __init__(self, group: Any) -> None:
        if not isinstance(group, dist.ProcessGroup):
            raise TypeError(
                f"group: expected a torch.distributed process group that this rank belongs to, got {describe(group)}"
            )
        self._group = group
        self.rank, self.size = dist.get_rank(group), dist.get_world_size(group)
        on_cpu = "cpu:" in dist.get_backend_config(group)
        self._device = torch.device("cpu") if on_cpu else torch.device("cuda", torch.cuda.current_device())

    def gather(self, words: dict[str, Any]) -> list[dict[str, Any]]:
        """The words of every rank."""
        text = json.dumps(words).encode()
        length = torch.tensor([len(text)], device=self._device)
        lengths = [torch.empty_like(length) for _ in range(self.size)]
        dist.all_gather(lengths, length, group=self._group)
        longest = max(int(other) for other in lengths)
        padded = torch.tensor(list(text.ljust(longest)), dtype=torch.uint8, device=self._device)
        texts = [torch.empty_like(padded) for _ in range(self.size)]
        dist.all_gather(texts, padded, group=self._group)
        return [json.loads(bytes(other.tolist())) for other in texts]

    def add_up(self, numbers: Tensor) -> Tensor:
        """The sum over the ranks."""
        message = numbers.to(self._device, copy=True)
        dist.all_reduce(message, group=self._group)
        return message.to(numbers.device)

    def share(self, field: Field, numbers: Tensor) -> Field:
        """The candidates of these numbers in their order, each from the rank whose ``field`` has it."""
        r, _, c = field.columns.shape
        d = 0 if field.positions is None else field.positions.shape[1]
        payload = torch.zeros(r * c + 4 + d, numbers.numel(), dtype=torch.float64, device=field.columns.device)
        here = torch.isin(numbers, field.numbers)
        own = field.pick(torch.searchsorted(field.numbers, numbers[here]))
        payload[: r * c, here] = own.columns.transpose(1, 2).reshape(r * c, len(own)).double()
        payload[r * c, here], payload[r * c + 1, here] = own.weights.double(), own.costs.double()
        payload[r * c + 2, here] = own.allowed.double()
        if own.regions is not None:
            payload[r * c + 3, here] = own.regions.double()
        if own.positions is not None:
            payload[r * c + 4 :, here] = own.positions.T
        payload = self.add_up(payload)  # all but one add zeros, which changes no bit
        dtype = field.columns.dtype
        return make_field(
            payload[: r * c].reshape(r, c, numbers.numel()).transpose(1, 2).to(dtype),
            numbers=numbers,
            weights=payload[r * c].to(dtype),
            costs=payload[r * c + 1].to(dtype),
            allowed=payload[r * c + 2] > 0,
            positions=None if field.positions is None else payload[r * c + 4 :].T.contiguous(),
            regions=None if field.regions is None else payload[r * c + 3].to(torch.int64),
        )

    def send(self, field: Field, failed: bool, capacity: int, to: int) -> None:
        """All of ``field``, at most ``capacity`` allowed candidates. Where it raises, it has sent a failure."""
        whole, payload, positions = _envelope(field, capacity)
        try:
            r, m, c = field.columns.shape
            whole[1, 0] = 1  # until all is there
            whole[0, 1 : m + 1] = field.numbers
            if field.regions is not None:
                whole[1, 1 : m + 1] = field.regions
            payload[:-2, :m] = field.columns.transpose(1, 2).reshape(r * c, m)
            payload[-2, :m], payload[-1, :m] = field.weights, field.costs
            if positions is not None and field.positions is not None:
                positions[:m] = field.positions
            whole[:, 0] = torch.tensor([m, failed])
        finally:  # nobody waits for what has failed
            for message in (whole, payload, positions):
                if message is not None and message.numel():
                    dist.send(message.to(self._device), dist.get_global_rank(self._group, to), group=self._group)

    def receive(self, like: Field, capacity: int, source: int) -> tuple[Field, bool]:
        """What ``source`` sends, and whether one of those it speaks for has failed."""
        device = like.columns.device
        messages = []
        for blank in _envelope(like, capacity):
            message = None if blank is None else blank.to(self._device)
            if message is not None and message.numel():
                dist.recv(message, dist.get_global_rank(self._group, source), group=self._group)
            messages.append(None if message is None else message.to(device))
        whole, payload, positions = messages
        assert whole is not None
        assert payload is not None
        m, failed = whole[:, 0].tolist()
        r, _, c = like.columns.shape
        field = make_field(
            payload[:-2, :m].reshape(r, c, m).transpose(1, 2),
            numbers=whole[0, 1 : m + 1],
            weights=payload[-2, :m],
            costs=payload[-1, :m],
            allowed=torch.ones(m, dtype=torch.bool, device=device),
            positions=None if positions is None else positions[:m],
            regions=None if like.regions is None else whole[1, 1 : m + 1],
        )
        return field, bool(failed)

    def broadcast(self, *numbers: Tensor) -> tuple[Tensor, ...]:
        """Those of the first rank."""
        result = []
        for message in numbers:
            copy = message.to(self._device, copy=True)
            if copy.numel():
                dist.broadcast(copy, dist.get_global_rank(self._group, 0), group=self._group)
            result.append(copy.to(message.device))
        return tuple(result)


def _envelope(like: Field, capacity: int) -> tuple[Tensor, Tensor, Tensor | None]:
    """Blank messages: count, flag, numbers and regions; columns, weights and costs; positions."""
    columns = like.columns
    whole = like.numbers.new_zeros(2, capacity + 1)
    payload = columns.new_zeros(math.prod(columns.shape[::2]) + 2, capacity)
    return (
        whole,
        payload,
        None if like.positions is None else like.positions.new_zeros(capacity, like.positions.shape[1]),
    )
