"""Public data, and simulated data with a known truth."""

from simplechrome_tk.datasets._crispr import crispr_pairs
from simplechrome_tk.datasets._example import example
from simplechrome_tk.datasets._example_tracks import example_tracks
from simplechrome_tk.datasets._hic import hic_loops
from simplechrome_tk.datasets._reference import reference_expression
from simplechrome_tk.datasets._roadmap import roadmap
from simplechrome_tk.datasets._simulate import simulate
from simplechrome_tk.datasets._simulate_conditions import simulate_conditions
from simplechrome_tk.io._public import DatasetUnavailableError

__all__ = [
    "DatasetUnavailableError",
    "crispr_pairs",
    "example",
    "example_tracks",
    "hic_loops",
    "reference_expression",
    "roadmap",
    "simulate",
    "simulate_conditions",
]
