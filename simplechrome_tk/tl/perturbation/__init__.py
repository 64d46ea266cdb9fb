"""Predictions for genes with edited marks."""

from simplechrome_tk.tl.perturbation._apply_edits import apply_edits
from simplechrome_tk.tl.perturbation._dose_response import dose_response
from simplechrome_tk.tl.perturbation._edit import Edit
from simplechrome_tk.tl.perturbation._perturb import BeforeAfter, perturb, perturb_with
from simplechrome_tk.tl.perturbation._saturate import saturate

__all__ = [
    "BeforeAfter",
    "Edit",
    "apply_edits",
    "dose_response",
    "perturb",
    "perturb_with",
    "saturate",
]
