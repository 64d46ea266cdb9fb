"""One place for each gene: which of its copies is kept, and which transcripts are its own."""

from __future__ import annotations

import re

import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.io._gene_records import GENE_RECORD, place
from simplechrome_tk.io._ids import is_par_copy, strip_versions

_PRIMARY = re.compile(
    r"^(?:chr(?:omosome)?[_ ]?)?(?:\d{1,3}[a-z]{0,2}|[a-z]{1,2}|[ivx]+|mito)$|^(?:NC_|CM)\d", re.IGNORECASE
)
_ALTERNATE = re.compile(
    r"_(?:alt|fix|hap\d+|random|decoy)$|^(?:chr)?un(?:_|$|\d|known|extra|placed)|patch|^(?:chr_)?h(?:schr|g\d)|^N[TW]_"
    r"|^(?:GL|KI|K[NQVZ]|ML|MU|MG|JH|AAD)\d",
    re.IGNORECASE,
)
_PRIMARY_RANK, _Y_RANK, _OTHER_RANK, _ALTERNATE_RANK = range(4)


def join(
    genes: pd.DataFrame | None, transcripts: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, list[str]], int]:
    """Give each id one gene, and each transcript the number of its gene in ``_gene``.

    Without gene records, transcripts of one id that overlap make a gene. Of genes that share an id, that on the primary
    chromosome is kept (chrX before chrY), then that on another sequence, then that on a haplotype, patch or unplaced
    sequence; of several there the first.

    Returns
    -------
    tuple
        Genes; transcripts; reason -> the genes left out, with their places; the number of transcripts without gene.
    """
    if genes is None:
        repeated, stray = pd.Series(dtype=str), 0
        genes, transcripts = _loci(transcripts)
    else:
        again = genes.duplicated(["_key", k.CHROM])
        repeated, genes = place(genes[again]), genes[~again].reset_index(drop=True)
        places = pd.MultiIndex.from_frame(genes[["_key", k.CHROM]])
        number = places.get_indexer(pd.MultiIndex.from_frame(transcripts[["_key", k.CHROM]]))
        stray = int((number < 0).sum())
        transcripts = transcripts.assign(_gene=number)[number >= 0]
    copy = genes[k.CHROM].str.lower().isin(["y", "chry"]) | is_par_copy(genes["id"])
    rank = _rank(genes[k.CHROM])
    rank[copy & (rank == _PRIMARY_RANK)] = _Y_RANK
    genes["id"] = strip_versions(genes["id"])
    again = genes["id"].loc[rank.sort_values(kind="stable").index].duplicated().sort_index()
    alternate = rank == _ALTERNATE_RANK
    left_out = {
        "par_copies": place(genes[again & copy & ~alternate]).tolist(),
        "alternate_copies": place(genes[again & alternate]).tolist(),
        "further_loci": [*repeated, *place(genes[again & ~copy & ~alternate])],
    }
    return genes[~again], transcripts, left_out, stray


def _rank(chrom: pd.Series) -> pd.Series:
    """Rank chromosomes by name: primary ones first, alternate ones last."""
    codes, names = pd.factorize(chrom)
    ranks = [
        _ALTERNATE_RANK if _ALTERNATE.search(name) else _PRIMARY_RANK if _PRIMARY.match(name) else _OTHER_RANK
        for name in names
    ]
    return pd.Series(ranks, dtype=int).take(codes).set_axis(chrom.index)


def _loci(transcripts: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make a gene of the transcripts of one id and strand that overlap, or that have a TSS alone."""
    same = ["id", k.CHROM, k.STRAND]
    rows = transcripts.reindex(columns=transcripts.columns.union([k.START, k.END], sort=False))
    rows = rows.sort_values([*same, k.START], kind="stable")
    reach = rows.groupby(same, sort=False)[k.END].cummax()
    reach = reach.groupby([rows[column] for column in same], sort=False).shift()
    locus = (~rows.duplicated(same) | (rows[k.START] >= reach)).cumsum().sort_index()
    rows = rows.sort_index()
    number = pd.factorize(locus)[0]  # in the order of the file
    bodies = rows.groupby(number)
    genes = rows[~locus.duplicated()].reset_index(drop=True)
    genes = genes.assign(**{k.START: bodies[k.START].min(), k.END: bodies[k.END].max()})
    alone = bodies.size().to_numpy()[number] == 1
    if (rows["transcript"] == "").all():  # a table of genes
        rows["_rank"] = rows["_rank"].where(~alone, float(GENE_RECORD))
    return genes, rows.assign(_gene=number)
