"""Dropout that is switched off for a block."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from simplechrome_tk.nn._dropout import without_dropout


@pytest.mark.parametrize(
    ("kind", "n_dimensions"),
    [
        (nn.Dropout, 2),
        (nn.Dropout1d, 3),
        (nn.Dropout2d, 4),
        (nn.Dropout3d, 5),
        (nn.AlphaDropout, 2),
        (nn.FeatureAlphaDropout, 4),
    ],
)
def test_each_kind_of_dropout_is_off_in_the_block_and_back_behind_it(kind: type[nn.Module], n_dimensions: int):
    layer, x = kind(0.5), torch.ones([4] * n_dimensions)
    net = nn.Sequential(layer, nn.BatchNorm1d(4)).train()
    with without_dropout(net):
        assert torch.equal(layer(x), x)
        assert net[1].training, "other layers stay in training"
    assert layer.training


def test_dropout_in_evaluation_mode_stays_so():
    layer = nn.Dropout(0.5).eval()
    with without_dropout(layer):
        pass
    assert not layer.training


def test_dropout_is_back_after_an_error():
    layer = nn.Dropout(0.5)
    with pytest.raises(KeyError), without_dropout(layer):
        raise KeyError
    assert layer.training
