"""Tools: attribute, perturb, explore the latent space, evaluate, compare, fit baselines, audit labels."""

from simplechrome_tk.tl._apply_edits import apply_edits
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
from simplechrome_tk.tl._baseline_same_gene import same_gene_baseline
from simplechrome_tk.tl._check_attributions import AttributionChecks, check_attributions
from simplechrome_tk.tl._check_biology import check_biology
from simplechrome_tk.tl._compare import compare
from simplechrome_tk.tl._decode import decode, traverse
from simplechrome_tk.tl._dimensions import disentanglement, latent_dimensions
from simplechrome_tk.tl._dose_response import dose_response
from simplechrome_tk.tl._edit import Edit
from simplechrome_tk.tl._embed import embed
from simplechrome_tk.tl._evaluate import evaluate
from simplechrome_tk.tl._explain import explain
from simplechrome_tk.tl._interactions import interactions
from simplechrome_tk.tl._latent_quality import latent_quality
from simplechrome_tk.tl._mixing import mixing
from simplechrome_tk.tl._neighbors import ExactNeighbors
from simplechrome_tk.tl._network_baseline import NetworkBaseline
from simplechrome_tk.tl._perturb import BeforeAfter, perturb, perturb_with
from simplechrome_tk.tl._place import place, placement_agreement
from simplechrome_tk.tl._reconstruction import reconstruction
from simplechrome_tk.tl._saturate import saturate
from simplechrome_tk.tl._states import name_states

__all__ = [
    "AttributionChecks",
    "Baseline",
    "BeforeAfter",
    "Edit",
    "ExactNeighbors",
    "LabelAudit",
    "NetworkBaseline",
    "above_as_text",
    "apply_edits",
    "attentivechrome",
    "attribute",
    "attribute_neighbors",
    "audit_labels",
    "check_attributions",
    "check_biology",
    "compare",
    "decode",
    "deepchrome",
    "disentanglement",
    "dose_response",
    "embed",
    "evaluate",
    "explain",
    "fit_baseline",
    "gradient_boosting",
    "interactions",
    "latent_dimensions",
    "latent_quality",
    "logistic_regression",
    "mixing",
    "mlp",
    "name_states",
    "pca_head",
    "perturb",
    "perturb_with",
    "place",
    "placement_agreement",
    "reconstruction",
    "same_gene_baseline",
    "saturate",
    "text_label_shares",
    "traverse",
]
