"""How good latents and map are: neighbours kept, groups apart."""

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
from simplechrome_tk.model._latents import latents
from simplechrome_tk.tl.latent._exact_neighbors import nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad
    import torch


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
) -> pd.DataFrame:
    """Measure how well the latent keeps the marks' neighbours, the map the latent's, and whether groups lie apart.

    Principal components of the marks of all genes, as many as the latent has dimensions, stand beside the latent.
    Everything is measured on held-out genes: labels trained the latent to set high genes apart from low ones, so that
    on training genes a silhouette by label says what was taught rather than what was learnt.

    Parameters
    ----------
    adata
        After :func:`simplechrome_tk.tl.embed`.
    groupby
        Column of ``obs`` whose groups the silhouette tells apart; genes without one are left out of it.
    splits
        Splits whose genes are measured, ``None`` for all genes. With the default and no column of splits, all genes are
        taken, and the log says so.
    split_key
        Column of ``obs`` with ``train``, ``valid`` and ``test``.
    n_neighbors
        Size of a neighbourhood, without the gene itself.
    n_sample
        Genes of these splits, drawn at random, on which all is measured, since the work grows with their square.
    rng
        Seed of the draw.
    device
        Where to search neighbours; ``None`` takes CUDA, MPS or CPU, the first there is.

    Returns
    -------
    pandas.DataFrame
        ``space`` (``latent``, ``PCA``, ``map``), ``against`` (the space of which neighbours are to be kept: ``marks``,
        ``latent``, or the groups), ``metric``, ``value`` and ``n`` genes. ``trustworthiness``: 1 when all neighbours
        in ``space`` are neighbours in ``against`` (Venna and Kaski 2001; scikit-learn's). ``neighbours kept``: the
        share of neighbours in ``against`` that are neighbours in ``space``. ``silhouette``: from -1 to 1, above 0 where
        genes lie nearer to their own group (Rousseeuw 1987).

    Raises
    ------
    ValueError
        When there is no map, no such column, no gene of the splits, fewer than two groups, or too few genes for the
        neighbourhood.
    """
    space = latents(adata)
    if k.UMAP not in adata.obsm:
        msg = f"obsm has no {k.UMAP!r} (found: {', '.join(adata.obsm)}): run sct.tl.embed(adata, model) first."
        raise ValueError(msg)
    genes = np.flatnonzero(held_out(adata, splits, split_key))
    rows = np.sort(np.random.default_rng(rng).permutation(genes)[:n_sample])
    if 2 * n_neighbors >= len(rows):
        msg = (
            f"{len(rows)} genes to measure and n_neighbors={n_neighbors}; expected more than twice as many genes as "
            "neighbours. Take more of them (n_sample, or splits=None for all genes), or fewer neighbours."
        )
        raise ValueError(msg)
    group = obs_column(adata, groupby, fix="name one of them with groupby").iloc[rows]
    marks = dense(adata)
    components = PCA(min(space.shape[1], *marks.shape), svd_solver="covariance_eigh").fit_transform(marks)
    places = {"latent": space, "PCA": components, "map": np.asarray(adata.obsm[k.UMAP])}
    spaces = {name: np.asarray(values)[rows] for name, values in places.items()}
    found = []
    for name, against in (("latent", "marks"), ("PCA", "marks"), ("map", "latent")):
        other = marks[rows] if against == "marks" else spaces[against]
        here, there = (nearest(values, None, n_neighbors, device=device).rows for values in (spaces[name], other))
        kept = np.mean([len(np.intersect1d(*pair)) / n_neighbors for pair in zip(here, there, strict=True)])
        trusted = trustworthiness(other, spaces[name], n_neighbors=n_neighbors)
        for metric, value in (("trustworthiness", trusted), ("neighbours kept", float(kept))):
            found.append((name, against, metric, value, len(rows)))
    has = group.notna().to_numpy()
    if group[has].nunique() < 2:
        msg = f"obs[{groupby!r}] holds {group[has].nunique()} groups among {len(rows)} genes; expected two at least."
        raise ValueError(msg)
    for name, values in spaces.items():
        apart = silhouette_score(values[has], group[has].astype(str))
        found.append((name, groupby, "silhouette", apart, int(has.sum())))
    return pd.DataFrame(found, columns=["space", "against", "metric", "value", "n"])
