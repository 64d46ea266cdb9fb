"""Gene records of tables, and the checks that records of every format must pass."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.shorten import shorten
from simplechrome_tk.io._ids import ENTREZ, as_text, index_holds_ids

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

TSS_RULES = ("Ensembl_canonical", "MANE_Select", "APPRIS_principal", "longest_transcript", "gene_record")
"""Rules for the canonical TSS of a gene: the first one that applies to a gene chooses its TSS."""

# Places in TSS_RULES.
APPRIS, LONGEST, GENE_RECORD = 2, 3, 4

# Columns that the readers add to records; the underscore tells them from the columns of a user's table.
KEY = "_key"  # by which a transcript finds its gene
RANK = "_rank"  # place of a transcript in TSS_RULES; tenths rank the APPRIS levels
GENE = "_gene"  # number of a transcript's gene
BACKWARDS = "_backwards"  # whether a record ends before it starts
ADDED_COLUMNS = (KEY, RANK, GENE, BACKWARDS)

# Coordinates from here on are errors, in bp: no known chromosome has 10**11.
_LARGEST = 2**40

# What a table calls a column, in lower case, the most specific name first.
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
# Spellings of the strand; Ensembl's tables write 1 and -1.
_STRANDS = {"+": "+", "-": "-", ".": ".", "?": ".", "": ".", "1": "+", "+1": "+", "-1": "-"}
_CIRCULAR = re.compile(
    r"^(?:chr)?(?:m|mt|mito|pt|c|cp|pltd|mtdna|chloroplast)$|mitochondri|plastid|plasmid|chloroplast", re.IGNORECASE
)
# Up to this share of genes that end before they start is taken for errors; a larger share means that the columns are in
# another order.
_FEW = 0.1

# Spellings of a missing value, in lower case.
_UNKNOWN = ("", "na", "nan", "none", "<na>")


class Records(NamedTuple):
    """The records of an annotation."""

    genes: pd.DataFrame | None
    """Gene records; None where the annotation has none, so that overlapping transcripts make genes."""
    transcripts: pd.DataFrame
    backwards: list[str]
    """Genes that end before they start, with their places; they are left out."""
    found: Mapping[str, int] = MappingProxyType({})
    """Further counts of the reader, by the names that the log uses."""
    sizes: Mapping[str, int] = MappingProxyType({})
    """Chromosome -> its length in bp, from the comments of the file."""
    assembly: str = ""
    """Genome assembly that the comments of the file name."""


def set_id_column(table: pd.DataFrame, *, source: str) -> pd.DataFrame:
    """Return a copy whose column ``id`` is the index, unless the index only counts rows."""
    if not index_holds_ids(table, (*_ALIASES["id"], *ENTREZ), source=source):
        return table
    return table.drop(columns="id", errors="ignore").rename_axis("id").reset_index()


def read_table(table: pd.DataFrame, *, source: str) -> Records:
    """Give the columns of a table the names that this package uses, and check each row.

    Returns
    -------
    Records
        ``transcripts`` has ``id``, ``chrom``, ``strand``, ``start`` and ``end`` or ``tss`` or all three,
        ``transcript``, ``_rank``, and the further columns of the table. ``genes`` is None.

    Raises
    ------
    ValueError
        When a column is missing or occurs twice, there is no row, or a row has no id or no place.
    """
    found = _find_columns(table, source=source)
    if not len(table):
        msg = f"{source}: no genes, only a header; check the filter that came before."
        raise ValueError(msg)
    known = {ours: table[theirs] for ours, theirs in found.items()}
    # Names that begin with an underscore belong to the readers (and to AnnData, which reserves `_index`).
    further = [
        column
        for column in table
        if column not in found.values() and column != "gene_id" and not str(column).startswith("_")
    ]
    records = pd.DataFrame(known).join(table[further]).reset_index(drop=True)
    for column in records.columns.intersection(["id", k.SYMBOL, "gene_type", "transcript"]):
        text = as_text(records[column])
        records[column] = text.where(~text.str.lower().isin(_UNKNOWN))
    records = check_records(records, first=0, source=source)
    refuse_rows(records["id"].isna(), records, "no id", source=source)
    records["transcript"] = records["transcript"].fillna("") if "transcript" in records else ""
    records, backwards = drop_backwards(records, source=source)
    return Records(None, records.assign(**{RANK: float(LONGEST)}), backwards)


def _find_columns(table: pd.DataFrame, *, source: str) -> dict[str, Hashable]:
    """Return our name -> the table's name of each known column; raise when one is missing or occurs twice."""
    if table.columns.has_duplicates:
        twice = ", ".join(map(str, table.columns[table.columns.duplicated()].unique()))
        msg = f"{source}: more than one column is called {twice}; rename or leave out all but one."
        raise ValueError(msg)
    # Of two names that differ in case alone, the first column counts.
    by_lower_name = {str(column).strip().lower(): column for column in reversed(table.columns)}
    found = {
        ours: next(by_lower_name[name] for name in names if name in by_lower_name)
        for ours, names in _ALIASES.items()
        if any(name in by_lower_name for name in names)
    }
    missing = [ours for ours in (k.CHROM, k.STRAND, "id") if ours not in found]
    if k.TSS not in found and not (k.START in found and k.END in found):
        missing.append("tss (or start and end)")
    if missing:
        fix = "Rename the columns, or add them (strand '.' where it is unknown)."
        if any(re.fullmatch(r"\d+", str(column).strip()) for column in table):
            fix = "The first line holds numbers: is the line that names the columns missing?"
        msg = f"{source}: no column {', '.join(missing)}; found {shorten(table.columns, limit=12)}. {fix}"
        raise ValueError(msg)
    return found


def check_records(records: pd.DataFrame, *, first: int, source: str) -> pd.DataFrame:
    """Check the place of each record; return coordinates as floats and the strand as ``+``, ``-`` or ``.``.

    The column ``_backwards`` that is added says which records end before they start.

    Parameters
    ----------
    records
        Table with ``chrom``, ``strand``, and ``start`` and ``end``, ``tss`` or both.
    first
        Number of the first base of a chromosome in the column ``start``: 0 or 1.
    source
        Name of the table in messages.

    Raises
    ------
    ValueError
        When a row has no chromosome, no place, or an invalid strand or coordinate.
    """
    chrom, strand = as_text(records[k.CHROM]), as_text(records[k.STRAND]).str.removesuffix(".0")
    refuse_rows(chrom == "", records, "no chromosome", source=source)
    refuse_rows(~strand.isin(_STRANDS), records, "a strand other than +, - and .", source=source)
    places = {}
    for column in records.columns.intersection([k.START, k.END, k.TSS]):
        text = as_text(records[column])
        number = pd.to_numeric(text, errors="coerce").astype(float)
        lowest = first if column == k.START else 0
        whole = (number >= lowest) & (number < _LARGEST) & (number % 1 == 0)
        wrong = ~whole & ~text.str.lower().isin(_UNKNOWN)
        refuse_rows(wrong, records, f"a {column} that is no whole number from {lowest}", source=source)
        places[column] = number
    unknown = pd.Series(np.nan, index=records.index)
    start, end, tss = (places.get(column, unknown) for column in (k.START, k.END, k.TSS))
    nowhere = tss.isna() & (start.isna() | end.isna())
    problem = "neither tss nor body" if k.TSS in places else "no start and end"
    refuse_rows(nowhere, records, problem, source=source)
    # Ends that count from 1 include their base: there, start and end of one base are equal.
    backwards = end - start < 1 - first
    return records.assign(**{k.CHROM: chrom, k.STRAND: strand.map(_STRANDS)}, **places, **{BACKWARDS: backwards})


def drop_backwards(records: pd.DataFrame, *, source: str) -> tuple[pd.DataFrame, list[str]]:
    """Leave out records that end before they start; return the others, and ids and places of those left out.

    A gene across the origin of a circular chromosome is written in this way.

    Raises
    ------
    ValueError
        When many records on linear chromosomes end before they start: then the columns are in another order.
    """
    on_linear = records[BACKWARDS] & ~is_circular(records[k.CHROM])
    n = int(on_linear.sum())
    if n == len(records) or (n > 1 and n > _FEW * len(records)):
        refuse_rows(on_linear, describe_places(records).to_frame(), "an end before its start", source=source)
    backwards = records[BACKWARDS]
    named = list(dict.fromkeys(describe_places(records[backwards])))
    return records[~backwards].drop(columns=BACKWARDS).reset_index(drop=True), named


def is_circular(chrom: pd.Series) -> pd.Series:
    """Whether a chromosome is circular, as its name says: mitochondria, plastids and plasmids."""
    return chrom.str.contains(_CIRCULAR)


def describe_places(genes: pd.DataFrame) -> pd.Series:
    """Return id and place of each gene as text for messages, such as ``MT-X (chrM:16,500-120)``."""
    rows = genes.reindex(columns=["id", k.CHROM, k.START, k.END]).itertuples(index=False)
    texts = [
        f"{name} ({chrom})" if np.isnan(start) else f"{name} ({chrom}:{start:,.0f}-{end:,.0f})"
        for name, chrom, start, end in rows
    ]
    return pd.Series(texts, index=genes.index, dtype=object)


def refuse_rows(wrong: pd.Series, records: pd.DataFrame, problem: str, *, source: str) -> None:
    """Raise a ``ValueError`` that counts the ``wrong`` rows and shows the first one, if there are any."""
    if wrong.any():
        row = " ".join(map(str, records.iloc[int(np.flatnonzero(wrong)[0])]))
        msg = f"{source}: {int(wrong.sum())} of {len(records)} rows have {problem}, the first: {row[:200]}. Fix them."
        raise ValueError(msg)
