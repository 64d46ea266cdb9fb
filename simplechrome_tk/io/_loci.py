"""One locus for each gene: which of its copies is kept, and which transcripts belong to it."""

from __future__ import annotations

import re
from typing import NamedTuple

import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.io._gene_records import GENE, GENE_RECORD, KEY, RANK, describe_places
from simplechrome_tk.io._ids import is_par_copy, strip_versions

# Names of primary chromosomes: 1, chr2L, chrX, IV, chrMito, and the accessions NC_... (RefSeq) and CM... (GenBank).
_PRIMARY = re.compile(
    r"^(?:chr(?:omosome)?[_ ]?)?(?:\d{1,3}[a-z]{0,2}|[a-z]{1,2}|[ivx]+|mito)$|^(?:NC_|CM)\d", re.IGNORECASE
)
# Names of haplotypes, patches and unplaced sequences in UCSC, Ensembl, RefSeq and GenBank.
_ALTERNATE = re.compile(
    r"_(?:alt|fix|hap\d+|random|decoy)$|^(?:chr)?un(?:_|$|\d|known|extra|placed)|patch|^(?:chr_)?h(?:schr|g\d)|^N[TW]_"
    r"|^(?:GL|KI|K[NQVZ]|ML|MU|MG|JH|AAD)\d",
    re.IGNORECASE,
)

# Of the copies of a gene, the one on the chromosome of the lowest rank is kept.
_PRIMARY_RANK, _Y_RANK, _OTHER_RANK, _ALTERNATE_RANK = range(4)


class AssignedGenes(NamedTuple):
    """Genes, one for each id, and the transcripts of each."""

    genes: pd.DataFrame
    """The index is the number of a gene."""
    transcripts: pd.DataFrame
    """``_gene`` is the number of the gene."""
    left_out: dict[str, list[str]]
    """Reason -> ids and places of the genes left out."""
    n_stray: int
    """How many transcripts have no gene record."""


def assign_genes(genes: pd.DataFrame | None, transcripts: pd.DataFrame) -> AssignedGenes:
    """Keep one gene of each id, and give each transcript the number of its gene.

    Without gene records, transcripts of one id that overlap make a gene. Of genes that share an id, the one on the
    primary chromosome is kept (chrX before chrY), then one on another sequence, then one on a haplotype, patch or
    unplaced sequence. Of several equals the first one is kept.

    Parameters
    ----------
    genes
        Gene records, or None.
    transcripts
        Transcripts.
    """
    if genes is None:
        repeated, n_stray = [], 0
        genes, transcripts = _make_genes(transcripts)
    else:
        again = genes.duplicated([KEY, k.CHROM])
        repeated, genes = describe_places(genes[again]).tolist(), genes[~again].reset_index(drop=True)
        # A transcript belongs to the gene of its key on its own chromosome.
        places = pd.MultiIndex.from_frame(genes[[KEY, k.CHROM]])
        number = places.get_indexer(pd.MultiIndex.from_frame(transcripts[[KEY, k.CHROM]]))
        n_stray = int((number < 0).sum())
        transcripts = transcripts.assign(**{GENE: number})[number >= 0]
    on_y = genes[k.CHROM].str.lower().isin(["y", "chry"]) | is_par_copy(genes["id"])
    rank = _rank_chromosomes(genes[k.CHROM])
    rank[on_y & (rank == _PRIMARY_RANK)] = _Y_RANK
    genes["id"] = strip_versions(genes["id"])
    again = genes["id"].loc[rank.sort_values(kind="stable").index].duplicated().sort_index()
    alternate = rank == _ALTERNATE_RANK
    left_out = {
        "par_copies": describe_places(genes[again & on_y & ~alternate]).tolist(),
        "alternate_copies": describe_places(genes[again & alternate]).tolist(),
        "further_loci": [*repeated, *describe_places(genes[again & ~on_y & ~alternate])],
    }
    return AssignedGenes(genes[~again], transcripts, left_out, n_stray)


def _rank_chromosomes(chrom: pd.Series) -> pd.Series:
    """Rank chromosomes by their names: primary ones first, alternate ones last."""
    codes, names = pd.factorize(chrom)
    ranks = [_rank_name(name) for name in names]
    return pd.Series(ranks, dtype=int).take(codes).set_axis(chrom.index)


def _rank_name(name: str) -> int:
    if _ALTERNATE.search(name):
        return _ALTERNATE_RANK
    if _PRIMARY.match(name):
        return _PRIMARY_RANK
    return _OTHER_RANK


def _make_genes(transcripts: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make a gene of the transcripts of one id and strand that overlap, or that have a TSS alone."""
    same = ["id", k.CHROM, k.STRAND]
    rows = transcripts.reindex(columns=transcripts.columns.union([k.START, k.END], sort=False))
    rows = rows.sort_values([*same, k.START], kind="stable")
    # A locus begins where a transcript starts behind the furthest end of those before it.
    reach = rows.groupby(same, sort=False)[k.END].cummax()
    reach = reach.groupby([rows[column] for column in same], sort=False).shift()
    locus = (~rows.duplicated(same) | (rows[k.START] >= reach)).cumsum().sort_index()
    rows = rows.sort_index()
    # Genes are numbered in the order of the file.
    number = pd.factorize(locus)[0]
    bodies = rows.groupby(number)
    genes = rows[~locus.duplicated()].reset_index(drop=True)
    genes = genes.assign(**{k.START: bodies[k.START].min(), k.END: bodies[k.END].max()})
    # In a table without transcripts, a row that is alone is a gene itself.
    if (rows["transcript"] == "").all():
        alone = bodies.size().to_numpy()[number] == 1
        rows[RANK] = rows[RANK].where(~alone, float(GENE_RECORD))
    return genes, rows.assign(**{GENE: number})
