"""What a run writes while it trains: the history and the checkpoints.

A disk that is full for a while ends no training: what could not be written is a warning, rows of the history are kept
and written later, and the next checkpoint is tried at its step.
"""

from __future__ import annotations

import json
import math
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from pinnx.config import Config
from pinnx.evals.checks import Check
from pinnx.jobs.judging.yellow_lines import Stagnation
from pinnx.runs.files import write_text
from pinnx.runs.folder import RunFolder
from pinnx.runs.history import Convergence, append_row, flush_rows, read_rows, rewind
from pinnx.runs.machine import gpu_utilisation, memory_now, peak_memory_gib
from pinnx.train.checkpoint import save_checkpoint
from pinnx.train.checkpoint_folder import CheckpointFolder
from pinnx.train.hooks import Hook, LoggedStep

__all__ = ["RunRecorder", "Stopwatch"]

# Looks at the physics in a training: each takes some 20 ms.
CHECKS = 20


class Stopwatch:
    """Time since the job began, earlier parts of a resumed run included.

    It stands in the checkpoint beside the parts of the trainer, which go back to an earlier step where one was not
    finite; time does not.
    """

    def __init__(self) -> None:
        self._started, self._earlier = time.perf_counter(), 0.0

    @property
    def seconds(self) -> float:
        """All parts together."""
        return self._earlier + time.perf_counter() - self._started

    def state_dict(self) -> dict[str, Any]:
        """The time so far."""
        return {"wall_s": self.seconds}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Adds the time of earlier parts."""
        self._earlier = float(state["wall_s"])


class RunRecorder(Hook):
    """Writes history.jsonl and the checkpoints of a run.

    The history has the numbers that are ``found`` as they are then, and CHECKS times the finite values of the checks
    of the ``physics``. ``note`` takes a sentence where the losses have stopped falling.

    Attributes:
        saved_step: of the last checkpoint that was written; None before.
        watchers: called with each row of the history.
    """

    def __init__(
        self,
        folder: RunFolder,
        checkpoints: CheckpointFolder,
        watch: Stopwatch,
        found: Callable[[], Mapping[str, float]],
        physics: Callable[[], list[Check]],
        config: Config,
        note: Callable[[str], None],
    ) -> None:
        self._folder, self._checkpoints, self._watch, self._found = folder, checkpoints, watch, found
        self._physics, self._config, self._steps, self._note = physics, config, config.train.steps, note
        self._convergence: Convergence | None = None  # of the rows that are there, once one is added, as is
        self._stagnation = Stagnation(config)
        self._logged = 0  # the last step that was
        self._loss: float | None = None
        self._rows: list[dict[str, float]] = []  # not written yet
        self.saved_step: int | None = None
        self.watchers: list[Callable[[Mapping[str, float]], None]] = []

    def on_log(self, logged: LoggedStep) -> None:
        self._loss = math.inf if logged.easier else logged.comparable
        row = {**logged.as_row(), **memory_now(), **gpu_utilisation(), **self._found()}
        row |= {"peak_memory_gib": peak_memory_gib(), "epochs_per_hour": 3600.0 * logged.steps_per_s}
        row |= self._watched(row)
        self._rows.append(row)
        for show in self.watchers:
            show(row)
        try:
            while self._rows:
                append_row(self._folder.history, self._rows[0])
                del self._rows[0]
        except OSError as error:
            if len(self._rows) == 1:  # the first of those that wait
                self._warn(self._folder.history, f"written later from step {logged.step} on", error)

    def _watched(self, row: Mapping[str, float]) -> dict[str, float]:
        """How fast the losses fall, and the physics where another of CHECKS parts of the steps has ended."""
        if self._convergence is None:
            earlier = [*read_rows(self._folder.history, interrupted=True), *self._rows]
            self._convergence, self._stagnation = Convergence(earlier), Stagnation(self._config, earlier)
            self._logged = int(earlier[-1]["step"]) if earlier else 0
        self._convergence.add(row)
        if said := self._stagnation.add(row):
            self._note(said)
        part, before = (step * CHECKS // self._steps for step in (int(row["step"]), self._logged))
        self._logged = int(row["step"])
        rate = self._convergence.rate
        checks = self._physics() if part > before else []
        values = {f"physics/{item.name}": item.value for item in checks if math.isfinite(item.value)}
        return ({} if rate is None else {"convergence_rate": rate}) | values

    def on_return(self, step: int) -> None:
        self._convergence = None
        self._rows = [row for row in self._rows if row["step"] <= step]
        try:
            rewind(self._folder.history, step)
        except OSError as error:
            self._warn(self._folder.history, f"rows after step {step} could not be removed", error)

    def on_checkpoint(self, state: dict[str, Any]) -> None:
        try:
            self.save(state)
        except OSError as error:
            last = "there is none" if self.saved_step is None else f"the last one is of step {self.saved_step}"
            self._warn(self._folder.checkpoints, f"step {state['clock']['step']} was not saved, {last}", error)

    def on_incident(self, incident: dict[str, Any], states: Mapping[str, dict[str, Any]]) -> None:
        folder, name = self._folder.incidents, f"{incident['number']:02d}-step-{incident['step']:08d}"
        try:
            folder.mkdir(exist_ok=True)
            write_text(folder / f"{name}.json", json.dumps(incident, indent=1) + "\n")
            for word, state in states.items():
                save_checkpoint(folder / f"{name}-{word}.safetensors", state)
        except OSError as error:
            self._warn(folder, f"the incident at step {incident['step']} was not saved", error)

    def save(self, state: Mapping[str, Any]) -> None:
        """Writes a checkpoint.

        Raises:
            OSError: it cannot be written.
        """
        flush_rows(self._folder.history)
        self._checkpoints.save({**state, "stopwatch": self._watch.state_dict()}, self._loss)
        self.saved_step = int(state["clock"]["step"])

    def _warn(self, path: object, what: str, error: OSError) -> None:
        warnings.warn(f"{path}: {what}: {error.strerror or error}; the run continues", stacklevel=4)
