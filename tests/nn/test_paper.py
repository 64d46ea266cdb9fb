"""The published network."""

from __future__ import annotations

import pytest
import torch
from toy_networks import REGIONS

from simplechrome_tk.nn._build import build_paper_network
from simplechrome_tk.nn._paper import PaperEncoder
from simplechrome_tk.nn._vae import RegionShape


def test_paper_encoder_treats_every_bin_alone_and_slides_over_marks():
    torch.manual_seed(0)
    encoder = PaperEncoder(RegionShape(5, 100), n_latent=10)
    assert sum(p.numel() for p in encoder.convolutions.parameters()) == (5 * 1 * 32 + 32) + (5 * 32 * 64 + 64)
    assert encoder.to_latent.in_features == 64 * 5 * 100
    x = torch.randn(1, 5, 100)
    features = encoder.convolutions(x.transpose(1, 2).reshape(-1, 1, 5))
    swapped = x.clone()
    swapped[..., [3, 70]] = x[..., [70, 3]]
    again = encoder.convolutions(swapped.transpose(1, 2).reshape(-1, 1, 5))
    torch.testing.assert_close(again[3], features[70])
    expected = encoder.to_latent(features.reshape(1, -1))[:, :10]
    torch.testing.assert_close(encoder(x.flatten(1)).mean, expected)


def test_paper_network_decodes_into_minus_one_to_one_and_reads_one_region():
    net = build_paper_network([RegionShape(5, 100)], n_latent=10)
    decoded = net.decoder(torch.randn(3, 10) * 100)
    assert decoded.shape == (3, 500)
    assert decoded.abs().max() <= 1
    with pytest.raises(ValueError, match=r"reads one region, found 2.*Window\.TSS"):
        build_paper_network(REGIONS, n_latent=10)
