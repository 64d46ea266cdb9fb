"""Plots of the latent space."""

from simplechrome_tk.pl.latent._latent import latent_correlations, latent_dimensions
from simplechrome_tk.pl.latent._latent_quality import latent_quality, mixing, reconstruction
from simplechrome_tk.pl.latent._movement import movement
from simplechrome_tk.pl.latent._place import place
from simplechrome_tk.pl.latent._states import state_changes, states
from simplechrome_tk.pl.latent._traverse import traverse

__all__ = [
    "latent_correlations",
    "latent_dimensions",
    "latent_quality",
    "mixing",
    "movement",
    "place",
    "reconstruction",
    "state_changes",
    "states",
    "traverse",
]
