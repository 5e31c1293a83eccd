"""Verdicts for a reader and for a script: a table, a closing line, an exit status."""

from __future__ import annotations

import math
from collections.abc import Iterable

from rich.table import Table

from pinnx.evals.checks import Check
from pinnx.evals.gates import GATES
from pinnx.report.formatting import number, plural

__all__ = ["GROUPS", "closing_line", "exit_status", "notes", "of_groups", "unchecked", "verdicts_table"]

# What the options of the command ask for.
GROUPS = {
    "conservation": (
        *("conservation", "net_flux", "mass_budget", "momentum_balance", "momentum_budget"),
        *("energy_budget", "energy_growth", "polished_balance"),
    ),
    "boundary": ("boundary_error_max", "neumann_error_max", "section_flux", "periodic_error_max"),
    "pde-residual": ("pde_residual_l2", "viscosity_misfit"),
}
FAILED, NOT_CHECKED = 1, 3  # 2 is bad input
STATUSES = ("passed", "warning", "failed", "not checked")


def of_groups(groups: set[str], checks: Iterable[Check]) -> list[Check]:
    """The checks that these groups ask for; all where there are no groups."""
    names = {name for group in groups for name in GROUPS[group]}
    return [item for item in checks if not groups or item.name in names]


def unchecked(gate: str, reason: str) -> Check:
    """The verdict on what could not be looked at."""
    known = GATES[gate]
    return Check(gate, math.nan, known.limit, known.red * known.limit, known.unit, "not checked", reason)


def exit_status(checks: list[Check]) -> int:
    """0: all passed. 1: one did not. 3: none failed, but one could not be checked. Nothing to check is 1."""
    found = {item.status for item in checks}
    if not checks or found & {"failed", "warning"}:
        return FAILED
    return NOT_CHECKED if "not checked" in found else 0


def closing_line(checks: list[Check]) -> str:
    """How many checks have each status, and by name those that did not pass."""
    parts = []
    for status in STATUSES:
        mine = [item.label for item in checks if item.status == status]
        if mine:
            parts.append(f"{len(mine)} {status}{'' if status == 'passed' else ': ' + ', '.join(mine)}")
    return f"{plural(len(checks), 'check')}: {'; '.join(parts)}."


def notes(checks: list[Check], *, verbose: bool) -> list[str]:
    """A line for each note, with all checks that have it; without ``verbose`` of those alone that did not pass.

    With ``verbose`` also the points, the own error and the worst place of each check.
    """
    names: dict[str, list[str]] = {}
    for item in checks:
        if item.note and (verbose or not item.passed):
            names.setdefault(item.note, []).append(item.label)
    lines = [f"{', '.join(labels)}: {note}" for note, labels in names.items()]
    return lines + [line for item in checks if verbose and (line := _details(item))]


def verdicts_table(checks: list[Check]) -> Table:
    """Each verdict with value, limit and unit; and the value with all points, where some were left out."""
    table = Table(show_edge=False)  # 80 columns are enough then
    table.add_column("check", overflow="fold", min_width=max((len(item.name) for item in checks), default=0))
    whole = any(item.everywhere is not None for item in checks)
    table.add_column("value", justify="right", no_wrap=True)
    if whole:
        table.add_column("all points", justify="right", no_wrap=True)
    for name in ("limit", "verdict"):
        table.add_column(name, no_wrap=True)
    for item in checks:
        value = "" if math.isnan(item.value) else number(item.value)
        everywhere = [] if not whole else ["" if item.everywhere is None else number(item.everywhere)]
        table.add_row(item.label, value, *everywhere, f"{item.limit:g} {item.unit}".rstrip(), item.status)
    return table


def _details(item: Check) -> str:
    parts = [] if item.num_points is None else [f"{item.num_points:,} points"]
    if item.discretisation is not None:
        parts.append(f"the check's own error is {number(item.discretisation)}")
    if item.worst is not None and item.worst_at is not None:
        parts.append(f"largest {number(item.worst)} at ({', '.join(f'{x:.4g}' for x in item.worst_at)})")
    said = [f"{item.label}: {', '.join(parts)}"] if parts else []
    return ". ".join([*said, *([item.why] if item.why else [])])
