"""Placement of new genes on an existing map."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import check_data, check_order
from simplechrome_tk.core.write import ABSENT, to_change, write_whole
from simplechrome_tk.model._latents import check_latents, encoder_digest, model_latents
from simplechrome_tk.tl.latent._embed import embed_record
from simplechrome_tk.tl.latent._exact_neighbors import nearest
from simplechrome_tk.tl.latent._states import states_of_clusters

if TYPE_CHECKING:
    from typing import Any

    import anndata as ad
    import torch

    from simplechrome_tk.model._simplechrome import SimpleChrome

logger = logging.getLogger(__name__)

_FAR_QUANTILE = 0.99
"""A placed gene is far from the map when its distance exceeds this quantile of the distances between genes of the map.
"""


def place(
    adata: ad.AnnData,
    reference: ad.AnnData,
    model: SimpleChrome,
    *,
    n_neighbors: int = 15,
    device: str | torch.device | None = None,
    key: str | None = k.EMBEDDING,
    copy: bool = False,
) -> ad.AnnData | None:
    """Place new genes, or a new cell type, on an existing map, which stays as it is.

    Each gene gets the weighted mean of the coordinates of its nearest genes of the map, by distance of the latents, and
    the cluster with the largest weight among them. Weights fall with distance, to ``exp(-1)`` at the furthest of these
    genes.

    Parameters
    ----------
    adata
        Genes to place, by the model's columns, normalised with the model's constants.
    reference
        Genes with a map, made by :func:`simplechrome_tk.tl.embed` with the same model.
    model
        The model that made the map.
    n_neighbors
        Number of nearest genes of the map that place a gene.
    device
        Device that searches neighbours; ``None`` takes the first available of CUDA, MPS and CPU.
    key
        ``key_added`` of the map in ``reference``; the same names are written to ``adata``.
    copy
        Return a changed copy instead of writing to ``adata``.

    Returns
    -------
    AnnData or None
        ``None``, or the copy. With the default ``key`` it has these slots:

        ``obsm["X_simplechrome"]``, ``obsm["X_simplechrome_umap"]``
            Latents and coordinates on the map.
        ``obs["simplechrome_leiden"]``
            Cluster, with the categories of the map.
        ``obs["placed_far"]``
            Whether the gene is further from the map than 99 % of the genes of the map are from one another, so that
            its place says little.

        A map of its own that ``adata`` had under the same ``key`` is replaced, and its graph, its records and the
        states named from its clusters are removed.

    Raises
    ------
    ValueError
        When the map is missing or of another model, ``n_neighbors`` does not fit the number of its genes, or the
        latents are missing.

    Notes
    -----
    A mean of coordinates lies between them: genes that are unlike all genes of the map are drawn inside it, and
    ``placed_far`` marks them.
    """
    check_order(adata, model, "sct.tl.place(adata, reference, model)")
    check_data(reference)
    adata = to_change(adata, copy=copy)
    keys = k.MapKeys.of(key)
    _check_map(reference, model, keys)
    known = model_latents(reference, model, keys.latent)
    if not 1 <= n_neighbors < reference.n_obs:
        msg = f"n_neighbors is {n_neighbors}; expected 1 to {reference.n_obs - 1}, fewer than the genes of the map."
        raise ValueError(msg)
    new = model.get_latent_representation(adata)
    check_latents(adata, new, "the model's latent")
    rows, distances = nearest(new, known, n_neighbors, device=device)
    # The smallest positive number keeps a gene that coincides with all its neighbours from a division by zero.
    weights = np.exp(-distances / np.maximum(distances[:, -1:], np.finfo(np.float32).tiny))
    weights /= weights.sum(axis=1, keepdims=True)
    coordinates = np.einsum("gn,gnd->gd", weights, np.asarray(reference.obsm[keys.umap])[rows])
    # Distances to as many neighbours within the map say what "far" means for it.
    within_map = nearest(known, None, n_neighbors, device=device).distances[:, -1]
    slots = [
        ("obsm", keys.latent, new),
        ("obsm", keys.umap, coordinates.astype(np.float32)),
        ("obs", keys.clusters, _vote(reference.obs[keys.clusters].astype("category"), rows, weights)),
        ("obs", k.PLACED_FAR, distances[:, -1] > np.quantile(within_map, _FAR_QUANTILE)),
    ]
    _write(adata, slots, keys)
    logger.info(
        "place: %d genes among %d of the map; %d of them (%.1f %%; 1 %% of the genes of the map) are far from it.",
        adata.n_obs,
        reference.n_obs,
        adata.obs[k.PLACED_FAR].sum(),
        100 * adata.obs[k.PLACED_FAR].mean(),
    )
    return adata if copy else None


def _vote(clusters: pd.Series, rows: np.ndarray, weights: np.ndarray) -> pd.Categorical:
    """Return the cluster with the largest weight among the genes in ``rows``, ``(n_genes, n_neighbors)``."""
    votes = np.zeros((len(rows), len(clusters.cat.categories)))
    codes = clusters.cat.codes.to_numpy()[rows]
    np.add.at(votes, (np.arange(len(rows))[:, None], codes), weights)
    return pd.Categorical.from_codes(votes.argmax(axis=1), dtype=clusters.dtype)


def _check_map(reference: ad.AnnData, model: SimpleChrome, keys: k.MapKeys) -> None:
    """Raise ``ValueError`` unless ``reference`` has a map made from latents of this model."""
    slots = (("obsm", keys.umap, reference.obsm), ("obs", keys.clusters, reference.obs))
    missing = [f"{attribute}[{name!r}]" for attribute, name, found in slots if name not in found]
    if missing:
        msg = f"reference has no {' and no '.join(missing)}: run {keys.embed_call('reference')} first."
        raise ValueError(msg)
    record = embed_record(reference, keys)
    made_by = None if record is None else record.get("model")
    if made_by != encoder_digest(model):
        found = "does not say which model made it" if made_by is None else "was made with another model"
        msg = (
            f"the map of reference (obsm[{keys.umap!r}]) {found}: run {keys.embed_call('reference')} again, or use "
            "the model that made it."
        )
        raise ValueError(msg)


def _write(adata: ad.AnnData, slots: list[tuple[str, str, Any]], keys: k.MapKeys) -> None:
    """Write places, and remove what belongs to a map of its own: its graph, records and states."""
    stale, records = states_of_clusters(adata, keys.clusters)
    slots = [*slots, *stale]
    if embed_record(adata, keys) is not None:
        names = (keys.neighbors, keys.umap_record, keys.clusters)
        records = records | {name: ABSENT for name in names if name in adata.uns}
        slots = [*slots, ("obsp", keys.distances, ABSENT), ("obsp", keys.connectivities, ABSENT)]
        logger.info("place: the map that sct.tl.embed made of these genes is replaced, its neighbour graph removed.")
    write_whole(adata, slots, records=records)
