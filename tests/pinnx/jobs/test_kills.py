"""A run that is killed 30 times at random moments, also while it saves, loses nothing and ends with the same bits."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

KILLS = 30


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bits(tmp_path: Path) -> None:
    seed = int(os.environ.get("PINNX_KILL_SEED") or secrets.randbelow(2**32))
    print(f"PINNX_KILL_SEED={seed}")
    script = Path(__file__).with_name("killed_runs.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), str(seed), str(KILLS)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},  # threads that wait would not be there in a fork
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stderr)
    assert done.returncode == 0
    found = json.loads(done.stdout)
    print(found)
    assert len(found["steps"]) == KILLS
    assert len(set(found["steps"])) >= 5, "at different moments"
    assert found["halves"] >= 1, "also while a file was written"
    assert found["finished"] >= 1
    assert found["careless"] == 1, "the test sees checkpoints that are not written whole"
    assert "step-00000004.safetensors: expected a whole checkpoint" in done.stderr
