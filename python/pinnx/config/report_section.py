"""Settings of the report's pictures."""

from __future__ import annotations

from pinnx.config.kinds import Count, Resolution, Section, setting

__all__ = ["Report"]


class Report(Section):
    """The pictures of report.html."""

    dpi: Resolution = setting(110, "resolution of the pictures", "dots/inch")
    frames: Count = setting(3, "instants that are drawn of an unsteady flow")
