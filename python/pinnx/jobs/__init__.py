"""The jobs: from a few velocity measurements to the whole flow, and from snapshots to sensors.

reconstruction   training, files, report; stopping and resuming: the driver of runs of every kind
training         the trainer of a run, which Ctrl-C may stop; run_on_ranks, where several processes share it
run_recorder     history and checkpoints of a run; trackers, TensorBoard and MLflow
outputs          fields.h5, and other formats of it
reference        the job of `pinnx reference`
cases            what is known of a flow, and where the answer is wanted   configuration, files -> Case
flows            the network and the terms of a flow, and its run   configuration, Case -> FlowProblem
breakage         a breakage problem, its run, the solvers beside it, and `run_case` from Python
judging          what is said of a run: metrics.json, checks, estimates of the error, baselines, the guard
placing          the job of `pinnx sensors`
benchmarks       the job of `pinnx benchmark`
"""

from __future__ import annotations

from pinnx.jobs.reconstruction import reconstruct, resume

__all__ = ["reconstruct", "resume"]
