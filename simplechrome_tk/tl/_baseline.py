"""What a plain model reaches on the same numbers: the bar for any other."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from simplechrome_tk import _keys as k
from simplechrome_tk._require import label_truth, split_of
from simplechrome_tk.pp._label import expression_truth
from simplechrome_tk.tl._evaluate import PROBABILITY

if TYPE_CHECKING:
    import anndata as ad

logger = logging.getLogger(__name__)


class Baseline(NamedTuple):
    """A scikit-learn classifier of high against low genes, and a regressor of their log expression."""

    classifier: BaseEstimator
    """Any classifier with ``predict_proba``."""

    regressor: BaseEstimator | None = None
    """Any regressor; ``None`` leaves expression out."""


def logistic_regression() -> Baseline:
    """Logistic and ridge regression on standardised columns.

    Run :func:`simplechrome_tk.pp.normalize` first: raw signal has tails too long for a linear model. The strengths of
    the penalties, ``C=0.003`` and ``alpha=1_000``, were chosen on the validation chromosomes of E116.

    Returns
    -------
    Baseline
        For :func:`fit_baseline`.
    """
    return Baseline(
        make_pipeline(StandardScaler(), LogisticRegression(C=0.003, max_iter=1_000)),
        make_pipeline(StandardScaler(), Ridge(alpha=1_000)),
    )


def gradient_boosting(*, rng: np.random.Generator | int | None = 0) -> Baseline:
    """Boosted trees: 300 rounds of 15 leaves at a learning rate of 0.05, half of the columns open at each split.

    The strongest plain model on these data; trees do not need normalised columns. About a minute on two free cores for
    14,000 genes by 600 columns, several where other work shares them.

    Parameters
    ----------
    rng
        Seed or generator for the choice of columns.

    Returns
    -------
    Baseline
        For :func:`fit_baseline`.
    """
    settings = {
        "learning_rate": 0.05,
        "max_iter": 300,
        "max_leaf_nodes": 15,
        "l2_regularization": 1.0,
        "max_features": 0.5,
        "early_stopping": False,
        "random_state": int(np.random.default_rng(rng).integers(2**31)),
    }
    return Baseline(HistGradientBoostingClassifier(**settings), HistGradientBoostingRegressor(**settings))


def fit_baseline(
    adata: ad.AnnData,
    baseline: Baseline,
    *,
    use_rep: str | None = None,
    label_key: str = k.LABEL,
    expression_key: str = k.EXPRESSION,
    split_key: str = k.SPLIT,
) -> pd.DataFrame:
    """Fit a plain model on the training genes and predict every gene.

    Parameters
    ----------
    adata
        Genes with ``obs[split_key]``, labels and expression; training genes without them are left out and counted in
        the log.
    baseline
        :func:`logistic_regression`, :func:`gradient_boosting`, or scikit-learn estimators of your own in a
        :class:`Baseline`. They are copied, not fitted themselves.
    use_rep
        Key of ``obsm`` to predict from, such as ``X_simplechrome`` or ``X_pca``, instead of ``X``.
    label_key
        Column of ``obs`` with ``low`` and ``high``.
    expression_key
        Column of ``obs`` with expression in linear units; read only when there is a regressor.
    split_key
        Column of ``obs`` with ``train``, ``valid`` and ``test``.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``obs_names``: ``probability`` of a high label and, with a regressor, ``expression``, on the scale of
        :func:`simplechrome_tk.pp.log_expression`. :func:`evaluate` scores it.

    Raises
    ------
    ValueError
        When no training gene has a label or expression, all are of one class, or ``use_rep`` is not there.
    TypeError
        When the classifier has no ``predict_proba``.

    Examples
    --------
    >>> prediction = sct.tl.fit_baseline(adata, sct.tl.logistic_regression())  # doctest: +SKIP
    >>> sct.tl.evaluate(adata, prediction, splits=["valid"])  # doctest: +SKIP
    """
    if not hasattr(baseline.classifier, "predict_proba"):
        msg = (
            f"{type(baseline.classifier).__name__} has no predict_proba; expected a classifier that gives "
            "probabilities. Wrap it in sklearn.calibration.CalibratedClassifierCV."
        )
        raise TypeError(msg)
    features = _features(adata, use_rep)
    train = split_of(adata, split_key) == "train"
    truth = label_truth(adata, label_key)
    rows = _training_rows(train, truth, what="label")
    if len(np.unique(truth[rows])) < len(k.LABELS):
        msg = f"all {len(rows)} labelled training genes are {k.LABELS[int(truth[rows[0]])]}; expected both classes."
        raise ValueError(msg)
    classifier = clone(baseline.classifier).fit(features[rows], truth[rows].astype(int))
    prediction = pd.DataFrame({PROBABILITY: classifier.predict_proba(features)[:, 1]}, index=adata.obs_names)
    if baseline.regressor is not None:
        target = expression_truth(adata, expression_key)
        rows = _training_rows(train, target, what="expression")
        prediction[k.EXPRESSION] = clone(baseline.regressor).fit(features[rows], target[rows]).predict(features)
    return prediction


def _features(adata: ad.AnnData, use_rep: str | None) -> np.ndarray:
    """Columns to predict from, shape ``(n_genes, n_features)``."""
    if use_rep is None:
        return np.asarray(adata.X)
    if use_rep not in adata.obsm:
        msg = f"obsm has no {use_rep!r} (found: {', '.join(adata.obsm) or 'none'}); use_rep=None predicts from X."
        raise ValueError(msg)
    return np.asarray(adata.obsm[use_rep])


def _training_rows(train: np.ndarray, truth: np.ndarray, *, what: str) -> np.ndarray:
    rows = np.flatnonzero(train & ~np.isnan(truth))
    if not len(rows):
        msg = f"no {what} is known for any of the {int(train.sum())} training genes; expected some to learn from."
        raise ValueError(msg)
    if len(rows) < train.sum():
        logger.info(
            "Learning %s from %d of %d training genes; it is unknown for the others.", what, len(rows), train.sum()
        )
    return rows
