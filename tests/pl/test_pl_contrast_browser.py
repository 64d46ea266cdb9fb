"""The browser of one gene in two conditions: signal, difference, and the effect of each bin on the change."""

from __future__ import annotations

import logging

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pytest
from builders import explained_contrast
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgba
from matplotlib.patches import StepPatch

import simplechrome_tk as sct
from simplechrome_tk.pl._style import DOWN, EFFECTS, GREY, UP

MARKS, REGIONS = 5, 2


@pytest.fixture(scope="module")
def both():
    return explained_contrast()[0]


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def attributed(adata):
    """Symbol, and row of the results, of the gene that changes most."""
    row = int(np.nanargmax(np.abs(adata.obs["contrast_total"])))
    return str(adata.obs["symbol"].iloc[row]), row


def unattributed(adata):
    row = int(np.flatnonzero(adata.obs["contrast_change"].notna() & adata.obs["contrast_total"].isna())[0])
    return str(adata.obs["symbol"].iloc[row]), row


def means(adata, row, region, layer="signal"):
    """Mean signal of a gene over the samples of B and over those of A, ``(n_marks, n_bins)`` each."""
    own = (adata.obs["symbol"] == adata.obs["symbol"].iloc[row]).to_numpy()
    values = sct.get.region(adata, region, layer=layer).astype(float)
    return [values[own & (adata.obs["condition"] == name).to_numpy()].mean(axis=0) for name in ("B", "A")]


def steps(ax):
    return next(patch for patch in ax.get_children() if isinstance(patch, StepPatch))


def texts(axes):
    return [text.get_text() for text in axes.of[0, 0].figure.texts]


@pytest.mark.parametrize("layer", ["signal", None])
def test_lanes_show_the_means_over_samples_and_their_difference(both, layer):
    symbol, row = attributed(both)
    axes = sct.pl.contrast_browser(both, symbol, layer=layer)
    assert axes.of.shape == axes.against.shape == axes.difference.shape == (MARKS, REGIONS)
    for column, region in enumerate(("tss", "body")):
        one, other = means(both, row, region, layer)
        for i in range(MARKS):
            for lane, expected in ((axes.of, one), (axes.against, other), (axes.difference, one - other)):
                np.testing.assert_allclose(steps(lane[i, column]).get_data().values, expected[i], atol=1e-5)


def test_bins_of_the_difference_have_the_colours_of_their_effects(both):
    symbol, row = attributed(both)
    axes = sct.pl.contrast_browser(both, symbol)
    scales = set()
    for column, region in enumerate(("tss", "body")):
        effects = sct.get.region(both, region, layer="contrast")[row]
        one, other = means(both, row, region)
        for i in range(MARKS):
            (bars,) = (c for c in axes.difference[i, column].collections if isinstance(c, PolyCollection))
            np.testing.assert_array_equal(bars.get_array(), effects[i])
            heights = [path.get_extents().y1 + path.get_extents().y0 for path in bars.get_paths()]
            np.testing.assert_allclose(heights, one[i] - other[i], atol=1e-5)
            assert bars.get_cmap() is EFFECTS
            scales.add(bars.get_clim())
    ((low, high),) = scales
    assert low == -high
    assert EFFECTS(0.0)[:3] == to_rgba(DOWN)[:3]
    assert EFFECTS(1.0)[:3] == to_rgba(UP)[:3]


def test_scale_of_the_colours_leaves_out_bins_without_effect(both):
    symbol, row = attributed(both)
    adata = both.copy()
    adata.layers["contrast"][row] = 0
    adata.layers["contrast"][row, :3] = 0.2, -0.4, 0.4
    axes = sct.pl.contrast_browser(adata, symbol)
    assert axes.difference[0, 0].collections[0].get_clim() == pytest.approx((-0.4, 0.4))
    assert any("full colour: 0.40 a bin" in text.get_text() for text in axes.of[0, 0].figure.legends[0].texts)


def test_conditions_of_a_mark_share_a_scale_and_the_difference_has_no_finer_one(both):
    symbol, row = attributed(both)
    axes = sct.pl.contrast_browser(both, symbol)
    for i in range(MARKS):
        limits = {ax.get_ylim() for ax in (*axes.of[i], *axes.against[i])}
        assert len(limits) == 1
        ((bottom, top),) = limits
        assert max(max(m[i].max() for m in means(both, row, region)) for region in ("tss", "body")) <= top
        assert len({ax.get_ylim() for ax in axes.difference[i]}) == 1
        low, high = axes.difference[i, 0].get_ylim()
        assert high - low >= top - bottom - 1e-9


def test_title_says_what_is_known_of_the_change(both):
    symbol, row = attributed(both)
    title = next(text for text in texts(sct.pl.contrast_browser(both, symbol)) if symbol in text)
    obs = both.obs.iloc[row]
    first, second, third = title.replace("−", "-").split("\n")
    assert first == f"{symbol}  ·  {obs['chrom']}:{obs['start']:,.0f}-{obs['end']:,.0f} ({obs['strand']})"
    assert second.startswith("B against A: predicted change of log10(")
    assert f"+ 0.1) {obs['contrast_change']:+.2f}, measured {obs['contrast_measured']:+.2f}" in second
    assert f"false discovery rate {obs['contrast_fdr']:.2g}" in second
    assert f"{obs['contrast_total']:+.2f}" in third
    assert "related genes" in third
    assert "interval" not in title


def test_interval_stands_behind_the_change(both):
    symbol, _ = attributed(both)
    adata = both.copy()
    adata.obs["contrast_low"], adata.obs["contrast_high"] = -1.5, 2.5
    adata.obs[["contrast_measured", "contrast_fdr"]] = np.nan
    title = next(text for text in texts(sct.pl.contrast_browser(adata, symbol)) if symbol in text)
    assert title.split("\n")[1].endswith(" (90 % interval −1.50 to +2.50)")


def test_sums_of_the_marks_and_related_genes_are_written(both):
    symbol, row = attributed(both)
    axes = sct.pl.contrast_browser(both, symbol)
    effects = sct.get.mark_effects(both, key="contrast", genes=both.obs_names[row])["effect"]
    written = [text.replace("−", "-") for text in texts(axes)]
    for effect in effects[effects.abs() >= 0.1]:
        assert f"{effect:+.2f}" in written
    assert axes.genome is not None
    assert "related genes" in written


def test_gene_that_was_not_attributed_is_grey(both, caplog):
    symbol, _ = unattributed(both)
    with caplog.at_level(logging.INFO):
        axes = sct.pl.contrast_browser(both, symbol)
    assert f"{symbol} was not attributed" in caplog.text
    assert axes.genome is None
    assert all(not ax.collections for ax in axes.difference.flat)
    assert {steps(ax).get_facecolor() for ax in axes.difference.flat} == {to_rgba(GREY)}
    assert any("not attributed" in text for text in texts(axes))


def test_gene_is_named_by_symbol_or_id_in_either_condition(both):
    symbol, row = attributed(both)
    name = both.obs_names[row]
    own = name.removesuffix(f":{both.obs['sample'].iloc[row]}")
    expected = texts(sct.pl.contrast_browser(both, symbol))
    for other in (name, own, f"{own}:A1"):
        assert texts(sct.pl.contrast_browser(both, other)) == expected


def test_gene_without_symbol_is_named_without_its_sample(both):
    _, row = attributed(both)
    adata = both.copy()
    del adata.obs["symbol"]
    own = both.obs_names[row].removesuffix(f":{both.obs['sample'].iloc[row]}")
    assert any(text.startswith(f"{own}  ·") for text in texts(sct.pl.contrast_browser(adata, own)))


@pytest.mark.parametrize(
    ("columns", "gene", "token"),
    [
        ({}, "XIST9", "no gene 'XIST9'"),
        ({"contrast_change": np.nan}, None, "not among the 0 genes of B against A"),
        ({"symbol": "TWIN"}, "TWIN", "'TWIN' names 300 genes of B against A"),
    ],
)
def test_a_gene_that_cannot_be_drawn_is_named(both, columns, gene, token):
    adata = both.copy()
    adata.obs = adata.obs.assign(**columns)
    with pytest.raises(ValueError, match=token):
        sct.pl.contrast_browser(adata, gene or attributed(both)[0])


def test_data_without_a_contrast_are_named(both):
    adata = both.copy()
    del adata.uns["contrast"]
    with pytest.raises(ValueError, match="no contrast 'contrast'"):
        sct.pl.contrast_browser(adata, attributed(both)[0])


def test_data_without_the_column_of_conditions_are_named(both):
    adata = both.copy()
    del adata.obs["condition"]
    with pytest.raises(ValueError, match="obs has no column 'condition'"):
        sct.pl.contrast_browser(adata, attributed(both)[0])


def test_a_contrast_that_was_written_to_a_file_is_drawn_alike(both, tmp_path):
    symbol, _ = attributed(both)
    both.write_h5ad(tmp_path / "both.h5ad")
    read = ad.read_h5ad(tmp_path / "both.h5ad")
    assert texts(sct.pl.contrast_browser(read, symbol)) == texts(sct.pl.contrast_browser(both, symbol))


def test_a_layer_that_is_not_there_is_named(both):
    with pytest.raises(ValueError, match="no layer 'counts'"):
        sct.pl.contrast_browser(both, attributed(both)[0], layer="counts")
