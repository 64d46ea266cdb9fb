"""Plots of training and of predictions."""

from simplechrome_tk.pl.evaluation._calibration import calibration
from simplechrome_tk.pl.evaluation._compare import compare
from simplechrome_tk.pl.evaluation._curves import roc_and_precision_recall
from simplechrome_tk.pl.evaluation._history import history

__all__ = [
    "calibration",
    "compare",
    "history",
    "roc_and_precision_recall",
]
