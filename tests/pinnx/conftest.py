"""What tests of several rooms share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# So that `import flow_files` works from every folder, under any import mode of pytest.
sys.path.insert(0, str(Path(__file__).resolve().parent / "jobs"))


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are composed but not rendered: for tests of the text."""
    monkeypatch.setattr("pinnx.report.frame.to_pixels", lambda figure, dpi: memoryview(b""))
    monkeypatch.setattr("pinnx.report.frame.to_png", lambda pixels, dpi: b"")
