"""Learn from few labels on top of a trained network."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import mean_squared_error
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict

from simplechrome_tk.nn._network import Correction, Output
from simplechrome_tk.nn._predict import encode, predict

if TYPE_CHECKING:
    from collections.abc import Callable

    from simplechrome_tk.nn._fit import Targets
    from simplechrome_tk.nn._graph import Graph
    from simplechrome_tk.nn._network import SimpleChromeNet

_FREEDOMS = (0.0, 0.05, 0.1, 0.2, 0.4)  # of each latent beside the head: its weight costs 1 / freedom**2 as much
_HEAD_FREEDOM = 5.0  # the head's own output is hardly penalised
_N_FOLDS = 5
_MIN_GENES = 2 * _N_FOLDS


class Adapted(NamedTuple):
    """``net``: the network with its correction. ``held_out``: what each gene is predicted by folds without it."""

    net: SimpleChromeNet
    held_out: Output


def adapt(
    net: SimpleChromeNet, x: torch.Tensor, targets: Targets, *, genes: torch.Tensor, graph: Graph | None, seed: int
) -> Adapted:
    """Fit a :class:`Correction` to a few genes; the network itself stays as it is.

    Logistic and ridge regression over the head's output, almost free, and the latent's dimensions, whose penalty is
    chosen by cross-validation among the genes given; the strongest leaves them out, so that few labels change little.

    Parameters
    ----------
    net
        A trained network, which is copied.
    x
        ``(n_genes, n_columns)`` normalised signal.
    targets
        What is known, ``(n_genes,)`` each.
    genes
        Row numbers of the genes to learn from.
    graph
        Neighbours, for a network with attention.
    seed
        Of the folds.
    """
    net = copy.deepcopy(net)
    output = predict(net, x, graph=graph, genes=genes)
    latent = encode(net, x[genes]).mean.cpu().numpy()
    correction = Correction(latent.shape[1]).to(x.device)
    held_out = []
    with torch.no_grad():
        for i, (values, target, regression) in enumerate(
            zip(output, targets, (_logistic_regression, _ridge_regression), strict=True)
        ):
            truth = target[genes].cpu().numpy()
            known = np.flatnonzero(~np.isnan(truth))
            predicted = values.clone()
            if len(known) >= _MIN_GENES:
                line = regression(values.cpu().numpy()[known], latent[known], truth[known], seed)
                correction.scale[i] = line.scale
                correction.latent.weight[i] = torch.as_tensor(line.latent)
                correction.latent.bias[i] = line.bias
                predicted[known] = torch.as_tensor(line.held_out, dtype=predicted.dtype, device=predicted.device)
            held_out.append(predicted)
    net.correction = correction
    return Adapted(net, Output(*held_out))


class _Line(NamedTuple):
    """``scale * head + latent @ weights + bias``, and what each gene is predicted by folds without it."""

    scale: float
    latent: np.ndarray
    bias: float
    held_out: np.ndarray


def _logistic_regression(head: np.ndarray, latent: np.ndarray, label: np.ndarray, seed: int) -> _Line:
    folds = StratifiedKFold(_N_FOLDS, shuffle=True, random_state=seed)
    return _choose(
        head, latent, label, LogisticRegression(max_iter=1_000), folds, method="decision_function", loss=_cross_entropy
    )


def _ridge_regression(head: np.ndarray, latent: np.ndarray, expression: np.ndarray, seed: int) -> _Line:
    folds = KFold(_N_FOLDS, shuffle=True, random_state=seed)
    return _choose(head, latent, expression, Ridge(), folds, method="predict", loss=mean_squared_error)


def _cross_entropy(label: np.ndarray, logit: np.ndarray) -> float:
    return float(np.logaddexp(0, np.where(label == 1, -logit, logit)).mean())


def _choose(
    head: np.ndarray,
    latent: np.ndarray,
    truth: np.ndarray,
    regression: LogisticRegression | Ridge,
    folds: KFold | StratifiedKFold,
    *,
    method: str,
    loss: Callable[[np.ndarray, np.ndarray], float],
) -> _Line:
    """Fit with each freedom of the latent and keep the one that does best on held-out folds."""
    best, best_loss = None, np.inf
    for freedom in _FREEDOMS:
        weights = np.append(_HEAD_FREEDOM, np.full(latent.shape[1], freedom))
        features = np.column_stack([head, latent]) * weights
        held_out = cross_val_predict(regression, features, truth, cv=folds, method=method)
        reached = loss(truth, held_out)
        if reached < best_loss:
            fitted = regression.fit(features, truth)
            line = np.ravel(fitted.coef_) * weights
            best_loss, best = reached, _Line(float(line[0]), line[1:], float(np.ravel(fitted.intercept_)[0]), held_out)
    if best is None:
        msg = (
            "the network's predictions of the labelled genes are not finite; train it again with a lower learning rate."
        )
        raise ValueError(msg)
    return best
