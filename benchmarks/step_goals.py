"""What the step is held to, beside what was measured: rows out of the contents of benchmarks/results/step_*.json.

A goal that a run did not look at is absent; one that is missed is said to be missed. At other widths, and on a GPU,
figures stand without a goal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Goal", "goals"]

# By width; on a CPU, in float32, as all goals are. The larger the network, the less of it is anything but products.
SHARE = {64: 0.75, 128: 0.82, 256: 0.85}
AGAINST_NESTED = {64: 20.0, 128: 11.0, 256: 10.0}
AGAINST_BEST = 3.5
TWO_THREADS = 1.95
FLOAT64 = 0.45
OTHER_ISA_SHARE = 0.75
HEAT = 1.45
ODD = 1.5
OVERHEAD_S = 30e-6
NESTED = "PyTorch eager, nested autograd"

Result = Mapping[str, Any]


@dataclass(frozen=True)
class Goal:
    """One line: ``wanted`` is None where a figure is told for information; ``at_most`` says which way it counts."""

    what: str
    size: str
    measured: float
    unit: str
    wanted: float | None = None
    at_most: bool = False

    @property
    def met(self) -> bool | None:
        """None where nothing was asked for."""
        if self.wanted is None:
            return None
        return self.measured <= self.wanted if self.at_most else self.measured >= self.wanted

    def text(self, value: float) -> str:
        """With its unit."""
        if self.unit == "error":
            return f"{value:.0e}"
        if self.unit == "ratio":
            return f"{value:.4f}"
        if self.unit == "%":
            return f"{100 * value:.0f} %"
        return f"{value * 1e6:.0f} µs" if self.unit == "s" else f"{value:.2f}x"


def goals(result: Result) -> Iterator[Goal]:
    """All goals that the result has figures for."""
    on_cpu = result["machine"]["device"] == "cpu"
    for case in result["cases"]:
        yield from _GOALS_OF[case["part"]](case, on_cpu and case["size"]["width"] in SHARE)
    for isa, cases in result["extra"].get("instruction_sets", {}).items():
        for case in cases:
            share = case["candidates"][0]["share_of_limit"]
            held = case["size"]["width"] in SHARE
            yield Goal(f"share of the peak, {isa}", _size(case), share, "%", OTHER_ISA_SHARE if held else None)
    overhead = result["extra"].get("overhead")
    if overhead:
        size = _size(overhead)
        yield Goal("call beyond its kernel", size, overhead["overhead_s"]["median"], "s", OVERHEAD_S, at_most=True)
        yield Goal("loss and backward(), whole", size, overhead["step_s"]["median"], "s")


def _of_rivals(case: Result, held: bool) -> Iterator[Goal]:
    yield _share(case, held)
    width, size = case["size"]["width"], _size(case)
    rivals = [(c["name"], c["speed_of_first"]["median"]) for c in case["candidates"] if "pinn_ext" not in c["name"]]
    for name, ratio in rivals:
        if name == NESTED:
            yield Goal(f"against {name}", size, ratio, "x", AGAINST_NESTED[width] if held else None)
    if rivals:
        name, ratio = min(rivals, key=lambda rival: rival[1])
        yield Goal(f"against the best rival ({name})", size, ratio, "x", AGAINST_BEST if held else None)
    composed = case["candidates"][1]["speed_of_first"]["median"]
    yield Goal("mlp_jet and residual in torch, time over the single pass", size, composed, "x")


def _of_ours(case: Result, held: bool) -> Iterator[Goal]:
    yield _share(case, held)


def _of_threads(case: Result, held: bool) -> Iterator[Goal]:
    every, one = case["candidates"]
    wanted = TWO_THREADS if held and every["name"] == "2 threads" else None
    yield Goal(f"{every['name']} against one", _size(case), one["speed_of_first"]["median"], "x", wanted)


def _of_float64(case: Result, held: bool) -> Iterator[Goal]:
    _, single = case["candidates"]
    wanted = FLOAT64 if held else None
    yield Goal("speed in float64, of float32's", _size(case), single["speed_of_first"]["median"], "x", wanted)
    if case["bound"] == "peak":  # torch's rate is measured in float32 alone
        yield Goal("share of the peak, float64", _size(case), case["candidates"][0]["share_of_limit"], "%")


def _of_heat(case: Result, held: bool) -> Iterator[Goal]:
    ratio = case["candidates"][1]["speed_of_first"]["median"]
    what = "heat equation in torch, time over the single pass"
    yield Goal(what, _size(case), ratio, "x", HEAT if held else None, at_most=True)


def _of_odd(case: Result, held: bool) -> Iterator[Goal]:
    even, odd = case["candidates"]
    ratio = even["gflop_per_s"] / odd["gflop_per_s"]
    what = f"time per operation, {odd['name']} over {even['name']}"
    yield Goal(what, _size(case), ratio, "x", ODD, at_most=True)


def _share(case: Result, held: bool) -> Goal:
    share = case["candidates"][0]["share_of_limit"]
    wanted = SHARE[case["size"]["width"]] if held else None
    return Goal(f"share of the {_limit(case)}", _size(case), share, "%", wanted)


def _limit(case: Result) -> str:
    return "peak" if case["bound"] == "peak" else "torch matmul"


def _size(case: Result) -> str:
    size = case["size"]
    return f"{size['n']:,} x {size['width']} x {size['layers']}"


_GOALS_OF = {
    "ours": _of_ours,
    "rivals": _of_rivals,
    "threads": _of_threads,
    "float64": _of_float64,
    "heat": _of_heat,
    "odd": _of_odd,
}
