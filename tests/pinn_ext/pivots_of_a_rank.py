"""One rank of a tournament over processes: ``rank size folder case``; writes what it got into the folder."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch.distributed as dist
from pivot_cases import random_matrix

import pinn_ext

rank, size, folder, case = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=size)
A = random_matrix(30, 9000, 2 if case == "components" else 0)
# Shares of different sizes; the last rank has fewer columns than there are sensors.
ends = (
    [0, *(5000 * (i + 1) // size for i in range(size - 1)), 9000] if case != "few" else [0, 8995, *[9000] * (size - 1)]
)
mine = A[:, ends[rank] : ends[rank + 1]].copy()
if case == "nan" and rank == size - 1:
    mine[3, 7] = float("nan")
limits = {"forbidden": [0, 1], "weights": [1.0 + (j % 3) for j in range(mine.shape[1])]} if case == "limits" else {}
try:
    got = pinn_ext.pivoted_qr(mine, 12, method="tournament", group=dist.group.WORLD, **limits)
    answer = [got.pivots.tolist(), got.r_diagonal.tolist(), got.rank, got.log_volume]
except ValueError as error:
    answer = [str(error)]
(folder / f"{rank}.json").write_text(json.dumps(answer))
dist.barrier()  # nobody leaves while another still listens
dist.destroy_process_group()
