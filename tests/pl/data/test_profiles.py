"""Plots of the average signal along the gene."""

from __future__ import annotations

import numpy as np
import pytest

from simplechrome_tk import get, pl, pp

MARKS = ["H3K4me3", "H3K27me3", "H3K36me3"]


def texts(legend):
    return [text.get_text() for text in legend.get_texts()]


def test_mark_profiles_draw_the_means(adata):
    axes = pl.mark_profiles(adata)
    assert axes.shape == (3, 3)
    table = get.mark_profiles(adata)
    for column, (region, scale) in enumerate([("tss", 1e-3), ("body", 100), ("tes", 1e-3)]):
        for row, mark in enumerate(MARKS):
            part = table[(table["region"] == region) & (table["mark"] == mark)]
            lines = {line.get_label(): line for line in axes[row, column].lines if "genes" in line.get_label()}
            assert list(lines) == ["low (15 genes)", "high (15 genes)"]
            for name, line in lines.items():
                expected = part[part["group"] == name.split()[0]]
                np.testing.assert_allclose(line.get_ydata(), expected["mean"])
                np.testing.assert_allclose(line.get_xdata(), expected["position"] * scale)
            bands = axes[row, column].collections
            assert len(bands) == 2
            low = part[part["group"] == "low"]
            drawn = bands[0].get_paths()[0].get_extents()
            assert (drawn.y0, drawn.y1) == pytest.approx((low["low"].min(), low["high"].max()))
    assert [ax.get_xlabel() for ax in axes[-1]] == [
        "distance from TSS (kb), 5′→3′",
        "gene body, TSS to end (%)",
        "distance from gene end (kb), 5′→3′",
    ]
    assert [ax.get_title(loc="left") for ax in axes[:, 0]] == MARKS
    figure = axes[0, 0].figure
    assert figure.get_supylabel() == "mean fold enrichment"
    assert texts(figure.legends[0]) == ["low (15 genes)", "high (15 genes)"]
    assert axes[0, 0].get_ylim()[0] == 0


def test_mark_profiles_of_normalised_values_say_so(adata):
    pp.normalize(adata)
    axes = pl.mark_profiles(adata, groupby="strand", layer=None)
    assert axes[0, 0].figure.get_supylabel() == "mean normalised signal"
    assert axes[0, 0].figure.legends[0].get_title().get_text() == "strand"
    assert min(ax.get_ylim()[0] for ax in axes.flat) < 0


def test_mark_profiles_without_record_of_windows(adata):
    del adata.uns["windows"]
    axes = pl.mark_profiles(adata)
    assert [ax.get_xlabel() for ax in axes[-1]][:2] == ["distance from TSS (kb), 5′→3′", "gene body, TSS to end (%)"]


def test_many_groups_get_a_colour_each(adata):
    adata.obs["cluster"] = [f"c{i % 12}" for i in range(30)]
    axes = pl.mark_profiles(adata, groupby="cluster")
    assert len({line.get_color() for line in axes[0, 1].lines}) == 12
