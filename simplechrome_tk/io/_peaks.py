"""Intervals in text files: peaks, BED, bedGraph, and reads in BED."""

from __future__ import annotations

import csv
import io
import itertools
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from simplechrome_tk.io._kind import CALLED, PEAKS, DetectedKind, detect_kind, report_kind
from simplechrome_tk.io._text import MAX_BYTES, read_blocks

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

    from simplechrome_tk.io._columns import TrackKind

logger = logging.getLogger(__name__)

INTERVAL = {"chrom": 1, "start": 2, "end": 3}
"""Columns of every table of intervals, counted from 1."""

# Kind -> column of the signal, counted from 1.
_SIGNAL = {"narrowPeak": 7, "broadPeak": 7, "gappedPeak": 13, "SEACR": 4, "bedGraph": 4, "bed": 5}
_COLUMNS = ("chrom", "start", "end", "signal")

# Positions from here on are errors, in bp: no known chromosome has 10**11.
_LARGEST = 2**40

_NONE = "{}: no {} at all; check the download, and the step or filter that came before."

# Starts of the lines at the head of a file that are no rows.
_DIRECTIVES = (b"track", b"browser", b"#")


def read_peaks(path: str | os.PathLike[str], *, kind: str | None = None, max_bytes: int = MAX_BYTES) -> pd.DataFrame:
    """Read intervals with a signal: peaks of ENCODE or SEACR, BED or bedGraph, plain or gzipped.

    Parameters
    ----------
    path
        The file. Its content decides how it is read: narrowPeak, broadPeak and gappedPeak are recognised by their
        columns, also in a file called ``*.bed.gz``; SEACR by the region in its sixth column; bedGraph by its name, or
        by numbers in the fourth and last column. Fields are separated by tabs, or by spaces where there is no tab.
        Lines at the head that begin with ``track``, ``browser`` or ``#`` are left out.
    kind
        The kind of file, needed where content and name do not say it, or say it wrongly: ``"narrowPeak"``,
        ``"broadPeak"``, ``"gappedPeak"``, ``"SEACR"``, ``"bedGraph"``, ``"bed"`` or ``"bed3"``.
    max_bytes
        The largest size of a gzipped file once unpacked, in bytes.

    Returns
    -------
    pandas.DataFrame
        One row per interval: ``chrom``, ``start``, ``end`` (bp, 0-based, half-open) and ``signal``. The signal of
        narrowPeak and broadPeak is ``signalValue``, the seventh column (mean enrichment over the region); that of
        gappedPeak is the thirteenth column; that of SEACR is the total signal divided by the length, so that the total
        is kept; that of bedGraph is the fourth column. The signal of ``"bed"`` is the score, the fifth column, or 1
        where there is no score or all scores are ``.`` or 0. The signal of ``"bed3"`` is 1.

    Raises
    ------
    ValueError
        When content and name allow several kinds or say that these are no peaks (reads, pairs, genes, binary files),
        when all signals of called peaks are 0, when rows of a bedGraph overlap, when the gzip stream is cut short or
        holds more than ``max_bytes``, and when there is no row or a row is no interval.

    Notes
    -----
    The recognised kind is logged at level INFO. A warning is logged when the fourth column of a ``.bed`` is read as
    signal, and when all scores are 0.
    """
    path = Path(path)
    found = detect_kind(path, kind, expected=PEAKS)
    report_kind(path, found)
    if found.content.level == "likely" and found.kind == "bedGraph" and not found.named:
        logger.warning("%s: column 4 holds numbers and is read as signal; if they are names, kind='bed3'.", path)
    # BED without scores may still hold numbers in column 4, which are then not silently ignored.
    signal = {"signal": _SIGNAL[found.kind]} if found.kind in _SIGNAL else {"name": 4}
    peaks = pd.concat(list(read_columns(path, INTERVAL | signal, noun="peaks", max_bytes=max_bytes)), ignore_index=True)
    if found.kind in ("bed", "bed3"):
        peaks = _fill_missing_scores(peaks, found, path)
    elif peaks["signal"].isna().all():
        msg = (
            f"{path}: no signal in column {_SIGNAL[found.kind]}, where {found.kind} ({found.reason}) has it. If it is "
            "of another kind, say which: kind='bed' for signal in column 5, kind='bed3' for signal 1 on each interval "
            "(kinds={mark: ...} of several tracks)."
        )
        raise ValueError(msg)
    check_peaks(peaks, source=str(path))
    peaks = peaks.astype({"start": np.int64, "end": np.int64, "signal": float})
    if found.kind == "SEACR":
        # SEACR gives the total over the region; signal is a value per bp.
        peaks["signal"] /= peaks["end"] - peaks["start"]
    if found.kind == "bedGraph":
        _check_overlap(peaks, path)
    _check_zero(peaks, found, path)
    return peaks


def _fill_missing_scores(peaks: pd.DataFrame, found: DetectedKind, path: Path) -> pd.DataFrame:
    """Give each interval the signal 1 when a BED file has no scores."""
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


def _check_zero(peaks: pd.DataFrame, found: DetectedKind, path: Path) -> None:
    """Raise for called peaks, and warn for others, when all signals are 0, since the mark would have no signal."""
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
    """Raise when rows of a bedGraph overlap, since the format has one value at each place."""
    code, start, end = pd.factorize(peaks["chrom"])[0], peaks["start"].to_numpy(), peaks["end"].to_numpy()
    # Nearly all files are sorted, which needs no second sorting: each chromosome is one run, and starts ascend.
    change = code[1:] != code[:-1]
    if change.sum() == code.max() and (change | (start[1:] >= end[:-1])).all():
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


def read_reads(path: Path, *, kind: TrackKind = "tagAlign", max_bytes: int = MAX_BYTES) -> Iterator[pd.DataFrame]:
    """Yield reads in BED or tagAlign, or fragments of single cells, plain or gzipped, in tables of about 16 MB.

    Yields
    ------
    pandas.DataFrame
        ``chrom``, ``start``, ``end`` (bp, 0-based, half-open), ``score`` (NaN where there is none) and ``strand``
        (``+``, ``-`` or ``.``). Fragments have neither: their fifth column counts duplicates.

    Raises
    ------
    ValueError
        When the gzip stream is cut short or holds more than ``max_bytes``, when there is no row, or when a row is no
        read.
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
        Name of the table in messages: a file or a mark.
    noun
        Name of its rows in messages.
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
    """Return a column as floats, with NaN for missing values; raise when it holds other text."""
    values = peaks[column]
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        return values.to_numpy(float, na_value=np.nan)
    wrong = _no_number(values)
    found = str(values.dtype)
    if wrong.any():
        found = f"text, such as {values.iloc[int(wrong.argmax())]!r} in row {_row(peaks, wrong)}"
    msg = f"{source}: column {column!r} holds {found}; expected numbers; is there a header line?"
    raise ValueError(msg)


def _refuse(peaks: pd.DataFrame, wrong: np.ndarray, problem: str, *, source: str) -> None:
    """Raise a ``ValueError`` that counts the wrong rows and shows the first one, if there are any."""
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
    """Return the number of the first wrong row, counted from 1; a part of a file counts from the head of the file."""
    return int(wrong.argmax()) + 1 + (peaks.index.start if isinstance(peaks.index, pd.RangeIndex) else 0)


def read_columns(path: Path, columns: Mapping[str, int], *, noun: str, max_bytes: int) -> Iterator[pd.DataFrame]:
    """Yield chosen columns of a table without a header, in parts of about 16 MB.

    A column that the table does not have is missing throughout.

    Parameters
    ----------
    path
        Text, plain or gzipped, whose fields are separated by tabs, or by spaces where its first row has no tab. Lines
        for a genome browser at its head are left out.
    columns
        The columns to read: name -> number, counted from 1.
    noun
        Name of its rows in messages.
    max_bytes
        The largest size of a gzipped file once unpacked, in bytes.

    Raises
    ------
    ValueError
        When there is no row, when a row has more fields than the first, or when the file is no such text.
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
    """Raise when a row has more fields than the first row, since pandas would leave them out silently."""
    width = first.count(b"\t")
    if not width or max(line.count(b"\t") for line in lines) <= width:
        return
    # Tabs at the end of a line make empty fields, which do no harm.
    rows = [line.rstrip(b"\t\r").count(b"\t") for line in lines if line.strip()]
    most = max(rows, default=0)
    if most > width:
        msg = (
            f"{source}: row {n_read + rows.index(most) + 1} has {most + 1} fields, the first {width + 1}; expected the "
            "same in each. Is the first row a header, or are these two files in one? Fix or leave out such rows."
        )
        raise ValueError(msg)


def _parse(lines: list[bytes], first: bytes, columns: Mapping[str, int], *, source: str) -> pd.DataFrame:
    """Parse lines with pandas, as many columns as the first row of the file has."""
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
