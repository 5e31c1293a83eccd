"""Baselines of a case: figures of finished runs, and the settings that no later run may change by accident.

protected    the equations (flow.*, train.curriculum), the domain and the boundaries, the gates (limits, red lines,
             corner_radius)
physics      errors and checks of each set of seeds (at the top, of sensors, model, points): runs whose seeds are the
             same repeat one another, so the first of them counts
performance  speed, memory and what else a machine decides, of each run
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pinnx.config import Config, load_config
from pinnx.config.loading import dotted, is_within
from pinnx.config.root import require_flow
from pinnx.errors import PinnxError
from pinnx.evals.gates import GATES
from pinnx.evals.regression import LEVEL, Comparison, compare_figures
from pinnx.runs.files import write_text
from pinnx.runs.folder import RunFolder

__all__ = ["Baseline", "Change", "changes", "compare_runs", "read_runs", "require_acknowledged"]

FORMAT = 1
MORE_IS_BETTER = {"steps_per_s", "convergence_rate", "gpu_utilisation"}
PERFORMANCE = ("steps_per_s", "convergence_rate", "peak_memory_gib", "gpu_utilisation", "selection_s")
PROTECTED = ("problem", "domain", "boundaries", "evals.limits", "train.corner_radius", "train.curriculum")


@dataclass(frozen=True)
class Baseline:
    """What runs are held against."""

    physics: Mapping[str, Sequence[float]]  # figure -> its value for each set of seeds
    performance: Mapping[str, Sequence[float]]  # figure -> its value for each run
    protected: Mapping[str, Any]  # setting -> its value
    settings: Mapping[str, Any]  # all other settings, but for seeds, places of files and what is shown
    runs: int  # number of runs
    device: Mapping[str, Any]  # what they ran on

    @classmethod
    def read(cls, path: str | Path) -> Baseline:
        """Reads the file that ``write`` wrote.

        Raises:
            PinnxError: no such file, or another one.
        """
        try:
            held = json.loads(Path(path).read_text())
            version = held.pop("format")
            if version == FORMAT:
                return cls(**held)
        except OSError as error:
            raise PinnxError(f"{path}: expected a baseline, got: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise PinnxError(f"{path}: expected the file that pinnx baseline writes, got another one") from error
        raise PinnxError(f"{path}: expected a baseline of format {FORMAT}, got {version}; record it again")

    def write(self, path: str | Path) -> None:
        """Writes a file of JSON, which must not be there yet.

        Raises:
            PinnxError: it is there, or cannot be written.
        """
        if Path(path).exists():
            raise PinnxError(f"{path}: expected a new file for the baseline, found one; choose another --out")
        try:
            write_text(Path(path), json.dumps({"format": FORMAT, **vars(self)}, indent=1) + "\n")
        except OSError as error:
            raise PinnxError(f"{path}: could not be written: {error.strerror}") from error


@dataclass(frozen=True)
class Change:
    """A protected setting that is not that of the baseline."""

    name: str
    before: Any
    now: Any
    acknowledged: bool

    def __str__(self) -> str:
        return f"{self.name}: {_shown(self.now)} in place of {_shown(self.before)}"


def read_runs(folders: Sequence[str | Path]) -> Baseline:
    """The figures and settings of finished runs of one case, which differ in seeds alone.

    Raises:
        PinnxError: no finished run there, or settings that differ.
    """
    runs = [_read_run(RunFolder(path)) for path in folders]
    for given, _ in runs:
        require_flow(given, "baseline")
    config, first = runs[0]
    protected, settings = protected_settings(config, first["nu"]), other_settings(config)
    for path, (given, metrics) in zip(folders, runs, strict=True):
        beside = protected_settings(given, metrics["nu"]) | other_settings(given)
        if apart := [name for name, value in (protected | settings).items() if beside.get(name) != value]:
            raise PinnxError(f"{path}: expected the settings of {folders[0]} but for seeds, got another {apart[0]}")
    seeds = {_seeds(given): metrics for given, metrics in reversed(runs)}
    return Baseline(
        physics=_columns([dict(_physics(metrics)) for metrics in seeds.values()]),
        performance=_columns([{name: of[name] for name in PERFORMANCE if of.get(name) is not None} for _, of in runs]),
        protected=protected,
        settings=settings,
        runs=len(runs),
        device=first["versions"],
    )


def compare_runs(runs: Baseline, baseline: Baseline, *, level: float = LEVEL) -> dict[str, Comparison]:
    """Each figure of runs that their baseline has too, by name; ``level`` as for ``compare_figures``."""
    now, before = ({**item.physics, **item.performance} for item in (runs, baseline))
    return compare_figures(now, before, more_is_better=MORE_IS_BETTER, level=level)


def changes(now: Mapping[str, Any], before: Mapping[str, Any], acknowledged: Sequence[str]) -> list[Change]:
    """The protected settings that differ; ``acknowledged`` are names, or sections of them, whose change is wanted.

    Raises:
        PinnxError: a name that no protected setting has.
    """
    names = [*before, *(name for name in now if name not in before)]
    if unknown := [given for given in acknowledged if not any(is_within(name, [given]) for name in names)]:
        raise PinnxError(f"acknowledged: expected protected settings ({', '.join(names)}), got {', '.join(unknown)}")
    return [
        Change(name, before.get(name), now.get(name), is_within(name, acknowledged))
        for name in names
        if before.get(name) != now.get(name)
    ]


def require_acknowledged(config: Config, nu: float) -> list[str]:
    """Holds a configuration against its baseline, evals.baseline. Returns a sentence for each change that is wanted.

    ``nu`` is its viscosity, of the settings or of the data.

    Raises:
        PinnxError: equations, boundaries or gates differ and are not in evals.acknowledged; or no baseline there.
    """
    if config.evals.baseline is None:
        return []
    found = changes(
        protected_settings(config, nu), Baseline.read(config.evals.baseline).protected, config.evals.acknowledged
    )
    if refused := [item for item in found if not item.acknowledged]:
        names = ", ".join(item.name for item in refused)
        raise PinnxError(
            f"{config.evals.baseline}: expected the equations, boundaries and gates of the baseline, got "
            f"{'; '.join(map(str, refused))}; where that is wanted: 'evals.acknowledged=[{names}]'"
        )
    return [f"another setting than in the baseline, as acknowledged: {item}" for item in found]


def protected_settings(config: Config, nu: float) -> dict[str, Any]:
    """Equations, boundaries and gates of a configuration: setting -> value."""
    held = {_typed(name): value for name, value in _flat(config) if is_within(name, PROTECTED)}
    if not config.problem.learn_nu:
        held["flow.nu"] = nu  # also where the settings leave it to the data
    red = {f"evals.limits.{name}.red_line": gate.red for name, gate in GATES.items() if gate.in_runs}
    return held | red


def other_settings(config: Config) -> dict[str, Any]:
    """What else decides the result of a run, but for seeds."""
    shown = ("report.", "train.track", "data.path", "evals.baseline", "evals.acknowledged")
    return {
        name: value
        for name, value in _flat(config)
        if not is_within(name, PROTECTED) and not name.endswith("seed") and not name.startswith(shown)
    }


def _flat(config: Config) -> Iterator[tuple[str, Any]]:
    """Every setting by its dotted name; lists are one value, but for the boundaries, which are numbered."""
    plain = config.model_dump(mode="json")
    return dotted({**plain, "boundaries": {str(i): item for i, item in enumerate(plain["boundaries"])}})


def _seeds(config: Config) -> tuple[tuple[str, Any], ...]:
    """All seeds: each section may have one of its own."""
    return tuple((name, value) for name, value in _flat(config) if name.endswith("seed"))


def _typed(name: str) -> str:
    """A setting as it is typed."""
    return "flow" + name.removeprefix("problem") if name.startswith("problem.") else name


def _read_run(folder: RunFolder) -> tuple[Config, dict[str, Any]]:
    if not folder.config.is_file() or not folder.metrics.is_file():
        raise PinnxError(f"{folder.path}: expected a finished run, found no config.yaml with metrics.json")
    try:
        return load_config(str(folder.config), []), json.loads(folder.metrics.read_text())
    except ValueError as error:
        raise PinnxError(f"{folder.metrics}: expected the numbers of a run, got no JSON; {error}") from error


def _physics(metrics: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Errors and the values of all checks; one that is not finite is infinite."""
    for name, value in (metrics["relative_l2"] or {}).items():
        yield f"relative_l2.{name}", value
    for item in metrics["checks"]:
        if item["name"] in ("reconstruction", "worst_component", "polished_balance"):
            continue  # two are relative_l2, the third is what rounding leaves
        part = f".{item['part']}" if item.get("part") else ""
        yield item["name"] + part, float("inf") if item["value"] is None else abs(item["value"])


def _columns(rows: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """Figure -> its values; figures that each row has."""
    return {name: [row[name] for row in rows] for name in rows[0] if all(name in row for row in rows)}


def _shown(value: Any) -> str:
    return "none" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
