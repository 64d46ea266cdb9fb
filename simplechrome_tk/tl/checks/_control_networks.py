"""Control networks, which should not explain as the trained one does: random weights, permuted labels, other seeds."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from simplechrome_tk.model._simplechrome import SimpleChrome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import anndata as ad


def randomize_weights(networks: Sequence[torch.nn.Module], seed: int) -> list[torch.nn.Module]:
    """Copy networks and replace all weights by normal random numbers, as large as the weights of the same tensor were.

    What the networks have learnt is lost; their architecture and the scale of their outputs stay.
    """
    generator = torch.Generator().manual_seed(seed)
    copies = [copy.deepcopy(net) for net in networks]
    with torch.no_grad():
        for net in copies:
            for weights in net.parameters():
                size = weights.square().mean().sqrt()
                weights.copy_(size * torch.randn(weights.shape, generator=generator).to(weights))
    return copies


def train_control(
    model: SimpleChrome, adata: ad.AnnData, *, permute: bool, seed: int, training: Mapping[str, Any]
) -> SimpleChrome:
    """Train a model with the settings of another from another seed, on the same labels or on permuted ones.

    Permuting gives the label and the expression of a gene, together, to another gene of the same split, ``train`` or
    ``valid``: the networks see real marks and real labels that have nothing to do with each other.
    """
    settings = model.settings.arguments
    data = adata.copy()
    if permute:
        rng = np.random.default_rng(seed)
        split = data.obs[settings["split_key"]].astype(str).to_numpy()
        order = np.arange(data.n_obs)
        for name in ("train", "valid"):
            rows = np.flatnonzero(split == name)
            order[rows] = rng.permutation(rows)
        for column in (settings["label_key"], settings["expression_key"]):
            if column in data.obs:
                data.obs[column] = data.obs[column].array.take(order)
    other = SimpleChrome(data, **{**settings, "rng": seed}, device=model.device)
    other.train(progress=False, **training)
    return other
