"""Runs every case and writes all results to a file: ``python run_cases.py results.pt``.

A program of its own, because the instruction set is chosen once, when the package loads.
"""

from __future__ import annotations

import sys

import torch
from cases import CASES, forward_and_gradients

import pinn_ext


def main(path: str) -> None:
    """Forward results and gradients of all cases in both precisions, and the path that was active."""
    results = {
        (case.name, str(dtype)): forward_and_gradients(case.kernel, case.inputs(67, seed=1, dtype=dtype), seed=2)
        for case in CASES
        for dtype in (torch.float32, torch.float64)
    }
    torch.save({"active": pinn_ext.build_info().active_instruction_set, "results": results}, path)


if __name__ == "__main__":
    main(sys.argv[1])
