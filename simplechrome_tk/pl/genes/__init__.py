"""Plots of single genes."""

from simplechrome_tk.pl.genes._browser import browser
from simplechrome_tk.pl.genes._edited import edited
from simplechrome_tk.pl.genes._gene import gene
from simplechrome_tk.pl.genes._neighbor_effects import neighbor_effects

__all__ = [
    "browser",
    "edited",
    "gene",
    "neighbor_effects",
]
