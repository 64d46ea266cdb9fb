"""Comparison of attributions with the effects that ``datasets.simulate`` gave to marks and neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import sparse
from scipy.ndimage import uniform_filter1d
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.expression import expression_truth
from simplechrome_tk.core.graph import graph_names, is_by_position
from simplechrome_tk.core.layout import values

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad

    from simplechrome_tk.core.layout import Layout
    from simplechrome_tk.tl.checks._sample import Sample

# Genes with measured expression below which no regression is fitted: every fifth, two of them, chooses the penalty.
_FEWEST_MEASURED = 10
# Bins: 0.9 kb at 100 bp. The filters of the default network are as wide, and spread an effect over so many bins.
_SMOOTHING = 9

# Distance, in the unit of the edges (log10 kb), of a pair that a graph by position does not connect: more than any.
_FURTHEST = 10.0

# Slots that `datasets.simulate` writes: effects of columns (var) and of neighbours (obsp).
EFFECT, NEIGHBOR_EFFECTS = "planted_effect", "planted_neighbor_effects"


class ColumnScores(NamedTuple):
    """Agreement of effects with the simulated effects of columns; NaN where there is nothing to compare.

    Attributes
    ----------
    single
        AUROC of the mean ``|effect|`` of each column over genes: columns with a simulated effect against the others.
    smoothed
        The same after averaging over the nine bins around each column.
    signs
        Share of the columns with a simulated effect whose slope, averaged in the same way, has the simulated sign.
    regression
        AUROC of the coefficients of a ridge regression of measured expression on all signal. The regression has the
        form of the simulation, and so shows what can be learnt from this number of genes.
    n
        Columns with a simulated effect.
    """

    single: float
    smoothed: float
    signs: float
    regression: float
    n: int


class PairScores(NamedTuple):
    """Agreement of effects with the simulated effects of neighbours; NaN where there is nothing to compare.

    Only neighbours count that have more of the acting mark than the mean gene.

    Attributes
    ----------
    size
        AUROC of ``|effect|``: pairs of gene and neighbour with a simulated effect against the others.
    signs
        Share of the pairs with a simulated effect whose effect has the simulated sign.
    alone
        AUROC of what a graph alone says of a pair, by its description: nearness in a graph by position, and the weight
        in any other.
    n
        Pairs with a simulated effect.
    """

    size: float
    signs: float
    alone: dict[str, float]
    n: int


def is_simulated(adata: ad.AnnData) -> bool:
    """Whether the data are simulated, and hold the effects that they were simulated with."""
    return EFFECT in adata.var and NEIGHBOR_EFFECTS in adata.obsp and k.SIMULATE in adata.uns


def fit_slopes(sample: Sample) -> np.ndarray:
    """Fit the effect per unit of signal of each column over genes, ``(n_columns,)``: least squares through the origin.

    A bin with the signal of the baseline has no effect, so the line has no intercept. For a linear model the slope is
    its weight. The slope is 0 where no gene differs from its baseline.
    """
    difference = sample.difference.astype(float)
    size = (difference**2).sum(axis=0)
    return np.divide((sample.own * difference).sum(axis=0), size, out=np.zeros(len(size)), where=size > 0)


def score_columns(sample: Sample) -> ColumnScores:
    """Compare the effects of columns with the simulated ones."""
    simulated = sample.adata.var[EFFECT].to_numpy(float)
    has_effect = simulated != 0
    size = np.abs(sample.own).mean(axis=0)
    has_sign = np.sign(_smooth(sample.layout, fit_slopes(sample))) == np.sign(simulated)
    return ColumnScores(
        single=_auroc(has_effect, size),
        smoothed=_auroc(has_effect, _smooth(sample.layout, size)),
        signs=float(has_sign[has_effect].mean()) if has_effect.any() else np.nan,
        regression=_score_regression(sample.adata, has_effect),
        n=int(has_effect.sum()),
    )


def score_pairs(sample: Sample) -> PairScores:
    """Compare the effects of neighbours with the simulated ones.

    A neighbour counts when its level of the acting mark, the mean ``log1p`` signal over the columns with a simulated
    effect, exceeds the mean of all genes. The simulation multiplies an effect by the level minus that mean, so that the
    effect of such a neighbour has the simulated sign.
    """
    adata, graph = sample.adata, sample.explained.graph
    if graph is None:
        return PairScores(np.nan, np.nan, {}, 0)
    truth = adata.uns["simulate"]["neighbor"]
    columns = (adata.var[EFFECT].to_numpy(float) != 0) & (adata.var[k.MARK] == truth["mark"]).to_numpy()
    has_mark = np.log1p(values(adata, k.SIGNAL)[:, columns]).mean(axis=1) > truth["center"]
    index, mask = graph.index.cpu().numpy()[sample.rows], graph.mask.cpu().numpy()[sample.rows]
    mask &= has_mark[index]
    gene = np.repeat(sample.rows[:, None], index.shape[1], axis=1)[mask]
    simulated = np.asarray(sparse.csr_matrix(adata.obsp[NEIGHBOR_EFFECTS])[gene, index[mask]]).ravel()
    effect, has_effect = sample.neighbors[mask], simulated != 0
    has_sign = np.sign(effect) == np.sign(simulated)
    names = graph_names(sample.explained.neighbors_key)
    known = _describe_pairs(adata, names, graph.edges.cpu().numpy()[sample.rows][mask])
    return PairScores(
        size=_auroc(has_effect, np.abs(effect)),
        signs=float(has_sign[has_effect].mean()) if has_effect.any() else np.nan,
        alone={description: _auroc(has_effect, score) for description, score in known.items()},
        n=int(has_effect.sum()),
    )


def _describe_pairs(adata: ad.AnnData, names: Sequence[str], edges: np.ndarray) -> dict[str, np.ndarray]:
    """Return what each graph alone says of pairs, ``(n_pairs,)`` each, from their edges ``(n_pairs, n_graphs + 2)``."""
    scores = {}
    for number, name in enumerate(names):
        if is_by_position(adata, name):
            scores[f"nearness in the graph {name!r}"] = np.where(edges[:, number] != 0, -edges[:, -1], -_FURTHEST)
        else:
            scores[f"the weight in the graph {name!r}"] = edges[:, number]
    return scores


def _smooth(layout: Layout, of_columns: np.ndarray) -> np.ndarray:
    """Average each column with the bins around it, of the same mark and region."""
    smooth = np.empty(len(of_columns))
    for start, stop in layout.blocks[["start", "stop"]].itertuples(index=False):
        block = np.asarray(of_columns[start:stop], dtype=float)
        smooth[start:stop] = uniform_filter1d(block, _SMOOTHING, mode="nearest")
    return smooth


def _score_regression(adata: ad.AnnData, has_effect: np.ndarray) -> float:
    """Return the AUROC of the coefficients of a ridge regression; NaN where few genes have measured expression.

    Measured expression is regressed on ``log1p`` signal, with the penalty that fits every fifth gene best.
    """
    y = expression_truth(adata) if k.EXPRESSION in adata.obs else np.full(adata.n_obs, np.nan)
    measured = np.flatnonzero(~np.isnan(y))
    if len(measured) < _FEWEST_MEASURED:
        return np.nan
    x, y = np.log1p(values(adata, k.SIGNAL)[measured]), y[measured]
    held_out = np.arange(len(y)) % 5 == 0
    fits = [Ridge(alpha).fit(x[~held_out], y[~held_out]) for alpha in np.logspace(1, 5, 5)]
    best = max(fits, key=lambda fit: fit.score(x[held_out], y[held_out]))
    return _auroc(has_effect, np.abs(best.coef_))


def _auroc(truth: np.ndarray, score: np.ndarray) -> float:
    return float(roc_auc_score(truth, score)) if 0 < truth.sum() < len(truth) else np.nan
