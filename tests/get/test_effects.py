from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats

from simplechrome_tk import datasets, get, pp

MARKS = list(datasets.CORE_MARKS)
KNOWN = np.flatnonzero(np.arange(200) % 5 != 4)


def block(adata, mark=None, region=None):
    """Columns of a mark, a region, or both."""
    inside = np.ones(adata.n_vars, dtype=bool)
    inside &= (adata.var["mark"] == mark).to_numpy() if mark else True
    inside &= (adata.var["region"] == region).to_numpy() if region else True
    return np.flatnonzero(inside)


def summary(values):
    half = stats.norm.ppf(0.975) * stats.sem(values)
    return [values.mean(), values.mean() - half, values.mean() + half, (values > 0).mean(), len(values)]


def test_effects_of_marks_and_neighbors_sum_to_the_total(attributed):
    own = get.mark_effects(attributed).groupby("gene")["effect"].sum()
    neighbors = get.neighbor_effects(attributed).groupby("gene")["effect"].sum()
    total = attributed.obs["attribution_total"].dropna()
    np.testing.assert_allclose((own + neighbors)[total.index], total, atol=1e-4)


def test_mark_effects_are_sums_over_all_bins(attributed, caplog):
    with caplog.at_level(logging.INFO):
        table = get.mark_effects(attributed)
    assert "there for 160 of 200 genes; those without are left out" in caplog.text
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
        np.testing.assert_allclose([row.mean, row.low, row.high, row.positive, row.n], summary(values))


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
    for table in (get.mark_effects, get.region_effects, get.interactions):
        pd.testing.assert_frame_equal(table(shuffled, groupby="label"), table(attributed, groupby="label"))
    order = ["gene", "neighbor"]
    pd.testing.assert_frame_equal(
        get.neighbor_effects(shuffled).sort_values(order, ignore_index=True),
        get.neighbor_effects(attributed).sort_values(order, ignore_index=True),
    )


def test_nothing_is_written(attributed):
    before = attributed.copy()
    get.mark_effects(attributed, groupby="label")
    get.region_effects(attributed)
    get.neighbor_effects(attributed)
    get.top_genes(attributed, "neighbors", groupby="label")
    get.interactions(attributed)
    pd.testing.assert_frame_equal(attributed.obs, before.obs)
    np.testing.assert_array_equal(attributed.layers["attribution"], before.layers["attribution"])
    assert (attributed.obsp["attribution_neighbors"] != before.obsp["attribution_neighbors"]).nnz == 0
    assert (attributed.obsp["tss_connectivities"] != before.obsp["tss_connectivities"]).nnz == 0


def test_region_effects_sum_to_mark_effects(attributed):
    table = get.region_effects(attributed)
    assert list(table) == ["gene", "symbol", "region", "mark", "effect"]
    assert list(table["region"].unique()) == ["tss", "body"]
    summed = table.groupby(["gene", "mark"], sort=False)["effect"].sum().reset_index()
    expected = get.mark_effects(attributed)
    np.testing.assert_allclose(summed["effect"], expected["effect"])
    assert summed["mark"].tolist() == expected["mark"].tolist()
    grouped = get.region_effects(attributed, groupby="label").set_index(["label", "region", "mark"])
    members = KNOWN[(attributed.obs["label"] == "high").to_numpy()[KNOWN]]
    values = attributed.layers["attribution"][np.ix_(members, block(attributed, "H3K9me3", "body"))].astype(float)
    np.testing.assert_allclose(grouped.loc[("high", "body", "H3K9me3")].to_numpy(float), summary(values.sum(axis=1)))


def test_zones_sum_bins_whose_middle_lies_inside(attributed):
    zones = {"core": ("tss", -1_000, 1_000), "edge": ("tss", -5_000, -4_850), "end": ("body", 0.5, 1)}
    table = get.region_effects(attributed, zones=zones)
    assert list(dict.fromkeys(table["region"])) == list(zones)
    effects = attributed.layers["attribution"][KNOWN].astype(float)
    for zone, bins in {"core": range(40, 60), "edge": [0], "end": range(10, 20)}.items():
        at = block(attributed, "H3K36me3", zones[zone][0])[list(bins)]
        chosen = table[(table["region"] == zone) & (table["mark"] == "H3K36me3")]
        np.testing.assert_allclose(chosen["effect"], effects[:, at].sum(axis=1))


def test_neighbor_effects_list_every_pair(attributed):
    table = get.neighbor_effects(attributed)
    columns = ["gene", "symbol", "neighbor", "neighbor_symbol", "distance_bp", "weight", "effect"]
    assert list(table) == columns
    assert len(table) == 160 * 4
    assert table["gene"].drop_duplicates().tolist() == attributed.obs_names[KNOWN].tolist()
    assert (table.groupby("gene")["effect"].apply(lambda e: e.abs().is_monotonic_decreasing)).all()
    obs = attributed.obs
    sign = np.where(obs.loc[table["gene"], "strand"] == "-", -1, 1)
    between = obs.loc[table["neighbor"], "tss"].to_numpy() - obs.loc[table["gene"], "tss"].to_numpy()
    np.testing.assert_allclose(table["distance_bp"], sign * between)
    effects = attributed.obsp["attribution_neighbors"].toarray()
    at = obs.index.get_indexer(table["gene"]), obs.index.get_indexer(table["neighbor"])
    np.testing.assert_allclose(table["effect"], effects[at])
    assert table["neighbor_symbol"].tolist() == obs.loc[table["neighbor"], "symbol"].tolist()
    assert (table["weight"] == 1).all()


def test_neighbors_without_effect_or_on_another_chromosome_are_listed(attributed):
    pp.id_neighbors(attributed, n_neighbors=4)
    attributed.uns["attribution"]["neighbors_key"] = "id"
    empty = sparse.csr_matrix((200, 200), dtype=np.float32)
    attributed.obsp["attribution_neighbors"] = empty
    table = get.neighbor_effects(attributed)
    assert (table["effect"] == 0).all()
    chrom = attributed.obs["chrom"].astype(str)
    elsewhere = chrom[table["gene"]].to_numpy() != chrom[table["neighbor"]].to_numpy()
    assert elsewhere.any()
    np.testing.assert_array_equal(table["distance_bp"].isna(), elsewhere)


def test_a_gene_without_neighbors_has_no_row(attributed):
    names = attributed.obs_names
    for slot in ("tss_connectivities", "tss_distances", "attribution_neighbors"):
        matrix = attributed.obsp[slot].tolil()
        matrix[0] = 0
        attributed.obsp[slot] = matrix.tocsr()
    assert get.neighbor_effects(attributed, genes=names[0]).empty
    assert get.neighbor_effects(attributed, genes=names[:2])["gene"].unique().tolist() == [names[1]]


@pytest.mark.parametrize("by", ["H3K27me3", "body", "neighbors"])
@pytest.mark.parametrize("sign", ["both", "up", "down"])
def test_top_genes_are_those_with_the_strongest_effect(attributed, by, sign):
    if by == "neighbors":
        effect = np.asarray(attributed.obsp["attribution_neighbors"].sum(axis=1)).ravel()[KNOWN]
    else:
        at = block(attributed, by) if by in MARKS else block(attributed, region=by)
        effect = attributed.layers["attribution"][np.ix_(KNOWN, at)].astype(float).sum(axis=1)
    factor = {"both": np.abs(effect), "up": effect, "down": -effect}[sign]
    best = np.argsort(-factor)[:7]
    table = get.top_genes(attributed, by, n=7, sign=sign)
    assert list(table) == ["gene", "symbol", "chrom", "expression", "label", "effect"]
    np.testing.assert_allclose(table["effect"], effect[best], rtol=1e-5)
    assert table["gene"].tolist() == attributed.obs_names[KNOWN[best]].tolist()
    assert table["expression"].tolist() == attributed.obs["expression"].iloc[KNOWN[best]].tolist()


def test_top_genes_of_each_group(attributed):
    table = get.top_genes(attributed, "H3K4me3", n=3, groupby="label")
    assert list(table) == ["label", "gene", "symbol", "chrom", "expression", "effect"]
    assert table["label"].astype(str).tolist() == ["low"] * 3 + ["high"] * 3
    high = attributed[attributed.obs["label"] == "high"]
    alone = get.top_genes(high, "H3K4me3", n=3)
    assert table["gene"].tolist()[3:] == alone["gene"].tolist()
    assert len(get.top_genes(attributed, "H3K4me3", n=10_000)) == 160
    assert 0 < len(get.top_genes(attributed, "H3K4me3", n=10_000, sign="up")) < 160


def test_interactions_are_those_stored(attributed):
    table = get.interactions(attributed)
    assert list(table) == ["gene", "symbol", "first", "second", "effect"]
    stored = attributed.obsm["attribution_interactions"]
    assert (table["first"] + " x " + table["second"]).tolist() == list(stored) * 160
    np.testing.assert_array_equal(table["effect"], stored.to_numpy()[KNOWN].ravel())
    grouped = get.interactions(attributed, groupby="label").set_index(["label", "first", "second"])
    members = KNOWN[(attributed.obs["label"] == "low").to_numpy()[KNOWN]]
    expected = summary(stored["H3K4me3 x H3K27me3"].to_numpy()[members])
    np.testing.assert_allclose(grouped.loc[("low", "H3K4me3", "H3K27me3")].to_numpy(float), expected)


def test_profiles_of_attributions_leave_out_genes_without(attributed, caplog):
    with caplog.at_level(logging.INFO):
        table = get.mark_profiles(attributed, layer="attribution")
    assert "40 of 200 genes have no values in attribution and are left out" in caplog.text
    assert table["mean"].notna().all()
    pd.testing.assert_frame_equal(table, get.mark_profiles(attributed[KNOWN].copy(), layer="attribution"))
    attributed.layers["attribution"][:] = np.nan
    with pytest.raises(ValueError, match="no gene with a label has values in attribution"):
        get.mark_profiles(attributed, layer="attribution")


def test_another_key(attributed):
    attributed.layers["expr"] = -attributed.layers["attribution"]
    attributed.uns["expr"] = attributed.uns["attribution"] | {"neighbors_key": ""}
    np.testing.assert_allclose(
        get.mark_effects(attributed, key="expr")["effect"], -get.mark_effects(attributed)["effect"]
    )
    with pytest.raises(ValueError, match="attributions 'expr' are of a model without neighbours: train with"):
        get.neighbor_effects(attributed, key="expr")


TABLES = [
    get.mark_effects,
    get.region_effects,
    get.neighbor_effects,
    lambda adata, **kw: get.top_genes(adata, "tss", **kw),
]


@pytest.mark.parametrize("table", TABLES)
def test_without_attributions_the_call_is_named(attributed, table):
    with pytest.raises(ValueError, match=r"no attributions 'other' \(those found: attribution; name .*\): run sct.tl"):
        table(attributed, key="other")
    del attributed.layers["attribution"]
    with pytest.raises(ValueError, match=r"no attributions 'attribution' \(none found\): run sct.tl.attribute\(model"):
        table(attributed)


@pytest.mark.parametrize("table", [*TABLES[:3], get.interactions])
def test_genes_without_attributions_are_named(attributed, table):
    name, symbol = attributed.obs_names[4], attributed.obs["symbol"].iloc[4]
    with pytest.raises(ValueError, match=f"none of the 1 genes asked for, such as {symbol}, has .* run sct.tl"):
        table(attributed, genes=name)
    with pytest.raises(ValueError, match="no gene 'PAX5' among 200"):
        table(attributed, genes="PAX5")


def test_bad_groups_are_named(attributed):
    with pytest.raises(ValueError, match=r"obs has no column 'leiden' .* name one of them with groupby"):
        get.mark_effects(attributed, groupby="leiden")
    with pytest.raises(ValueError, match="groupby names no column; expected columns of obs; leave it out"):
        get.mark_effects(attributed, groupby=[])
    attributed.obs["mark"] = "a"
    with pytest.raises(ValueError, match="groupby names mark; expected columns of obs, under other names"):
        get.mark_effects(attributed, groupby=["label", "mark"])
    attributed.obs["label"] = np.nan
    with pytest.raises(ValueError, match=r"none of the 160 genes has a label: run sct.pp.label_expression"):
        get.interactions(attributed, groupby="label")


def test_bad_zones_are_named(attributed):
    with pytest.raises(ValueError, match="zone 'far' lies in region 'tes'; regions here: tss, body"):
        get.region_effects(attributed, zones={"far": ("tes", 0, 1)})
    with pytest.raises(
        ValueError, match=r"zone 'far': no bin of region 'tss' has its middle from 6000 to 7000; .*4950"
    ):
        get.region_effects(attributed, zones={"far": ("tss", 6_000, 7_000)})
    with pytest.raises(ValueError, match="zones is empty"):
        get.region_effects(attributed, zones={})


def test_bad_choice_of_top_genes_is_named(attributed):
    with pytest.raises(
        ValueError, match=r"by is 'H3K4'; expected a mark \(H3K4me3, .*\), a region \(tss, body\) or 'n"
    ):
        get.top_genes(attributed, "H3K4")
    with pytest.raises(ValueError, match="n is 0; expected 1 or more"):
        get.top_genes(attributed, "tss", n=0)
    with pytest.raises(ValueError, match="sign is 'positive'; choose one of both, up, down"):
        get.top_genes(attributed, "tss", sign="positive")


def test_a_graph_that_changed_is_named(attributed):
    changed = attributed.copy()
    pp.tss_neighbors(changed, n_neighbors=2)
    with pytest.raises(ValueError, match=r"320 effects of neighbours .* of pairs that the graph 'tss' does not link"):
        get.neighbor_effects(changed)
    del attributed.obsp["tss_distances"]
    with pytest.raises(ValueError, match=r"obsp has no tss_distances .* model that reads the graph 'tss'"):
        get.neighbor_effects(attributed)
    del attributed.obsp["attribution_neighbors"]
    with pytest.raises(ValueError, match=r"attributions 'attribution' lack obsp\['attribution_neighbors'\]"):
        get.top_genes(attributed, "neighbors")


def test_bad_interactions_are_named(attributed):
    with pytest.raises(ValueError, match=r"obsm has no 'expr_interactions' .* run sct.tl.interactions\(model, adata\)"):
        get.interactions(attributed, key="expr")
    attributed.obsm["attribution_interactions"] = np.zeros((200, 3))
    with pytest.raises(ValueError, match="is ndarray; expected a DataFrame with columns such as"):
        get.interactions(attributed)
