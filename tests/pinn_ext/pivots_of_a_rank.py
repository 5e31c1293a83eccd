"""One rank of a group: ``rank size folder seeds``; chooses in every case and writes what it got into the folder."""

from __future__ import annotations

import json
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from group_cases import GroupCase, crowded_case, good_cases
from group_faults import faults

import pinn_ext
from pinn_ext._impl import ranks

rank, size, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
MINUTE = timedelta(minutes=1)  # a rank that waits for one that does not come has failed
dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=size, timeout=MINUTE)


def out_of_memory(*_: Any, **__: Any) -> None:
    raise MemoryError("no memory left")


def answer(case: GroupCase, k: int) -> dict[str, Any]:
    arguments = case.of_rank(rank) | ({} if k == 0 else {"k": k})
    choose, broken = ranks._winners, arguments.pop("broken", False)
    if broken:
        ranks._winners = out_of_memory
    try:
        got = pinn_ext.pivoted_qr(**arguments, group=dist.group.WORLD)
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}
    finally:
        ranks._winners = choose
        dist.barrier()
    return {
        "pivots": got.pivots.tolist(),
        "lengths": got.r_diagonal.tolist(),
        "rank": got.rank,
        "log_volume": got.log_volume,
        "method": got.method,
    }


def answer_of_modes(case: GroupCase) -> dict[str, Any]:
    """As docs/kernels.md does it: modes of a field of which this rank has some columns."""
    X = torch.from_numpy(case.of_rank(rank)["A"])
    gram = X @ X.T
    dist.all_reduce(gram)
    values, vectors = torch.linalg.eigh(gram)
    modes = (vectors[:, -case.k :] / values[-case.k :].sqrt()).T @ X
    got = pinn_ext.pivoted_qr(modes, case.k, group=dist.group.WORLD)
    return {"pivots": got.pivots.tolist(), "log_volume": got.log_volume}


answers = {"modes": answer_of_modes(good_cases(size)["plain"])}
for name, case in (good_cases(size) | faults(size)).items():
    answers[name] = answer(case, 0)
    if name in good_cases(size):
        answers[f"{name} again"] = answer(case, 0)
for crowd in sys.argv[4:]:
    seed, k = map(int, crowd.split(":"))
    answers[crowd] = answer(crowded_case(size, seed), k)
(folder / f"{rank}.json").write_text(json.dumps(answers))
dist.barrier()  # nobody leaves while another still listens
dist.destroy_process_group()
time.sleep(0.2)  # gloo's threads give tensors back; one that still does as Python ends would abort it
