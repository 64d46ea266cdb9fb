"""Read results and data as arrays and tidy tables; nothing here writes."""

from simplechrome_tk.get._effects import mark_effects, region_effects
from simplechrome_tk.get._interactions import interactions
from simplechrome_tk.get._neighbor_effects import neighbor_effects
from simplechrome_tk.get._profiles import mark_profiles
from simplechrome_tk.get._region import region
from simplechrome_tk.get._top_genes import top_genes

__all__ = [
    "interactions",
    "mark_effects",
    "mark_profiles",
    "neighbor_effects",
    "region",
    "region_effects",
    "top_genes",
]
