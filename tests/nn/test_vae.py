"""The latent model: divergence, features of the marks, covariates."""

from __future__ import annotations

import pytest
import torch
from toy_networks import N_COLUMNS, REGIONS, network

from simplechrome_tk.nn._build import build_network
from simplechrome_tk.nn._loss import latent_loss
from simplechrome_tk.nn._vae import Latent, RegionEncoder, RegionShape


def test_kl_is_zero_for_the_prior_and_matches_torch():
    zeros = torch.zeros(2, 3)
    assert Latent(zeros, zeros).kl().sum() == 0
    mean, log_var = torch.randn(5, 3), torch.randn(5, 3)
    normal = torch.distributions.Normal(mean, (0.5 * log_var).exp())
    expected = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0))
    torch.testing.assert_close(Latent(mean, log_var).kl(), expected)


@pytest.mark.parametrize("shape", [(5, 100), (1, 1), (9, 20), (2, 7), (5, 400)])
def test_region_encoder_says_how_many_features_it_gives(shape: tuple[int, int]):
    encoder = RegionEncoder(RegionShape(*shape))
    assert encoder(torch.randn(4, *shape)).shape == (4, encoder.n_features)


def test_encoder_reads_columns_mark_major():
    net = network()
    x = torch.randn(4, N_COLUMNS)
    by_hand = torch.cat(
        [
            net.encoder.regions[0](x[:, :300].reshape(4, 3, 100)),
            net.encoder.regions[1](x[:, 300:].reshape(4, 3, 20)),
        ],
        dim=1,
    )
    expected = net.encoder.to_latent(net.encoder.joint(by_hand))[:, :6]
    torch.testing.assert_close(net.encode(x).mean, expected)


def test_region_encoder_tells_no_signal_from_little():
    center, scale = torch.tensor([1.0, 2.0]), torch.tensor([0.5, 4.0])
    encoder = RegionEncoder(RegionShape(2, 8), center=center, scale=scale)
    log_signal = torch.zeros(1, 2, 8)
    log_signal[0, 1, 3] = 0.5
    features = encoder((log_signal - center[:, None]) / scale[:, None])
    there = features[0, encoder.convolutions(torch.zeros(1, 4, 8)).shape[1] :][:16].reshape(4, 4)[2:]
    expected = torch.zeros(2, 4)
    expected[1, 1] = 0.25  # half there in one of the stretch's two bins
    torch.testing.assert_close(there, expected)


def test_covariates_reach_the_latent_and_are_not_reconstructed():
    torch.manual_seed(0)
    net = build_network(REGIONS, n_latent=6, n_hidden=16, dropout=0.0, n_covariates=1).eval()
    x = torch.randn(4, N_COLUMNS + 1)
    other = x.clone()
    other[:, -1] += 1
    latent = net.encode(x)
    assert not torch.allclose(net.encode(other).mean, latent.mean)
    assert net.decoder(latent.mean).shape == (4, N_COLUMNS)
    torch.manual_seed(0)
    loss = latent_loss(net, x, latent, kl_weight=None)
    torch.manual_seed(0)
    torch.testing.assert_close(latent_loss(net, other, latent, kl_weight=None), loss)
