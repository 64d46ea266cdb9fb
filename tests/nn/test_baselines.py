"""Networks of comparison models: published sizes, closed forms, and how any network is fitted."""

from __future__ import annotations

import pytest
import torch

from simplechrome_tk import nn
from simplechrome_tk.nn import _baselines
from simplechrome_tk.nn._fit import fit_network
from simplechrome_tk.nn._loss import Targets
from simplechrome_tk.nn._predict import predict_network
from simplechrome_tk.nn._vae import RegionShape

PUBLISHED = [RegionShape(5, 100)]
TWO = [RegionShape(3, 30), RegionShape(3, 14)]
NETWORKS = [_baselines.MLP, _baselines.DeepChrome, _baselines.AttentiveChrome]

each_network = pytest.mark.parametrize("build", NETWORKS, ids=lambda build: build.__name__)


@each_network
@pytest.mark.parametrize("regions", [PUBLISHED, TWO, [RegionShape(1, 14)]])
def test_networks_read_any_regions_gene_by_gene(build: type[torch.nn.Module], regions: list[RegionShape]):
    torch.manual_seed(0)
    net = build(regions).eval()
    x = torch.randn(7, sum(shape.n_marks * shape.n_bins for shape in regions))
    output = net(x)
    assert output.logit.shape == output.log_expression.shape == (7,)
    alone = [net(row[None]) for row in x]
    torch.testing.assert_close(output.logit, torch.cat([one.logit for one in alone]), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(predict_network(net, x), output)


@each_network
def test_gradients_reach_every_weight(build: type[torch.nn.Module]):
    torch.manual_seed(0)
    net = build(TWO).eval()
    output = net(torch.randn(64, 132))
    (output.logit.square().mean() + output.log_expression.square().mean()).backward()
    still = [name for name, weight in net.named_parameters() if not weight.grad.abs().max() > 0]
    assert still == []


def test_published_sizes():
    sizes = {build.__name__: sum(p.numel() for p in build(PUBLISHED).parameters()) for build in NETWORKS}
    convolution, hidden = 5 * 10 * 50 + 50, 900 * 625 + 625 + 625 * 125 + 125
    assert sizes["DeepChrome"] == convolution + hidden + 125 * 2 + 2
    bins, marks = (2 * 4 * n * (inputs + n + 2) + 2 * n for inputs, n in ((1, 32), (64, 16)))
    assert sizes["AttentiveChrome"] == 5 * bins + marks + 32 * 2 + 2


def test_deepchrome_slides_over_the_bins_of_all_marks():
    torch.manual_seed(0)
    net = _baselines.DeepChrome(TWO).eval()
    x = torch.randn(2, 132)
    features = []
    for columns, shape, layers in zip((x[:, :90], x[:, 90:]), TWO, net.convolutions, strict=True):
        marks = columns.reshape(2, *shape)
        weight, bias = layers[0].weight, layers[0].bias
        n_steps = (shape.n_bins - 9) // 5 * 5
        steps = [(marks[:, None, :, i : i + 10] * weight).sum(dim=(2, 3)) + bias for i in range(n_steps)]
        features.append(torch.stack(steps, dim=2).clamp(min=0).unflatten(2, (-1, 5)).amax(dim=3).flatten(1))
    expected = net.head(torch.cat(features, dim=1))
    torch.testing.assert_close(net(x).logit, expected[:, 0])


def test_attentivechrome_without_preference_averages_over_bins_and_marks():
    torch.manual_seed(0)
    net = _baselines.AttentiveChrome([RegionShape(3, 30)]).eval()
    region, x = net.regions[0], torch.randn(4, 90)
    with torch.no_grad():
        for module in (*region.marks, region.across):
            module.context.zero_()
        read = [mark.lstm(x[:, 30 * i : 30 * (i + 1)].T[..., None])[0].mean(0) for i, mark in enumerate(region.marks)]
        expected = net.head(region.across.lstm(torch.stack(read))[0].mean(0))
    torch.testing.assert_close(net(x).logit, expected[:, 0])


def test_attention_picks_the_bin_that_its_context_asks_for():
    torch.manual_seed(0)
    mark = _baselines.AttentiveChrome(TWO).regions[0].marks[0]
    x = torch.randn(30, 4, 1)
    states, _ = mark.lstm(x)
    with torch.no_grad():
        mark.context.copy_(states[7, 0] / states[7, 0].norm() * 1e5)
    chosen = (states[:, 0] @ mark.context).argmax()
    torch.testing.assert_close(mark(x)[0], states[chosen, 0])


def test_best_validation_epoch_is_kept():
    torch.manual_seed(0)
    level = torch.randn(300, 3, 1)
    x = (level + torch.randn(300, 3, 44)).flatten(1)
    targets = Targets((level[:, 0, 0] > 0).float(), level[:, 0, 0])
    rows = torch.arange(300)
    net = _baselines.MLP(TWO, n_hidden=16, dropout=0.0)
    phase = nn.Phase(30, 32, 3e-2, patience=3)
    history = fit_network(net, x, targets, train=rows[:200], valid=rows[200:], phase=phase, regression_weight=0.5)
    assert len(history) < 30
    best = max(history, key=lambda row: row["valid_auroc"] + row["valid_pearson"])
    pair = torch.stack([predict_network(net, x[200:]).log_expression, targets.log_expression[200:]])
    assert float(torch.corrcoef(pair)[0, 1]) == pytest.approx(best["valid_pearson"], abs=1e-5)


def test_long_gradients_are_cut():
    torch.manual_seed(0)
    x, rows = torch.randn(40, 132), torch.arange(40)
    targets = Targets((x[:, 0] > 0).float(), 1e6 * x[:, 0])
    moved = {}
    for cut in (None, 1e-12):
        torch.manual_seed(0)
        net = _baselines.MLP(TWO, n_hidden=4)
        before = net.layers[0].weight.detach().clone()
        phase = nn.Phase(1, 40, 1e-3, max_gradient=cut)
        fit_network(net, x, targets, train=rows, valid=rows, phase=phase, regression_weight=0.5)
        moved[cut] = float((net.layers[0].weight.detach() - before).abs().max())
    assert moved[None] == pytest.approx(1e-3, rel=0.01), "Adam's first step is the learning rate, whatever the gradient"
    assert moved[1e-12] < 1e-6, "unless the gradient is below Adam's epsilon"
