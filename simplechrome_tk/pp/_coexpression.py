"""Graph of genes that are expressed together in reference samples."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.graph import positions
from simplechrome_tk.core.reference import read_reference
from simplechrome_tk.core.require import cell_types
from simplechrome_tk.core.write import to_change
from simplechrome_tk.pp._graph import Edges, check_n_neighbors, write_graph

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
        When there are fewer than three reference samples, ``n_neighbors`` is below 1, or no two genes correlate.

    Notes
    -----
    Profiles are centred by sample and then by gene, so that the correlation is that of what is special about each
    sample. On the test chromosomes of E116, E123 and E117, the marks of 50 such genes raise the Pearson correlation of
    predicted and measured log expression by .012 to .017, and random genes by nothing (``docs/figures.md``).

    Examples
    --------
    >>> import numpy as np
    import pandas as pd
    import torch
    >>> profiles = np.random.default_rng(0).normal(size=(adata.n_obs, 8))
    >>> adata.obsm["reference_expression"] = profiles.astype("float32")
    >>> sct.pp.coexpression_neighbors(adata, n_neighbors=5)
    >>> int((adata.obsp["coexpression_connectivities"][0] != 0).sum())
    5
    """
    check_n_neighbors(n_neighbors)
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
        n_unknown += int(unknown.sum())
        if unknown.all():
            continue
        profiles, flat = _center(values[rows[~unknown]])
        n_flat += int(flat.sum())
        parts.append(_correlate(profiles[~flat], rows[~unknown][~flat], where, n_neighbors, min_distance))
    edges = Edges(*(np.concatenate(part) for part in zip(*parts, strict=True))) if parts else None
    if edges is None or not len(edges.gene):
        msg = f"no two of the {adata.n_obs} genes correlate over the {len(samples)} samples in obsm[{reference_key!r}]."
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
    # Where every sample has the same value the profile is flat, whatever the means of the samples are.
    constant = np.ptp(values, axis=1) < _FLAT
    profiles = values - values.mean(axis=0)
    profiles -= profiles.mean(axis=1, keepdims=True)
    length = np.linalg.norm(profiles, axis=1)
    flat = constant | (length < _FLAT * np.sqrt(values.shape[1]))
    return (profiles / np.maximum(length, _FLAT)[:, None]).astype(np.float32), flat


def _correlate(
    profiles: np.ndarray, rows: np.ndarray, where: Positions, n_neighbors: int, min_distance: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return gene, neighbour and correlation of the best pairs; ``rows`` are the row numbers of the profiles."""
    n_kept = min(n_neighbors, len(rows) - 1)
    if n_kept < 1:
        return np.empty(0, int), np.empty(0, int), np.empty(0, np.float32)
    # Numbers are compared many times faster than names.
    chrom, tss = pd.factorize(where.chrom[rows])[0].astype(np.int32), where.tss[rows]
    parts = []
    for start in range(0, len(rows), _CHUNK):
        part = np.arange(start, min(start + _CHUNK, len(rows)))
        correlation = profiles[part] @ profiles.T
        gene, other = np.nonzero(chrom[part, None] == chrom)
        near = np.abs(tss[part[gene]] - tss[other]) < min_distance
        correlation[gene[near], other[near]] = -1
        correlation[np.arange(len(part)), part] = -1
        # Torch finds the largest of many numbers several times faster than numpy.
        weight, best = (values.numpy() for values in torch.topk(torch.from_numpy(correlation), n_kept, sorted=False))
        positive = weight > 0
        of_gene = np.broadcast_to(rows[part, None], best.shape)
        parts.append((of_gene[positive], rows[best[positive]], np.minimum(weight[positive], 1)))
    genes, neighbors, weights = (np.concatenate(column) for column in zip(*parts, strict=True))
    return genes, neighbors, weights
