"""Switch dropout off for a while."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def without_dropout(module: nn.Module) -> Iterator[None]:
    """Switch the dropout of ``module`` off meanwhile; all else stays in training."""
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Dropout) and layer.training]
    for layer in layers:
        layer.eval()
    try:
        yield
    finally:
        for layer in layers:
            layer.train()
