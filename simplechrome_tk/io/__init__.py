"""Read files."""

from simplechrome_tk.io._peaks import read_peaks

__all__ = ["read_peaks"]
