"""Graph of genes that are expressed together in reference samples."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.graph import positions
from simplechrome_tk.core.reference import read_reference
from simplechrome_tk.core.require import cell_types
from simplechrome_tk.core.write import to_change
from simplechrome_tk.pp._graph import Edges, check_n_neighbors, join_edges, keep_strongest, write_graph

if TYPE_CHECKING:
    import anndata as ad

    from simplechrome_tk.core.graph import Positions

logger = logging.getLogger(__name__)

# Genes whose correlations with all others are computed at once: 80 MB for 20,000 genes.
_CHUNK = 1_000
# Reference samples without which a correlation is hardly more than noise, and the standard deviation of a profile, in
# log10 and after centring, below which it is flat.
_FEWEST_SAMPLES, _FLAT = 3, 1e-3


def coexpression_neighbors(
    adata: ad.AnnData,
    n_neighbors: int = 50,
    *,
    min_distance: int = 1_000_000,
    reference_key: str = k.REFERENCE_EXPRESSION,
    key_added: str = k.COEXPRESSION,
    copy: bool = False,
) -> ad.AnnData | None:
    """Connect each gene to the genes whose expression over the reference samples correlates best with its own.

    Such genes lie anywhere in the genome and often share a function. They are found by samples other than the one that
    is predicted, so that the graph says nothing about it.

    Parameters
    ----------
    adata
        Genes with ``chrom``, ``tss`` and ``strand`` in ``obs`` and :func:`add_reference_expression`.
    n_neighbors
        Largest number of neighbours of a gene, without the gene itself.
    min_distance
        Distance in bp between two TSS below which genes are not connected: neighbours on the chromosome share their
        marks as well, and :func:`tss_neighbors` connects them.
    reference_key
        Slot of ``obsm`` with the log expression in reference samples.
    key_added
        Name of the graph.
    copy
        Return a changed copy and leave ``adata`` as it is.

    Returns
    -------
    anndata.AnnData | None
        The copy when ``copy=True``. Writes two ``n_genes x n_genes`` sparse matrices, row = gene, column = neighbour in
        the same cell type:

        ``obsp["{key_added}_connectivities"]``: the correlation of the two profiles, above 0.
        ``obsp["{key_added}_distances"]``: TSS of the neighbour minus TSS of the gene in bp, along the *gene's* strand;
        0 on another chromosome.
        ``uns["{key_added}_neighbors"]``: the parameters, and the number of genes without a neighbour because their
        profile is flat (``n_flat``) or unknown (``n_unknown``).

    Raises
    ------
    ValueError
        When there are fewer than three reference samples, ``n_neighbors`` is below 1, ``min_distance`` is below 0, or
        no two genes correlate.

    Notes
    -----
    Profiles are centred by sample and then by gene, so that the correlation is that of what is special about each
    sample. On the test chromosomes of E116, E123 and E117, the marks of 50 such genes raise the Pearson correlation of
    predicted and measured log expression by .015 to .018, and random genes with random weights by less than .001
    (``docs/figures.md``, "Related genes").

    Examples
    --------
    >>> import numpy as np
    >>> profiles = np.random.default_rng(0).normal(size=(adata.n_obs, 8))
    >>> adata.obsm["reference_expression"] = profiles.astype("float32")
    >>> sct.pp.coexpression_neighbors(adata, n_neighbors=5)
    >>> int((adata.obsp["coexpression_connectivities"][0] != 0).sum())
    5
    """
    check_n_neighbors(n_neighbors)
    if min_distance < 0:
        msg = f"min_distance is {min_distance}; expected 0 bp or more."
        raise ValueError(msg)
    adata = to_change(adata, copy=copy)
    where = positions(adata)
    values, samples = read_reference(adata, reference_key)
    if len(samples) < _FEWEST_SAMPLES:
        msg = (
            f"obsm[{reference_key!r}] holds {len(samples)} reference samples; expected {_FEWEST_SAMPLES} at least, "
            "between which a correlation can be measured: run sct.pp.add_reference_expression with more samples."
        )
        raise ValueError(msg)
    cells = cell_types(adata).to_numpy(str)
    parts, n_flat, n_unknown = [], 0, 0
    for cell in np.unique(cells):
        rows = np.flatnonzero(cells == cell)
        unknown = np.isnan(values[rows]).any(axis=1)
        profiles, flat = _center(values[rows[~unknown]])
        n_flat, n_unknown = n_flat + int(flat.sum()), n_unknown + int(unknown.sum())
        parts.append(_correlate(profiles[~flat], rows[~unknown][~flat], where, n_neighbors, min_distance))
    edges = join_edges(parts)
    if not len(edges.gene):
        msg = (
            f"no two of the {adata.n_obs} genes correlate over the {len(samples)} samples in obsm[{reference_key!r}]: "
            f"{n_flat} have the same expression in all samples, and {n_unknown} lack a value in some. A sample that "
            "lacks most genes can be left out: sct.pp.add_reference_expression(adata, table, exclude=[...])."
        )
        raise ValueError(msg)
    params = {"n_neighbors": n_neighbors, "min_distance": min_distance, "reference_key": reference_key}
    record = {"n_flat": n_flat, "n_unknown": n_unknown}
    write_graph(adata, edges, where, method="coexpression_neighbors", key_added=key_added, params=params, record=record)
    if n_flat or n_unknown:
        logger.info(
            "%s: %d genes have no neighbours, since their expression is the same in all reference samples (%d) or is "
            "not known in all (%d).",
            key_added,
            n_flat + n_unknown,
            n_flat,
            n_unknown,
        )
    return adata if copy else None


def _center(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return profiles of length 1, centred by sample and by gene, and which of them are flat, ``(n_genes,)``."""
    if not len(values):
        return values.astype(np.float32), np.zeros(0, dtype=bool)
    # Where every sample has the same value the profile is flat, whatever the means of the samples are.
    constant = np.ptp(values, axis=1) < _FLAT
    profiles = values - values.mean(axis=0)
    profiles -= profiles.mean(axis=1, keepdims=True)
    length = np.linalg.norm(profiles, axis=1)
    flat = constant | (length < _FLAT * np.sqrt(values.shape[1]))
    return (profiles / np.maximum(length, _FLAT)[:, None]).astype(np.float32), flat


def _correlate(profiles: np.ndarray, rows: np.ndarray, where: Positions, n_neighbors: int, min_distance: int) -> Edges:
    """Return the best pairs with their correlation as weight; ``rows`` are the row numbers of the profiles."""
    # Along the genome, the genes that are too near are one stretch of columns for each gene.
    order = np.lexsort((where.tss[rows], where.chrom[rows]))
    rows, profiles = rows[order], profiles[order]
    first, last = _near(where.chrom[rows], where.tss[rows], min_distance)
    parts = []
    for start in range(0, len(rows), _CHUNK):
        part = np.arange(start, min(start + _CHUNK, len(rows)))
        correlation = profiles[part] @ profiles.T
        for i, gene in enumerate(part):
            correlation[i, first[gene] : last[gene]] = 0
            correlation[i, gene] = 0
        best = keep_strongest(correlation, n_neighbors)
        parts.append(Edges(rows[part[best.gene]], rows[best.neighbor], np.minimum(best.weight, 1)))
    return join_edges(parts)


def _near(chrom: np.ndarray, tss: np.ndarray, min_distance: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and behind the last of the genes that are nearer than ``min_distance``, of sorted genes."""
    first, last = np.zeros(len(tss), dtype=int), np.zeros(len(tss), dtype=int)
    for name in np.unique(chrom):
        on = np.flatnonzero(chrom == name)
        line = tss[on]
        first[on] = on[0] + np.searchsorted(line, line - min_distance, side="right")
        last[on] = on[0] + np.searchsorted(line, line + min_distance, side="left")
    return first, last
