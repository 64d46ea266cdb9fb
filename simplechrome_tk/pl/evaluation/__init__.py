"""Plots of training and of predictions."""

from simplechrome_tk.pl.evaluation._calibration import calibration
from simplechrome_tk.pl.evaluation._compare import compare
from simplechrome_tk.pl.evaluation._curves import precision_recall, roc
from simplechrome_tk.pl.evaluation._history import history
from simplechrome_tk.pl.evaluation._metrics import metrics

__all__ = [
    "calibration",
    "compare",
    "history",
    "metrics",
    "precision_recall",
    "roc",
]
