"""Comparison models with settings that were chosen on the validation chromosomes (2 and 9) of E116 alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn import linear_model
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from simplechrome_tk import nn
from simplechrome_tk.evaluation._comparison_model import ComparisonModel
from simplechrome_tk.evaluation._network_model import ComparisonNetwork
from simplechrome_tk.evaluation._related_inputs import RelatedInputs
from simplechrome_tk.nn import _baselines

if TYPE_CHECKING:
    import anndata as ad
    import torch

    from simplechrome_tk.evaluation._comparison_model import TrainingData


class LogisticRegression(ComparisonModel):
    """Logistic and ridge regression on standardised columns.

    Run :func:`simplechrome_tk.pp.normalize` first: raw signal has tails too long for a linear model. The strengths of
    the penalties, ``C=0.003`` and ``alpha=1_000``, were chosen on the validation chromosomes of E116.

    Examples
    --------
    >>> model = sct.evaluation.LogisticRegression().fit(adata)
    >>> prediction = model.predict(adata)
    >>> sct.evaluation.evaluate(adata, prediction, splits=["test"], n_bootstrap=0)["metric"].tolist()
    ['AUROC', 'AUPRC', 'accuracy', 'ECE', 'Pearson', 'Spearman']
    """

    def __init__(self) -> None:
        super().__init__(
            make_pipeline(StandardScaler(), linear_model.LogisticRegression(C=0.003, max_iter=1_000)),
            make_pipeline(StandardScaler(), linear_model.Ridge(alpha=1_000)),
        )


class GradientBoosting(ComparisonModel):
    """Boosted trees at a learning rate of 0.05 with 30 % of the columns open at each split, averaged over seeds.

    The strongest plain model on these data; trees do not need normalised columns. A tree of the classifier has 31
    leaves, one of the regressor 15. On the validation chromosomes of E116 (TSS window, with and without body) AUROC is
    highest at 75 rounds (31 leaves) or 100 rounds (15 leaves), and with 15 leaves falls by 0.001 to 0.003 until 300;
    Pearson is flat from 200 to 400. Averaging over seeds adds up to 0.0008; 10 % of the columns, 50 % (tried with body)
    and a rate of 0.03 come within about 0.001.

    Parameters
    ----------
    classifier_rounds, regressor_rounds
        Number of trees, one after the other, of the classifier and of the regressor.
    n_seeds
        Number of such models, whose predictions are averaged.
    reference_key
        Key of ``obsm`` with log expression in reference samples (``sct.pp.add_reference_expression``), which the trees
        read as well; missing values are allowed. Other data must have the same samples.
    neighbors_key
        A graph of related genes, such as ``"coexpression"`` for ``obsp["coexpression_connectivities"]``. For each gene
        the trees read means over its neighbours, weighted by the graph, of two things: the mean of each mark in each
        region, and the log expression that boosting predicts from the marks of the neighbour alone. With
        ``reference_key`` the neighbour's mean over the reference is subtracted of the latter. Training genes are
        predicted by a model that has not learnt from them (five folds of chromosomes), other genes by one that has
        learnt from all training genes.
    marks
        Whether the trees read the columns of ``X`` and the gene's length. ``False``, with ``reference_key``, predicts
        from the reference without the marks of the gene.
    rng
        Seed or generator for the choice of columns.

    Examples
    --------
    >>> import numpy as np
    >>> measured = sct.pp.log_expression(adata.obs["expression"])
    >>> noise = np.random.default_rng(0).normal(0, 0.5, (adata.n_obs, 3))
    >>> adata.obsm["reference_expression"] = measured[:, None] + noise
    >>> boosting = sct.evaluation.GradientBoosting(n_seeds=1, reference_key="reference_expression", marks=False)
    >>> scores = sct.evaluation.evaluate(adata, boosting.fit(adata).predict(adata), n_bootstrap=0)
    >>> scores["metric"].tolist()[-1]
    'deviation'
    """

    def __init__(
        self,
        *,
        classifier_rounds: int = 75,
        regressor_rounds: int = 300,
        n_seeds: int = 3,
        reference_key: str | None = None,
        neighbors_key: str | None = None,
        marks: bool = True,
        rng: np.random.Generator | int | None = 0,
    ) -> None:
        if not marks and reference_key is None and neighbors_key is None:
            msg = (
                "marks is False, without reference_key and neighbors_key; expected something to read: name one of them."
            )
            raise ValueError(msg)
        shared = {"learning_rate": 0.05, "l2_regularization": 1.0, "max_features": 0.3, "early_stopping": False}
        classifiers, regressors = [], []
        for i, seed in enumerate(np.random.default_rng(rng).integers(2**31, size=n_seeds).tolist()):
            classifier = HistGradientBoostingClassifier(
                **shared, max_iter=classifier_rounds, max_leaf_nodes=31, random_state=seed
            )
            regressor = HistGradientBoostingRegressor(
                **shared, max_iter=regressor_rounds, max_leaf_nodes=15, random_state=seed
            )
            classifiers.append((str(i), classifier))
            regressors.append((str(i), regressor))
        super().__init__(VotingClassifier(classifiers, voting="soft"), VotingRegressor(regressors))
        # One seed is enough to tell how far the marks of a related gene raise its expression.
        self._first_regressor = regressors[0][1]
        self.reference_key, self.neighbors_key, self.marks = reference_key, neighbors_key, marks

    def _learn_inputs(self, adata: ad.AnnData, data: TrainingData) -> RelatedInputs | None:
        if self.marks and self.reference_key is None and self.neighbors_key is None:
            return None
        return RelatedInputs.learn(
            adata,
            data,
            self._first_regressor,
            reference_key=self.reference_key,
            neighbors_key=self.neighbors_key,
            marks=self.marks,
        )


class PCAHead(ComparisonModel):
    """Principal components of the training genes' columns, then another comparison model on them.

    Parameters
    ----------
    n_components
        Number of components; at most as many as there are columns and training genes.
    head
        The model that reads the components; ``None`` takes :class:`LogisticRegression`.
    """

    def __init__(self, n_components: int = 32, *, head: ComparisonModel | None = None) -> None:
        head = LogisticRegression() if head is None else head
        classifier, regressor = (
            None if estimator is None else make_pipeline(PCA(n_components, svd_solver="covariance_eigh"), estimator)
            for estimator in (head.classifier, head.regressor)
        )
        super().__init__(classifier, regressor)


class MLP(ComparisonNetwork):
    """A plain network of two layers, 256 and 128 units, at most 15 epochs of AdamW in batches of 256.

    Five settings (256 or 512 units, dropout, learning rate, averaged weights) came within 0.001 of each other. It reads
    any columns, so that it also serves as a head on a representation (``fit(adata, use_rep=...)``).

    Parameters
    ----------
    rng
        Seed or generator of weights, batches and dropout.
    device
        Where to compute; ``None`` takes CUDA, MPS or CPU, the first there is.
    """

    def __init__(self, *, rng: np.random.Generator | int | None = 0, device: str | torch.device | None = None) -> None:
        phase = nn.Phase(15, 256, 3e-3, weight_decay=0.01, one_cycle=True, average=0.99)
        super().__init__(_baselines.MLP, phase, reads_covariates=True, rng=rng, device=device)


class DeepChrome(ComparisonNetwork):
    """The network of Singh et al. 2016 as published, at most 15 epochs of AdamW in batches of 64.

    The published training (gradient descent, one gene at a time, 100 epochs at a rate of 0.001) takes far longer; here
    the learning rate follows one cycle up to 0.001, and the best validation epoch is kept.

    Parameters
    ----------
    rng, device
        As for :class:`MLP`.
    """

    def __init__(self, *, rng: np.random.Generator | int | None = 0, device: str | torch.device | None = None) -> None:
        phase = nn.Phase(15, 64, 1e-3, weight_decay=0.01, one_cycle=True)
        super().__init__(_baselines.DeepChrome, phase, rng=rng, device=device)


class AttentiveChrome(ComparisonNetwork):
    """The network of Singh et al. 2017 as published, at most 8 epochs of Adam in batches of 32.

    The published training (batches of 10, 90 epochs at a rate of 0.0001) takes far longer; here the learning
    rate follows one cycle up to 0.005, gradients are cut to a norm of 1 as published, and the best validation epoch is
    kept. It is slow all the same: 100 steps one after the other for every mark.

    Parameters
    ----------
    rng, device
        As for :class:`MLP`.
    """

    def __init__(self, *, rng: np.random.Generator | int | None = 0, device: str | torch.device | None = None) -> None:
        phase = nn.Phase(8, 32, 5e-3, one_cycle=True, max_gradient=1.0)
        super().__init__(_baselines.AttentiveChrome, phase, rng=rng, device=device)
