"""Results, data and answers of a model as arrays, tidy tables and small AnnData; nothing here changes an AnnData."""

from simplechrome_tk.core.layout import region
from simplechrome_tk.get._attribution_shares import attribution_shares
from simplechrome_tk.get._contrast import contrast
from simplechrome_tk.get._effects import mark_effects
from simplechrome_tk.get._interactions import interactions
from simplechrome_tk.get._latent import latent_information, nearest_genes, states
from simplechrome_tk.get._mark_profiles import mark_profiles
from simplechrome_tk.get._movement import movement
from simplechrome_tk.get._neighbor_attributions import neighbor_attributions
from simplechrome_tk.get._neighbor_effects import neighbor_effects
from simplechrome_tk.get._neighbors import neighbors
from simplechrome_tk.get._top_genes import top_genes
from simplechrome_tk.tl.attribution._neighborhood import neighborhood
from simplechrome_tk.tl.perturbation._before_after import before_and_after

__all__ = [
    "attribution_shares",
    "before_and_after",
    "contrast",
    "interactions",
    "latent_information",
    "mark_effects",
    "mark_profiles",
    "movement",
    "nearest_genes",
    "neighbor_attributions",
    "neighbor_effects",
    "neighborhood",
    "neighbors",
    "region",
    "states",
    "top_genes",
]
