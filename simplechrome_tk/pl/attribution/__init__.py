"""Plots of attributions."""

from simplechrome_tk.pl.attribution._attribution_shares import attribution_shares
from simplechrome_tk.pl.attribution._check_attributions import check_attributions
from simplechrome_tk.pl.attribution._effect_map import effect_map
from simplechrome_tk.pl.attribution._interactions import interactions
from simplechrome_tk.pl.attribution._mark_effects import mark_effects

__all__ = [
    "attribution_shares",
    "check_attributions",
    "effect_map",
    "interactions",
    "mark_effects",
]
