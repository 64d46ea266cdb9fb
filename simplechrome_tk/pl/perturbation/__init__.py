"""Plots of perturbations."""

from simplechrome_tk.pl.perturbation._dose_response import dose_response
from simplechrome_tk.pl.perturbation._perturb import perturb
from simplechrome_tk.pl.perturbation._saturate import saturate

__all__ = [
    "dose_response",
    "perturb",
    "saturate",
]
