"""Gene records from tables, and what holds of gene records of any format."""

from __future__ import annotations

import numpy as np
import pandas as pd

from simplechrome_tk import _keys as k

TSS_RULES = ("Ensembl_canonical", "MANE_Select", "APPRIS_principal", "longest_transcript", "gene_record")
"""What may give a gene its canonical TSS: the first of these that it has."""

APPRIS, LONGEST, GENE_RECORD = 2, 3, 4

_LARGEST = 2**40  # further than any chromosome reaches
_ALIASES = {
    k.CHROM: ("chrom", "chr", "chromosome", "seqname", "seqnames", "seqid", "chromosome/scaffold name"),
    k.START: ("start", "txstart", "chromstart", "gene_start"),
    k.END: ("end", "txend", "chromend", "gene_end"),
    k.STRAND: ("strand",),
    k.TSS: ("tss",),
    "id": (
        "id",
        "gene_id",
        "geneid",
        "ensembl_id",
        "ensembl_gene_id",
        "gene stable id",
        "ensembl",
        "name2",
        "gene",
        "name",
    ),
    k.SYMBOL: ("symbol", "gene_name", "gene_symbol", "gene name", "name2", "name", "gene"),
    "gene_type": ("gene_type", "gene_biotype", "biotype", "gene type"),
    "transcript": ("transcript", "transcript_id"),
}
_STRANDS = {"+": "+", "-": "-", ".": ".", "?": ".", "": ".", "1": "+", "+1": "+", "-1": "-"}
_UNKNOWN = ("", "na", "nan", "none", "<na>")


def with_id(table: pd.DataFrame) -> pd.DataFrame:
    """Return a copy whose column ``id`` is the index, unless the index only counts rows."""
    if pd.api.types.is_numeric_dtype(table.index.dtype):
        return table
    return table.drop(columns="id", errors="ignore").rename_axis("id").reset_index()


def from_table(table: pd.DataFrame, *, source: str) -> pd.DataFrame:
    """Name the columns as this package does, and check each row.

    Returns
    -------
    pandas.DataFrame
        ``id``, ``chrom``, ``strand``, ``start`` and ``end``, ``tss`` or both, ``transcript``, ``_rank``; then what else
        the table has.

    Raises
    ------
    ValueError
        When a column is missing or occurs twice, there is no row, or a row has no id or no place.
    """
    if table.columns.has_duplicates:
        twice = ", ".join(map(str, table.columns[table.columns.duplicated()].unique()))
        msg = f"{source}: more than one column is called {twice}; rename or leave out all but one."
        raise ValueError(msg)
    lower = {str(column).strip().lower(): column for column in reversed(table.columns)}
    found = {ours: next((lower[name] for name in names if name in lower), None) for ours, names in _ALIASES.items()}
    missing = [ours for ours in (k.CHROM, k.STRAND, "id") if found[ours] is None]
    if found[k.TSS] is None and (found[k.START] is None or found[k.END] is None):
        missing.append("tss (or start and end)")
    if missing:
        msg = (
            f"{source}: no column {', '.join(missing)}; found {', '.join(map(str, table)) or 'none'}. Rename the "
            "columns, or add them (strand '.' where it is unknown)."
        )
        raise ValueError(msg)
    if not len(table):
        msg = f"{source}: no genes, only a header; check the filter that came before."
        raise ValueError(msg)
    known = {ours: table[theirs] for ours, theirs in found.items() if theirs is not None}
    others = [column for column in table if column not in found.values() and column != "gene_id"]
    records = pd.DataFrame(known).join(table[others]).reset_index(drop=True)
    for column in {"id", k.SYMBOL, "gene_type", "transcript"}.intersection(records):
        text = _text(records[column])
        records[column] = text.where(~text.str.lower().isin(_UNKNOWN))
    records = check_records(records, first=0, source=source)
    refuse(records["id"].isna(), records, "no id", source=source)
    records["transcript"] = records["transcript"].fillna("") if "transcript" in records else ""
    return records.assign(_rank=float(LONGEST))


def check_records(records: pd.DataFrame, *, first: int, source: str) -> pd.DataFrame:
    """Return the records with coordinates as floats and strand as ``+``, ``-`` or ``.``.

    Parameters
    ----------
    records
        Table with ``chrom``, ``strand``, and ``start`` and ``end``, ``tss`` or both.
    first
        What the first base of a chromosome is called in ``start``: 0 or 1.
    source
        What to call the table in the message.

    Raises
    ------
    ValueError
        When a row has no chromosome, no place, or a strand or coordinate that is none.
    """
    chrom, strand = _text(records[k.CHROM]), _text(records[k.STRAND]).str.removesuffix(".0")
    refuse(chrom == "", records, "no chromosome", source=source)
    refuse(~strand.isin(_STRANDS), records, "a strand other than +, - and .", source=source)
    places = {}
    for column in {k.START, k.END, k.TSS}.intersection(records):
        text = _text(records[column])
        number = pd.to_numeric(text, errors="coerce").astype(float)
        lowest = first if column == k.START else 0
        whole = (number >= lowest) & (number < _LARGEST) & (number % 1 == 0)
        wrong = ~whole & ~text.str.lower().isin(_UNKNOWN)
        refuse(wrong, records, f"a {column} that is no whole number from {lowest}", source=source)
        places[column] = number
    unknown = pd.Series(np.nan, index=records.index)
    start, end, tss = (places.get(column, unknown) for column in (k.START, k.END, k.TSS))
    refuse(end - start < 1 - first, records, "an end before its start", source=source)
    nowhere = tss.isna() & (start.isna() | end.isna())
    refuse(nowhere, records, "no start and end" if k.TSS not in places else "neither tss nor body", source=source)
    return records.assign(**{k.CHROM: chrom, k.STRAND: strand.map(_STRANDS)}, **places)


def refuse(wrong: pd.Series, records: pd.DataFrame, problem: str, *, source: str) -> None:
    """Raise a ``ValueError`` that counts the ``wrong`` rows and shows the first, if there are any."""
    if wrong.any():
        row = " ".join(map(str, records.iloc[int(np.flatnonzero(wrong)[0])]))
        msg = f"{source}: {int(wrong.sum())} of {len(records)} rows have {problem}, the first: {row[:200]}. Mend them."
        raise ValueError(msg)


def _text(values: pd.Series) -> pd.Series:
    return values.astype(object).where(values.notna(), "").astype(str).str.strip()
