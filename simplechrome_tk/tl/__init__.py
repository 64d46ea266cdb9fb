"""Tools: evaluate and compare predictions, fit baselines, audit labels."""

from simplechrome_tk.tl._audit import LabelAudit, above_as_text, audit_labels, text_label_shares
from simplechrome_tk.tl._baseline import Baseline, fit_baseline
from simplechrome_tk.tl._baseline_models import (
    attentivechrome,
    deepchrome,
    gradient_boosting,
    logistic_regression,
    mlp,
    pca_head,
)
from simplechrome_tk.tl._compare import compare
from simplechrome_tk.tl._embed import embed
from simplechrome_tk.tl._evaluate import evaluate
from simplechrome_tk.tl._neighbors import ExactNeighbors
from simplechrome_tk.tl._network_baseline import NetworkBaseline

__all__ = [
    "Baseline",
    "ExactNeighbors",
    "LabelAudit",
    "NetworkBaseline",
    "above_as_text",
    "attentivechrome",
    "audit_labels",
    "compare",
    "deepchrome",
    "embed",
    "evaluate",
    "fit_baseline",
    "gradient_boosting",
    "logistic_regression",
    "mlp",
    "pca_head",
    "text_label_shares",
]
