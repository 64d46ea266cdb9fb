"""Elements and genes that were tested by CRISPR in K562."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.datasets._roadmap import bounds_by_id, read_gene_bounds
from simplechrome_tk.io._public import fetch

logger = logging.getLogger(__name__)

_FILE = "crispr/EPCrisprBenchmark_combined_data.training_K562.GRCh38.tsv.gz"

_COLUMNS = {
    "measuredGeneEnsemblId": "gene_id",
    "measuredGeneSymbol": k.SYMBOL,
    "chrom": k.CHROM,
    "chromStart": k.START,
    "chromEnd": k.END,
    "distanceToTSS": "distance",
    "Regulated": "regulated",
    "EffectSize": "effect_size",
    "pValueAdjusted": "p_value",
    "PowerAtEffectSize10": "power_10",
    "PowerAtEffectSize15": "power_15",
    "PowerAtEffectSize20": "power_20",
    "PowerAtEffectSize25": "power_25",
    "PowerAtEffectSize50": "power_50",
    "Dataset": "dataset",
}
"""Columns of the published file -> columns of the table, in the order of the table."""


def crispr_pairs() -> pd.DataFrame:
    """Load pairs of an element and a gene that were tested by CRISPR interference in K562.

    In each experiment a stretch of DNA, the element, was silenced or deleted, and the expression of a gene was
    measured. The table says which elements regulate which genes, and so tests what a model says about the DNA around a
    gene. Downloads the table and the positions of genes in two assemblies once (3.7 MB) and keeps them in the cache
    folder; set ``SIMPLECHROME_TK_CACHE`` to choose which.

    Returns
    -------
    pandas.DataFrame
        10,356 pairs, one per row:

        - ``gene_id`` (Ensembl), ``symbol``, ``strand`` of the gene;
        - ``chrom``, ``start``, ``end``: the element in GRCh38, bp, 0-based and half-open;
        - ``start_hg19``, ``end_hg19``: the element in hg19, the assembly of :func:`roadmap`;
        - ``start_bp``, ``end_bp``: ends of the element in bp from the TSS along the gene, negative upstream, as in
          ``var`` of windows at the TSS;
        - ``distance``: from the middle of the element to the TSS in bp, as published;
        - ``regulated``: whether silencing the element lowers the expression of the gene significantly;
        - ``effect_size``: relative change of the expression, -0.3 for a decrease by 30 %, and ``p_value``, adjusted as
          published;
        - ``power_10``, ``power_15``, ``power_20``, ``power_25``, ``power_50``: probability that the experiment detects
          a change by 10, 15, 20, 25 or 50 %;
        - ``dataset``: the collection that the pair comes from.

    Raises
    ------
    DatasetUnavailableError
        When a file is neither cached nor to be downloaded.

    Notes
    -----
    The training set of the ENCODE-rE2G benchmark (Gschwind et al. 2023), which joins experiments that Gasperini et al.
    (2019), Schraivogel et al. (2020) and Nasser et al. (2021) report or collect. The TSS is the 5' end of the gene in
    the gene bounds of the ABC model (Fulco et al. 2019), from which the published distances are computed. Elements are
    placed in hg19 at the same signed distance from the TSS of the hg19 table. Most names in the published file hold the
    position in hg19: of the elements within 50 kb of the TSS, 90 % are placed within 1 bp of it and 96 % within 500 bp.
    The others lie beyond an insertion between the assemblies, or the two tables give the gene another first exon.

    Examples
    --------
    >>> pairs = sct.datasets.crispr_pairs()  # doctest: +SKIP
    >>> near = pairs[pairs["distance"] <= 50_000]  # doctest: +SKIP
    >>> len(near), near["regulated"].sum()  # doctest: +SKIP
    (982, np.int64(319))
    """
    pairs = pd.read_csv(fetch(_FILE), sep="\t", usecols=list(_COLUMNS)).rename(columns=_COLUMNS)
    pairs = pairs[list(_COLUMNS.values())]
    symbols = pairs.drop_duplicates("gene_id").set_index("gene_id")[k.SYMBOL]
    genes, genes_hg19 = (
        _five_prime_ends(bounds_by_id(read_gene_bounds(assembly), symbols).reindex(pairs["gene_id"]))
        for assembly in ("hg38", "hg19")
    )
    known = (genes[k.TSS].notna() & genes_hg19[k.TSS].notna()).to_numpy()
    if not known.all():
        logger.warning(
            "crispr_pairs: %d of %d pairs are left out, since the position of their genes is unknown in one of the "
            "assemblies.",
            (~known).sum(),
            len(known),
        )
    pairs = pairs[known].reset_index(drop=True)
    genes, genes_hg19 = genes[known], genes_hg19[known]
    along = _mirror(pairs[[k.START, k.END]].to_numpy() - genes[[k.TSS]].to_numpy(), genes[k.STRAND])
    in_hg19 = genes_hg19[[k.TSS]].to_numpy() + _mirror(along, genes_hg19[k.STRAND])
    pairs.insert(2, k.STRAND, genes[k.STRAND].to_numpy())
    after_end = pairs.columns.get_loc(k.END) + 1
    for name, values in (
        (k.END_BP, along[:, 1]),
        (k.START_BP, along[:, 0]),
        ("end_hg19", in_hg19[:, 1]),
        ("start_hg19", in_hg19[:, 0]),
    ):
        pairs.insert(after_end, name, values.astype(int))
    logger.info(
        "crispr_pairs: %d pairs of %d genes, %d of them regulated.",
        len(pairs),
        pairs["gene_id"].nunique(),
        pairs["regulated"].sum(),
    )
    return pairs


def _five_prime_ends(bounds: pd.DataFrame) -> pd.DataFrame:
    """Return ``strand`` and ``tss`` of genes, NaN where their bounds are unknown."""
    tss = np.where(bounds[k.STRAND] == "-", bounds[k.END], bounds[k.START])
    return bounds[[k.STRAND]].assign(tss=tss)


def _mirror(ends: np.ndarray, strand: pd.Series) -> np.ndarray:
    """Turn both ends of stretches ``(n, 2)`` round where the strand is minus: from the genome to the gene, and back."""
    minus = (strand == "-").to_numpy()
    return np.where(minus[:, None], -ends[:, ::-1], ends)
