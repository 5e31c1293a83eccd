"""The examples run as a user runs them, and do what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def test_custom_training_loop_learns() -> None:
    """In 60 of its 1,000 steps the error of the velocity falls to less than half."""
    command = [sys.executable, "-W", "error", str(EXAMPLES / "custom_training_loop.py"), "--steps", "60"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr
    errors = [float(e) for e in re.findall(r"error of the velocity (\S+)", run.stdout)]
    assert len(errors) == 11
    assert errors[-1] < 0.5 * errors[0], run.stdout
