"""Gene annotations: the place of each gene, and where its transcription starts."""

from __future__ import annotations

import itertools
import logging
import re
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.shorten import shorten
from simplechrome_tk.io._gene_records import (
    ADDED_COLUMNS,
    GENE,
    GENE_RECORD,
    KEY,
    RANK,
    TSS_RULES,
    Records,
    read_table,
    set_id_column,
)
from simplechrome_tk.io._genome import (
    assemblies,
    assembly_sizes,
    check_one_naming,
    check_shared_names,
    drop_beyond_ends,
    read_chrom_sizes,
)
from simplechrome_tk.io._gff import GFF_COLUMNS, read_gff
from simplechrome_tk.io._ids import TRANSCRIPT, is_spreadsheet_damage, replace_control_characters
from simplechrome_tk.io._loci import assign_genes
from simplechrome_tk.io._paths import as_path
from simplechrome_tk.io._text import MAX_BYTES, check_width, column_names, read_rows
from simplechrome_tk.io._ucsc import find_ucsc_columns

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from simplechrome_tk.io._genome import Genome

logger = logging.getLogger(__name__)

TssRule = Literal["canonical", "most_upstream", "all"]

# Ends of file names, without the dot and ".gz", that say GTF or GFF3.
_GFF_NAMES = ("gtf", "gff", "gff2", "gff3")

_BED_COLUMNS = ("chrom", "start", "end", "name", "score", "strand")

# What `tss="all"` adds to the id of a gene.
_TSS_SUFFIX = re.compile(r":tss\d+$")

# Columns of text in which line breaks and invisible characters are replaced.
_TEXT_COLUMNS = ("id", KEY, k.SYMBOL, k.CHROM, "gene_type", "transcript")

LEFT_OUT = {
    "par_copies": "pseudoautosomal copies on chrY left out",
    "alternate_copies": "copies on haplotypes, patches or unplaced sequences left out",
    "further_loci": "further loci of an id left out (the first is kept)",
    "backwards": "genes whose end is not after their start left out (across the origin of a circular chromosome?)",
    "beyond_end": "genes beyond the end of their chromosome left out",
}
"""Why a gene is left out -> how the log says it."""

# What is counted -> how the log says it: first what is normal, then what the user should check.
_NORMAL_COUNTS = {
    "stray_transcripts": "transcripts without a gene record left out",
    "other_types": "genes of other types left out",
    "not_in_genome": "rows on chromosomes that genome does not list",
    "from_exons": "transcripts put together from their exons",
}
_COUNTS_TO_CHECK = {
    "unknown_strand": "genes of unknown strand (read along the genome)",
    "of_coding_sequence": "transcripts put together from coding sequence alone (their TSS is where translation starts)",
    "named_as_transcripts": "genes have the id of a transcript (several may belong to one gene)",
    "control_characters": "rows with line breaks or invisible characters in a name (replaced by a space)",
    "spreadsheet_damage": "ids or symbols that a spreadsheet has changed",
}
_LEFT_OUT_TO_CHECK = ("backwards", "beyond_end")


def read_annotation(
    annotation: str | os.PathLike[str] | pd.DataFrame,
    *,
    tss: TssRule = "canonical",
    gene_types: str | Sequence[str] | None = None,
    genome: str | os.PathLike[str] | Mapping[str, int] | pd.DataFrame | pd.Series | None = None,
    max_bytes: int = MAX_BYTES,
) -> pd.DataFrame:
    """Read genes and choose the transcription start site (TSS) of each.

    Parameters
    ----------
    annotation
        GTF, GFF3, BED6, BED12, a gene table of UCSC's download server (refGene, refFlat, knownGene) or a table with a
        header (tab, comma, semicolon or space), plain or gzipped; or a DataFrame. A file whose name ends in ``.gtf``,
        ``.gff``, ``.gff3`` or ``.bed`` (``.gz``) is read as that format, any other by its content. A table needs a
        chromosome (``chrom``, ``chr``), ``tss`` or ``start`` and ``end`` (0-based, half-open, bp), ``strand`` and an
        id (``id``, ``gene_id``, ``Ensembl_ID``, ``name``). The ids of a DataFrame may be its index, also as whole
        numbers, unless the index only counts rows. A table may have ``symbol`` and ``gene_type``; further columns are
        kept, unless their name begins with ``_``.
        Rows of a table or BED file that share an id and overlap are transcripts of one gene. In GTF and GFF3 files
        without genes and transcripts, transcripts are put together from exons.
    tss
        ``"canonical"``: the start of the transcript tagged ``Ensembl_canonical``, else ``MANE_Select``, else APPRIS
        principal (the lowest number), else the start of the longest transcript. ``"most_upstream"``: the 5'-most start
        of a transcript. ``"all"``: one row for each distinct start, from 5' to 3', with ids ``id:tss1``, ``id:tss2``.
        A gene without transcripts has its own 5' edge as TSS.
    gene_types
        Keep genes of these types only, such as ``"protein_coding"``.
    genome
        Chromosome sizes to check the genes against: ``{name: bp}``, a Series or table, the path of a two-column
        ``chrom.sizes`` or ``.fai``, or an assembly that bioframe knows (``"hg19"``, ``"mm10"``).
    max_bytes
        The largest size of a gzipped file once unpacked, in bytes.

    Returns
    -------
    pandas.DataFrame
        One row per gene, in the order of the file, as :func:`simplechrome_tk.pp.bin_peaks` needs it. Index: gene id,
        without its version if it is an id of Ensembl or RefSeq. ``symbol`` (the id where there is none), ``chrom``,
        ``start`` and ``end`` of the gene (bp, 0-based, half-open; missing where a table has ``tss`` alone), ``strand``
        (``.`` for unknown), ``tss`` (bp, 0-based: the 5' edge, so the start on ``+`` and the end on ``-``), ``gene_id``
        (the index without ``:tss1``), ``transcript`` (the one that starts there, ``""`` for none), ``tss_rule`` (how
        the TSS was chosen: ``Ensembl_canonical``, ``MANE_Select``, ``APPRIS_principal``, ``longest_transcript`` or
        ``gene_record``, or the argument ``tss``) and, where the file has it, ``gene_type``.

        ``attrs["read_annotation"]`` holds ``source``, ``tss``, the ``counts`` that are also logged, ``left_out``
        (reason -> ids and places of genes) and ``assembly``, the genome assembly that the comments at the head of a
        file name.

    Raises
    ------
    ValueError
        When there is no gene, transcript or exon, an id, column or attribute is missing, a row is no interval, a
        chromosome has two names (``1`` and ``chr1``), ``gene_types`` leaves no gene, or the genes and ``genome`` do not
        fit (no common chromosome name, other chromosome lengths than in the file, or several genes beyond the end of
        their chromosome); or when a gzipped file is damaged or holds more than ``max_bytes``.

    Notes
    -----
    Of genes that share an id, the one on the primary chromosome is kept (chrX before chrY), whatever their order;
    copies on haplotypes, patches and unplaced sequences come last. Genes that run across the origin of a circular
    chromosome, and a single gene beyond the end of its chromosome, are left out. Line breaks and invisible characters
    in names are replaced by a space. The log counts and names all of these, and also the genes whose TSS each rule
    chose, genes of unknown strand, genes on chromosomes that ``genome`` does not list, and ids that a spreadsheet has
    turned into dates. What should be checked is logged as a warning, everything else at level INFO.

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
    """Read genes as :func:`read_annotation` does, and return the known chromosome lengths with them.

    Returns
    -------
    tuple
        Genes; and source -> chromosome -> its length in bp, of ``genome`` and of the annotation where it gives lengths.
    """
    records, source = _read_records(annotation, max_bytes=max_bytes)
    lengths = _known_lengths(records, genome, source=source)
    records, n_control = _replace_control_characters(records)
    every_record = records.transcripts if records.genes is None else records.genes
    check_one_naming(every_record[k.CHROM], source=source)

    assigned = assign_genes(records.genes, records.transcripts)
    genes = assigned.genes
    if gene_types is not None:
        genes = _select_types(genes, gene_types, source=source)
    if not len(genes):
        msg = f"{source}: no gene is left; left out: {shorten(records.backwards)}."
        raise ValueError(msg)

    table = _place_tss(genes, assigned.transcripts, tss)
    n_unlisted = 0 if genome is None else check_shared_names(table, lengths["genome"], source=source)
    table, beyond, _ = drop_beyond_ends(table, lengths, source=source)

    left_out = assigned.left_out | {"backwards": records.backwards, "beyond_end": beyond}
    damaged = _find_spreadsheet_damage(table)
    counts = {
        **_count_rows(table),
        "unknown_strand": int((genes[k.STRAND] == k.UNKNOWN_STRAND).sum()),
        **{reason: len(names) for reason, names in left_out.items()},
        "stray_transcripts": assigned.n_stray,
        "other_types": len(assigned.genes) - len(genes),
        "not_in_genome": n_unlisted,
        **records.found,
        "named_as_transcripts": int(table["gene_id"].str.match(TRANSCRIPT).sum()),
        "control_characters": n_control,
        "spreadsheet_damage": len(damaged),
    }
    record = {"source": source, "tss": tss, "counts": counts, "left_out": left_out, "assembly": records.assembly}
    table.attrs["read_annotation"] = record
    _report(source, counts, left_out, damaged=damaged)
    return table, lengths


def _read_records(annotation: str | os.PathLike[str] | pd.DataFrame, *, max_bytes: int) -> tuple[Records, str]:
    """Read the records of an annotation in any format; return them and what messages call the annotation."""
    if isinstance(annotation, pd.DataFrame):
        source = "the annotation table"
        records = read_table(set_id_column(annotation, source=source), source=source)
        # A table that `read_annotation` returned still names its assembly.
        assembly = annotation.attrs.get("read_annotation", {}).get("assembly", "")
        return records._replace(assembly=assembly), source
    path = as_path(annotation, name="annotation", expected="the path of one file, or a pandas DataFrame of genes")
    ending = path.name.lower().removesuffix(".gz").rpartition(".")[2]
    if ending in _GFF_NAMES:
        return read_gff(path, max_bytes=max_bytes), str(path)
    return _read_by_first_row(path, is_bed=ending == "bed", max_bytes=max_bytes), str(path)


def _read_by_first_row(path: Path, *, is_bed: bool, max_bytes: int) -> Records:
    """Read a file whose first row says what it is: GTF or GFF3, a table with a header, a table of UCSC, or BED."""
    rows = read_rows(path, max_bytes=max_bytes)
    number, fields = next(rows)
    whole = [_is_whole(field) for field in fields]
    # GTF and GFF3 have start and end in columns 4 and 5.
    if not is_bed and len(fields) == GFF_COLUMNS and whole[3] and whole[4]:
        return read_gff(path, max_bytes=max_bytes)

    # Only a header has no number in columns 2 and 3, where BED has start and end.
    columns = find_ucsc_columns(fields)
    if columns is None and not any(whole[1:3]):
        names = column_names(fields)
        table = pd.DataFrame(check_width(rows, len(names), path=path), columns=names)
        return read_table(table, source=str(path))

    if columns is None:
        columns = {name: i for i, name in enumerate(_BED_COLUMNS) if name != "score"}
        if len(fields) < len(_BED_COLUMNS):
            msg = (
                f"{path}: line {number} has {len(fields)} columns; expected BED6 ({', '.join(_BED_COLUMNS)}) or BED12, "
                "since genes need an id and a strand, or a header that names the columns."
            )
            raise ValueError(msg)
    every_row = itertools.chain([(number, fields)], rows)
    table = pd.DataFrame(check_width(every_row, len(fields), path=path))
    return read_table(table[list(columns.values())].set_axis(list(columns), axis=1), source=str(path))


def _is_whole(text: str) -> bool:
    """Whether a field is a whole number from 0, which may be written as ``1e+05``."""
    try:
        return float(text) >= 0 and float(text).is_integer() and "_" not in text
    except ValueError:
        return False


def _known_lengths(records: Records, genome: Genome | None, *, source: str) -> dict[str, dict[str, int]]:
    """Return the chromosome lengths of ``genome`` and of the annotation: source -> chromosome -> length in bp."""
    lengths = {} if genome is None else {"genome": read_chrom_sizes(genome)}
    # Lengths in the file come first; a file that only names a known assembly has the lengths of that.
    own = dict(records.sizes)
    if not own and records.assembly in assemblies():
        own = dict(assembly_sizes(records.assembly))
    if own:
        lengths[source] = own
    return lengths


def _replace_control_characters(records: Records) -> tuple[Records, int]:
    """Replace line breaks and invisible characters in names, and count the rows that held any."""
    transcripts, n_control = replace_control_characters(records.transcripts, _TEXT_COLUMNS)
    if records.genes is None:
        return records._replace(transcripts=transcripts), n_control
    genes, n_in_genes = replace_control_characters(records.genes, _TEXT_COLUMNS)
    return records._replace(genes=genes, transcripts=transcripts), n_control + n_in_genes


def _select_types(genes: pd.DataFrame, gene_types: str | Sequence[str], *, source: str) -> pd.DataFrame:
    """Keep the genes of some types; raise when one of these types is unknown."""
    types = [gene_types] if isinstance(gene_types, str) else list(gene_types)
    if "gene_type" not in genes or genes["gene_type"].isna().all():
        msg = f"{source}: no gene types are known; leave gene_types out, or add a column gene_type to a table of genes."
        raise ValueError(msg)
    counts = genes["gene_type"].value_counts()
    unknown = [name for name in types if name not in counts]
    if unknown or not types:
        found = ", ".join(f"{name} ({n})" for name, n in counts.head(8).items())
        msg = f"{source}: gene_types holds {shorten(unknown)}, and no gene is of this type; found {found}."
        raise ValueError(msg)
    return genes[genes["gene_type"].isin(types)]


def _place_tss(genes: pd.DataFrame, transcripts: pd.DataFrame, rule: TssRule) -> pd.DataFrame:
    """Choose the TSS of each gene by a rule.

    Parameters
    ----------
    genes
        Genes; the index is the number of a gene.
    transcripts
        Transcripts; ``_gene`` is the number of their gene, ``_rank`` their place in ``TSS_RULES``.
    rule
        How to choose.

    Returns
    -------
    pandas.DataFrame
        The table that :func:`read_annotation` returns.
    """
    sites = _candidate_sites(genes, transcripts)
    # The first site of each gene is the one to choose. The canonical site has the best tags, then the longest
    # transcript; of equals, and for the other rules, the 5'-most one comes first.
    if rule == "canonical":
        sites = sites.sort_values(
            ["gene", "rank", "length", "along"], ascending=[True, True, False, True], kind="stable"
        )
    else:
        sites = sites.sort_values(["gene", "along", "rank"], kind="stable")
    sites = sites.drop_duplicates(["gene", "tss"] if rule == "all" else "gene").reset_index(drop=True)

    table = genes.loc[sites["gene"]].reset_index(drop=True)
    table["gene_id"] = table["id"].str.replace(_TSS_SUFFIX, "", regex=True)
    if rule == "all":
        table["id"] += ":tss" + (sites.groupby("gene").cumcount() + 1).astype(str)
    table[k.TSS], table["transcript"] = sites["tss"], sites["transcript"]
    # A table that was read before keeps the rules by which its TSS were chosen.
    if "tss_rule" not in table:
        table["tss_rule"] = _rule_names(sites["rank"], rule)
    table[k.SYMBOL] = table[k.SYMBOL].fillna(table["gene_id"]) if k.SYMBOL in table else table["gene_id"]
    return _arrange_columns(table)


def _candidate_sites(genes: pd.DataFrame, transcripts: pd.DataFrame) -> pd.DataFrame:
    """List the places where transcription of each gene may start.

    Returns
    -------
    pandas.DataFrame
        One row per transcript, and one per gene without a transcript, whose own 5' edge is the only place: ``gene``
        (its number), ``rank`` (place in ``TSS_RULES``), ``length`` (bp), ``tss`` (bp), ``along`` (``tss`` in the
        direction of transcription, so that the 5'-most one is the smallest) and ``transcript``.
    """
    columns = [GENE, RANK, k.START, k.END, k.TSS, "transcript"]
    sites = transcripts.reindex(columns=columns)
    sites = sites[sites[GENE].isin(genes.index)]
    without = genes[~genes.index.isin(sites[GENE])]
    without = without.assign(**{GENE: without.index, RANK: float(GENE_RECORD), "transcript": ""})
    parts = [part for part in (sites, without.reindex(columns=columns)) if len(part)]
    sites = pd.concat(parts, ignore_index=True)

    minus = genes[k.STRAND].loc[sites[GENE]].to_numpy() == "-"
    five_prime_edge = sites[k.END].where(minus, sites[k.START])
    tss = sites[k.TSS].fillna(five_prime_edge)
    return pd.DataFrame(
        {
            "gene": sites[GENE],
            "rank": sites[RANK],
            "length": sites[k.END] - sites[k.START],
            "tss": tss,
            "along": tss.where(~minus, -tss),
            "transcript": sites["transcript"],
        }
    )


def _rule_names(rank: pd.Series, rule: TssRule) -> np.ndarray:
    """Name the rule that chose each TSS: whole numbers of ``rank`` are places in ``TSS_RULES``."""
    if rule == "canonical":
        return np.array(TSS_RULES)[rank.astype(int)]
    return np.where(rank == GENE_RECORD, TSS_RULES[GENE_RECORD], rule)


def _arrange_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Give a table of genes the index, types and order of columns that :func:`read_annotation` returns."""
    if "gene_type" in table:
        table["gene_type"] = table["gene_type"].fillna("")
        if (table["gene_type"] == "").all():
            table = table.drop(columns="gene_type")
    # Coordinates are floats as long as some may be missing.
    for column in (k.START, k.END, k.TSS):
        if table[column].notna().all():
            table[column] = table[column].astype(np.int64)
    table = table.set_index("id").rename_axis(None).drop(columns=list(ADDED_COLUMNS), errors="ignore")
    columns = [k.SYMBOL, k.CHROM, k.START, k.END, k.STRAND, k.TSS, "gene_id", "transcript", "tss_rule"]
    return table[[*columns, *(column for column in table if column not in columns)]]


def _find_spreadsheet_damage(table: pd.DataFrame) -> list[str]:
    """List the ids that a spreadsheet has changed, and such symbols of genes with an unchanged id."""
    names = table["gene_id"].where(is_spreadsheet_damage(table["gene_id"]), table[k.SYMBOL])
    return names[is_spreadsheet_damage(names)].tolist()


def _count_rows(table: pd.DataFrame) -> dict[str, int]:
    """Count genes, rows, and the genes whose TSS each rule chose."""
    rules = table.loc[~table["gene_id"].duplicated(), "tss_rule"].value_counts()
    counts = {"genes": table["gene_id"].nunique(), "rows": len(table)}
    return counts | {f"tss_{rule}": int(n) for rule, n in rules.items()}


def _report(
    source: str, counts: Mapping[str, int], left_out: Mapping[str, Sequence[str]], *, damaged: Sequence[str]
) -> None:
    """Log what was read at INFO, and what the user should check as a warning."""
    named = {
        reason: f"{len(genes)} {LEFT_OUT[reason]}: {shorten(genes)}" for reason, genes in left_out.items() if genes
    }
    rules = ", ".join(f"{name.removeprefix('tss_')} {n}" for name, n in counts.items() if name.startswith("tss_"))
    normal = [f"{counts['genes']} genes in {counts['rows']} rows, TSS by {rules}"]
    normal += [f"{counts[name]} {text}" for name, text in _NORMAL_COUNTS.items() if counts.get(name)]
    normal += [text for reason, text in named.items() if reason not in _LEFT_OUT_TO_CHECK]
    logger.info("%s: %s.", source, "; ".join(normal))

    to_check = {name: f"{counts[name]} {text}" for name, text in _COUNTS_TO_CHECK.items() if counts.get(name)}
    if damaged:
        to_check["spreadsheet_damage"] += f" ({shorten(damaged)})"
    warnings = [*to_check.values(), *(named[reason] for reason in _LEFT_OUT_TO_CHECK if reason in named)]
    if warnings:
        logger.warning("%s: %s.", source, "; ".join(warnings))
