"""Chromatin loops: pairs of anchors, and the number of contacts between them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from simplechrome_tk.io._text import decode, read_blocks

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

_PLACES = ("chrom1", "start1", "end1", "chrom2", "start2", "end2")

# Names of the second column in a header.
_STARTS = ("x1", "start1")

# Names of the column of counts: in HiCCUPS of 2014, in Juicer since then, and in cooltools.
_COUNTS = ("o", "observed", "count")

# Place of the score in BEDPE, its eighth column, and scores that mean there is none.
_SCORE = 7
_NO_SCORES = {".", "0"}

_DIRECTIVES = ("#", "track", "browser")

# Positions from here on are refused, in bp: a float holds every smaller integer.
_LARGEST = 2**53


def read_loops(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a list of chromatin loops from HiCCUPS, Juicer or cooltools, or BEDPE; plain or gzipped.

    The first six columns are the two anchors. Lines that begin with ``track``, ``browser`` or ``#`` are left out,
    except a header behind ``#``.

    Parameters
    ----------
    path
        The file. Counts are read from the column ``o``, ``observed`` or ``count`` of the header, else from the score of
        BEDPE, its eighth column. Without both, or where all scores are ``.`` or 0, each loop has the count 1.

    Returns
    -------
    pandas.DataFrame
        One row per loop: ``chrom1``, ``start1``, ``end1``, ``chrom2``, ``start2``, ``end2`` (bp, 0-based, half-open;
        chromosome names as in the file) and ``count``, the number of contacts between the anchors.

    Raises
    ------
    ValueError
        When the file is damaged or holds no loop, or when a line is no loop; the message gives the number of the line.
    """
    path = Path(path)
    header: list[str] = []
    rows: list[list[str]] = []
    numbers = []
    for number, line in _lines(path):
        names = line.lstrip("#").lower().split()
        if not rows and len(names) > 1 and names[1] in _STARTS:
            header = names
        elif line.strip() and not line.startswith(_DIRECTIVES):
            rows.append(line.split("\t") if "\t" in line else line.split())
            numbers.append(number)
            _check_width(rows[-1], len(header or rows[0]), path=path, number=number)
    if not rows:
        msg = f"{path}: no loops at all; check the download, and the step or filter that came before."
        raise ValueError(msg)
    table = pd.DataFrame({name: [row[i] for row in rows] for i, name in enumerate(_PLACES)})
    table["count"] = _counts(header, rows)
    return check_loops(table, source=str(path), lines=numbers)


def check_loops(table: pd.DataFrame, *, source: str, lines: Sequence[int] | None = None) -> pd.DataFrame:
    """Check loops, and return the columns of :func:`read_loops` with their types.

    Parameters
    ----------
    table
        Loops. Without a column ``count``, each has the count 1.
    source
        Name of the table in messages.
    lines
        Number of the line of each row in the file; ``None`` for a table, whose rows are counted from 1.

    Raises
    ------
    ValueError
        When a column is missing, there is no row, or a row is no loop.
    """
    missing = [name for name in _PLACES if name not in table]
    if missing or not len(table):
        msg = f"{source}: {len(table)} loops, no column {', '.join(missing) or '-'}; expected {', '.join(_PLACES)}."
        raise ValueError(msg)
    loops = pd.DataFrame({name: table[name].to_numpy() for name in _PLACES})
    loops["count"] = table["count"].to_numpy() if "count" in table else 1.0
    positions = {name: _to_numbers(loops[name]) for name in ("start1", "end1", "start2", "end2")}
    count = _to_numbers(loops["count"])

    named = [loops[name].notna() & (loops[name].astype(str).str.strip() != "") for name in ("chrom1", "chrom2")]
    valid = [(place >= 0) & (place < _LARGEST) & (np.floor(place) == place) for place in positions.values()]
    ordered = (positions["end1"] > positions["start1"]) & (positions["end2"] > positions["start2"])
    for problem, wrong in {
        "an anchor without chromosome": ~(named[0] & named[1]).to_numpy(),
        "a start or end that is no position in bp": ~np.all(valid, axis=0),
        "an end that is not after its start": ~ordered,
        "a count or score that is no number above 0": ~((count > 0) & np.isfinite(count)),
    }.items():
        if wrong.any():
            first = int(wrong.argmax())
            where = f"row {first + 1}" if lines is None else f"line {lines[first]}"
            found = " ".join(map(str, loops.iloc[first]))
            msg = (
                f"{source}: {int(wrong.sum())} of {len(loops)} loops have {problem}, the first in {where} ({found}). "
                "Correct or leave out such loops."
            )
            raise ValueError(msg)
    chroms = {name: loops[name].astype(str) for name in ("chrom1", "chrom2")}
    ends = {name: place.astype(np.int64) for name, place in positions.items()}
    return loops.assign(**chroms, **ends, count=count)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield number and text of each line."""
    number = 0
    for block in read_blocks(path):
        for line in block:
            number += 1
            yield number, decode(line, path=path, number=number).rstrip()


def _check_width(fields: list[str], width: int, *, path: Path, number: int) -> None:
    if len(fields) != width or width < len(_PLACES):
        expected = f"{width} as in the lines before" if width >= len(_PLACES) else "6 or more: two anchors"
        found = f"{len(fields)} fields"
        if number == 1 and len(fields) > 1 and not fields[1].isdigit():
            found = "a header"
        msg = f"{path}: line {number} has {found}, expected {expected}. Is it a list of loops, as HiCCUPS or BEDPE?"
        raise ValueError(msg)


def _counts(header: list[str], rows: list[list[str]]) -> list[str] | float:
    """Return the counts as they are written, or 1 where the list has none."""
    column = next((header.index(name) for name in _COUNTS if name in header), None)
    if column is not None:
        return [row[column] for row in rows]
    if len(rows[0]) <= _SCORE or (header and header[_SCORE] != "score"):
        return 1.0
    scores = [row[_SCORE] for row in rows]
    return 1.0 if set(scores) <= _NO_SCORES else scores


def _to_numbers(column: pd.Series) -> np.ndarray:
    return pd.to_numeric(column, errors="coerce").to_numpy(float, na_value=np.nan)
