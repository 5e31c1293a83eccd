"""The rivals by name: which there are, which can run here, and why the others cannot.

Each is a function ``(name, network) -> Candidate`` in a module that is imported only when it is wanted, so that a
library that is not installed costs a line in the table and nothing else.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata

import torch
from harness import Candidate
from networks import Network

NOT_INSTALLED = "not installed (pip install .[bench])"


@dataclass(frozen=True)
class Rival:
    """One formulation. ``needs``: the library it imports; ``compiles``: inductor, which takes its time."""

    name: str
    module: str
    function: str
    needs: str = "torch"
    compiles: bool = False

    def candidate(self, network: Network) -> Candidate:
        """Ready to run; imports the library."""
        make = getattr(importlib.import_module(self.module), self.function)
        result: Candidate = make(self.name, network)
        return result


RIVALS = (
    Rival("PyTorch eager, nested autograd", "rivals_torch", "nested_autograd"),
    Rival("torch.func, forward over forward", "rivals_torch", "forward_over_forward"),
    Rival("DeepXDE (PyTorch)", "rivals_torch", "reverse_over_reverse", needs="deepxde"),
    Rival("JAX jit, Hessians of a point", "rivals_jax", "per_point_hessians", needs="jax"),
    Rival("JAX jit, forward over forward", "rivals_jax", "forward_over_forward", needs="jax"),
    Rival("JAX jit, jets by hand", "rivals_jax", "jets", needs="jax"),
    Rival("PyTorch eager, jets by hand", "rivals_torch", "jets"),
    Rival("torch.compile, jets by hand", "rivals_torch", "compiled_jets", compiles=True),
)


def why_absent(rival: Rival, device: torch.device, *, quick: bool = False) -> str | None:
    """Why the rival is left out, for the table; None: it can run."""
    if importlib.util.find_spec(rival.needs) is None:
        return NOT_INSTALLED
    if not rival.compiles:
        return None
    if quick:
        return "left out by --quick (to compile takes 20 s)"
    if device.type == "cuda":
        return None if importlib.util.find_spec("triton") else "needs triton"
    return None if shutil.which(os.environ.get("CXX", "g++")) else "needs a C++ compiler (g++ or CXX)"


def rival_versions() -> dict[str, str | None]:
    """Versions of the rivals' libraries; None: not installed."""
    return dict(_versions("jax", "jaxlib", "deepxde"))


def _versions(*names: str) -> Iterator[tuple[str, str | None]]:
    for name in names:
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            yield name, None
