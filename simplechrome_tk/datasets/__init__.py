"""Public data, and simulated data with a known truth."""

from simplechrome_tk.datasets._example import example
from simplechrome_tk.datasets._public import DatasetUnavailableError, cache_folder
from simplechrome_tk.datasets._roadmap import ALL_MARKS, CELL_TYPES, CORE_MARKS, roadmap
from simplechrome_tk.datasets._simulate import simulate

__all__ = [
    "ALL_MARKS",
    "CELL_TYPES",
    "CORE_MARKS",
    "DatasetUnavailableError",
    "cache_folder",
    "example",
    "roadmap",
    "simulate",
]
