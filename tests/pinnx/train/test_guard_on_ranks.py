"""Ranks that train together return together, whichever of them has lost the physics (gloo, two processes)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

sys.path.insert(0, str(Path(__file__).resolve().parent))  # under any import mode of pytest

from guard_of_a_rank import main

pytestmark = pytest.mark.skipif(
    not (dist.is_available() and dist.is_gloo_available()), reason="this build of torch has no gloo"
)


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What the guard of each rank did: rank 1 is a process of its own."""
    folder, threads = tmp_path_factory.mktemp("ranks"), torch.get_num_threads()
    other = subprocess.Popen(
        [sys.executable, str(Path(__file__).resolve().with_name("guard_of_a_rank.py")), "1", str(folder)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
    )
    try:
        torch.set_num_threads(1)
        main(0, folder)
        _, errors = other.communicate(timeout=120)
        assert other.returncode == 0, errors
    finally:
        torch.set_num_threads(threads)
        other.kill()
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


def test_all_return_where_one_has_lost_the_physics(ranks: list[dict[str, Any]]) -> None:
    healthy, faulty = (rank["fault"] for rank in ranks)
    (incident,) = healthy["incidents"]
    assert (incident["step"], incident["returned_to"], incident["helped"]) == (6, 4, True)
    assert [(item["name"], item["rank"]) for item in incident["crossed"]] == [("pde_residual_l2", 1)]
    assert healthy["sums"] == faulty["sums"], "both took the same steps again"
    assert [healthy["end"], healthy["step"], healthy["incidents"]] == ["trained", 8, faulty["incidents"]]


def test_what_comes_close_on_one_returns_none(ranks: list[dict[str, Any]]) -> None:
    assert [rank["near"]["incidents"] for rank in ranks] == [[], []]


def test_all_stop_together(ranks: list[dict[str, Any]]) -> None:
    assert [(rank["lost"]["end"], rank["lost"]["step"]) for rank in ranks] == [("stopped", 4)] * 2
    assert [len(rank["lost"]["incidents"]) for rank in ranks] == [4, 4]
