"""Objectives of the phases of training: the latent, expression, the context, and any other network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from simplechrome_tk.nn._contrast import change
from simplechrome_tk.nn._dropout import without_dropout
from simplechrome_tk.nn._loss import LatentLoss, Targets, expression_loss, latent_loss
from simplechrome_tk.nn._network import Output, SimpleChromeNet
from simplechrome_tk.nn._predict import encode, evaluating, predict_latents, predict_network, predict_own
from simplechrome_tk.nn._trainer import Objective

if TYPE_CHECKING:
    from simplechrome_tk.nn._graph import Graph
    from simplechrome_tk.nn._recipe import Recipe
    from simplechrome_tk.nn._trainer import Row

Schedule: TypeAlias = Callable[[int], float]
"""From the number of an epoch, counted from 0, to a weight."""


def warm_up(n_epochs: int) -> Schedule:
    """Return a schedule that rises from 0 to 1 over ``n_epochs`` and stays there."""
    return lambda epoch: min(1.0, epoch / max(1, n_epochs))


class LatentObjective(Objective[SimpleChromeNet]):
    """Phase 1: encoder and decoder reconstruct the marks of every gene, without labels.

    Parameters
    ----------
    net
        The network.
    x
        ``(n_genes, n_columns)`` normalised signal.
    held_out
        Row numbers of the genes whose loss is reported.
    recipe
        Weights of the loss.
    kl_schedule
        Share of the full weight that the divergence has in each epoch.
    """

    def __init__(
        self,
        net: SimpleChromeNet,
        x: torch.Tensor,
        *,
        held_out: torch.Tensor,
        recipe: Recipe,
        kl_schedule: Schedule,
    ) -> None:
        # Marks need no label, so that genes of all splits are trained on, those held out for the report included.
        super().__init__(net, torch.arange(len(x), device=x.device))
        self.x, self.held_out, self.recipe, self.kl_schedule = x, held_out, recipe, kl_schedule

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Return all weights that reconstruction has, in one group."""
        parts = (self.net.encoder, self.net.decoder, self.net.likelihood)
        return [{"params": [weight for part in parts for weight in part.parameters()], "lr": learning_rate}]

    def loss(self, genes: torch.Tensor, *, epoch: int) -> torch.Tensor:
        """Return the error of the reconstruction and the divergence, by its weight in this epoch."""
        # With dropout in the encoder, marks are reconstructed far worse.
        with without_dropout(self.net.encoder):
            own = self._loss_of(self.net, genes)
        return own.reconstruction + self.kl_schedule(epoch) * (own.total - own.reconstruction)

    def validate(self, net: SimpleChromeNet) -> Row:
        """Return the loss of the genes held out, with the divergence at its full weight, and its two parts."""
        with evaluating(net):
            found = self._loss_of(net, self.held_out)
        return {
            "valid_loss": float(found.total),
            "reconstruction": float(found.reconstruction),
            "kl": float(found.kl),
        }

    def _loss_of(self, net: SimpleChromeNet, genes: torch.Tensor) -> LatentLoss:
        x = self.x[genes]
        return latent_loss(net, x, net.encode(x), kl_weight=self.recipe.kl_weight, noise=self.recipe.noise)


class ExpressionObjective(Objective[SimpleChromeNet]):
    """Phase 2: expression is predicted from the gene's own marks, end to end or by the head alone.

    Parameters
    ----------
    net
        The network.
    x
        ``(n_genes, n_inputs)``.
    targets
        What to predict, ``(n_genes,)`` each.
    train, valid
        Row numbers of the genes to train on and to choose the epoch by.
    recipe
        Weights of the losses, and whether the latent is frozen.
    """

    def __init__(
        self,
        net: SimpleChromeNet,
        x: torch.Tensor,
        targets: Targets,
        *,
        train: torch.Tensor,
        valid: torch.Tensor,
        recipe: Recipe,
    ) -> None:
        super().__init__(net, train)
        self.x, self.targets, self.valid, self.recipe = x, targets, valid, recipe
        # Latents of all genes, where the encoder is not trained: they are computed once.
        self.frozen = encode(net, x).mean if recipe.freeze_latent else None

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Return all weights but those of the context, which is trained later, or those of the head alone."""
        parts = [self.net.head]
        if self.frozen is None:
            parts = [part for name, part in self.net.named_children() if name != "context"]
        return [{"params": [weight for part in parts for weight in part.parameters()], "lr": learning_rate}]

    def loss(self, genes: torch.Tensor, *, epoch: int) -> torch.Tensor:
        """Return the loss of the prediction and, end to end, that of the latent model beside it."""
        if self.frozen is not None:
            return self._loss_of(self.net.express_own(self.frozen[genes]), genes)
        # The latent's own loss stays in, so that latents go on to describe the marks.
        latent, whole = self.net.encode_twice(self.x[genes])
        own = latent_loss(self.net, self.x[genes], whole, kl_weight=self.recipe.kl_weight, noise=self.recipe.noise)
        return self._loss_of(self.net.express_own(latent.mean), genes) + self.recipe.latent_weight * own.total

    def validate(self, net: SimpleChromeNet) -> Row:
        """Return loss and scores of the validation genes."""
        output = predict_own(net, self.x[self.valid])
        return _scores(output, self.targets.select(self.valid), regression_weight=self.recipe.regression_weight)

    def score(self, row: Mapping[str, float]) -> float:
        """Return the mean of AUROC and Pearson."""
        return validation_score(row)

    def _loss_of(self, output: Output, genes: torch.Tensor) -> torch.Tensor:
        return expression_loss(output, self.targets.select(genes), regression_weight=self.recipe.regression_weight)


class ContextObjective(Objective[SimpleChromeNet]):
    """Phase 3: related genes and reference samples add to the prediction of the gene's own marks.

    Related genes lie anywhere in the genome, so that a batch cannot hold those of all its genes. Latents are fixed in
    this phase: they are computed once, and a batch gathers those that it needs.

    Parameters
    ----------
    net
        A network with a context.
    x, targets, train, valid, recipe
        As for :class:`ExpressionObjective`.
    graph
        Related genes, for a network that attends to them.
    """

    def __init__(
        self,
        net: SimpleChromeNet,
        x: torch.Tensor,
        targets: Targets,
        *,
        train: torch.Tensor,
        valid: torch.Tensor,
        graph: Graph | None,
        recipe: Recipe,
    ) -> None:
        super().__init__(net, train)
        self.x, self.targets, self.valid, self.graph, self.recipe = x, targets, valid, graph, recipe
        self.latents = encode(net, x).mean

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Return the weights of the context."""
        context = self.net.context
        return [{"params": [] if context is None else list(context.parameters()), "lr": learning_rate}]

    def loss(self, genes: torch.Tensor, *, epoch: int) -> torch.Tensor:
        """Return the loss of the prediction."""
        neighbors = None if self.graph is None else self.graph.of(genes, self.latents)
        output = self.net.express(self.latents[genes], self.x[genes], neighbors)
        return expression_loss(output, self.targets.select(genes), regression_weight=self.recipe.regression_weight)

    def validate(self, net: SimpleChromeNet) -> Row:
        """Return loss and scores of the validation genes."""
        output = predict_latents(net, self.latents, self.x, graph=self.graph, genes=self.valid)
        return _scores(output, self.targets.select(self.valid), regression_weight=self.recipe.regression_weight)

    def score(self, row: Mapping[str, float]) -> float:
        """Return the mean of AUROC and Pearson."""
        return validation_score(row)


class ContrastObjective(Objective[SimpleChromeNet]):
    """Changes of log expression between two conditions of the same genes, on fixed latents.

    Parameters
    ----------
    net
        A network with a contrast.
    described
        What is read of each row of the data (:func:`simplechrome_tk.nn._contrast.describe_all`).
    log_expression
        Log expression of each row, in standard units.
    pairs
        Row numbers of the same gene in the two conditions, ``(n_changes, 2)``.
    train, valid
        Row numbers of ``pairs`` to train on and to choose the epoch by.
    """

    def __init__(
        self,
        net: SimpleChromeNet,
        described: torch.Tensor,
        log_expression: torch.Tensor,
        *,
        pairs: torch.Tensor,
        train: torch.Tensor,
        valid: torch.Tensor,
    ) -> None:
        super().__init__(net, train)
        self.described, self.pairs, self.valid = described, pairs, valid
        self.measured = log_expression[pairs[:, 0]] - log_expression[pairs[:, 1]]

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Return the weights of the contrast."""
        contrast = self.net.contrast
        return [{"params": [] if contrast is None else list(contrast.parameters()), "lr": learning_rate}]

    def loss(self, genes: torch.Tensor, *, epoch: int) -> torch.Tensor:
        """Return the mean squared error of the changes."""
        return (self._predict(self.net, genes) - self.measured[genes]).square().mean()

    def validate(self, net: SimpleChromeNet) -> Row:
        """Return the error of the validation genes, and the correlation of predicted and measured change."""
        with evaluating(net):
            predicted = self._predict(net, self.valid)
        measured = self.measured[self.valid]
        return {
            "valid_loss": float((predicted - measured).square().mean()),
            "valid_auroc": np.nan,
            "valid_pearson": float(torch.corrcoef(torch.stack([predicted, measured]))[0, 1]),
        }

    def score(self, row: Mapping[str, float]) -> float:
        """Return the correlation."""
        return row["valid_pearson"]

    def _predict(self, net: SimpleChromeNet, genes: torch.Tensor) -> torch.Tensor:
        of, against = self.pairs[genes].unbind(dim=1)
        return change(net, self.described[of], self.described[against])


class NetworkObjective(Objective[nn.Module]):
    """Labels and expression, predicted by any network from marks to :class:`Output`.

    Parameters
    ----------
    net
        ``(batch, n_columns)`` to :class:`Output`.
    x
        ``(n_genes, n_columns)`` normalised signal.
    targets
        What to predict, ``(n_genes,)`` each.
    train, valid
        Row numbers of the genes to train on and to choose the epoch by.
    regression_weight
        Weight of the squared error of expression (in standard units) against the cross-entropy of the label.
    """

    def __init__(
        self,
        net: nn.Module,
        x: torch.Tensor,
        targets: Targets,
        *,
        train: torch.Tensor,
        valid: torch.Tensor,
        regression_weight: float,
    ) -> None:
        super().__init__(net, train)
        self.x, self.targets, self.valid, self.regression_weight = x, targets, valid, regression_weight

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Return all weights, in one group."""
        return [{"params": list(self.net.parameters()), "lr": learning_rate}]

    def loss(self, genes: torch.Tensor, *, epoch: int) -> torch.Tensor:
        """Return the loss of the prediction."""
        targets = self.targets.select(genes)
        return expression_loss(self.net(self.x[genes]), targets, regression_weight=self.regression_weight)

    def validate(self, net: nn.Module) -> Row:
        """Return loss and scores of the validation genes."""
        output = predict_network(net, self.x[self.valid])
        return _scores(output, self.targets.select(self.valid), regression_weight=self.regression_weight)

    def score(self, row: Mapping[str, float]) -> float:
        """Return the mean of AUROC and Pearson."""
        return validation_score(row)


def validation_score(row: Mapping[str, float]) -> float:
    """Return the mean of AUROC and Pearson of the validation genes, or the one that is known."""
    return float(np.nanmean([row["valid_auroc"], row["valid_pearson"]]))


def _scores(output: Output, targets: Targets, *, regression_weight: float) -> Row:
    row = {
        "valid_loss": float(expression_loss(output, targets, regression_weight=regression_weight)),
        "valid_auroc": np.nan,
        "valid_pearson": np.nan,
    }
    labelled, measured = ~targets.label.isnan(), ~targets.log_expression.isnan()
    # A task of labels or of expression alone leaves the other score unknown.
    if labelled.any():
        row["valid_auroc"] = float(roc_auc_score(targets.label[labelled].cpu(), output.logit[labelled].cpu()))
    if measured.any():
        pair = torch.stack([output.log_expression[measured], targets.log_expression[measured]])
        row["valid_pearson"] = float(torch.corrcoef(pair)[0, 1])
    return row
