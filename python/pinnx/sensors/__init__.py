"""Where to measure: POD modes of snapshots, pivoted QR on them, sensor sets, what sensors see."""

from __future__ import annotations

from pinnx.sensors.pod import PodBasis, pod_basis
from pinnx.sensors.sampling import add_noise, sample_velocity
from pinnx.sensors.selection import select_sensors
from pinnx.sensors.sensor_set import SensorSet

__all__ = [
    "PodBasis",
    "SensorSet",
    "add_noise",
    "pod_basis",
    "sample_velocity",
    "select_sensors",
]
