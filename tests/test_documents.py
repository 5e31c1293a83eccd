"""The Python of the documents runs as it stands, top to bottom, in one session."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What a document says of several ranks runs on them in a test of its own.
ON_RANKS = "torch.distributed.all_reduce"

pytestmark = pytest.mark.skipif(not (CHECKOUT / "docs").is_dir(), reason="the tests do not run from a checkout")


def ran(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A script as a file of its own in an empty folder."""
    (folder / "script.py").write_text(script)
    command = [sys.executable, "-W", "error::UserWarning", "script.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize("document", ["README.md", "docs/breakage.md", "docs/kernels.md", "docs/training.md"])
def test_python_of_a_document_runs(document: str, tmp_path: Path) -> None:
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
