"""Checks of attributions."""

from simplechrome_tk.tl.checks._check_attributions import AttributionChecks, check_attributions
from simplechrome_tk.tl.checks._check_biology import check_biology

__all__ = [
    "AttributionChecks",
    "check_attributions",
    "check_biology",
]
