"""Traversals: the marks that are decoded, and latents that are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from builders import embedded, prepared

import simplechrome_tk as sct
from simplechrome_tk.core.layout import Layout
from simplechrome_tk.tl.latent._traverse import log_signal

if TYPE_CHECKING:
    import anndata as ad


@pytest.fixture
def adata() -> ad.AnnData:
    return embedded()[0]


@pytest.fixture
def model() -> sct.SimpleChrome:
    return embedded()[1]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda latents: None, r"obsm has no 'X_simplechrome' .*sct.tl.embed\(adata, model\)"),
        (lambda latents: latents * np.where(np.arange(len(latents)) == 4, np.nan, 1)[:, None], "1 of 500 genes"),
        (lambda latents: np.ones_like(latents), "the same for all 500 genes"),
        (lambda latents: latents[:, :3], "3 dimensions"),
        (lambda latents: latents[::-1], "not of this model"),
    ],
)
def test_latents_that_are_missing_broken_or_of_another_model(adata, model, spoil, message):
    damaged = spoil(adata.obsm.pop("X_simplechrome"))
    if damaged is not None:
        adata.obsm["X_simplechrome"] = np.ascontiguousarray(damaged)
    with pytest.raises(ValueError, match=message):
        sct.tl.traverse(adata, model)


@pytest.mark.parametrize("method", ["log1p", "paper"])
def test_decoded_signal_inverts_the_normalisation(method: str):
    adata = sct.datasets.simulate(200, windows=[sct.pp.Window.TSS])
    sct.pp.split_by_chromosome(adata)
    sct.pp.normalize(adata, method=method)
    model = sct.SimpleChrome(adata, preset="paper" if method == "paper" else "default", n_latent=2, device="cpu")
    np.testing.assert_allclose(
        log_signal(model, Layout.of(adata), adata.X), np.log1p(adata.layers["signal"]), atol=1e-5
    )


def test_decoded_marks_are_those_of_the_decoder(adata, model):
    latents = adata.obsm["X_simplechrome"]
    with torch.no_grad():
        expected = model.module.first.decoder(torch.as_tensor(latents)).numpy()
    np.testing.assert_allclose(model.decode(latents), expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match=r"shape \(500, 5\); expected \(n_points, 6\)"):
        model.decode(latents[:, :5])


def test_counts_are_decoded_as_their_expected_value():
    adata = prepared(200, method=None)
    adata.X = np.round(adata.X)
    sct.pp.normalize(adata)
    model = sct.SimpleChrome(adata, n_latent=3, likelihood="negative_binomial", device="cpu")
    net = model.module.first
    latents = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    back = log_signal(model, Layout.of(adata), model.decode(latents))
    with torch.no_grad():
        raw = net.decoder(torch.as_tensor(latents)) * net.likelihood.scale + net.likelihood.center
    np.testing.assert_allclose(back, torch.nn.functional.softplus(raw).numpy(), rtol=1e-4, atol=1e-5)


def test_a_traversal_moves_one_dimension_from_the_mean(adata, model):
    sct.tl.traverse(adata, model, dimensions=[4])
    table = adata.uns["traverse"]
    assert len(table) == 5 * adata.n_vars
    latents = adata.obsm["X_simplechrome"]
    point = latents.mean(axis=0)
    point[4] = np.quantile(latents[:, 4], 0.95)
    last = table[table["quantile"] == 0.95]
    assert last["value"].iloc[0] == pytest.approx(point[4])
    expected = log_signal(model, Layout.of(adata), model.decode(point[None]))[0]
    np.testing.assert_allclose(last["log_signal"], expected, rtol=1e-4, atol=1e-5)
    assert (last["mark"].to_numpy() == adata.var["mark"].to_numpy()).all()


def test_a_traversal_starts_at_the_mean_of_the_genes_given(adata, model):
    latents = adata.obsm["X_simplechrome"]
    sct.tl.traverse(adata, model, dimensions=[4], genes=adata.obs_names[7], key_added="one")
    point = latents[7].copy()
    point[4] = np.quantile(latents[:, 4], 0.05)
    table = adata.uns["one"]
    expected = log_signal(model, Layout.of(adata), model.decode(point[None]))[0]
    np.testing.assert_allclose(table[table["quantile"] == 0.05]["log_signal"], expected, rtol=1e-4, atol=1e-5)


def test_a_dimension_that_is_not_there(adata, model):
    with pytest.raises(ValueError, match=r"dimensions are \[6\]"):
        sct.tl.traverse(adata, model, dimensions=[6])
