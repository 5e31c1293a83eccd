"""Flows as data: what comes in, and what can be made up.

    Snapshots           one flow at fixed places and times                       snapshots
    DataMapping         which array of a file is what                            mapping
    read_snapshots      files of arrays: HDF5, netCDF, .mat, .npz, .npy, VTK, Zarr    readers
    read_fields         any other quantity at fixed places                       quantities
    Measurements        what was measured at some places and times               measured_rows
    read_measurements   the same, out of a table in a text file                  measurements
    Columns             which column of the table is what                        measurements
    summary_of          what a file holds, and the YAML to use it                file_summary
    MemoryMappedDataset an array that stays in its file, in blocks              memory_mapped
    StreamedField       random points of a flow that stays in its file           streamed_field
    fetch_cutout        cut-outs of the Johns Hopkins Turbulence Databases         jhtdb
    relative_divergence is a gridded field read with its axes in order?          orientation
    uniform_points      random points that depend on (seed, step, index) alone   collocation
    PointPool           points that follow the residual, by a Refinement         point_pool
    largest_residuals   which of some points to refine at                        point_pool
    periodic_flow       synthetic snapshots of decaying vortices                 synthetic
    solve_vorticity     the pseudo-spectral solver behind it, on a PeriodicGrid  vorticity

Behind the readers: `csv_table` reads tables, `column_units` units; `file_formats`, `extra_formats`, `legacy_vtk` and
`raw_arrays` open files, `array_files` has their arrays, `stored_numbers` makes numbers of what is stored, `units`
brings them to one system, `layout` finds the order of the axes, `part_of_flow` which part is read, `index_sets` reads
sets of points, `stored_frames` leaves fields in their file.
"""

from __future__ import annotations

from pinnx.data.collocation import uniform_points
from pinnx.data.file_summary import summary_of
from pinnx.data.mapping import DataMapping
from pinnx.data.measured_rows import Measurements
from pinnx.data.measurements import Columns, read_measurements
from pinnx.data.memory_mapped import MemoryMappedDataset
from pinnx.data.orientation import check_orientation, relative_divergence
from pinnx.data.point_pool import PointPool, Refinement, largest_residuals
from pinnx.data.readers import read_snapshots
from pinnx.data.snapshots import Snapshots
from pinnx.data.synthetic import periodic_flow
from pinnx.data.vorticity import PeriodicGrid, solve_vorticity

__all__ = [
    "Columns",
    "DataMapping",
    "Measurements",
    "MemoryMappedDataset",
    "PeriodicGrid",
    "PointPool",
    "Refinement",
    "Snapshots",
    "check_orientation",
    "largest_residuals",
    "periodic_flow",
    "read_measurements",
    "read_snapshots",
    "relative_divergence",
    "solve_vorticity",
    "summary_of",
    "uniform_points",
]
