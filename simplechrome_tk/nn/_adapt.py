"""Learn from few labels on top of a trained network."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.model_selection import KFold, StratifiedKFold

from simplechrome_tk.nn._network import Correction, Output
from simplechrome_tk.nn._predict import encode, predict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from simplechrome_tk.nn._graph import Graph
    from simplechrome_tk.nn._loss import Targets
    from simplechrome_tk.nn._network import SimpleChromeNet

_FREEDOM = 0.3  # of slope and shift of the head's output, which costs 1 / freedom**2 as much as a weight of freedom 1
_LATENT_FREEDOMS = (0.0, 0.05, 0.1, 0.2, 0.4)  # of each latent's weight, the strongest penalty first
_N_FOLDS = 5
_MIN_GENES = 2 * _N_FOLDS


class Adapted(NamedTuple):
    """``net``: the network with its correction. ``held_out``: what each gene is predicted by folds without it."""

    net: SimpleChromeNet
    held_out: Output


def adapt(
    net: SimpleChromeNet, x: torch.Tensor, targets: Targets, *, genes: torch.Tensor, graph: Graph | None, seed: int
) -> Adapted:
    """Fit a :class:`Correction` to a few genes, on top of the one there is; the network itself stays as it is.

    Logistic and ridge regression on what the head's output leaves to explain: its slope from 1, its shift from 0, and a
    weight for each dimension of the latent. All are penalised, so that no labels mean no change. How much the latent
    may say is chosen by cross-validation among the genes given: the strongest penalty whose loss is within one standard
    error of the least (the rule of Breiman et al. 1984), since of few genes the least is chance.

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
    correction = Correction(latent.shape[1]).to(x.device) if net.correction is None else net.correction
    held_out = []
    with torch.no_grad():
        for i, (values, target, learn) in enumerate(
            zip(output, targets, (_learn_label, _learn_expression), strict=True)
        ):
            truth = target[genes].cpu().numpy()
            known = np.flatnonzero(~np.isnan(truth))
            predicted = values.clone()
            if len(known) >= _MIN_GENES:
                line = learn(values.cpu().numpy()[known], latent[known], truth[known], seed)
                correction.scale[i] *= line.scale
                for old, new in ((correction.latent.weight, line.latent), (correction.latent.bias, line.bias)):
                    old[i] = old[i] * line.scale + torch.as_tensor(new, dtype=old.dtype, device=old.device)
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


def _learn_label(logit: np.ndarray, latent: np.ndarray, label: np.ndarray, seed: int) -> _Line:
    folds = StratifiedKFold(_N_FOLDS, shuffle=True, random_state=seed)
    return _choose(logit, latent, label, list(folds.split(latent, label)), fit=logistic_regression, loss=_entropy)


def _learn_expression(head: np.ndarray, latent: np.ndarray, expression: np.ndarray, seed: int) -> _Line:
    folds = KFold(_N_FOLDS, shuffle=True, random_state=seed)
    return _choose(head, latent, expression, list(folds.split(latent)), fit=_ridge_regression, loss=_squared_error)


def _entropy(label: np.ndarray, logit: np.ndarray) -> np.ndarray:
    """Cross-entropy of each gene's label, shape ``(n,)``."""
    return np.logaddexp(0, np.where(label == 1, -logit, logit))


def _squared_error(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    return np.square(truth - predicted)


def logistic_regression(features: np.ndarray, label: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Fit weights of features beside an offset of the logit, each weight penalised by half its square."""
    sign = np.where(label == 1, -1.0, 1.0)

    def penalised(weights: np.ndarray) -> tuple[float, np.ndarray]:
        logit = offset + features @ weights
        slope = features.T @ (sign * expit(sign * logit)) + weights
        return float(_entropy(label, logit).sum() + weights @ weights / 2), slope

    return minimize(penalised, np.zeros(features.shape[1]), jac=True).x


def _ridge_regression(features: np.ndarray, truth: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Fit weights of features beside an offset, each weight penalised by its square."""
    return np.linalg.solve(features.T @ features + np.eye(features.shape[1]), features.T @ (truth - offset))


def _choose(
    head: np.ndarray,
    latent: np.ndarray,
    truth: np.ndarray,
    folds: Sequence[tuple[np.ndarray, np.ndarray]],
    *,
    fit: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
    loss: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> _Line:
    """Try each freedom of the latent and keep the least that does as well on held-out folds as the best."""
    if not np.isfinite(head).all():
        msg = (
            "the network's predictions of the labelled genes are not finite; train it again with a lower learning rate."
        )
        raise ValueError(msg)
    held_out = []
    columns = np.column_stack([head, np.ones(len(head)), latent]).astype(float)
    freedoms = [np.append([_FREEDOM, _FREEDOM], np.full(latent.shape[1], freedom)) for freedom in _LATENT_FREEDOMS]
    for freedom in freedoms:
        features, predicted = columns * freedom, head.astype(float)
        for learnt, left_out in folds:
            predicted[left_out] += features[left_out] @ fit(features[learnt], truth[learnt], head[learnt])
        held_out.append(predicted)
    losses = np.stack([loss(truth, predicted) for predicted in held_out])
    excess = losses - losses[losses.mean(axis=1).argmin()]
    chosen = int((excess.mean(axis=1) <= excess.std(axis=1) / np.sqrt(len(head))).argmax())
    slope, shift, *weights = freedoms[chosen] * fit(columns * freedoms[chosen], truth, head)
    return _Line(1 + slope, np.asarray(weights), shift, held_out[chosen])
