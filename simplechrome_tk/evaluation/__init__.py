"""Metrics, paired comparison, and comparison models."""

from simplechrome_tk.evaluation._compare import compare
from simplechrome_tk.evaluation._comparison_model import Baseline, fit_baseline
from simplechrome_tk.evaluation._evaluate import evaluate
from simplechrome_tk.evaluation._models import (
    attentivechrome,
    deepchrome,
    gradient_boosting,
    logistic_regression,
    mlp,
    pca_head,
)
from simplechrome_tk.evaluation._network_model import NetworkBaseline
from simplechrome_tk.evaluation._same_gene import same_gene_baseline

__all__ = [
    "Baseline",
    "NetworkBaseline",
    "attentivechrome",
    "compare",
    "deepchrome",
    "evaluate",
    "fit_baseline",
    "gradient_boosting",
    "logistic_regression",
    "mlp",
    "pca_head",
    "same_gene_baseline",
]
