"""Heads of GCT files, the format in which GTEx and the Cancer Cell Line Encyclopedia publish expression."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

from simplechrome_tk.io._text import column_names, open_unpacked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# First line of the versions that are read.
_VERSIONS = (b"#1.2", b"#1.3")


class GctHead(NamedTuple):
    """The columns and the number of genes that the head of a GCT file gives."""

    names: list[str]
    ids: int
    """Place of the column of ids."""
    notes: frozenset[int]
    """Places of the columns that describe genes."""
    n_genes: int


def is_gct(path: Path, max_bytes: int) -> bool:
    """Whether a file, plain or gzipped, begins as GCT 1.2 or 1.3 do."""
    with open_unpacked(path, max_bytes) as handle:
        return handle.peek(8).removeprefix(b"\xef\xbb\xbf").startswith(_VERSIONS)


def read_gct_header(rows: Iterator[tuple[int, list[str]]], *, path: Path) -> GctHead:
    """Read the head of a GCT file, and leave ``rows`` at the first gene.

    Parameters
    ----------
    rows
        Line number and fields of each row after the first line.
    path
        Name of the file in messages.

    Raises
    ------
    ValueError
        When the second line does not say how many genes and samples there are, or there is no header.
    """
    number, fields = next(rows)
    sizes = [field.strip() for field in fields if field.strip()]
    header = next(rows, None)
    if not all(size.isdigit() for size in sizes) or len(sizes) not in (2, 4) or header is None:
        shown = " ".join(fields)[:60]
        msg = f"{path}: line {number} holds {shown!r}; expected the numbers of genes and samples, as GCT has."
        raise ValueError(msg)
    names = column_names(header[1])
    n_genes, n_samples, *extra = map(int, sizes)
    # GCT 1.3 describes genes in further columns and samples in further rows. GTEx writes a row number before the ids.
    n_notes, n_rows = extra or (len(names) - n_samples - 1, 0)
    if n_notes < 0 or len(names) != 1 + n_notes + n_samples:
        msg = f"{path}: line {header[0]} names {len(names)} columns, but line {number} announces {n_samples} samples."
        raise ValueError(msg)
    for _ in itertools.islice(rows, n_rows):
        pass
    lower = [name.strip().lower() for name in names[: 1 + n_notes]]
    ids = lower.index("name") if "name" in lower else 0
    return GctHead(names, ids, frozenset(range(1 + n_notes)) - {ids}, n_genes)
