"""The result of `tl.attribute`: effects and totals of the genes that were computed so far."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.matrix import dense
from simplechrome_tk.core.write import ABSENT, write_whole
from simplechrome_tk.tl.attribution._fingerprint import fingerprint_genes

if TYPE_CHECKING:
    import anndata as ad

    from simplechrome_tk import nn
    from simplechrome_tk.tl.attribution._target import ExplainedTarget

logger = logging.getLogger(__name__)

_ROUNDING = 1e-6
"""Size, in the unit of the target, below which the sum of many float32 effects is rounding error."""


@dataclass
class Result:
    """Effects on each gene.

    Attributes
    ----------
    own
        Effects of the bins of the gene's own marks, ``(n_genes, n_columns)``; NaN for genes that were not computed.
    neighbors
        Effects of its neighbours in the order of the graph, ``(n_genes, n_neighbors)``.
    reference
        Effects of its expression in each reference sample, ``(n_genes, n_reference)``; NaN as in ``own``.
    total
        The prediction less that at the baseline, ``(n_genes,)``; NaN for genes that were not computed.
    graph
        The graph of neighbours, if there is one.
    """

    own: np.ndarray
    neighbors: np.ndarray
    reference: np.ndarray
    total: np.ndarray
    graph: nn.Graph | None

    @property
    def computed(self) -> np.ndarray:
        """Whether a gene was computed, ``(n_genes,)``."""
        return ~np.isnan(self.total)

    @property
    def errors(self) -> np.ndarray:
        """Completeness error of each gene: the part of ``total`` that the sum of the effects misses, ``(n_genes,)``."""
        parts = (np.nansum(self.own, axis=1), np.nansum(self.reference, axis=1), self.neighbors.sum(axis=1))
        missed = np.abs(sum(parts) - self.total)
        # The error of a gene without signal, 0 of 0, is 0.
        missed[missed < _ROUNDING] = 0
        return missed / np.maximum(np.abs(self.total), _ROUNDING)

    def write(self, adata: ad.AnnData, key: str, record: Mapping[str, Any], explained: ExplainedTarget) -> None:
        """Write everything that was computed, all of it or nothing."""
        fingerprints = np.zeros(adata.n_obs, dtype=np.int64)
        rows = np.flatnonzero(self.computed)
        fingerprints[rows] = fingerprint_genes(explained, rows)
        slots = [
            ("layers", key, self.own),
            ("obs", k.TOTAL_EFFECT.format(key), self.total),
            ("obs", k.COMPLETENESS_ERROR.format(key), self.errors),
            ("obs", k.INPUT_FINGERPRINT.format(key), fingerprints),
            ("obsp", k.NEIGHBOR_EFFECTS.format(key), self.neighbor_matrix(adata.n_obs)),
            ("obsm", k.REFERENCE_EFFECTS.format(key), self.reference if self.reference.shape[1] else ABSENT),
        ]
        write_whole(adata, slots, records={key: record})

    def neighbor_matrix(self, n_genes: int) -> Any:
        """Return the effects of neighbours, row = gene, column = neighbour; nothing without a graph."""
        if self.graph is None:
            return ABSENT
        mask, index = self.graph.mask.cpu().numpy(), self.graph.index.cpu().numpy()
        pairs = (self.neighbors[mask], (np.nonzero(mask)[0], index[mask]))
        return sparse.csr_matrix(pairs, shape=(n_genes, n_genes))


def empty_result(n_genes: int, explained: ExplainedTarget) -> Result:
    """Return a result of which no gene was computed."""
    graph = explained.graph
    own = np.full((n_genes, explained.n_columns), np.nan, dtype=np.float32)
    neighbors = np.zeros((n_genes, 0 if graph is None else graph.index.shape[1]), dtype=np.float32)
    reference = np.full((n_genes, explained.n_reference), np.nan, dtype=np.float32)
    return Result(own, neighbors, reference, np.full(n_genes, np.nan), graph)


def resume_result(adata: ad.AnnData, key: str, record: Mapping[str, Any], explained: ExplainedTarget) -> Result:
    """Take over what an earlier call with the same model and settings has stored of genes that are still the same."""
    graph, result = explained.graph, empty_result(adata.n_obs, explained)
    # Other weights or settings give other effects: nothing that is stored can be kept.
    if not _is_complete(adata, key, explained) or read_fingerprint(adata, key) != record["fingerprint"]:
        return result
    rows = find_unchanged(adata, key, explained, np.arange(adata.n_obs))
    n_changed = int(adata.obs[k.TOTAL_EFFECT.format(key)].count()) - len(rows)
    if n_changed:
        logger.info(
            "%s: the marks or the neighbours of %d genes have changed; their attributions are dropped.", key, n_changed
        )
    result.own[rows] = dense(adata, key)[rows]
    if explained.n_reference:
        result.reference[rows] = adata.obsm[k.REFERENCE_EFFECTS.format(key)][rows]
    result.total[rows] = adata.obs[k.TOTAL_EFFECT.format(key)].to_numpy(float)[rows]
    if graph is not None:
        # The stored matrix has a column for each gene, the result one for each neighbour in the order of the graph.
        mask = graph.mask.cpu().numpy() & result.computed[:, None]
        gene, neighbor = np.nonzero(mask)[0], graph.index.cpu().numpy()[mask]
        if len(gene):
            stored = sparse.csr_matrix(adata.obsp[k.NEIGHBOR_EFFECTS.format(key)])
            result.neighbors[mask] = np.asarray(stored[gene, neighbor]).ravel()
    return result


def read_fingerprint(adata: ad.AnnData, key: str) -> dict[str, str]:
    """Return the fingerprints in the record of stored attributions; none where there are no attributions."""
    record = adata.uns.get(key)
    found = record.get("fingerprint") if isinstance(record, Mapping) else None
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, Mapping) else {}


def find_unchanged(adata: ad.AnnData, key: str, explained: ExplainedTarget, rows: np.ndarray) -> np.ndarray:
    """Return those of ``rows`` that have attributions of the inputs that the genes have now."""
    if not _is_complete(adata, key, explained):
        return rows[:0]
    rows = rows[~np.isnan(adata.obs[k.TOTAL_EFFECT.format(key)].to_numpy(float)[rows])]
    stored = adata.obs[k.INPUT_FINGERPRINT.format(key)].to_numpy()[rows]
    return rows[stored == fingerprint_genes(explained, rows)]


def _is_complete(adata: ad.AnnData, key: str, explained: ExplainedTarget) -> bool:
    """Whether all slots of a result are there."""
    columns = (k.TOTAL_EFFECT.format(key), k.INPUT_FINGERPRINT.format(key))
    has_own = key in adata.layers and all(column in adata.obs for column in columns)
    has_neighbors = explained.graph is None or k.NEIGHBOR_EFFECTS.format(key) in adata.obsp
    return has_own and has_neighbors and (not explained.n_reference or k.REFERENCE_EFFECTS.format(key) in adata.obsm)
