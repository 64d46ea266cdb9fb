"""What other models reach on the same numbers: the bar for any other."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone
from threadpoolctl import threadpool_limits

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.features import Observed, observe, read_features, reads_body
from simplechrome_tk.core.features import gene_length as length_of
from simplechrome_tk.core.require import split_of
from simplechrome_tk.evaluation._network_model import NetworkBaseline, predict_with_network, read_regions
from simplechrome_tk.nn import RegionShape

if TYPE_CHECKING:
    import anndata as ad
    import torch

    from simplechrome_tk.core.features import Task

logger = logging.getLogger(__name__)


class Baseline(NamedTuple):
    """A scikit-learn classifier of high against low genes, and a regressor of their log expression."""

    classifier: BaseEstimator
    """Any classifier with ``predict_proba``."""

    regressor: BaseEstimator | None = None
    """Any regressor; ``None`` leaves expression out."""

    @property
    def reads_covariates(self) -> bool:
        """Whether columns that are no bins may stand beside the marks: always."""
        return True

    @property
    def task(self) -> Task:
        """What is learnt and predicted."""
        return "classification" if self.regressor is None else "both"


def fit_baseline(
    adata: ad.AnnData,
    baseline: Baseline | NetworkBaseline,
    *,
    use_rep: str | None = None,
    gene_length: bool | None = None,
    label_key: str = k.LABEL,
    expression_key: str = k.EXPRESSION,
    split_key: str = k.SPLIT,
    device: str | torch.device | None = None,
) -> pd.DataFrame:
    """Fit another model on the training genes and predict every gene.

    Parameters
    ----------
    adata
        Genes with ``obs[split_key]``, labels and expression; training genes without them are left out and counted in
        the log. For a network on ``X``, normalised (:func:`simplechrome_tk.pp.normalize`).
    baseline
        :func:`logistic_regression`, :func:`gradient_boosting`, :func:`pca_head`, :func:`mlp`, :func:`deepchrome`,
        :func:`attentivechrome`; scikit-learn estimators of your own in a :class:`Baseline` (they are copied, not fitted
        themselves), or a network of your own in a :class:`NetworkBaseline`.
    use_rep
        Key of ``obsm`` to predict from, such as ``X_simplechrome`` or ``X_pca``, instead of ``X``. A network reads its
        columns as marks of one bin each, brought to mean 0 and variance 1 over the training genes.
    gene_length
        Whether the length of the gene is one more column; ``None`` takes it where :class:`simplechrome_tk.SimpleChrome`
        does (a window reads the gene's body), for baselines that can read it.
    label_key
        Column of ``obs`` with ``low`` and ``high``.
    expression_key
        Column of ``obs`` with expression in linear units; read only when the baseline predicts it.
    split_key
        Column of ``obs`` with ``train``, ``valid`` and ``test``. Validation genes choose the epoch of a network;
        nothing else looks at what was measured for them.
    device
        Where a network computes; ``None`` takes CUDA, MPS or CPU, the first there is. scikit-learn takes the CPU.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``obs_names``: ``probability`` of a high label and ``expression``, on the scale of
        :func:`simplechrome_tk.pp.log_expression`; those that the baseline predicts. :func:`evaluate` scores it.

    Raises
    ------
    ValueError
        When no training gene has a label or expression, all are of one class, columns are missing or infinite, or
        ``use_rep`` is not there; for a network also when that holds for the validation genes, ``X`` is not normalised
        or its regions are not ones that it can read.
    TypeError
        When the classifier has no ``predict_proba``.

    Examples
    --------
    >>> import simplechrome_tk as sct
    >>> adata = sct.datasets.simulate(400)
    >>> sct.pp.split_by_chromosome(adata)
    >>> sct.pp.normalize(adata)
    >>> prediction = sct.evaluation.fit_baseline(adata, sct.evaluation.logistic_regression())
    >>> sct.evaluation.evaluate(adata, prediction, splits=["test"], n_bootstrap=0)["metric"].tolist()
    ['AUROC', 'AUPRC', 'accuracy', 'ECE', 'Pearson', 'Spearman']
    """
    if isinstance(baseline, Baseline):
        _require_probabilities(baseline)
    features = read_features(adata, use_rep)
    if gene_length is None:
        marks = use_rep is None and k.REGION in adata.var  # else the columns are no bins, and no window reads the body
        gene_length = marks and baseline.reads_covariates and reads_body(adata)
    if gene_length:
        features = np.column_stack([features, length_of(adata)])
    split = split_of(adata, split_key)
    observed = observe(adata, task=baseline.task, label_key=label_key, expression_key=expression_key)
    rows = _training_rows(observed, split == "train", baseline.task)
    if isinstance(baseline, Baseline):
        # At each split boosted trees wait for all of their threads, so that beside other work two threads take twice as
        # long as one, or more.
        with threadpool_limits(1):
            predicted = _predict_with_estimators(baseline, features, observed, rows)
    else:
        regions, features = read_regions(adata, features, split == "train", from_rep=use_rep is not None)
        if gene_length:
            regions.append(RegionShape(1, 1))
        predicted = predict_with_network(baseline, features, regions, observed, observed.rows(split), device)
    return pd.DataFrame(predicted, index=adata.obs_names)


def _predict_with_estimators(
    baseline: Baseline, features: np.ndarray, observed: Observed, rows: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    known = rows[k.PROBABILITY]
    classifier = clone(baseline.classifier).fit(features[known], observed.label[known].astype(int))
    predicted = {k.PROBABILITY: classifier.predict_proba(features)[:, 1]}
    if baseline.regressor is not None:
        known = rows[k.LOG_EXPRESSION]
        regressor = clone(baseline.regressor).fit(features[known], observed.log_expression[known])
        predicted[k.LOG_EXPRESSION] = regressor.predict(features)
    return predicted


def _require_probabilities(baseline: Baseline) -> None:
    if not hasattr(baseline.classifier, "predict_proba"):
        msg = (
            f"{type(baseline.classifier).__name__} has no predict_proba; expected a classifier that gives "
            "probabilities. Wrap it in sklearn.calibration.CalibratedClassifierCV."
        )
        raise TypeError(msg)


def _training_rows(observed: Observed, train: np.ndarray, task: Task) -> dict[str, np.ndarray]:
    """Row numbers of the training genes of which the label, the expression is known, by what is predicted."""
    rows = {}
    for column, what, truth, unwanted in (
        (k.PROBABILITY, "label", observed.label, "regression"),
        (k.LOG_EXPRESSION, "expression", observed.log_expression, "classification"),
    ):
        if task == unwanted:
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
