"""Dropout that is switched off for a block of code."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterator

# Torch's kinds of dropout are siblings: none is a subclass of another.
_DROPOUT = (
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.AlphaDropout,
    nn.FeatureAlphaDropout,
)


@contextmanager
def without_dropout(module: nn.Module) -> Iterator[None]:
    """Switch all dropout in ``module`` off for the block; other layers stay in their mode."""
    layers = [layer for layer in module.modules() if isinstance(layer, _DROPOUT) and layer.training]
    for layer in layers:
        layer.eval()
    try:
        yield
    finally:
        for layer in layers:
            layer.train()
