"""Columns of a CSV file of genes by bins, and its header line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import io
    from collections.abc import Sequence

_GENE, _BIN, _LABEL = "geneid", "bin", "label"
_ALIASES = {
    _GENE: {"geneid", "gene", "id", "ensemblid", "genes"},
    _BIN: {"bin", "binid", "bins", "binnumber"},
    _LABEL: {"label", "class", "expr", "expression", "classification", "classifications", "binarylabel"},
}
# Rows that are read to find the column that counts bins.
_COUNTED = 5


class Columns(NamedTuple):
    """The fields of a row.

    Attributes
    ----------
    marks
        Names of the marks.
    n_bins
        Bins of each gene.
    joint
        Whether the first field is ``gene_bin`` and there is no label; otherwise rows are ``gene,bin,marks,label``.
    order
        Positions of gene, bin, marks and label in the file; ``None`` where they come in this order.
    """

    marks: tuple[str, ...]
    n_bins: int
    joint: bool
    order: tuple[int, ...] | None = None

    @property
    def width(self) -> int:
        """Number of fields in a row."""
        return len(self.marks) + (1 if self.joint else 3)

    @property
    def names(self) -> list[str]:
        """Names of the fields, in the order of the file."""
        ours = ["gene_bin", *self.marks] if self.joint else ["geneid", "bin", *self.marks, "label"]
        if self.order is None:
            return ours
        return [ours[self.order.index(at)] for at in range(self.width)]


def check_marks(marks: Sequence[str]) -> tuple[str, ...]:
    """Raise ``ValueError`` unless ``marks`` are names, each given once."""
    if isinstance(marks, str) or not len(marks) or len(set(marks)) < len(marks):
        msg = f"marks={marks!r}; expected the name of each mark's column once, such as ['H3K4me3', 'H3K27me3']."
        raise ValueError(msg)
    return tuple(marks)


def read_header(stream: io.BufferedReader, columns: Columns, *, source: str) -> tuple[Columns, int]:
    """Read the header line where there is one.

    Returns
    -------
    tuple
        The columns, and the number of the next line.

    Raises
    ------
    ValueError
        When a header does not name gene, bin, marks and label once each, or, without one, bins are counted in another
        column than the second.
    """
    if stream.peek(3).startswith(b"\xef\xbb\xbf"):
        stream.read(3)
    start = stream.peek().decode("utf-8", errors="replace")
    lines = [line.split(",") for line in start.split("\n")[:_COUNTED]]
    if len(lines[0]) < 2 or not all(re.match(r"\s*\"?[A-Za-z]", name) for name in lines[0][1:]):
        _check_order(lines, columns, source=source)
        return columns, 1
    if b"\0" in stream.readline():
        msg = f"{source}: the header line holds a NUL byte, which no text does. Download or write the file again."
        raise ValueError(msg)
    return _read_names(lines[0], columns, source=source), 2


def _read_names(header: list[str], columns: Columns, *, source: str) -> Columns:
    """Find the columns that a header line names."""
    found = [_plain_name(name) for name in header]
    keys = ("gene_bin",) if columns.joint else (_GENE, _BIN, _LABEL)
    marks = tuple(name for name in found if name not in keys)
    if set(marks) == set(columns.marks) and len(marks) == len(columns.marks):
        marks = columns.marks
    wanted = ["gene_bin", *marks] if columns.joint else [_GENE, _BIN, *marks, _LABEL]
    missing = [key for key in keys if key not in found]
    twice = sorted({name for name in found if found.count(name) > 1})
    if missing or twice or not marks:
        problem = f"no column {', '.join(missing)}" if missing else f"{', '.join(twice) or 'no mark'} more than once"
        msg = (
            f"{source}: the header line is {','.join(header)}, with {problem}; expected {','.join(columns.names)} in "
            "any order. Name the columns so."
        )
        raise ValueError(msg)
    order = tuple(found.index(name) for name in wanted)
    return columns._replace(marks=marks, order=None if order == tuple(range(len(order))) else order)


def _plain_name(name: str) -> str:
    """Return the name of what a column holds: ``H3K4me3`` for ``H3K4me3 count``, ``bin`` for ``Bin ID``."""
    name = re.sub(r"[\s_-]*counts?$", "", name.strip().strip('"'), flags=re.IGNORECASE)
    bare = re.sub(r"[\s_-]", "", name.lower())
    if bare == "genebin":
        return "gene_bin"
    return next((key for key, names in _ALIASES.items() if bare in names), name)


def _check_order(lines: list[list[str]], columns: Columns, *, source: str) -> None:
    """Raise when another column than the second counts 1, 2, 3, ... as bins do."""
    expected = [str(number) for number in range(1, _COUNTED + 1)]
    counting = [at for at, fields in enumerate(zip(*lines, strict=False), start=1) if list(fields) == expected]
    if counting and 2 not in counting and not columns.joint:
        msg = (
            f"{source}: the bins seem to be in column {counting[0]}, which counts 1, 2, 3; expected the columns "
            f"{','.join(columns.names)}. Reorder them, or add a header line that names them."
        )
        raise ValueError(msg)
