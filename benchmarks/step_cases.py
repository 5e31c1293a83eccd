"""The questions of bench_step.py as cases for the harness: ours against the rivals, against itself, and the floor.

Every result is loss and gradients of all weights and biases, held against nested autograd in float64; 1e-5 of each
tensor's largest magnitude is what a candidate may be off. A rival that is further off is reported, not compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import ours
import torch
from fma_peak import fma_peak
from harness import Candidate, Case, Work, WrongResultError, validate
from networks import Network, arithmetic_floor, draw_network, flow_oracle
from rivals import RIVALS, why_absent
from torch import Tensor

__all__ = ["KERNEL", "TOLERANCE", "Scene", "case_makers"]

KERNEL = "navier_stokes step"
TOLERANCE = 1e-5
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
    return scene.case("ours", network, [ours.single_pass("pinn_ext", network)], lambda: flow_oracle(network))


def _rivals(scene: Scene, size: Size) -> Case:
    network = scene.network(size)
    scene.tell("oracle")
    wanted = flow_oracle(network)
    candidates = [
        ours.single_pass("pinn_ext, single pass", network),
        ours.jet_and_residual("pinn_ext.mlp_jet, residual in torch", network),
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
        ours.single_pass(f"{threads} threads", network),
        ours.on_threads(1, ours.single_pass("1 thread", network)),
    ]
    return scene.case("threads", network, candidates, lambda: flow_oracle(network))


def _float64(scene: Scene, size: Size) -> Case:
    network = scene.network(size)
    candidates = [
        ours.single_pass("float64", network, torch.float64),
        ours.single_pass("float32", network),
    ]
    return scene.case("float64", network, candidates, lambda: flow_oracle(network))


def _heat(scene: Scene, size: Size) -> Case:
    """An equation of the user's own behind `mlp_jet`, against the single pass of the equation that is shipped."""
    flow, heat = scene.network(size), scene.network(size, outputs=1)
    candidates = [
        ours.single_pass("navier_stokes_loss", flow),
        ours.heat("mlp_jet, heat equation in torch", heat),
    ]
    return scene.case("heat", flow, candidates, lambda: flow_oracle(flow))


def _odd(scene: Scene, size: Size) -> Case:
    """A width that fills no whole vectors, against the next multiple of 32."""
    n, width, layers = size
    padded = -(-width // 32) * 32
    even, odd = scene.network((n, padded, layers)), scene.network(size)
    candidates = [
        ours.single_pass(f"width {padded}", even),
        Candidate(
            f"width {width}",
            ours.single_pass("", odd).run,
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
