"""The benchmark of a slow link: a quick run in network namespaces, where they are permitted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import bench_slow_link
import pytest


@pytest.mark.slow
def test_a_quick_run(tmp_path: Path) -> None:
    try:
        with bench_slow_link.linked() as names:
            bench_slow_link.command(
                f"tc -n {names[0]} qdisc replace dev pinnx0 root tbf rate 1mbit burst 4kb latency 1s"
            )
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"network namespaces are not permitted: {error}")
    environment = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
    words = [sys.executable, bench_slow_link.__file__, "--quick", "--output", str(tmp_path / "s.json")]
    subprocess.run(words, env=environment, check=True)
    extra = json.loads((tmp_path / "s.json").read_text())["extra"]
    assert {row["every"] for row in extra["losses"]} == {1, 10, 50}
    (link,) = extra["links"]
    assert all(seconds > 0.0 for seconds in link["step_s"].values())
