"""Lists of related genes in files: gene sets (GMT), and pairs of genes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from simplechrome_tk.io._text import check_width, column_names, decode, read_blocks, read_rows

if TYPE_CHECKING:
    from pathlib import Path

# Fields of a line before the genes: name of the set, and description.
_BEFORE = 2


def is_gmt(path: Path) -> bool:
    """Whether the name of a file is that of gene sets, plain or gzipped."""
    return path.name.lower().removesuffix(".gz").endswith(".gmt")


def read_gmt(path: Path) -> dict[str, list[str]]:
    """Read gene sets: each line has a name, a description and the genes, separated by tabs.

    Raises
    ------
    ValueError
        When a line has no tab, a name recurs, or the file holds no set.
    """
    sets: dict[str, list[str]] = {}
    number = 0
    for block in read_blocks(path):
        for line in block:
            number += 1
            fields = [field.strip() for field in decode(line, path=path, number=number).split("\t")]
            if not any(fields):
                continue
            if len(fields) < _BEFORE or not fields[0] or fields[0] in sets:
                what = f"the name {fields[0]!r}, as an earlier line" if fields[0] in sets else "no name or no tab"
                msg = f"{path}: line {number} has {what}; expected the name of a set, a description, and genes."
                raise ValueError(msg)
            sets[fields[0]] = [field for field in fields[_BEFORE:] if field]
    if not sets:
        msg = f"{path}: no gene set at all; check the download, or the step that wrote it."
        raise ValueError(msg)
    return sets


def read_pairs(path: Path) -> pd.DataFrame:
    """Read pairs of genes: two columns of ids and an optional weight, as text, with or without a header.

    The first line is a header where its third column is no number. Without a third column it is kept, since its words
    could be ids.
    """
    rows = read_rows(path)
    _, first = next(rows)
    first = column_names(first)
    table = pd.DataFrame([first, *check_width(rows, len(first), path=path)])
    if len(first) > _BEFORE and pd.isna(pd.to_numeric(first[_BEFORE], errors="coerce")) and len(table) > 1:
        table = table.iloc[1:].set_axis(first, axis=1)
    return table.reset_index(drop=True)
