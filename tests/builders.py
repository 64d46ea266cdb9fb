"""Simulated data and trained models that tests share, each made once in a run."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from scipy import stats

import simplechrome_tk as sct

if TYPE_CHECKING:
    import anndata as ad

BRIEF = {"latent_epochs": 1, "expression_epochs": 1, "progress": False}
"""The shortest training: enough to predict, not to predict well."""


@functools.cache
def _prepared(n_genes: int, n_neighbors: int, method: str | None, rng: int) -> ad.AnnData:
    adata = sct.datasets.simulate(n_genes, rng=rng)
    sct.pp.split_by_chromosome(adata)
    if method is not None:
        sct.pp.normalize(adata, method=method)
    if n_neighbors:
        sct.pp.tss_neighbors(adata, n_neighbors=n_neighbors)
    return adata


def prepared(n_genes: int = 300, *, n_neighbors: int = 0, method: str | None = "log1p", rng: int = 0) -> ad.AnnData:
    """Return a copy of simulated genes that are split by chromosome, normalised unless ``method`` is ``None``.

    With ``n_neighbors`` they have the graph ``"tss"``.
    """
    return _prepared(n_genes, n_neighbors, method, rng).copy()


@functools.cache
def _trained(n_genes: int, n_neighbors: int, rng: int, settings: tuple[tuple[str, Any], ...]) -> sct.SimpleChrome:
    neighbors_key = "tss" if n_neighbors else None
    data = prepared(n_genes, n_neighbors=n_neighbors, rng=rng)
    model = sct.SimpleChrome(data, neighbors_key=neighbors_key, device="cpu", **dict(settings))
    model.train(context_epochs=1, **BRIEF)
    return model


def trained(
    n_genes: int = 300, *, n_neighbors: int = 0, rng: int = 0, **settings: Any
) -> tuple[ad.AnnData, sct.SimpleChrome]:
    """Return a copy of :func:`prepared` genes, and a model that was briefly trained on them.

    The model is shared by all tests of a run: a test that changes it copies it first (``copy.deepcopy``).
    """
    model = _trained(n_genes, n_neighbors, rng, tuple(sorted({"n_latent": 4, **settings}.items())))
    return prepared(n_genes, n_neighbors=n_neighbors, rng=rng), model


@functools.cache
def _in_context(n_genes: int) -> tuple[ad.AnnData, sct.SimpleChrome]:
    adata = prepared(n_genes, n_neighbors=4)
    own = sct.pp.log_expression(adata.obs["expression"].to_numpy())
    noise = np.random.default_rng(0).normal(size=(adata.n_obs, 5))
    adata.obsm["reference_expression"] = (own[:, None] + noise).astype("float32")
    adata.uns["reference_expression"] = {"samples": ["A", "B", "C", "D", "E"]}
    sct.pp.coexpression_neighbors(adata, n_neighbors=6)
    model = sct.SimpleChrome(
        adata,
        neighbors_key=("coexpression", "tss"),
        reference_key="reference_expression",
        n_latent=4,
        n_hidden=16,
        device="cpu",
    )
    model.train(**{**BRIEF, "expression_epochs": 3}, context_epochs=1)
    # A brief training leaves a context that adds next to nothing. Random weights give each part of it a say.
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for net in model.module.networks:
            for weights in net.context.parameters():
                weights.copy_(0.5 * torch.randn(weights.shape, generator=generator))
            net.context.head[-1].bias.zero_()
    return adata, model


def in_context(n_genes: int = 300) -> tuple[ad.AnnData, sct.SimpleChrome]:
    """Return a copy of genes with two graphs and five reference samples, and a model that all of these move.

    The model is shared, as that of :func:`trained`.
    """
    adata, model = _in_context(n_genes)
    return adata.copy(), model


@functools.cache
def _conditions(n_genes: int, n_replicates: int, method: str) -> ad.AnnData:
    adata = sct.datasets.simulate_conditions(n_genes, n_replicates=n_replicates)
    sct.pp.split_by_chromosome(adata)
    sct.pp.normalize(adata, method=method)
    sct.pp.tss_neighbors(adata, n_neighbors=4)
    return adata


def conditions(n_genes: int = 400, *, n_replicates: int = 1, method: str = "log1p") -> ad.AnnData:
    """Return a copy of simulated genes in conditions ``A`` and ``B``, split and normalised, with the graph "tss"."""
    return _conditions(n_genes, n_replicates, method).copy()


@functools.cache
def _contrasted(n_genes: int, n_replicates: int, in_context: bool) -> sct.SimpleChrome:
    adata = conditions(n_genes, n_replicates=n_replicates)
    neighbors_key = "tss" if in_context else None
    model = sct.SimpleChrome(adata, n_latent=4, n_hidden=16, neighbors_key=neighbors_key, device="cpu")
    model.train(**{**BRIEF, "expression_epochs": 3}, context_epochs=1)
    model = model.add_contrast(key="condition", epochs=2, progress=False)
    # A brief training leaves a contrast, and a context, that add next to nothing.
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for net in model.module.networks:
            for part in (net.contrast, net.context):
                for weights in () if part is None else part.parameters():
                    weights.copy_(0.2 * torch.randn(weights.shape, generator=generator))
    return model


def contrasted(
    n_genes: int = 400, *, n_replicates: int = 1, in_context: bool = False
) -> tuple[ad.AnnData, sct.SimpleChrome]:
    """Return a copy of :func:`conditions`, and a model with a contrast that moves its changes.

    The model is shared, as that of :func:`trained`.
    """
    return conditions(n_genes, n_replicates=n_replicates), _contrasted(n_genes, n_replicates, in_context)


@functools.cache
def _explained_contrast(n_genes: int) -> tuple[ad.AnnData, sct.SimpleChrome]:
    adata = conditions(n_genes, n_replicates=3)
    model = sct.SimpleChrome(adata, neighbors_key="tss", n_latent=4, n_hidden=16, device="cpu")
    model.train(**{**BRIEF, "expression_epochs": 3}, context_epochs=1)
    sct.tl.contrast(adata, model, key="condition", of="B", against="A", n_explained=20, progress=False)
    return adata, model


def explained_contrast(n_genes: int = 300) -> tuple[ad.AnnData, sct.SimpleChrome]:
    """Return a copy of two conditions with replicates and the contrast of B against A, and its model.

    20 genes are attributed. Models are shared, as those of :func:`trained` are.
    """
    adata, model = _explained_contrast(n_genes)
    return adata.copy(), model


def without_signal(adata: ad.AnnData, model: sct.SimpleChrome) -> ad.AnnData:
    """Return the same genes without any signal, normalised as the model's data are."""
    silent = adata.copy()
    silent.X = np.zeros_like(silent.X)
    del silent.uns["normalize"], silent.layers["signal"]
    sct.pp.normalize(silent, reference=model.normalization)
    return silent


@functools.cache
def _embedded(n_genes: int, n_latent: int) -> ad.AnnData:
    adata, model = trained(n_genes, n_latent=n_latent)
    sct.tl.embed(adata, model, device="cpu")
    return adata


def embedded(n_genes: int = 500, *, n_latent: int = 6) -> tuple[ad.AnnData, sct.SimpleChrome]:
    """Return a copy of :func:`prepared` genes with a map, and the model that made it."""
    return _embedded(n_genes, n_latent).copy(), trained(n_genes, n_latent=n_latent)[1]


def summarize(values: np.ndarray) -> list[float]:
    """Return mean, its 95 % interval, share above 0 and number of values, as tables by group hold them."""
    half = stats.norm.ppf(0.975) * stats.sem(values)
    return [values.mean(), values.mean() - half, values.mean() + half, (values > 0).mean(), len(values)]


def assert_same_table(found: pd.DataFrame, expected: pd.DataFrame, **settings: Any) -> None:
    """Compare tables value by value; text may have any of the types that versions of pandas and anndata give it."""
    found, expected = (
        table.assign(**{name: column.astype(object) for name, column in table.items() if column.dtype.kind == "O"})
        for table in (found, expected)
    )
    pd.testing.assert_frame_equal(found, expected, **settings)
