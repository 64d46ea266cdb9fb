"""Read intervals from text: peaks, BED and bedGraph."""

from __future__ import annotations

import csv
import io
import itertools
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from simplechrome_tk.io._kind import CALLED, PEAKS, Found, kind_of, report_kind
from simplechrome_tk.io._text import MAX_BYTES, read_blocks

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

    from simplechrome_tk.io._columns import TrackKind

logger = logging.getLogger(__name__)

INTERVAL = {"chrom": 1, "start": 2, "end": 3}
"""Columns of every table of intervals, counted from 1."""

_SIGNAL = {"narrowPeak": 7, "broadPeak": 7, "gappedPeak": 13, "SEACR": 4, "bedGraph": 4, "bed": 5}
_COLUMNS = ("chrom", "start", "end", "signal")
_LARGEST = 2**40  # bp; further than any chromosome reaches
_NONE = "{}: no {} at all; check the download, and the step or filter that came before."
_DIRECTIVES = (b"track", b"browser", b"#")


def read_peaks(path: str | os.PathLike[str], *, kind: str | None = None, max_bytes: int = MAX_BYTES) -> pd.DataFrame:
    """Read intervals with a signal: ENCODE's peaks, those of SEACR, BED or bedGraph, plain or gzipped.

    Parameters
    ----------
    path
        The file. Its content says what it is, whatever its name: narrowPeak, broadPeak and gappedPeak by their columns,
        also where they are called ``*.bed.gz``; SEACR by the region in its sixth column; bedGraph by its name, or by
        numbers in the fourth and last column. Fields are separated by tabs, or by spaces where there is no tab.
        ``track``, ``browser`` and ``#`` lines at its head are left out.
    kind
        What the file is, where its content and name do not say it, or say it wrongly: ``"narrowPeak"``,
        ``"broadPeak"``, ``"gappedPeak"``, ``"SEACR"``, ``"bedGraph"``, ``"bed"`` or ``"bed3"``.
    max_bytes
        What a gzipped file may hold once unpacked.

    Returns
    -------
    pandas.DataFrame
        One row per interval: ``chrom``, ``start``, ``end`` (bp, 0-based, half-open) and ``signal``: of narrowPeak and
        broadPeak ``signalValue``, the seventh column (mean enrichment over the region), of gappedPeak the thirteenth;
        of SEACR the total signal divided by the length, so that the total is kept; of bedGraph the fourth column; of
        ``"bed"`` the score, the fifth column, or 1 where all scores are ``.`` or 0, or there is none; of ``"bed3"`` 1.

    Raises
    ------
    ValueError
        When content and name leave the kind open or say that these are no peaks (reads, pairs, genes, binary files),
        all signals of called peaks are 0, rows of a bedGraph overlap, the gzip stream is cut short or holds more than
        ``max_bytes``, the file holds no interval, or a row is none.

    Notes
    -----
    What was recognised is logged at level INFO; a fourth column of a ``.bed`` that is taken for signal, and scores that
    are 0 throughout, as warnings.
    """
    path = Path(path)
    found = kind_of(path, kind, expected=PEAKS)
    report_kind(path, found)
    if found.content.level == "leaning" and found.kind == "bedGraph" and not found.why.endswith("name"):
        logger.warning("%s: column 4 holds numbers and is read as signal; if they are names, kind='bed3'.", path)
    signal = {"signal": _SIGNAL[found.kind]} if found.kind in _SIGNAL else {"name": 4}
    peaks = pd.concat(list(read_columns(path, INTERVAL | signal, noun="peaks", max_bytes=max_bytes)), ignore_index=True)
    if found.kind in ("bed", "bed3"):
        peaks = _with_presence(peaks, found, path)
    elif peaks["signal"].isna().all():
        msg = (
            f"{path}: no signal in column {_SIGNAL[found.kind]}, where {found.kind} ({found.why}) has it. If it is of "
            "another kind, say which: kind='bed' for signal in column 5, kind='bed3' for signal 1 on each interval "
            "(kinds={mark: ...} of several tracks)."
        )
        raise ValueError(msg)
    check_peaks(peaks, source=str(path))
    peaks = peaks.astype({"start": np.int64, "end": np.int64, "signal": float})
    if found.kind == "SEACR":
        peaks["signal"] /= peaks["end"] - peaks["start"]
    if found.kind == "bedGraph":
        _check_overlap(peaks, path)
    _check_zero(peaks, found, path)
    return peaks


def _with_presence(peaks: pd.DataFrame, found: Found, path: Path) -> pd.DataFrame:
    """Give each interval the signal 1 where a BED file has no scores."""
    column = peaks["signal"] if found.kind == "bed" else peaks.pop("name")
    absent = column.isna() | (column.astype(str) == ".")
    if found.kind == "bed3":
        if not found.given and not absent.all() and not _no_number(column[~absent]).any():
            msg = (
                f"{path}: column 4 holds numbers further down than its first rows. Say what it is: kind='bedGraph' for "
                "signal in column 4, kind='bed3' for signal 1 on each interval (kinds={mark: ...} of several tracks)."
            )
            raise ValueError(msg)
        return peaks.assign(signal=1.0)
    if absent.all():
        return peaks.assign(signal=1.0)
    if not found.given and pd.api.types.is_numeric_dtype(column) and (column == 0).all():
        logger.warning(
            "%s: all %d scores, column 5, are 0, which in BED says that there are none; each interval has the signal "
            "1. kind='bed3' says so without this warning, kind='bed' keeps the 0.",
            path,
            len(peaks),
        )
        return peaks.assign(signal=1.0)
    return peaks


def _check_zero(peaks: pd.DataFrame, found: Found, path: Path) -> None:
    """Say that a file holds no signal: it would else become a mark of zeros without a word."""
    if (peaks["signal"] > 0).any():
        return
    found_zero = f"{path}: all {len(peaks)} signals, column {_SIGNAL[found.kind]} of {found.kind}, are 0"
    if found.kind in CALLED and not found.given:
        msg = (
            f"{found_zero}. Say what to take: kind='bed' for the score, column 5, kind='bed3' for signal 1 on each "
            f"interval, kind={found.kind!r} for the 0 (kinds={{mark: ...}} of several tracks)."
        )
        raise ValueError(msg)
    logger.warning("%s; the mark has no signal anywhere.", found_zero)


def _check_overlap(peaks: pd.DataFrame, path: Path) -> None:
    """Refuse a bedGraph whose rows overlap: the format has one value at each place."""
    code, start, end = pd.factorize(peaks["chrom"])[0], peaks["start"].to_numpy(), peaks["end"].to_numpy()
    change = code[1:] != code[:-1]
    if change.sum() == code.max() and (change | (start[1:] >= end[:-1])).all():  # in order, as nearly all files are
        return
    order = np.lexsort([start, code])
    code, start, end = code[order], start[order], end[order]
    wrong = (code[1:] == code[:-1]) & (start[1:] < end[:-1])
    if wrong.any():
        first = int(wrong.argmax())
        chrom = peaks["chrom"].iloc[order[first]]
        shown = " and ".join(f"{chrom}:{start[i]}-{end[i]}" for i in (first, first + 1))
        msg = (
            f"{path}: {int(wrong.sum())} of {len(peaks)} rows overlap another, such as {shown}; bedGraph has one value "
            f"at each place. Take their mean: bedtools sort -i {path} | bedtools merge -d -1 -c 4 -o mean -i - > "
            "merged.bedGraph. Or pass a table with chrom, start, end and signal, in which they add up."
        )
        raise ValueError(msg)


def read_bed(path: Path, *, kind: TrackKind = "tagAlign", max_bytes: int = MAX_BYTES) -> Iterator[pd.DataFrame]:
    """Read reads in BED or tagAlign, or fragments of single cells, plain or gzipped, some 16 MB at a time.

    Yields
    ------
    pandas.DataFrame
        ``chrom``, ``start``, ``end`` (bp, 0-based, half-open), ``score`` (NaN where there is none) and ``strand``
        (``+``, ``-`` or ``.``). Fragments have neither: their fifth column counts duplicates.

    Raises
    ------
    ValueError
        When the gzip stream is cut short or holds more than ``max_bytes``, the file holds no interval, or a row is
        none.
    """
    columns = INTERVAL if kind == "fragments" else INTERVAL | {"score": 5, "strand": 6}
    for table in read_columns(path, columns, noun="reads", max_bytes=max_bytes):
        table = table.reindex(columns=[*INTERVAL, "score", "strand"])
        check_peaks(table.assign(signal=1.0), source=str(path), noun="reads")
        strand = table["strand"].astype(object)
        table["strand"] = strand = strand.where(strand.notna(), ".")
        unknown = ~strand.isin(["+", "-", "."])
        _refuse(table, unknown.to_numpy(), "reads have a strand other than +, - and .", source=str(path))
        missing = (table["score"].astype(str) == ".").to_numpy()
        wrong = _no_number(table["score"]) & ~missing
        _refuse(table, wrong, "reads have a score that is no number", source=str(path))
        yield table.assign(score=pd.to_numeric(table["score"], errors="coerce").astype(float))


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
    start, end, signal = (_numbers(peaks, column, source=source) for column in ("start", "end", "signal"))
    for problem, rows in {
        "no chromosome name": peaks["chrom"].isna().to_numpy(),
        "no start or end (is it a header line?)": np.isnan(start) | np.isnan(end),
        "a start or end that is no whole number from 0": ~(_is_place(start) & _is_place(end)),
        "an end that is not after its start": ~(end > start),
        "a missing or infinite signal": ~np.isfinite(signal),
        "a negative signal": signal < 0,
    }.items():
        _refuse(peaks, rows, f"{noun} have {problem}", source=source)


def _numbers(peaks: pd.DataFrame, column: str, *, source: str) -> np.ndarray:
    """Return a column as floats, missing as NaN; raise where it does not hold numbers."""
    values = peaks[column]
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        return values.to_numpy(float, na_value=np.nan)
    wrong = _no_number(values)
    found = f"text, such as {values.iloc[int(wrong.argmax())]!r} in row {_row(peaks, wrong)}"
    msg = (
        f"{source}: column {column!r} holds {found if wrong.any() else values.dtype}; expected numbers; is there a "
        "header line?"
    )
    raise ValueError(msg)


def _refuse(peaks: pd.DataFrame, wrong: np.ndarray, problem: str, *, source: str) -> None:
    """Raise when any row is wrong, and name the first."""
    if wrong.any():
        row = " ".join(map(str, peaks.iloc[int(wrong.argmax())]))
        msg = (
            f"{source}: {int(wrong.sum())} of {len(peaks)} {problem}, the first in row {_row(peaks, wrong)} "
            f"({row}). Fix or leave out such rows."
        )
        raise ValueError(msg)


def _is_place(column: np.ndarray) -> np.ndarray:
    return (column >= 0) & (column < _LARGEST) & (np.floor(column) == column)


def _no_number(column: pd.Series) -> np.ndarray:
    return (pd.to_numeric(column, errors="coerce").isna() & column.notna()).to_numpy()


def _row(peaks: pd.DataFrame, wrong: np.ndarray) -> int:
    """Count to the first wrong row from 1; from the head of the file where the table is a later part of it."""
    return int(wrong.argmax()) + 1 + (peaks.index.start if isinstance(peaks.index, pd.RangeIndex) else 0)


def read_columns(path: Path, columns: Mapping[str, int], *, noun: str, max_bytes: int) -> Iterator[pd.DataFrame]:
    """Yield some columns of a table without a header, some 16 MB at a time; those that it does not have are missing.

    Parameters
    ----------
    path
        Text, plain or gzipped, whose fields are separated by tabs, or by spaces where its first row has no tab. Lines
        for a genome browser at its head are left out.
    columns
        Which columns to read: name -> number, counted from 1.
    noun
        What to call its rows.
    max_bytes
        What a gzipped file may hold once unpacked.

    Raises
    ------
    ValueError
        When there is no row, a row has more fields than the first, or it is no such text.
    """
    first: bytes = b""
    n_read = 0
    for lines in read_blocks(path, max_bytes=max_bytes):
        if not first:
            lines = list(itertools.dropwhile(_is_head, lines))
            first = lines[0] if lines else b""
        if not lines:
            continue
        _check_width(lines, first, n_read, source=str(path))
        table = _parse(lines, first, columns, source=str(path))
        if len(table):
            table.index = pd.RangeIndex(n_read, n_read + len(table))
            n_read += len(table)
            yield table.reindex(columns=list(columns))
    if not n_read:
        msg = _NONE.format(path, noun)
        raise ValueError(msg)


def _is_head(line: bytes) -> bool:
    return line.startswith(_DIRECTIVES) or not line.strip()


def _check_width(lines: list[bytes], first: bytes, n_read: int, *, source: str) -> None:
    """Refuse a row with more fields than the first, which says how many there are: they would be left out unsaid."""
    width = first.count(b"\t")
    if not width or max(line.count(b"\t") for line in lines) <= width:
        return
    rows = [line.rstrip(b"\t\r").count(b"\t") for line in lines if line.strip()]
    if (most := max(rows, default=0)) > width:
        msg = (
            f"{source}: row {n_read + rows.index(most) + 1} has {most + 1} fields, the first {width + 1}; expected the "
            "same in each. Is the first row a header, or are these two files in one? Fix or leave out such rows."
        )
        raise ValueError(msg)


def _parse(lines: list[bytes], first: bytes, columns: Mapping[str, int], *, source: str) -> pd.DataFrame:
    tabs = b"\t" in first
    width = first.count(b"\t") + 1 if tabs else len(first.split())
    present = {number - 1: name for name, number in columns.items() if number <= width}
    try:
        table = pd.read_csv(
            io.BytesIO(b"\n".join(lines)),
            sep="\t" if tabs else r"\s+",
            header=None,
            names=list(range(width)),
            usecols=list(present),
            dtype={at: str for at, name in present.items() if name in ("chrom", "strand", "name")},
            quoting=csv.QUOTE_NONE,
            index_col=False,
            low_memory=False,
        )
    except (pd.errors.ParserError, UnicodeDecodeError, OverflowError) as error:
        msg = f"{source}: this is no tab-separated text ({error}). Is it another format under this name?"
        raise ValueError(msg) from error
    return table.rename(columns=present)
