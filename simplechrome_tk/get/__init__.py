"""Read results and data as arrays and tidy tables; nothing here writes."""

from simplechrome_tk.get._latent import clusters, latent_correlations, nearest_genes
from simplechrome_tk.get._movement import movement, state_changes
from simplechrome_tk.get._profiles import mark_profiles
from simplechrome_tk.get._region import region

__all__ = [
    "clusters",
    "latent_correlations",
    "mark_profiles",
    "movement",
    "nearest_genes",
    "region",
    "state_changes",
]
