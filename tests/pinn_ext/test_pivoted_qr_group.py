"""A tournament over processes (gloo): the same answer on every rank, near the exact one, and errors on all of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch.distributed as dist
from pivot_cases import random_matrix
from tolerances import RANKS_LOG_VOLUME

import pinn_ext

HERE = Path(__file__).resolve().parent
pytestmark = pytest.mark.skipif(
    not (dist.is_available() and dist.is_gloo_available()), reason="this build of torch has no gloo"
)


def on_ranks(size: int, case: str, folder: Path) -> list[list[Any]]:
    """What each rank answered."""
    folder.mkdir()
    ranks = [
        subprocess.Popen(
            [sys.executable, str(HERE / "pivots_of_a_rank.py"), str(rank), str(size), str(folder), case],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
        )
        for rank in range(size)
    ]
    for rank in ranks:
        _, errors = rank.communicate(timeout=120)
        assert rank.returncode == 0, errors
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(size)]


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("case", ["plain", "components", "limits"])
def test_all_ranks_have_one_good_answer(size: int, case: str, tmp_path: Path) -> None:
    answers = on_ranks(size, case, tmp_path / "once")
    assert all(answer == answers[0] for answer in answers)
    pivots, lengths, rank, log_volume = answers[0]
    assert rank == len(set(pivots)) == 12
    assert lengths[0] == max(lengths)
    A = random_matrix(30, 9000, 2 if case == "components" else 0)
    if case != "limits":
        assert log_volume >= pinn_ext.pivoted_qr(A, 12).log_volume - RANKS_LOG_VOLUME
        again = pinn_ext.pivoted_qr(np.ascontiguousarray(A[:, pivots]), 12, forced=range(12))
        assert again.r_diagonal.tolist() == lengths  # the numbers are those of all ranks' columns
    assert on_ranks(size, case, tmp_path / "twice") == answers


def test_a_rank_without_enough_columns(tmp_path: Path) -> None:
    answers = on_ranks(2, "few", tmp_path / "run")
    assert answers[0] == answers[1]
    assert answers[0][2] == 12


def test_an_error_of_one_rank_is_one_of_all(tmp_path: Path) -> None:
    first, second = on_ranks(2, "nan", tmp_path / "run")
    assert first == ["A: expected columns to choose from on every rank, got an error on ranks [1]"]
    assert "A: expected finite numbers, got 1 that are NaN or infinite" in second[0]


def test_what_a_group_does_not_take() -> None:
    A = random_matrix(5, 40)
    with pytest.raises(ValueError, match="group: expected method='tournament', got 'exact'"):
        pinn_ext.pivoted_qr(A, 5, group=object())
    with pytest.raises(ValueError, match="group: expected no forced, positions or regions"):
        pinn_ext.pivoted_qr(A, 5, method="tournament", group=object(), forced=[3])
