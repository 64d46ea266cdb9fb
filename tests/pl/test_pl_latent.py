"""Plots of the latent space draw what their tables hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import simplechrome_tk as sct
from simplechrome_tk import get, pl, tl
from simplechrome_tk.get._latent import latent_correlations as correlation_table
from simplechrome_tk.model._latents import encoder_digest
from simplechrome_tk.tl.latent._exact_neighbors import ExactNeighbors

if TYPE_CHECKING:
    import anndata as ad

WINDOWS = [
    sct.pp.Window("tss", anchor="tss", upstream=2_000, downstream=2_000, n_bins=8),
    sct.pp.Window("body", anchor="body", upstream=0, downstream=0, n_bins=4),
]
N = 150


@pytest.fixture(autouse=True)
def draw_figures():
    """Draw each figure, because some errors appear only then."""
    yield
    for number in plt.get_fignums():
        plt.figure(number).canvas.draw()


@pytest.fixture(scope="module")
def trained() -> tuple[ad.AnnData, sct.SimpleChrome]:
    """Two cell types with latents of a model, and a made-up map: no plot asks how good it is."""
    parts = {name: sct.datasets.simulate(N, windows=WINDOWS, rng=seed) for seed, name in enumerate("AB")}
    parts["B"].obs_names = parts["A"].obs_names
    both = sct.pp.stack_cell_types(parts)
    sct.pp.split_by_chromosome(both)
    sct.pp.normalize(both)
    model = sct.SimpleChrome(both, n_latent=4, device="cpu")
    model.train(latent_epochs=2, expression_epochs=1, progress=False)
    both.obsm["X_simplechrome"] = model.get_latent_representation()
    both.obsm["X_simplechrome_umap"] = both.obsm["X_simplechrome"][:, :2]
    both.uns["simplechrome"] = {"embed": {"model": encoder_digest(model)}}
    search = ExactNeighbors(10, device="cpu")
    both.obsp["simplechrome_distances"] = search.fit_transform(both.obsm["X_simplechrome"])
    right = both.obsm["X_simplechrome_umap"][:, 0] > 0
    both.obs["simplechrome_leiden"] = pd.Categorical(right.astype(int).astype(str))
    tl.name_states(both, groupby=None)
    return both, model


@pytest.fixture
def adata(trained: tuple[ad.AnnData, sct.SimpleChrome]) -> ad.AnnData:
    return trained[0].copy()


@pytest.fixture
def model(trained: tuple[ad.AnnData, sct.SimpleChrome]) -> sct.SimpleChrome:
    return trained[1]


def test_a_traversal_has_a_line_for_each_quantile(adata, model):
    tl.traverse(adata, model)
    axes = pl.traverse(adata, 2)
    assert axes.shape == (5, 2)
    table = adata.uns["traverse"]
    table = table[table["dimension"] == 2]
    part = table[(table["mark"] == "H3K4me1") & (table["region"] == "body") & (table["quantile"] == 0.25)]
    row = list(table["mark"].unique()).index("H3K4me1")
    lines = axes[row, 1].get_lines()
    assert len(lines) == 5
    np.testing.assert_allclose(lines[1].get_ydata(), part["log_signal"])
    np.testing.assert_allclose(lines[1].get_xdata(), 100 * part["position"])
    assert axes[-1, 0].get_xlabel() == "distance from TSS (kb), 5′→3′"
    legend = axes[0, 0].figure.legends[0]
    assert legend.get_title().get_text() == "latent 2,\nquantile (value)"
    assert len(legend.get_texts()) == 5


def test_traversals_are_differences_in_order_of_their_size(adata, model):
    tl.traverse(adata, model, key_added="all")
    ax = pl.traverse(adata, key="all")[0, 0]
    table = adata.uns["all"]
    wide = {q: table[table["quantile"] == q]["log_signal"].to_numpy().reshape(4, -1) for q in (0.05, 0.95)}
    difference = wide[0.95] - wide[0.05]
    order = [int(label.get_text()) for label in ax.get_yticklabels()]
    sizes = np.abs(difference).mean(axis=1)
    assert (np.diff(sizes[order]) <= 0).all()
    drawn = ax.collections[0].get_array().reshape(4, -1)
    np.testing.assert_allclose(drawn, difference[order])


def test_a_traversal_that_was_not_made(adata, model):
    with pytest.raises(ValueError, match=r"run sct\.tl\.traverse\(adata, model\)"):
        pl.traverse(adata)
    tl.traverse(adata, model, dimensions=[1])
    with pytest.raises(ValueError, match=r"dimension is 3.*dimensions=\[3\]"):
        pl.traverse(adata, 3)


def test_collapsed_dimensions_are_grey(model, adata):
    tl.latent_dimensions(adata, model)
    table = adata.uns["latent_dimensions"]
    table["active"] = table["dimension"] != 1
    ax = pl.latent_dimensions(adata)
    ordered = table.sort_values("kl", ascending=False)
    assert [label.get_text() for label in ax.get_xticklabels()] == ordered["dimension"].astype(str).tolist()
    np.testing.assert_allclose([bar.get_height() for bar in ax.patches], ordered["kl"])
    tones = [bar.get_facecolor() for bar in ax.patches]
    assert len(set(tones)) == 2
    assert tones.count(tones[ordered["dimension"].tolist().index(1)]) == 1
    assert ax.get_title() == "3 of 4 dimensions active"
    adata.uns["latent_dimensions"] = table.drop(columns="kl")
    with pytest.raises(ValueError, match=r"no column kl .*sct\.tl\.latent_dimensions"):
        pl.latent_dimensions(adata)


def test_correlations_are_ordered_by_that_with_expression(adata):
    _, ax = plt.subplots()
    assert pl.latent_correlations(adata, ax=ax) is ax
    table = correlation_table(adata).pivot(index="feature", columns="dimension", values="correlation")
    order = [int(label.get_text()) for label in ax.get_xticklabels()]
    assert (np.diff(table.loc["log_expression", order]) >= 0).all()
    names = [label.get_text() for label in ax.get_yticklabels()]
    np.testing.assert_allclose(ax.collections[0].get_array().reshape(len(names), -1), table.loc[names, order])


def test_states_show_shares_and_expression(adata):
    left, right = pl.states(adata, groupby=["state", "cell_type"])
    table = get.states(adata, groupby=["state", "cell_type"]).dropna(subset="share")
    np.testing.assert_allclose(left.collections[0].get_array().ravel(), table["share"])
    first = table.iloc[0]
    assert left.get_yticklabels()[0].get_text() == f"{first['state']} · {first['cell_type']} ({first['n']:,})"
    medians = [line.get_xdata()[0] for line in right.get_lines() if line.get_linewidth() == 2]
    rows = (adata.obs["state"] == first["state"]) & (adata.obs["cell_type"] == first["cell_type"])
    assert medians[0] == pytest.approx(np.median(np.log10(adata.obs.loc[rows, "expression"] + 0.1)))
    assert right.get_xlabel() == f"log10({adata.uns['units']['expression']} + 0.1)"


def test_state_changes_count_all_genes(adata):
    ax = pl.state_changes(adata, "A", "B", splits=None)
    assert sum(int(text.get_text()) for text in ax.texts) == N
    held_out = pl.state_changes(adata, "A", "B")
    assert sum(int(text.get_text()) for text in held_out.texts) == len(get.movement(adata, "A", "B")) < N
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("state in B", "state in A")


def test_movement_names_the_furthest(adata):
    ax = pl.movement(adata, "A", "B", splits=None, n_named=2)
    table = get.movement(adata, "A", "B", splits=None)
    changed = table[table["from_state"].astype(str) != table["to_state"].astype(str)]
    assert [text.get_text() for text in ax.texts] == changed["symbol"].head(2).tolist()
    assert sum(len(points.get_offsets()) for points in ax.collections) == N
    held_out = pl.movement(adata, "A", "B")
    assert sum(len(points.get_offsets()) for points in held_out.collections) == len(get.movement(adata, "A", "B")) < N


def test_placed_genes_lie_on_the_map(adata, model):
    new = adata[:30].copy()
    tl.place(new, adata, model, device="cpu")
    new.obs["placed_far"] = np.arange(30) < 4
    ax = pl.place(new, adata, color="label")
    assert ax.get_title() == "30 genes placed among 300 (grey)"
    drawn = {points.get_label(): len(points.get_offsets()) for points in ax.collections}
    assert drawn["low"] + drawn["high"] == 30
    assert drawn["far from the map (4)"] == 4
    assert ax.collections[1].get_facecolor()[0][:3] != pytest.approx(mpl.colors.to_rgb("#123456"))
    adata.uns["label_colors"] = ["#123456", "#654321"]
    ax = pl.place(new, adata, color="label")
    found = {points.get_label(): mpl.colors.to_hex(points.get_facecolor()[0]) for points in ax.collections[1:3]}
    assert found == {"low": "#123456", "high": "#654321"}
    with pytest.raises(ValueError, match=r"no column 'cluster' in placed.obs: run"):
        pl.place(new, adata, color="cluster")
    del new.obsm["X_simplechrome_umap"]
    with pytest.raises(ValueError, match="in placed: run"):
        pl.place(new, adata)


def test_quality_draws_its_table(adata):
    tl.latent_quality(adata, n_neighbors=5, device="cpu")
    quality = adata.uns["latent_quality"]
    axes = pl.latent_quality(adata)
    assert [ax.get_title() for ax in axes] == ["trustworthiness", "neighbours kept", "silhouette"]
    expected = quality[quality["metric"] == "silhouette"]["value"]
    np.testing.assert_allclose([bar.get_width() for bar in axes[2].patches], expected)


def test_mixing_draws_its_table(adata):
    tl.mixing(adata)
    mixing = adata.uns["mixing"]
    ax = pl.mixing(adata)
    np.testing.assert_allclose([bar.get_width() for bar in ax.patches], mixing["mixing"])
    assert ax.get_yticklabels()[0].get_text() == "all (300 genes)"


def test_reconstruction_draws_its_table(adata, model):
    tl.reconstruction(adata, model)
    table = adata.uns["reconstruction"]
    panels = pl.reconstruction(adata)
    assert [panel.get_title().split(",")[0] for panel in panels] == ["A", "B"]
    points = {line.get_label(): line.get_xdata() for line in panels[1].get_lines()}
    for name in ("SimpleChrome", "PCA"):
        shown = table[(table["cell_type"] == "B") & (table["model"] == name)]["r2"]
        np.testing.assert_allclose(points[name], shown)


@pytest.mark.parametrize("name", ["latent_dimensions", "latent_quality", "mixing", "reconstruction"])
def test_a_plot_names_the_tool_that_makes_its_table(adata, name):
    with pytest.raises(ValueError, match=rf"uns has no '{name}'.*run sct\.tl\.{name}"):
        getattr(pl, name)(adata)


def test_state_changes_are_drawn_on_given_axes(adata):
    _, ax = plt.subplots()
    assert pl.state_changes(adata, "A", "B", splits=None, ax=ax) is ax
