"""Training in phases: the latent from marks alone, then expression end to end, then what neighbours add."""

from __future__ import annotations

import copy
import dataclasses
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from simplechrome_tk.nn._loop import keep_best, run_epochs, validation_score
from simplechrome_tk.nn._network import Neighbors, Output, SimpleChromeNet
from simplechrome_tk.nn._predict import encode, evaluating, predict, predict_network
from simplechrome_tk.nn._vae import Latent

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from simplechrome_tk.nn._graph import Graph


@dataclass(frozen=True)
class Phase:
    """How one phase is trained.

    ``one_cycle`` warms the learning rate up to ``learning_rate`` and anneals it to 0; else it is constant.
    ``average`` is the decay of the running mean of the weights, which is what is kept; 0 keeps the weights themselves.
    ``patience`` is the number of epochs without a better validation score after which the phase ends.
    ``max_gradient`` is the norm to which longer gradients are cut; ``None`` leaves them.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 0.0
    one_cycle: bool = False
    average: float = 0.0
    patience: int = 5
    max_gradient: float | None = None


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    ``kl_weight`` weighs the divergence against the loss of the reconstruction; ``None`` is the evidence lower bound of
    the network's likelihood (``2 / n_columns`` for a Gaussian of unit variance), times ``noise``: the variance, against
    that of the signal, of what is left to chance. ``freeze_latent`` trains the head
    alone in phase 2; otherwise all is trained, and the latent's own loss stays in with weight ``latent_weight``.
    ``latent_dropout`` says whether the latent's own loss reads genes with dropout, as the prediction does. Without it
    marks are reconstructed far better, and each gene of a batch is encoded twice in phase 2.
    ``regression_weight`` weighs the squared error of expression (in standard units) against the cross-entropy of the
    label. ``attention_speed`` multiplies the learning rate of attention in phase 2; phase 3, ``neighbors``, trains
    attention and head on fixed latents.
    """

    latent: Phase = field(default_factory=lambda: Phase(10, 256, 2e-3, weight_decay=0.01, one_cycle=True))
    expression: Phase = field(
        default_factory=lambda: Phase(15, 256, 2e-3, weight_decay=0.01, one_cycle=True, average=0.99)
    )
    neighbors: Phase = field(
        default_factory=lambda: Phase(30, 256, 5e-3, weight_decay=0.01, one_cycle=True, average=0.99, patience=30)
    )
    kl_weight: float | None = None
    noise: float = 1.0
    latent_weight: float = 0.05
    latent_dropout: bool = True
    regression_weight: float = 1.5
    freeze_latent: bool = False
    attention_speed: float = 5.0


class Targets(NamedTuple):
    """What is predicted: ``label`` 0 or 1 and ``expression`` in standard units, ``(n_genes,)``, NaN where unknown."""

    label: torch.Tensor
    expression: torch.Tensor


class LatentLoss(NamedTuple):
    """Loss of the latent model, means over genes: ``total``, ``reconstruction`` (the likelihood's), ``kl`` (nats)."""

    total: torch.Tensor
    reconstruction: torch.Tensor
    kl: torch.Tensor


def latent_loss(
    net: SimpleChromeNet, x: torch.Tensor, latent: Latent, *, kl_weight: float | None, noise: float = 1.0
) -> LatentLoss:
    """Reconstruct the marks in ``x`` from a sample of ``latent`` and weigh the loss against the divergence.

    ``kl_weight=None`` is the evidence lower bound of the network's likelihood, times ``noise``. Columns of ``x`` behind
    those that the decoder gives are covariates, which are not reconstructed.
    """
    decoded = net.decode(latent.sample(), net.conditions(x))
    n_columns = decoded.shape[1]
    reconstruction = net.likelihood(decoded, x[:, :n_columns]).mean()
    kl = latent.kl().sum(dim=1).mean()
    weight = noise * net.likelihood.kl_scale / n_columns if kl_weight is None else kl_weight
    return LatentLoss(reconstruction + weight * kl, reconstruction, kl)


def expression_loss(output: Output, targets: Targets, *, regression_weight: float) -> torch.Tensor:
    """Cross-entropy of labels plus weighted squared error of expression, each over the genes that have it."""
    entropy = nn.functional.binary_cross_entropy_with_logits(output.logit, targets.label.nan_to_num(), reduction="none")
    error = (output.expression - targets.expression.nan_to_num()).square()
    return _mean_where(entropy, ~targets.label.isnan()) + regression_weight * _mean_where(
        error, ~targets.expression.isnan()
    )


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
        with _dropout(net.encoder, kept=recipe.latent_dropout):
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
        latent = net.encode(x[genes]) if frozen is None else Latent(frozen[genes], frozen[genes])
        output = net.express(latent.mean, None if graph is None else heard(graph, genes))
        total = expression_loss(output, _at(targets, genes), regression_weight=recipe.regression_weight)
        if frozen is None and recipe.latent_weight:
            if not recipe.latent_dropout:
                with _dropout(net.encoder, kept=False):
                    latent = net.encode(x[genes])
            own = latent_loss(net, x[genes], latent, kl_weight=recipe.kl_weight, noise=recipe.noise)
            total = total + recipe.latent_weight * own.total
        return total

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


@contextmanager
def _dropout(module: nn.Module, *, kept: bool) -> Iterator[None]:
    """Switch the dropout of ``module`` off meanwhile, unless it is to be kept."""
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Dropout) and layer.training and not kept]
    for layer in layers:
        layer.eval()
    try:
        yield
    finally:
        for layer in layers:
            layer.train()


def _mean_where(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return (values * mask).sum() / mask.sum().clamp(min=1)


def _at(targets: Targets, genes: torch.Tensor) -> Targets:
    return Targets(targets.label[genes], targets.expression[genes])


def _scores(output: Output, targets: Targets, *, regression_weight: float) -> dict[str, float]:
    row = {
        "valid_loss": float(expression_loss(output, targets, regression_weight=regression_weight)),
        "valid_auroc": np.nan,
        "valid_pearson": np.nan,
    }
    labelled, measured = ~targets.label.isnan(), ~targets.expression.isnan()
    if labelled.any():
        row["valid_auroc"] = float(roc_auc_score(targets.label[labelled].cpu(), output.logit[labelled].cpu()))
    if measured.any():
        pair = torch.stack([output.expression[measured], targets.expression[measured]])
        row["valid_pearson"] = float(torch.corrcoef(pair)[0, 1])
    return row
