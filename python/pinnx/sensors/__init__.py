"""Where to measure: bases of snapshots, pivoted QR on them, sensor sets, what sensors see and are worth."""

from __future__ import annotations

from pinnx.sensors.approximate import ApproximateQRSelector
from pinnx.sensors.cache import SelectionCache
from pinnx.sensors.channel import channel_wall_weights
from pinnx.sensors.content_key import selection_key
from pinnx.sensors.gappy_pod import GappyPOD, fit_gappy_pod
from pinnx.sensors.pod import PodBasis, pod_basis
from pinnx.sensors.pysensors_optimizer import PySensorsOptimizer
from pinnx.sensors.quality import SelectionQuality, selection_quality
from pinnx.sensors.sampling import add_noise, sample_velocity
from pinnx.sensors.selection import select_sensors
from pinnx.sensors.selector import SensorSelector
from pinnx.sensors.sensor_set import SensorSet
from pinnx.sensors.sparse_matrix import SparseSensorMatrix

__all__ = [
    "ApproximateQRSelector",
    "GappyPOD",
    "PodBasis",
    "PySensorsOptimizer",
    "SelectionCache",
    "SelectionQuality",
    "SensorSelector",
    "SensorSet",
    "SparseSensorMatrix",
    "add_noise",
    "channel_wall_weights",
    "fit_gappy_pod",
    "pod_basis",
    "sample_velocity",
    "select_sensors",
    "selection_key",
    "selection_quality",
]
