"""Breakage by a network: what a step costs, and what whole solves reach, beside classical solvers.

    python benchmarks/bench_breakage.py [--quick] [--steps 3000] [--seeds 0 ...] [--cases case1 ...] [--threads N]
        [--output FILE.json]

A step is loss and gradients of the balance at all nodes and times. The rival is the same loss in plain torch: the slope
in time by a second autograd pass, the births by a scan of logarithms. Both are held against float64, with the births
from the oracle of `pinn_ext.reference`, before and after they are timed.

Solves are not timed side by side: each network trains alone, and both classical solvers take the same case behind it.
Errors are relative L2 of v f over ln v, the largest of the reported times; goals are those of docs/breakage.md.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import Candidate, Case, Timing, Work, measure, rounding_tolerance
from numpy.typing import NDArray
from results import command_of, finish_report, print_rows, print_table, start_report, write_json
from scipy import optimize
from torch import Tensor

from pinn_ext import reference
from pinnx import run_case
from pinnx.evals import BREAKAGE_CASES, ExactBreakage
from pinnx.physics import BreakageCase, BreakageModel, BreakageTerm, Kinetics
from pinnx.solvers.breakage import ChebyshevGrid, evolve, matrix_gradient

CASES = tuple(BREAKAGE_CASES)
# Name: settings of `run_case`, seconds and factor on the errors that are the goal.
TRAININGS: dict[str, tuple[dict[str, Any], float, float]] = {
    "network": ({}, 15.0, 1.0),
    "adaptive_huber, refined": ({"loss": "adaptive_huber", "refine": True}, 25.0, 2.0),
    "adaptive_epsilon, refined": ({"loss": "adaptive_epsilon", "refine": True}, 25.0, 2.0),
}
ERRORS = {"case1": 1e-3, "case2": 1e-3, "case3": 5e-3, "case4": 5e-3}
DRIFT, KINETICS, NOISE = 1e-4, 0.02, 0.01
QUICK = Timing(budget_s=0.2, min_rounds=3)
Array = NDArray[np.float64]
Births = Callable[[BreakageModel, BreakageTerm, Tensor], Tensor]


def scanned_births(model: BreakageModel, term: BreakageTerm, log_f: Tensor) -> Tensor:
    """Births over f in plain torch, [times, m]: pieces of an exponential times a straight line, added from above."""
    v = term._v
    weight, step = model.rate(term._log_v) / v, v.diff()
    d = log_f.diff(dim=1)
    small = d.abs() < 1e-2
    safe = torch.where(small, torch.ones_like(d), d)
    first = torch.where(small, 1 + d / 2 + d.square() / 6, torch.expm1(safe) / safe)
    second = torch.where(small, 0.5 + d / 3 + d.square() / 8, (torch.exp(safe) * (safe - 1) + 1) / safe.square())
    pieces = log_f[:, :-1] + torch.log(step * (weight[:-1] * first + weight.diff() * second))
    tail = torch.logcumsumexp(pieces.flip(1), 1).flip(1)
    return torch.cat([2 * torch.exp(tail - log_f[:, :-1]), torch.zeros_like(log_f[:, :1])], dim=1)


def exact_births(model: BreakageModel, term: BreakageTerm, log_f: Tensor) -> Tensor:
    """The same by the oracle, each piece by quadrature and no scan."""
    rate = model.rate(term._log_v)
    return -reference.breakage_residual(log_f, (-rate).expand_as(log_f), term._v, rate)


def plain_loss(model: BreakageModel, term: BreakageTerm, x: Tensor, t: Tensor, births: Births) -> Tensor:
    """The column "breakage" of the term in plain torch."""
    x = x.clone().requires_grad_()
    phase = 2 * math.pi * x @ model.frequencies
    h = torch.cat([torch.cos(phase), torch.sin(phase)], dim=1)
    *inner, (weight, bias) = zip(model.network.weights, model.network.biases, strict=True)
    for w, b in inner:
        h = torch.tanh(h @ w.T + b)
    value = (h @ weight.T + bias)[:, 0]
    (slope,) = torch.autograd.grad(value.sum(), x, create_graph=True)
    shape, late = (len(t), -1), t[:, None]
    tau = torch.log1p(late)
    n, n_tau = value.view(shape), slope[:, 0].view(shape) * (2 / math.log1p(model.case.end / model.case.time))
    growth = n + tau * n_tau
    log_f = term._log_start - model.rate(term._log_v) * late + (tau * n) @ term._interpolation
    birth = (1 + late) * births(model, term, log_f)[:, :: term.grid.pieces]
    residual = ((growth - birth) / (1 + birth))[:, : term._judged]
    return residual.square().mean()


def stated(name: str) -> BreakageCase:
    """A case without a delta."""
    exact = BREAKAGE_CASES[name]
    return BreakageCase(exact.kinetics, exact.sizes, exact.times[-1], lambda v: exact.density(v, 0.0))


def step_case(dtype: torch.dtype, *, num_times: int = 16, num_nodes: int = 48, width: int = 64) -> Case:
    """Loss and gradients of case 1, whose log f a float32 resolves everywhere."""
    size = {"num_times": num_times, "num_nodes": num_nodes}
    model = BreakageModel(stated("case1"), width=width, dtype=dtype)
    term = BreakageTerm(model, **size)
    exact = BreakageModel(stated("case1"), width=width, dtype=torch.float64)
    exact.load_state_dict({name: value.double() for name, value in model.state_dict().items()})
    exact_term = BreakageTerm(exact, **size)
    drawn = term.draw(0)
    t = torch.from_numpy(drawn["t"])
    x = exact.inputs_of_grid(t, exact_term._node_inputs)
    weights = torch.tensor([1.0, 0.0], dtype=dtype)

    def gradients(net: BreakageModel, loss: Tensor) -> list[Tensor]:
        found = torch.autograd.grad(loss, list(net.network.parameters()))
        return [loss.detach().reshape(1), torch.cat([g.reshape(-1) for g in found])]

    def ours() -> list[Tensor]:
        return gradients(model, term.loss(model, {"t": t.to(dtype)}, weights).total)

    def plain() -> list[Tensor]:
        return gradients(model, plain_loss(model, term, x.to(dtype), t.to(dtype), scanned_births))

    numbers = sum(p.numel() for p in model.parameters())
    return Case(
        kernel="breakage step",
        part="loss and gradients",
        size={"times": num_times, "nodes": num_nodes, "fine": len(term.grid.fine), "width": width},
        candidates=(Candidate("pinnx", ours), Candidate("plain torch", plain)),
        reference=lambda: gradients(exact, plain_loss(exact, exact_term, x, t, exact_births)),
        # log f falls to -330, whose rounding is that of f.
        tolerance=rounding_tolerance(dtype, summands=num_times * num_nodes, amplification=400.0),
        work=Work(dtype.itemsize * (numbers + 2 * len(x)), dtype.itemsize * numbers),
    )


def solved(case: str, training: str, steps: int, seed: int) -> dict[str, Any]:
    """One network: errors, drift, seconds, and the classical solvers' errors."""
    settings, seconds, factor = TRAININGS[training]
    clock, cpu = time.perf_counter(), time.process_time()
    found = run_case(case, steps, seed=seed, **settings)
    checks = {item.name: item.value for item in found.checks}
    error = max(found.errors.values())
    return {
        "case": case,
        "training": training,
        "seed": seed,
        "steps": steps,
        "error": error,
        "error_goal": factor * ERRORS[case],
        "mass_drift": checks["mass_drift"],
        "train_s": found.timings["train_s"],
        "train_s_goal": seconds,
        "wall_s": time.perf_counter() - clock,
        "cpu_s": time.process_time() - cpu,
        "solvers": {name: max(errors.values()) for name, errors in found.solvers.items()},
    }


def measured_sizes(exact: ExactBreakage, seed: int) -> tuple[Array, Array, Array]:
    """Times, volumes and densities with noise, [k] each; densities below 1e-6 of the largest are left out."""
    largest = 0.9 if exact.delta_at else 4.0
    grid = np.meshgrid(exact.times[1:], np.geomspace(10 * exact.sizes[0], largest, 24))
    t, v = (given.ravel() for given in grid)
    f = exact.density(v, t) * np.exp(NOISE * np.random.default_rng(seed).standard_normal(len(v)))
    kept = f > 1e-6 * f.max()
    return t[kept], v[kept], f[kept]


def adjoint_descent(exact: ExactBreakage, measured: tuple[Array, Array, Array], guess: Kinetics) -> dict[str, float]:
    """s0 and a by L-BFGS with the adjoint of the collocation: its gradient by the rate at every size, in one sweep."""
    t, v, f = measured
    times, row = np.unique(t, return_inverse=True)
    grid = ChebyshevGrid(exact.sizes[0], exact.delta_at or 40.0, num_nodes=96)
    observe, state, sizes = grid.interpolate(np.eye(96), v).T, grid.sample(partial(exact.density, t=0.0)), grid.v
    if exact.delta_at is not None:
        observe, state = np.column_stack([observe, np.zeros(len(v))]), np.append(state, 1.0)
        sizes = np.append(sizes, exact.delta_at)

    def misfit(unknown: Array) -> tuple[float, Array]:
        matrix = grid.matrix(replace(guess, s0=np.exp(unknown[0]), a=unknown[1]), exact.delta_at)
        states = evolve(matrix, state, times)
        predicted = np.maximum((observe * states[row]).sum(1), 1e-12 * f)
        apart = np.log(predicted / f)
        cotangents = np.zeros_like(states)
        np.add.at(cotangents, row, (apart / predicted)[:, None] * observe)
        by_log_rate = (matrix_gradient(matrix, state, times, cotangents) * matrix).sum(0)
        return apart @ apart / 2, np.array([by_log_rate.sum(), by_log_rate @ np.log(sizes)])

    first = np.array([np.log(guess.s0), guess.a])
    found = optimize.minimize(misfit, first, jac=True, method="L-BFGS-B", options={"ftol": 1e-14, "gtol": 1e-9}).x
    return {"s0": float(np.exp(found[0])), "a": float(found[1])}


def kinetics(case: str, steps: int, seed: int) -> dict[str, Any]:
    """s0 and a from densities with 1 % noise, from a guess of twice the rate: network, least squares, adjoint."""
    exact = BREAKAGE_CASES[case]
    measured = measured_sizes(exact, seed)
    guess = {"s0": 2.0, "a": 1.25 * exact.kinetics.a}
    cpu = time.process_time()
    found = run_case(case, steps, seed=seed, learn=["s0", "a"], guess=guess, measured=measured).found
    between = time.process_time()
    descended = adjoint_descent(exact, measured, replace(exact.kinetics, **guess))
    row: dict[str, Any] = {"case": case, "seed": seed, "steps": steps, "cpu_s": between - cpu}
    row["cpu_s of the adjoint"] = time.process_time() - between
    for name in guess:
        true, estimate = getattr(exact.kinetics, name), found[name]["estimate"]
        row[name] = abs(found[name]["value"] / true - 1)
        row[f"{name} by least squares"] = abs(estimate["value"] / true - 1)
        row[f"{name} by the adjoint"] = abs(descended[name] / true - 1)
        row[f"half width of {name}"] = (estimate["high"] - estimate["low"]) / (2 * true)
        row[f"{name} in its interval"] = estimate["low"] < true < estimate["high"]
    return row


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the benchmark from the command line."""
    options = _parser().parse_args(arguments)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    steps, cases = (20, ["case1"]) if options.quick else (options.steps, options.cases or list(CASES))
    timing, device = QUICK if options.quick else Timing(), torch.device("cpu")
    command = command_of(__file__, arguments)
    report = start_report("breakage", command, device, torch.float32, timing, quick=options.quick, steps=steps)
    report.cases.append(measure(step_case(torch.float32), device, timing, report.limits_before))
    seeds = [0] if options.quick else options.seeds
    runs = [solved(case, training, steps, seed) for case in cases for training in TRAININGS for seed in seeds]
    inverse = [kinetics(case, steps, seed) for case in cases for seed in seeds]
    report.extra |= {"solves": runs, "kinetics": inverse}
    finish_report(report, device, torch.float32)
    print_table(report)
    _print(runs, inverse)
    if options.output is not None:
        write_json(report, options.output)


def _print(runs: Sequence[dict[str, Any]], inverse: Sequence[dict[str, Any]]) -> None:
    header = ("case, training, seed", "error", "goal", "drift", "train s", "goal", "CPU s", "Chebyshev", "fixed pivot")
    rows = []
    for run in runs:
        numbers = [run[name] for name in ("error", "error_goal", "mass_drift", "train_s", "train_s_goal", "cpu_s")]
        beside = [run["solvers"][name] for name in ("Chebyshev collocation", "fixed pivot")]
        rows.append((f"{run['case']}, {run['training']}, {run['seed']}", *(f"{x:.2g}" for x in (*numbers, *beside))))
    print_rows(header, rows)
    ways = ("", " by least squares", " by the adjoint")
    names = [*(f"{name}{way}" for name in ("s0", "a") for way in ways), "half width of s0", "half width of a"]
    print_rows(
        (f"kinetics from {NOISE:.0%} noise, goal {KINETICS:.0%}", *names),
        [(f"{row['case']}, {row['seed']}", *(f"{row[name]:.2g}" for name in names)) for row in inverse],
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the step and 20 steps of case 1")
    parser.add_argument("--steps", type=int, default=3000, help="of each training")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of the networks and the noise")
    parser.add_argument("--cases", nargs="+", choices=CASES)
    parser.add_argument("--threads", type=int, help="threads of torch and of the kernels (default: torch's choice)")
    parser.add_argument("--output", type=Path, metavar="FILE.json", help="write all numbers, machine and versions")
    return parser


if __name__ == "__main__":
    main()
