"""Plots. Each returns its Axes; none saves or shows."""

from simplechrome_tk.pl.attribution import (
    attribution_shares,
    check_attributions,
    effect_map,
    interactions,
    mark_effects,
)
from simplechrome_tk.pl.contrast import contrast, contrast_browser, contrast_marks
from simplechrome_tk.pl.data import mark_profiles, qc
from simplechrome_tk.pl.evaluation import calibration, compare, history, roc_and_precision_recall
from simplechrome_tk.pl.genes import browser, edited, gene, neighbor_effects
from simplechrome_tk.pl.latent import (
    latent_correlations,
    latent_dimensions,
    latent_quality,
    mixing,
    movement,
    place,
    reconstruction,
    state_changes,
    states,
    traverse,
)
from simplechrome_tk.pl.perturbation import dose_response, perturb, saturate

__all__ = [
    "attribution_shares",
    "browser",
    "calibration",
    "check_attributions",
    "compare",
    "contrast",
    "contrast_browser",
    "contrast_marks",
    "dose_response",
    "edited",
    "effect_map",
    "gene",
    "history",
    "interactions",
    "latent_correlations",
    "latent_dimensions",
    "latent_quality",
    "mark_effects",
    "mark_profiles",
    "mixing",
    "movement",
    "neighbor_effects",
    "perturb",
    "place",
    "qc",
    "reconstruction",
    "roc_and_precision_recall",
    "saturate",
    "state_changes",
    "states",
    "traverse",
]
