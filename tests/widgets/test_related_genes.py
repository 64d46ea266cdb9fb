"""What stands below the picture of a gene: the parts of its prediction, and its related genes by name."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from simplechrome_tk import get, pp
from simplechrome_tk.pl._style import signed
from simplechrome_tk.widgets._gene_page import read_gene, show_gene
from simplechrome_tk.widgets._related_genes import parts_and_related_genes

PAIR = re.compile(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>')


def rows_of(text):
    """Rows of the table: the name of the row, then its cells."""
    return [[name, *re.findall(r"<td>(.*?)</td>", cells)] for name, cells in PAIR.findall(text)]


def columns_of(text):
    return re.findall(r'<th scope="col"[^>]*>(.*?)</th>', text)


def shown(adata, gene):
    return show_gene(read_gene(adata, None, [adata.obs_names.get_loc(gene)])[0])


@pytest.fixture
def gene(attributed):
    return attributed.obs_names[1]


@pytest.fixture
def with_reference(attributed):
    """Genes whose effects of two reference samples are 0.5 and -2."""
    attributed.obsm["attribution_reference"] = np.tile([0.5, -2.0], (attributed.n_obs, 1)).astype("float32")
    return attributed


def test_related_genes_are_listed_by_name_with_their_effects(attributed, gene):
    text = shown(attributed, gene)
    table = get.neighbor_effects(attributed, genes=gene)
    columns = ["related gene", "weight", "chromosome", "distance (− is upstream)", "effect on log-odds of high"]
    assert columns_of(text) == columns
    rows = rows_of(text)
    assert [row[0] for row in rows] == table["neighbor_symbol"].tolist()
    assert [row[-1] for row in rows] == [signed(effect) for effect in table["effect"]]
    assert {row[2] for row in rows} == {attributed.obs.loc[gene, "chrom"]}
    assert [row[3][0] == "−" for row in rows] == (table["distance_bp"] < 0).tolist()
    assert f"Genes related to {attributed.obs.loc[gene, 'symbol']} in the graph tss, the strongest first" in text
    assert "other related gene" not in text


def test_genes_on_another_chromosome_say_so_and_the_others_are_counted(attributed, gene):
    pp.id_neighbors(attributed, n_neighbors=60)
    links = attributed.obsp["id_connectivities"]
    attributed.obsp["attribution_neighbors"] = links.multiply(np.arange(1, attributed.n_obs + 1)[None, :]).tocsr()
    attributed.uns["attribution"]["neighbors_key"] = ["tss", "id"]
    text = shown(attributed, gene)
    table = get.neighbor_effects(attributed, genes=gene)
    assert columns_of(text)[1] == "graph"
    rows = rows_of(text)
    assert len(rows) == 15
    assert {row[1] for row in rows} == set(table["graph"].iloc[:15])
    elsewhere = [row[4] == "another chromosome" for row in rows]
    assert elsewhere == table["distance_bp"].isna().iloc[:15].tolist()
    assert any(elsewhere)
    rest = table["effect"].iloc[15:]
    assert f"The {len(rest)} other related genes: {signed(rest.sum())} in all." in text


def test_parts_of_a_prediction_are_summed_beside_what_they_should_sum_to(with_reference, gene):
    row = with_reference.obs_names.get_loc(gene)
    own = float(with_reference.layers["attribution"][row].sum())
    related = float(with_reference.obsp["attribution_neighbors"][row].sum())
    with_reference.obs.loc[gene, ["attribution_total", "attribution_error"]] = [3.25, 0.0123]
    parts = f"own marks {signed(own)}, related genes {signed(related)}, reference samples −1.50."
    text = shown(with_reference, gene)
    assert f"Effects on log-odds of high: {parts} They sum to {signed(own + related - 1.5)}." in text
    assert "The prediction minus that at the baseline is +3.25: the effects miss 1.23 % of it." in text
    with_reference.uns["attribution"]["method"] = "occlusion"
    assert "is +3.25; effects by this method need not sum to it." in shown(with_reference, gene)


def test_parts_that_the_model_does_not_read_are_left_out(attributed, gene):
    attributed.uns["attribution"]["neighbors_key"] = ""
    text = shown(attributed, gene)
    assert "own marks" in text
    assert "related genes" not in text
    assert "reference samples" not in text
    assert "They sum" not in text
    assert "<table>" not in text


def test_a_gene_without_related_genes_says_so(attributed):
    for slot in ("tss_connectivities", "tss_distances", "attribution_neighbors"):
        matrix = attributed.obsp[slot].tolil()
        matrix[0] = 0
        attributed.obsp[slot] = matrix.tocsr()
    text = shown(attributed, attributed.obs_names[0])
    assert f"<p>{attributed.obs['symbol'].iloc[0]} has no related genes in the graph tss.</p>" in text


def test_genes_without_attributions_have_no_text(attributed):
    assert parts_and_related_genes(attributed, attributed.obs_names[4]) == ""
    del attributed.layers["attribution"], attributed.uns["attribution"]
    assert parts_and_related_genes(attributed, attributed.obs_names[1]) == ""


def test_names_are_escaped(attributed, gene):
    attributed.obs["symbol"] = [f"<b>{name}&" for name in attributed.obs["symbol"].astype(str)]
    text = shown(attributed, gene)
    assert "<b>" not in text
    assert all(row[0].startswith("&lt;b&gt;") for row in rows_of(text))


def test_genes_of_stacked_cell_types_are_named_without_the_cell_type(attributed, gene):
    attributed.obs = attributed.obs.drop(columns="symbol").assign(cell_type="E116")
    attributed.obs_names = attributed.obs_names + ":E116"
    text = shown(attributed, f"{gene}:E116")
    assert ":E116" not in "".join(row[0] for row in rows_of(text))
    assert f"Genes related to {gene} in" in text


def test_several_graphs_are_read_from_a_file(attributed, gene, round_trip):
    pp.tss_neighbors(attributed, n_neighbors=2, key_added="near")
    attributed.uns["attribution"]["neighbors_key"] = ["tss", "near"]
    again = round_trip(attributed)
    assert rows_of(shown(again, gene)) == rows_of(shown(attributed, gene))
    graphs = pd.Series([row[1] for row in rows_of(shown(again, gene))]).value_counts()
    assert graphs.to_dict() == {"tss, near": 2, "tss": 2}
