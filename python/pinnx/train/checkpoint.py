"""One checkpoint: a file of tensors and JSON that counts only when complete.

The file is a safetensors file, which any reader of that format opens, and which holds nothing that could be run. A
state is a tree: its tensors are stored under their path in it (``optimizer/state/0/exp_avg``), the rest as JSON in the
header:

    {"dict": [[key, value], ...]}  {"list": [...]}  {"tuple": [...]}  {"tensor": name}  {"float": "nan"}
    null  true  7  0.25  "text"

The header also has the format, the loss and a BLAKE2b digest of everything that is read back.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load as decode
from safetensors.torch import save as encode
from torch import Tensor

from pinnx.errors import PinnxError, damage_named
from pinnx.runs.files import atomic_write

__all__ = ["checkpoint_loss", "load_checkpoint", "save_checkpoint"]

# One more where a state of before would be read wrongly, or not at all.
FORMAT = "6"


def save_checkpoint(path: str | os.PathLike[str], state: Mapping[str, Any], *, loss: float = math.inf) -> None:
    """Writes a state to ``path``, whole or not at all.

    Args:
        path: the file.
        state: tensors, numbers, strings, None, and dicts, lists and tuples of them.
        loss: the last one that was logged; infinite where none was.

    Raises:
        PinnxError: something else in the state.
        OSError: the file cannot be written; one that was there is as before.
    """
    tensors: dict[str, Tensor] = {}
    header = {"format": FORMAT, "loss": repr(float(loss)), "state": json.dumps(_tree(state, "", tensors))}
    header["blake2b"] = _digest(header, tensors)
    with atomic_write(path) as partial:
        partial.write_bytes(encode(tensors, header))


def load_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads what ``save_checkpoint`` wrote, on the CPU; nothing in the file can be run.

    Raises:
        PinnxError: no such file, a file that is cut short or altered, or one of another format.
    """
    header = _header(path := Path(path))
    with damage_named(path, "expected a whole checkpoint, got a damaged file"):
        tensors = {name: torch.clone(tensor) for name, tensor in decode(path.read_bytes()).items()}
        if header.pop("blake2b", None) != _digest(header, tensors):
            raise PinnxError(f"{path}: expected a whole checkpoint, got one whose content was altered")
        state = _value(json.loads(header["state"]), tensors)
    if not isinstance(state, dict):
        raise PinnxError(f"{path}: expected a checkpoint with a dict of parts, got {type(state).__name__}")
    return state


def checkpoint_loss(path: Path) -> float:
    """The loss of a checkpoint, out of its header.

    Raises:
        PinnxError: no such file, a file that is cut short, or one of another format.
    """
    header = _header(path)
    with damage_named(path, "expected a whole checkpoint, got a damaged file"):
        return float(header["loss"])


def _header(path: Path) -> dict[str, str]:
    if not path.is_file():
        raise PinnxError(f"{path}: no such checkpoint")
    with (
        damage_named(path, "expected a whole checkpoint, got a damaged file"),
        safetensors.safe_open(path, framework="pt") as file,
    ):
        header = dict(file.metadata() or {})
    if header.get("format") != FORMAT or "state" not in header:
        found = f"format {header['format']}" if "format" in header else "another file"
        raise PinnxError(f"{path}: expected a checkpoint of format {FORMAT}, got {found}")
    return header


def _digest(header: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.blake2b(json.dumps(sorted(header.items())).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _tree(value: Any, where: str, tensors: dict[str, Tensor]) -> Any:
    """A value as JSON; its tensors go into ``tensors``, contiguous on the CPU, in memory of their own."""
    if isinstance(value, Tensor):
        name = where
        while name in tensors:  # keys such as 0 and "0" read alike
            name += "'"
        tensors[name] = value.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        return {"tensor": name}
    if isinstance(value, Mapping):
        pairs = [[_plain(key, where), _tree(item, _join(where, key), tensors)] for key, item in value.items()]
        return {"dict": pairs}
    if isinstance(value, list | tuple):
        items = [_tree(item, _join(where, number), tensors) for number, item in enumerate(value)]
        return {"tuple" if isinstance(value, tuple) else "list": items}
    return _plain(value, where)


def _join(where: str, key: object) -> str:
    return f"{where}/{key}" if where else str(key)


def _plain(value: Any, where: str) -> Any:
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"float": repr(float(value))}
    if value is None or isinstance(value, bool | int | str):
        return value
    raise PinnxError(
        f"checkpoint: expected tensors, numbers, strings and containers of them, got {type(value).__name__} at {where}"
    )


def _value(tree: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The value that ``_tree`` made JSON of."""
    if not isinstance(tree, dict):
        return tree
    ((kind, content),) = tree.items()
    match kind:
        case "dict":
            return {key: _value(item, tensors) for key, item in content}
        case "list":
            return [_value(item, tensors) for item in content]
        case "tuple":
            return tuple(_value(item, tensors) for item in content)
        case "tensor":
            return tensors[content]
        case "float":
            return float(content)
    raise ValueError(f"unknown kind {kind}")
