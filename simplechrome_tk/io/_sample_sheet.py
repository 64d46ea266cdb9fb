"""Sample sheets: which file holds which mark of which sample."""

from __future__ import annotations

import difflib
import filecmp
import logging
import os
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.shorten import shorten
from simplechrome_tk.core.values import above_zero
from simplechrome_tk.io._paths import as_path
from simplechrome_tk.io._text import MAX_BYTES, check_width, column_names, read_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

logger = logging.getLogger(__name__)

PATH, CONTROL, SCALE_FACTOR = "path", "control", "scale_factor"
"""Columns of a sample sheet that do not become columns of ``obs``."""

OF_SAMPLE = (k.CONDITION, k.REPLICATE)
"""Optional columns that describe a sample, and so are the same in all its rows."""

_REQUIRED = (k.SAMPLE, k.MARK, PATH)
_OPTIONAL = (*OF_SAMPLE, CONTROL, SCALE_FACTOR)

_SEPARATOR = ";"
"""Character between the paths of several files in one cell."""


class SampleSheet(NamedTuple):
    """A checked sample sheet.

    Attributes
    ----------
    rows
        One row for each mark of each sample: ``sample``, ``mark``, ``path`` (a list of paths) and, where they are
        given, ``condition``, ``replicate``, ``control`` (a list of paths) and ``scale_factor`` (NaN where it is not
        given).
    source
        Name of the sheet in messages.
    """

    rows: pd.DataFrame
    source: str

    @property
    def samples(self) -> pd.DataFrame:
        """``condition`` and ``replicate`` of each sample, as far as they are given, indexed by sample."""
        columns = [column for column in OF_SAMPLE if column in self.rows]
        return self.rows.drop_duplicates(k.SAMPLE).set_index(k.SAMPLE)[columns]


def read_sample_sheet(sheet: str | os.PathLike[str] | pd.DataFrame, *, max_bytes: int = MAX_BYTES) -> SampleSheet:
    """Read a sample sheet and check that it is complete, without contradiction, and that its files exist.

    Parameters
    ----------
    sheet
        Path of a CSV or TSV file with a header, or a table. Paths in a file are relative to its folder, those in a
        table to the current folder.
    max_bytes
        Largest size in bytes of a gzipped sheet after unpacking.

    Raises
    ------
    FileNotFoundError
        When files do not exist; the error counts them and names the first.
    ValueError
        When a column is missing or unknown, a cell is empty that must not be, a mark of a sample has two rows, the rows
        of a sample contradict each other, or a file is given twice.
    """
    table, folder, source = _open(sheet, max_bytes)
    table = _check_columns(table, source)
    rows = table.apply(lambda column: column.map(_as_text)) if len(table) else table
    for column in (PATH, CONTROL):
        if column in rows:
            rows[column] = [_paths(value, folder, f"{source}: {column}") for value in table[column]]
    rows = rows.drop(columns=[name for name in _OPTIONAL if name in rows and rows[name].map(_is_empty).all()])
    _check_filled(rows, source)
    rows[k.SAMPLE], rows[k.MARK] = rows[k.SAMPLE].astype(str), rows[k.MARK].astype(str)
    _check_unique(rows, source)
    _check_samples(rows, source)
    if SCALE_FACTOR in rows:
        rows[SCALE_FACTOR] = _read_factors(rows, source)
    _check_files(rows, source)
    return SampleSheet(rows.reset_index(drop=True), source)


def _open(sheet: object, max_bytes: int) -> tuple[pd.DataFrame, Path, str]:
    """Return the cells of a sheet, the folder of its paths, and its name in messages."""
    if isinstance(sheet, pd.DataFrame):
        return sheet.astype(object), Path(), "the sample sheet"
    path = as_path(sheet, name="sheet", expected="the path of a CSV or TSV file, or a table")
    if not path.exists():
        msg = f"there is no sample sheet {path}; check its name and the folder you are in ({Path.cwd()})."
        raise FileNotFoundError(msg)
    rows = read_rows(path, max_bytes=max_bytes)
    header = column_names(next(rows)[1])
    return pd.DataFrame(check_width(rows, len(header), path=path), columns=header, dtype=object), path.parent, str(path)


def _check_columns(table: pd.DataFrame, source: str) -> pd.DataFrame:
    """Return the table with names of columns in lower case; raise for missing, unknown and repeated ones."""
    names = [str(name).strip().lower() for name in table]
    missing = [name for name in _REQUIRED if name not in names]
    unknown = [name for name in names if name not in (*_REQUIRED, *_OPTIONAL)]
    known = f"{', '.join(_REQUIRED)}, and optionally {', '.join(_OPTIONAL)}"
    if missing:
        msg = f"{source}: no column {', '.join(missing)} (found: {shorten(names)}); expected {known}."
        raise ValueError(msg)
    if unknown:
        close = difflib.get_close_matches(unknown[0], (*_REQUIRED, *_OPTIONAL), n=1)
        hint = f" Did you mean {close[0]}?" if close else " Leave it out."
        msg = f"{source}: the column {shorten(unknown)} is unknown; expected {known}.{hint}"
        raise ValueError(msg)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        msg = f"{source}: two columns are called {twice}; expected each once."
        raise ValueError(msg)
    if not len(table):
        msg = f"{source}: no rows; expected one for each mark of each sample."
        raise ValueError(msg)
    return table.set_axis(names, axis=1)


def _as_text(value: object) -> Any:
    """Return a cell as text without blanks around it, whole numbers without a decimal point; lists as they are."""
    if isinstance(value, list | tuple):
        return value
    if pd.isna(value):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _is_empty(value: object) -> bool:
    return value in ("", [])


def _paths(value: object, folder: Path, name: str) -> list[Path]:
    """Return the paths in a cell: a path, several between semicolons, or a list."""
    if not isinstance(value, list | tuple):
        value = [] if pd.isna(value) else [value]
    cells = [part for cell in value for part in (cell.split(_SEPARATOR) if isinstance(cell, str) else [cell])]
    cells = [cell.strip() if isinstance(cell, str) else cell for cell in cells]
    found = [as_path(cell, name=name, expected="the path of a file") for cell in cells if cell != ""]
    if remote := [cell for cell in cells if "://" in str(cell)]:
        msg = f"{name}: {remote[0]} is a web address; download the file first, and give its path."
        raise ValueError(msg)
    return [folder / path for path in found]


def _check_filled(rows: pd.DataFrame, source: str) -> None:
    """Raise for empty cells, except in ``scale_factor``, of which each mark is checked later."""
    for column in rows.columns.drop(SCALE_FACTOR, errors="ignore"):
        empty = rows[column].map(_is_empty)
        if empty.any():
            where = shorten((f"{row.sample} {row.mark}".strip() for row in rows[empty].itertuples()), limit=4)
            also = ""
            if column == CONTROL:
                also = " Marks with and without a control differ in meaning: give a control for each, or for none."
            msg = f"{source}: {column} is empty in {int(empty.sum())} of {len(rows)} rows ({where}).{also}"
            raise ValueError(msg)


def _check_unique(rows: pd.DataFrame, source: str) -> None:
    """Raise when a mark of a sample has several rows."""
    twice = rows[rows.duplicated([k.SAMPLE, k.MARK])]
    if not len(twice):
        return
    sample, mark = twice[[k.SAMPLE, k.MARK]].iloc[0]
    same = rows[(rows[k.SAMPLE] == sample) & (rows[k.MARK] == mark)]
    fix = "leave one of them out"
    if k.REPLICATE in rows and same[k.REPLICATE].nunique() > 1:
        names = " and ".join(f"{sample}_{replicate}" for replicate in same[k.REPLICATE].unique()[:2])
        fix = (
            f"give each replicate a sample name of its own ({names}), to keep them apart; or name all files in one "
            f"row, path{_SEPARATOR}path, to combine them"
        )
    msg = f"{source}: {len(same)} rows are of {mark} in sample {sample!r}; expected one: {fix}."
    raise ValueError(msg)


def _check_samples(rows: pd.DataFrame, source: str) -> None:
    """Raise when the rows of a sample disagree, or two samples are the same replicate of a condition."""
    for column in OF_SAMPLE:
        if column not in rows:
            continue
        values = rows.groupby(k.SAMPLE, sort=False)[column].unique()
        for sample, found in values.items():
            if len(found) > 1:
                msg = f"{source}: sample {sample!r} has the {column} {shorten(found)}; expected one for all its rows."
                raise ValueError(msg)
    if not {k.CONDITION, k.REPLICATE} <= set(rows):
        return
    samples = rows.drop_duplicates(k.SAMPLE)
    twice = samples[samples.duplicated([k.CONDITION, k.REPLICATE], keep=False)]
    if len(twice):
        first = twice.iloc[0]
        same = twice[(twice[k.CONDITION] == first[k.CONDITION]) & (twice[k.REPLICATE] == first[k.REPLICATE])]
        msg = (
            f"{source}: the samples {shorten(same[k.SAMPLE])} are all replicate {first[k.REPLICATE]} of condition "
            f"{first[k.CONDITION]}; expected different replicates."
        )
        raise ValueError(msg)


def _read_factors(rows: pd.DataFrame, source: str) -> list[float]:
    """Return the scale factors, NaN where empty; raise where only some samples of a mark have one."""
    factors = []
    for row in rows.to_dict("records"):
        text, name = row[SCALE_FACTOR], f"{source}: scale_factor of {row[k.MARK]} in {row[k.SAMPLE]}"
        try:
            factors.append(above_zero(name, float(text)) if text else float("nan"))
        except ValueError:
            msg = f"{name} is {text!r}; expected a number above 0."
            raise ValueError(msg) from None
    given = pd.Series(factors, index=rows.index).notna()
    for mark, own in given.groupby(rows[k.MARK]):
        if own.any() and not own.all():
            without = rows.loc[own.index[~own], k.SAMPLE]
            msg = (
                f"{source}: {mark} has a scale_factor in some samples and none in {shorten(without)}; expected one in "
                "all, or in none."
            )
            raise ValueError(msg)
    return factors


def _check_files(rows: pd.DataFrame, source: str) -> None:
    """Raise for files that do not exist, are folders, or are given twice; warn of files with the same content."""
    files = [
        (path, f"{sample} {mark}")
        for sample, mark, own in zip(rows[k.SAMPLE], rows[k.MARK], rows[PATH], strict=True)
        for path in own
    ]
    controls = [path for own in rows.get(CONTROL, []) for path in own]
    absent = list(dict.fromkeys(path for path in [*(path for path, _ in files), *controls] if not path.exists()))
    if absent:
        msg = f"{source}: {len(absent)} files do not exist: {shorten(absent, limit=3)}; check their names and folder."
        raise FileNotFoundError(msg)
    if folders := [path for path in [*(path for path, _ in files), *controls] if path.is_dir()]:
        msg = f"{source}: {folders[0]} is a folder; expected the path of a file."
        raise ValueError(msg)
    owner: dict[str, str] = {}
    for path, name in files:
        place = os.path.realpath(path)
        if place in owner:
            msg = f"{source}: {path} is given for {owner[place]} and for {name}; expected each file once."
            raise ValueError(msg)
        owner[place] = name
    if both := [path for path in controls if os.path.realpath(path) in owner]:
        msg = f"{source}: {both[0]} is a control and also {owner[os.path.realpath(both[0])]}; expected different files."
        raise ValueError(msg)
    _warn_of_copies(files, source)


def _warn_of_copies(files: Sequence[tuple[Path, str]], source: str) -> None:
    """Log files that have the same content under different names."""
    by_size: dict[int, list[tuple[Path, str]]] = {}
    for path, name in files:
        by_size.setdefault(path.stat().st_size, []).append((path, name))
    copies = [
        f"{name} and {other_name}"
        for group in by_size.values()
        for (path, name), (other, other_name) in combinations(group, 2)
        if filecmp.cmp(path, other, shallow=False)
    ]
    if copies:
        logger.warning(
            "%s: %d pairs of files have the same content: %s. Was a file copied under another name?",
            source,
            len(copies),
            shorten(copies, limit=3),
        )
