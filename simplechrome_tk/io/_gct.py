"""Read the head of GCT files, as GTEx and the Cancer Cell Line Encyclopedia hand out expression."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

from simplechrome_tk.io._text import opened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_VERSIONS = (b"#1.2", b"#1.3")


class Gct(NamedTuple):
    """What the head of a GCT file says."""

    names: list[str]
    ids: int
    """Which column holds the ids."""
    notes: frozenset[int]
    """Columns that describe genes."""
    n_genes: int


def is_gct(path: Path, max_bytes: int) -> bool:
    """Whether a file, plain or gzipped, begins as GCT 1.2 or 1.3 do."""
    with opened(path, max_bytes) as handle:
        return handle.peek(8).removeprefix(b"\xef\xbb\xbf").startswith(_VERSIONS)


def gct_header(rows: Iterator[tuple[int, list[str]]], *, path: Path) -> Gct:
    """Take the head of a GCT file off its rows.

    Parameters
    ----------
    rows
        Line number and fields of each row after the first line, from which the head is taken.
    path
        What to call the file in the message.

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
    names = header[1][:-1] if len(header[1]) > 1 and not header[1][-1] else header[1]
    n_genes, n_samples, *extra = map(int, sizes)
    # GCT 1.3 describes genes in further columns, and samples in further rows; GTEx puts a row number before the ids.
    n_notes, n_rows = extra or (len(names) - n_samples - 1, 0)
    if n_notes < 0 or len(names) != 1 + n_notes + n_samples:
        msg = f"{path}: line {header[0]} names {len(names)} columns, but line {number} announces {n_samples} samples."
        raise ValueError(msg)
    for _ in itertools.islice(rows, n_rows):
        pass
    lower = [name.strip().lower() for name in names[: 1 + n_notes]]
    ids = lower.index("name") if "name" in lower else 0
    return Gct(names, ids, frozenset(range(1 + n_notes)) - {ids}, n_genes)
