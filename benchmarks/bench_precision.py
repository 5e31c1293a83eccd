"""What does it buy to take the matrix products of a step in fewer bits, and what does it cost?

    python benchmarks/bench_precision.py [--quick] [--device cuda] [--threads 1 --cpu-time] [--output FILE.json]

Loss and all gradients of the unsteady Navier-Stokes residual, by `navier_stokes_loss`: IEEE float32 first (fused, where
a fused kernel takes the network), float64, and each precision of ``products``. The gradient is held against the float64
oracle before and after it is timed; the bound follows from the bits of an operand. Memory is what a step takes above
its inputs. On a CPU float16 is rounded before a product in float32, and so is bfloat16 where the CPU has none; tf32 has
rows on CUDA alone. What training makes of it: the rows of `bench_strategies.py` with these products.
"""

from __future__ import annotations

import argparse
import ctypes
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from harness import Statistics, Timing, WrongResultError, interleaved
from machine import peak_memory, watch_memory
from networks import NU, SPEC, Run, draw_network, flow_oracle, torch_step
from results import command_of, finish_report, print_rows, start_report, write_json
from torch import Tensor

import pinn_ext

SIZES = ((2048, 64), (2048, 128), (2048, 256), (2048, 512), (2048, 1024))  # points, width
QUICK = Timing(budget_s=0.05, min_rounds=3)
LAYERS = 4
# Half a unit in the last place of an operand. A step is a chain of some 30 roundings, which add up by chance.
UNIT = {"tf32": 2.0**-12, "float16": 2.0**-12, "bfloat16": 2.0**-9, "float32": 2.0**-24, "float64": 2.0**-53}
CHAIN = 30.0
HEADER = ("step", "time", "x float32", "memory", "error of the gradient")


@dataclass(frozen=True)
class Precision:
    """One precision of a step.

    Args:
        name: a key of `UNIT`.
        hardware: whether the device multiplies in it.
        run: the step.
    """

    name: str
    hardware: bool
    run: Run


def precisions(n: int, width: int, device: torch.device) -> list[Precision]:
    """The steps of one size, IEEE float32 first."""
    hardware = pinn_ext.hardware_products(device.type)
    rounded = [name for name in ("tf32", "bfloat16", "float16") if name in hardware or name != "tf32"]
    found = []
    for name in ("float32", "float64", *rounded):
        dtype = torch.float64 if name == "float64" else torch.float32
        network = draw_network(n, width, LAYERS, device=device).trainable(dtype)
        options = {"spec": SPEC, "activation": "tanh", "term_weights": network.x.new_ones(3)}
        products = "ieee" if name in ("float32", "float64") else name
        arguments = network.x, network.B, list(network.weights), list(network.biases), NU

        def loss(arguments: Any = arguments, options: Any = options, products: Any = products) -> Tensor:
            return pinn_ext.navier_stokes_loss(*arguments, **options, products=products)[0]  # type: ignore[no-any-return]

        step = torch_step(loss, network.parameters())
        found.append(Precision(name, products == "ieee" or name in hardware, step))
    return found


def error_of(precision: Precision, wanted: Sequence[Tensor]) -> float:
    """The distance of the gradient from the oracle's, over its length.

    Raises:
        WrongResultError: more than the bits of an operand explain.
    """
    got, exact = (
        torch.cat([t.detach().double().reshape(-1) for t in result[1:]]) for result in (precision.run(), wanted)
    )
    error = float((got - exact).norm() / exact.norm())
    if not error <= CHAIN * UNIT[precision.name]:
        raise WrongResultError(
            f"{precision.name}: expected an error <= {CHAIN * UNIT[precision.name]:.1e}, got {error:.1e}"
        )
    return error


def step_bytes(precision: Precision, device: torch.device) -> int:
    """What one step takes above its inputs, at its peak."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        precision.run()
        return torch.cuda.max_memory_allocated() - before
    ctypes.CDLL(None).malloc_trim(0)
    before, method = watch_memory()
    precision.run()
    return max(0, peak_memory(method) - before)


def measured(n: int, width: int, device: torch.device, timing: Timing) -> list[dict[str, Any]]:
    """The rows of one size."""
    wanted = flow_oracle(draw_network(n, width, LAYERS, device=device))
    steps = precisions(n, width, device)
    errors = [error_of(precision, wanted) for precision in steps]
    memory = [step_bytes(precision, device) for precision in steps]
    samples, _ = interleaved([precision.run for precision in steps], device, timing, lambda *_: None)
    again = [error_of(precision, wanted) for precision in steps]
    return [
        {
            "n": n,
            "width": width,
            "precision": precision.name,
            "hardware": precision.hardware,
            "error": max(errors[i], again[i]),
            "bytes": memory[i],
            "time_s": asdict(Statistics.of(samples[i])),
            "speed": Statistics.of([ieee / own for ieee, own in zip(samples[0], samples[i], strict=True)]).median,
        }
        for i, precision in enumerate(steps)
    ]


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """A row of the table."""
    name = f"{row['n']:,} x {row['width']}, {row['precision']}{'' if row['hardware'] else ' (rounded first)'}"
    time = f"{row['time_s']['median'] * 1e3:.1f} ms"
    return name, time, f"{row['speed']:.2f}", f"{row['bytes'] / 1e6:.0f} MB", f"{row['error']:.1e}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the benchmark from the command line."""
    options = _parser().parse_args(arguments)
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("--device cuda: expected a CUDA device, torch finds none")
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    timing = replace(QUICK if options.quick else Timing(), cpu_time=options.cpu_time)
    sizes = [(256, 32)] if options.quick else [size for size in SIZES if size[1] <= options.widest]
    command = command_of(__file__, arguments)
    report = start_report("precision", command, device, torch.float32, timing, quick=options.quick, sizes=sizes)
    report.extra["hardware"] = list(pinn_ext.hardware_products(device.type))
    report.extra["precision"] = [row for n, width in sizes for row in measured(n, width, device, timing)]
    finish_report(report, device, torch.float32)
    print_rows(HEADER, map(cells, report.extra["precision"]))
    if options.output is not None:
        write_json(report, options.output)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one small size, few rounds")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, help="threads of torch and of the kernels (default: torch's choice)")
    parser.add_argument("--cpu-time", action="store_true", help="CPU time in place of the clock, beside other work")
    parser.add_argument("--widest", type=int, default=512, help="leave out wider networks")
    parser.add_argument("--output", "--out", type=Path, metavar="FILE.json", help="all numbers, machine and versions")
    return parser


if __name__ == "__main__":
    main()
