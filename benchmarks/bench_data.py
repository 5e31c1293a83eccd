"""A field larger than memory: reading its blocks against dd, the first batch, the share of a training step, the memory.

    python benchmarks/bench_data.py --gb 16 --out benchmarks/results/data_cpu.json    # writes 16 GB into TMPDIR

A decaying flow of three components, float32, contiguous HDF5, is written and deleted again. Of every read the numbers
are checked. Goals: aligned blocks, of which every cache line of 64 bytes is used, at 0.8 of dd's speed, interleaved,
from the disk (posix_fadvise takes the file out of the system's cache before each) and from the cache; the first batch
of 16,384 points in less than a second; drawing points in 5 % of a step at most; blocks within the limit of memory.
Beside clock time is CPU time, which other work on the machine changes less; the share of the step is one of CPU time,
on one thread, and one of the clock is beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import h5py
import numpy as np
import torch
from machine import describe_machine, describe_versions
from numpy.typing import NDArray

from pinnx.config import Config, load_config
from pinnx.data import DataMapping, MemoryMappedDataset
from pinnx.data.streamed_field import StreamedField
from pinnx.jobs.cases.load_case import load_case
from pinnx.jobs.flows.flow_problem import flow_problem
from pinnx.jobs.trainer_setup import make_trainer

GOALS = {"read": 0.8, "first_batch_s": 1.0, "share": 0.05}
POINTS, ROUNDS, STEPS = 16384, 5, 40
READ_BYTES = 2 * 2**30


def main() -> None:
    """Prints what was measured beside the goals; exits with 1 where one is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="0.2 GB of 64^3 points, and no goal: whether it works")
    parser.add_argument("--gb", type=float, help="size of the file (default: 16)")
    parser.add_argument("--side", type=int, help="points along each axis of the grid (default: 320)")
    parser.add_argument("--limit-mb", type=int, default=512, help="limit of the memory of blocks")
    parser.add_argument("--width", type=int, default=128, help="of the network whose step is timed, 4 layers")
    parser.add_argument("--out", type=Path, help="JSON")
    options = parser.parse_args()
    gigabytes, side = (0.2, 64) if options.quick else (16.0, 320)
    options.gb, options.side = options.gb or gigabytes, options.side or side
    with tempfile.TemporaryDirectory() as folder:
        path, frames = Path(folder) / "flow.h5", max(3, round(options.gb * 1e9 / (12 * options.side**3)))
        wrote = write(path, frames, options.side)
        found = {"file_gb": path.stat().st_size / 1e9, "written_gb_per_s": path.stat().st_size / 1e9 / wrote}
        found |= {"points": POINTS, "memory_limit_mb": options.limit_mb * 2**20 / 1e6}
        found |= {"from_disk": reading(path, cold=True), "from_cache": reading(path, cold=False)}
        found |= first_batch(path, options.limit_mb) | step(path, options.side, options.limit_mb, options.width)
    kept = {
        "read from disk": found["from_disk"]["share_of_dd"] >= GOALS["read"],
        "read from cache": found["from_cache"]["share_of_dd"] >= GOALS["read"],
        "first batch": found["first_batch_s"] < GOALS["first_batch_s"],
        "share of the step": found["share_of_step"] <= GOALS["share"],
        "memory": found["memory_mb"] <= found["memory_limit_mb"],
    }
    print(json.dumps(found, indent=1))
    for name, holds in kept.items():
        print(f"{name}: {'met' if holds else 'missed'}")
    if options.out is not None:
        machine = {"machine": describe_machine(torch.device("cpu")), "versions": describe_versions()}
        text = json.dumps({"command": " ".join(sys.argv), "goals": GOALS, **machine, **found, "met": kept}, indent=1)
        options.out.write_text(text + "\n")
    sys.exit(not options.quick and not all(kept.values()))


def write(path: Path, frames: int, side: int) -> float:
    """Three components [T, z, y, x] that decay; the seconds that it takes."""
    line = np.linspace(0.0, 2 * np.pi, side, endpoint=False)
    wave = [np.sin(line).astype("f4"), np.cos(line).astype("f4")]
    frame = {
        "u": wave[0][None, None, :] * wave[1][None, :, None] * np.ones((side, 1, 1), "f4"),
        "v": -wave[1][None, None, :] * wave[0][None, :, None] * np.ones((side, 1, 1), "f4"),
        "w": 0.1 * np.ones((side, side, side), "f4"),
    }
    began = time.perf_counter()
    with h5py.File(path, "w") as file:
        file.update(dict.fromkeys("xyz", line) | {"t": 0.1 * np.arange(frames)})
        for name, values in frame.items():
            dataset = file.create_dataset(name, (frames, side, side, side), "f4")
            for number in range(frames):
                dataset[number] = values * np.float32(np.exp(-0.01 * number))
    os.sync()
    return time.perf_counter() - began


def forget(path: Path) -> None:
    """Takes a file out of the system's cache."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def reading(path: Path, *, cold: bool) -> dict[str, Any]:
    """GB/s of blocks of u, two GiB at most, and of dd over the same bytes, in turn; and GB per second of CPU time."""
    with h5py.File(path) as file:
        offset, size = file["u"].id.get_offset(), min(READ_BYTES, file["u"].nbytes)
    rates: dict[str, list[float]] = {name: [] for name in ("ours", "dd", "ours_cpu", "dd_cpu")}
    given = [f"if={path}", "of=/dev/null", "bs=1M", "iflag=skip_bytes,count_bytes", f"skip={offset}", f"count={size}"]
    dataset = MemoryMappedDataset(f"{path}::u", memory_limit=64 * 2**20)
    count = size // dataset.block_bytes
    for _ in range(ROUNDS):
        for name, run in {"dd": partial(subprocess.run, ["dd", *given], check=True, stderr=subprocess.DEVNULL),
                          "ours": partial(read_blocks, dataset, count)}.items():  # fmt: skip
            if cold:
                forget(path)
            began, cpu = time.perf_counter(), cpu_time()
            run()
            rates[name].append(size / 1e9 / (time.perf_counter() - began))
            rates[f"{name}_cpu"].append(size / 1e9 / (cpu_time() - cpu))
        with h5py.File(path) as file:
            if not np.array_equal(dataset.block(count - 1), file["u"][dataset.place(count - 1)]):
                sys.exit("expected the numbers of the file, got others")
    dataset.close()
    shares = {f"share_of_dd{end}": median(a / b for a, b in zip(rates[f"ours{end}"], rates[f"dd{end}"], strict=True))
              for end in ("", "_cpu")}  # fmt: skip
    return {"gb_per_s": rates, **shares}


def read_blocks(dataset: MemoryMappedDataset, count: int) -> None:
    """Every cache line of each block is read: a block that is a part of a memory map is there only when it is used."""
    for number in range(count):
        block = dataset.block(number)
        block.reshape(-1)[:: 64 // block.itemsize].max()


def cpu_time() -> float:
    """Of this process and of those that it has started and waited for."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def mapping() -> DataMapping:
    return DataMapping(z="z", w="w", t="t", axes=("t", "z", "y", "x"))


def first_batch(path: Path, limit_mb: int) -> dict[str, float]:
    """Seconds from nothing to the first points, the file not in the cache."""
    taken, cpu = [], []
    for seed in range(ROUNDS):
        forget(path)
        began, used = time.perf_counter(), cpu_time()
        field = StreamedField(path, mapping(), seed=seed, memory_limit=limit_mb * 2**20)
        points = field.draw(0, range(POINTS), POINTS)
        taken.append(time.perf_counter() - began)
        cpu.append(cpu_time() - used)
        field.close()
        t, x, y, _ = points.coordinates.T
        if not np.allclose(points.values[:, 0], np.sin(x) * np.cos(y) * np.exp(-0.1 * t), atol=1e-6):
            sys.exit("expected the flow at its places, got something else")
    return {"first_batch_s": median(taken), "first_batch_cpu_s": median(cpu)}


def configured(path: Path, side: int, limit_mb: int, width: int) -> Config:
    arrays = "data.arrays={x: x, y: y, z: z, t: t, u: u, v: v, w: w, nu: 0.01}"
    small, model = max(1, side // 16), f"model={{width: {width}, layers: 4}}"
    stride, stream = f"data.stride={{x: {small}, y: {small}, z: {small}}}", f"data.stream.memory={limit_mb / 1024}"
    train = ["train.collocation_points=4096", "train.boundary_points=16", "boundaries=[]", "sensors.method=random"]
    given = [f"data.path={path}", arrays, "data.axes=[t, z, y, x]", stride, stream, "data.check_orientation=false"]
    return load_config(None, [*given, model, *train])


def step(path: Path, side: int, limit_mb: int, width: int) -> dict[str, float]:
    """Seconds of a training step, of drawing the field's points in it, and the memory that streaming takes."""
    config = configured(path, side, limit_mb, width)
    flow = flow_problem(config, load_case(config))
    trainer = make_trainer(config, flow.problem, flow.weights)
    (term,) = [term for term in flow.problem.terms if term.name == "field"]
    drawn, draw = [], term.draw

    def timed(*given: Any) -> Any:
        began = now()
        points = draw(*given)
        drawn.append(now() - began)
        return points

    term.draw = timed
    torch.set_num_threads(1)
    forget(path)
    trainer.train_step()
    blocks = term._field.blocks
    memory, before, began, most = resident(), blocks.kept_bytes / 1e6, now(), 0.0
    for _ in range(STEPS):
        trainer.train_step()
        most = max(most, resident())
    clock, cpu = (now() - began).tolist()
    (draw_clock, draw_cpu), draws = np.sum(drawn[1:], axis=0).tolist(), np.array(drawn[1:])
    grown = before + most - memory  # the first step has read those of one step
    found = {"step_cpu_s": cpu / STEPS, "draw_cpu_s": median(draws[:, 1].tolist()), "share_of_step": draw_cpu / cpu}
    found |= {"step_s": clock / STEPS, "share_of_step_clock": draw_clock / clock}
    return found | {"memory_mb": max(blocks.kept_bytes / 1e6, grown)}


def now() -> NDArray[np.float64]:
    """Seconds of the clock, and of this thread's CPU time: waiting for the disk shows in the first alone."""
    return np.array([time.perf_counter(), time.thread_time()])


def resident() -> float:
    """Memory that is resident now, in MB, pages of mapped files among it; what was written before is not."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


if __name__ == "__main__":
    main()
