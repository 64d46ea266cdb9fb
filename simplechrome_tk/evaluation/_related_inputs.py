"""Inputs beside the marks of a gene: its expression in reference samples, and its related genes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.graph import neighbor_matrices
from simplechrome_tk.core.layout import Layout
from simplechrome_tk.core.reference import read_reference
from simplechrome_tk.core.require import chromosomes, gene_ids
from simplechrome_tk.core.shorten import shorten
from simplechrome_tk.evaluation._threads import one_thread

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad
    from scipy import sparse

    from simplechrome_tk.evaluation._comparison_model import TrainingData

logger = logging.getLogger(__name__)

_N_FOLDS = 5
"""Folds of chromosomes; each training gene is predicted by the model of the other folds."""


class OwnModels(NamedTuple):
    """Regressors of log expression from the marks of a gene alone.

    Attributes
    ----------
    fold
        Fold of each training gene, indexed by its id.
    models
        The model without each fold, and at last the model of all training genes.
    """

    fold: pd.Series
    models: list[Any]

    @classmethod
    def learn(cls, adata: ad.AnnData, data: TrainingData, regressor: BaseEstimator) -> OwnModels:
        """Fit the models to the training genes; related genes would else tell what was measured for them."""
        rows = data.rows[k.LOG_EXPRESSION]
        chrom = pd.factorize(chromosomes(adata, fix="store each gene's chromosome there").iloc[rows])[0]
        fold = chrom % _N_FOLDS
        if len(np.unique(chrom)) < 2:
            msg = (
                "all training genes lie on one chromosome; expected two or more, so that each is predicted by a model "
                "that has not learnt from its chromosome. Split again, or leave neighbors_key out."
            )
            raise ValueError(msg)
        models = []
        with one_thread():
            for number in range(_N_FOLDS + 1):
                rest = rows[fold != number]
                models.append(clone(regressor).fit(data.x[rest], data.observed.log_expression[rest]))
        # A gene lies on one chromosome, so that it has the same fold in all cell types.
        by_id = pd.Series(fold, index=gene_ids(adata)[rows])
        return cls(by_id[~by_id.index.duplicated()], models)

    def predict(self, adata: ad.AnnData, x: np.ndarray) -> np.ndarray:
        """Return the log expression of each gene, by the model that has not learnt from it, ``(n_genes,)``."""
        number = self.fold.reindex(gene_ids(adata)).fillna(_N_FOLDS).to_numpy(int)
        predicted = np.empty(len(x))
        with one_thread():
            for i in np.unique(number):
                predicted[number == i] = self.models[i].predict(x[number == i])
        return predicted


class RelatedInputs(NamedTuple):
    """What a fitted model reads beside the marks of a gene.

    Attributes
    ----------
    reference_key
        Key of ``obsm``, or ``None``.
    samples
        Names of the reference samples.
    neighbors_key
        Name of the graph, or ``None``.
    own
        Models that predict the neighbours; ``None`` without a graph.
    marks
        Whether the marks of the gene are read.
    """

    reference_key: str | None
    samples: Sequence[str]
    neighbors_key: str | None
    own: OwnModels | None
    marks: bool

    @classmethod
    def learn(
        cls,
        adata: ad.AnnData,
        data: TrainingData,
        regressor: BaseEstimator,
        *,
        reference_key: str | None,
        neighbors_key: str | None,
        marks: bool,
    ) -> RelatedInputs:
        """Check the slots, and fit the models that predict the neighbours."""
        samples = [] if reference_key is None else read_reference(adata, reference_key).samples
        own = None
        if neighbors_key is not None:
            if data.inputs.use_rep is not None:
                msg = (
                    f"use_rep is {data.inputs.use_rep!r}, with neighbors_key {neighbors_key!r}; expected one of them: "
                    "the marks of related genes are read from X."
                )
                raise ValueError(msg)
            # The slots are checked before the models take their time.
            neighbor_matrices(adata, neighbors_key)
            Layout.of(adata)
            own = OwnModels.learn(adata, data, regressor)
        return cls(reference_key, samples, neighbors_key, own, marks)

    def join(self, adata: ad.AnnData, x: np.ndarray) -> np.ndarray:
        """Return all columns that the model reads, ``(n_genes, n_inputs)``: those of ``x``, and what is related.

        Raises
        ------
        ValueError
            When the reference or the graph is missing, or the reference has other samples than the model was fitted to.
        """
        parts, mean = [x] if self.marks else [], np.zeros(len(x))
        if self.reference_key is not None:
            reference = read_reference(adata, self.reference_key)
            self._check_samples(reference.samples)
            parts.append(reference.values)
            mean = reference.mean
            if missing := int(np.isnan(mean).sum()):
                logger.info("%d of %d genes have no reference; it is a missing value.", missing, len(mean))
        if self.neighbors_key is not None and self.own is not None:
            weights = neighbor_matrices(adata, self.neighbors_key)[0]
            alone = np.diff(weights.indptr) == 0
            if alone.any():
                logger.info(
                    "%d of %d genes have no neighbour in %r; what is known of neighbours is a missing value.",
                    int(alone.sum()),
                    len(alone),
                    self.neighbors_key,
                )
            own = self.own.predict(adata, x) - mean
            parts.append(_mean_over_neighbors(weights, np.column_stack([own, _region_means(adata, x)])))
        return np.hstack(parts)

    def describe(self) -> str:
        """Return what is read, in words."""
        parts = [] if self.marks else ["without marks"]
        if self.reference_key is not None:
            parts.append(f"{len(self.samples)} reference samples")
        if self.neighbors_key is not None:
            parts.append(f"the graph {self.neighbors_key!r}")
        return ", ".join(parts)

    def _check_samples(self, found: Sequence[str]) -> None:
        if list(found) != list(self.samples):
            new = [name for name in found if name not in self.samples]
            absent = [name for name in self.samples if name not in found]
            msg = (
                f"obsm[{self.reference_key!r}] has {len(found)} reference samples, and the model was fitted to "
                f"{len(self.samples)}; absent: {shorten(absent)}; new: {shorten(new)}. Expected the same in the same "
                "order: add them with sct.pp.add_reference_expression, or fit the model again."
            )
            raise ValueError(msg)


def _region_means(adata: ad.AnnData, x: np.ndarray) -> np.ndarray:
    """Return the mean of each mark in each region, ``(n_genes, n_blocks)``; ``x`` begins with the columns of ``X``."""
    layout = Layout.of(adata)
    return layout.block_sums(x[:, : layout.n_columns]) / (layout.blocks["stop"] - layout.blocks["start"]).to_numpy()


def _mean_over_neighbors(weights: sparse.csr_matrix, values: np.ndarray) -> np.ndarray:
    """Return the weighted mean over the neighbours of each gene, ``(n_genes, n_values)``; NaN without neighbours.

    A neighbour whose value is missing does not count for it.
    """
    known = np.isfinite(values)
    total = weights @ np.where(known, values, 0.0)
    weight = weights @ known.astype(float)
    return np.divide(total, weight, out=np.full(total.shape, np.nan), where=weight > 0)
