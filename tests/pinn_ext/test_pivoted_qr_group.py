"""A choice over processes (gloo): the same answer on every rank, near the exact one, and errors on all of them."""

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
from group_cases import GroupCase, N, crowded_case, good_cases
from group_faults import faults
from pivot_cases import limit_cases, random_matrix, violations
from tolerances import RANKS_LOG_VOLUME

import pinn_ext

HERE = Path(__file__).resolve().parent
SIZE = 3  # one rank more than two, so that there is one in the middle
CORNERED = 85  # seed of a crowded case where winners of 3 ranks end before k, and the exact choice does not
pytestmark = pytest.mark.skipif(
    not (dist.is_available() and dist.is_gloo_available()), reason="this build of torch has no gloo"
)
every_good_case = pytest.mark.parametrize("name", good_cases(2))
every_fault = pytest.mark.parametrize("name", faults(2))

Answers = list[dict[str, Any]]  # by rank, then by case


def on_ranks(size: int, folder: Path, crowds: list[str]) -> Answers:
    """What each rank answered."""
    ranks = [
        subprocess.Popen(
            [sys.executable, str(HERE / "pivots_of_a_rank.py"), str(rank), str(size), str(folder), *crowds],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
        )
        for rank in range(size)
    ]
    try:
        for rank in ranks:
            _, errors = rank.communicate(timeout=300)
            assert rank.returncode == 0, errors
    finally:
        for rank in ranks:
            rank.kill()
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(size)]


def most_by_exact_choice(case: GroupCase) -> int:
    """The largest k that the exact choice finds in all columns."""
    k = 1
    try:
        while True:
            pinn_ext.pivoted_qr(case.A, k + 1, **case.limits)
            k += 1
    except ValueError:
        return k


@pytest.fixture(scope="module")
def first_seed() -> int:
    return int.from_bytes(os.urandom(3), "big")


@pytest.fixture(scope="module")
def size() -> int:
    return SIZE


@pytest.fixture(scope="module")
def crowds(size: int, first_seed: int) -> list[str]:
    """Seeds of crowded cases, each with the largest k that the exact choice finds, and one more than anybody can."""
    seeds = [CORNERED, *range(first_seed, first_seed + 2)]
    most = {seed: most_by_exact_choice(crowded_case(size, seed)) for seed in seeds}
    return [f"{seed}:{k}" for seed in most for k in (most[seed], 3 * most[seed] + 20)]


@pytest.fixture(scope="module")
def answers(size: int, crowds: list[str], tmp_path_factory: pytest.TempPathFactory) -> Answers:
    return on_ranks(size, tmp_path_factory.mktemp("ranks"), crowds)


def check_answer(case: GroupCase, k: int, answer: dict[str, Any]) -> None:
    assert "error" not in answer, answer
    pivots, lengths = answer["pivots"], np.array(answer["lengths"])
    assert len(pivots) == len(set(pivots)) == k
    assert violations(pivots, case.limits) == 0
    assert answer["rank"] == (lengths > 0).sum()
    # The numbers are those of all ranks' columns, and the lengths those of their columns.
    again = pinn_ext.pivoted_qr(np.ascontiguousarray(case.A[:, pivots]), k, forced=range(k))
    real = lengths > 1e-12 * lengths.max()
    assert np.allclose(again.r_diagonal[real], lengths[real], rtol=1e-5, atol=0)


@every_good_case
def test_all_ranks_have_one_good_answer(name: str, size: int, answers: Answers) -> None:
    case = good_cases(size)[name]
    assert all(other[name] == other[f"{name} again"] == answers[0][name] for other in answers)
    check_answer(case, case.k, answers[0][name])
    exact = pinn_ext.pivoted_qr(case.A, case.k, **case.limits)
    assert answers[0][name]["rank"] == exact.rank
    assert answers[0][name]["log_volume"] >= exact.log_volume - RANKS_LOG_VOLUME


def test_modes_of_a_field_that_no_rank_holds(size: int, answers: Answers) -> None:
    """Against the modes of the whole field."""
    case = good_cases(size)["plain"]
    modes = np.linalg.svd(case.A, full_matrices=False)[2][: case.k]
    assert all(other["modes"] == answers[0]["modes"] for other in answers)
    chosen = np.linalg.slogdet(modes[:, answers[0]["modes"]["pivots"]])[1]
    assert answers[0]["modes"]["log_volume"] == pytest.approx(chosen, rel=1e-9)
    assert chosen >= pinn_ext.pivoted_qr(modes, case.k).log_volume - RANKS_LOG_VOLUME


def test_limits_were_some(size: int, answers: Answers) -> None:
    """The control: the same choice without them breaks them, and columns of all ranks are among the chosen."""
    for name in limit_cases(N):
        if name not in ("weights", "costs"):
            assert violations(answers[0]["plain"]["pivots"], good_cases(size)[name].limits) > 0
    borders = good_cases(size)["distance"].ends[1:-1]
    owners = np.searchsorted(borders, answers[0]["distance"]["pivots"], side="right")
    assert len(set(owners.tolist())) == size


def test_whatever_the_exact_choice_finds(size: int, crowds: list[str], answers: Answers, first_seed: int) -> None:
    """Where candidates exclude one another; and one more than there is room for is an error of every rank."""
    print(f"seed={first_seed}")
    for possible, impossible in zip(crowds[::2], crowds[1::2], strict=True):
        seed, k = map(int, possible.split(":"))
        assert all(other[possible] == answers[0][possible] for other in answers)
        check_answer(crowded_case(size, seed), k, answers[0][possible])
        for other in answers:
            assert other[impossible]["error"].startswith("ValueError: k: expected at most "), impossible


def test_the_last_resort_is_the_exact_choice(size: int, crowds: list[str], answers: Answers) -> None:
    case, k = crowded_case(size, CORNERED), int(crowds[0].split(":")[1])
    exact = pinn_ext.pivoted_qr(case.A, k, **case.limits)
    answer = answers[0][crowds[0]]
    assert answer["method"] == "exact"
    assert answer["pivots"] == exact.pivots.tolist()
    assert answers[0]["line"]["method"] == "group"


@every_fault
def test_an_error_of_one_rank_is_one_of_all(name: str, size: int, answers: Answers) -> None:
    case = faults(size)[name]
    for rank in range(size):
        said = answers[rank][name].get("error", "no error")
        if name == "mistake: out of memory":
            own = "MemoryError: no memory left"
            others = "RuntimeError: group: expected valid arguments and enough memory on every rank, got: rank "
            assert said.startswith(own if rank == size - 1 else others)
        else:
            assert case.message in said
            assert said.startswith(("ValueError: ", "TypeError: "))


def test_what_is_no_group() -> None:
    with pytest.raises(TypeError, match=r"group: expected a torch\.distributed process group .*, got object"):
        pinn_ext.pivoted_qr(random_matrix(5, 40), 5, group=object())
