"""Plots of the change between two conditions."""

from simplechrome_tk.pl.contrast._change import contrast
from simplechrome_tk.pl.contrast._contrast_browser import contrast_browser
from simplechrome_tk.pl.contrast._marks import contrast_marks

__all__ = ["contrast", "contrast_browser", "contrast_marks"]
