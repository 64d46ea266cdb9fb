"""Training in phases: the latent from marks alone, then expression end to end, then what neighbours add."""

from __future__ import annotations

import copy
import dataclasses
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from simplechrome_tk.nn._dropout import without_dropout
from simplechrome_tk.nn._loop import keep_best, run_epochs, validation_score
from simplechrome_tk.nn._loss import Targets, expression_loss, latent_loss
from simplechrome_tk.nn._network import Neighbors, Output, SimpleChromeNet
from simplechrome_tk.nn._predict import encode, evaluating, predict, predict_network

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from simplechrome_tk.nn._graph import Graph
    from simplechrome_tk.nn._recipe import Phase, Recipe


def fit_latent(
    net: SimpleChromeNet, x: torch.Tensor, *, held_out: torch.Tensor, recipe: Recipe
) -> Generator[dict[str, float]]:
    """Phase 1: train encoder and decoder to reconstruct the marks of every gene, no label used.

    The weight of the divergence rises from 0 to its full value over the first half of the epochs.

    Parameters
    ----------
    net
        The network, trained in place.
    x
        ``(n_genes, n_columns)`` normalised signal.
    held_out
        Row numbers of the genes whose loss is reported as ``valid_loss``.
    recipe
        How to train.

    Yields
    ------
    dict
        After each epoch ``train_loss``, ``valid_loss``, ``reconstruction`` and ``kl``.
    """
    n_epochs = recipe.latent.epochs
    warmth = 0.0

    def loss(genes: torch.Tensor) -> torch.Tensor:
        with without_dropout(net.encoder):
            own = latent_loss(net, x[genes], net.encode(x[genes]), kl_weight=recipe.kl_weight, noise=recipe.noise)
        return own.reconstruction + warmth * (own.total - own.reconstruction)

    def batches() -> torch.Tensor:
        nonlocal warmth
        warmth = min(1.0, next(epochs) / max(1, n_epochs // 2))
        return torch.randperm(len(x), device=x.device)

    epochs = iter(range(n_epochs))
    parameters = [*net.encoder.parameters(), *net.decoder.parameters(), *net.likelihood.parameters()]
    for trained, train_loss in run_epochs(net, parameters, recipe.latent, n_genes=len(x), shuffle=batches, loss=loss):
        with evaluating(trained):
            latent = trained.encode(x[held_out])
            reached = latent_loss(trained, x[held_out], latent, kl_weight=recipe.kl_weight, noise=recipe.noise)
        yield {
            "train_loss": train_loss,
            "valid_loss": float(reached.total),
            "reconstruction": float(reached.reconstruction),
            "kl": float(reached.kl),
        }


def fit_expression(
    net: SimpleChromeNet,
    x: torch.Tensor,
    targets: Targets,
    *,
    train: torch.Tensor,
    valid: torch.Tensor,
    graph: Graph | None,
    recipe: Recipe,
) -> Generator[dict[str, float]]:
    """Phase 2: train the prediction of expression, end to end unless the recipe freezes the latent.

    Stops when the validation score (mean of AUROC and Pearson, whichever can be had) has not risen for
    ``recipe.expression.patience`` epochs, and leaves the weights of the best epoch in ``net``, also when the caller
    stops iterating.

    Parameters
    ----------
    net
        The network, trained in place.
    x
        ``(n_genes, n_columns)`` normalised signal.
    targets
        What to predict, ``(n_genes,)`` each.
    train, valid
        Row numbers of the genes to train on and to choose the epoch by.
    graph
        Neighbours, for a network with attention.
    recipe
        How to train.

    Yields
    ------
    dict
        After each epoch ``train_loss``, ``valid_loss``, ``valid_auroc`` and ``valid_pearson``.
    """
    frozen = encode(net, x).mean if recipe.freeze_latent else None

    def loss(genes: torch.Tensor) -> torch.Tensor:
        neighbors = None if graph is None else heard(graph, genes)
        if frozen is not None:
            return predicted(net.express(frozen[genes], neighbors), genes)
        latent, own = net.encode_twice(x[genes])
        reached = latent_loss(net, x[genes], own, kl_weight=recipe.kl_weight, noise=recipe.noise)
        return predicted(net.express(latent.mean, neighbors), genes) + recipe.latent_weight * reached.total

    def predicted(output: Output, genes: torch.Tensor) -> torch.Tensor:
        return expression_loss(output, _at(targets, genes), regression_weight=recipe.regression_weight)

    def heard(graph: Graph, genes: torch.Tensor) -> Neighbors:
        needed, _, around = graph.closure(genes)
        with evaluating(net):
            latents = net.encode(x[needed]).mean if frozen is None else frozen[needed]
        return Neighbors(latents[around], graph.edges[genes], graph.mask[genes])

    def shuffle() -> torch.Tensor:
        return train[torch.randperm(len(train), device=train.device)] if graph is None else graph.shuffle(train)

    heads = [module for module in (net.attention, net.head) if module is not None]
    parts = [net] if frozen is None else heads
    parameters = [parameter for part in parts for parameter in part.parameters()]

    def score(trained: SimpleChromeNet) -> dict[str, float]:
        output = predict(trained, x, graph=graph, genes=valid)
        return _scores(output, _at(targets, valid), regression_weight=recipe.regression_weight)

    epochs = run_epochs(
        net,
        parameters,
        recipe.expression,
        n_genes=len(train),
        shuffle=shuffle,
        loss=loss,
        fast=[] if net.attention is None else list(net.attention.parameters()),
        speed=recipe.attention_speed,
    )
    yield from keep_best(net, epochs, score, patience=recipe.expression.patience)


def fit_neighbors(
    net: SimpleChromeNet,
    x: torch.Tensor,
    targets: Targets,
    *,
    train: torch.Tensor,
    valid: torch.Tensor,
    graph: Graph,
    recipe: Recipe,
) -> Generator[dict[str, float]]:
    """Phase 3: train attention and head alone, on the latents that phase 2 has left.

    What neighbours do is small beside what a gene's own marks do, and is learnt late: in phase 2 the own marks have
    been fitted before attention has found which neighbour to listen to. Weights that do no better on the validation
    genes than those of phase 2 are thrown away. Parameters and rows are those of :func:`fit_expression`.
    """
    before = copy.deepcopy(net.state_dict())
    output = predict(net, x, graph=graph, genes=valid)
    start = validation_score(_scores(output, _at(targets, valid), regression_weight=recipe.regression_weight))
    best = start
    alone = dataclasses.replace(recipe, expression=recipe.neighbors, freeze_latent=True, attention_speed=1.0)
    try:
        # Closed before the weights are judged, since closing writes them.
        with closing(fit_expression(net, x, targets, train=train, valid=valid, graph=graph, recipe=alone)) as rows:
            for row in rows:
                best = max(best, validation_score(row))
                yield row
    finally:
        if best <= start:
            net.load_state_dict(before)


def fit_network(
    net: nn.Module,
    x: torch.Tensor,
    targets: Targets,
    *,
    train: torch.Tensor,
    valid: torch.Tensor,
    phase: Phase,
    regression_weight: float,
) -> Iterator[dict[str, float]]:
    """Train any network from marks to :class:`Output`, such as those of ``nn.baselines``, on labels and expression.

    Batches, loss, early stopping and the weights that are kept are those of :func:`fit_expression`.

    Parameters
    ----------
    net
        ``(batch, n_columns)`` to :class:`Output`, trained in place.
    x
        ``(n_genes, n_columns)`` normalised signal.
    targets
        What to predict, ``(n_genes,)`` each.
    train, valid
        Row numbers of the genes to train on and to choose the epoch by.
    phase
        How to train.
    regression_weight
        Weight of the squared error of expression (in standard units) against the cross-entropy of the label.

    Yields
    ------
    dict
        After each epoch ``train_loss``, ``valid_loss``, ``valid_auroc`` and ``valid_pearson``.
    """

    def loss(genes: torch.Tensor) -> torch.Tensor:
        return expression_loss(net(x[genes]), _at(targets, genes), regression_weight=regression_weight)

    def shuffle() -> torch.Tensor:
        return train[torch.randperm(len(train), device=train.device)]

    def score(trained: nn.Module) -> dict[str, float]:
        return _scores(predict_network(trained, x[valid]), _at(targets, valid), regression_weight=regression_weight)

    epochs = run_epochs(net, list(net.parameters()), phase, n_genes=len(train), shuffle=shuffle, loss=loss)
    yield from keep_best(net, epochs, score, patience=phase.patience)


def _at(targets: Targets, genes: torch.Tensor) -> Targets:
    return Targets(targets.label[genes], targets.log_expression[genes])


def _scores(output: Output, targets: Targets, *, regression_weight: float) -> dict[str, float]:
    row = {
        "valid_loss": float(expression_loss(output, targets, regression_weight=regression_weight)),
        "valid_auroc": np.nan,
        "valid_pearson": np.nan,
    }
    labelled, measured = ~targets.label.isnan(), ~targets.log_expression.isnan()
    if labelled.any():
        row["valid_auroc"] = float(roc_auc_score(targets.label[labelled].cpu(), output.logit[labelled].cpu()))
    if measured.any():
        pair = torch.stack([output.log_expression[measured], targets.log_expression[measured]])
        row["valid_pearson"] = float(torch.corrcoef(pair)[0, 1])
    return row
