"""How much of the truth planted by ``datasets.simulate`` the effects recover."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import sparse
from sklearn.metrics import roc_auc_score

from simplechrome_tk import _keys as k

if TYPE_CHECKING:
    import anndata as ad

    from simplechrome_tk.tl._trust_sample import Sample

PLANTED, PLANTED_NEIGHBORS = "planted_effect", "planted_neighbor_effects"


class Recovered(NamedTuple):
    """Shares and areas; NaN where there is nothing to compare.

    ``bins``: AUROC of the mean ``|effect|`` of each column over genes, columns with a planted effect against those
    without. ``bin_signs``: share of planted columns whose slope has the planted sign. ``pairs``: AUROC of ``|effect|``
    of gene-neighbour pairs, planted ones against others, among neighbours that carry the acting mark.
    ``pair_signs``: share of the planted ones among them whose effect has the planted sign. ``n_bins``, ``n_pairs``:
    how many are planted.
    """

    bins: float
    bin_signs: float
    n_bins: int
    pairs: float
    pair_signs: float
    n_pairs: int


def has_truth(adata: ad.AnnData) -> bool:
    """Whether the data are simulated, with the truth beside them."""
    return PLANTED in adata.var and PLANTED_NEIGHBORS in adata.obsp and "simulate" in adata.uns


def slopes(sample: Sample) -> np.ndarray:
    """Effect per unit of signal of each column over genes, ``(n_columns,)``: least squares through the origin.

    A bin as in the baseline has no effect, so the line has no intercept; for a linear model the slope is its weight.
    NaN where no gene differs from its baseline.
    """
    moved = sample.moved.astype(float)
    size = (moved**2).sum(axis=0)
    return np.divide((sample.own * moved).sum(axis=0), size, out=np.full(len(size), np.nan), where=size > 0)


def recovered(sample: Sample) -> Recovered:
    """Compare effects with the planted ones."""
    planted = sample.adata.var[PLANTED].to_numpy(float)
    acting = planted != 0
    slope = slopes(sample)
    known = acting & ~np.isnan(slope)
    pairs, pair_signs, n_pairs = _pairs(sample, acting)
    return Recovered(
        bins=_auroc(acting, np.abs(sample.own).mean(axis=0)),
        bin_signs=float((np.sign(slope) == np.sign(planted))[known].mean()) if known.any() else np.nan,
        n_bins=int(acting.sum()),
        pairs=pairs,
        pair_signs=pair_signs,
        n_pairs=n_pairs,
    )


def _pairs(sample: Sample, acting: np.ndarray) -> tuple[float, float, int]:
    """AUROC, share of right signs and number of planted pairs whose neighbour carries the acting mark.

    A neighbour carries it when its level, the mean ``log1p`` signal over the planted columns, is above the mean of all
    genes: what the simulation multiplies is the level less that mean, so that the planted sign is that of the effect.
    """
    adata, graph = sample.adata, sample.what.graph
    if graph is None:
        return np.nan, np.nan, 0
    truth = adata.uns["simulate"]["neighbor"]
    columns = acting & (adata.var[k.MARK] == truth["mark"]).to_numpy()
    signal = adata.layers[k.SIGNAL] if k.SIGNAL in adata.layers else adata.X
    carries = np.log1p(np.asarray(signal)[:, columns]).mean(axis=1) > truth["center"]
    index, mask = graph.index.cpu().numpy()[sample.rows], graph.mask.cpu().numpy()[sample.rows]
    mask &= carries[index]
    gene = np.repeat(sample.rows[:, None], index.shape[1], axis=1)[mask]
    planted = np.asarray(sparse.csr_matrix(adata.obsp[PLANTED_NEIGHBORS])[gene, index[mask]]).ravel()
    effect = sample.neighbors[mask]
    there = planted != 0
    signs = float((np.sign(effect) == np.sign(planted))[there].mean()) if there.any() else np.nan
    return _auroc(there, np.abs(effect)), signs, int(there.sum())


def _auroc(truth: np.ndarray, score: np.ndarray) -> float:
    return float(roc_auc_score(truth, score)) if 0 < truth.sum() < len(truth) else np.nan
