"""Boxes of what own marks, related genes and reference samples add to predictions."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

from simplechrome_tk import get, pl


@pytest.fixture
def shared(attributed):
    """Genes with attributions to own marks, neighbours and three reference samples."""
    rng = np.random.default_rng(1)
    attributed.obsm["attribution_reference"] = rng.normal(0.2, 1, (attributed.n_obs, 3)).astype("float32")
    return attributed


def boxes(ax):
    """Left and right end of each box from top to bottom: the middle half of the genes."""
    ends = [patch.get_path().get_extents() for patch in ax.patches]
    return [(box.x0, box.x1) for box in sorted(ends, key=lambda box: box.y0)]


def test_boxes_are_the_quartiles_of_each_part_in_each_group(shared):
    ax = pl.attribution_shares(shared)
    table = get.attribution_shares(shared)
    label = shared.obs.loc[table["gene"], "label"].astype(str).to_numpy()
    expected = [
        np.quantile(table.loc[label == group, part], [0.25, 0.75])
        for group in ("low", "high")
        for part in ("own_marks", "related_genes", "reference")
    ]
    np.testing.assert_allclose(boxes(ax), expected)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "own marks",
        "related genes",
        "reference samples",
    ]
    counts = [f"{group}\n({(label == group).sum()} genes)" for group in ("low", "high")]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == counts
    assert ax.get_xlabel() == "effect on the prediction (log-odds of high)"


def test_all_genes_are_drawn_together_without_groups(shared):
    ax = pl.attribution_shares(shared, groupby=None, genes=shared.obs_names[:8])
    table = get.attribution_shares(shared, genes=shared.obs_names[:8])
    assert [tick.get_text() for tick in ax.get_yticklabels()] == [f"all genes\n({len(table)} genes)"]
    np.testing.assert_allclose(boxes(ax)[0], np.quantile(table["own_marks"], [0.25, 0.75]))


def test_parts_that_the_model_does_not_read_are_left_out(attributed):
    attributed.uns["attribution"]["neighbors_key"] = ""
    ax = pl.attribution_shares(attributed)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["own marks"]
    assert len(ax.patches) == 2


def test_a_part_that_is_read_is_drawn_even_without_effect(shared):
    shared.obsp["attribution_neighbors"] = shared.obsp["attribution_neighbors"] * 0
    assert len(pl.attribution_shares(shared, groupby=None).patches) == 3


def test_given_axes_are_drawn_on(shared):
    _, axes = plt.subplots(2)
    assert pl.attribution_shares(shared, ax=axes[1]) is axes[1]
    assert not axes[0].patches


@pytest.mark.parametrize(("options", "match"), [({"key": "absent"}, "absent"), ({"groupby": "absent"}, "absent")])
def test_bad_input_is_named_and_leaves_no_figure(shared, options, match):
    with pytest.raises(ValueError, match=match):
        pl.attribution_shares(shared, **options)
    assert not plt.get_fignums()
