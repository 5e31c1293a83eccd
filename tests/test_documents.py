"""The Python of the documents runs as it stands, top to bottom, in one session."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DOCUMENTS = [
    str(path.relative_to(CHECKOUT))
    for path in (CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md")))
    if path.exists() and BLOCK.search(path.read_text())
]
# What a document says of several ranks runs on them in a test of its own.
ON_RANKS = "torch.distributed.all_reduce"

pytestmark = pytest.mark.skipif(not DOCUMENTS, reason="the tests do not run from a checkout")


def ran(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A script as a file of its own in an empty folder."""
    (folder / "script.py").write_text(script)
    command = [sys.executable, "-W", "error::UserWarning", "script.py"]
    given = {"cwd": folder, "env": {**os.environ, "PINNX_CACHE": str(folder / "cache")}}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, **given)


def write_flow(path: Path) -> None:
    """Snapshots of u, as documents name a file of the reader."""
    with h5py.File(path, "w") as file:
        file["u"] = np.random.default_rng(0).normal(size=(40, 30, 20)).astype(np.float32)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_python_of_a_document_runs(document: str, tmp_path: Path) -> None:
    write_flow(tmp_path / "flow.h5")
    blocks = [block for block in BLOCK.findall((CHECKOUT / document).read_text()) if ON_RANKS not in block]
    assert blocks, document
    run = ran("\n".join(blocks), tmp_path)
    assert run.returncode == 0, run.stderr
    if document == "docs/training.md":
        assert len(re.findall(r"^\S+(?: \(\w+\))?: \S+, limit \S+, \w+$", run.stdout, re.MULTILINE)) == 3, run.stdout
        assert len(list((tmp_path / "growth").glob("step-*"))) == 2


def test_a_block_that_fails_would_show(tmp_path: Path) -> None:
    document = "text\n\n```python\nx = 1\n```\n\n```sh\nfalse\n```\n\n```python\nassert x == 2\n```\n"
    assert BLOCK.findall(document) == ["x = 1\n", "assert x == 2\n"]
    assert "AssertionError" in ran("\n".join(BLOCK.findall(document)), tmp_path).stderr
