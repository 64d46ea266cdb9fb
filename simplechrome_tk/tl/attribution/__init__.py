"""Attribution: effects of marks and of neighbours on a prediction."""

from simplechrome_tk.tl.attribution._attribute import attribute
from simplechrome_tk.tl.attribution._interactions import interactions

__all__ = [
    "attribute",
    "interactions",
]
