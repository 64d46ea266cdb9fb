"""Networks for comparison: a plain MLP, DeepChrome and AttentiveChrome, each from marks to label and expression.

Each network is built from the shapes of its regions, reads ``(batch, n_columns)`` and returns
:class:`simplechrome_tk.nn.Output`. The published networks predict the label alone; the output for expression was added.
``evaluation._network_model`` trains them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from simplechrome_tk.nn._network import Output

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from simplechrome_tk.nn._vae import RegionShape

__all__ = ["MLP", "AttentiveChrome", "DeepChrome"]

# DeepChrome as published: filters, their width and the width of the maxima, in bins; hidden units; dropout.
_FILTERS, _FILTER_WIDTH, _POOL = 50, 10, 5
_DEEPCHROME_HIDDEN = (625, 125)
_DEEPCHROME_DROPOUT = 0.5
# AttentiveChrome as published: units of the LSTMs in each direction; bound of the uniform first weights.
_BIN_HIDDEN, _MARK_HIDDEN = 32, 16
_FIRST_WEIGHT = 0.1


class MLP(nn.Module):
    """A multilayer perceptron: two hidden layers on all columns, without knowledge of which bins are adjacent.

    Parameters
    ----------
    regions
        Shape of each region, in column order.
    n_hidden
        Width of the first hidden layer; the second has half of it.
    dropout
        Fraction of units dropped after each hidden layer, in training.

    Examples
    --------
    >>> import torch, simplechrome_tk as sct
    >>> from simplechrome_tk.nn._vae import RegionShape
    >>> net = MLP([RegionShape(5, 100), RegionShape(5, 20)])
    >>> net(torch.zeros(3, 600)).logit.shape
    torch.Size([3])
    """

    def __init__(self, regions: Sequence[RegionShape], *, n_hidden: int = 256, dropout: float = 0.5) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(sum(_widths(regions)), n_hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(n_hidden, n_hidden // 2),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(n_hidden // 2, 2),
        )

    def forward(self, x: torch.Tensor) -> Output:
        """Predict from marks ``(batch, n_columns)``."""
        return Output(*self.layers(x).unbind(dim=1))


class DeepChrome(nn.Module):
    """DeepChrome: one convolution over the bins, max-pooling, two hidden layers (Singh et al. 2016).

    The layers are 50 filters over 10 bins of all marks, ReLU, maxima over 5 bins, dropout of a half, then 625 and 125
    units.

    Parameters
    ----------
    regions
        Shape of each region, in column order; each with at least 14 bins.

    Raises
    ------
    ValueError
        When a region has too few bins for one filter and one maximum.

    Notes
    -----
    Bioinformatics 32:i639-i648, doi:10.1093/bioinformatics/btw427; sizes as in ``code/2_model.lua`` of
    https://github.com/QData/DeepChrome. It was published for one region of 100 bins, of which the last is not read,
    since no complete maximum covers it. This network differs in three points: one logit replaces two log-probabilities,
    which is the same model; there is an output for expression; and each of several regions has its own convolution,
    joined before the dropout, so that the network can read the same inputs as others. The published training is plain
    gradient descent, one gene at a time, for 100 epochs at a rate of 0.001, on read counts;
    :class:`simplechrome_tk.evaluation.DeepChrome` describes the training used here.

    Examples
    --------
    >>> import torch, simplechrome_tk as sct
    >>> from simplechrome_tk.nn._vae import RegionShape
    >>> net = DeepChrome([RegionShape(5, 100)])
    >>> net(torch.zeros(3, 500)).log_expression.shape
    torch.Size([3])
    """

    def __init__(self, regions: Sequence[RegionShape]) -> None:
        super().__init__()
        _require_bins(regions, _FILTER_WIDTH + _POOL - 1, "DeepChrome")
        self.shapes, self.widths = list(regions), _widths(regions)
        self.convolutions = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(shape.n_marks, _FILTERS, _FILTER_WIDTH), nn.ReLU(), nn.MaxPool1d(_POOL), nn.Flatten()
            )
            for shape in regions
        )
        n_features = _FILTERS * sum((shape.n_bins - _FILTER_WIDTH + 1) // _POOL for shape in regions)
        first, second = _DEEPCHROME_HIDDEN
        self.head = nn.Sequential(
            nn.Dropout(_DEEPCHROME_DROPOUT),
            nn.Linear(n_features, first),
            nn.ReLU(),
            nn.Linear(first, second),
            nn.ReLU(),
            nn.Linear(second, 2),
        )

    def forward(self, x: torch.Tensor) -> Output:
        """Predict from marks ``(batch, n_columns)``."""
        parts = zip(self.convolutions, _regions(x, self.shapes, self.widths), strict=True)
        features = torch.cat([convolve(region) for convolve, region in parts], dim=1)
        return Output(*self.head(features).unbind(dim=1))


class AttentiveChrome(nn.Module):
    """AttentiveChrome: an LSTM along the bins of each mark, another across the marks, attention in both (Singh 2017).

    Each mark has its own bidirectional LSTM, with 32 units in each direction, and attention sums its bins to one
    vector. A second bidirectional LSTM, with 16 units in each direction, reads the vectors of the marks in their order,
    and attention sums them.

    Parameters
    ----------
    regions
        Shape of each region, in column order; each with at least 2 bins.

    Raises
    ------
    ValueError
        When a region has one bin.

    Notes
    -----
    Singh, Lanchantin, Sekhon and Qi, NIPS 2017, arXiv:1708.00339; sizes and first weights (uniform within 0.1) as in
    ``v2PyTorch`` of https://github.com/QData/AttentiveChrome. It was published for one region of 100 bins. This network
    differs in four points: the published code has a sigmoid in the network and another one in its loss, here there is
    one; its dropout acts between layers of an LSTM that has one layer, and so never; there is an output for expression;
    and each of several regions has all of these layers, joined before the last one, so that the network can read the
    same inputs as others. The published training is Adam at a rate of 0.0001, with batches of 10, 90 epochs and
    gradients shortened to a norm of 1; :class:`simplechrome_tk.evaluation.AttentiveChrome` describes the training used
    here.

    Examples
    --------
    >>> import torch, simplechrome_tk as sct
    >>> from simplechrome_tk.nn._vae import RegionShape
    >>> net = AttentiveChrome([RegionShape(5, 100)])
    >>> net(torch.zeros(3, 500)).logit.shape
    torch.Size([3])
    """

    def __init__(self, regions: Sequence[RegionShape]) -> None:
        super().__init__()
        _require_bins(regions, 2, "AttentiveChrome")
        self.shapes, self.widths = list(regions), _widths(regions)
        self.regions = nn.ModuleList(_AttentiveRegion(shape) for shape in regions)
        self.head = nn.Linear(2 * _MARK_HIDDEN * len(regions), 2)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -_FIRST_WEIGHT, _FIRST_WEIGHT)

    def forward(self, x: torch.Tensor) -> Output:
        """Predict from marks ``(batch, n_columns)``."""
        parts = zip(self.regions, _regions(x, self.shapes, self.widths), strict=True)
        features = torch.cat([read(region) for read, region in parts], dim=1)
        return Output(*self.head(features).unbind(dim=1))


class _AttentiveRegion(nn.Module):
    """AttentiveChrome for one region, from ``(batch, n_marks, n_bins)`` to ``(batch, 2 * 16)``."""

    def __init__(self, shape: RegionShape) -> None:
        super().__init__()
        self.marks = nn.ModuleList(_AttentiveLSTM(1, _BIN_HIDDEN) for _ in range(shape.n_marks))
        self.across = _AttentiveLSTM(2 * _BIN_HIDDEN, _MARK_HIDDEN)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        bins = x.permute(1, 2, 0).unsqueeze(-1)
        return self.across(torch.stack([read(mark) for read, mark in zip(self.marks, bins, strict=True)]))


class _AttentiveLSTM(nn.Module):
    """A bidirectional LSTM over ``(steps, batch, n_inputs)``; attention sums steps to ``(batch, 2 * n_hidden)``."""

    def __init__(self, n_inputs: int, n_hidden: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(n_inputs, n_hidden, bidirectional=True)
        self.context = nn.Parameter(torch.zeros(2 * n_hidden))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        states, _ = self.lstm(x)
        weights = torch.softmax(states @ self.context, dim=0)
        return torch.einsum("sb,sbh->bh", weights, states)


def _widths(regions: Sequence[RegionShape]) -> list[int]:
    return [shape.n_marks * shape.n_bins for shape in regions]


def _regions(x: torch.Tensor, shapes: Sequence[RegionShape], widths: list[int]) -> Iterator[torch.Tensor]:
    """Yield the columns of each region as a view, ``(batch, n_marks, n_bins)``."""
    for columns, shape in zip(x.split(widths, dim=1), shapes, strict=True):
        yield columns.unflatten(1, shape)


def _require_bins(regions: Sequence[RegionShape], fewest: int, name: str) -> None:
    found = [shape.n_bins for shape in regions]
    if min(found) < fewest:
        msg = (
            f"{name} reads regions of at least {fewest} bins, found {min(found)}: use windows with more bins, for "
            "example windows=[sct.pp.Window.TSS], or an MLP for columns that are not bins (use_rep)."
        )
        raise ValueError(msg)
