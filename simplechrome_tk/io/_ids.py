"""Gene ids in tables: versions, pseudoautosomal copies, damage by spreadsheets, and control characters."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from simplechrome_tk.core.shorten import shorten

if TYPE_CHECKING:
    from collections.abc import Collection

ENTREZ = ("entrez", "entrez_id", "entrezid", "entrezgene", "entrez_gene_id", "ncbi_gene_id", "ncbi gene id")
"""Names of columns that hold Entrez ids, which are whole numbers; in lower case."""

TRANSCRIPT = re.compile(r"^(?:ENS[A-Z]*T\d{6,}|[NX][MR]_\d+)")
"""Ids of transcripts in Ensembl and RefSeq."""

# Ids of Ensembl and RefSeq, with a version (".12"), "_PAR_Y", or the "_2" of GENCODE's lift-over.
_VERSIONED = re.compile(r"^((?:ENS[A-Z]*|[NX][MR]_)\d{6,})(?:\.\d+)?(?:_PAR_Y|_\d+)*$")

# Ids of pseudoautosomal copies on chrY; GENCODE up to version 24 writes ENSGR..., with an R in place of a 0.
_PAR_Y = re.compile(r"_PAR_Y(?:$|[._])|^ENS[GTPE]R\d{10}")
_OLD_COPY = re.compile(r"^(ENS[GTPE])R(?=\d{10}(?:\D|$))")

# Whole numbers that pandas has turned into floats.
_FLOAT = re.compile(r"^(\d+)\.0+$")

# Control characters, line breaks, and characters without width.
_CONTROL = r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+"

# Months in English and German, as spreadsheets write them.
_MONTH = "jan|feb|mar|mrz|apr|may|mai|jun|jul|aug|sep|sept|oct|okt|nov|dec|dez"
_DATE = re.compile(
    # A month that comes first must have a capital and two digits: apr-1 is a gene of C. elegans.
    rf"^(?:\d{{1,2}}[-. /]+(?i:{_MONTH})(?:[-. /]+\d{{2,4}})?|(?:{_MONTH.title()})[-. /]\d{{2,4}}"
    r"|\d{4}-\d\d-\d\d(?: 00:00:00)?|\d{1,2}[/.]\d{1,2}[/.]\d{2,4}|\d(?:\.\d+)?E\+\d+)$"
)

# The years 2000 to 2049 in days since 1900, as spreadsheets count them.
_DAYS = (36_526, 54_789)


def index_holds_ids(table: pd.DataFrame | pd.Series, names: Collection[str], *, source: str) -> bool:
    """Whether the index of a table holds ids; else it only counts rows.

    A range counts rows, and so do 0, 1, 2, ... as numbers or text. Other whole numbers are ids, unless the table has a
    column with one of ``names`` (in lower case) and the index has none of these names: then they are the rest of a
    range after filtering.
    """
    index = table.index
    if isinstance(index, pd.MultiIndex):
        msg = (
            f"{source}: its index has {index.nlevels} levels ({shorten(index.names)}); expected gene ids alone. Keep "
            "one with table.droplevel(...), or use table.reset_index() and name the ids 'gene_id'."
        )
        raise ValueError(msg)
    if isinstance(index, pd.RangeIndex):
        return False
    if _is_name(index.name, names):
        return True
    if index.astype(str).tolist() == [str(i) for i in range(len(index))]:
        return False
    columns = table.columns if isinstance(table, pd.DataFrame) else []
    return not (pd.api.types.is_numeric_dtype(index.dtype) and any(_is_name(column, names) for column in columns))


def _is_name(label: object, names: Collection[str]) -> bool:
    return label is not None and str(label).strip().lower() in names


def as_text(ids: pd.Series) -> pd.Series:
    """Return ids as text without spaces around them; ``""`` where there is none, and whole numbers without ``.0``."""
    text = ids.astype(object).where(ids.notna(), "").astype(str).str.strip()
    return text.str.replace(_FLOAT, r"\1", regex=True)


def strip_versions(ids: pd.Series) -> pd.Series:
    """Strip the version (``.12``) and the mark of a pseudoautosomal copy from Ensembl and RefSeq ids."""
    # Ids recur, in transcripts and exons: each is looked at once.
    codes, unique = pd.factorize(ids)
    plain = [_OLD_COPY.sub(r"\g<1>0", name) for name in unique]
    stripped = np.array([match[1] if (match := _VERSIONED.match(name)) else name for name in plain], dtype=object)
    return pd.Series(stripped[codes], index=ids.index, name=ids.name, dtype=object)


def is_par_copy(ids: pd.Series) -> pd.Series:
    """Whether an id is that of a pseudoautosomal copy on chrY: ``ENSG..._PAR_Y``, and ``ENSGR...`` before that."""
    return ids.str.contains(_PAR_Y)


def is_spreadsheet_damage(ids: pd.Series) -> pd.Series:
    """Whether an id is what a spreadsheet makes of symbols: dates (``1-Mar``, 44806) and powers (``2.31E+13``)."""
    days = pd.to_numeric(ids.where(ids.str.fullmatch(r"\d{5}")), errors="coerce")
    # Five digits are a day only among symbols; among whole-number ids they are an id like any other.
    symbols = not ids.str.fullmatch(r"\d+").mean() > 0.5
    return ids.str.contains(_DATE) | (days.between(*_DAYS) & symbols)


def replace_control_characters(table: pd.DataFrame, columns: Collection[str]) -> tuple[pd.DataFrame, int]:
    """Replace line breaks and invisible characters by a space; return the table and the number of changed rows."""
    table, changed = table.copy(), pd.Series(data=False, index=table.index)
    for column in columns:
        if column in table:
            wrong = table[column].str.contains(_CONTROL, regex=True).eq(True)  # noqa: FBT003 - a missing value is no match
            if wrong.any():
                table.loc[wrong, column] = table.loc[wrong, column].str.replace(_CONTROL, " ", regex=True).str.strip()
                changed |= wrong
    return table, int(changed.sum())
