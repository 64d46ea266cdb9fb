"""Effects of neighbouring genes, as a table."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from simplechrome_tk import get, pp

# Every fifth gene of the fixture has no attributions.
KNOWN = np.flatnonzero(np.arange(200) % 5 != 4)


def test_neighbor_effects_list_every_pair(attributed):
    table = get.neighbor_effects(attributed)
    columns = ["gene", "symbol", "neighbor", "neighbor_symbol", "neighbor_chrom", "distance_bp", "graph", "weight"]
    assert list(table) == [*columns, "effect"]
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
    assert table["neighbor_chrom"].tolist() == obs.loc[table["neighbor"], "chrom"].tolist()
    assert (table["graph"] == "tss").all()


def test_the_graphs_that_link_a_pair_are_named(attributed):
    weights = attributed.obsp["tss_connectivities"].tolil()
    weights[0] = 0
    attributed.obsp["some_connectivities"] = weights.tocsr() * 0.5
    attributed.obsp["some_distances"] = attributed.obsp["tss_distances"]
    attributed.uns["attribution"]["neighbors_key"] = ["some", "tss"]
    table = get.neighbor_effects(attributed)
    of_first = (table["gene"] == attributed.obs_names[0]).to_numpy()
    assert set(table.loc[of_first, "graph"]) == {"tss"}
    assert set(table.loc[~of_first, "graph"]) == {"some, tss"}
    # The weight is the larger of both.
    assert (table["weight"] == 1).all()


def test_links_are_listed_without_chromosomes(attributed):
    table = get.neighbors(attributed)
    del attributed.obs["chrom"]
    assert "neighbor_chrom" not in get.neighbors(attributed)
    assert get.neighbors(attributed)["weight"].equals(table["weight"])


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


def test_effects_of_another_graph_are_named(attributed):
    pp.tss_neighbors(attributed, n_neighbors=2)
    with pytest.raises(ValueError, match=r"320 effects.*graph 'tss'.*sct\.tl\.attribute\(adata, model"):
        get.neighbor_effects(attributed)


def test_a_missing_graph_is_named(attributed):
    del attributed.obsp["tss_distances"]
    with pytest.raises(
        ValueError, match=r"tss_distances.*sct\.pp\.tss_neighbors\(adata, key_added='tss'\).*that model"
    ):
        get.neighbor_effects(attributed)


def test_a_model_without_neighbors_is_named_with_the_call_that_trains_one(attributed):
    attributed.uns["attribution"]["neighbors_key"] = ""
    fix = r"SimpleChrome\(adata, neighbors_key='tss'\).*sct\.tl\.attribute\(adata, model, key_added='attribution'\)\.$"
    with pytest.raises(ValueError, match=fix):
        get.neighbor_effects(attributed)


def test_missing_effects_of_neighbors_are_named_with_the_call_that_makes_them(attributed):
    del attributed.obsp["attribution_neighbors"]
    fix = r"obsp\['attribution_neighbors'\].*sct\.tl\.attribute\(adata, model, key_added='attribution'\) again"
    with pytest.raises(ValueError, match=fix):
        get.neighbor_effects(attributed)
