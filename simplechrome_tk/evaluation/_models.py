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
from simplechrome_tk.evaluation._comparison_model import Baseline
from simplechrome_tk.evaluation._network_model import NetworkBaseline


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


def gradient_boosting(
    *,
    classifier_rounds: int = 75,
    regressor_rounds: int = 300,
    n_seeds: int = 3,
    rng: np.random.Generator | int | None = 0,
) -> Baseline:
    """Boosted trees at a learning rate of 0.05, 30 % of the columns open at each split, seeds averaged.

    The strongest plain model on these data; trees do not need normalised columns. The classifier has 31 leaves a tree,
    the regressor 15. On the validation chromosomes of E116 (TSS window, with and without body) AUROC is highest at 75
    (31 leaves) or 100 rounds (15 leaves), and with 15 leaves falls by 0.001 to 0.003 until 300; Pearson is flat from
    200 to 400. Averaging seeds adds up to 0.0008; 10 % of the columns, 50 % (tried with body) and a rate of 0.03
    come within about 0.001.

    Parameters
    ----------
    classifier_rounds, regressor_rounds
        Number of trees, one after the other, of the classifier and of the regressor.
    n_seeds
        Number of such models, whose predictions are averaged.
    rng
        Seed or generator for the choice of columns.

    Returns
    -------
    Baseline
        For :func:`fit_baseline`.
    """
    shared = {"learning_rate": 0.05, "l2_regularization": 1.0, "max_features": 0.3, "early_stopping": False}
    seeds = np.random.default_rng(rng).integers(2**31, size=n_seeds).tolist()
    classifiers, regressors = (
        [
            (str(i), model(**shared, max_iter=rounds, max_leaf_nodes=leaves, random_state=seed))
            for i, seed in enumerate(seeds)
        ]
        for model, rounds, leaves in (
            (HistGradientBoostingClassifier, classifier_rounds, 31),
            (HistGradientBoostingRegressor, regressor_rounds, 15),
        )
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
    """:class:`simplechrome_tk.nn.baselines.MLP`, 256 and 128 units, at most 15 epochs of AdamW in batches of 256.

    Five settings (256 or 512 units, dropout, learning rate, averaged weights) came within 0.001 of each other.
    Reads any columns, so that it also serves as a head on a representation (``use_rep``).

    Parameters
    ----------
    rng
        Seed or generator of weights, batches and dropout.

    Returns
    -------
    NetworkBaseline
        For :func:`fit_baseline`.
    """
    phase = nn.Phase(15, 256, 3e-3, weight_decay=0.01, one_cycle=True, average=0.99)
    return NetworkBaseline(nn.baselines.MLP, phase, seed=_seed(rng), reads_covariates=True)


def deepchrome(*, rng: np.random.Generator | int | None = 0) -> NetworkBaseline:
    """:class:`simplechrome_tk.nn.baselines.DeepChrome` as published, at most 15 epochs of AdamW in batches of 64.

    The published training (gradient descent, one gene at a time, 100 epochs at a rate of 0.001) takes far longer; here
    the learning rate follows one cycle up to 0.001, and the best validation epoch is kept.

    Parameters
    ----------
    rng
        Seed or generator of weights, batches and dropout.

    Returns
    -------
    NetworkBaseline
        For :func:`fit_baseline`.
    """
    phase = nn.Phase(15, 64, 1e-3, weight_decay=0.01, one_cycle=True)
    return NetworkBaseline(nn.baselines.DeepChrome, phase, seed=_seed(rng))


def attentivechrome(*, rng: np.random.Generator | int | None = 0) -> NetworkBaseline:
    """:class:`simplechrome_tk.nn.baselines.AttentiveChrome` as published, at most 8 epochs of Adam in batches of 32.

    The published training (batches of 10, 90 epochs at a rate of 0.0001) takes far longer; here the learning
    rate follows one cycle up to 0.005, gradients are cut to a norm of 1 as published, and the best validation epoch is
    kept. Slow all the same: 100 steps one after the other for every mark.

    Parameters
    ----------
    rng
        Seed or generator of weights and batches.

    Returns
    -------
    NetworkBaseline
        For :func:`fit_baseline`.
    """
    phase = nn.Phase(8, 32, 5e-3, one_cycle=True, max_gradient=1.0)
    return NetworkBaseline(nn.baselines.AttentiveChrome, phase, seed=_seed(rng))


def _seed(rng: np.random.Generator | int | None) -> int:
    return int(np.random.default_rng(rng).integers(2**31))
