"""The jobs: from a few velocity measurements to the whole flow, and from snapshots to sensors.

load_case        what is known, and where the answer is wanted   configuration -> Case
flow_problem     the network and the terms of a flow             configuration, Case -> FlowProblem
training         the trainer of a run, which Ctrl-C may stop
reconstruction   training, files, report; stopping and resuming
run_guard        what watches the physics of a run while it trains; yellow_lines, what is a warning then and at its end
recorded_baseline  figures of finished runs, and what later runs must not change by accident
trackers         TensorBoard and MLflow
outputs          fields.h5
held_out         the error at sensors that a second, shorter training leaves out
baseline         what a linear method makes of the same measurements
metrics          the numbers and checks of metrics.json
breakage_problem  the network and the terms of a breakage problem; breakage_run its run, breakage_yardstick the solvers,
                  breakage_results what is said of it, breakage_files its fields.h5
run_case         a breakage problem from Python, without a folder
verification     a run, a checkpoint or snapshots, checked anew
sensors          sensors and figures of their choice; its input and output beside it
"""

from __future__ import annotations

from pinnx.jobs.reconstruction import reconstruct, resume

__all__ = ["reconstruct", "resume"]
