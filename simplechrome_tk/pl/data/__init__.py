"""Plots of the data."""

from simplechrome_tk.pl.data._profiles import mark_profiles
from simplechrome_tk.pl.data._qc import qc

__all__ = [
    "mark_profiles",
    "qc",
]
