"""Lets the kernel tests import their shared table, ``cases``, under any import mode of pytest."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parent))
pytest.register_assert_rewrite("cases")
