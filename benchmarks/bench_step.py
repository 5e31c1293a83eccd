"""How fast is a training step's loss with all gradients, against what users have today and against the arithmetic?

    python benchmarks/bench_step.py [--quick] [--sizes 1024x64x4 ...] [--parts rivals ...] [--out FILE.json]

Unsteady Navier-Stokes in two dimensions on a network of Fourier features, float32. Every candidate's loss and
gradients are held against nested autograd in float64 before and after they are timed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from harness import Candidate, Case, Timing, Work, WrongResultError, measure, validate
from machine import fma_peak
from networks import (
    TOLERANCE,
    Network,
    arithmetic_floor,
    draw_network,
    flow_oracle,
    heat,
    jet_and_residual,
    on_threads,
    single_pass,
)
from results import Report, command_of, finish_report, print_rows, read_json, start_report, write_json
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rivals import RIVALS, rival_versions, why_absent
from tables import GOAL_HEADER, draw_step, goal_rows, goals, step_header, step_rows
from torch import Tensor

import pinn_ext

KERNEL = "navier_stokes step"
PEAK_MS = 20
ODD_WIDTHS = (20, 37, 50, 100)
Size = tuple[int, int, int]  # points, width, hidden layers
Maker = Callable[[], Case]
Wanted = Callable[[], Sequence[Tensor]]


@dataclass
class Scene:
    """Where the cases run, what they tell, and who was left out of them."""

    device: torch.device
    quick: bool
    tell: Callable[[str], object]
    left_out: list[dict[str, object]]  # name, size, reason

    def network(self, size: Size, outputs: int = 3) -> Network:
        """At that size, on the device."""
        return draw_network(*size, outputs, device=self.device)

    def case(self, part: str, network: Network, candidates: Sequence[Candidate], reference: Wanted) -> Case:
        """With the bound of the device: the measured peak of its multiply-add units, or torch's matrix product."""
        on_cpu = self.device.type == "cpu"
        peak = partial(fma_peak, part == "float64", PEAK_MS) if on_cpu else None
        numbers = sum(t.numel() for t in network.parameters())
        return Case(
            kernel=KERNEL,
            part=part,
            size=network.size,
            candidates=tuple(candidates),
            reference=reference,
            tolerance=TOLERANCE,
            work=Work(4 * (numbers + network.x.numel()), 4 * numbers, arithmetic_floor(network)),
            bound="peak" if on_cpu else "matmul",
            peak=peak,
        )


def case_makers(scene: Scene, parts: Sequence[str], sizes: Sequence[Size]) -> Iterator[tuple[str, Maker]]:
    """Title and maker of every case of these parts; the tensors come into being when it is made."""
    for size in sizes:
        title = "n = {:,}, width {}, {} layers".format(*size)
        for part, maker in _MAKERS.items():
            if part in parts:
                yield f"{part}, {title}", partial(maker, scene, size)
    if "odd" in parts:
        n, _, layers = sizes[-1] if scene.quick else (4096, 0, 4)
        for width in ODD_WIDTHS:
            yield f"odd width {width}", partial(_odd, scene, (n, width, layers))


def _ours(scene: Scene, size: Size) -> Case:
    """Ours alone, for a process of another instruction set."""
    network = scene.network(size)
    return scene.case("ours", network, [single_pass("pinn_ext", network)], lambda: flow_oracle(network))


def _rivals(scene: Scene, size: Size) -> Case:
    network = scene.network(size)
    scene.tell("oracle")
    wanted = flow_oracle(network)
    candidates = [
        single_pass("pinn_ext, single pass", network),
        jet_and_residual("pinn_ext.mlp_jet, residual in torch", network),
    ]
    for rival in RIVALS:
        reason = why_absent(rival, scene.device, quick=scene.quick)
        if reason is None:
            scene.tell(f"first run of {rival.name}")
            try:
                candidate = rival.candidate(network)
                validate(rival.name, candidate.result(), wanted, TOLERANCE)
            except WrongResultError as error:
                reason = f"not compared: {error}"
            except RuntimeError as error:  # out of memory, no device, a compiler that fails
                reason = f"failed: {str(error).splitlines()[0]}"
            else:
                candidates.append(candidate)
        if reason is not None:
            scene.left_out.append({"name": rival.name, "size": network.size, "reason": reason})
    return scene.case("rivals", network, candidates, lambda: wanted)


def _threads(scene: Scene, size: Size) -> Case:
    """All threads against one."""
    network = scene.network(size)
    threads = torch.get_num_threads()
    candidates = [
        single_pass(f"{threads} threads", network),
        on_threads(1, single_pass("1 thread", network)),
    ]
    return scene.case("threads", network, candidates, lambda: flow_oracle(network))


def _float64(scene: Scene, size: Size) -> Case:
    network = scene.network(size)
    candidates = [
        single_pass("float64", network, torch.float64),
        single_pass("float32", network),
    ]
    return scene.case("float64", network, candidates, lambda: flow_oracle(network))


def _heat(scene: Scene, size: Size) -> Case:
    """An equation of the user's own behind `mlp_jet`, against the single pass of the equation that is shipped."""
    flow, diffusion = scene.network(size), scene.network(size, outputs=1)
    candidates = [
        single_pass("navier_stokes_loss", flow),
        heat("mlp_jet, heat equation in torch", diffusion),
    ]
    return scene.case("heat", flow, candidates, lambda: flow_oracle(flow))


def _odd(scene: Scene, size: Size) -> Case:
    """A width that fills no whole vectors, against the next multiple of 32."""
    n, width, layers = size
    padded = -(-width // 32) * 32
    even, odd = scene.network((n, padded, layers)), scene.network(size)
    candidates = [
        single_pass(f"width {padded}", even),
        Candidate(
            f"width {width}",
            single_pass("", odd).run,
            reference=lambda: flow_oracle(odd),
            flops=arithmetic_floor(odd),
        ),
    ]
    return scene.case("odd", even, candidates, lambda: flow_oracle(even))


_MAKERS: dict[str, Callable[[Scene, Size], Case]] = {
    "ours": _ours,
    "rivals": _rivals,
    "threads": _threads,
    "float64": _float64,
    "heat": _heat,
}


SIZES = ((1024, 64, 4), (4096, 128, 4), (16384, 256, 4))  # points, width, hidden layers
CUDA_SIZES = (*SIZES, (65536, 256, 4))
QUICK_SIZES = ((256, 32, 2), (1024, 64, 4))
PARTS = ("rivals", "threads", "float64", "heat", "odd", "isa")
CPU_PARTS = ("threads", "isa")
OTHER_ISA = "avx2"
TIMINGS = {
    "rivals": Timing(budget_s=30.0, min_rounds=5),  # a round of the largest size takes a minute
    "ours": Timing(budget_s=6.0, min_rounds=7),
    "quick": Timing(budget_s=0.3, min_rounds=3, max_rounds=9),  # a round also takes PEAK_MS
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the benchmark from the command line."""
    options = _parser().parse_args(arguments)
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("--device cuda: expected a CUDA device, torch finds none")
    if options.threads is not None:
        torch.set_num_threads(options.threads)
        os.environ["NPROC"] = str(options.threads)  # JAX reads it when it is imported
    sizes = options.sizes or (QUICK_SIZES if options.quick else CUDA_SIZES if device.type == "cuda" else SIZES)
    parts = [part for part in options.parts if device.type == "cpu" or part not in CPU_PARTS]

    command = command_of(__file__, arguments)
    settings = {"quick": options.quick, "sizes": sizes, "parts": parts}
    timing = TIMINGS["quick" if options.quick else "rivals"]
    report = start_report("step", command, device, torch.float32, timing, **settings)
    report.versions |= rival_versions()
    columns = (SpinnerColumn(), TextColumn("{task.completed}/{task.total} {task.description}"), TimeElapsedColumn())
    with Progress(*columns, transient=True) as progress:
        _run(report, device, sizes, parts, options.quick, progress)
    finish_report(report, device, torch.float32)
    result = asdict(report)
    report.extra["goals"] = [asdict(goal) | {"met": goal.met} for goal in goals(result)]
    _print(result)
    if options.output is not None:
        write_json(report, options.output)
    if options.chart is not None:
        draw_step(result, options.chart)


def _run(
    report: Report, device: torch.device, sizes: Sequence[Size], parts: Sequence[str], quick: bool, progress: Progress
) -> None:
    task = progress.add_task("", total=None)
    title = ""

    def tell(what: str) -> None:
        progress.update(task, description=f"{title}: {what}")

    scene = Scene(device, quick, tell, left_out=[])
    cases = list(case_makers(scene, parts, sizes))
    progress.update(task, total=len(cases) + ("isa" in parts))
    for title, make in cases:
        tell("tensors")
        case = make()
        timing = TIMINGS["quick" if quick else case.part if case.part in TIMINGS else "ours"]
        report.cases.append(measure(case, device, timing, report.limits_before, tell))
        progress.advance(task)
        progress.console.print(f"{title}: {report.cases[-1].candidates[0].time_s.median * 1e3:.3g} ms")
    if "isa" in parts:
        title = OTHER_ISA
        tell("a process of its own")
        report.extra["instruction_sets"] = _other_isa(scene, sizes)
        progress.advance(task)
    report.extra["left_out"] = scene.left_out


def _other_isa(scene: Scene, sizes: Sequence[Size]) -> dict[str, Any]:
    """Ours on another instruction set than the machine's best, against that one's own peak."""
    info = pinn_ext.build_info()
    if info.active_instruction_set != "avx512" or OTHER_ISA not in info.instruction_sets:
        reason = f"left out: {info.active_instruction_set} is what this machine uses anyway"
        scene.left_out.append({"name": OTHER_ISA, "size": None, "reason": reason})
        return {}
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "ours.json"
        named = ["x".join(str(number) for number in size) for size in sizes]
        options = ["--parts", "ours", "--threads", str(torch.get_num_threads()), "--sizes", *named]
        command = [sys.executable, __file__, *options, *(["--quick"] if scene.quick else []), "--out", str(output)]
        environment = os.environ | {"PINN_EXT_ISA": OTHER_ISA}
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        result = read_json(output)
    if result["machine"]["instruction_set"] != OTHER_ISA:
        raise RuntimeError(f"expected a process of {OTHER_ISA}, got {result['machine']['instruction_set']}")
    return {OTHER_ISA: result["cases"]}


def _print(result: dict[str, Any]) -> None:
    machine, limits = result["machine"], result["limits_before"]
    print(
        f"{machine.get('gpu', machine['cpu'])}, {machine['torch_threads']} threads, {machine['instruction_set']}, "
        f"{KERNEL}, float32, load {result['load_before']:.1f} -> {result['load_after']:.1f}, torch matmul "
        f"{limits['matmul_gflop_per_s']:.0f} GFLOP/s"
    )
    if any(case["part"] == "rivals" for case in result["cases"]):
        print_rows(step_header(result), step_rows(result))
    print_rows(GOAL_HEADER, goal_rows(result))
    for item in result["extra"]["left_out"]:
        print(f"{item['name']}{' at ' + str(item['size']) if item['size'] else ''}: {item['reason']}")


def size_of(text: str) -> Size:
    """Of a word like 1024x64x4."""
    try:
        n, width, layers = (int(number) for number in text.split("x"))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected POINTSxWIDTHxLAYERS, got {text}") from error
    return n, width, layers


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two small sizes, few rounds: about 20 s on two cores")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--sizes", nargs="+", type=size_of, metavar="NxWxL", help="points, width, hidden layers")
    parser.add_argument("--parts", nargs="+", choices=("ours", *PARTS), default=PARTS, help="default: all but ours")
    parser.add_argument(
        "--threads", type=int, help="threads of torch, of the kernels and of JAX (default: torch's choice)"
    )
    parser.add_argument("--output", "--out", type=Path, metavar="FILE.json", help="all numbers, machine and versions")
    parser.add_argument("--chart", type=Path, metavar="FILE.png", help="times relative to ours as bars")
    return parser


if __name__ == "__main__":
    main()
