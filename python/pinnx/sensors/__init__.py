"""Where to measure: bases of snapshots, pivoted QR on them, sensor sets, what sensors see and are worth."""

from __future__ import annotations

from pinnx.sensors.adapters import ApproximateQRSelector, PySensorsOptimizer
from pinnx.sensors.fit_cache import SelectionCache
from pinnx.sensors.gappy_pod import GappyPOD, fit_gappy_pod
from pinnx.sensors.place_weights import cell_areas, channel_wall_weights
from pinnx.sensors.quality import SelectionQuality, selection_quality
from pinnx.sensors.sampling import add_noise, sample_velocity
from pinnx.sensors.selection import select_sensors
from pinnx.sensors.selector import SensorSelector
from pinnx.sensors.sensor_set import SensorSet
from pinnx.sensors.sparse_matrix import SparseSensorMatrix

__all__ = [
    "ApproximateQRSelector",
    "GappyPOD",
    "PySensorsOptimizer",
    "SelectionCache",
    "SelectionQuality",
    "SensorSelector",
    "SensorSet",
    "SparseSensorMatrix",
    "add_noise",
    "cell_areas",
    "channel_wall_weights",
    "fit_gappy_pod",
    "sample_velocity",
    "select_sensors",
    "selection_quality",
]
