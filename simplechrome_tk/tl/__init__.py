"""Tools: evaluate and compare predictions, fit baselines, audit labels."""

from simplechrome_tk.tl._audit import LabelAudit, above_as_text, audit_labels, text_label_shares
from simplechrome_tk.tl._baseline import Baseline, fit_baseline, gradient_boosting, logistic_regression
from simplechrome_tk.tl._compare import compare
from simplechrome_tk.tl._evaluate import evaluate

__all__ = [
    "Baseline",
    "LabelAudit",
    "above_as_text",
    "audit_labels",
    "compare",
    "evaluate",
    "fit_baseline",
    "gradient_boosting",
    "logistic_regression",
    "text_label_shares",
]
