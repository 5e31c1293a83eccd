"""A run on several ranks: the first one writes its files, the others train with it and then wait for its metrics.

``torchrun --max-restarts`` starts the same command again where a rank has ended: the run then continues from its last
checkpoint, if it is of the same configuration.
"""

from __future__ import annotations

import json
import os
import shutil
from typing import Any

from pinnx.config import Config, dump_config
from pinnx.errors import Interrupted
from pinnx.runs.folder import RunFolder
from pinnx.train.interrupt import StoppedBetweenSteps, sigterm_interrupts
from pinnx.train.ranks import OneProcess
from pinnx.train.trainer import Trainer

__all__ = ["begun_before", "ended_before", "follow"]


def begun_before(config: Config, folder: RunFolder) -> bool:
    """Whether torchrun has started this run before, so that it is to be continued.

    Raises:
        PinnxError: the folder holds a run of another configuration.
    """
    if int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) == 0:
        return False
    if not folder.config.is_file():
        _forget_start(folder)
        return False
    if folder.config.read_text() != dump_config(config):
        folder.require_free()
    return True


def _forget_start(folder: RunFolder) -> None:
    """Removes what a run has written before its configuration: the checkpoint of step 0 and the sensors."""
    saved = sorted(path.name for path in folder.checkpoints.glob("*")) if folder.checkpoints.is_dir() else []
    if all(name == "lock" or name.startswith("step-00000000.") for name in saved):
        shutil.rmtree(folder.checkpoints, ignore_errors=True)
        folder.sensors.unlink(missing_ok=True)


def ended_before(folder: RunFolder) -> dict[str, Any] | None:
    """The metrics of a run that has ended; None where it has not."""
    if not folder.report.exists():
        return None
    metrics: dict[str, Any] = json.loads(folder.metrics.read_text())
    return metrics


def follow(trainer: Trainer, ranks: OneProcess) -> dict[str, Any]:
    """Trains as one of the ranks that write nothing, then waits for the metrics of the first one.

    Raises:
        Interrupted: a signal to one of the ranks stopped the training of all.
    """
    try:
        with sigterm_interrupts():
            trainer.run()
            metrics = ranks.from_first(dict)
            ranks.leave()
            return metrics
    except StoppedBetweenSteps as stop:
        raise Interrupted(f"stopped after step {trainer.step} with the other ranks", int(stop.args[0])) from None
