"""Read the gene records of GTF and GFF3 files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.shorten import shorten
from simplechrome_tk.io._gene_records import APPRIS, LONGEST, Records, check_records, refuse, without_backwards
from simplechrome_tk.io._genome import assembly_in
from simplechrome_tk.io._text import MAX_BYTES, decode, read_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

GFF_COLUMNS = 9

_FEATURES = {"gene": re.compile(r"(^|_)(pseudo)?gene$"), "transcript": re.compile(r"(RNA|transcript|gene_segment)$")}
_PARTS = {
    "part": re.compile(
        r"^(?:.*_)?(?:exon|CDS|[35]?UTR|(?:five|three)_prime_utr|start_codon|stop_codon)$", re.IGNORECASE
    )
}
_CODING = ("cds", "start_codon", "stop_codon")
_COLUMNS = {k.CHROM: 0, "feature": 2, k.START: 3, k.END: 4, k.STRAND: 6, "notes": 8}
_LONGEST_INTRON = 2_000_000  # bp; what lies further apart under one name is a second copy
_FIX = (
    "gffread -E --keep-genes and AGAT's agat_convert_sp_gxf2gxf.pl write a file with genes, transcripts and what links "
    "them"
)
_HEAD_LINES = 1_000


def read_gff(path: Path, *, max_bytes: int = MAX_BYTES) -> Records:
    """Read genes and transcripts; where there is neither, put transcripts together from their exons.

    Returns
    -------
    Records
        Tables of ``id``, ``chrom``, ``start`` (from 0), ``end``, ``strand`` and ``_key``, by which a transcript finds
        its gene. Genes, and transcripts without gene records, have ``symbol`` and ``gene_type``; transcripts have
        ``transcript`` and ``_rank``, their place in ``TSS_RULES``. Chromosome lengths are those of
        ``##sequence-region``, the assembly that of the comments at the head.

    Raises
    ------
    ValueError
        When there is neither gene nor transcript nor exon, a record lacks a column, an id or a place, or a gzipped file
        holds more than ``max_bytes``.
    """
    rows, head = _collect(path, _FEATURES, max_bytes)
    if not any(rows.values()):
        transcripts, found = _of_parts(path, max_bytes)
        transcripts, backwards = without_backwards(transcripts, source=str(path))
        return Records(None, transcripts, backwards, found, head.sizes, head.assembly)
    transcripts = _table(rows["transcript"], path=path)
    notes = transcripts.pop("notes")
    transcripts["transcript"] = _first(_attribute(notes, "transcript_id", "ID"), _bare(notes)).fillna("").astype(object)
    parent, bare = _attribute(notes, "Parent"), _bare(notes).str.replace(r"\.t\d+$", "", regex=True)
    transcripts["id"] = _first(_attribute(notes, "gene_id"), bare)
    transcripts["_key"] = _first(parent, transcripts["id"])
    transcripts["_rank"] = _rank(notes)
    if not rows["gene"]:
        transcripts["id"] = _first(transcripts["id"], parent, _attribute(notes, "geneID", "gene", "locus_tag"))
        problem = f"no gene_id or Parent, by which transcripts without gene records find each other ({_FIX})"
        refuse(transcripts["id"].isna(), transcripts.assign(notes=notes), problem, source=str(path))
        transcripts = _described(transcripts, notes, "gene_name", "gene")
        transcripts, backwards = without_backwards(transcripts, source=str(path))
        return Records(None, transcripts, backwards, {}, head.sizes, head.assembly)
    genes = _table(rows["gene"], path=path)
    notes = genes.pop("notes")
    genes["_key"] = _first(_attribute(notes, "ID", "gene_id"), _bare(notes))
    genes["id"] = _first(_attribute(notes, "gene_id", "ID"), _bare(notes))
    problem = f"no attribute gene_id (GTF) or ID (GFF3) ({_FIX})"
    refuse(genes["id"].isna(), genes.assign(notes=notes), problem, source=str(path))
    genes, backwards = without_backwards(_described(genes, notes, "gene_name", "Name", "gene"), source=str(path))
    # A transcript that ends before it starts has no TSS to read; a gene of which that is true is named already.
    transcripts = transcripts[~transcripts["_backwards"]].drop(columns="_backwards").reset_index(drop=True)
    return Records(genes, transcripts, backwards, {}, head.sizes, head.assembly)


class _Head:
    """What comments say of the genome."""

    def __init__(self) -> None:
        self.sizes: dict[str, int] = {}
        self._comments: list[str] = []

    @property
    def assembly(self) -> str:
        return assembly_in(self._comments)

    def add(self, line: bytes, number: int) -> None:
        fields = line.split()
        if fields[0] == b"##sequence-region" and len(fields) == 4:
            # Other regions are parts: Ensembl's Y begins and ends where its pseudoautosomal ends do not.
            if fields[2] == b"1" and fields[3].isdigit():
                self.sizes[fields[1].decode(errors="replace")] = int(fields[3])
        elif number <= _HEAD_LINES:
            self._comments.append(line.decode(errors="replace"))


def _collect(
    path: Path, patterns: Mapping[str, re.Pattern[str]], max_bytes: int
) -> tuple[dict[str, list[tuple[str, ...]]], _Head]:
    """Gather the rows of each kind of feature."""
    rows: dict[str, list[tuple[str, ...]]] = {kind: [] for kind in patterns}
    kinds: dict[bytes, str | None] = {}
    head = _Head()
    for number, line, feature in _lines(path, max_bytes, head):
        if feature not in kinds:
            name = feature.decode(errors="replace")
            kinds[feature] = next((kind for kind, pattern in patterns.items() if pattern.search(name)), None)
        if kind := kinds[feature]:
            fields = decode(line, path=path, number=number).split("\t")
            if len(fields) != GFF_COLUMNS:
                raise ValueError(_not_gff(line, path=path, number=number))
            rows[kind].append(tuple(fields[i] for i in _COLUMNS.values()))
    if patterns is _PARTS and not rows["part"]:
        found = shorten(sorted(feature.decode(errors="replace") for feature in kinds)) if kinds else "no row at all"
        msg = (
            f"{path}: no genes, no transcripts and no exons, only {found}; expected rows whose third column is 'gene', "
            f"'transcript' or 'exon'. {_FIX}."
        )
        raise ValueError(msg)
    return rows, head


def _lines(path: Path, max_bytes: int, head: _Head) -> Iterator[tuple[int, bytes, bytes]]:
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
            elif line[:1] == b"#":
                head.add(line, number)
            elif line.strip():
                raise ValueError(_not_gff(line, path=path, number=number))


def _not_gff(line: bytes, *, path: Path, number: int) -> str:
    shown = line[:60].decode(errors="replace")
    n = line.count(b"\t") + 1
    return f"{path}: line {number} has {n} columns ({shown!r}); expected the {GFF_COLUMNS} of GTF and GFF3, by tabs."


def _table(rows: list[tuple[str, ...]], *, path: Path) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=list(_COLUMNS), dtype=object)
    table = check_records(table, first=1, source=str(path)).drop(columns="feature")
    return table.assign(start=table[k.START] - 1)


def _of_parts(path: Path, max_bytes: int) -> tuple[pd.DataFrame, dict[str, int]]:
    """Put transcripts together from exons, coding sequences and the like: each reaches from the first to the last."""
    rows = _collect(path, _PARTS, max_bytes)[0]["part"]
    table = _table(rows, path=path)
    notes = table["notes"]
    table["coding"] = [feature.lower() in _CODING for _, feature, *_ in rows]
    table["transcript"] = _first(_attribute(notes, "transcript_id"), _attribute(notes, "Parent", several=True))
    table["id"] = _first(_attribute(notes, "gene_id", "geneID", "gene", "locus_tag"), table["transcript"])
    refuse(table["id"].isna(), table, f"no gene_id, transcript_id or Parent ({_FIX})", source=str(path))
    table["transcript"] = _first(table["transcript"], table["id"]).str.split(",")
    same = ["transcript", k.CHROM, k.STRAND]
    table = table.explode("transcript").reset_index(drop=True).reset_index(names="_row")
    table["id"] = table["id"].where(~table["id"].str.contains(",", regex=False), table["transcript"])
    table = table.sort_values(["id", *same, k.START], kind="stable")
    reach = table.groupby(["id", *same], sort=False)[k.END].cummax().shift()
    apart = ~table.duplicated(["id", *same]) | (table[k.START] - reach > _LONGEST_INTRON)
    grouped = table.groupby(apart.cumsum().to_numpy())
    whole = grouped.agg(
        **{name: (name, "first") for name in ("id", *same, "notes")},
        **{k.START: (k.START, "min"), k.END: (k.END, "max"), "coding": ("coding", "all")},
        **{"_backwards": ("_backwards", "any"), "_row": ("_row", "min")},
    )
    whole = whole.sort_values("_row").drop(columns="_row").reset_index(drop=True)
    notes, coding = whole.pop("notes"), whole.pop("coding")
    whole = _described(whole.assign(_key=whole["id"], _rank=_rank(notes)), notes, "gene_name", "gene")
    found = {"from_exons": len(whole), "of_coding_sequence": int(coding.sum())}
    return whole, found


def _attribute(notes: pd.Series, *keys: str, several: bool = False) -> pd.Series:
    """Value of the first key that a row has: ``gene_id "x";`` (GTF) or ``ID=gene:x;`` (GFF3); missing without any."""
    values = pd.Series(np.nan, index=notes.index, dtype=object)
    for key in keys:
        without = values.isna()
        if without.any():
            found = notes[without].str.extract(rf'(?:^|;)\s*{key}[ =]\s*"?([^";]*)', expand=False)
            if key in ("ID", "Parent"):  # Ensembl and NCBI write gene:ENSG... and gene-PAX5
                found = found.str.replace(r"(^|,)(?:gene|transcript|rna)[:-]", r"\1", regex=True)
                found = found if several else found.str.replace(r",.*", "", regex=True)
            values[without] = found.str.strip().where(found != "")
    return values


def _bare(notes: pd.Series) -> pd.Series:
    """Return notes that are an id alone, as AUGUSTUS writes them; missing where they are attributes."""
    return notes.str.strip().where(notes.str.fullmatch(r'\s*[^\s=;",]+\s*')).astype(object)


def _first(*values: pd.Series) -> pd.Series:
    """Take of each row the first value that it has."""
    found = values[0].astype(object)
    for other in values[1:]:
        found = found.where(found.notna(), other.astype(object))
    return found


def _described(records: pd.DataFrame, notes: pd.Series, *symbol_keys: str) -> pd.DataFrame:
    """Add symbol and type of each gene."""
    symbol = _attribute(notes, *symbol_keys)
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
