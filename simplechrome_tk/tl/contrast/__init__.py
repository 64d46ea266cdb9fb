"""The change between two conditions: predicted, explained, and compared with replicates."""

from simplechrome_tk.tl.contrast._contrast import contrast

__all__ = ["contrast"]
