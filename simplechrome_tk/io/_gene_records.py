"""Read the gene records of tables, GTF and GFF3 files, and check what holds of those of any format."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

import numpy as np
import pandas as pd

from simplechrome_tk import _keys as k
from simplechrome_tk.io._text import MAX_BYTES, decode, read_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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

GFF_COLUMNS = 9

_FEATURES = {"gene": re.compile(r"(^|_)(pseudo)?gene$"), "transcript": re.compile(r"(RNA|transcript|gene_segment)$")}
_PLACE_AND_NOTES = {k.CHROM: 0, k.START: 3, k.END: 4, k.STRAND: 6, "notes": 8}


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
    for column in records.columns.intersection(["id", k.SYMBOL, "gene_type", "transcript"]):
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
    for column in records.columns.intersection([k.START, k.END, k.TSS]):
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


# GTF and GFF3


def read_gff(path: Path, *, max_bytes: int = MAX_BYTES) -> tuple[pd.DataFrame | None, pd.DataFrame]:
    """Read gene records, or None where there are none, and transcript records; exons and the like are passed over.

    Returns
    -------
    tuple
        Two tables of ``id``, ``chrom``, ``start`` (from 0), ``end``, ``strand`` and ``_key``, by which a transcript
        finds its gene. Genes, and transcripts without gene records, have ``symbol`` and ``gene_type``; transcripts
        have ``transcript`` and ``_rank``, their place in ``TSS_RULES``.

    Raises
    ------
    ValueError
        When there is neither gene nor transcript, a record lacks a column, an id or a place, or a gzipped file holds
        more than ``max_bytes``.
    """
    rows: dict[str, list[tuple[str, ...]]] = {kind: [] for kind in _FEATURES}
    kinds: dict[bytes, str | None] = {}
    for number, line, feature in _records(path, max_bytes):
        if feature not in kinds:
            name = feature.decode(errors="replace")
            kinds[feature] = next((kind for kind, pattern in _FEATURES.items() if pattern.search(name)), None)
        if kind := kinds[feature]:
            fields = decode(line, path=path, number=number).split("\t")
            if len(fields) != GFF_COLUMNS:
                raise ValueError(_not_gff(line, path=path, number=number))
            rows[kind].append(tuple(fields[i] for i in _PLACE_AND_NOTES.values()))
    if not any(rows.values()):
        found = ", ".join(sorted(feature.decode(errors="replace") for feature in kinds)[:8]) or "no row at all"
        msg = f"{path}: no genes and no transcripts, only {found}; expected rows whose third column is 'gene'."
        raise ValueError(msg)
    transcripts = _table(rows.pop("transcript"), path=path)
    notes = transcripts.pop("notes")
    transcripts["id"] = _attribute(notes, "gene_id")
    transcripts["_key"] = _attribute(notes, "Parent").fillna(transcripts["id"])
    transcripts["transcript"] = _attribute(notes, "transcript_id", "ID").fillna("")
    transcripts["_rank"] = _rank(notes)
    if not rows["gene"]:
        problem = "no attribute gene_id, by which transcripts without gene records find each other"
        refuse(transcripts["id"].isna(), transcripts.assign(notes=notes), problem, source=str(path))
        return None, _described(transcripts, notes)
    genes = _table(rows.pop("gene"), path=path)
    notes = genes.pop("notes")
    genes["_key"] = _attribute(notes, "ID", "gene_id")
    genes["id"] = _attribute(notes, "gene_id", "ID")
    problem = "no attribute gene_id (GTF) or ID (GFF3)"
    refuse(genes["id"].isna(), genes.assign(notes=notes), problem, source=str(path))
    return _described(genes, notes), transcripts


def _records(path: Path, max_bytes: int) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield number, text and feature of each row."""
    number = 0
    for block in read_blocks(path, max_bytes=max_bytes):
        for line in block:
            number += 1
            fields = line.split(b"\t", 3)
            if len(fields) > 3 and line[:1] != b"#":
                yield number, line, fields[2]
            elif line.startswith(b"##FASTA"):
                return
            elif line.strip() and line[:1] != b"#":
                raise ValueError(_not_gff(line, path=path, number=number))


def _not_gff(line: bytes, *, path: Path, number: int) -> str:
    shown = line[:60].decode(errors="replace")
    n = line.count(b"\t") + 1
    return f"{path}: line {number} has {n} columns ({shown!r}); expected the {GFF_COLUMNS} of GTF and GFF3, by tabs."


def _table(rows: list[tuple[str, ...]], *, path: Path) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=list(_PLACE_AND_NOTES), dtype=object)
    table = check_records(table, first=1, source=str(path))
    return table.assign(start=table[k.START] - 1)


def _attribute(notes: pd.Series, *keys: str) -> pd.Series:
    """Value of the first key that a row has: ``gene_id "x";`` (GTF) or ``ID=gene:x;`` (GFF3); missing without any."""
    values = pd.Series(np.nan, index=notes.index, dtype=object)
    for key in keys:
        without = values.isna()
        if without.any():
            found = notes[without].str.extract(rf'(?:^|;)\s*{key}[ =]\s*"?([^";]*)', expand=False)
            if key in ("ID", "Parent"):  # Ensembl and NCBI write gene:ENSG... and gene-PAX5
                found = found.str.extract(r"^(?:(?:gene|transcript|rna)[:-])?([^,]*)", expand=False)
            values[without] = found.where(found != "")
    return values


def _described(records: pd.DataFrame, notes: pd.Series) -> pd.DataFrame:
    """Add symbol and type of each gene."""
    symbol = _attribute(notes, "gene_name", "Name", "gene")
    records[k.SYMBOL] = symbol.map(unquote, na_action="ignore") if notes.str.contains("%").any() else symbol
    records["gene_type"] = _attribute(notes, "gene_type", "gene_biotype", "biotype")
    return records


def _rank(notes: pd.Series) -> pd.Series:
    """Rank transcripts by their tags: whole numbers are places in TSS_RULES, tenths are APPRIS' own numbers."""
    rank = pd.Series(float(LONGEST), index=notes.index)
    principal = notes[notes.str.contains("appris_principal", regex=False)]
    number = principal.str.extract(r"appris_principal_(\d)", expand=False).fillna("1")
    rank[principal.index] = APPRIS + number.astype(float) / 10
    rank[notes.str.contains("MANE[_ ]Select")] = 1.0
    rank[notes.str.contains("Ensembl_canonical", regex=False)] = 0.0
    return rank
