"""Predictions for genes with edited marks."""

from simplechrome_tk.tl.perturbation._apply_edits import apply_edits
from simplechrome_tk.tl.perturbation._dose_response import dose_response
from simplechrome_tk.tl.perturbation._edit import Edit
from simplechrome_tk.tl.perturbation._perturb import perturb
from simplechrome_tk.tl.perturbation._saturate import saturate

__all__ = [
    "Edit",
    "apply_edits",
    "dose_response",
    "perturb",
    "saturate",
]
