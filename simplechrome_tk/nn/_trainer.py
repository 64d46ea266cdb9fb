"""The training loop that every network shares, and the weights that are kept."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, cast

import numpy as np
import torch
from torch import nn
from torch.optim.lr_scheduler import ConstantLR, LRScheduler, OneCycleLR
from torch.optim.swa_utils import AveragedModel

if TYPE_CHECKING:
    from simplechrome_tk.nn._recipe import Phase

Network = TypeVar("Network", bound=nn.Module)
Row: TypeAlias = dict[str, float]
OnEpoch: TypeAlias = Callable[[Mapping[str, float]], object]
"""A function that is called with the row of each epoch; training stops when it returns something true."""

_Weights = tuple[torch.Tensor, ...] | list[torch.Tensor]


class Objective(ABC, Generic[Network]):
    """What one phase of a training minimises, on which genes, and with which weights.

    Parameters
    ----------
    net
        The network, trained in place.
    train
        Row numbers of the genes to train on.
    """

    def __init__(self, net: Network, train: torch.Tensor) -> None:
        self.net = net
        self.train = train

    @abstractmethod
    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Return the groups of weights that are trained, as a torch optimizer reads them."""

    def shuffle(self) -> torch.Tensor:
        """Draw an order of the training genes for one epoch."""
        return self.train[torch.randperm(len(self.train), device=self.train.device)]

    @abstractmethod
    def loss(self, genes: torch.Tensor, *, epoch: int) -> torch.Tensor:
        """Return the loss of a batch of genes, given by row number, in an epoch counted from 0."""

    @abstractmethod
    def validate(self, net: Network) -> Row:
        """Return losses and scores of a network, ``net`` or the running mean of its weights, on validation genes."""

    def score(self, row: Mapping[str, float]) -> float | None:
        """Return the score by which the best epoch is chosen; ``None`` keeps the weights of the last epoch."""


class BestWeights:
    """The weights with the highest score among those that were seen."""

    def __init__(self) -> None:
        self.score = -np.inf
        self._weights: dict[str, torch.Tensor] | None = None

    def see(self, score: float, net: nn.Module) -> bool:
        """Copy the weights of ``net`` if its score is the highest so far, and return whether it is."""
        if not score > self.score:
            return False
        self.score, self._weights = score, copy.deepcopy(net.state_dict())
        return True

    def restore(self, net: nn.Module) -> None:
        """Write the best weights to ``net``, if there are any."""
        if self._weights is not None:
            net.load_state_dict(self._weights)


class Trainer(Generic[Network]):
    """Train a network for one phase.

    Parameters
    ----------
    objective
        What is minimised.
    phase
        Epochs, batches, learning rate and the rules by which training stops.

    Attributes
    ----------
    best
        The best weights so far, and their score.
    """

    def __init__(self, objective: Objective[Network], phase: Phase) -> None:
        self.objective, self.phase = objective, phase
        groups = objective.parameter_groups(phase.learning_rate)
        self._parameters = [parameter for group in groups for parameter in group["params"]]
        # Without weight decay AdamW is Adam, which the published recipe uses.
        self._optimizer = torch.optim.AdamW(groups, weight_decay=phase.weight_decay, fused=True)
        self._learning_rates = learning_rate_schedule(self._optimizer, phase, n_genes=len(objective.train))
        average = _running_mean(phase.average)
        self._averaged = AveragedModel(objective.net, multi_avg_fn=average) if phase.average else None
        self.best = BestWeights()

    @property
    def result(self) -> Network:
        """The network to validate and to keep: the running mean of the weights, where the phase asks for it."""
        return self.objective.net if self._averaged is None else cast("Network", self._averaged.module)

    def run(self, on_epoch: OnEpoch | None = None) -> list[Row]:
        """Train until the last epoch, until the score no longer rises, or until the caller stops.

        The network then holds the weights of its best epoch, or of the last epoch where the objective has no score.

        Parameters
        ----------
        on_epoch
            Called after each epoch with its row. Training stops when it returns something true.

        Returns
        -------
        list
            One row for each epoch: ``train_loss`` and what :meth:`Objective.validate` returns.

        Raises
        ------
        ValueError
            When the loss is no longer finite.
        """
        net, history, epochs_since_best = self.objective.net, list[Row](), 0
        for epoch in range(self.phase.epochs):
            net.train()
            # The sum stays on the device, so that no batch waits for a transfer.
            total = torch.zeros((), device=self._parameters[0].device)
            for genes in self.objective.shuffle().split(self.phase.batch_size):
                batch_loss = self.objective.loss(genes, epoch=epoch)
                self._step(batch_loss)
                total += batch_loss.detach() * len(genes)
            train_loss = float(total) / len(self.objective.train)
            self._check(train_loss)

            row = {"train_loss": train_loss, **self.objective.validate(self.result)}
            history.append(row)
            score = self.objective.score(row)
            epochs_since_best += 1
            if score is not None and self.best.see(score, self.result):
                epochs_since_best = 0

            # The caller sees the row of the last epoch as well, whatever ends the training.
            stopped = on_epoch is not None and bool(on_epoch(row))
            if stopped or (score is not None and epochs_since_best >= self.phase.patience):
                break
        # Without a score the last epoch is kept, which is already in the network unless its weights were averaged.
        if self.result is not net:
            net.load_state_dict(self.result.state_dict())
        self.best.restore(net)
        return history

    def _step(self, batch_loss: torch.Tensor) -> None:
        """Take one step of the optimizer, and of everything that follows it."""
        self._optimizer.zero_grad(set_to_none=True)
        batch_loss.backward()
        if self.phase.max_gradient is not None:
            nn.utils.clip_grad_norm_(self._parameters, self.phase.max_gradient)
        self._optimizer.step()
        # One cycle has a learning rate for each batch, not for each epoch.
        self._learning_rates.step()
        if self._averaged is not None:
            self._averaged.update_parameters(self.objective.net)

    def _check(self, train_loss: float) -> None:
        if not np.isfinite(train_loss):
            msg = (
                f"training has diverged: its loss is {train_loss}. Use a lower learning_rate, found "
                f"{self.phase.learning_rate:g}, or a larger batch_size, found {self.phase.batch_size}."
            )
            raise ValueError(msg)


def learning_rate_schedule(optimizer: torch.optim.Optimizer, phase: Phase, *, n_genes: int) -> LRScheduler:
    """Return the schedule of the learning rate, one step for each batch: one cycle, or constant."""
    if not phase.one_cycle:
        return ConstantLR(optimizer, factor=1.0)
    # The last batch of an epoch may hold fewer genes, and is a step as the others are.
    n_steps = phase.epochs * -(-n_genes // phase.batch_size)
    return OneCycleLR(optimizer, [float(group["lr"]) for group in optimizer.param_groups], total_steps=n_steps)


def _running_mean(decay: float) -> Callable[[_Weights, _Weights, torch.Tensor | int], None]:
    """Return the update of an exponential mean of weights that forgets its start.

    After ``n`` steps its decay is at most ``(1 + n) / (10 + n)``, as in TensorFlow's ``ExponentialMovingAverage``;
    otherwise a short training would keep much of the weights that it started from.
    """

    @torch.no_grad()
    def update(averaged: _Weights, current: _Weights, n: torch.Tensor | int) -> None:
        steps = int(n)
        torch._foreach_lerp_(averaged, current, 1 - min(decay, (1 + steps) / (10 + steps)))

    return update
