"""Read the gene records of tables, and check what holds of those of any format."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.shorten import shorten
from simplechrome_tk.io._ids import ENTREZ, as_text, in_index

if TYPE_CHECKING:
    from collections.abc import Mapping

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
        *ENTREZ,
    ),
    k.SYMBOL: ("symbol", "gene_name", "gene_symbol", "gene name", "name2", "name", "gene"),
    "gene_type": ("gene_type", "gene_biotype", "biotype", "gene type"),
    "transcript": ("transcript", "transcript_id"),
}
_STRANDS = {"+": "+", "-": "-", ".": ".", "?": ".", "": ".", "1": "+", "+1": "+", "-1": "-"}
_CIRCULAR = re.compile(
    r"^(?:chr)?(?:m|mt|mito|pt|c|cp|pltd|mtdna|chloroplast)$|mitochondri|plastid|plasmid|chloroplast", re.IGNORECASE
)
_FEW = 0.1
_UNKNOWN = ("", "na", "nan", "none", "<na>")


class Records(NamedTuple):
    """What an annotation holds."""

    genes: pd.DataFrame | None
    """Gene records; None where there are none, so that transcripts which overlap make genes."""
    transcripts: pd.DataFrame
    backwards: list[str]
    """Genes that end before they start, with their places: left out."""
    found: Mapping[str, int] = MappingProxyType({})
    """What else the reader counted."""
    sizes: Mapping[str, int] = MappingProxyType({})
    """Chromosome lengths that the file gives at its head."""
    assembly: str = ""
    """Genome assembly that it names there."""


def with_id(table: pd.DataFrame, *, source: str) -> pd.DataFrame:
    """Return a copy whose column ``id`` is the index, unless the index only counts rows."""
    if not in_index(table, (*_ALIASES["id"], *ENTREZ), source=source):
        return table
    return table.drop(columns="id", errors="ignore").rename_axis("id").reset_index()


def from_table(table: pd.DataFrame, *, source: str) -> Records:
    """Name the columns as this package does, and check each row.

    Returns
    -------
    Records
        ``transcripts``: ``id``, ``chrom``, ``strand``, ``start`` and ``end``, ``tss`` or both, ``transcript``,
        ``_rank``; then what else the table has. No genes.

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
        headless = any(re.fullmatch(r"\d+", str(column).strip()) for column in table)
        fix = (
            "The first line holds numbers: is the line that names the columns missing?"
            if headless
            else ("Rename the columns, or add them (strand '.' where it is unknown).")
        )
        msg = f"{source}: no column {', '.join(missing)}; found {shorten(table.columns, limit=12)}. {fix}"
        raise ValueError(msg)
    if not len(table):
        msg = f"{source}: no genes, only a header; check the filter that came before."
        raise ValueError(msg)
    known = {ours: table[theirs] for ours, theirs in found.items() if theirs is not None}
    others = [column for column in table if column not in found.values() and column != "gene_id"]
    records = pd.DataFrame(known).join(table[others]).reset_index(drop=True)
    for column in records.columns.intersection(["id", k.SYMBOL, "gene_type", "transcript"]):
        text = as_text(records[column])
        records[column] = text.where(~text.str.lower().isin(_UNKNOWN))
    records = check_records(records, first=0, source=source)
    refuse(records["id"].isna(), records, "no id", source=source)
    records["transcript"] = records["transcript"].fillna("") if "transcript" in records else ""
    records, backwards = without_backwards(records, source=source)
    return Records(None, records.assign(_rank=float(LONGEST)), backwards)


def check_records(records: pd.DataFrame, *, first: int, source: str) -> pd.DataFrame:
    """Return the records with coordinates as floats and strand as ``+``, ``-`` or ``.``.

    ``_backwards`` says which of them end before they start.

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
    chrom, strand = as_text(records[k.CHROM]), as_text(records[k.STRAND]).str.removesuffix(".0")
    refuse(chrom == "", records, "no chromosome", source=source)
    refuse(~strand.isin(_STRANDS), records, "a strand other than +, - and .", source=source)
    places = {}
    for column in records.columns.intersection([k.START, k.END, k.TSS]):
        text = as_text(records[column])
        number = pd.to_numeric(text, errors="coerce").astype(float)
        lowest = first if column == k.START else 0
        whole = (number >= lowest) & (number < _LARGEST) & (number % 1 == 0)
        wrong = ~whole & ~text.str.lower().isin(_UNKNOWN)
        refuse(wrong, records, f"a {column} that is no whole number from {lowest}", source=source)
        places[column] = number
    unknown = pd.Series(np.nan, index=records.index)
    start, end, tss = (places.get(column, unknown) for column in (k.START, k.END, k.TSS))
    nowhere = tss.isna() & (start.isna() | end.isna())
    refuse(nowhere, records, "no start and end" if k.TSS not in places else "neither tss nor body", source=source)
    backwards = end - start < 1 - first
    return records.assign(**{k.CHROM: chrom, k.STRAND: strand.map(_STRANDS)}, **places, _backwards=backwards)


def without_backwards(records: pd.DataFrame, *, source: str) -> tuple[pd.DataFrame, list[str]]:
    """Leave out records that end before they start, and return them with their places.

    A gene across the origin of a circular chromosome is written so. Where many are, columns are mixed up: refused.
    """
    backwards = records["_backwards"] & ~is_circular(records[k.CHROM])
    if (n := int(backwards.sum())) == len(records) or (n > 1 and n > _FEW * len(records)):
        refuse(backwards, place(records).to_frame(), "an end before its start", source=source)
    backwards = records["_backwards"]
    named = list(dict.fromkeys(place(records[backwards])))
    return records[~backwards].drop(columns="_backwards").reset_index(drop=True), named


def is_circular(chrom: pd.Series) -> pd.Series:
    """Whether a chromosome is circular by its name: mitochondria and plastids."""
    return chrom.str.contains(_CIRCULAR)


def place(genes: pd.DataFrame) -> pd.Series:
    """Return each gene's id and place as text, for messages: ``MT-X (chrM:16,500-120)``."""
    rows = genes.reindex(columns=["id", k.CHROM, k.START, k.END]).itertuples(index=False)
    texts = [
        f"{name} ({chrom})" if np.isnan(start) else f"{name} ({chrom}:{start:,.0f}-{end:,.0f})"
        for name, chrom, start, end in rows
    ]
    return pd.Series(texts, index=genes.index, dtype=object)


def refuse(wrong: pd.Series, records: pd.DataFrame, problem: str, *, source: str) -> None:
    """Raise a ``ValueError`` that counts the ``wrong`` rows and shows the first, if there are any."""
    if wrong.any():
        row = " ".join(map(str, records.iloc[int(np.flatnonzero(wrong)[0])]))
        msg = f"{source}: {int(wrong.sum())} of {len(records)} rows have {problem}, the first: {row[:200]}. Fix them."
        raise ValueError(msg)
