"""Maps of genes: latents, neighbour graph, UMAP and clusters."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, get_args

import anndata as ad
import numpy as np
import pandas as pd
import torch

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.device import resolve_device
from simplechrome_tk.core.require import check_order
from simplechrome_tk.core.write import ABSENT, to_change, write_whole
from simplechrome_tk.model._latents import check_latents, encoder_digest
from simplechrome_tk.nn._compute import seeded
from simplechrome_tk.tl.latent._exact_neighbors import ExactNeighbors
from simplechrome_tk.tl.latent._states import states_of_clusters

if TYPE_CHECKING:
    from simplechrome_tk.model._simplechrome import SimpleChrome

logger = logging.getLogger(__name__)

Backend = Literal["auto", "scanpy", "torchdr"]

_INSTALL = "pip install torchdr"
_PACKAGES = {"scanpy": "umap-learn", "torchdr": "torchdr"}
"""The package that computes the UMAP of each back end."""


def embed(
    adata: ad.AnnData,
    model: SimpleChrome,
    *,
    key_added: str | None = k.EMBEDDING,
    backend: Backend = "auto",
    device: str | torch.device | None = None,
    n_neighbors: int = 14,
    min_dist: float = 0.5,
    resolution: float = 1.0,
    rng: int = 0,
    copy: bool = False,
) -> ad.AnnData | None:
    """Compute latents, their neighbour graph, a UMAP and Leiden clusters.

    Torch finds the exact nearest neighbours; the graph, the UMAP and the clusters are scanpy's, so that its plots and
    tools work on the result. The slots have names of their own, so that a map made with scanpy stays as it is.

    Parameters
    ----------
    adata
        Genes by the model's columns, normalised with the model's constants. Several cell types get one joint map.
    model
        A trained model.
    key_added
        Name of the map, from which the names of the slots below are made. ``None`` writes to the default slots of
        scanpy instead, and replaces what is there.
    backend
        What computes the UMAP: ``"scanpy"`` (umap-learn, on the CPU), ``"torchdr"`` (TorchDR, made for CUDA, the extra
        ``gpu``), or ``"auto"``: TorchDR where it is installed and the device is CUDA, else scanpy. The two give
        different coordinates, which keep neighbours equally well (:func:`simplechrome_tk.tl.latent_quality`).
    device
        Device that computes neighbours and TorchDR's UMAP; ``None`` takes the first available of CUDA, MPS and CPU.
        The latents are computed on the device of the model.
    n_neighbors
        Number of neighbours of each gene, without the gene itself. Scanpy counts the gene too: the default of 14 is
        scanpy's 15.
    min_dist
        Smallest distance between points of the UMAP; the default is scanpy's.
    resolution
        Resolution of the clustering: a higher value gives more clusters.
    rng
        Seed of UMAP and Leiden. The caller's random state is left as it was.
    copy
        Return a changed copy instead of writing to ``adata``.

    Returns
    -------
    AnnData or None
        ``None``, or the copy. With the default ``key_added="simplechrome"`` it has these slots:

        =============================================  ==============================================================
        ``obsm["X_simplechrome"]``                     latents, ``(n_genes, n_latent)``
        ``obsm["X_simplechrome_umap"]``                UMAP, ``(n_genes, 2)``
        ``obs["simplechrome_leiden"]``                 clusters
        ``obsp["simplechrome_distances"]``             distances to the nearest neighbours
        ``obsp["simplechrome_connectivities"]``        weights of the neighbour graph
        ``uns["simplechrome"]``                        scanpy's record of the graph (its ``neighbors_key``), and in
                                                       ``"embed"``: ``model`` (a digest of what makes the latents),
                                                       ``backend``, its ``version``, ``device`` and the arguments
        ``uns["X_simplechrome_umap"]``                 scanpy's record of the UMAP
        ``uns["simplechrome_leiden"]``                 scanpy's record of the clusters
        =============================================  ==============================================================

        Another ``key_added`` takes the place of ``simplechrome`` in each name. With ``key_added=None`` the latents
        are in ``obsm["X_simplechrome"]`` and all else is where scanpy writes it by default: ``obsm["X_umap"]``,
        ``obs["leiden"]``, ``obsp["distances"]``, ``obsp["connectivities"]``, ``uns["neighbors"]``, ``uns["umap"]`` and
        ``uns["leiden"]``.

        Chromatin states that :func:`simplechrome_tk.tl.name_states` named from clusters that are replaced are removed.
        All results are computed first and written last: a call that fails or is interrupted leaves ``adata`` as it was.

    Raises
    ------
    ValueError
        When the back end is unknown, the device is not available, ``n_neighbors`` does not fit the number of genes,
        ``key_added`` names something else, or the latents are missing or the same for all genes.
    ModuleNotFoundError
        When the back end is not installed.

    Notes
    -----
    UMAP: McInnes et al. 2018 (arXiv 1802.03426). It starts from the first two principal components of the latents,
    which keeps large distances (Kobak and Linderman 2021, doi 10.1038/s41587-020-00809-z) and works when the graph has
    several components. Leiden: Traag et al. 2019 (doi 10.1038/s41598-019-41695-z), in igraph.

    Examples
    --------
    >>> sct.tl.embed(adata, model)

    Scanpy's plots and tools take the names of the slots:

    >>> import scanpy as sc
    >>> sc.pl.embedding(adata, "simplechrome_umap", color=["simplechrome_leiden", "label"])  # doctest: +SKIP
    >>> sc.tl.leiden(adata, 2, neighbors_key="simplechrome", key_added="fine")  # doctest: +SKIP

    ``sc.pl.umap`` reads the default slots alone:

    >>> sct.tl.embed(adata, model, key_added=None)
    >>> sc.pl.umap(adata, color=["leiden", "label"])  # doctest: +SKIP
    """
    check_order(adata, model, "sct.tl.embed(adata, model)")
    adata = to_change(adata, copy=copy)
    _check_key(adata, key_added)
    keys = k.MapKeys.of(key_added)
    chosen_device = resolve_device(device)
    chosen_backend = _choose_backend(backend, chosen_device)
    _check_n_neighbors(n_neighbors, adata.n_obs)
    latents = model.get_latent_representation(adata)
    check_latents(adata, latents, "the model's latent")
    package = _PACKAGES[chosen_backend]
    record = {
        "model": encoder_digest(model),
        "backend": chosen_backend,
        "version": f"{package} {version(package)}",
        "device": str(chosen_device),
        "n_neighbors": n_neighbors,
        "min_dist": min_dist,
        "resolution": resolution,
        "rng": rng,
    }
    # The computation takes minutes. It works on an AnnData of its own, so that an interrupted call cannot leave a half
    # of the new map beside a half of an earlier one.
    computed = _compute_map(latents, key_added, chosen_device, record)
    _write(adata, computed, keys)
    _log(adata, keys, record)
    return adata if copy else None


def _compute_map(latents: np.ndarray, key: str | None, device: torch.device, record: Mapping[str, Any]) -> ad.AnnData:
    """Return an AnnData with latents, graph, UMAP and clusters, and with ``record`` in the record of the graph."""
    keys = k.MapKeys.of(key)
    names = np.arange(len(latents)).astype(str)
    computed = ad.AnnData(obs=pd.DataFrame(index=names), obsm={keys.latent: latents})
    neighbors_and_umap(
        computed,
        key=key,
        backend=record["backend"],
        device=device,
        n_neighbors=record["n_neighbors"],
        min_dist=record["min_dist"],
        rng=record["rng"],
    )
    _cluster(computed, key=key, resolution=record["resolution"], rng=record["rng"])
    computed.uns[keys.neighbors][k.EMBED] = dict(record)
    return computed


def embed_record(adata: ad.AnnData, keys: k.MapKeys) -> Mapping[str, Any] | None:
    """Return what :func:`embed` recorded of a map, ``None`` where it made none of this name."""
    record = adata.uns.get(keys.neighbors)
    made = record.get(k.EMBED) if isinstance(record, Mapping) else None
    return made if isinstance(made, Mapping) else None


def neighbors_and_umap(
    adata: ad.AnnData,
    *,
    key: str | None = k.EMBEDDING,
    backend: str,
    device: torch.device,
    n_neighbors: int,
    min_dist: float,
    rng: int,
) -> None:
    """Write the neighbour graph and the UMAP of the latents in ``obsm``."""
    import scanpy as sc  # takes seconds, and is loaded when it is first used

    keys = k.MapKeys.of(key)
    latents = np.asarray(adata.obsm[keys.latent])
    threads = torch.get_num_threads()
    with_itself = n_neighbors + 1  # scanpy and TorchDR count the gene as its own neighbour
    search = ExactNeighbors(with_itself, device=device)
    try:
        sc.pp.neighbors(adata, with_itself, use_rep=keys.latent, transformer=search, random_state=rng, key_added=key)
        if backend == "torchdr":
            _torchdr_umap(adata, keys, n_neighbors=with_itself, min_dist=min_dist, rng=rng, device=device)
        else:
            sc.tl.umap(
                adata,
                min_dist=min_dist,
                init_pos=_two_components(latents, rng),
                random_state=rng,
                neighbors_key=keys.neighbors,
                key_added=None if key is None else keys.umap,
            )
    finally:
        torch.set_num_threads(threads)  # numba, in scanpy, changes the number of threads of the whole process


def _cluster(adata: ad.AnnData, *, key: str | None, resolution: float, rng: int) -> None:
    """Write Leiden clusters of the neighbour graph, and their record."""
    import scanpy as sc

    keys = k.MapKeys.of(key)
    sc.tl.leiden(
        adata,
        resolution,
        flavor="igraph",
        n_iterations=2,
        directed=False,
        random_state=rng,
        neighbors_key=keys.neighbors,
        key_added=keys.clusters,
    )


def _write(adata: ad.AnnData, computed: ad.AnnData, keys: k.MapKeys) -> None:
    """Write a computed map, and remove what an earlier map, or a placing on another one, has left."""
    # States named from the old clusters, and "far from the map" of an earlier placing, would contradict the new map.
    stale, stale_records = states_of_clusters(adata, keys.clusters)
    slots = [
        *(("obsm", name, computed.obsm[name]) for name in (keys.latent, keys.umap)),
        *(("obsp", name, computed.obsp[name]) for name in (keys.distances, keys.connectivities)),
        ("obs", keys.clusters, computed.obs[keys.clusters].array),
        ("obs", k.PLACED_FAR, ABSENT),
        *stale,
    ]
    records = {name: computed.uns[name] for name in (keys.neighbors, keys.umap_record, keys.clusters)}
    write_whole(adata, slots, records={**records, **stale_records})


def _log(adata: ad.AnnData, keys: k.MapKeys, record: Mapping[str, Any]) -> None:
    logger.info(
        "embed: %d genes, %d latents; neighbours by torch on %s, UMAP by %s (%s), %d Leiden clusters. Added "
        "obsm[%r], obsm[%r], obs[%r] and the graph %r.",
        adata.n_obs,
        adata.obsm[keys.latent].shape[1],
        record["device"],
        record["backend"],
        record["version"],
        adata.obs[keys.clusters].nunique(),
        keys.latent,
        keys.umap,
        keys.clusters,
        keys.neighbors,
    )


def _check_key(adata: ad.AnnData, key: str | None) -> None:
    """Raise ``ValueError`` when a map of this name would replace something else than an earlier map."""
    if key is None:
        return
    keys = k.MapKeys.of(key)
    # A map of this name may be replaced, a graph (sct.pp.tss_neighbors) or another result may not.
    if embed_record(adata, keys) is None and (key in adata.uns or keys.distances in adata.obsp):
        taken = f"uns[{key!r}]" if key in adata.uns else f"obsp[{keys.distances!r}]"
        msg = f"key_added is {key!r}, and {taken} holds something else: choose another name."
        raise ValueError(msg)


def _check_n_neighbors(n_neighbors: int, n_genes: int) -> None:
    """Raise ``ValueError`` when there are no neighbours, or the gene and its neighbours are all the genes."""
    if 1 <= n_neighbors < n_genes - 1:
        return
    fix = "Add more genes." if n_genes < 3 else f"Set n_neighbors={min(14, n_genes - 2)}."
    msg = f"n_neighbors is {n_neighbors} for {n_genes} genes; expected from 1 to {max(n_genes - 2, 1)}. {fix}"
    raise ValueError(msg)


def _choose_backend(backend: str, device: torch.device) -> str:
    """Return ``"scanpy"`` or ``"torchdr"``."""
    if backend not in get_args(Backend):
        msg = f"backend is {backend!r}; choose one of {', '.join(get_args(Backend))}."
        raise ValueError(msg)
    installed = find_spec("torchdr") is not None
    if backend == "auto":
        if device.type == "cuda" and not installed:
            logger.info("The UMAP is computed on the CPU. To compute it on CUDA, run %s.", _INSTALL)
        return "torchdr" if device.type == "cuda" and installed else "scanpy"
    if backend == "torchdr" and not installed:
        msg = f"backend is 'torchdr', and torchdr is not installed: run {_INSTALL}, or use backend='scanpy'."
        raise ModuleNotFoundError(msg, name="torchdr")
    if backend == "torchdr" and device.type != "cuda":
        logger.warning("TorchDR on %s is slower than backend='scanpy'; it is made for CUDA.", device)
    return backend


def _two_components(latents: np.ndarray, rng: int) -> np.ndarray:
    """Return the first two principal components, float32 ``(n_genes, 2)``, each with its largest loading positive.

    A little noise separates genes with equal latents, and gives one-dimensional latents a second component.
    """
    centered = latents - latents.mean(axis=0, dtype=float)
    # eigh sorts by increasing eigenvalue: the last two columns are the first two components. scikit-learn's PCA would
    # do the same with other rounding, and the map of a fixed seed would change.
    loadings = np.linalg.eigh(centered.T @ centered)[1][:, ::-1][:, :2]
    loadings = loadings * np.sign(loadings[np.abs(loadings).argmax(axis=0), np.arange(loadings.shape[1])])
    start = np.zeros((len(latents), 2))
    start[:, : loadings.shape[1]] = centered @ loadings
    start += 1e-4 * start.std() * np.random.default_rng(rng).standard_normal(start.shape)
    return start.astype(np.float32)


def _torchdr_umap(
    adata: ad.AnnData, keys: k.MapKeys, *, n_neighbors: int, min_dist: float, rng: int, device: torch.device
) -> None:
    """Write the UMAP and its record as :func:`scanpy.tl.umap` does; ``n_neighbors`` counts the gene itself."""
    import torchdr

    latents = torch.as_tensor(np.asarray(adata.obsm[keys.latent]), device=device)
    # TorchDR's own random_state would seed Python and numpy too, and not restore them.
    with seeded(rng):
        umap = torchdr.UMAP(n_neighbors=n_neighbors, min_dist=min_dist, device=device.type, backend=None)
        coordinates = umap.fit_transform(latents)
    adata.obsm[keys.umap] = coordinates.detach().cpu().numpy()
    a, b = torchdr.neighbor_embedding.umap.find_ab_params(1.0, min_dist)
    adata.uns[keys.umap_record] = {"params": {"a": a, "b": b}}
