"""Public data, and simulated data with a known truth."""

from simplechrome_tk.datasets._example import example
from simplechrome_tk.datasets._example_tracks import example_tracks
from simplechrome_tk.datasets._hic import hic_loops
from simplechrome_tk.datasets._roadmap import ALL_MARKS, CELL_TYPES, CORE_MARKS, roadmap
from simplechrome_tk.datasets._simulate import simulate
from simplechrome_tk.io._public import DatasetUnavailableError, cache_folder

__all__ = [
    "ALL_MARKS",
    "CELL_TYPES",
    "CORE_MARKS",
    "DatasetUnavailableError",
    "cache_folder",
    "example",
    "example_tracks",
    "hic_loops",
    "roadmap",
    "simulate",
]
