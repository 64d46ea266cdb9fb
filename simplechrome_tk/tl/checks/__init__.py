"""Checks of attributions."""

from simplechrome_tk.tl.checks._check_attributions import check_attributions
from simplechrome_tk.tl.checks._check_biology import check_biology

__all__ = [
    "check_attributions",
    "check_biology",
]
