"""What a graph of genes may hold, and what a network may read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import simplechrome_tk as sct
from simplechrome_tk.core.graph import neighbor_matrices
from simplechrome_tk.model._inputs import neighbor_graph

if TYPE_CHECKING:
    from collections.abc import Callable

    import anndata as ad
    from scipy import sparse

WINDOWS = [sct.pp.Window("tss", anchor="tss", upstream=5_000, downstream=5_000, n_bins=10)]


@pytest.fixture(scope="module")
def _linked() -> ad.AnnData:
    adata = sct.datasets.simulate(138, marks=("H3K4me3", "H3K27me3"), windows=WINDOWS)
    sct.pp.tss_neighbors(adata, n_neighbors=3)
    sct.pp.split_by_chromosome(adata)
    sct.pp.normalize(adata)
    return adata


@pytest.fixture
def linked(_linked: ad.AnnData) -> ad.AnnData:
    return _linked.copy()


def _changed(slot: str, change: Callable[[sparse.lil_matrix], None]) -> Callable[[ad.AnnData], None]:
    def apply(adata: ad.AnnData) -> None:
        matrix = adata.obsp[slot].tolil()
        change(matrix)
        adata.obsp[slot] = matrix.tocsr()

    return apply


def _link(row: int, column: int, value: float) -> Callable[[sparse.lil_matrix], None]:
    return lambda matrix: matrix.__setitem__((row, column), value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_changed("tss_connectivities", _link(4, 7, np.nan)), "1 missing or infinite values"),
        (_changed("tss_connectivities", _link(4, 7, np.inf)), "1 missing or infinite values"),
        (_changed("tss_distances", _link(4, 7, np.nan)), r"tss_distances'\] holds 1 missing or infinite values"),
        (_changed("tss_connectivities", _link(4, 7, -0.5)), "1 negative weights"),
        (_changed("tss_connectivities", _link(4, 4, 1.0)), "1 links of a gene to itself"),
    ],
)
def test_links_that_are_none_are_refused(linked: ad.AnnData, change: Callable[[ad.AnnData], None], message: str):
    model = sct.SimpleChrome(linked, neighbors_key="tss", n_latent=2, n_hidden=8, device="cpu")
    change(linked)
    name = linked.obs_names[4]
    for call in (
        lambda: sct.SimpleChrome(linked, neighbors_key="tss"),
        lambda: model.read(linked),
        lambda: sct.get.neighbors(linked),
        lambda: sct.get.neighborhood(linked, name, neighbors_key="tss"),
    ):
        with pytest.raises(ValueError, match=rf"obsp\['tss_\w+'\] holds|{message}") as error:
            call()
        assert f"the first of gene {name!r}" in str(error.value)
        assert "Make the graph again" in str(error.value)


def test_a_dense_graph_reads_as_the_sparse_one(linked: ad.AnnData):
    expected = neighbor_graph(linked, "tss")
    model = sct.SimpleChrome(linked, neighbors_key="tss", n_latent=2, n_hidden=8, device="cpu")
    model.train(latent_epochs=1, expression_epochs=1, neighbor_epochs=1, progress=False)
    prediction = model.predict()
    for slot in ("tss_connectivities", "tss_distances"):
        linked.obsp[slot] = linked.obsp[slot].toarray()
    found = neighbor_graph(linked, "tss")
    np.testing.assert_array_equal(found.index, expected.index)
    np.testing.assert_array_equal(found.edges, expected.edges)
    np.testing.assert_array_equal(model.predict().to_numpy(), prediction.to_numpy())
    sct.tl.attribute(linked, model, genes=linked.obs_names[:3], n_steps=2, progress=False)
    linked.obsp["attribution_neighbors"] = linked.obsp["attribution_neighbors"].toarray()
    sct.tl.attribute(linked, model, genes=linked.obs_names[:5], n_steps=2, progress=False)
    assert len(sct.get.neighbor_effects(linked, genes=linked.obs_names[:5])) == 15
    rows = sct.tl.attribute_neighbors(linked, model, linked.obs_names[:2], n_steps=2, progress=False)
    assert rows.n_obs == 6


def test_an_asymmetric_graph_is_what_nearest_genes_are(linked: ad.AnnData):
    connectivities, _ = neighbor_matrices(linked, "tss")
    assert (connectivities != connectivities.T).nnz


def test_repeated_names_are_refused_where_a_name_must_be_one_gene(linked: ad.AnnData):
    model = sct.SimpleChrome(linked, n_latent=2, n_hidden=8, device="cpu")
    names = linked.obs_names.to_list()
    names[5] = names[6] = names[4]
    linked.obs_names = names
    message = r"obs_names repeat: 2 of 138 genes have the name of another, such as .*obs_names_make_unique\(\)"
    for call in (
        lambda: sct.SimpleChrome(linked),
        lambda: model.read(linked),
        lambda: sct.evaluation.fit_baseline(linked, sct.evaluation.logistic_regression()),
        lambda: sct.get.neighbors(linked, genes=names[9]),
        lambda: sct.widgets.GeneBrowser(linked),
    ):
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parametrize("empty", ["genes", "columns"])
def test_no_genes_or_no_columns(linked: ad.AnnData, empty: str):
    none = linked[:0].copy() if empty == "genes" else linked[:, :0].copy()
    message = "adata has 0 genes and 20 columns" if empty == "genes" else "adata has 138 genes and 0 columns"
    for call in (
        lambda: sct.SimpleChrome(none),
        lambda: sct.pp.normalize(none),
        lambda: sct.pp.qc(none),
        lambda: sct.get.region(none, "tss"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinite_expression_counts_and_names_genes_wherever_it_is_read(linked: ad.AnnData, value: float):
    model = sct.SimpleChrome(linked, n_latent=2, n_hidden=8, device="cpu")
    prediction = sct.evaluation.fit_baseline(linked, sct.evaluation.logistic_regression())
    linked.obs.loc[linked.obs_names[[3, 40]], "expression"] = value
    message = (
        rf"obs\['expression'\] is infinite for 2 of 138 genes: {linked.obs_names[3]}, {linked.obs_names[40]}; .*nan"
    )
    for call in (
        lambda: model.train(latent_epochs=1, expression_epochs=1, progress=False),
        lambda: sct.evaluation.evaluate(linked, prediction),
        lambda: sct.evaluation.fit_baseline(linked, sct.evaluation.logistic_regression()),
        lambda: sct.pp.label_expression(linked),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_expression_of_other_types_is_read_or_named(linked: ad.AnnData):
    expected = sct.pp.label_expression(linked, copy=True).obs["label"]
    for of_type in ("Float64", "category", "object", "float32"):
        linked.obs["expression"] = linked.obs["expression"].astype(of_type)
        sct.pp.label_expression(linked)
        assert (linked.obs["label"] == expected).all()
    linked.obs["expression"] = linked.obs["expression"].astype(object)
    linked.obs.loc[linked.obs_names[3], "expression"] = "3,5"
    with pytest.raises(ValueError, match=r"holds 1 values that are not numbers, such as '3,5' for gene .*to_numeric"):
        sct.pp.label_expression(linked)
