"""The text files of DeepChrome and DeepDiff, the published data, and the audit of its labels."""

from simplechrome_tk.deepchrome._audit import above_as_text, audit_labels
from simplechrome_tk.deepchrome._load import load, load_expression, load_scores
from simplechrome_tk.deepchrome._read import read
from simplechrome_tk.deepchrome._read_deepdiff import read_deepdiff
from simplechrome_tk.deepchrome._split import split
from simplechrome_tk.deepchrome._write import write

__all__ = [
    "above_as_text",
    "audit_labels",
    "load",
    "load_expression",
    "load_scores",
    "read",
    "read_deepdiff",
    "split",
    "write",
]
