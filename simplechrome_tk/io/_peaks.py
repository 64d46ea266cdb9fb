"""Read peak files."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import bioframe
import numpy as np

if TYPE_CHECKING:
    import os

    import pandas as pd

_SCHEMAS = {"broadpeak": "broadPeak", "narrowpeak": "narrowPeak"}
_COLUMNS = {"chrom": "chrom", "start": "start", "end": "end", "fc": "signal"}


def read_peaks(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read an ENCODE broadPeak or narrowPeak file, plain or gzipped.

    Parameters
    ----------
    path
        The file. Its name says the format: ``*.broadPeak``, ``*.narrowPeak``, with or without ``.gz``.

    Returns
    -------
    pandas.DataFrame
        One row per peak: ``chrom``, ``start``, ``end`` (bp, 0-based, half-open) and ``signal`` (``signalValue``,
        the seventh column: mean enrichment over the region).

    Raises
    ------
    ValueError
        When the format is unknown, the gzip stream is cut short, the file holds no peak, or a row is no peak.
    """
    path = Path(path)
    kind = path.name.lower().removesuffix(".gz").rpartition(".")[2]
    if kind not in _SCHEMAS:
        msg = (
            f"{path}: cannot tell the format from the name; expected a name that ends in .broadPeak or .narrowPeak "
            "(.gz)."
        )
        raise ValueError(msg)
    try:
        peaks = bioframe.read_table(str(path), schema=_SCHEMAS[kind], dtype={"chrom": str})
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        msg = f"{path}: the gzip file is truncated or damaged ({error}). Delete it and download it again."
        raise ValueError(msg) from error
    peaks = peaks.rename(columns=_COLUMNS)[list(_COLUMNS.values())]
    check_peaks(peaks, source=str(path))
    return peaks


def check_peaks(peaks: pd.DataFrame, *, source: str) -> None:
    """Raise ``ValueError`` unless there are rows, each an interval with a finite, non-negative signal.

    Parameters
    ----------
    peaks
        Table with ``chrom``, ``start``, ``end`` and ``signal``.
    source
        What to call the table in the message: a file or a mark.
    """
    missing = [column for column in _COLUMNS.values() if column not in peaks]
    if missing:
        msg = f"{source}: no column {', '.join(missing)}; found {', '.join(map(str, peaks))}."
        raise ValueError(msg)
    if peaks.empty:
        msg = f"{source}: no peaks at all; check the download, the filter that came before or the peak caller's log."
        raise ValueError(msg)
    for column in ("start", "end", "signal"):
        if not np.issubdtype(peaks[column].dtype, np.number):
            msg = f"{source}: column {column!r} holds {peaks[column].dtype}, expected numbers; is there a header line?"
            raise ValueError(msg)
    problems = {
        "no chromosome name": peaks["chrom"].isna(),
        "no start or end (is it a header line?)": peaks["start"].isna() | peaks["end"].isna(),
        "an end that is not after its start": ~(peaks["end"] > peaks["start"]),
        "a missing or infinite signal": ~np.isfinite(peaks["signal"]),
        "a negative signal": peaks["signal"] < 0,
    }
    for problem, rows in problems.items():
        if rows.any():
            first = int(np.flatnonzero(rows)[0])
            row = " ".join(map(str, peaks.iloc[first]))
            msg = (
                f"{source}: {int(rows.sum())} of {len(peaks)} peaks have {problem}, the first in row {first + 1} "
                f"({row}). Mend or leave out such rows."
            )
            raise ValueError(msg)
