"""Effects of marks and regions, as tables."""

from __future__ import annotations

import logging
from functools import partial

import numpy as np
import pandas as pd
import pytest
from builders import summarize

from simplechrome_tk import get
from simplechrome_tk.datasets._roadmap import CORE_MARKS

by_region = partial(get.mark_effects, by_region=True)
MARKS = list(CORE_MARKS)
# Every fifth gene of the fixture has no attributions.
KNOWN = np.flatnonzero(np.arange(200) % 5 != 4)


def block(adata, mark=None, region=None):
    """Return the columns of a mark, a region, or both."""
    inside = np.ones(adata.n_vars, dtype=bool)
    inside &= (adata.var["mark"] == mark).to_numpy() if mark else True
    inside &= (adata.var["region"] == region).to_numpy() if region else True
    return np.flatnonzero(inside)


def test_effects_of_marks_and_neighbors_sum_to_the_total(attributed):
    own = get.mark_effects(attributed).groupby("gene")["effect"].sum()
    neighbors = get.neighbor_effects(attributed).groupby("gene")["effect"].sum()
    total = attributed.obs["attribution_total"].dropna()
    np.testing.assert_allclose((own + neighbors)[total.index], total, atol=1e-4)


def test_mark_effects_are_sums_over_all_bins(attributed, caplog):
    with caplog.at_level(logging.INFO):
        table = get.mark_effects(attributed)
    assert "40 of 200 genes have no attributions 'attribution' and are left out" in caplog.text
    assert list(table) == ["gene", "symbol", "mark", "effect"]
    assert table["mark"].tolist() == MARKS * len(KNOWN)
    assert table["gene"].tolist() == np.repeat(attributed.obs_names[KNOWN], 5).tolist()
    assert table["symbol"].tolist() == np.repeat(attributed.obs["symbol"].to_numpy()[KNOWN], 5).tolist()
    effects = attributed.layers["attribution"][KNOWN].astype(float)
    for mark in MARKS:
        expected = effects[:, block(attributed, mark)].sum(axis=1)
        np.testing.assert_allclose(table.loc[table["mark"] == mark, "effect"], expected)


def test_genes_come_in_the_order_asked_for(attributed):
    names = attributed.obs_names
    table = get.mark_effects(attributed, genes=[names[7], attributed.obs["symbol"].iloc[2], names[0]])
    assert table["gene"].drop_duplicates().tolist() == names[[7, 2, 0]].tolist()
    mask = np.zeros(200, dtype=bool)
    mask[[0, 2, 7]] = True
    masked = get.mark_effects(attributed, genes=mask)
    for gene, part in masked.groupby("gene"):
        assert part["effect"].tolist() == table.loc[table["gene"] == gene, "effect"].tolist()


def test_mark_effects_by_group(attributed):
    table = get.mark_effects(attributed, groupby="label")
    assert list(table) == ["label", "mark", "mean", "low", "high", "positive", "n"]
    assert list(table["label"].cat.categories) == ["low", "high"]
    assert table["label"].astype(str).tolist() == ["low"] * 5 + ["high"] * 5
    for row in table.itertuples():
        members = KNOWN[(attributed.obs["label"] == row.label).to_numpy()[KNOWN]]
        values = attributed.layers["attribution"][np.ix_(members, block(attributed, row.mark))].astype(float).sum(1)
        np.testing.assert_allclose([row.mean, row.low, row.high, row.positive, row.n], summarize(values))


def test_groups_of_several_columns_and_genes_without_a_group(attributed, caplog):
    attributed.obs.loc[attributed.obs_names[:2], "label"] = np.nan
    with caplog.at_level(logging.INFO):
        table = get.mark_effects(attributed, groupby=["strand", "label"])
    assert "2 of 160 genes have no strand and label and are left out" in caplog.text
    assert list(table)[:3] == ["strand", "label", "mark"]
    sizes = table.drop_duplicates(["strand", "label"]).set_index(["strand", "label"])["n"]
    counted = attributed.obs.iloc[KNOWN].dropna(subset="label").groupby(["strand", "label"], observed=True).size()
    assert sizes.to_dict() == counted.to_dict()
    assert sizes.sum() == 158
    one = get.mark_effects(attributed, genes=attributed.obs_names[3], groupby="strand")
    assert one[["low", "high"]].isna().all(axis=None)
    assert one["n"].tolist() == [1] * 5


def test_tables_follow_genes_not_their_order(attributed):
    shuffled = attributed[np.random.default_rng(1).permutation(200)].copy()
    for table in (get.mark_effects, by_region, get.interactions):
        pd.testing.assert_frame_equal(table(shuffled, groupby="label"), table(attributed, groupby="label"))
    order = ["gene", "neighbor"]
    pd.testing.assert_frame_equal(
        get.neighbor_effects(shuffled).sort_values(order, ignore_index=True),
        get.neighbor_effects(attributed).sort_values(order, ignore_index=True),
    )


def test_nothing_is_written(attributed):
    before = attributed.copy()
    get.mark_effects(attributed, groupby="label")
    get.mark_effects(attributed, by_region=True)
    get.neighbor_effects(attributed)
    get.top_genes(attributed, "neighbors", groupby="label")
    get.interactions(attributed)
    pd.testing.assert_frame_equal(attributed.obs, before.obs)
    np.testing.assert_array_equal(attributed.layers["attribution"], before.layers["attribution"])
    assert (attributed.obsp["attribution_neighbors"] != before.obsp["attribution_neighbors"]).nnz == 0
    assert (attributed.obsp["tss_connectivities"] != before.obsp["tss_connectivities"]).nnz == 0


def test_effects_by_region_sum_to_those_of_marks(attributed):
    table = get.mark_effects(attributed, by_region=True)
    assert list(table) == ["gene", "symbol", "region", "mark", "effect"]
    assert list(table["region"].unique()) == ["tss", "body"]
    summed = table.groupby(["gene", "mark"], sort=False)["effect"].sum().reset_index()
    expected = get.mark_effects(attributed)
    np.testing.assert_allclose(summed["effect"], expected["effect"])
    assert summed["mark"].tolist() == expected["mark"].tolist()
    grouped = get.mark_effects(attributed, groupby="label", by_region=True).set_index(["label", "region", "mark"])
    members = KNOWN[(attributed.obs["label"] == "high").to_numpy()[KNOWN]]
    values = attributed.layers["attribution"][np.ix_(members, block(attributed, "H3K9me3", "body"))].astype(float)
    np.testing.assert_allclose(grouped.loc[("high", "body", "H3K9me3")].to_numpy(float), summarize(values.sum(axis=1)))


def test_zones_sum_bins_whose_middle_lies_inside(attributed):
    zones = {"core": ("tss", -1_000, 1_000), "edge": ("tss", -5_000, -4_850), "end": ("body", 0.5, 1)}
    table = get.mark_effects(attributed, zones=zones)
    assert list(dict.fromkeys(table["region"])) == list(zones)
    effects = attributed.layers["attribution"][KNOWN].astype(float)
    for zone, bins in {"core": range(40, 60), "edge": [0], "end": range(10, 20)}.items():
        at = block(attributed, "H3K36me3", zones[zone][0])[list(bins)]
        chosen = table[(table["region"] == zone) & (table["mark"] == "H3K36me3")]
        np.testing.assert_allclose(chosen["effect"], effects[:, at].sum(axis=1))


def test_another_key(attributed):
    attributed.layers["expr"] = -attributed.layers["attribution"]
    attributed.uns["expr"] = attributed.uns["attribution"] | {"neighbors_key": ""}
    np.testing.assert_allclose(
        get.mark_effects(attributed, key="expr")["effect"], -get.mark_effects(attributed)["effect"]
    )
    with pytest.raises(ValueError, match="'expr' are of a model without neighbours"):
        get.neighbor_effects(attributed, key="expr")


TABLES = [
    get.mark_effects,
    by_region,
    get.neighbor_effects,
    lambda adata, **options: get.top_genes(adata, "tss", **options),
]


@pytest.mark.parametrize("table", TABLES)
def test_missing_attributions_are_named_with_those_that_are_there(attributed, table):
    with pytest.raises(ValueError, match=r"'other' \(those found: attribution;.*sct\.tl\.attribute\(adata, model\)"):
        table(attributed, key="other")


@pytest.mark.parametrize("table", TABLES)
def test_missing_attributions_are_named_with_the_call_that_makes_them(attributed, table):
    del attributed.layers["attribution"]
    with pytest.raises(ValueError, match=r"none found.*sct\.tl\.attribute\(adata, model\)"):
        table(attributed)


@pytest.mark.parametrize(
    ("table", "tool"),
    [
        (get.mark_effects, "attribute"),
        (by_region, "attribute"),
        (get.neighbor_effects, "attribute"),
        (get.interactions, "interactions"),
    ],
)
def test_genes_without_attributions_are_named(attributed, table, tool):
    name, symbol = attributed.obs_names[4], attributed.obs["symbol"].iloc[4]
    fix = rf"sct\.tl\.{tool}\(adata, model, genes=\.\.\., key_added='attribution'\)"
    with pytest.raises(ValueError, match=f"such as {symbol}, has .*{fix}"):
        table(attributed, genes=name)


@pytest.mark.parametrize("table", [*TABLES[:3], get.interactions])
def test_unknown_genes_are_named(attributed, table):
    with pytest.raises(ValueError, match="'PAX5' among 200"):
        table(attributed, genes="PAX5")


@pytest.mark.parametrize(
    ("groupby", "message"),
    [
        ("leiden", r"'leiden'.*groupby"),
        ([], "groupby names no column"),
        (["label", "mark"], "groupby names mark;.*other names"),
    ],
)
def test_bad_groups_are_named(attributed, groupby, message):
    attributed.obs["mark"] = "a"
    with pytest.raises(ValueError, match=message):
        get.mark_effects(attributed, groupby=groupby)


def test_genes_without_any_group_are_named(attributed):
    attributed.obs["label"] = np.nan
    with pytest.raises(ValueError, match=r"160 genes has a label: run sct\.pp\.label_expression"):
        get.mark_effects(attributed, groupby="label")


@pytest.mark.parametrize(
    ("zones", "message"),
    [
        ({"far": ("tes", 0, 1)}, "zone 'far'.*'tes'; regions here: tss, body"),
        ({"far": ("tss", 6_000, 7_000)}, "zone 'far'.*from 6000 to 7000.*4950"),
        ({}, "zones is empty"),
    ],
)
def test_bad_zones_are_named(attributed, zones, message):
    with pytest.raises(ValueError, match=message):
        get.mark_effects(attributed, zones=zones)
