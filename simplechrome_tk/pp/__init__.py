"""Prepare data: windows, binning, labels, splits, normalisation, neighbours."""

from simplechrome_tk.pp._bin import bin_peaks
from simplechrome_tk.pp._label import label_expression, log_expression
from simplechrome_tk.pp._neighbors import tss_neighbors
from simplechrome_tk.pp._normalize import normalize
from simplechrome_tk.pp._split import (
    TEST_CHROMOSOMES,
    VALID_CHROMOSOMES,
    split_by_chromosome,
    split_deepchrome,
    split_random,
)
from simplechrome_tk.pp._window import BODY_WINDOW, DEFAULT_WINDOWS, TES_WINDOW, TSS_WINDOW, Window

__all__ = [
    "BODY_WINDOW",
    "DEFAULT_WINDOWS",
    "TEST_CHROMOSOMES",
    "TES_WINDOW",
    "TSS_WINDOW",
    "VALID_CHROMOSOMES",
    "Window",
    "bin_peaks",
    "label_expression",
    "log_expression",
    "normalize",
    "split_by_chromosome",
    "split_deepchrome",
    "split_random",
    "tss_neighbors",
]
