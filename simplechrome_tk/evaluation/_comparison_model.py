"""Comparison models: fitted to the training genes, and applied to the same or other genes."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.features import observe, read_features
from simplechrome_tk.core.normalization import normalization
from simplechrome_tk.core.require import split_of
from simplechrome_tk.evaluation._model_inputs import ModelInputs
from simplechrome_tk.evaluation._threads import one_thread

if TYPE_CHECKING:
    from typing import Any, Self

    import anndata as ad

    from simplechrome_tk.core.features import Observed, Task
    from simplechrome_tk.evaluation._related_inputs import RelatedInputs

logger = logging.getLogger(__name__)


class TrainingData(NamedTuple):
    """What a comparison model learns from.

    Attributes
    ----------
    x
        What it reads of every gene, ``(n_genes, n_inputs)``.
    inputs
        What the columns of ``x`` are.
    observed
        Label and log expression of every gene.
    split
        Split of every gene.
    rows
        By column of the prediction, the training genes whose truth is known.
    """

    x: np.ndarray
    inputs: ModelInputs
    observed: Observed
    split: np.ndarray
    rows: dict[str, np.ndarray]


class GeneModel(ABC):
    """What all comparison models share: reading genes, checking that they fit, and the table of predictions."""

    task: Task
    """What is learnt and predicted: ``"classification"``, ``"regression"`` or ``"both"``."""

    reads_covariates: bool = True
    """Whether the gene's length may be a column beside the bins."""

    needs_normalized: bool = False
    """Whether ``X`` must be normalised."""

    _inputs: ModelInputs | None = None
    _more: RelatedInputs | None = None

    def fit(
        self,
        adata: ad.AnnData,
        *,
        use_rep: str | None = None,
        gene_length: bool | None = None,
        label_key: str = k.LABEL,
        expression_key: str = k.EXPRESSION,
        split_key: str = k.SPLIT,
    ) -> Self:
        """Fit the model to the training genes.

        Parameters
        ----------
        adata
            Genes with ``obs[split_key]``, labels and expression. Training genes without them are left out and counted
            in the log. For a network on ``X``, normalised (:func:`simplechrome_tk.pp.normalize`).
        use_rep
            Key of ``obsm`` to predict from, such as ``X_simplechrome`` or ``X_pca``, instead of ``X``. A network reads
            its columns as marks of one bin each, brought to mean 0 and variance 1 over the training genes.
        gene_length
            Whether the length of the gene is one more column. ``None`` adds it where
            :class:`simplechrome_tk.SimpleChrome` does (a window reads the gene's body) and the model can read it.
        label_key
            Column of ``obs`` with ``low`` and ``high``.
        expression_key
            Column of ``obs`` with expression in linear units; read only when the model predicts it.
        split_key
            Column of ``obs`` with ``train``, ``valid`` and ``test``. Validation genes choose the epoch of a network;
            nothing else reads what was measured for them.

        Returns
        -------
        ComparisonModel
            The model itself, fitted. A model that was fitted before forgets what it had learnt.

        Raises
        ------
        ValueError
            When no training gene has a label or expression, all labels are of one class, values are missing or
            infinite, or ``use_rep`` is not in ``obsm``. For a network also when that holds for the validation genes,
            ``X`` is not normalised, or it cannot read regions of this shape.
        TypeError
            When the classifier has no ``predict_proba``.
        """
        features = read_features(adata, use_rep)
        if gene_length is None and not self.reads_covariates:
            gene_length = False
        if self.needs_normalized and use_rep is None:
            normalization(adata)
        inputs = ModelInputs.of(adata, features, use_rep=use_rep, gene_length=gene_length)
        x = inputs.add_length(adata, features)
        split = split_of(adata, split_key)
        observed = observe(adata, task=self.task, label_key=label_key, expression_key=expression_key)
        rows = training_rows(observed, split == "train", self.task)
        data = TrainingData(x, inputs, observed, split, rows)
        more = self._learn_inputs(adata, data)
        self._learn(data if more is None else data._replace(x=more.join(adata, x)))
        self._inputs, self._more = inputs, more
        return self

    def predict(self, adata: ad.AnnData) -> pd.DataFrame:
        """Predict every gene of the same or other data, such as another cell type.

        Parameters
        ----------
        adata
            Genes by the columns that the model was fitted to. Where ``X`` was normalised then, it must be normalised
            with the same constants: ``sct.pp.normalize(other, reference=model.normalization)``.

        Returns
        -------
        pandas.DataFrame
            Indexed by ``obs_names``: ``probability`` of a high label and ``log_expression``, on the scale of
            :func:`simplechrome_tk.pp.log_expression`; those that the model predicts.
            :func:`simplechrome_tk.evaluation.evaluate` scores it.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            When :meth:`fit` was not called.
        ValueError
            When columns or normalisation differ from those of the data that the model was fitted to, values are missing
            or infinite, or a gene has no length and the model reads it.
        """
        x = self._fitted_inputs().read(adata)
        if self._more is not None:
            x = self._more.join(adata, x)
        return pd.DataFrame(self._apply(x), index=adata.obs_names)

    @property
    def normalization(self) -> dict[str, Any]:
        """Constants of the training data, for ``sct.pp.normalize(other, reference=model.normalization)``."""
        constants = self._fitted_inputs().normalization
        if constants is None:
            msg = "the model was fitted to signal that was not normalised: give other data as they are."
            raise ValueError(msg)
        return constants

    def __repr__(self) -> str:
        inputs = self._inputs
        if inputs is None:
            return f"{type(self).__name__}, not fitted"
        source = "X" if inputs.use_rep is None else f"obsm[{inputs.use_rep!r}]"
        length = " and the gene's length" if inputs.gene_length else ""
        related = "" if self._more is None else f", {self._more.describe()}"
        return f"{type(self).__name__}, fitted to {inputs.n_columns} columns of {source}{length}{related}"

    def _fitted_inputs(self) -> ModelInputs:
        """Return what the fitted model reads, or raise ``NotFittedError``."""
        if self._inputs is None:
            msg = f"the {type(self).__name__} is not fitted: run model.fit(adata) first."
            raise NotFittedError(msg)
        return self._inputs

    def _learn_inputs(self, adata: ad.AnnData, data: TrainingData) -> RelatedInputs | None:
        """Return what the model reads beside the marks of the gene itself; ``None`` for nothing."""
        return None

    @abstractmethod
    def _learn(self, data: TrainingData) -> None:
        """Fit to the training genes; store what was learnt when all of it is there."""

    @abstractmethod
    def _apply(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Return the columns of the prediction, ``(n_genes,)`` each."""


class ComparisonModel(GeneModel):
    """A scikit-learn classifier of high against low genes, and a regressor of their log expression.

    Parameters
    ----------
    classifier
        Any classifier with ``predict_proba``.
    regressor
        Any regressor; ``None`` leaves expression out.

    Attributes
    ----------
    classifier, regressor
        The estimators as they were given; they are copied, not fitted themselves.
    classifier_, regressor_
        The fitted copies, after :meth:`fit`.

    Examples
    --------
    >>> from sklearn.naive_bayes import GaussianNB
    >>> model = sct.evaluation.ComparisonModel(GaussianNB()).fit(adata)
    >>> model.predict(adata).columns.tolist()
    ['probability']
    """

    classifier_: Any
    regressor_: Any

    def __init__(self, classifier: BaseEstimator, regressor: BaseEstimator | None = None) -> None:
        self.classifier, self.regressor = classifier, regressor
        self.task: Task = "classification" if regressor is None else "both"

    def _learn(self, data: TrainingData) -> None:
        if not hasattr(self.classifier, "predict_proba"):
            msg = (
                f"{type(self.classifier).__name__} has no predict_proba; expected a classifier that gives "
                "probabilities. Wrap it in sklearn.calibration.CalibratedClassifierCV."
            )
            raise TypeError(msg)
        regressor = None
        with one_thread():
            known = data.rows[k.PROBABILITY]
            classifier = clone(self.classifier).fit(data.x[known], data.observed.label[known].astype(int))
            if self.regressor is not None:
                known = data.rows[k.LOG_EXPRESSION]
                regressor = clone(self.regressor).fit(data.x[known], data.observed.log_expression[known])
        self.classifier_, self.regressor_ = classifier, regressor

    def _apply(self, x: np.ndarray) -> dict[str, np.ndarray]:
        with one_thread():
            predicted = {k.PROBABILITY: self.classifier_.predict_proba(x)[:, 1]}
            if self.regressor_ is not None:
                predicted[k.LOG_EXPRESSION] = self.regressor_.predict(x)
        return predicted


def training_rows(observed: Observed, train: np.ndarray, task: Task) -> dict[str, np.ndarray]:
    """Return the rows of the training genes whose label, or expression, is known, by column of the prediction."""
    rows = {}
    for column, what, truth, other_task in (
        (k.PROBABILITY, "label", observed.label, "regression"),
        (k.LOG_EXPRESSION, "expression", observed.log_expression, "classification"),
    ):
        if task == other_task:
            continue
        known = np.flatnonzero(train & ~np.isnan(truth))
        if not len(known):
            msg = f"no {what} is known for any of the {int(train.sum())} training genes; expected some to learn from."
            raise ValueError(msg)
        if len(known) < train.sum():
            logger.info(
                "Learning %s from %d of %d training genes; it is unknown for the others.", what, len(known), train.sum()
            )
        if what == "label" and len(np.unique(truth[known])) < len(k.LABELS):
            only = k.LABELS[int(truth[known[0]])]
            msg = f"all {len(known)} labelled training genes are {only}; expected both classes."
            raise ValueError(msg)
        rows[column] = known
    return rows
