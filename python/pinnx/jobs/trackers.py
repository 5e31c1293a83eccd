"""Rows of the history for other programs that follow trainings: TensorBoard and MLflow.

Each tracker is found and reached before the run's folder is made, then started, given every row, and ended. One that
fails while a training runs is a warning, and the training continues without it.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pinnx.config import Config
from pinnx.config.loading import dotted
from pinnx.errors import Interrupted, PinnxError
from pinnx.runs.files import read_text, write_text
from pinnx.runs.folder import RunFolder

__all__ = ["MLflow", "TensorBoard", "Tracker", "make_trackers", "tracked"]

# Seconds from one request to a server to the next; numbers are gathered until then.
PAUSE = 1.0
# What a server takes in one request.
MOST_METRICS, MOST_SETTINGS = 1000, 100
# A server that does not answer would hold up the training for minutes by the defaults of MLflow.
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}


class Tracker:
    """A program that follows a training."""

    name: str  # of the program
    errors: tuple[type[Exception], ...] = (OSError,)  # what it raises where it fails

    def __init__(self) -> None:
        self._lost = False

    def start(self, folder: RunFolder, config: Config, step: int) -> None:
        """Begins, or continues after ``step``; the folder is there."""
        raise NotImplementedError

    def row(self, row: Mapping[str, float]) -> None:
        """A row of history.jsonl."""
        raise NotImplementedError

    def finish(self, metrics: Mapping[str, Any]) -> None:
        """The contents of metrics.json, when all files of the run are there."""
        raise NotImplementedError

    def end(self, status: str) -> None:
        """FINISHED, KILLED (by a signal) or FAILED."""
        raise NotImplementedError

    def _ask(self, request: Callable[..., Any], *given: Any, **more: Any) -> Any:
        """What the program answers; None from its first error on, as then nothing more is sent."""
        if self._lost:
            return None
        try:
            return request(*given, **more)
        except self.errors as error:
            self._lost = True
            warnings.warn(f"{self.name}: {_in_short(error)}; the run continues without it", stacklevel=2)
            return None


def make_trackers(names: Sequence[str]) -> list[Tracker]:
    """The trackers of a configuration.

    Raises:
        PinnxError: the package of one is not installed, or its server cannot be reached.
    """
    made: list[Tracker] = []
    for name in names:
        try:
            made.append({"tensorboard": TensorBoard, "mlflow": MLflow}[name]())
        except ImportError:
            remedy = "pip install 'pinn-ext[tracking]', or leave it out of train.track"
            raise PinnxError(f"train.track: expected the package {name}, found none; {remedy}") from None
    return made


@contextmanager
def tracked(trackers: Sequence[Tracker], folder: RunFolder, config: Config, step: int) -> Iterator[None]:
    """Starts the trackers, and ends them with the block."""
    for tracker in trackers:
        tracker.start(folder, config, step)
    status = "FAILED"
    try:
        yield
        status = "FINISHED"
    except Interrupted:
        status = "KILLED"
        raise
    finally:
        for tracker in trackers:
            tracker.end(status)


class TensorBoard(Tracker):
    """Event files in the folder ``tensorboard`` of the run."""

    name = "TensorBoard"

    def __init__(self) -> None:
        super().__init__()
        from torch.utils.tensorboard import SummaryWriter

        self._make = SummaryWriter

    def start(self, folder: RunFolder, config: Config, step: int) -> None:
        # Rows after the step are of a training that was interrupted: they will be written again.
        self._writer = self._ask(self._make, str(folder.tensorboard), purge_step=step + 1 if step else None)

    def row(self, row: Mapping[str, float]) -> None:
        self._add(row, int(row["step"]))

    def finish(self, metrics: Mapping[str, Any]) -> None:
        self._add(_results(metrics), metrics["steps"])

    def end(self, status: str) -> None:
        self._ask(lambda: self._writer.close())

    def _add(self, numbers: Mapping[str, float], step: int) -> None:
        for name, value in _numbers_of(numbers):
            self._ask(lambda name=name, value=value: self._writer.add_scalar(name, value, step))


class MLflow(Tracker):
    """A run of MLflow, at the server and in the experiment that its variables name, else in an experiment pinnx.

    MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME. The run's id stands in mlflow_run.txt, so a resumed run continues it.

    Raises:
        PinnxError: the server cannot be reached.
    """

    name = "MLflow"

    def __init__(self) -> None:
        super().__init__()
        for name, value in PATIENCE.items():
            os.environ.setdefault(name, value)
        import mlflow

        self._entities = mlflow.entities
        self.errors = (mlflow.exceptions.MlflowException, OSError)  # OSError: of requests, when files are sent
        self._waiting: list[Any] = []  # metrics that were not sent yet
        self._sent, self._run = time.monotonic(), ""
        experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME", "pinnx")
        try:
            self._client = mlflow.MlflowClient()
            found = self._client.get_experiment_by_name(experiment)
            self._experiment = found.experiment_id if found else self._client.create_experiment(experiment)
        except self.errors as error:
            where = f"MLflow at {mlflow.get_tracking_uri()}"
            raise PinnxError(f"train.track: {where} cannot be reached: {_in_short(error)}") from None

    def start(self, folder: RunFolder, config: Config, step: int) -> None:
        self._folder = folder
        if folder.mlflow.exists():
            self._run = read_text(folder.mlflow).strip()
            self._ask(self._client.update_run, self._run, status="RUNNING")
            return
        made = self._ask(self._client.create_run, self._experiment, run_name=folder.path.name)
        if made is not None:
            self._run = made.info.run_id
            write_text(folder.mlflow, f"{self._run}\n")
        settings = [self._entities.Param(name, str(value)) for name, value in dotted(config.model_dump(mode="json"))]
        for first in range(0, len(settings), MOST_SETTINGS):
            self._ask(self._client.log_batch, self._run, params=settings[first : first + MOST_SETTINGS])

    def row(self, row: Mapping[str, float]) -> None:
        now, step = int(1000 * time.time()), int(row["step"])
        self._waiting += [self._entities.Metric(name, value, now, step) for name, value in _numbers_of(row)]
        if time.monotonic() - self._sent >= PAUSE:
            self._send()

    def finish(self, metrics: Mapping[str, Any]) -> None:
        self.row({"step": metrics["steps"], **_results(metrics)})
        for file in (self._folder.config, self._folder.metrics, self._folder.report):
            self._ask(self._client.log_artifact, self._run, str(file))

    def end(self, status: str) -> None:
        self._send()
        self._ask(self._client.set_terminated, self._run, status)

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, []
        for first in range(0, len(waiting), MOST_METRICS):
            self._ask(self._client.log_batch, self._run, metrics=waiting[first : first + MOST_METRICS])
        self._sent = time.monotonic()


def _numbers_of(row: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    return ((name, value) for name, value in row.items() if name != "step")


def _results(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Errors and checks of a run that has ended."""
    errors = {f"relative_l2/{name}": value for name, value in (metrics["relative_l2"] or {}).items()}
    errors |= {} if metrics["selection_s"] is None else {"selection_s": metrics["selection_s"]}
    return errors | {f"check/{item['name']}": item["value"] for item in metrics["checks"] if item["value"] is not None}


def _in_short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
