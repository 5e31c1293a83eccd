"""What a run found, as one self-contained HTML file with pictures and tables."""

from __future__ import annotations

from pinnx.report.page import write_report

__all__ = ["write_report"]
