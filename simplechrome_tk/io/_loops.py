"""Read chromatin loops: pairs of anchors, and how often they were found in contact."""

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
_STARTS = ("x1", "start1")  # what a header calls the second column
_COUNTS = ("o", "observed", "count")  # HiCCUPS of 2014; of Juicer since; cooltools
_SCORE = 7  # eighth column of BEDPE
_NO_SCORES = {".", "0"}
_DIRECTIVES = ("#", "track", "browser")
_LARGEST = 2**53  # up to which a float holds every integer


def read_loops(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a list of chromatin loops: of HiCCUPS, Juicer or cooltools, with their header, or BEDPE; plain or gzipped.

    The first six columns are the two anchors. ``track``, ``browser`` and ``#`` lines are left out; a header may stand
    behind ``#``.

    Parameters
    ----------
    path
        The file. Counts are in the column that the header calls ``o``, ``observed`` or ``count``, else they are the
        score of BEDPE, its eighth column. Where there is neither, or the score is ``.`` or 0 throughout, each loop
        counts 1.

    Returns
    -------
    pandas.DataFrame
        One row per loop: ``chrom1``, ``start1``, ``end1``, ``chrom2``, ``start2``, ``end2`` (bp, 0-based, half-open;
        chromosomes by their names in the file) and ``count``, the contacts observed between the anchors.

    Raises
    ------
    ValueError
        When the file is damaged or holds no loop, or when a line is no loop; the message has the number of the line.
    """
    path = Path(path)
    header: list[str] = []
    rows: list[list[str]] = []
    numbers = []
    for number, line in _lines(path):
        names = line.lstrip("#").lower().split()
        if not rows and names[1:2] and names[1] in _STARTS:
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
    """Return the columns of :func:`read_loops` as numbers; raise a ``ValueError`` that names the first row without.

    Parameters
    ----------
    table
        Loops; ``count`` may be missing and is 1 then.
    source
        What to call the table in a message.
    lines
        Line of each row in the file; ``None`` counts rows from 1.
    """
    missing = [name for name in _PLACES if name not in table]
    if missing or not len(table):
        msg = f"{source}: {len(table)} loops, no column {', '.join(missing) or '-'}; expected {', '.join(_PLACES)}."
        raise ValueError(msg)
    loops = pd.DataFrame({name: table[name].to_numpy() for name in _PLACES})
    loops["count"] = table["count"].to_numpy() if "count" in table else 1.0
    named = [loops[name].notna() & (loops[name].astype(str).str.strip() != "") for name in ("chrom1", "chrom2")]
    numbers = {name: _number(loops[name]) for name in (*_PLACES[1:3], *_PLACES[4:6], "count")}
    places = np.stack([numbers[name] for name in numbers if name != "count"])
    for problem, wrong in {
        "an anchor without chromosome": ~(named[0] & named[1]).to_numpy(),
        "a start or end that is no position in bp": ~(
            (places >= 0) & (places < _LARGEST) & (np.floor(places) == places)
        ).all(axis=0),
        "an end that is not after its start": ~((places[1] > places[0]) & (places[3] > places[2])),
        "a count or score that is no number above 0": ~((numbers["count"] > 0) & np.isfinite(numbers["count"])),
    }.items():
        if wrong.any():
            first = int(wrong.argmax())
            where = f"row {first + 1}" if lines is None else f"line {lines[first]}"
            found = " ".join(map(str, loops.iloc[first]))
            msg = (
                f"{source}: {int(wrong.sum())} of {len(loops)} loops have {problem}, the first in {where} ({found}). "
                "Mend or leave out such loops."
            )
            raise ValueError(msg)
    chroms = {name: loops[name].astype(str) for name in ("chrom1", "chrom2")}
    ends = {name: numbers[name].astype(np.int64) for name in numbers if name != "count"}
    return loops.assign(**chroms, **ends, count=numbers["count"])


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    number = 0
    for block in read_blocks(path):
        for line in block:
            number += 1
            yield number, decode(line, path=path, number=number).rstrip()


def _check_width(fields: list[str], width: int, *, path: Path, number: int) -> None:
    if len(fields) != width or width < len(_PLACES):
        expected = f"{width} as in the lines before" if width >= len(_PLACES) else "6 or more: two anchors"
        found = "a header" if number == 1 and fields[1:2] and not fields[1].isdigit() else f"{len(fields)} fields"
        msg = f"{path}: line {number} has {found}, expected {expected}. Is it a list of loops, as HiCCUPS or BEDPE?"
        raise ValueError(msg)


def _counts(header: list[str], rows: list[list[str]]) -> list[str] | float:
    """Return counts as they are written, or 1 where the list has none."""
    column = next((header.index(name) for name in _COUNTS if name in header), None)
    if column is not None:
        return [row[column] for row in rows]
    if len(rows[0]) <= _SCORE or (header and header[_SCORE] != "score"):
        return 1.0
    scores = [row[_SCORE] for row in rows]
    return 1.0 if set(scores) <= _NO_SCORES else scores


def _number(column: pd.Series) -> np.ndarray:
    return pd.to_numeric(column, errors="coerce").to_numpy(float, na_value=np.nan)
