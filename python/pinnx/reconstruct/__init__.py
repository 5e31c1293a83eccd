"""The main job: from a few velocity measurements to the whole flow.

case       what is known, and where the answer is wanted      configuration -> Case
assembly   the network, the equations, the problem            configuration, Case -> Problem
job        training, checks, files, report
outputs    fields.h5 and metrics.json
"""

from __future__ import annotations

from pinnx.reconstruct.job import reconstruct, resume

__all__ = ["reconstruct", "resume"]
