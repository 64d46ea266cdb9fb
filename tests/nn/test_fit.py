"""Phases of training: what they learn, which weights they change, and when they stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from toy_networks import N_COLUMNS, in_two_passes, network, ring, toy

from simplechrome_tk.nn._fit import fit_context, fit_expression, fit_latent
from simplechrome_tk.nn._loss import Targets, expression_loss, latent_loss
from simplechrome_tk.nn._predict import predict
from simplechrome_tk.nn._recipe import Phase, Recipe

if TYPE_CHECKING:
    from simplechrome_tk.nn._network import SimpleChromeNet


def copy_of_weights(net: SimpleChromeNet) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in net.state_dict().items()}


def changed_parts(net: SimpleChromeNet, before: dict[str, torch.Tensor]) -> set[str]:
    """Return the names of the parts of a network, such as the head, whose weights differ from those before."""
    return {name.split(".")[0] for name, value in net.state_dict().items() if not torch.equal(value, before[name])}


def test_training_learns_and_keeps_the_best_epoch():
    x, targets = toy()
    net = network(n_latent=4)
    rows = torch.arange(300)
    recipe = Recipe(latent=Phase(8, 32, 3e-3, one_cycle=True), expression=Phase(12, 32, 3e-3, patience=3))
    latent = fit_latent(net, x, held_out=rows[200:], recipe=recipe)
    assert latent[-1]["reconstruction"] < 0.8 * latent[0]["reconstruction"]
    history = fit_expression(net, x, targets, train=rows[:200], valid=rows[200:], recipe=recipe)
    scores = [(row["valid_auroc"] + row["valid_pearson"]) / 2 for row in history]
    assert max(scores) > 0.9
    output = predict(net, x, genes=rows[200:])
    kept = torch.corrcoef(torch.stack([output.log_expression, targets.log_expression[200:]]))[0, 1]
    assert float(kept) == pytest.approx(history[int(np.argmax(scores))]["valid_pearson"], abs=1e-5)


def test_patience_ends_training():
    x, targets = toy()
    rows = torch.arange(300)
    noise = Targets(targets.label[torch.randperm(300)], torch.full((300,), torch.nan))
    recipe = Recipe(expression=Phase(50, 64, 1e-6, patience=2))
    history = fit_expression(network(), x, noise, train=rows[:200], valid=rows[200:], recipe=recipe)
    assert len(history) < 50


def test_frozen_latent_trains_the_head_alone():
    x, targets = toy()
    net, rows = network(), torch.arange(300)
    before = copy_of_weights(net)
    recipe = Recipe(expression=Phase(2, 64, 1e-2), freeze_latent=True)
    fit_expression(net, x, targets, train=rows[:200], valid=rows[200:], recipe=recipe)
    assert changed_parts(net, before) == {"head"}


def test_training_end_to_end_leaves_the_context():
    x, targets = toy()
    net, rows = network(n_graphs=1), torch.arange(300)
    before = copy_of_weights(net)
    recipe = Recipe(expression=Phase(1, 64, 1e-2))
    fit_expression(net, x, targets, train=rows[:200], valid=rows[200:], recipe=recipe)
    assert changed_parts(net, before) == {"decoder", "encoder", "head"}


def test_the_latent_loss_of_the_second_phase_reads_genes_without_dropout():
    x, targets = toy()
    net, rows = network(dropout=0.5), torch.arange(300)
    recipe = Recipe(expression=Phase(1, 300, 1e-3))
    torch.manual_seed(1)
    train = rows[torch.randperm(200)]
    latent, whole = in_two_passes(net, x[train])
    known = Targets(targets.label[train], targets.log_expression[train])
    own = latent_loss(net, x[train], whole, kl_weight=None, noise=recipe.noise)
    predicted = expression_loss(net.express_own(latent.mean), known, regression_weight=1.5)
    expected = predicted + recipe.latent_weight * own.total
    torch.manual_seed(1)
    history = fit_expression(net, x, targets, train=rows[:200], valid=rows[200:], recipe=recipe)
    assert history[0]["train_loss"] == pytest.approx(expected.item(), rel=1e-5)


def test_attention_finds_neighbours_that_act_by_their_side():
    x, known = toy(600)
    level = known.log_expression
    acting = torch.zeros(600)
    acting[1:-1] = level[:-2] - level[2:]  # upstream raises, downstream lowers
    targets = Targets(torch.full((600,), torch.nan), acting / acting.std())
    rows = torch.arange(600)
    recipe = Recipe(latent=Phase(3, 32, 3e-3), expression=Phase(25, 32, 3e-3, one_cycle=True))
    net = network(n_graphs=1)
    fit_latent(net, x, held_out=rows[400:], recipe=recipe)
    own = fit_expression(net, x, targets, train=rows[:400], valid=rows[400:], recipe=recipe)
    recipe = Recipe(context=Phase(25, 32, 5e-3, one_cycle=True))
    both = fit_context(net, x, targets, train=rows[:400], valid=rows[400:], graph=ring(600), recipe=recipe)
    assert max(row["valid_pearson"] for row in own) < 0.4
    assert max(row["valid_pearson"] for row in both) > 0.8


def test_the_context_learns_from_reference_samples():
    torch.manual_seed(0)
    x, rows = torch.randn(300, N_COLUMNS + 4), torch.arange(300)
    expression = x[:, N_COLUMNS:].mean(dim=1) * 2
    targets = Targets((expression > 0).float(), expression)
    net = network(n_reference=4)
    recipe = Recipe(context=Phase(20, 32, 1e-2))
    history = fit_context(net, x, targets, train=rows[:200], valid=rows[200:], graph=None, recipe=recipe)
    assert max(row["valid_pearson"] for row in history) > 0.9


def third_phase(net: SimpleChromeNet, targets: Targets) -> tuple[set[str], list[dict[str, float]]]:
    """Train phase 3 on toy genes; return the parts of the network that have changed, and the history."""
    x, rows = toy()[0], torch.arange(300)
    before = copy_of_weights(net)
    recipe = Recipe(context=Phase(3, 64, 1e-2))
    history = fit_context(net, x, targets, train=rows[:200], valid=rows[200:], graph=ring(300), recipe=recipe)
    return changed_parts(net, before), history


def test_the_third_phase_trains_the_context_alone():
    changed, history = third_phase(network(n_graphs=1), toy()[1])
    assert changed == {"context"}
    assert len(history) == 3


def test_the_third_phase_discards_what_does_worse_on_validation_genes():
    net, targets = network(n_graphs=1), toy()[1]
    third_phase(net, targets)
    training_genes = torch.arange(300) < 200
    turned = Targets(torch.where(training_genes, 1 - targets.label, targets.label), targets.log_expression * torch.nan)
    changed, _ = third_phase(net, turned)
    assert not changed
