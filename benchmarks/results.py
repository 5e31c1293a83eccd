"""What every benchmark writes: one JSON file, and a table on the terminal made of the same numbers.

    {schema, benchmark, command, started, finished, load_before, load_after,
     settings, machine, versions, limits_before, limits_after, cases: [CaseResult of harness.py],
     extra: {what one benchmark alone has to say}}

`limits_before` and `limits_after` are the same measurement at both ends of the run: where they differ much, or where
the load (of all processes, 1 minute) is above what the run itself makes, the machine was not quiet.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from harness import CaseResult, Timing
from machine import Limits, describe_machine, describe_versions, measure_limits
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pinnx.runs.files import atomic_write

SCHEMA = "pinn-ext/benchmark/1"


@dataclass
class Report:
    """The contents of the file, in its order."""

    schema: str
    benchmark: str
    command: str
    started: str
    finished: str
    load_before: float
    load_after: float
    settings: dict[str, Any]
    machine: dict[str, Any]
    versions: dict[str, Any]
    limits_before: Limits
    limits_after: Limits | None
    cases: list[CaseResult]
    extra: dict[str, Any] = field(default_factory=dict)


def start_report(
    benchmark: str, command: str, device: torch.device, dtype: torch.dtype, timing: Timing, **settings: Any
) -> Report:
    """Describes the machine and measures its limits; the cases come next.

    Args:
        benchmark: name of the benchmark, e.g. "kernels".
        command: what was typed, relative to the repository.
        device: of the cases.
        dtype: of the cases.
        timing: how they will be timed.
        settings: whatever else chooses what is run; with ``quick=True`` the limits are measured on small arrays.
    """
    print(f"{benchmark}: measuring the limits of the machine first", file=sys.stderr, flush=True)
    return Report(
        schema=SCHEMA,
        benchmark=benchmark,
        command=command,
        started=_now(),
        finished="",
        load_before=_load(),
        load_after=0.0,
        settings={
            "dtype": str(dtype).removeprefix("torch."),
            "float32_matmul_precision": torch.get_float32_matmul_precision(),
            **asdict(timing),
            **settings,
        },
        machine=describe_machine(device),
        versions=describe_versions(),
        limits_before=measure_limits(device, dtype, settings.get("quick", False)),
        limits_after=None,
        cases=[],
    )


def finish_report(report: Report, device: torch.device, dtype: torch.dtype) -> None:
    """Measures the limits once more and closes the report."""
    report.limits_after = measure_limits(device, dtype, report.settings.get("quick", False))
    report.load_after = _load()
    report.finished = _now()


def write_json(report: Report, path: Path) -> None:
    """Writes the whole file or nothing: a reader never sees half of it."""
    _write(path, asdict(report), allow_nan=False)


def write_runs(
    path: Path, benchmark: str, file: str, arguments: Sequence[str] | None, runs: list[dict[str, Any]], **more: Any
) -> None:
    """Writes the runs of a benchmark that trains, with machine and versions; as a whole, like `write_json`.

    Args:
        path: of the JSON.
        benchmark: its name.
        file: the benchmark's ``__file__``.
        arguments: of the command line; None: those of this process.
        runs: a line for each.
        more: what else the file has.
    """
    head = {"benchmark": benchmark, "command": command_of(file, arguments)}
    place = {"machine": describe_machine(torch.device("cpu")), "versions": describe_versions()}
    _write(path, head | place | more | {"runs": runs}, allow_nan=True)  # a training that failed may have no number


def command_of(file: str, arguments: Sequence[str] | None) -> str:
    """What was typed, relative to the repository; ``arguments`` None: those of this process."""
    return " ".join([f"python benchmarks/{Path(file).name}", *(sys.argv[1:] if arguments is None else arguments)])


def _write(path: Path, contents: dict[str, Any], *, allow_nan: bool) -> None:
    text = json.dumps(contents, indent=1, allow_nan=allow_nan) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as partial:
        partial.write_text(text, encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """What `write_json` has written.

    Raises:
        ValueError: another schema.
    """
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if result.get("schema") != SCHEMA:
        raise ValueError(f"{path}: expected schema {SCHEMA}, got {result.get('schema')}")
    return result


def print_rows(header: Sequence[str], rows: Iterable[Sequence[str]], console: Console | None = None) -> None:
    """A table on the terminal; the first column is text, the others stand to the right."""
    console = console or Console()
    if not console.is_terminal:  # a log file has room
        console = Console(file=console.file, width=200)
    table = Table()
    for index, heading in enumerate(header):
        table.add_column(heading, justify="right" if index else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))  # ".[bench]" is no markup
    console.print(table)


def print_table(report: Report, console: Console | None = None) -> None:
    """One row for each case: the first candidate's numbers, then how much faster it is than each other one."""
    console = console or Console()
    if not console.is_terminal:  # a log file has room
        console = Console(file=console.file, width=200)
    machine, limits = report.machine, report.limits_before
    console.print(
        f"{machine.get('gpu', machine['cpu'])}, {machine['torch_threads']} threads, {machine['instruction_set']}, "
        f"{report.settings['dtype']}, {'cold' if report.settings['cold'] else 'warm'} cache, "
        f"load {report.load_before:.1f} -> {report.load_after:.1f}"
    )
    console.print(
        f"limits: read {limits.read_gb_per_s:.1f}, write {limits.write_gb_per_s:.1f}, copy "
        f"{limits.copy_gb_per_s:.1f}, triad {limits.triad_gb_per_s:.1f} GB/s, torch matmul "
        f"{limits.matmul_gflop_per_s:.0f} GFLOP/s"
    )
    rivals = list(dict.fromkeys(c.name for case in report.cases for c in case.candidates[1:]))
    columns = ("kernel", "part", "size", "time, us", "quartiles", "GB/s", "GFLOP/s", "share of limit")
    print_rows((*columns, *(f"x {rival}" for rival in rivals)), (_row(case, rivals) for case in report.cases), console)


def _row(case: CaseResult, rivals: Sequence[str]) -> tuple[str, ...]:
    ours, *others = case.candidates
    by_name = {other.name: other for other in others}
    return (
        case.kernel,
        case.part,
        " ".join(f"{name}={size}" for name, size in case.size.items()),
        f"{ours.time_s.median * 1e6:,.0f}",
        f"{ours.time_s.q25 * 1e6:,.0f}-{ours.time_s.q75 * 1e6:,.0f}",
        f"{ours.gb_per_s:.1f}" if case.bound == "traffic" else "",
        "" if ours.gflop_per_s is None else f"{ours.gflop_per_s:.1f}",
        "" if ours.share_of_limit is None else f"{100 * ours.share_of_limit:.0f} % {case.bound}",
        *(_ratio(by_name.get(rival)) for rival in rivals),
    )


def _ratio(other: Any) -> str:
    if other is None:
        return ""
    ratio = other.speed_of_first
    return f"{ratio.median:.2f} ({ratio.q25:.2f}-{ratio.q75:.2f})"


def _load() -> float:
    return round(os.getloadavg()[0], 2)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
