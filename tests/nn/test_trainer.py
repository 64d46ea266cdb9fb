"""The training loop: when it stops, which weights it keeps, and the schedule of its learning rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from simplechrome_tk.nn._objectives import warm_up
from simplechrome_tk.nn._recipe import Phase
from simplechrome_tk.nn._trainer import BestWeights, Objective, Trainer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Ramp(Objective[nn.Linear]):
    """The loss of one weight is its negative, so that it rises by the learning rate in each step of Adam."""

    def __init__(self, scores: Sequence[float] | None = None, *, loss: float = -1.0) -> None:
        net = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(net.weight)
        super().__init__(net, torch.arange(4))
        self.scores = None if scores is None else list(scores)
        self.slope = loss
        self.weights: list[float] = []

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        return [{"params": list(self.net.parameters()), "lr": learning_rate}]

    def loss(self, genes: torch.Tensor, *, epoch: int) -> torch.Tensor:
        return self.slope * self.net.weight.sum()

    def validate(self, net: nn.Linear) -> dict[str, float]:
        self.weights.append(net.weight.item())
        return {"weight": net.weight.item()}

    def score(self, row: Mapping[str, float]) -> float | None:
        return None if self.scores is None else self.scores[len(self.weights) - 1]


def phase(epochs: int, **settings: Any) -> Phase:
    return Phase(epochs, batch_size=2, learning_rate=0.1, **settings)


def test_the_weights_of_the_best_epoch_are_kept():
    objective = Ramp([0.1, 0.9, 0.5])
    history = Trainer(objective, phase(3)).run()
    assert len(history) == 3
    assert objective.net.weight.item() == pytest.approx(objective.weights[1])


def test_without_a_score_the_weights_of_the_last_epoch_are_kept():
    objective = Ramp()
    Trainer(objective, phase(3)).run()
    assert objective.net.weight.item() == pytest.approx(objective.weights[2]) == pytest.approx(0.6)


def test_without_a_score_the_running_mean_of_the_weights_is_kept():
    objective = Ramp()
    Trainer(objective, phase(3, average=0.9)).run()
    assert objective.net.weight.item() == pytest.approx(objective.weights[2])
    assert objective.net.weight.item() < 0.6


def test_patience_counts_epochs_without_a_better_score():
    history = Trainer(Ramp([0.5, 0.4, 0.6, 0.6, 0.1, 0.9]), phase(6, patience=2)).run()
    assert len(history) == 5


def test_a_score_that_is_no_number_is_never_the_best():
    objective = Ramp([0.2, float("nan"), 0.1])
    trainer = Trainer(objective, phase(3))
    trainer.run()
    assert trainer.best.score == 0.2
    assert objective.net.weight.item() == pytest.approx(objective.weights[0])


def test_a_stop_keeps_the_best_weights_so_far():
    objective = Ramp([0.9, 0.5, 0.7, 1.0])
    history = Trainer(objective, phase(4)).run(lambda row: row["weight"] > 0.5)
    assert len(history) == 3
    assert objective.net.weight.item() == pytest.approx(objective.weights[0])


def test_rows_are_given_as_they_come():
    found: list[Mapping[str, float]] = []
    history = Trainer(Ramp([0.1, 0.2]), phase(2)).run(found.append)
    assert found == history
    assert all(row.keys() == {"train_loss", "weight"} for row in history)


def test_a_loss_that_is_not_finite_names_what_to_change():
    with pytest.raises(ValueError, match=r"learning_rate.*0\.1.*batch_size.*2"):
        Trainer(Ramp(loss=float("inf")), phase(1)).run()


def test_one_cycle_ends_near_a_learning_rate_of_zero():
    objective = Ramp()
    Trainer(objective, phase(10, one_cycle=True)).run()
    steps = torch.tensor(objective.weights).diff()
    assert steps.argmax() in (2, 3)
    assert steps[-1] < 0.1 * steps.max()


def test_best_weights_restore_the_highest_score_and_nothing_before_one_was_seen():
    net, best = nn.Linear(1, 1, bias=False), BestWeights()
    nn.init.constant_(net.weight, 3.0)
    best.restore(net)
    assert net.weight.item() == 3.0
    assert best.see(0.5, net)
    nn.init.constant_(net.weight, 4.0)
    assert not best.see(0.5, net), "an equal score is no better"
    best.restore(net)
    assert net.weight.item() == 3.0


@pytest.mark.parametrize(("n_epochs", "expected"), [(4, [0, 0.25, 0.5, 0.75, 1, 1]), (1, [0, 1, 1]), (0, [0, 1])])
def test_the_warm_up_rises_to_one(n_epochs: int, expected: list[float]):
    assert [warm_up(n_epochs)(epoch) for epoch in range(len(expected))] == expected
