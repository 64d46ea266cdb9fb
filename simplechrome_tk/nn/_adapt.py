"""Corrections of a trained network, learnt from a few labels."""

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

# Prior standard deviation of the change of slope and shift of the head's output: a weight w is penalised by
# (w / deviation)**2.
_HEAD_DEVIATION = 0.3
# The same for the weight of each latent, the strongest penalty first; 0 leaves the latents out.
_LATENT_DEVIATIONS = (0.0, 0.05, 0.1, 0.2, 0.4)
_N_FOLDS = 5
# Two genes in each fold.
_MIN_GENES = 2 * _N_FOLDS


class Adapted(NamedTuple):
    """A corrected network.

    ``net`` is the network with its correction. ``held_out`` is the prediction of each gene by a correction that was
    fitted without it.
    """

    net: SimpleChromeNet
    held_out: Output


def adapt(
    net: SimpleChromeNet, x: torch.Tensor, targets: Targets, *, genes: torch.Tensor, graph: Graph | None, seed: int
) -> Adapted:
    """Fit a :class:`Correction` to a few genes, on top of an earlier one; all other weights stay as they are.

    Logistic regression (label) and ridge regression (expression) change the slope of the head's output from 1 and its
    shift from 0, and give a weight to each dimension of the latent. All changes are penalised, so that no labels mean
    no change. The penalty of the latent is chosen by cross-validation among the genes: the strongest whose loss is
    within one standard error of the lowest (the rule of Breiman et al. 1984), since with few genes the penalty with the
    lowest loss is often best by chance.

    Parameters
    ----------
    net
        A trained network, which is copied.
    x
        ``(n_genes, n_columns)`` normalised signal.
    targets
        Labels and expression, ``(n_genes,)`` each, NaN where unknown.
    genes
        Row numbers of the genes to learn from.
    graph
        Neighbours, for a network with attention.
    seed
        Seed of the folds.
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
            # Too few genes leave this output as it is.
            if len(known) >= _MIN_GENES:
                line = learn(values.cpu().numpy()[known], latent[known], truth[known], seed)
                # The line was fitted to the output of the earlier correction: the two are joined to one.
                correction.scale[i] *= line.scale
                for old, new in ((correction.latent.weight, line.latent), (correction.latent.bias, line.bias)):
                    old[i] = old[i] * line.scale + torch.as_tensor(new, dtype=old.dtype, device=old.device)
                predicted[known] = torch.as_tensor(line.held_out, dtype=predicted.dtype, device=predicted.device)
            held_out.append(predicted)
    net.correction = correction
    return Adapted(net, Output(*held_out))


class _Line(NamedTuple):
    """The line ``scale * head + latent @ weights + bias``, and the prediction of each gene by folds without it."""

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
    """Return the weights of features that are added to an offset of the logit, penalised by half their squares."""
    sign = np.where(label == 1, -1.0, 1.0)

    def penalised(weights: np.ndarray) -> tuple[float, np.ndarray]:
        logit = offset + features @ weights
        slope = features.T @ (sign * expit(sign * logit)) + weights
        return float(_entropy(label, logit).sum() + weights @ weights / 2), slope

    return minimize(penalised, np.zeros(features.shape[1]), jac=True).x


def _ridge_regression(features: np.ndarray, truth: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Return the weights of features that are added to an offset, penalised by their squares."""
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
    """Fit with each penalty of the latent; keep the strongest that does about as well on held-out folds as the best."""
    if not np.isfinite(head).all():
        msg = (
            "the network's predictions of the labelled genes are not finite; train it again with a lower learning rate."
        )
        raise ValueError(msg)
    # Features are scaled by their deviations and fitted under a penalty of 1, which is the same as a penalty for each.
    held_out = []
    columns = np.column_stack([head, np.ones(len(head)), latent]).astype(float)
    deviations = [
        np.append([_HEAD_DEVIATION, _HEAD_DEVIATION], np.full(latent.shape[1], deviation))
        for deviation in _LATENT_DEVIATIONS
    ]
    for deviation in deviations:
        features, predicted = columns * deviation, head.astype(float)
        for fitted, left_out in folds:
            predicted[left_out] += features[left_out] @ fit(features[fitted], truth[fitted], head[fitted])
        held_out.append(predicted)
    # The first penalty, from the strongest on, whose mean excess over the best is within its standard error.
    losses = np.stack([loss(truth, predicted) for predicted in held_out])
    excess = losses - losses[losses.mean(axis=1).argmin()]
    chosen = int((excess.mean(axis=1) <= excess.std(axis=1) / np.sqrt(len(head))).argmax())
    slope, shift, *weights = deviations[chosen] * fit(columns * deviations[chosen], truth, head)
    return _Line(1 + slope, np.asarray(weights), shift, held_out[chosen])
