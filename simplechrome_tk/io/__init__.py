"""Readers of gene annotations, expression, peaks and chromatin loops."""

from simplechrome_tk.io._annotation import read_annotation
from simplechrome_tk.io._expression import read_expression
from simplechrome_tk.io._loops import read_loops
from simplechrome_tk.io._peaks import read_peaks

__all__ = [
    "read_annotation",
    "read_expression",
    "read_loops",
    "read_peaks",
]
