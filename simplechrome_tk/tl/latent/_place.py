"""Put genes on a map that is there already."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import check_data, check_order, obs_column
from simplechrome_tk.core.write import ABSENT, to_change, write_whole
from simplechrome_tk.model._latents import check_latents, encoder_digest, model_latents
from simplechrome_tk.tl.latent._exact_neighbors import nearest

if TYPE_CHECKING:
    import anndata as ad
    import torch

    from simplechrome_tk.model._simplechrome import SimpleChrome

logger = logging.getLogger(__name__)

_FAR = 0.99  # quantile of the distances between genes of the map beyond which a new gene counts as far from them


def place(
    adata: ad.AnnData,
    reference: ad.AnnData,
    model: SimpleChrome,
    *,
    n_neighbors: int = 15,
    device: str | torch.device | None = None,
) -> None:
    """Put new genes, or a new cell type, on an existing map; the map does not move.

    Each gene goes to the weighted mean of the places of its nearest genes of the map, by latent distance, and takes the
    cluster that weighs most among them. Weights fall with distance and reach ``exp(-1)`` at the furthest of them.

    Parameters
    ----------
    adata
        Genes to place, by the model's columns, normalised with the model's constants.
    reference
        Genes of the map, after :func:`simplechrome_tk.tl.embed` with the same model.
    model
        The model that made the map.
    n_neighbors
        Nearest genes of the map to place by.
    device
        Where to search; ``None`` takes CUDA, MPS or CPU, the first there is.

    Returns
    -------
    None
        Writes ``obsm["X_simplechrome"]`` and ``obsm["X_umap"]`` as :func:`simplechrome_tk.tl.embed` does,
        ``obs["leiden"]`` (categories of the map) and ``obs["placed_far"]``: whether the gene lies further from the map
        than 99 % of the genes of the map from one another, so that its place says little. Other categories of
        ``reference.obs`` made from ``leiden``, such as ``obs["state"]``, follow from the cluster.

    Raises
    ------
    ValueError
        When the map is missing or of another model, has no more genes than neighbours, or the latents are missing.

    Notes
    -----
    A mean of places lies between them: genes unlike all of the map are drawn inside it, which is what ``placed_far``
    tells.
    """
    check_order(adata, model, "sct.tl.place(adata, reference, model)")
    check_data(reference)
    adata = to_change(adata, copy=False)
    missing = [slot for slot, found in ((k.UMAP, reference.obsm), (k.LEIDEN, reference.obs)) if slot not in found]
    if missing:
        msg = f"reference has no {' and no '.join(missing)}: run sct.tl.embed(reference, model) first."
        raise ValueError(msg)
    _check_map(reference, model)
    known = model_latents(reference, model)
    if not 1 <= n_neighbors < reference.n_obs:
        msg = f"n_neighbors is {n_neighbors}; expected 1 to {reference.n_obs - 1}, fewer than the genes of the map."
        raise ValueError(msg)
    new = model.get_latent_representation(adata)
    check_latents(adata, new, "the model's latent")
    rows, distances = nearest(new, known, n_neighbors, device=device)
    weights = np.exp(-distances / np.maximum(distances[:, -1:], np.finfo(np.float32).tiny))
    weights /= weights.sum(axis=1, keepdims=True)
    usual = nearest(known, None, n_neighbors, device=device).distances[:, -1]
    clusters = reference.obs[k.LEIDEN].astype("category")
    votes = np.zeros((adata.n_obs, len(clusters.cat.categories)))
    codes = clusters.cat.codes.to_numpy()[rows]
    np.add.at(votes, (np.arange(adata.n_obs)[:, None], codes), weights)
    slots = [
        ("obsm", k.LATENT, new),
        ("obsm", k.UMAP, np.einsum("gn,gnd->gd", weights, np.asarray(reference.obsm[k.UMAP])[rows]).astype(np.float32)),
        ("obs", k.LEIDEN, pd.Categorical.from_codes(votes.argmax(axis=1), dtype=clusters.dtype)),
        ("obs", k.PLACED_FAR, distances[:, -1] > np.quantile(usual, _FAR)),
    ]
    _write(adata, slots)
    logger.info(
        "place: %d genes among %d of the map; %d of them (%.1f %%, 1 %% within the map) lie far from it.",
        adata.n_obs,
        reference.n_obs,
        adata.obs[k.PLACED_FAR].sum(),
        100 * adata.obs[k.PLACED_FAR].mean(),
    )


def _check_map(reference: ad.AnnData, model: SimpleChrome) -> None:
    """Raise ``ValueError`` unless the map of ``reference`` was made from latents of this model."""
    record = reference.uns.get(k.EMBED)
    made_by = record.get("model") if isinstance(record, Mapping) else None
    if made_by != encoder_digest(model):
        found = "does not say which model made it" if made_by is None else "was made with another model"
        msg = (
            f"the map of reference (obsm[{k.UMAP!r}]) {found}: run sct.tl.embed(reference, model) again, or bring the "
            "model that made it."
        )
        raise ValueError(msg)


def _write(adata: ad.AnnData, slots: list[tuple[str, str, Any]]) -> None:
    """Write places, and remove the records and the graph of a map of its own, which are of other latents."""
    records = {}
    if k.EMBED in adata.uns:
        records = {key: ABSENT for key in (k.EMBED, "neighbors", "umap", "leiden") if key in adata.uns}
        slots = [*slots, ("obsp", "distances", ABSENT), ("obsp", "connectivities", ABSENT)]
        logger.info("place: the map that sct.tl.embed made of these genes is replaced, its neighbour graph removed.")
    write_whole(adata, slots, records=records)


def placement_agreement(
    placed: ad.AnnData,
    reference: ad.AnnData,
    whole: ad.AnnData,
    *,
    groupby: str = k.LABEL,
    basis: str = k.UMAP,
    n_neighbors: int = 15,
    device: str | torch.device | None = None,
) -> float:
    """Measure whether placed genes get the neighbourhoods that they have on a map built with them.

    Parameters
    ----------
    placed, reference
        Genes placed by :func:`place`, and the map on which they were.
    whole
        A map (:func:`simplechrome_tk.tl.embed`) of the genes of both.
    groupby
        Column of ``obs`` of all three; genes without a value have no vote.
    basis
        Slot of ``obsm`` in which neighbours are counted: the map, or ``"X_simplechrome"``.
    n_neighbors
        Size of a neighbourhood, without the gene itself.
    device
        Where to search; ``None`` takes CUDA, MPS or CPU, the first there is.

    Returns
    -------
    float
        Share of the placed genes whose nearest genes have the same commonest value of ``groupby`` on both maps.

    Raises
    ------
    ValueError
        When ``whole`` lacks genes of the two, or there is no such column or basis.
    """
    together = [*placed.obs_names, *reference.obs_names]
    row = whole.obs_names.get_indexer(pd.Index(together))
    if (row < 0).any():
        msg = f"{int((row < 0).sum())} genes, such as {together[int((row < 0).argmax())]!r}, are not in whole."
        raise ValueError(msg)
    for part in (placed, reference, whole):
        if basis not in part.obsm:
            msg = f"obsm has no {basis!r} (found: {', '.join(part.obsm) or 'none'}); expected it in all three."
            raise ValueError(msg)
    group = obs_column(whole, groupby, fix="name one of them with groupby").astype("category").cat.codes.to_numpy()[row]
    built = np.asarray(whole.obsm[basis])[row]
    joined = np.concatenate([np.asarray(placed.obsm[basis]), np.asarray(reference.obsm[basis])])
    found = [_commonest(group, nearest(space, None, n_neighbors, device=device).rows) for space in (joined, built)]
    n_placed = placed.n_obs
    return float((found[0][:n_placed] == found[1][:n_placed]).mean())


def _commonest(group: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the commonest code among each gene's neighbours ``(n_genes, n_neighbors)``; codes below 0 have no vote."""
    votes = np.zeros((len(rows), group.max() + 2))
    np.add.at(votes, (np.arange(len(rows))[:, None], group[rows]), 1)
    return votes[:, :-1].argmax(axis=1)
