"""Read the genes and transcripts of GTF and GFF3 files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

import numpy as np
import pandas as pd

from simplechrome_tk import _keys as k
from simplechrome_tk.io._gene_table import APPRIS, LONGEST, check_records, refuse
from simplechrome_tk.io._text import MAX_BYTES, decode, read_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GFF_COLUMNS = 9

_FEATURES = {"gene": re.compile(r"(^|_)(pseudo)?gene$"), "transcript": re.compile(r"(RNA|transcript|gene_segment)$")}
_PLACE_AND_NOTES = {k.CHROM: 0, k.START: 3, k.END: 4, k.STRAND: 6, "notes": 8}


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
