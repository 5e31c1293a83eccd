"""Runs an example on a rank with something wrong: ``python parts_of_an_example.py FAULT options of the example``."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from torch import Tensor, distributed

sys.path.append(str(Path(__file__).resolve().parents[2] / "examples"))
import pipeline_by_layers
import split_domain


def slow_part() -> None:
    """The second rank takes three times as long for each point."""
    equations = split_domain.Part.equations

    def slow(part: split_domain.Part, n: int) -> Tensor:
        time.sleep((5e-5 if distributed.get_rank() else 1e-5) * n)
        return equations(part, n)

    split_domain.Part.equations = slow
    split_domain.main()


def wrong_stage() -> None:
    """The second stage begins with a weight that is off by a thousandth."""
    original = pipeline_by_layers.Pipeline.__init__

    def off(pipeline: pipeline_by_layers.Pipeline, *given: object) -> None:
        original(pipeline, *given)
        if pipeline.rank == 1:
            pipeline.layers.layers[0].weight.data[0, 0] += 1e-3

    pipeline_by_layers.Pipeline.__init__ = off
    pipeline_by_layers.main()


if __name__ == "__main__":
    {"slow_part": slow_part, "wrong_stage": wrong_stage}[sys.argv.pop(1)]()
