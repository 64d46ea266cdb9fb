"""Losses against closed forms and oracles."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from toy_networks import N_COLUMNS, REGIONS, in_two_passes, network

from simplechrome_tk.nn._build import build_paper_network
from simplechrome_tk.nn._likelihood import NegativeBinomialLikelihood
from simplechrome_tk.nn._loss import Targets, expression_loss, latent_loss
from simplechrome_tk.nn._network import Output, SimpleChromeNet


def test_latent_loss_is_the_evidence_lower_bound():
    net, x = network(), torch.randn(8, N_COLUMNS)
    latent = net.encode(x)
    torch.manual_seed(1)
    loss = latent_loss(net, x, latent, kl_weight=None)
    torch.manual_seed(1)
    log_likelihood = torch.distributions.Normal(net.decoder(latent.sample()), 1.0).log_prob(x).sum(dim=1)
    constant = 0.5 * N_COLUMNS * np.log(2 * np.pi)
    bound = (log_likelihood + constant - latent.kl().sum(dim=1)).mean()
    torch.testing.assert_close(loss.total * N_COLUMNS / 2, -bound)


def test_expression_loss_counts_only_what_is_known():
    output = Output(torch.tensor([0.3, -2.0, 5.0]), torch.tensor([1.0, 0.0, 7.0]))
    nan = torch.nan
    targets = Targets(torch.tensor([1.0, 0.0, nan]), torch.tensor([nan, 0.5, nan]))
    loss = expression_loss(output, targets, regression_weight=2.0)
    entropy = -(torch.sigmoid(torch.tensor(0.3)).log() + torch.sigmoid(torch.tensor(2.0)).log()) / 2
    torch.testing.assert_close(loss, entropy + 2.0 * 0.25)


@pytest.mark.parametrize("published", [False, True])
def test_one_pass_gives_the_losses_and_gradients_of_two(published: bool):
    torch.manual_seed(0)
    net = network(dropout=0.5)
    if published:
        net = build_paper_network(REGIONS[:1], n_latent=6)
    x = torch.randn(20, 300 if published else N_COLUMNS)
    found = []
    for encode in (SimpleChromeNet.encode_twice, in_two_passes):
        net.train().zero_grad()
        torch.manual_seed(1)
        latent, whole = encode(net, x)
        assert torch.equal(latent.mean, whole.mean) == published, "the published encoder drops nothing"
        own = latent_loss(net, x, whole, kl_weight=None, noise=0.01).total
        (own + net.express_own(latent.mean).log_expression.square().mean()).backward()
        found.append((own.detach(), *(value.grad for value in net.parameters() if value.grad is not None)))
        assert all(module.training for module in net.modules())
    torch.testing.assert_close(*found)


def test_negative_binomial_likelihood_is_that_of_scipy():
    center, scale = torch.tensor([0.5, 1.0]), torch.tensor([2.0, 0.7])
    likelihood = NegativeBinomialLikelihood(center, scale)
    with torch.no_grad():
        likelihood.log_dispersion.copy_(torch.tensor([0.3, -1.0]))
    counts = torch.tensor([[0.0, 3.0], [250.0, 1.0], [7.0, 0.0]])
    decoded = torch.randn(3, 2)
    loss = likelihood(decoded, (torch.log1p(counts) - center) / scale)
    mean = np.expm1(np.logaddexp(0, (decoded * scale + center).numpy()))
    dispersion = np.exp([0.3, -1.0])
    expected = -stats.nbinom.logpmf(counts.numpy(), dispersion, dispersion / (dispersion + mean)).mean(axis=1)
    np.testing.assert_allclose(loss.detach(), expected, rtol=1e-4)
