"""Inputs of the networks: graphs, names, matrices and expression that are refused or read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

import simplechrome_tk as sct
from simplechrome_tk.core.graph import neighbor_matrices
from simplechrome_tk.model._inputs import neighbor_graph

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    import anndata as ad
    from scipy import sparse

    Call: TypeAlias = Callable[[ad.AnnData, sct.SimpleChrome], object]

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


@pytest.fixture
def model(linked: ad.AnnData) -> sct.SimpleChrome:
    """A model that is not trained."""
    return sct.SimpleChrome(linked, neighbors_key="tss", n_latent=2, n_hidden=8, device="cpu")


READS_THE_GRAPH: dict[str, Call] = {
    "new model": lambda adata, _: sct.SimpleChrome(adata, neighbors_key="tss"),
    "read": lambda adata, model: model.read(adata),
    "get.neighbors": lambda adata, _: sct.get.neighbors(adata),
    "get.neighborhood": lambda adata, _: sct.get.neighborhood(adata, adata.obs_names[4], neighbors_key="tss"),
}


@pytest.mark.parametrize("call", READS_THE_GRAPH.values(), ids=READS_THE_GRAPH.keys())
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_changed("tss_connectivities", _link(4, 7, np.nan)), "1 missing or infinite values"),
        (_changed("tss_connectivities", _link(4, 7, np.inf)), "1 missing or infinite values"),
        (_changed("tss_distances", _link(4, 7, np.nan)), "1 missing or infinite values"),
        (_changed("tss_connectivities", _link(4, 7, -0.5)), "1 negative weights"),
        (_changed("tss_connectivities", _link(4, 4, 1.0)), "1 links of a gene to itself"),
    ],
)
def test_invalid_links_are_refused(
    linked: ad.AnnData, model: sct.SimpleChrome, change: Callable[[ad.AnnData], None], message: str, call: Call
):
    change(linked)
    with pytest.raises(ValueError, match=rf"obsp\['tss_\w+'\] holds {message}.*{linked.obs_names[4]}"):
        call(linked, model)


def test_a_dense_graph_is_read_as_the_sparse_one(linked: ad.AnnData):
    expected = neighbor_graph(linked, "tss")
    _make_dense(linked, "tss_connectivities", "tss_distances")
    found = neighbor_graph(linked, "tss")
    np.testing.assert_array_equal(found.index, expected.index)
    np.testing.assert_array_equal(found.edges, expected.edges)


def test_predictions_and_attributions_take_a_dense_graph(linked: ad.AnnData, model: sct.SimpleChrome):
    model.train(latent_epochs=1, expression_epochs=1, context_epochs=1, progress=False)
    prediction = model.predict()
    _make_dense(linked, "tss_connectivities", "tss_distances")
    np.testing.assert_array_equal(model.predict().to_numpy(), prediction.to_numpy())
    sct.tl.attribute(linked, model, genes=linked.obs_names[:3], n_steps=2, progress=False)
    _make_dense(linked, "attribution_neighbors")
    sct.tl.attribute(linked, model, genes=linked.obs_names[:5], n_steps=2, progress=False)
    assert len(sct.get.neighbor_effects(linked, genes=linked.obs_names[:5])) == 15
    rows = sct.get.neighbor_attributions(linked, model, linked.obs_names[:2], n_steps=2, progress=False)
    assert rows.n_obs == 6


def _make_dense(adata: ad.AnnData, *slots: str) -> None:
    for slot in slots:
        adata.obsp[slot] = adata.obsp[slot].toarray()


def test_the_graph_of_nearest_genes_is_asymmetric(linked: ad.AnnData):
    connectivities, _ = neighbor_matrices(linked, "tss")
    assert (connectivities != connectivities.T).nnz


NEEDS_UNIQUE_NAMES: dict[str, Call] = {
    "new model": lambda adata, _: sct.SimpleChrome(adata),
    "read": lambda adata, model: model.read(adata),
    "comparison model": lambda adata, _: sct.evaluation.LogisticRegression().fit(adata),
    "get.neighbors": lambda adata, _: sct.get.neighbors(adata, genes=adata.obs_names[9]),
    "GeneBrowser": lambda adata, _: sct.widgets.GeneBrowser(adata),
}


@pytest.mark.parametrize("call", NEEDS_UNIQUE_NAMES.values(), ids=NEEDS_UNIQUE_NAMES.keys())
def test_repeated_names_are_refused_where_a_name_must_be_one_gene(
    linked: ad.AnnData, model: sct.SimpleChrome, call: Call
):
    names = linked.obs_names.to_list()
    names[5] = names[6] = names[4]
    linked.obs_names = names
    with pytest.raises(ValueError, match=r"2 of 138 genes.*obs_names_make_unique\(\)"):
        call(linked, model)


NEEDS_GENES: dict[str, Callable[[ad.AnnData], object]] = {
    "new model": sct.SimpleChrome,
    "pp.normalize": sct.pp.normalize,
    "pp.qc": sct.pp.qc,
    "get.region": lambda adata: sct.get.region(adata, "tss"),
}


@pytest.mark.parametrize("call", NEEDS_GENES.values(), ids=NEEDS_GENES.keys())
def test_no_genes_are_refused(linked: ad.AnnData, call: Callable[[ad.AnnData], object]):
    with pytest.raises(ValueError, match="0 genes and 20 columns"):
        call(linked[:0].copy())


@pytest.mark.parametrize("call", NEEDS_GENES.values(), ids=NEEDS_GENES.keys())
def test_no_columns_are_refused(linked: ad.AnnData, call: Callable[[ad.AnnData], object]):
    with pytest.raises(ValueError, match="138 genes and 0 columns"):
        call(linked[:, :0].copy())


READS_EXPRESSION: dict[str, Call] = {
    "train": lambda _, model: model.train(latent_epochs=1, expression_epochs=1, progress=False),
    "evaluate": lambda adata, _: sct.evaluation.evaluate(
        adata, pd.DataFrame({"log_expression": np.zeros(adata.n_obs)}, index=adata.obs_names)
    ),
    "comparison model": lambda adata, _: sct.evaluation.LogisticRegression().fit(adata),
    "label_expression": lambda adata, _: sct.pp.label_expression(adata),
}


@pytest.mark.parametrize("call", READS_EXPRESSION.values(), ids=READS_EXPRESSION.keys())
@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinite_expression_is_counted_and_its_genes_are_named(
    linked: ad.AnnData, model: sct.SimpleChrome, value: float, call: Call
):
    linked.obs.loc[linked.obs_names[[3, 40]], "expression"] = value
    genes = ", ".join(linked.obs_names[[3, 40]])
    with pytest.raises(ValueError, match=rf"obs\['expression'\] is infinite for 2 of 138 genes: {genes}"):
        call(linked, model)


@pytest.mark.parametrize("of_type", ["Float64", "category", "object", "float32"])
def test_expression_of_other_types_is_read(linked: ad.AnnData, of_type: str):
    expected = sct.pp.label_expression(linked, copy=True).obs["label"]
    linked.obs["expression"] = linked.obs["expression"].astype(of_type)
    sct.pp.label_expression(linked)
    assert (linked.obs["label"] == expected).all()


def test_expression_that_is_no_number_is_named(linked: ad.AnnData):
    linked.obs["expression"] = linked.obs["expression"].astype(object)
    linked.obs.loc[linked.obs_names[3], "expression"] = "3,5"
    with pytest.raises(ValueError, match=r"'3,5' for gene .*to_numeric"):
        sct.pp.label_expression(linked)
