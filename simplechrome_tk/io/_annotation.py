"""Read genes: where each lies, and where its transcription starts."""

from __future__ import annotations

import itertools
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.shorten import shorten
from simplechrome_tk.io._gene_records import GENE_RECORD, TSS_RULES, Records, from_table, with_id
from simplechrome_tk.io._genome import (
    assemblies,
    assembly_sizes,
    check_names,
    check_naming,
    chrom_sizes,
    within,
)
from simplechrome_tk.io._gff import GFF_COLUMNS, read_gff
from simplechrome_tk.io._ids import TRANSCRIPT, is_spreadsheet_damage, replace_control_characters
from simplechrome_tk.io._loci import join
from simplechrome_tk.io._paths import as_path
from simplechrome_tk.io._text import MAX_BYTES, check_width, column_names, read_rows
from simplechrome_tk.io._ucsc import ucsc_columns

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from simplechrome_tk.io._genome import Genome

logger = logging.getLogger(__name__)

TssRule = Literal["canonical", "most_upstream", "all"]

_GFF_NAMES = ("gtf", "gff", "gff2", "gff3")
_BED = ("chrom", "start", "end", "name", "score", "strand")
_TSS_SUFFIX = re.compile(r":tss\d+$")
_TEXT = ("id", "_key", k.SYMBOL, k.CHROM, "gene_type", "transcript")
LEFT_OUT = {
    "par_copies": "pseudoautosomal copies on chrY left out",
    "alternate_copies": "copies on haplotypes, patches or unplaced sequences left out",
    "further_loci": "further loci of an id left out (the first is kept)",
    "backwards": "genes whose end is not after their start left out (across the origin of a circular chromosome?)",
    "beyond_end": "genes beyond the end of their chromosome left out",
}
"""Why a gene is left out, and how the log says it."""

_COUNTED = {
    "unknown_strand": "of unknown strand (read along the genome)",
    "stray_transcripts": "transcripts of no gene record left out",
    "other_types": "genes of other types left out",
    "not_in_genome": "rows on chromosomes that genome does not list",
    "from_exons": "transcripts put together from their exons",
    "of_coding_sequence": "of them from coding sequence alone (their TSS is where translation starts)",
    "named_as_transcripts": "genes go by the id of a transcript (several may be of one gene)",
    "control_characters": "rows with line breaks or invisible characters in a name (replaced by a space)",
    "spreadsheet_damage": "ids or symbols that a spreadsheet has changed",
}


def read_annotation(
    annotation: str | os.PathLike[str] | pd.DataFrame,
    *,
    tss: TssRule = "canonical",
    gene_types: str | Sequence[str] | None = None,
    genome: str | os.PathLike[str] | Mapping[str, int] | pd.DataFrame | pd.Series | None = None,
    max_bytes: int = MAX_BYTES,
) -> pd.DataFrame:
    """Read genes and choose the start of transcription of each.

    Parameters
    ----------
    annotation
        GTF, GFF3, BED6, BED12, a gene table of UCSC's download server (refGene, refFlat, knownGene) or a table with a
        header (tab, comma, semicolon or space), plain or gzipped; or a DataFrame. A file whose name ends in ``.gtf``,
        ``.gff``, ``.gff3`` or ``.bed`` (``.gz``) is read as such, any other by its content. A table needs a chromosome
        (``chrom``, ``chr``), ``tss`` or ``start`` and ``end`` (0-based, half-open, bp), ``strand`` and an id (``id``,
        ``gene_id``, ``Ensembl_ID``, ``name``; of a DataFrame its index, also of whole numbers, unless that counts
        rows). It may have ``symbol`` and ``gene_type``; further columns are kept. Rows of a table or BED file that
        share an id and overlap are transcripts of one gene. Of GTF and GFF3 without genes and transcripts, transcripts
        are put together from exons.
    tss
        ``"canonical"``: the start of the transcript tagged ``Ensembl_canonical``, else ``MANE_Select``, else APPRIS
        principal (the lowest number), else of the longest from start to end. ``"most_upstream"``: the 5'-most start
        of a transcript. ``"all"``: one row for each distinct start, from 5' to 3', with ids ``id:tss1``, ``id:tss2``.
        Where a gene has no transcript, its own 5' edge.
    gene_types
        Keep genes of these types only, such as ``"protein_coding"``.
    genome
        Chromosome sizes to check the genes against: ``{name: bp}``, a Series or table, the path of a two-column
        ``chrom.sizes`` or ``.fai``, or an assembly that bioframe knows (``"hg19"``, ``"mm10"``).
    max_bytes
        What a gzipped file may hold once unpacked.

    Returns
    -------
    pandas.DataFrame
        One row per gene, in the order of the file, as :func:`simplechrome_tk.pp.bin_peaks` needs it. Index: gene id,
        without version if it is one of Ensembl or RefSeq. ``symbol`` (the id where there is none), ``chrom``,
        ``start`` and ``end`` of the gene (bp, 0-based, half-open; missing where a table has ``tss`` alone), ``strand``
        (``.`` for unknown), ``tss`` (bp, 0-based: the 5' edge, so a start on ``+`` and an end on ``-``), ``gene_id``
        (the index without ``:tss1``), ``transcript`` (the one that starts there, ``""`` for none), ``tss_rule`` (one of
        ``TSS_RULES``, or ``tss``) and, where the file has it, ``gene_type``.

        ``attrs["read_annotation"]``: ``source``, ``tss``, the ``counts`` that are also logged, ``left_out`` (reason ->
        ids and places of genes) and ``assembly``, where the comments at the head of a file name one.

    Raises
    ------
    ValueError
        When there is no gene, transcript or exon, an id, column or attribute is missing, a row is no interval, a
        chromosome goes by two names (``1`` and ``chr1``), ``gene_types`` leaves no gene, or the genes and ``genome``
        do not fit: no common chromosome name, other chromosome lengths than the file names, or several genes beyond the
        end of their chromosome; or when a gzipped file is damaged or holds more than ``max_bytes``.

    Notes
    -----
    Of genes that share an id, that on the primary chromosome is kept (chrX before chrY), whatever the order; those on
    haplotypes, patches and unplaced sequences come last. Genes that run across the origin of a circular chromosome, and
    a single gene beyond the end of its chromosome, are left out. Line breaks and invisible characters in names become a
    space. All of this is counted and named in the log, besides genes served by each rule, genes of unknown strand,
    genes on chromosomes not in ``genome``, and ids that a spreadsheet has turned into dates.

    Examples
    --------
    >>> import pandas as pd, simplechrome_tk as sct
    >>> table = pd.DataFrame({"chrom": "chr9", "start": [36_833_271], "end": [37_034_476], "strand": ["-"]}, ["PAX5"])
    >>> sct.io.read_annotation(table)["tss"].item()
    37034476
    """
    if tss not in get_args(TssRule):
        msg = f"tss is {tss!r}; choose one of {', '.join(get_args(TssRule))}."
        raise ValueError(msg)
    return read_genes(annotation, tss=tss, gene_types=gene_types, genome=genome, max_bytes=max_bytes)[0]


def read_genes(
    annotation: str | os.PathLike[str] | pd.DataFrame,
    *,
    tss: TssRule,
    gene_types: str | Sequence[str] | None,
    genome: Genome | None,
    max_bytes: int,
) -> tuple[pd.DataFrame, dict[str, dict[str, int]]]:
    """Read genes as :func:`read_annotation` does.

    Returns
    -------
    tuple
        Genes, and the chromosome lengths that are known with them: source -> chromosome -> its length in bp.
    """
    source = "the annotation table"
    if not isinstance(annotation, pd.DataFrame):
        annotation = as_path(
            annotation, name="annotation", expected="the path of one file, or a pandas DataFrame of genes"
        )
        source = str(annotation)
    records = _records(annotation, source=source, max_bytes=max_bytes)
    lengths = {} if genome is None else {"genome": chrom_sizes(genome)}
    if known := dict(records.sizes or (assembly_sizes(records.assembly) if records.assembly in assemblies() else {})):
        lengths[source] = known
    tables = [replace_control_characters(t, _TEXT) for t in records[:2] if t is not None]
    genes, transcripts = tables[0][0] if len(tables) > 1 else None, tables[-1][0]
    check_naming(transcripts[k.CHROM] if genes is None else genes[k.CHROM], source=source)
    genes, transcripts, left_out, stray = join(genes, transcripts)
    all_types = len(genes)
    if gene_types is not None:
        genes = _of_types(genes, [gene_types] if isinstance(gene_types, str) else list(gene_types), source=source)
    if not len(genes):
        msg = f"{source}: no gene is left; left out: {shorten(records.backwards)}."
        raise ValueError(msg)
    table = _place_tss(genes, transcripts, tss)
    unlisted = 0 if genome is None else check_names(table, lengths["genome"], source=source)
    table, beyond, _ = within(table, lengths, source=source)
    named = table["gene_id"].where(is_spreadsheet_damage(table["gene_id"]), table[k.SYMBOL])
    damaged = named[is_spreadsheet_damage(named)]
    left_out |= {"backwards": records.backwards, "beyond_end": beyond}
    served = table.loc[~table["gene_id"].duplicated(), "tss_rule"].value_counts()
    counts = {
        "genes": table["gene_id"].nunique(),
        "rows": len(table),
        **{f"tss_{rule}": int(n) for rule, n in served.items()},
        "unknown_strand": int((genes[k.STRAND] == k.UNKNOWN_STRAND).sum()),
        **{reason: len(names) for reason, names in left_out.items()},
        "stray_transcripts": stray,
        "other_types": all_types - len(genes),
        "not_in_genome": unlisted,
        **records.found,
        "named_as_transcripts": int(table["gene_id"].str.match(TRANSCRIPT).sum()),
        "control_characters": sum(n for _, n in tables),
        "spreadsheet_damage": len(damaged),
    }
    table.attrs["read_annotation"] = {
        "source": source,
        "tss": tss,
        "counts": counts,
        "left_out": left_out,
        "assembly": records.assembly,
    }
    _log(source, counts, left_out, damaged=damaged)
    return table, lengths


def _log(source: str, counts: Mapping[str, int], left_out: Mapping[str, Sequence[str]], *, damaged: pd.Series) -> None:
    """Say what was read; warn of what was left out or may be wrong."""
    rules = ", ".join(f"{rule[4:]} {n}" for rule, n in counts.items() if rule.startswith("tss_"))
    notes = [f"{counts[key]} {text}" for key, text in _COUNTED.items() if counts.get(key)]
    notes = [f"{note} ({shorten(damaged)})" if note.endswith("changed") else note for note in notes]
    notes += [
        f"{len(left_out[key])} {text}: {shorten(left_out[key])}" for key, text in LEFT_OUT.items() if left_out[key]
    ]
    message = "; ".join([f"{counts['genes']} genes in {counts['rows']} rows, TSS by {rules}", *notes])
    logger.log(logging.WARNING if notes else logging.INFO, "%s: %s.", source, message)


def _records(annotation: str | os.PathLike[str] | pd.DataFrame, *, source: str, max_bytes: int) -> Records:
    """Read what the annotation holds, whatever its format."""
    if isinstance(annotation, pd.DataFrame):
        assembly = annotation.attrs.get("read_annotation", {}).get("assembly", "")
        return from_table(with_id(annotation, source=source), source=source)._replace(assembly=assembly)
    path = Path(annotation)
    kind = path.name.lower().removesuffix(".gz").rpartition(".")[2]
    if kind in _GFF_NAMES:
        return read_gff(path, max_bytes=max_bytes)
    rows = read_rows(path, max_bytes=max_bytes)
    number, fields = next(rows)
    whole = [_is_whole(field) for field in fields]
    if kind != "bed" and len(fields) == GFF_COLUMNS and whole[3] and whole[4]:
        return read_gff(path, max_bytes=max_bytes)
    columns = ucsc_columns(fields)
    if columns is None and not any(whole[1:3]):
        names = column_names(fields)
        return from_table(pd.DataFrame(check_width(rows, len(names), path=path), columns=names), source=source)
    if columns is None and len(fields) < len(_BED):
        msg = (
            f"{path}: line {number} has {len(fields)} columns; expected BED6 ({', '.join(_BED)}) or BED12, since "
            "genes need an id and a strand, or a header that names the columns."
        )
        raise ValueError(msg)
    table = pd.DataFrame(check_width(itertools.chain([(number, fields)], rows), len(fields), path=path))
    columns = columns or {name: i for i, name in enumerate(_BED) if name != "score"}
    return from_table(table[list(columns.values())].set_axis(list(columns), axis=1), source=source)


def _is_whole(text: str) -> bool:
    """Whether a field is a whole number, also as ``1e+05``."""
    try:
        return float(text) >= 0 and float(text).is_integer() and "_" not in text
    except ValueError:
        return False


def _place_tss(genes: pd.DataFrame, transcripts: pd.DataFrame, rule: TssRule) -> pd.DataFrame:
    """Choose the TSS of each gene, as ``rule`` says, and return the table."""
    sites = transcripts[transcripts["_gene"].isin(genes.index)]
    bare = genes[~genes.index.isin(sites["_gene"])]
    bare = bare.assign(_gene=bare.index, _rank=float(GENE_RECORD), transcript="")
    sites = pd.concat([part for part in (sites, bare) if len(part)])
    minus = (genes[k.STRAND] == "-").loc[sites["_gene"]].to_numpy()
    edge = pd.Series(np.where(minus, sites[k.END], sites[k.START]), index=sites.index)
    tss = sites[k.TSS].fillna(edge) if k.TSS in sites else edge
    sites = pd.DataFrame(
        {
            "_gene": sites["_gene"].to_numpy(),
            "_rank": sites["_rank"].to_numpy(),
            "_short": (sites[k.START] - sites[k.END]).to_numpy(),
            "_along": np.where(minus, -tss, tss),
            k.TSS: tss.to_numpy(),
            "transcript": sites["transcript"].to_numpy(),
        }
    )
    order = ["_rank", "_short", "_along"] if rule == "canonical" else ["_along", "_rank"]
    sites = sites.sort_values(["_gene", *order], kind="stable")
    sites = sites.drop_duplicates(["_gene", k.TSS] if rule == "all" else "_gene")
    table = genes.loc[sites["_gene"]].reset_index(drop=True)
    sites = sites.reset_index(drop=True)
    table["gene_id"] = table["id"].str.replace(_TSS_SUFFIX, "", regex=True)
    if rule == "all":
        table["id"] += ":tss" + (sites.groupby("_gene").cumcount() + 1).astype(str)
    names = np.array(TSS_RULES)[sites["_rank"].astype(int)]
    chosen_by = names if rule == "canonical" else np.where(sites["_rank"] == GENE_RECORD, TSS_RULES[GENE_RECORD], rule)
    table[k.TSS], table["transcript"] = sites[k.TSS], sites["transcript"]
    table["tss_rule"] = table["tss_rule"] if "tss_rule" in table else chosen_by
    table[k.SYMBOL] = table[k.SYMBOL].fillna(table["gene_id"]) if k.SYMBOL in table else table["gene_id"]
    if "gene_type" in table:
        table["gene_type"] = table["gene_type"].fillna("")
        if (table["gene_type"] == "").all():
            table = table.drop(columns="gene_type")
    for column in (k.START, k.END, k.TSS):
        if table[column].notna().all():
            table[column] = table[column].astype(np.int64)
    columns = [k.SYMBOL, k.CHROM, k.START, k.END, k.STRAND, k.TSS, "gene_id", "transcript", "tss_rule"]
    hidden = [column for column in table if str(column).startswith("_")]
    table = table.set_index("id").rename_axis(None).drop(columns=hidden)
    return table[[*columns, *(column for column in table if column not in columns)]]


def _of_types(genes: pd.DataFrame, types: Sequence[str], *, source: str) -> pd.DataFrame:
    if "gene_type" not in genes or genes["gene_type"].isna().all():
        msg = f"{source}: no gene types are known; leave gene_types out, or add a column gene_type to a table of genes."
        raise ValueError(msg)
    counts = genes["gene_type"].value_counts()
    unknown = [name for name in types if name not in counts]
    if unknown or not types:
        found = ", ".join(f"{name} ({n})" for name, n in counts.head(8).items())
        msg = f"{source}: gene_types asks for {shorten(unknown)}, which no gene is; found {found}."
        raise ValueError(msg)
    return genes[genes["gene_type"].isin(types)]
