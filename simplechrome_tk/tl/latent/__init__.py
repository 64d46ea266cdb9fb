"""The latent space: maps, states, dimensions and their quality."""

from simplechrome_tk.tl.latent._embed import embed
from simplechrome_tk.tl.latent._latent_dimensions import latent_dimensions
from simplechrome_tk.tl.latent._latent_quality import latent_quality
from simplechrome_tk.tl.latent._mixing import mixing
from simplechrome_tk.tl.latent._place import place
from simplechrome_tk.tl.latent._reconstruction import reconstruction
from simplechrome_tk.tl.latent._states import name_states
from simplechrome_tk.tl.latent._traverse import traverse

__all__ = [
    "embed",
    "latent_dimensions",
    "latent_quality",
    "mixing",
    "name_states",
    "place",
    "reconstruction",
    "traverse",
]
