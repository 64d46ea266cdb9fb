"""Comparison models that read no mark: what reference samples tell about the genes."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.features import observe
from simplechrome_tk.core.reference import read_reference
from simplechrome_tk.core.require import cell_types, split_of
from simplechrome_tk.core.shorten import shorten
from simplechrome_tk.evaluation._comparison_model import training_rows
from simplechrome_tk.evaluation._metrics import pearson

if TYPE_CHECKING:
    from typing import Self

    import anndata as ad

    from simplechrome_tk.core.reference import Reference

logger = logging.getLogger(__name__)


class _ReferenceModel(ABC):
    """What the models share: a log expression from the reference, and a probability that is fitted to it."""

    _curve: LogisticRegression | None = None
    _chosen: dict[str, str]

    def __init__(self, *, reference_key: str = k.REFERENCE_EXPRESSION) -> None:
        self.reference_key = reference_key

    def fit(
        self,
        adata: ad.AnnData,
        *,
        label_key: str = k.LABEL,
        expression_key: str = k.EXPRESSION,
        split_key: str = k.SPLIT,
    ) -> Self:
        """Fit the model to the training genes.

        Parameters
        ----------
        adata
            Genes with a reference (``sct.pp.add_reference_expression``), ``obs[split_key]``, labels and expression.
            Their marks are not read.
        label_key
            Column of ``obs`` with ``low`` and ``high``.
        expression_key
            Column of ``obs`` with expression in linear units.
        split_key
            Column of ``obs`` with ``train``, ``valid`` and ``test``.

        Returns
        -------
        object
            The model itself, fitted.

        Raises
        ------
        ValueError
            When there is no reference, no training gene has a label or expression beside its reference, or all labels
            are of one class.
        """
        reference = read_reference(adata, self.reference_key)
        observed = observe(adata, task="both", label_key=label_key, expression_key=expression_key)
        train = split_of(adata, split_key) == "train"
        chosen = self._choose(adata, reference, np.where(train, observed.log_expression, np.nan))
        log_expression = self._estimate(adata, reference, chosen)
        # The curve is fitted to the genes that can be predicted.
        known = training_rows(observed, train & ~np.isnan(log_expression), "both")[k.PROBABILITY]
        curve = LogisticRegression().fit(log_expression[known][:, None], observed.label[known].astype(int))
        self._chosen, self._curve = chosen, curve
        return self

    def predict(self, adata: ad.AnnData) -> pd.DataFrame:
        """Predict every gene of the same or other data.

        Parameters
        ----------
        adata
            Genes with a reference.

        Returns
        -------
        pandas.DataFrame
            Indexed by ``obs_names``: ``probability`` of a high label and ``log_expression``. Genes without a reference
            are NaN, and counted in the log. :func:`evaluate` scores it.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            When :meth:`fit` was not called.
        ValueError
            When there is no reference, or not the one that the model was fitted to.
        """
        if self._curve is None:
            msg = f"the {type(self).__name__} is not fitted: run model.fit(adata) first."
            raise NotFittedError(msg)
        log_expression = self._estimate(adata, read_reference(adata, self.reference_key), self._chosen)
        known = ~np.isnan(log_expression)
        if not known.all():
            logger.warning(
                "%d of %d genes have no reference, and no prediction: leave them out before evaluation.",
                int((~known).sum()),
                len(known),
            )
        probability = np.full(len(known), np.nan)
        if known.any():
            probability[known] = self._curve.predict_proba(log_expression[known][:, None])[:, 1]
        return pd.DataFrame({k.PROBABILITY: probability, k.LOG_EXPRESSION: log_expression}, index=adata.obs_names)

    @abstractmethod
    def _choose(self, adata: ad.AnnData, reference: Reference, measured: np.ndarray) -> dict[str, str]:
        """Return the reference sample of each cell type, from what was ``measured`` of the training genes."""

    @abstractmethod
    def _estimate(self, adata: ad.AnnData, reference: Reference, chosen: dict[str, str]) -> np.ndarray:
        """Return the log expression of each gene, NaN where unknown, ``(n_genes,)``."""


class ReferenceMean(_ReferenceModel):
    """The mean of each gene over the reference samples, without its marks.

    Most genes are on, or off, in nearly all cell types. Where the marks of a cell type add information, a model that
    reads them predicts better than this mean; its ``deviation`` is undefined, since it never deviates. The probability
    is a logistic curve of the mean, fitted to the labels of the training genes; nothing else is learnt.

    Parameters
    ----------
    reference_key
        Key of ``obsm`` with log expression in reference samples, NaN where unknown, ``(n_genes, n_references)``.

    Notes
    -----
    In the ENCODE Imputation Challenge (Schreiber et al. 2023, doi 10.1186/s13059-023-02915-y) the average activity of
    the training cell types was better than nearly all models.

    Examples
    --------
    >>> import numpy as np
    >>> measured = sct.pp.log_expression(adata.obs["expression"])
    >>> noise = np.random.default_rng(0).normal(0, 0.5, (adata.n_obs, 3))
    >>> adata.obsm["reference_expression"] = measured[:, None] + noise
    >>> adata.uns["reference_expression"] = {"samples": ["liver", "lung", "spleen"]}
    >>> prediction = sct.evaluation.ReferenceMean().fit(adata).predict(adata)
    >>> bool(np.allclose(prediction["log_expression"], adata.obsm["reference_expression"].mean(axis=1)))
    True
    """

    def _choose(self, adata: ad.AnnData, reference: Reference, measured: np.ndarray) -> dict[str, str]:
        return {}

    def _estimate(self, adata: ad.AnnData, reference: Reference, chosen: dict[str, str]) -> np.ndarray:
        return reference.mean

    def __repr__(self) -> str:
        return f"ReferenceMean of obsm[{self.reference_key!r}]" + (", not fitted" if self._curve is None else "")


class NearestReference(_ReferenceModel):
    """The most similar reference sample, without marks.

    It is the sample whose log expression has the highest Pearson correlation with that of the training genes, chosen
    for each cell type on its own. The probability is a logistic curve of its log expression, fitted to the labels of
    the training genes.

    Parameters
    ----------
    reference_key
        Key of ``obsm`` with log expression in reference samples, NaN where unknown, ``(n_genes, n_references)``.

    Examples
    --------
    >>> import numpy as np
    >>> measured = sct.pp.log_expression(adata.obs["expression"])
    >>> noise = np.random.default_rng(0).normal(0, [2.0, 0.5, 1.0], (adata.n_obs, 3))
    >>> adata.obsm["reference_expression"] = measured[:, None] + noise
    >>> adata.uns["reference_expression"] = {"samples": ["liver", "lung", "spleen"]}
    >>> sct.evaluation.NearestReference().fit(adata)
    NearestReference, fitted: lung for simulated
    """

    @property
    def nearest_(self) -> dict[str, str]:
        """Name of the chosen sample by cell type, after :meth:`fit`; of data without cell types, that of ``"all"``."""
        if self._curve is None:
            msg = "the NearestReference is not fitted: run model.fit(adata) first."
            raise NotFittedError(msg)
        return dict(self._chosen)

    def _choose(self, adata: ad.AnnData, reference: Reference, measured: np.ndarray) -> dict[str, str]:
        cells = cell_types(adata).to_numpy()
        nearest = {}
        for cell in dict.fromkeys(cells):
            similar = _correlate(reference.values, np.where(cells == cell, measured, np.nan))
            if np.isnan(similar).all():
                msg = (
                    f"{cell}: no reference sample can be correlated with the expression of the training genes; "
                    "expected at least two of them with expression and with a reference, neither of them constant."
                )
                raise ValueError(msg)
            best = int(np.nanargmax(similar))
            nearest[str(cell)] = reference.samples[best]
            logger.info(
                "%s: %s is the most similar of %d reference samples (Pearson %.3f on the training genes).",
                cell,
                reference.samples[best],
                len(similar),
                similar[best],
            )
        return nearest

    def _estimate(self, adata: ad.AnnData, reference: Reference, chosen: dict[str, str]) -> np.ndarray:
        cells = cell_types(adata).to_numpy()
        if unknown := [str(cell) for cell in dict.fromkeys(cells) if cell not in chosen]:
            msg = (
                f"the most similar sample is known for {shorten(chosen)}, and adata holds {shorten(unknown)}; fit the "
                "model to data with labelled genes of these cell types."
            )
            raise ValueError(msg)
        if absent := sorted({sample for cell, sample in chosen.items() if cell in cells} - set(reference.samples)):
            msg = (
                f"obsm[{self.reference_key!r}] has no sample {shorten(absent)} (found: {shorten(reference.samples)}), "
                "which the model was fitted to; add the same reference, or fit again."
            )
            raise ValueError(msg)
        column = np.array([reference.samples.index(chosen[cell]) for cell in cells])
        return reference.values[np.arange(adata.n_obs), column]

    def __repr__(self) -> str:
        if self._curve is None:
            return "NearestReference, not fitted"
        return "NearestReference, fitted: " + ", ".join(f"{name} for {cell}" for cell, name in self._chosen.items())


def _correlate(values: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """Return the Pearson correlation of each column of ``values`` with ``measured`` where both are known."""
    found = np.full(values.shape[1], np.nan)
    for i, column in enumerate(values.T):
        known = ~np.isnan(column) & ~np.isnan(measured)
        if known.sum() > 1:
            found[i] = pearson(measured[known], column[known], np.ones((1, known.sum())))[0]
    return found
