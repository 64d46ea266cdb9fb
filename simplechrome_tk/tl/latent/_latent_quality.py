"""Quality of the latents and of the map: neighbours that they keep, groups that they separate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness
from sklearn.metrics import silhouette_score

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.matrix import dense
from simplechrome_tk.core.require import held_out, obs_column
from simplechrome_tk.core.tables import check_table_key, write_table
from simplechrome_tk.core.write import to_change
from simplechrome_tk.model._latents import latents
from simplechrome_tk.tl.latent._exact_neighbors import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import anndata as ad
    import torch

COLUMNS = ("space", "against", "metric", "value", "n")
"""Columns of the table."""


def latent_quality(
    adata: ad.AnnData,
    *,
    groupby: str = k.LABEL,
    splits: Sequence[str] | None = ("test",),
    split_key: str = k.SPLIT,
    n_neighbors: int = 15,
    n_sample: int = 2_000,
    rng: int = 0,
    device: str | torch.device | None = None,
    key: str | None = k.EMBEDDING,
    key_added: str = k.LATENT_QUALITY,
    copy: bool = False,
) -> ad.AnnData | None:
    """Measure how well the latents keep the neighbours of the marks, the map those of the latents, and separate groups.

    The latents are compared with as many principal components of the marks of all genes. Only held-out genes are
    measured: the training separates genes with high labels from genes with low labels, so that on training genes a
    silhouette by label shows what the model was taught rather than what it learnt.

    Parameters
    ----------
    adata
        Genes with a map (:func:`simplechrome_tk.tl.embed`).
    groupby
        Column of ``obs`` with the groups of the silhouette; genes without a group are left out of it.
    splits
        Splits whose genes are measured, ``None`` for all genes. With the default and no column of splits, all genes are
        measured, and the log says so.
    split_key
        Column of ``obs`` with ``train``, ``valid`` and ``test``.
    n_neighbors
        Number of neighbours of each gene, without the gene itself.
    n_sample
        Number of genes of these splits that are drawn at random and measured, because the work grows with its square.
    rng
        Seed of the draw.
    device
        Device that searches neighbours; ``None`` takes the first available of CUDA, MPS and CPU.
    key
        ``key_added`` of the map that is measured.
    key_added
        Name of the table in ``uns``.
    copy
        Return a changed copy instead of writing to ``adata``.

    Returns
    -------
    AnnData or None
        ``None``, or the copy. ``uns[key_added]`` is a table with the columns ``space`` (``latent``, ``PCA`` or
        ``map``), ``against`` (the space whose neighbours should be kept, ``marks`` or ``latent``, or the groups),
        ``metric``, ``value`` and ``n`` genes. :func:`simplechrome_tk.pl.latent_quality` draws it. The metrics:

        ``trustworthiness``
            1 when all neighbours in ``space`` are neighbours in ``against`` (Venna and Kaski 2001; scikit-learn's).
        ``neighbours kept``
            Share of the neighbours in ``against`` that are neighbours in ``space``.
        ``silhouette``
            From -1 to 1, above 0 when genes are closer to their own group (Rousseeuw 1987).

    Raises
    ------
    ValueError
        When there is no map, no such column, no gene in the splits, fewer than two groups, or too few genes for
        ``n_neighbors``.
    """
    adata = to_change(adata, copy=copy)
    check_table_key(adata, key_added, COLUMNS)
    keys = k.MapKeys.of(key)
    latent = latents(adata, keys.latent)
    if keys.umap not in adata.obsm:
        msg = f"obsm has no {keys.umap!r} (found: {', '.join(adata.obsm)}): run {keys.embed_call()} first."
        raise ValueError(msg)
    rows = _draw_genes(held_out(adata, splits, split_key), n_sample, n_neighbors, rng)
    group = obs_column(adata, groupby, fix="name one of them with groupby").iloc[rows]
    known = group.notna().to_numpy()
    if group[known].nunique() < 2:
        msg = f"obs[{groupby!r}] holds {group[known].nunique()} groups among {len(rows)} genes; expected at least two."
        raise ValueError(msg)
    # The components are fitted on all genes, as phase 1 of the training reads the marks of all genes.
    marks = dense(adata)
    components = PCA(min(latent.shape[1], *marks.shape), svd_solver="covariance_eigh").fit_transform(marks)
    spaces = {
        "marks": marks[rows],
        "latent": latent[rows],
        "PCA": components[rows],
        "map": np.asarray(adata.obsm[keys.umap])[rows],
    }
    found = _neighbor_metrics(spaces, n_neighbors, device)
    for name in ("latent", "PCA", "map"):
        silhouette = silhouette_score(spaces[name][known], group[known].astype(str))
        found.append((name, groupby, "silhouette", silhouette, int(known.sum())))
    write_table(adata, key_added, pd.DataFrame(found, columns=list(COLUMNS)))
    return adata if copy else None


def _draw_genes(candidates: np.ndarray, n_sample: int, n_neighbors: int, rng: int) -> np.ndarray:
    """Return the rows of at most ``n_sample`` genes of the mask ``candidates``, drawn at random."""
    rows = np.sort(np.random.default_rng(rng).permutation(np.flatnonzero(candidates))[:n_sample])
    if 2 * n_neighbors >= len(rows):
        msg = (
            f"{len(rows)} genes to measure and n_neighbors={n_neighbors}; expected more than twice as many genes as "
            "neighbours. Take more genes (n_sample, or splits=None for all genes), or fewer neighbours."
        )
        raise ValueError(msg)
    return rows


def _neighbor_metrics(
    spaces: Mapping[str, np.ndarray], n_neighbors: int, device: str | torch.device | None
) -> list[tuple[str, str, str, float, int]]:
    """Return rows of the table that say how well each space keeps the neighbours of the one that it is made from."""
    found = []
    for name, against in (("latent", "marks"), ("PCA", "marks"), ("map", "latent")):
        space, other = spaces[name], spaces[against]
        neighbors, expected = (nearest(values, None, n_neighbors, device=device).rows for values in (space, other))
        shared = [len(np.intersect1d(*pair)) / n_neighbors for pair in zip(neighbors, expected, strict=True)]
        trusted = float(trustworthiness(other, space, n_neighbors=n_neighbors))
        for metric, value in (("trustworthiness", trusted), ("neighbours kept", float(np.mean(shared)))):
            found.append((name, against, metric, value, len(space)))
    return found
