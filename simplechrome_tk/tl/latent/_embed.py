"""The latent space as a map: latents, neighbour graph, UMAP and clusters, under scanpy's names."""

from __future__ import annotations

import logging
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

if TYPE_CHECKING:
    from simplechrome_tk.model._simplechrome import SimpleChrome

logger = logging.getLogger(__name__)

Backend = Literal["auto", "scanpy", "torchdr"]

_INSTALL = "pip install 'simplechrome-tk[gpu]'"


def embed(
    adata: ad.AnnData,
    model: SimpleChrome,
    *,
    backend: Backend = "auto",
    device: str | torch.device | None = None,
    n_neighbors: int = 15,
    min_dist: float = 0.5,
    resolution: float = 1.0,
    rng: int = 0,
) -> None:
    """Compute latents, their neighbour graph, a UMAP and Leiden clusters.

    Neighbours are exact and computed by torch; the graph, UMAP and clusters are scanpy's, so that its plots and tools
    (``sc.pl.umap``, ``sc.tl.rank_genes_groups``) and rapids-singlecell work on the result.

    Parameters
    ----------
    adata
        Genes by the model's columns, normalised with the model's constants. Several cell types get one joint map.
    model
        A trained model.
    backend
        Who computes the UMAP: ``"scanpy"`` (umap-learn, on CPU), ``"torchdr"`` (TorchDR, made for CUDA, where it is
        installed with the extra ``gpu``), or ``"auto"``: TorchDR where the device is CUDA and it is installed, else
        scanpy. Coordinates differ between the two; how well they keep neighbours does not
        (:func:`simplechrome_tk.tl.latent_quality`).
    device
        Where neighbours and TorchDR compute; ``None`` takes CUDA, MPS or CPU, the first there is. Latents are computed
        where the model is.
    n_neighbors
        As scanpy counts: with the gene itself.
    min_dist
        Least distance between points of the UMAP; scanpy's default.
    resolution
        Of the clustering: more gives more clusters.
    rng
        Seed of UMAP and Leiden. The caller's random state is left as it was.

    Returns
    -------
    None
        Writes ``obsm["X_simplechrome"]`` (``(n_genes, n_latent)``), ``obsm["X_umap"]`` (``(n_genes, 2)``),
        ``obs["leiden"]``, ``obsp["distances"]`` and ``obsp["connectivities"]``, their records ``uns["neighbors"]``,
        ``uns["umap"]`` and ``uns["leiden"]``, and ``uns["embed"]``: ``model``, a digest of what makes the latents,
        ``backend`` and its ``version``, ``device`` and the arguments. All of it is computed first and written last: a
        call that fails or is interrupted leaves ``adata`` as it was.

    Raises
    ------
    ValueError
        When the back end is unknown, the device is not there, there are no more genes than neighbours, or the latents
        are missing or the same for all genes.
    ModuleNotFoundError
        When the back end is not installed.

    Notes
    -----
    UMAP: McInnes et al. 2018 (arXiv 1802.03426), started from the first two principal components of the latents, which
    keeps the large distances (Kobak and Linderman 2021, doi 10.1038/s41587-020-00809-z) and works when the graph falls
    into parts. Leiden: Traag et al. 2019 (doi 10.1038/s41598-019-41695-z), igraph's.

    Examples
    --------
    >>> sct.tl.embed(adata, model)  # doctest: +SKIP
    >>> sc.pl.umap(adata, color=["leiden", "expression"])  # doctest: +SKIP
    """
    check_order(adata, model, "sct.tl.embed(adata, model)")
    adata = to_change(adata, copy=False)
    place = resolve_device(device)
    chosen = _backend(backend, place)
    if not 2 <= n_neighbors < adata.n_obs:
        msg = (
            f"n_neighbors is {n_neighbors} and there are {adata.n_obs} genes; expected from 2 neighbours to fewer than "
            f"genes. {'Bring more genes.' if adata.n_obs < 3 else f'Take n_neighbors={min(15, adata.n_obs - 1)}.'}"
        )
        raise ValueError(msg)
    latents = model.get_latent_representation(adata)
    check_latents(adata, latents, "the model's latent")
    # Minutes may pass, and what is half done must not stand beside what an earlier call has left.
    aside = _computed_aside(
        latents,
        backend=chosen,
        device=place,
        n_neighbors=n_neighbors,
        min_dist=min_dist,
        resolution=resolution,
        rng=rng,
    )
    package = {"scanpy": "umap-learn", "torchdr": "torchdr"}[chosen]
    record = {
        "model": encoder_digest(model),
        "backend": chosen,
        "version": f"{package} {version(package)}",
        "device": str(place),
        "n_neighbors": n_neighbors,
        "min_dist": min_dist,
        "resolution": resolution,
        "rng": rng,
    }
    _write(adata, aside, record)
    logger.info(
        "embed: %d genes, %d latents; neighbours by torch on %s, UMAP by %s (%s), %d Leiden clusters. Added "
        "obsm[%r], obsm[%r], obs[%r].",
        adata.n_obs,
        latents.shape[1],
        place,
        chosen,
        record["version"],
        adata.obs[k.LEIDEN].nunique(),
        k.LATENT,
        k.UMAP,
        k.LEIDEN,
    )


def _computed_aside(
    latents: np.ndarray,
    *,
    backend: str,
    device: torch.device,
    n_neighbors: int,
    min_dist: float,
    resolution: float,
    rng: int,
) -> ad.AnnData:
    """Return an AnnData that holds latents, graph, UMAP and clusters, and nothing else."""
    import scanpy as sc  # takes seconds, so not with the package

    aside = ad.AnnData(obs=pd.DataFrame(index=np.arange(len(latents)).astype(str)), obsm={k.LATENT: latents})
    neighbors_and_umap(aside, backend=backend, device=device, n_neighbors=n_neighbors, min_dist=min_dist, rng=rng)
    sc.tl.leiden(aside, resolution, flavor="igraph", n_iterations=2, directed=False, random_state=rng)
    return aside


def _write(adata: ad.AnnData, aside: ad.AnnData, record: dict[str, Any]) -> None:
    """Write a map that was computed aside, and remove what an earlier placing on another map has left."""
    slots = [
        *(("obsm", key, aside.obsm[key]) for key in (k.LATENT, k.UMAP)),
        *(("obsp", key, aside.obsp[key]) for key in ("distances", "connectivities")),
        ("obs", k.LEIDEN, aside.obs[k.LEIDEN].array),
        ("obs", k.PLACED_FAR, ABSENT),
    ]
    records = {key: aside.uns[key] for key in ("neighbors", "umap", "leiden")}
    write_whole(adata, slots, records={**records, k.EMBED: record})


def neighbors_and_umap(
    adata: ad.AnnData, *, backend: str, device: torch.device, n_neighbors: int, min_dist: float, rng: int
) -> None:
    """Write the neighbour graph and the UMAP of the latents in ``obsm``."""
    import scanpy as sc

    latents = np.asarray(adata.obsm[k.LATENT])
    threads = torch.get_num_threads()
    search = ExactNeighbors(n_neighbors, device=device)
    try:
        sc.pp.neighbors(adata, n_neighbors, use_rep=k.LATENT, transformer=search, random_state=rng)
        if backend == "torchdr":
            _torchdr_umap(adata, latents, n_neighbors=n_neighbors, min_dist=min_dist, rng=rng, device=device)
        else:
            sc.tl.umap(adata, min_dist=min_dist, init_pos=_two_components(latents, rng), random_state=rng)
    finally:
        torch.set_num_threads(threads)  # numba, in scanpy, sets those of the whole process


def _backend(asked: str, device: torch.device) -> str:
    """Return ``"scanpy"`` or ``"torchdr"``."""
    if asked not in get_args(Backend):
        msg = f"backend is {asked!r}; choose one of {', '.join(get_args(Backend))}."
        raise ValueError(msg)
    installed = find_spec("torchdr") is not None
    if asked == "auto":
        if device.type == "cuda" and not installed:
            logger.info("UMAP runs on CPU; for CUDA: %s.", _INSTALL)
        return "torchdr" if device.type == "cuda" and installed else "scanpy"
    if asked == "torchdr" and not installed:
        msg = (
            f"backend='torchdr' was asked for, but torchdr is not installed: {_INSTALL}. backend='scanpy' needs it not."
        )
        raise ModuleNotFoundError(msg, name="torchdr")
    if asked == "torchdr" and device.type != "cuda":
        logger.warning("TorchDR on %s is slower than backend='scanpy'; it is made for CUDA.", device)
    return asked


def _two_components(latents: np.ndarray, rng: int) -> np.ndarray:
    """First two principal components, float32 ``(n_genes, 2)``, each with its largest loading positive.

    A little noise keeps equal latents, and a second component of one-dimensional latents, apart.
    """
    centered = latents - latents.mean(axis=0, dtype=float)
    loadings = np.linalg.eigh(centered.T @ centered)[1][:, ::-1][:, :2]
    loadings = loadings * np.sign(loadings[np.abs(loadings).argmax(axis=0), np.arange(loadings.shape[1])])
    start = np.zeros((len(latents), 2))
    start[:, : loadings.shape[1]] = centered @ loadings
    start += 1e-4 * start.std() * np.random.default_rng(rng).standard_normal(start.shape)
    return start.astype(np.float32)


def _torchdr_umap(
    adata: ad.AnnData, latents: np.ndarray, *, n_neighbors: int, min_dist: float, rng: int, device: torch.device
) -> None:
    """Write ``obsm["X_umap"]`` and ``uns["umap"]`` as :func:`scanpy.tl.umap` does."""
    import torchdr

    with seeded(rng):  # TorchDR's own random_state would seed Python and numpy as well, for good
        umap = torchdr.UMAP(n_neighbors=n_neighbors, min_dist=min_dist, device=device.type, backend=None)
        found = umap.fit_transform(torch.as_tensor(latents, device=device))
    adata.obsm[k.UMAP] = found.detach().cpu().numpy()
    a, b = torchdr.neighbor_embedding.umap.find_ab_params(1.0, min_dist)
    adata.uns["umap"] = {"params": {"a": a, "b": b}}
