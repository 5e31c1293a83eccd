"""``pinnx baseline`` and ``pinnx compare``: the figures of runs, kept and held against later ones."""

from __future__ import annotations

import argparse
import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinnx.cli.shared import console_of, load_jobs
from pinnx.errors import PinnxError

if TYPE_CHECKING:
    from rich.table import Table

    from pinnx.evals.regression import Comparison
    from pinnx.jobs.judging.recorded_baseline import Baseline

__all__ = ["add_to"]

# Factors beyond are none from which a difference would ever be seen.
MOST_SHOWN = 1e3
REPEATS = 5


def add_to(commands: Any) -> None:
    """Adds both commands."""
    base = commands.add_parser(
        "baseline",
        help="record the figures of runs, to compare later ones with",
        description="Records physics and performance of finished runs, or of new ones that differ in their seeds, with "
        "the settings that later runs must not change by accident: equations, boundaries, gates.",
        epilog="A run with evals.baseline=FILE.json that changes one of these settings is refused, unless "
        "evals.acknowledged names it.",
    )
    base.add_argument(
        "words", nargs="*", metavar="RUN|CONFIG|key=value", help="finished runs; or a preset or file to train"
    )
    base.add_argument("--out", metavar="FILE.json", help="new file for the baseline")
    base.add_argument(
        "--repeats", type=int, metavar="N", help="runs to train, each with a seed of its own (default: 5)"
    )
    base.add_argument("--quiet", action="store_true", help="show nothing but errors")
    base.set_defaults(run=_baseline)
    other = commands.add_parser(
        "compare",
        help="say which figures of runs are better, the same or worse than a baseline",
        description="Compares each figure with a test that knows the spread of the baseline. The exit status is 0 "
        "where none is worse, 1 where one is or a protected setting has changed without --acknowledge, 3 where none is "
        "worse and one cannot be judged.",
        epilog="With runs of several sets of seeds smaller differences are seen; docs/verification.md has the formula.",
    )
    other.add_argument("words", nargs="*", metavar="RUN ... BASELINE", help="folders of runs, then the baseline")
    other.add_argument(
        "--level", type=float, default=0.05, metavar="P", help="probability of a false alarm (default: 0.05)"
    )
    other.add_argument(
        "--acknowledge",
        action="append",
        default=[],
        metavar="NAME",
        help="a protected setting, or section, whose change is wanted",
    )
    other.add_argument("--json", action="store_true", help="print the comparison as JSON and nothing else")
    other.add_argument("--quiet", action="store_true", help="show nothing but errors")
    other.set_defaults(run=_compare)


def _baseline(options: argparse.Namespace) -> int:
    from pinnx.jobs.judging.recorded_baseline import read_runs
    from pinnx.report.formatting import plural

    words = [word for word in options.words if "=" not in word or os.path.exists(word)]
    settings = [word for word in options.words if word not in words]
    if not words or options.out is None:
        missing = "runs, a preset or a configuration" if not words else "--out FILE.json"
        raise PinnxError(f"baseline: expected {missing}, got none (see pinnx baseline --help)")
    if Path(options.out).exists():
        raise PinnxError(f"{options.out}: expected a new file for the baseline, found one; choose another --out")
    console, runs = console_of(options), words
    if not Path(words[0]).is_dir():
        repeats = REPEATS if options.repeats is None else options.repeats
        if len(words) > 1 or repeats < 1:
            raise PinnxError(
                f"baseline: expected one preset or configuration and --repeats of 1 or more, got {' '.join(words)} "
                f"and {repeats}"
            )
        runs = _new_runs(words[0], settings, repeats, options)
    elif settings:
        raise PinnxError(f"baseline: expected no settings, as runs have their own, got {', '.join(settings)}")
    elif options.repeats is not None:
        raise PinnxError("--repeats: expected a preset or a configuration to train, got finished runs")
    found = read_runs(runs)
    found.write(options.out)
    seeds = max((len(values) for values in found.physics.values()), default=0)
    held = f"{plural(found.runs, 'run')} with {plural(seeds, 'set')} of seeds"
    console.print(f"baseline: {options.out}, {held}", soft_wrap=True)
    if seeds < found.runs:
        console.print("note: runs with the same seeds repeat one another, so physics counts one of each set of seeds")
    if seeds < 2:
        console.print(
            "note: one set of seeds has no spread, so pinnx compare cannot judge the physics of one later run"
        )
    return 0


def _new_runs(config: str, settings: list[str], repeats: int, options: argparse.Namespace) -> list[str]:
    """Trains once for each seed, in folders beside the file. Returns the folders."""
    jobs = load_jobs()
    from pinnx.config import load_config

    first, folders = load_config(config, settings).seed, []
    for seed in range(first, first + repeats):
        folders.append(f"{Path(options.out).with_suffix('')}_runs/seed-{seed}")
        given = load_config(config, [*settings, ("seed", seed)])
        jobs.reconstruct(given, folders[-1], console=console_of(options), command=options.command_line)
    return folders


def _compare(options: argparse.Namespace) -> int:
    from pinnx.jobs.judging.recorded_baseline import Baseline, changes, compare_runs, read_runs

    if len(options.words) < 2:
        got = " ".join(options.words) or "none"
        raise PinnxError(f"compare: expected one run or more and a baseline, got {got} (see pinnx compare --help)")
    if not 0 < options.level < 1:
        raise PinnxError(f"--level: expected a probability in (0, 1), got {options.level:g}")
    *folders, path = options.words
    runs, baseline, console = read_runs(folders), Baseline.read(path), console_of(options)
    console.quiet |= options.json
    found = compare_runs(runs, baseline, level=options.level)
    changed = changes(runs.protected, baseline.protected, options.acknowledge)
    others = changes(runs.settings, baseline.settings, ())
    words = {item.word for item in found.values()}
    if options.json:
        figures = {  # JSON has neither NaN nor infinity
            name: {key: value if value == value and value != math.inf else None for key, value in vars(item).items()}
            for name, item in found.items()
        }
        protected = [vars(item) for item in changed]
        settings = [{"name": item.name, "before": item.before, "now": item.now} for item in others]
        print(json.dumps({"figures": figures, "protected": protected, "settings": settings}, indent=1))
    console.print(_table(found, runs, baseline))
    if not found:
        console.print("note: the runs and the baseline have no figure in common, so nothing is compared")
    for item in changed:
        console.print(f"{'acknowledged' if item.acknowledged else 'NOT ACKNOWLEDGED'}: {item}", soft_wrap=True)
    for item in others:
        console.print(f"also different: {item}", soft_wrap=True)
    if runs.device != baseline.device:
        console.print("note: another machine or other versions, so speeds and memory may differ without a change")
    refused = any(not item.acknowledged for item in changed)
    return 1 if refused or "worse" in words else 3 if "not known" in words or not found else 0


def _table(found: dict[str, Comparison], runs: Baseline, baseline: Baseline) -> Table:
    from rich.table import Column, Table

    whole = (Column(name, no_wrap=True) for name in ("figure", "verdict"))
    table = Table(*whole, "baseline", "now", "factor", "seen from", box=None)
    before, now = ({**item.physics, **item.performance} for item in (baseline, runs))
    for name, item in found.items():
        seen = f"{item.seen_from:.3g}" if item.seen_from < MOST_SHOWN else "-"
        table.add_row(name, item.word, _range(before[name]), _range(now[name]), f"{item.factor:.3g}", seen)
    return table


def _range(values: Any) -> str:
    low, high = min(values), max(values)
    return f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
