"""The training loop that every network shares: epochs, the running mean of weights, the best epoch."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from simplechrome_tk.nn._recipe import Phase

Weights = tuple[torch.Tensor, ...] | list[torch.Tensor]
Network = TypeVar("Network", bound=nn.Module)


def run_epochs(
    net: Network,
    parameters: list[nn.Parameter],
    phase: Phase,
    *,
    n_genes: int,
    shuffle: Callable[[], torch.Tensor],
    loss: Callable[[torch.Tensor], torch.Tensor],
    fast: Collection[nn.Parameter] = (),
    speed: float = 1.0,
) -> Iterator[tuple[Network, float]]:
    """Train and yield after each epoch the network to keep and the mean training loss.

    The learning rate of ``fast``, some of the ``parameters``, is ``speed`` times that of the others.

    Raises
    ------
    ValueError
        When the loss is no longer finite.
    """
    hurried = {id(parameter) for parameter in fast}
    groups = [
        {"params": [parameter for parameter in parameters if (id(parameter) in hurried) == quick], "lr": rate}
        for quick, rate in ((False, phase.learning_rate), (True, speed * phase.learning_rate))
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=phase.weight_decay, fused=True)
    schedule = None
    if phase.one_cycle:
        n_steps = phase.epochs * -(-n_genes // phase.batch_size)
        peaks = [float(group["lr"]) for group in optimizer.param_groups]
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peaks, total_steps=n_steps)
    averaged = AveragedModel(net, multi_avg_fn=_running_mean(phase.average)) if phase.average else None
    for _ in range(phase.epochs):
        net.train()
        total = torch.zeros((), device=parameters[0].device)
        for genes in shuffle().split(phase.batch_size):
            batch_loss = loss(genes)
            optimizer.zero_grad(set_to_none=True)
            batch_loss.backward()
            if phase.max_gradient is not None:
                nn.utils.clip_grad_norm_(parameters, phase.max_gradient)
            optimizer.step()
            if schedule is not None:
                schedule.step()
            if averaged is not None:
                averaged.update_parameters(net)
            total += batch_loss.detach() * len(genes)
        mean = float(total) / n_genes
        if not np.isfinite(mean):
            msg = (
                f"training has diverged: its loss is {mean}. Take a lower learning_rate, found "
                f"{phase.learning_rate:g}, or a larger batch_size, found {phase.batch_size}."
            )
            raise ValueError(msg)
        yield (net if averaged is None else cast("Network", averaged.module)), mean


def keep_best(
    net: Network,
    epochs: Iterator[tuple[Network, float]],
    score: Callable[[Network], dict[str, float]],
    *,
    patience: int,
) -> Iterator[dict[str, float]]:
    """Yield a row of history per epoch; stop in time, and leave the weights of the best epoch in ``net``.

    ``score`` gives at least ``valid_auroc`` and ``valid_pearson``; the best epoch has the highest mean of those that
    can be had. Also when the caller stops iterating, ``net`` holds the best weights so far.
    """
    best, best_score, since = None, -np.inf, 0
    try:
        for trained, train_loss in epochs:
            row = score(trained)
            reached = validation_score(row)
            since += 1
            if reached > best_score:
                best, best_score, since = copy.deepcopy(trained.state_dict()), reached, 0
            yield {"train_loss": train_loss, **row}
            if since >= patience:
                return
    finally:
        if best is not None:
            net.load_state_dict(best)


def validation_score(row: dict[str, float]) -> float:
    """Mean of AUROC and Pearson of the validation genes, or the one that can be had."""
    return float(np.nanmean([row["valid_auroc"], row["valid_pearson"]]))


def _running_mean(decay: float) -> Callable[[Weights, Weights, torch.Tensor | int], None]:
    """Exponential mean of weights that forgets its start: after ``n`` steps its decay is at most ``(1 + n)/(10 + n)``.

    As in TensorFlow's ``ExponentialMovingAverage``; without it short trainings keep the weights they began with.
    """

    @torch.no_grad()
    def update(averaged: Weights, current: Weights, n: torch.Tensor | int) -> None:
        steps = int(n)
        torch._foreach_lerp_(averaged, current, 1 - min(decay, (1 + steps) / (10 + steps)))

    return update
