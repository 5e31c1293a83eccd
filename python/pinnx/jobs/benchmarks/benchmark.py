"""The benchmark: the lid-driven cavity at Re 100 on three grids, against limits and an earlier report.

    scale    grid        sensors   5,000 epochs   memory   selection
    small    32 x 32     8         10 min         2 GB     5 s
    medium   128 x 128   12        2 h            16 GB    60 s
    large    512 x 512   16        24 h           64 GB    600 s

An epoch is one step with the equations at every cell of the grid. Each scale is a run of ``pinnx reconstruct`` in a
process of its own, so memory is that of the whole command: data, training, checks, report. The reference comes from the
classical solver. Sensors are chosen by pivoted QR from 48 snapshots of a periodic flow on the grid. What is timed is
held against oracles before (`benchmark_oracles.py`).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.signal import resample

from pinnx.config import load_config
from pinnx.data.layout import grid_points
from pinnx.data.snapshots import Snapshots
from pinnx.data.synthetic import periodic_flow
from pinnx.errors import Interrupted, PinnxError
from pinnx.jobs.benchmarks.benchmark_figures import figures_of, judge_report, read_baseline
from pinnx.jobs.benchmarks.benchmark_oracles import check_choice, check_step
from pinnx.jobs.outputs import versions
from pinnx.jobs.reference import make_reference
from pinnx.jobs.trainer_setup import choose_device
from pinnx.runs.files import write_text
from pinnx.runs.folder import RunFolder
from pinnx.runs.history import history_columns
from pinnx.runs.machine import describe_machine
from pinnx.sensors.selection import select_sensors
from pinnx.train.interrupt import sigterm_interrupts

__all__ = ["SCALES", "Scale", "run_benchmark"]

EPOCHS = 1000
# Before the training, and as often after it.
CHOICES = 3
# Of the snapshots of the choice; with the default viscosity so few modes hold the flow that 16 sensors exhaust them.
FLOW = {"resolution": 64, "num_frames": 48, "nu": 0.005, "duration": 6.0}


@dataclass(frozen=True)
class Scale:
    """A size of the benchmark, cells along each side, and its limits: of 5,000 epochs, the process, one choice."""

    size: int
    sensors: int
    quick_epochs: int
    train_s: float
    memory_gib: float
    select_s: float

    @property
    def settings(self) -> list[str]:
        """Overrides of the preset cavity."""
        return [
            f"sensors.count={self.sensors}",
            f"train.collocation_points={self.size**2}",
            "train.points={sampling: grid}",
            "solver={beside: false, polish: false}",
            "report={dpi: 40, frames: 1}",
        ]


SCALES: Mapping[str, Scale] = {
    "small": Scale(32, 8, 50, 600.0, 2.0, 5.0),
    "medium": Scale(128, 12, 40, 7200.0, 16.0, 60.0),
    "large": Scale(512, 16, 10, 86400.0, 64.0, 600.0),
}


def run_benchmark(
    names: Sequence[str],
    output: str | Path,
    *,
    quick: bool = False,
    profile: bool = False,
    baseline: str | Path | None = None,
    say: Callable[[str], None] = lambda text: None,
    command: str = "pinnx.benchmark",
) -> dict[str, Any]:
    """Runs the scales one after the other and writes the report.

    Args:
        names: of the scales, keys of ``SCALES``.
        output: a new .json file. With ``profile`` its name ends those of the traces, such as report-small-profile.json.
        quick: few epochs; the time of 5,000 is that of their steps, and physics is not judged.
        profile: have each run record a few of its steps.
        baseline: an earlier report, of the same epochs, beside which each figure is better, the same, or worse.
        say: called with a sentence on what is being done.
        command: what is recorded as the command.

    Returns:
        The contents of the report; ``within`` says whether all limits were kept, ``worse`` names the figures that are
        worse than in the baseline.

    Raises:
        PinnxError: bad input, or a result that is wrong; nothing was timed of that scale then.
        Interrupted: Ctrl-C or SIGTERM in a run.
    """
    output = Path(output)
    if not names or len(set(names)) != len(names) or not set(names) <= set(SCALES):
        raise PinnxError(f"--scales: expected some of {', '.join(SCALES)}, each once, got {', '.join(names) or 'none'}")
    _require_new(output, names if profile else ())
    earlier = {} if baseline is None else read_baseline(Path(baseline), names, quick)
    flow = periodic_flow(**FLOW)
    device = choose_device("auto")
    found: dict[str, Any] = {"command": command, "quick": quick, "machine": describe_machine(device)}
    found |= {"versions": versions(device), "scales": {}}
    with tempfile.TemporaryDirectory(prefix="pinnx-benchmark-") as temporary:
        for name in names:
            folder = Path(temporary) / name
            folder.mkdir()
            say(f"{name}: {SCALES[name].size} x {SCALES[name].size} cells, {SCALES[name].sensors} sensors")
            found["scales"][name] = _measured(SCALES[name], folder, flow, quick=quick, profile=profile, say=say)
            if profile:
                for path in (RunFolder(folder / "run").trace, RunFolder(folder / "run").profile):
                    shutil.copy(path, _beside(output, name, path.name))
    judge_report(found, earlier)
    write_text(output, json.dumps(found, indent=1, allow_nan=False) + "\n")
    return found


def _measured(
    scale: Scale, folder: Path, flow: Snapshots, *, quick: bool, profile: bool, say: Callable[[str], None]
) -> dict[str, Any]:
    """The figures of one scale, checked before they are timed."""
    reference, epochs = folder / "reference.npz", scale.quick_epochs if quick else EPOCHS
    solved = ["flow.nu=0.01", f"evals.grid={scale.size}", f"data.path={reference}"]
    make_reference(load_config("cavity", solved), reference)
    settings = [*scale.settings, f"train.steps={epochs}"]
    snapshots = on_grid(flow, scale.size)
    errors = {
        "step": check_step(load_config("cavity", [*settings, f"data.path={reference}"])),
        "selection": check_choice(snapshots, scale.sensors),
    }
    say(f"checked: step within {errors['step']:.1e} of the oracle, choice within {errors['selection']:.1e}")
    seconds = _choices(snapshots, scale.sensors)
    say(f"{scale.sensors} of {scale.size**2} places chosen in {min(seconds):.3f} s; {epochs} epochs of training")
    metrics, speeds = _trained(folder / "run", reference, settings, profile=profile, say=say)
    seconds += _choices(snapshots, scale.sensors)
    return {
        "grid": [scale.size, scale.size],
        "num_sensors": scale.sensors,
        "epochs": metrics["steps"],
        "errors_of_oracles": errors,
        "figures": figures_of(asdict(scale), metrics, seconds, speeds, judged=not quick),
        "checks": metrics["checks"],
    }


def _choices(snapshots: Snapshots, count: int) -> list[float]:
    """Seconds of CHOICES choices, each the best of CHOICES: a burst of a neighbour is no time of ours."""
    seconds = []
    for _ in range(CHOICES**2):
        started = time.perf_counter()
        select_sensors(snapshots, count, method="qr")
        seconds.append(time.perf_counter() - started)
    return [min(seconds[number::CHOICES]) for number in range(CHOICES)]


def _trained(
    out: Path, reference: Path, settings: Sequence[str], *, profile: bool, say: Callable[[str], None]
) -> tuple[dict[str, Any], Sequence[float]]:
    """metrics.json of a run, and its steps per second at each logged step.

    The run has a process of its own, whose progress goes to ``say`` line by line.
    """
    arguments = ["reconstruct", "cavity", "--data", str(reference), "--out", str(out), *settings]
    command = [sys.executable, "-m", "pinnx", *arguments, *(["--profile"] if profile else [])]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with sigterm_interrupts(), subprocess.Popen(command, **pipes) as process:
        assert process.stdout is not None
        last = ""
        try:
            for line in process.stdout:
                last = line.strip()
                say(f"  {last}")
        except KeyboardInterrupt:
            process.terminate()
            raise
    if process.returncode in (130, 143):
        raise Interrupted(last, process.returncode - 128)
    if process.returncode:
        raise PinnxError(f"benchmark: expected a run that ends, got status {process.returncode}: {last}")
    run = RunFolder(out)
    return json.loads(run.metrics.read_text()), history_columns(run.history)["steps_per_s"].tolist()


def on_grid(flow: Snapshots, size: int) -> Snapshots:
    """A periodic flow at ``size`` points along each axis, by its Fourier series."""
    assert flow.grid_shape is not None
    values = flow.values.reshape(flow.num_times, *flow.grid_shape, -1)
    values = resample(resample(values, size, axis=1), size, axis=2).reshape(flow.num_times, size**2, -1)
    line = np.linspace(0.0, 2 * np.pi, size, endpoint=False)
    points = grid_points([line, line])
    return replace(flow, points=points, values=values, grid_shape=(size, size), pressure=None, pressure_frames=None)


def _require_new(output: Path, profiled: Sequence[str]) -> None:
    """Looks before minutes are spent: the files are new, and their folder is there."""
    if output.suffix != ".json":
        raise PinnxError(f"--output: expected a file that ends in .json, got {output}")
    for path in (output, *(_beside(output, name, "profile.json") for name in profiled)):
        if os.path.lexists(path):
            raise PinnxError(f"--output: expected a file that does not exist yet, got {path}")
    if not os.access(output.absolute().parent, os.W_OK):
        raise PinnxError(f"--output: expected a file in a folder that can be written, got {output}")


def _beside(output: Path, name: str, file: str) -> Path:
    return output.with_name(f"{output.stem}-{name}-{file}")
