"""Read intervals from text: peaks, BED and bedGraph."""

from __future__ import annotations

import csv
import io
import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import bioframe
import numpy as np
import pandas as pd

from simplechrome_tk.io._text import MAX_BYTES, read_blocks

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Iterator, Sequence

_SIGNALS = {"broadpeak": "fc", "narrowpeak": "fc", "bed": "score", "bedgraph": "value"}
SCHEMAS = {"broadpeak": "broadPeak", "narrowpeak": "narrowPeak", "bed": "bed12", "bedgraph": "bedGraph"}
_COLUMNS = ("chrom", "start", "end", "signal")
_LARGEST = 2**40  # bp; further than any chromosome reaches
_NONE = "{}: no {} at all; check the download, and the step or filter that came before."
_DIRECTIVES = (b"track", b"browser", b"#")


def read_peaks(path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES) -> pd.DataFrame:
    """Read intervals with a signal: ENCODE broadPeak or narrowPeak, BED or bedGraph, plain or gzipped.

    Parameters
    ----------
    path
        The file. Its name says the format: ``*.broadPeak``, ``*.narrowPeak``, ``*.bed``, ``*.bedGraph`` (or ``*.bdg``,
        ``*.bg``), with or without ``.gz``. ``track``, ``browser`` and ``#`` lines at its head are left out.
    max_bytes
        What a gzipped file may hold once unpacked.

    Returns
    -------
    pandas.DataFrame
        One row per interval: ``chrom``, ``start``, ``end`` (bp, 0-based, half-open) and ``signal``: of peaks
        ``signalValue``, the seventh column (mean enrichment over the region); of bedGraph the fourth column; of BED the
        score, the fifth column, or 1 where the file has fewer columns.

    Raises
    ------
    ValueError
        When the format is unknown, the gzip stream is cut short or holds more than ``max_bytes``, the file holds no
        interval, or a row is none.
    """
    path = Path(path)
    kind = format_of(path, SCHEMAS)
    signal = _SIGNALS[kind]
    columns = ["chrom", "start", "end", signal]
    tables = read_columns(path, SCHEMAS[kind], columns, noun="peaks", max_bytes=max_bytes)
    peaks = pd.concat(list(tables), ignore_index=True).rename(columns={signal: "signal"})
    if kind == "bed" and peaks["signal"].isna().all():
        peaks["signal"] = 1.0
    check_peaks(peaks, source=str(path))
    return peaks.astype({"start": np.int64, "end": np.int64})


def read_bed(path: Path, *, max_bytes: int = MAX_BYTES) -> Iterator[pd.DataFrame]:
    """Read a BED or tagAlign file, plain or gzipped, some 16 MB at a time.

    Yields
    ------
    pandas.DataFrame
        ``chrom``, ``start``, ``end`` (bp, 0-based, half-open), ``score`` (NaN where there is none) and ``strand``
        (``+``, ``-`` or ``.``).

    Raises
    ------
    ValueError
        When the gzip stream is cut short or holds more than ``max_bytes``, the file holds no interval, or a row is
        none.
    """
    columns = ["chrom", "start", "end", "score", "strand"]
    for table in read_columns(path, "bed12", columns, noun="reads", max_bytes=max_bytes):
        table["strand"] = table["strand"].fillna(".")
        check_peaks(table.assign(signal=1.0), source=str(path), noun="reads")
        strange = ~table["strand"].isin(["+", "-", "."])
        _refuse(table, strange.to_numpy(), "reads have a strand other than +, - and .", source=str(path))
        _refuse(table, _no_number(table["score"]), "reads have a score that is no number", source=str(path))
        yield table.assign(score=pd.to_numeric(table["score"]).astype(float))


def format_of(path: str | os.PathLike[str], expected: Collection[str]) -> str:
    """Return which of the expected formats (in lower case) the name of a file ends in, ``.gz`` aside."""
    found = Path(path).name.lower().removesuffix(".gz").rpartition(".")[2]
    found = "bedgraph" if found in ("bdg", "bg") else found
    if found not in expected:
        names = {"broadpeak": "broadPeak", "narrowpeak": "narrowPeak", "bedgraph": "bedGraph", "tagalign": "tagAlign"}
        choices = ", ".join(f".{names.get(name, name)}" for name in expected)
        msg = f"{path}: cannot tell the format from the name; expected a name that ends in {choices} (.gz)."
        raise ValueError(msg)
    return found


def check_peaks(peaks: pd.DataFrame, *, source: str, noun: str = "peaks") -> None:
    """Raise ``ValueError`` unless there are rows, each an interval with a finite, non-negative signal.

    Parameters
    ----------
    peaks
        Table with ``chrom``, ``start``, ``end`` and ``signal``.
    source
        What to call the table in the message: a file or a mark.
    noun
        What to call its rows.
    """
    missing = [column for column in _COLUMNS if column not in peaks]
    if missing:
        msg = f"{source}: no column {', '.join(missing)}; found {', '.join(map(str, peaks))}."
        raise ValueError(msg)
    if peaks.empty:
        msg = _NONE.format(source, noun)
        raise ValueError(msg)
    for column in ("start", "end", "signal"):
        if not np.issubdtype(peaks[column].dtype, np.number):
            wrong = _no_number(peaks[column])
            found = f", such as {peaks[column].iloc[int(wrong.argmax())]!r} in row {_row(peaks, wrong)}"
            msg = (
                f"{source}: column {column!r} holds {peaks[column].dtype}{found if wrong.any() else ''}; expected "
                "numbers; is there a header line?"
            )
            raise ValueError(msg)
    for problem, rows in {
        "no chromosome name": peaks["chrom"].isna(),
        "no start or end (is it a header line?)": peaks["start"].isna() | peaks["end"].isna(),
        "a start or end that is no whole number from 0": ~(_is_place(peaks["start"]) & _is_place(peaks["end"])),
        "an end that is not after its start": ~(peaks["end"] > peaks["start"]),
        "a missing or infinite signal": ~np.isfinite(peaks["signal"]),
        "a negative signal": peaks["signal"] < 0,
    }.items():
        _refuse(peaks, rows.to_numpy(), f"{noun} have {problem}", source=source)


def _refuse(peaks: pd.DataFrame, wrong: np.ndarray, problem: str, *, source: str) -> None:
    """Raise when any row is wrong, and name the first."""
    if wrong.any():
        row = " ".join(map(str, peaks.iloc[int(wrong.argmax())]))
        msg = (
            f"{source}: {int(wrong.sum())} of {len(peaks)} {problem}, the first in row {_row(peaks, wrong)} "
            f"({row}). Mend or leave out such rows."
        )
        raise ValueError(msg)


def _is_place(column: pd.Series) -> pd.Series:
    return (column >= 0) & (column < _LARGEST) & (column % 1 == 0)


def _no_number(column: pd.Series) -> np.ndarray:
    return (pd.to_numeric(column, errors="coerce").isna() & column.notna()).to_numpy()


def _row(peaks: pd.DataFrame, wrong: np.ndarray) -> int:
    """Count to the first wrong row from 1; from the head of the file where the table is a later part of it."""
    return int(wrong.argmax()) + 1 + (peaks.index.start if isinstance(peaks.index, pd.RangeIndex) else 0)


def read_columns(
    path: Path, schema: str, columns: Sequence[str], *, noun: str, max_bytes: int
) -> Iterator[pd.DataFrame]:
    """Yield some columns of a table without a header, some 16 MB at a time; those that it does not have are missing.

    Parameters
    ----------
    path
        Tab-separated text, plain or gzipped. Lines for a genome browser at its head are left out.
    schema
        Name of its format in bioframe.
    columns
        Which of its columns to read.
    noun
        What to call its rows.
    max_bytes
        What a gzipped file may hold once unpacked.

    Raises
    ------
    ValueError
        When there is no row, or it is no such text.
    """
    names: list[str] = []
    n_read = 0
    for lines in read_blocks(path, max_bytes=max_bytes):
        if not names:
            lines = list(itertools.dropwhile(_is_head, lines))
            names = bioframe.SCHEMAS[schema][: lines[0].count(b"\t") + 1] if lines else []
        table = _parse(lines, names, [column for column in columns if column in names], source=str(path))
        if len(table):
            table.index = pd.RangeIndex(n_read, n_read + len(table))
            n_read += len(table)
            yield table.reindex(columns=list(columns))
    if not n_read:
        msg = _NONE.format(path, noun)
        raise ValueError(msg)


def _is_head(line: bytes) -> bool:
    return line.startswith(_DIRECTIVES) or not line.strip()


def _parse(lines: list[bytes], names: list[str], present: list[str], *, source: str) -> pd.DataFrame:
    if not lines:
        return pd.DataFrame()
    try:
        return pd.read_csv(
            io.BytesIO(b"\n".join(lines)),
            sep="\t",
            header=None,
            names=names,
            usecols=present,
            dtype={column: str for column in ("chrom", "strand") if column in present},
            quoting=csv.QUOTE_NONE,
            index_col=False,
            low_memory=False,
        )
    except (pd.errors.ParserError, UnicodeDecodeError, OverflowError) as error:
        msg = f"{source}: this is no tab-separated text ({error}). Is it another format under this name?"
        raise ValueError(msg) from error
