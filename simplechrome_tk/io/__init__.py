"""Read files."""

from simplechrome_tk.io._annotation import read_annotation
from simplechrome_tk.io._deepchrome import DEEPCHROME_MARKS, read_deepchrome
from simplechrome_tk.io._deepchrome_write import write_deepchrome
from simplechrome_tk.io._deepdiff import DEEPDIFF_MARKS, read_deepdiff
from simplechrome_tk.io._expression import read_expression
from simplechrome_tk.io._from_tracks import from_tracks
from simplechrome_tk.io._loops import read_loops
from simplechrome_tk.io._peaks import read_peaks

__all__ = [
    "DEEPCHROME_MARKS",
    "DEEPDIFF_MARKS",
    "from_tracks",
    "read_annotation",
    "read_deepchrome",
    "read_deepdiff",
    "read_expression",
    "read_loops",
    "read_peaks",
    "write_deepchrome",
]
