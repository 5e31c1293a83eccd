"""The main job: from a few velocity measurements to the whole flow.

case       what is known, and where the answer is wanted      configuration -> Case
assembly   the network, the equations, the problem            configuration, Case -> Problem
job        training, files, report; stopping and going on
outputs    fields.h5
baseline   what a linear method makes of the same measurements
metrics    the numbers and checks of metrics.json
"""

from __future__ import annotations

from pinnx.reconstruct.job import reconstruct, resume

__all__ = ["reconstruct", "resume"]
