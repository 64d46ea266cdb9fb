"""How much of the truth planted by ``datasets.simulate`` the effects recover."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import sparse
from scipy.ndimage import uniform_filter1d
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.expression import expression_truth
from simplechrome_tk.core.layout import blocks
from simplechrome_tk.core.matrix import dense

if TYPE_CHECKING:
    import anndata as ad

    from simplechrome_tk.tl.checks._sample import Sample

_FEWEST_MEASURED = 10  # two of them are held out
_AROUND = 9  # bins: 0.9 kb at 100 bp; the default network's filters are as wide

PLANTED, PLANTED_NEIGHBORS = "planted_effect", "planted_neighbor_effects"


class Recovered(NamedTuple):
    """Shares and areas; NaN where there is nothing to compare.

    ``bins``: AUROC of the mean ``|effect|`` of each column over genes, columns with a planted effect against those
    without. ``stretches``: the same of its mean over the nine bins around each. ``signs``: share of planted columns
    whose slope, averaged in the same way, has the planted sign. ``regression``: AUROC of the coefficients of a ridge
    regression of measured expression on all signal, which knows the form of the truth: what so many genes can tell.
    ``n_bins``: planted columns. ``pairs``: AUROC of ``|effect|`` of gene-neighbour pairs, planted ones against others,
    among neighbours that carry the acting mark. ``pair_signs``: share of the planted ones among them with the planted
    sign. ``distance``: AUROC of nearness alone. ``n_pairs``: planted pairs.
    """

    bins: float
    stretches: float
    signs: float
    regression: float
    n_bins: int
    pairs: float
    pair_signs: float
    distance: float
    n_pairs: int


def has_truth(adata: ad.AnnData) -> bool:
    """Whether the data are simulated, with the truth beside them."""
    return PLANTED in adata.var and PLANTED_NEIGHBORS in adata.obsp and k.SIMULATE in adata.uns


def slopes(sample: Sample) -> np.ndarray:
    """Effect per unit of signal of each column over genes, ``(n_columns,)``: least squares through the origin.

    A bin as in the baseline has no effect, so the line has no intercept; for a linear model the slope is its weight.
    0 where no gene differs from its baseline.
    """
    moved = sample.moved.astype(float)
    size = (moved**2).sum(axis=0)
    return np.divide((sample.own * moved).sum(axis=0), size, out=np.zeros(len(size)), where=size > 0)


def recovered(sample: Sample) -> Recovered:
    """Compare effects with the planted ones."""
    adata = sample.adata
    planted = adata.var[PLANTED].to_numpy(float)
    acting = planted != 0
    size = np.abs(sample.own).mean(axis=0)
    right = np.sign(_around(adata, slopes(sample))) == np.sign(planted)
    return Recovered(
        _auroc(acting, size),
        _auroc(acting, _around(adata, size)),
        float(right[acting].mean()) if acting.any() else np.nan,
        _regression(adata, acting),
        int(acting.sum()),
        *_pairs(sample, acting),
    )


def _around(adata: ad.AnnData, values: np.ndarray) -> np.ndarray:
    """Average each column with the bins around it, of the same mark and region."""
    smooth = np.empty(len(values))
    for start, stop in blocks(adata)[["start", "stop"]].itertuples(index=False):
        smooth[start:stop] = uniform_filter1d(np.asarray(values[start:stop], dtype=float), _AROUND, mode="nearest")
    return smooth


def _regression(adata: ad.AnnData, acting: np.ndarray) -> float:
    """AUROC of the coefficients of a ridge regression, of columns that act against others; NaN with few measured.

    Measured expression is regressed on ``log1p`` signal, the penalty chosen on every fifth gene.
    """
    y = expression_truth(adata) if k.EXPRESSION in adata.obs else np.full(adata.n_obs, np.nan)
    measured = np.flatnonzero(~np.isnan(y))
    if len(measured) < _FEWEST_MEASURED:
        return np.nan
    x, y = np.log1p(_signal(adata)[measured]), y[measured]
    held_out = np.arange(len(y)) % 5 == 0
    fits = [Ridge(alpha).fit(x[~held_out], y[~held_out]) for alpha in np.logspace(1, 5, 5)]
    return _auroc(acting, np.abs(max(fits, key=lambda fit: fit.score(x[held_out], y[held_out])).coef_))


def _signal(adata: ad.AnnData) -> np.ndarray:
    return dense(adata, k.SIGNAL if k.SIGNAL in adata.layers else None)


def _pairs(sample: Sample, acting: np.ndarray) -> tuple[float, float, float, int]:
    """AUROC and share of right signs of pairs whose neighbour carries the mark; AUROC of nearness; planted pairs.

    A neighbour carries it when its level, the mean ``log1p`` signal over the planted columns, is above the mean of all
    genes: what the simulation multiplies is the level less that mean, so that the planted sign is that of the effect.
    """
    adata, graph = sample.adata, sample.what.graph
    if graph is None:
        return np.nan, np.nan, np.nan, 0
    truth = adata.uns[k.SIMULATE]["neighbor"]
    columns = acting & (adata.var[k.MARK] == truth["mark"]).to_numpy()
    carries = np.log1p(_signal(adata)[:, columns]).mean(axis=1) > truth["center"]
    index, mask = graph.index.cpu().numpy()[sample.rows], graph.mask.cpu().numpy()[sample.rows]
    mask &= carries[index]
    gene = np.repeat(sample.rows[:, None], index.shape[1], axis=1)[mask]
    planted = np.asarray(sparse.csr_matrix(adata.obsp[PLANTED_NEIGHBORS])[gene, index[mask]]).ravel()
    effect = sample.neighbors[mask]
    there = planted != 0
    signs = float((np.sign(effect) == np.sign(planted))[there].mean()) if there.any() else np.nan
    log_distance = graph.edges.cpu().numpy()[sample.rows][..., 2][mask]
    return _auroc(there, np.abs(effect)), signs, _auroc(there, -log_distance), int(there.sum())


def _auroc(truth: np.ndarray, score: np.ndarray) -> float:
    return float(roc_auc_score(truth, score)) if 0 < truth.sum() < len(truth) else np.nan
