"""Metrics, paired comparison, and comparison models."""

from simplechrome_tk.evaluation._compare import compare
from simplechrome_tk.evaluation._comparison_model import ComparisonModel
from simplechrome_tk.evaluation._evaluate import evaluate
from simplechrome_tk.evaluation._models import (
    MLP,
    AttentiveChrome,
    DeepChrome,
    GradientBoosting,
    LogisticRegression,
    PCAHead,
)
from simplechrome_tk.evaluation._reference_models import NearestReference, ReferenceMean
from simplechrome_tk.evaluation._same_gene import same_gene_mean

__all__ = [
    "MLP",
    "AttentiveChrome",
    "ComparisonModel",
    "DeepChrome",
    "GradientBoosting",
    "LogisticRegression",
    "NearestReference",
    "PCAHead",
    "ReferenceMean",
    "compare",
    "evaluate",
    "same_gene_mean",
]
