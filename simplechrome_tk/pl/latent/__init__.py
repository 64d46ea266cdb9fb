"""Plots of the latent space."""

from simplechrome_tk.pl.latent._latent import latent_correlations, latent_dimensions
from simplechrome_tk.pl.latent._latent_quality import latent_quality, mixing, reconstruction
from simplechrome_tk.pl.latent._movement import movement, placement
from simplechrome_tk.pl.latent._states import state_changes, states
from simplechrome_tk.pl.latent._traversal import traversal, traversals

__all__ = [
    "latent_correlations",
    "latent_dimensions",
    "latent_quality",
    "mixing",
    "movement",
    "placement",
    "reconstruction",
    "state_changes",
    "states",
    "traversal",
    "traversals",
]
