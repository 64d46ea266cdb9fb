"""Agreement between placed genes and a map that was made with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import obs_column
from simplechrome_tk.tl.latent._exact_neighbors import nearest

if TYPE_CHECKING:
    import anndata as ad
    import torch


def placement_agreement(
    placed: ad.AnnData,
    reference: ad.AnnData,
    whole: ad.AnnData,
    *,
    groupby: str = k.LABEL,
    basis: str = k.MapKeys.of(k.EMBEDDING).umap,
    n_neighbors: int = 15,
    device: str | torch.device | None = None,
) -> float:
    """Measure whether placed genes have the neighbourhoods that they have on a map made with them.

    Parameters
    ----------
    placed, reference
        Genes placed by :func:`simplechrome_tk.tl.place`, and the genes of the map that they were placed on.
    whole
        All these genes with a joint map (:func:`simplechrome_tk.tl.embed`).
    groupby
        Column of ``obs`` of ``whole`` with groups; genes without a group do not count as neighbours.
    basis
        Slot of ``obsm`` in which neighbours are searched: a map, or latents such as ``"X_simplechrome"``.
    n_neighbors
        Number of neighbours of each gene, without the gene itself.
    device
        Device that searches neighbours; ``None`` takes the first available of CUDA, MPS and CPU.

    Returns
    -------
    float
        Share of the placed genes whose nearest genes have the same most frequent group on both maps.

    Raises
    ------
    ValueError
        When ``whole`` lacks some of the genes, or there is no such column or slot.
    """
    names = [*placed.obs_names, *reference.obs_names]
    row = whole.obs_names.get_indexer(pd.Index(names))
    if (row < 0).any():
        msg = f"{int((row < 0).sum())} genes, such as {names[int((row < 0).argmax())]!r}, are not in whole."
        raise ValueError(msg)
    for part in (placed, reference, whole):
        if basis not in part.obsm:
            msg = f"obsm has no {basis!r} (found: {', '.join(part.obsm) or 'none'}); expected it in all three."
            raise ValueError(msg)
    group = obs_column(whole, groupby, fix="name one of them with groupby").astype("category").cat.codes.to_numpy()[row]
    built_together = np.asarray(whole.obsm[basis])[row]
    joined = np.concatenate([np.asarray(placed.obsm[basis]), np.asarray(reference.obsm[basis])])
    first, second = (
        _most_frequent(group, nearest(coordinates, None, n_neighbors, device=device).rows)[: placed.n_obs]
        for coordinates in (joined, built_together)
    )
    return float((first == second).mean())


def _most_frequent(group: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the most frequent code among each gene's neighbours ``(n_genes, n_neighbors)``, without codes below 0."""
    votes = np.zeros((len(rows), group.max() + 2))
    # A code of -1, no group, is counted in the last column, which is dropped.
    np.add.at(votes, (np.arange(len(rows))[:, None], group[rows]), 1)
    return votes[:, :-1].argmax(axis=1)
