"""Baselines ready to fit, with settings chosen on the validation chromosomes (2 and 9) of E116 alone."""

from __future__ import annotations

import numpy as np
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from simplechrome_tk import nn
from simplechrome_tk.tl._baseline import Baseline
from simplechrome_tk.tl._network_baseline import NetworkBaseline


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


def gradient_boosting(*, n_rounds: int = 300, n_seeds: int = 3, rng: np.random.Generator | int | None = 0) -> Baseline:
    """Boosted trees: rounds of 15 leaves at a learning rate of 0.05, a third of the columns open at each split.

    TODO

    Parameters
    ----------
    n_rounds
        Number of trees in a row.
    n_seeds
        Number of such models, whose predictions are averaged.
    rng
        Seed or generator for the choice of columns.

    Returns
    -------
    Baseline
        For :func:`fit_baseline`.
    """
    settings = {
        "learning_rate": 0.05,
        "max_iter": n_rounds,
        "max_leaf_nodes": 15,
        "l2_regularization": 1.0,
        "max_features": 0.3,
        "early_stopping": False,
    }
    seeds = np.random.default_rng(rng).integers(2**31, size=n_seeds).tolist()
    classifiers, regressors = (
        [(str(i), model(**settings, random_state=seed)) for i, seed in enumerate(seeds)]
        for model in (HistGradientBoostingClassifier, HistGradientBoostingRegressor)
    )
    return Baseline(VotingClassifier(classifiers, voting="soft"), VotingRegressor(regressors))


def pca_head(n_components: int = 32, *, head: Baseline | None = None) -> Baseline:
    """Principal components of the training genes' columns, then another baseline on them.

    Parameters
    ----------
    n_components
        Number of components; at most as many as there are columns and training genes.
    head
        What reads the components; ``None`` takes :func:`logistic_regression`.

    Returns
    -------
    Baseline
        For :func:`fit_baseline`.
    """
    head = logistic_regression() if head is None else head
    classifier, regressor = (
        None if estimator is None else make_pipeline(PCA(n_components, svd_solver="covariance_eigh"), estimator)
        for estimator in head
    )
    return Baseline(classifier, regressor)


def mlp(*, rng: np.random.Generator | int | None = 0) -> NetworkBaseline:
    return NetworkBaseline(
        nn.baselines.MLP, nn.Phase(15, 256, 1e-3, weight_decay=0.01, one_cycle=True), seed=_seed(rng)
    )


def deepchrome(*, rng: np.random.Generator | int | None = 0) -> NetworkBaseline:
    return NetworkBaseline(
        nn.baselines.DeepChrome, nn.Phase(15, 64, 1e-3, weight_decay=0.01, one_cycle=True), seed=_seed(rng)
    )


def attentivechrome(*, rng: np.random.Generator | int | None = 0) -> NetworkBaseline:
    return NetworkBaseline(
        nn.baselines.AttentiveChrome, nn.Phase(10, 64, 3e-3, one_cycle=True, max_gradient=1.0), seed=_seed(rng)
    )


def _seed(rng: np.random.Generator | int | None) -> int:
    return int(np.random.default_rng(rng).integers(2**31))
