"""The latent space: maps, states, dimensions and their quality."""

from simplechrome_tk.tl.latent._decode import traverse
from simplechrome_tk.tl.latent._dimensions import disentanglement, latent_dimensions
from simplechrome_tk.tl.latent._embed import embed
from simplechrome_tk.tl.latent._exact_neighbors import ExactNeighbors
from simplechrome_tk.tl.latent._latent_quality import latent_quality
from simplechrome_tk.tl.latent._mixing import mixing
from simplechrome_tk.tl.latent._place import place, placement_agreement
from simplechrome_tk.tl.latent._reconstruction import reconstruction
from simplechrome_tk.tl.latent._states import name_states

__all__ = [
    "ExactNeighbors",
    "disentanglement",
    "embed",
    "latent_dimensions",
    "latent_quality",
    "mixing",
    "name_states",
    "place",
    "placement_agreement",
    "reconstruction",
    "traverse",
]
