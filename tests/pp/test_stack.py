"""Several cell types in one AnnData and one model."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from scipy import sparse

import simplechrome_tk as sct


def cell(rng: int, marks: tuple[str, ...] = ("H3K4me3", "H3K36me3", "H3K27me3")):
    return sct.datasets.simulate(500, rng=rng, marks=marks)


def test_cell_types_are_stacked_and_keep_their_genes():
    first, second = cell(0), cell(1)
    both = sct.pp.stack_cell_types({"A": first, "B": second})
    assert both.obs["cell_type"].value_counts().to_dict() == {"A": 500, "B": 500}
    np.testing.assert_array_equal(both[both.obs["cell_type"] == "B"].X, second.X)
    assert both.obs_names[500] == f"{second.obs_names[0]}:B"
    sct.pp.split_by_chromosome(both)
    sct.pp.normalize(both)
    sct.pp.tss_neighbors(both, n_neighbors=5)
    gene, neighbor = both.obsp["tss_connectivities"].nonzero()
    assert ((gene < 500) == (neighbor < 500)).all(), "neighbours stay within a cell type"
    assert not sparse.issparse(both.X)
    model = sct.SimpleChrome(both, n_latent=4, neighbors_key="tss")
    model.train(latent_epochs=1, expression_epochs=2, progress=False)
    assert len(model.predict()) == 1_000


def test_other_marks_are_named_and_left_out_on_request(caplog: pytest.LogCaptureFixture):
    adatas = {"A": cell(0), "B": cell(1, ("H3K4me3", "H3K27me3", "H3K9me3"))}
    with pytest.raises(ValueError, match=r"A: H3K36me3; B: H3K9me3"):
        sct.pp.stack_cell_types(adatas)
    with caplog.at_level(logging.INFO):
        both = sct.pp.stack_cell_types(adatas, marks="shared")
    assert "left out (A: H3K36me3; B: H3K9me3); kept: H3K4me3, H3K27me3" in caplog.text
    assert both.var["mark"].unique().tolist() == ["H3K4me3", "H3K27me3"]
    with pytest.raises(ValueError, match="shared by all: none"):
        sct.pp.stack_cell_types({"A": cell(0, ("H3K4me3",)), "B": cell(0, ("H3K27me3",))}, marks="shared")


def test_what_cannot_be_stacked_is_refused():
    with pytest.raises(ValueError, match="no cell types to stack"):
        sct.pp.stack_cell_types({})
    with pytest.raises(ValueError, match="marks is 'all'; choose one of same, shared"):
        sct.pp.stack_cell_types({"A": cell(0)}, marks="all")
    other = sct.datasets.simulate(500, marks=("H3K4me3", "H3K36me3", "H3K27me3"), windows=[sct.pp.Window.TSS])
    with pytest.raises(ValueError, match=r"B and A differ in 60 columns"):
        sct.pp.stack_cell_types({"A": cell(0), "B": other})
    normalized = cell(0)
    sct.pp.split_by_chromosome(normalized)
    sct.pp.normalize(normalized)
    with pytest.raises(ValueError, match="A: X is normalised already"):
        sct.pp.stack_cell_types({"A": normalized})


def two_cell_types():
    both = sct.pp.stack_cell_types({"A": cell(0), "B": cell(1)})
    sct.pp.split_by_chromosome(both)
    sct.pp.normalize(both)
    return both


def test_a_cell_type_without_labels_is_said_and_one_class_refused(caplog: pytest.LogCaptureFixture):
    both = two_cell_types()
    of_b = both.obs_names[both.obs["cell_type"] == "B"]
    both.obs.loc[of_b, "label"] = None
    both.obs.loc[of_b, "expression"] = np.nan
    model = sct.SimpleChrome(both, n_latent=4)
    with caplog.at_level(logging.WARNING):
        model.train(latent_epochs=1, expression_epochs=1, progress=False)
    assert "Cell type 'B' has no label or expression to train on" in caplog.text
    assert model.predict().loc[of_b, "probability"].notna().all()
    both.obs.loc[of_b, "label"] = "high"
    with pytest.raises(ValueError, match=r"cell type 'B': all \d+ labelled training genes are high"):
        model.train(progress=False)


def test_a_graph_of_other_genes_is_refused():
    adata, other = cell(0), cell(1)
    sct.pp.tss_neighbors(other, n_neighbors=5)
    sct.pp.split_by_chromosome(adata)
    sct.pp.normalize(adata)
    for slot in ("tss_connectivities", "tss_distances"):
        adata.obsp[slot] = other.obsp[slot]
    with pytest.raises(ValueError, match=r"the graph 'tss' is not of these genes"):
        sct.SimpleChrome(adata, neighbors_key="tss")


def with_reference(rng: int, samples: list[str]):
    adata = cell(rng)
    adata.obsm["reference_expression"] = np.random.default_rng(rng).normal(size=(500, len(samples))).astype(np.float32)
    adata.uns["reference_expression"] = {"samples": samples, "excluded": [f"E{rng}"], "n_unmatched": 0}
    return adata


def test_reference_expression_is_kept_in_the_order_of_the_first():
    first, second = with_reference(0, ["x", "y"]), with_reference(1, ["y", "x"])
    both = sct.pp.stack_cell_types({"A": first, "B": second})
    stored = both.obsm["reference_expression"]
    np.testing.assert_array_equal(stored[:500], first.obsm["reference_expression"])
    np.testing.assert_array_equal(stored[500:], second.obsm["reference_expression"][:, ::-1])
    assert both.uns["reference_expression"] == {"samples": ["x", "y"], "excluded": ["E0", "E1"], "n_unmatched": 0}


@pytest.mark.parametrize(
    ("samples", "message"),
    [(["x", "z"], "y, z: reference samples that not all"), (["x", "y", "z"], "z: reference samples that not all")],
)
def test_other_reference_samples_are_left_out_and_named(samples, message, caplog):
    both = sct.pp.stack_cell_types({"A": with_reference(0, ["x", "y"]), "B": with_reference(1, samples)})
    assert "reference_expression" not in both.obsm
    assert "reference_expression" not in both.uns
    assert message in caplog.text


def test_a_reference_that_is_a_cell_type_of_the_stack_is_left_out(caplog):
    both = sct.pp.stack_cell_types({"x": with_reference(0, ["x", "y"]), "B": with_reference(1, ["x", "y"])})
    assert "reference_expression" not in both.obsm
    assert "x: reference samples that are cell types of the stack" in caplog.text


def test_a_cell_type_without_reference_is_named(caplog):
    both = sct.pp.stack_cell_types({"A": with_reference(0, ["x", "y"]), "B": cell(1)})
    assert "reference_expression" not in both.obsm
    assert "B lack reference expression" in caplog.text


def test_samples_are_not_stacked_again():
    adata = sct.datasets.simulate_conditions(200, n_replicates=1)
    with pytest.raises(ValueError, match=r"B: the genes are of samples already .*from_sample_sheet"):
        sct.pp.stack_cell_types({"A": cell(0), "B": adata})
