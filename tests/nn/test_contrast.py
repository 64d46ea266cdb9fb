"""The head of changes between two conditions, as a network."""

from __future__ import annotations

import copy

import pytest
import torch
from builders import contrasted

from simplechrome_tk.nn._contrast import Contrast, PairNetwork, change, describe, describe_all, predict_change
from simplechrome_tk.nn._fit import fit_contrast
from simplechrome_tk.nn._recipe import Phase, Recipe


@pytest.fixture
def head() -> Contrast:
    """A contrast of ten inputs with random weights."""
    torch.manual_seed(0)
    head = Contrast(n_inputs=10, n_hidden=16, dropout=0.3)
    torch.nn.init.normal_(head.out.weight)
    return head.eval()


def test_exchanged_conditions_change_the_sign_to_the_bit(head: Contrast):
    of, against = torch.randn(300, 10), torch.randn(300, 10)
    found = head(of, against)
    assert (found != 0).all()
    assert torch.equal(found, -head(against, of))


def test_equal_conditions_give_exactly_zero(head: Contrast):
    of = torch.randn(300, 10)
    assert (head(of, of.clone()) == 0).all()
    assert (head.train()(of, of.clone()) == 0).all(), "also with dropout"


def test_a_new_contrast_adds_nothing():
    of, against = torch.randn(20, 10), torch.randn(20, 10)
    assert (Contrast(n_inputs=10, n_hidden=16, dropout=0.3)(of, against) == 0).all()


def test_without_a_contrast_the_change_is_the_difference_of_predictions():
    net = contrasted()[1].module.first
    of, against = torch.randn(20, 10), torch.randn(20, 10)
    plain = copy.deepcopy(net)
    plain.contrast = None
    assert torch.equal(change(plain, of, against), of[:, -1] - against[:, -1])


@pytest.mark.parametrize("in_context", [False, True])
def test_all_genes_are_described_as_those_of_a_batch(in_context: bool):
    adata, model = contrasted(in_context=in_context)
    data, net = model.read(adata), model.module.first
    genes = torch.arange(7, 40)
    latents = net.encode(data.x).mean
    neighbors = None if data.graph is None else data.graph.of(genes, latents)
    with torch.no_grad():
        expected = describe(net, latents[genes], data.x[genes], neighbors)
    torch.testing.assert_close(describe_all(net, data.x, graph=data.graph)[genes], expected, rtol=1e-4, atol=1e-5)


def test_the_prediction_leaves_the_mode_of_networks_and_averages_them():
    _, model = contrasted()
    nets = [copy.deepcopy(model.module.first).train() for _ in range(2)]
    nets[1].contrast.out.weight.data.mul_(3)
    n_inputs = nets[0].contrast.hidden[0].in_features // 2
    of, against = [torch.randn(30, n_inputs)] * 2, [torch.randn(30, n_inputs)] * 2
    found = predict_change(nets, of, against)
    assert all(net.training for net in nets)
    single = [predict_change([net], of[:1], against[:1]) for net in nets]
    torch.testing.assert_close(found, (single[0] + single[1]) / 2)
    assert not torch.allclose(*single)


@pytest.mark.parametrize("in_context", [False, True])
def test_a_network_of_pairs_gives_the_change(in_context: bool):
    adata, model = contrasted(in_context=in_context)
    net = model.module.first
    here, there = (model.read(adata[adata.obs["condition"] == name].copy()) for name in "BA")
    against = describe_all(net, there.x, graph=there.graph)
    x = torch.cat([here.x, torch.zeros(len(here.x), 3), against], dim=1)
    pair = PairNetwork(net, n_inputs=here.x.shape[1], start=here.x.shape[1] + 3)
    genes = torch.arange(len(x))
    with torch.no_grad():
        neighbors = None if here.graph is None else here.graph.of(genes, net.encode(here.x).mean)
        found = pair(x, neighbors)
        expected = change(net, describe_all(net, here.x, graph=here.graph), against)
    torch.testing.assert_close(found.log_expression, expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(found.logit, found.log_expression)


def planted(net: torch.nn.Module, n: int = 3_000) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return descriptions of genes in two conditions, one after the other, log expression, and the pairs.

    Expression is predicted without the product of two inputs, on which it depends as well.
    """
    generator = torch.Generator().manual_seed(1)
    described = torch.randn(2 * n, net.contrast.hidden[0].in_features // 2, generator=generator)
    described[:, 2:-1] *= 0.1
    log_expression = described[:, -1] + 1.5 * described[:, 0] * described[:, 1]
    return described, log_expression, torch.arange(2 * n).reshape(2, n).T


def test_an_interaction_is_learnt_that_the_difference_of_predictions_misses():
    net = copy.deepcopy(contrasted()[1].module.first)
    torch.nn.init.zeros_(net.contrast.out.weight)
    described, log_expression, pairs = planted(net)
    train, valid, test = torch.arange(3_000).split([2_400, 300, 300])
    phase = Phase(20, 64, 5e-3, weight_decay=0.1, one_cycle=True, average=0.99, patience=60)
    recipe = Recipe(contrast=phase)
    before = {name: weight.clone() for name, weight in net.state_dict().items()}
    fit_contrast(net, described, log_expression, pairs=pairs, train=train, valid=valid, recipe=recipe)

    measured = log_expression[pairs[test, 0]] - log_expression[pairs[test, 1]]
    difference = described[pairs[test, 0], -1] - described[pairs[test, 1], -1]
    found = predict_change([net], [described[pairs[test, 0]]], [described[pairs[test, 1]]])
    pearson = [float(torch.corrcoef(torch.stack([values, measured]))[0, 1]) for values in (found, difference)]
    assert pearson[0] > pearson[1] + 0.2
    moved = {name for name, weight in net.state_dict().items() if not torch.equal(weight, before[name])}
    assert moved
    assert all(name.startswith("contrast.") for name in moved), "only the contrast is trained"


def test_a_contrast_that_predicts_no_better_is_discarded():
    net = copy.deepcopy(contrasted()[1].module.first)
    torch.nn.init.zeros_(net.contrast.out.weight)
    described, _, pairs = planted(net, n=400)
    noise = torch.randn(800, generator=torch.Generator().manual_seed(2))
    exact = described[:, -1].clone()
    train, valid = torch.arange(400).split([200, 200])
    # The predictions are right for the genes of the validation, and the training genes teach noise.
    exact[pairs[train].flatten()] = noise[pairs[train].flatten()]
    fit_contrast(net, described, exact, pairs=pairs, train=train, valid=valid, recipe=Recipe())
    assert (net.contrast.out.weight == 0).all()
