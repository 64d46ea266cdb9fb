"""Training in phases: the latent from marks alone, then expression end to end, then what the context adds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simplechrome_tk.nn._objectives import (
    ContextObjective,
    ContrastObjective,
    ExpressionObjective,
    LatentObjective,
    NetworkObjective,
    warm_up,
)
from simplechrome_tk.nn._trainer import BestWeights, Trainer

if TYPE_CHECKING:
    import torch
    from torch import nn

    from simplechrome_tk.nn._graph import Graph
    from simplechrome_tk.nn._loss import Targets
    from simplechrome_tk.nn._network import SimpleChromeNet
    from simplechrome_tk.nn._recipe import Phase, Recipe
    from simplechrome_tk.nn._trainer import OnEpoch, Row


def fit_latent(
    net: SimpleChromeNet,
    x: torch.Tensor,
    *,
    held_out: torch.Tensor,
    recipe: Recipe,
    on_epoch: OnEpoch | None = None,
) -> list[Row]:
    """Phase 1: train encoder and decoder to reconstruct the marks of every gene, without labels.

    The weight of the divergence rises from 0 to its full value over the first half of the epochs.

    Parameters
    ----------
    net
        The network, trained in place.
    x
        ``(n_genes, n_columns)`` normalised signal.
    held_out
        Row numbers of the genes whose loss is reported. They are trained on as well.
    recipe
        How to train.
    on_epoch
        Called after each epoch with its row. Training stops when it returns something true.

    Returns
    -------
    list
        The row of each epoch: ``train_loss``, ``valid_loss``, ``reconstruction`` and ``kl``.
    """
    # With its full weight from the start, the divergence may switch dimensions off before they describe any mark.
    kl_schedule = warm_up(recipe.latent.epochs // 2)
    objective = LatentObjective(net, x, held_out=held_out, recipe=recipe, kl_schedule=kl_schedule)
    return Trainer(objective, recipe.latent).run(on_epoch)


def fit_expression(
    net: SimpleChromeNet,
    x: torch.Tensor,
    targets: Targets,
    *,
    train: torch.Tensor,
    valid: torch.Tensor,
    recipe: Recipe,
    on_epoch: OnEpoch | None = None,
) -> list[Row]:
    """Phase 2: train the prediction from the gene's own marks, end to end unless the recipe freezes the latent.

    Training stops when the validation score (mean of AUROC and Pearson, or the one that is known) has not risen for
    ``recipe.expression.patience`` epochs. The network then holds the weights of its best epoch.

    Parameters
    ----------
    net
        The network, trained in place. Its context is neither read nor trained.
    x
        ``(n_genes, n_inputs)``.
    targets
        What to predict, ``(n_genes,)`` each.
    train, valid
        Row numbers of the genes to train on and to choose the epoch by.
    recipe
        How to train.
    on_epoch
        Called after each epoch with its row. Training stops when it returns something true.

    Returns
    -------
    list
        The row of each epoch: ``train_loss``, ``valid_loss``, ``valid_auroc`` and ``valid_pearson``.
    """
    objective = ExpressionObjective(net, x, targets, train=train, valid=valid, recipe=recipe)
    return Trainer(objective, recipe.expression).run(on_epoch)


def fit_context(
    net: SimpleChromeNet,
    x: torch.Tensor,
    targets: Targets,
    *,
    train: torch.Tensor,
    valid: torch.Tensor,
    graph: Graph | None,
    recipe: Recipe,
    on_epoch: OnEpoch | None = None,
) -> list[Row]:
    """Phase 3: train what related genes and reference samples add, on the latents that phase 2 has left.

    Encoder and head of the own marks stay as they are, so that latents describe marks, whatever else a model reads.
    A context that does not raise the score of the validation genes above that of phase 2 is discarded. Parameters and
    result are those of :func:`fit_expression`; ``graph`` holds the related genes.
    """
    objective = ContextObjective(net, x, targets, train=train, valid=valid, graph=graph, recipe=recipe)
    return _improve(objective, recipe.context, on_epoch)


def fit_contrast(
    net: SimpleChromeNet,
    described: torch.Tensor,
    log_expression: torch.Tensor,
    *,
    pairs: torch.Tensor,
    train: torch.Tensor,
    valid: torch.Tensor,
    recipe: Recipe,
    on_epoch: OnEpoch | None = None,
) -> list[Row]:
    """Train changes of log expression between conditions, on fixed latents; all other weights stay.

    A contrast that does not raise the correlation of predicted and measured changes of the validation genes above that
    of the difference of predictions is discarded. Parameters are those of :class:`ContrastObjective`; the result is
    that of :func:`fit_expression`.
    """
    objective = ContrastObjective(net, described, log_expression, pairs=pairs, train=train, valid=valid)
    return _improve(objective, recipe.contrast, on_epoch)


def _improve(objective: ContextObjective | ContrastObjective, phase: Phase, on_epoch: OnEpoch | None) -> list[Row]:
    """Train, and keep the weights from before the training where they have the higher score."""
    # The weights from before compete with the best of this phase, but its patience counts from its own first epoch.
    best = BestWeights()
    best.see(objective.score(objective.validate(objective.net)), objective.net)
    trainer = Trainer(objective, phase)
    history = trainer.run(on_epoch)
    best.see(trainer.best.score, objective.net)
    best.restore(objective.net)
    return history


def fit_network(
    net: nn.Module,
    x: torch.Tensor,
    targets: Targets,
    *,
    train: torch.Tensor,
    valid: torch.Tensor,
    phase: Phase,
    regression_weight: float,
    on_epoch: OnEpoch | None = None,
) -> list[Row]:
    """Train any network from marks to :class:`Output`, such as those of ``nn._baselines``, on labels and expression.

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
    on_epoch
        Called after each epoch with its row. Training stops when it returns something true.

    Returns
    -------
    list
        The row of each epoch: ``train_loss``, ``valid_loss``, ``valid_auroc`` and ``valid_pearson``.
    """
    objective = NetworkObjective(net, x, targets, train=train, valid=valid, regression_weight=regression_weight)
    return Trainer(objective, phase).run(on_epoch)
