"""Tools: attribute and perturb, evaluate and compare predictions, fit baselines, audit labels."""

from simplechrome_tk.tl._attribute import attribute
from simplechrome_tk.tl._attribute_neighbors import attribute_neighbors
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
from simplechrome_tk.tl._check_attributions import AttributionChecks, check_attributions
from simplechrome_tk.tl._check_biology import check_biology
from simplechrome_tk.tl._compare import compare
from simplechrome_tk.tl._dose_response import dose_response
from simplechrome_tk.tl._edit import Edit
from simplechrome_tk.tl._evaluate import evaluate
from simplechrome_tk.tl._interactions import interactions
from simplechrome_tk.tl._network_baseline import NetworkBaseline
from simplechrome_tk.tl._perturb import BeforeAfter, perturb, perturb_with
from simplechrome_tk.tl._saturate import saturate

__all__ = [
    "AttributionChecks",
    "Baseline",
    "BeforeAfter",
    "Edit",
    "LabelAudit",
    "NetworkBaseline",
    "above_as_text",
    "attentivechrome",
    "attribute",
    "attribute_neighbors",
    "audit_labels",
    "check_attributions",
    "check_biology",
    "compare",
    "deepchrome",
    "dose_response",
    "evaluate",
    "fit_baseline",
    "gradient_boosting",
    "interactions",
    "logistic_regression",
    "mlp",
    "pca_head",
    "perturb",
    "perturb_with",
    "saturate",
    "text_label_shares",
]
