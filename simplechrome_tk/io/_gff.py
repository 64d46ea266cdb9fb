"""Gene records of GTF and GFF3 files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.shorten import shorten
from simplechrome_tk.io._gene_records import (
    APPRIS,
    BACKWARDS,
    KEY,
    LONGEST,
    RANK,
    TSS_RULES,
    Records,
    check_records,
    drop_backwards,
    refuse_rows,
)
from simplechrome_tk.io._genome import find_assembly
from simplechrome_tk.io._text import MAX_BYTES, decode, read_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

GFF_COLUMNS = 9
"""Number of columns in GTF and GFF3."""

# Kind of record -> names of features (column 3) of that kind.
_FEATURES = {"gene": re.compile(r"(^|_)(pseudo)?gene$"), "transcript": re.compile(r"(RNA|transcript|gene_segment)$")}
_PARTS = {
    "part": re.compile(
        r"^(?:.*_)?(?:exon|CDS|[35]?UTR|(?:five|three)_prime_utr|start_codon|stop_codon)$", re.IGNORECASE
    )
}
_CODING = ("cds", "start_codon", "stop_codon")

# Places of the columns that are read; "notes" are the attributes.
_COLUMNS = {k.CHROM: 0, "feature": 2, k.START: 3, k.END: 4, k.STRAND: 6, "notes": 8}

# Parts of one name that lie further apart than this, in bp, are two copies. The longest human introns have some 1.2 Mb.
_LONGEST_INTRON = 2_000_000

_FIX = (
    "gffread -E --keep-genes and AGAT's agat_convert_sp_gxf2gxf.pl write a file with genes, transcripts and what links "
    "them"
)

# Comments of this many lines are searched for the name of the assembly.
_HEAD_LINES = 1_000


def read_gff(path: Path, *, max_bytes: int = MAX_BYTES) -> Records:
    """Read genes and transcripts; in a file with neither, put transcripts together from their exons.

    Returns
    -------
    Records
        Tables of ``id``, ``chrom``, ``start`` (from 0), ``end``, ``strand`` and ``_key``, by which a transcript finds
        its gene. Genes, and transcripts without gene records, have ``symbol`` and ``gene_type``; transcripts have
        ``transcript`` and ``_rank``, their place in ``TSS_RULES``. Chromosome lengths come from
        ``##sequence-region``, the assembly from the comments at the head.

    Raises
    ------
    ValueError
        When there is neither gene nor transcript nor exon, a record lacks a column, an id or a place, or a gzipped file
        holds more than ``max_bytes``.
    """
    rows, head = _collect(path, _FEATURES, max_bytes)
    if not any(rows.values()):
        transcripts, found = _assemble_transcripts(path, max_bytes)
        transcripts, backwards = drop_backwards(transcripts, source=str(path))
        return Records(None, transcripts, backwards, found, head.sizes, head.assembly)
    transcripts, notes = _read_transcripts(rows["transcript"], path=path)
    if not rows["gene"]:
        transcripts = _name_genes(transcripts, notes, path=path)
        transcripts, backwards = drop_backwards(transcripts, source=str(path))
        return Records(None, transcripts, backwards, {}, head.sizes, head.assembly)
    genes, backwards = _read_gene_rows(rows["gene"], path=path)
    # A transcript that ends before it starts has no TSS to read; where its gene does so too, that is named already.
    transcripts = transcripts[~transcripts[BACKWARDS]].drop(columns=BACKWARDS).reset_index(drop=True)
    return Records(genes, transcripts, backwards, {}, head.sizes, head.assembly)


def _read_transcripts(rows: list[tuple[str, ...]], *, path: Path) -> tuple[pd.DataFrame, pd.Series]:
    """Return transcripts, each with the key of its gene and its rank, and their attributes."""
    transcripts = _make_table(rows, path=path)
    notes = transcripts.pop("notes")
    own_id = _attribute(notes, "transcript_id", "ID")
    transcripts["transcript"] = _first_known(own_id, _bare_ids(notes)).fillna("").astype(object)
    # AUGUSTUS calls the first transcript of gene g1 "g1.t1".
    gene_of_bare_id = _bare_ids(notes).str.replace(r"\.t\d+$", "", regex=True)
    transcripts["id"] = _first_known(_attribute(notes, "gene_id"), gene_of_bare_id)
    transcripts[KEY] = _first_known(_attribute(notes, "Parent"), transcripts["id"])
    transcripts[RANK] = _rank_transcripts(notes)
    return transcripts, notes


def _name_genes(transcripts: pd.DataFrame, notes: pd.Series, *, path: Path) -> pd.DataFrame:
    """Give transcripts without gene records the id, symbol and type of their gene."""
    names = _attribute(notes, "geneID", "gene", "locus_tag")
    transcripts["id"] = _first_known(transcripts["id"], _attribute(notes, "Parent"), names)
    problem = f"no gene_id or Parent, by which transcripts without gene records find each other ({_FIX})"
    refuse_rows(transcripts["id"].isna(), transcripts.assign(notes=notes), problem, source=str(path))
    return _add_symbol_and_type(transcripts, notes, "gene_name", "gene")


def _read_gene_rows(rows: list[tuple[str, ...]], *, path: Path) -> tuple[pd.DataFrame, list[str]]:
    """Return gene records, and ids and places of those that end before they start, which are left out."""
    genes = _make_table(rows, path=path)
    notes = genes.pop("notes")
    genes[KEY] = _first_known(_attribute(notes, "ID", "gene_id"), _bare_ids(notes))
    genes["id"] = _first_known(_attribute(notes, "gene_id", "ID"), _bare_ids(notes))
    problem = f"no attribute gene_id (GTF) or ID (GFF3) ({_FIX})"
    refuse_rows(genes["id"].isna(), genes.assign(notes=notes), problem, source=str(path))
    genes = _add_symbol_and_type(genes, notes, "gene_name", "Name", "gene")
    return drop_backwards(genes, source=str(path))


class _Head:
    """Lengths of chromosomes and name of the assembly, from the comments of a file."""

    def __init__(self) -> None:
        self.sizes: dict[str, int] = {}
        self._comments: list[str] = []

    @property
    def assembly(self) -> str:
        """Name of the assembly; empty where the comments name none."""
        return find_assembly(self._comments)

    def add(self, line: bytes, number: int) -> None:
        """Add a comment and the number of its line."""
        fields = line.split()
        if fields[0] == b"##sequence-region" and len(fields) == 4:
            # A region that does not begin at 1 is a part: Ensembl gives Y without its pseudoautosomal ends.
            if fields[2] == b"1" and fields[3].isdigit():
                self.sizes[fields[1].decode(errors="replace")] = int(fields[3])
        elif number <= _HEAD_LINES:
            self._comments.append(line.decode(errors="replace"))


def _collect(
    path: Path, patterns: Mapping[str, re.Pattern[str]], max_bytes: int
) -> tuple[dict[str, list[tuple[str, ...]]], _Head]:
    """Collect the rows of each kind of feature, and the head of the file."""
    rows: dict[str, list[tuple[str, ...]]] = {kind: [] for kind in patterns}
    # Files have millions of rows and few features: the kind of each feature is looked up once.
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
    """Yield number, text and feature of each row, and add comments to the head."""
    number = 0
    for block in read_blocks(path, max_bytes=max_bytes):
        for line in block:
            number += 1
            fields = line.split(b"\t", 3)
            if len(fields) > 3 and line[:1] != b"#":
                yield number, line, fields[2]
            elif line.startswith(b"##FASTA"):
                # The genome sequence follows to the end of the file.
                return
            elif line[:1] == b"#":
                head.add(line, number)
            elif line.strip():
                raise ValueError(_not_gff(line, path=path, number=number))


def _not_gff(line: bytes, *, path: Path, number: int) -> str:
    shown = line[:60].decode(errors="replace")
    n = line.count(b"\t") + 1
    return f"{path}: line {number} has {n} columns ({shown!r}); expected the {GFF_COLUMNS} of GTF and GFF3, by tabs."


def _make_table(rows: list[tuple[str, ...]], *, path: Path) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=list(_COLUMNS), dtype=object)
    table = check_records(table, first=1, source=str(path)).drop(columns="feature")
    # GTF and GFF3 count from 1, this package from 0.
    return table.assign(start=table[k.START] - 1)


def _assemble_transcripts(path: Path, max_bytes: int) -> tuple[pd.DataFrame, dict[str, int]]:
    """Put transcripts together from exons and coding sequences: each reaches from its first part to its last."""
    rows = _collect(path, _PARTS, max_bytes)[0]["part"]
    parts = _make_table(rows, path=path)
    notes = parts["notes"]
    parts["coding"] = [feature.lower() in _CODING for _, feature, *_ in rows]
    parts["transcript"] = _first_known(_attribute(notes, "transcript_id"), _attribute(notes, "Parent", several=True))
    parts["id"] = _first_known(_attribute(notes, "gene_id", "geneID", "gene", "locus_tag"), parts["transcript"])
    refuse_rows(parts["id"].isna(), parts, f"no gene_id, transcript_id or Parent ({_FIX})", source=str(path))

    # A part of GFF3 may belong to several transcripts; without a gene of their own, each of these is a gene.
    parts["transcript"] = _first_known(parts["transcript"], parts["id"]).str.split(",")
    parts = parts.explode("transcript").reset_index(drop=True).reset_index(names="row")
    parts["id"] = parts["id"].where(~parts["id"].str.contains(",", regex=False), parts["transcript"])

    transcripts = _join_parts(parts)
    notes, coding = transcripts.pop("notes"), transcripts.pop("coding")
    transcripts = transcripts.assign(**{KEY: transcripts["id"], RANK: _rank_transcripts(notes)})
    transcripts = _add_symbol_and_type(transcripts, notes, "gene_name", "gene")
    return transcripts, {"from_exons": len(transcripts), "of_coding_sequence": int(coding.sum())}


def _join_parts(parts: pd.DataFrame) -> pd.DataFrame:
    """Join the parts of each transcript, unless they are further apart than any intron; keep the order of the file."""
    same = ["id", "transcript", k.CHROM, k.STRAND]
    parts = parts.sort_values([*same, k.START], kind="stable")
    reach = parts.groupby(same, sort=False)[k.END].cummax().shift()
    begins = ~parts.duplicated(same) | (parts[k.START] - reach > _LONGEST_INTRON)
    transcripts = parts.groupby(begins.cumsum().to_numpy()).agg(
        **{name: (name, "first") for name in (*same, "notes")},
        **{k.START: (k.START, "min"), k.END: (k.END, "max"), "coding": ("coding", "all")},
        **{BACKWARDS: (BACKWARDS, "any"), "row": ("row", "min")},
    )
    return transcripts.sort_values("row").drop(columns="row").reset_index(drop=True)


def _attribute(notes: pd.Series, *keys: str, several: bool = False) -> pd.Series:
    """Return the value of the first key that a row has; missing for a row without any.

    GTF writes ``gene_id "x";``, GFF3 ``ID=gene:x;``. Of the ids of several parents, the first one is returned, or with
    ``several`` all of them.
    """
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


def _bare_ids(notes: pd.Series) -> pd.Series:
    """Return attributes that are an id alone, as AUGUSTUS writes them; missing for all others."""
    return notes.str.strip().where(notes.str.fullmatch(r'\s*[^\s=;",]+\s*')).astype(object)


def _first_known(*values: pd.Series) -> pd.Series:
    """Return the first value of each row that is not missing."""
    found = values[0].astype(object)
    for other in values[1:]:
        found = found.where(found.notna(), other.astype(object))
    return found


def _add_symbol_and_type(records: pd.DataFrame, notes: pd.Series, *symbol_keys: str) -> pd.DataFrame:
    """Add symbol and type of each gene to its records."""
    symbol = _attribute(notes, *symbol_keys)
    # GFF3 writes special characters as in web addresses: "%3B" for a semicolon.
    if notes.str.contains("%").any():
        symbol = symbol.map(unquote, na_action="ignore")
    records[k.SYMBOL] = symbol
    records["gene_type"] = _attribute(notes, "gene_type", "gene_biotype", "biotype")
    return records


def _rank_transcripts(notes: pd.Series) -> pd.Series:
    """Rank transcripts by their tags: whole numbers are places in TSS_RULES, tenths are the levels of APPRIS."""
    rank = pd.Series(float(LONGEST), index=notes.index)
    principal = notes[notes.str.contains("appris_principal", regex=False)]
    number = principal.str.extract(r"appris_principal_(\d)", expand=False).fillna("1")
    rank[principal.index] = APPRIS + number.astype(float) / 10
    rank[notes.str.contains("MANE[_ ]Select")] = float(TSS_RULES.index("MANE_Select"))
    rank[notes.str.contains("Ensembl_canonical", regex=False)] = float(TSS_RULES.index("Ensembl_canonical"))
    return rank
