"""Plots. Each returns its Axes; none saves or shows."""

from simplechrome_tk.pl._browser import browser
from simplechrome_tk.pl._calibration import calibration
from simplechrome_tk.pl._check_attributions import check_attributions
from simplechrome_tk.pl._compare import compare
from simplechrome_tk.pl._curves import precision_recall, roc
from simplechrome_tk.pl._dose_response import dose_response
from simplechrome_tk.pl._edited import edited
from simplechrome_tk.pl._effect_map import effect_map
from simplechrome_tk.pl._expression import expression
from simplechrome_tk.pl._gene import gene
from simplechrome_tk.pl._history import history
from simplechrome_tk.pl._interactions import interactions
from simplechrome_tk.pl._latent import latent_correlations, latent_dimensions
from simplechrome_tk.pl._latent_quality import latent_quality, mixing, reconstruction
from simplechrome_tk.pl._mark_effects import mark_effects
from simplechrome_tk.pl._metrics import metrics
from simplechrome_tk.pl._movement import movement, placement
from simplechrome_tk.pl._neighbor_effects import neighbor_effects
from simplechrome_tk.pl._perturb import perturb
from simplechrome_tk.pl._profiles import mark_profiles
from simplechrome_tk.pl._qc import qc
from simplechrome_tk.pl._saturation import saturation
from simplechrome_tk.pl._states import state_changes, states
from simplechrome_tk.pl._traversal import traversal, traversals

__all__ = [
    "browser",
    "calibration",
    "check_attributions",
    "compare",
    "dose_response",
    "edited",
    "effect_map",
    "expression",
    "gene",
    "history",
    "interactions",
    "latent_correlations",
    "latent_dimensions",
    "latent_quality",
    "mark_effects",
    "mark_profiles",
    "metrics",
    "mixing",
    "movement",
    "neighbor_effects",
    "perturb",
    "placement",
    "precision_recall",
    "qc",
    "reconstruction",
    "roc",
    "saturation",
    "state_changes",
    "states",
    "traversal",
    "traversals",
]
