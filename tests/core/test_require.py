"""Selection of genes, and errors for AnnData that lack what a step needs."""

from __future__ import annotations

import numpy as np
import pytest

import simplechrome_tk as sct
from simplechrome_tk.core.require import cell_type_key, cell_types, check_order, gene_ids, gene_row, gene_rows


@pytest.fixture(scope="module")
def adata():
    adata = sct.datasets.simulate(140)
    adata.obs["symbol"] = [f"S{row % 70}" for row in range(140)]
    return adata


def test_gene_rows_by_id_symbol_and_mask(adata):
    names = adata.obs_names
    assert gene_rows(adata, None).tolist() == list(range(140))
    assert gene_rows(adata, names[5]).tolist() == [5]
    assert gene_rows(adata, [names[9], "S3", names[9]]).tolist() == [9, 3, 73], "in the order asked for, each once"
    assert gene_rows(adata, adata.obs["symbol"] == "S3").tolist() == [3, 73]
    assert gene_row(adata, names[7]) == 7


@pytest.mark.parametrize(
    ("genes", "message"),
    [
        (["S3", "s44", "nobody"], r"no gene 's44' among 140 .*1 others.*did you mean S44"),
        (np.ones(3, dtype=bool), r"mask of genes has shape \(3,\); expected \(140,\)"),
        (np.zeros(140, dtype=bool), "no gene is selected of 140"),
        ([], "no gene is selected of 140"),
    ],
)
def test_gene_rows_bad_input(adata, genes, message):
    with pytest.raises(ValueError, match=message):
        gene_rows(adata, genes)


def test_gene_row_names_the_rows_of_an_ambiguous_symbol(adata):
    with pytest.raises(ValueError, match=rf"{adata.obs_names[3]}, {adata.obs_names[73]}"):
        gene_row(adata, "S3")


EDIT = sct.tl.Edit.remove()


@pytest.mark.parametrize(
    ("call", "right"),
    [
        (lambda adata, model: sct.tl.attribute(model, adata), "sct.tl.attribute(adata, model)"),
        (lambda adata, model: sct.tl.interactions(model, adata), "sct.tl.interactions(adata, model)"),
        (
            lambda adata, model: sct.get.neighbor_attributions(model, adata, "g"),
            "sct.get.neighbor_attributions(adata, model,",
        ),
        (lambda adata, model: sct.tl.check_attributions(model, adata), "sct.tl.check_attributions(adata, model)"),
        (lambda adata, model: sct.tl.check_biology(model, adata), "sct.tl.check_biology(adata, model)"),
        (lambda adata, model: sct.tl.perturb(model, adata, EDIT), "sct.tl.perturb(adata, model, edits)"),
        (
            lambda adata, model: sct.get.before_and_after(model, adata, EDIT, len),
            "sct.get.before_and_after(adata, model,",
        ),
        (lambda adata, model: sct.tl.saturate(model, adata, "g"), "sct.tl.saturate(adata, model, genes)"),
        (lambda adata, model: sct.tl.dose_response(model, adata, None), "sct.tl.dose_response(adata, model, mark)"),
        (lambda adata, model: sct.tl.latent_dimensions(model, adata), "sct.tl.latent_dimensions(adata, model)"),
        (lambda adata, model: sct.tl.reconstruction(model, adata), "sct.tl.reconstruction(adata, model)"),
        (lambda adata, model: sct.tl.traverse(model, adata), "sct.tl.traverse(adata, model)"),
        (lambda adata, model: sct.tl.embed(model, adata), "sct.tl.embed(adata, model)"),
        (lambda adata, model: sct.tl.place(model, adata, adata), "sct.tl.place(adata, reference, model)"),
        (lambda adata, model: sct.tl.place(adata, adata, adata), "sct.tl.place(adata, reference, model)"),
        (lambda adata, model: sct.widgets.PerturbationLab(model, adata), "sct.widgets.PerturbationLab(adata, model)"),
        (
            lambda adata, model: sct.widgets.ContrastBrowser(model, adata),
            "sct.widgets.ContrastBrowser(adata, model, key='contrast')",
        ),
        (lambda adata, model: sct.widgets.GeneBrowser(model, adata), "sct.widgets.GeneBrowser(adata, model)"),
        (lambda adata, model: sct.widgets.Explorer(model, adata), "sct.widgets.Explorer(adata, model)"),
    ],
)
def test_exchanged_arguments_get_the_right_call(adata, call, right):
    normal = sct.pp.normalize(sct.pp.split_by_chromosome(adata, copy=True), copy=True)
    model = sct.SimpleChrome(normal, n_latent=2, n_hidden=8, device="cpu")
    with pytest.raises(TypeError) as error:
        call(normal, model)
    assert f"expected {right}" in str(error.value)


def test_neither_data_nor_model():
    with pytest.raises(TypeError, match=r"a str and model a int.*f\(adata, model\)"):
        check_order("file.h5ad", 3, "f(adata, model)")


def test_another_type_than_anndata_is_named(adata):
    model = sct.SimpleChrome.__new__(sct.SimpleChrome)
    for call in (sct.pp.normalize, sct.pp.qc, sct.pp.tss_neighbors, sct.get.mark_profiles, sct.tl.name_states):
        with pytest.raises(TypeError, match="adata is a SimpleChrome; expected an AnnData"):
            call(model)
    with pytest.raises(TypeError, match="adata is a DataFrame; expected an AnnData"):
        sct.SimpleChrome(adata.obs)


@pytest.mark.parametrize("missing", [None, np.nan, "nan", "", " ", "None", "<NA>"])
def test_genes_without_a_chromosome_are_named_and_no_neighbours(adata, missing):
    changed = adata.copy()
    changed.obs["chrom"] = changed.obs["chrom"].astype(object)
    changed.obs.loc[changed.obs_names[[4, 90]], "chrom"] = missing
    for call in (sct.pp.tss_neighbors, sct.pp.id_neighbors, sct.pp.split_by_chromosome):
        with pytest.raises(ValueError, match=rf"2 of 140 genes have no chrom, such as '{adata.obs_names[4]}'"):
            call(changed)
    assert not changed.obsp.keys() & {"tss_connectivities"}


@pytest.mark.parametrize("tss", [np.nan, np.inf, -np.inf, -5.0])
def test_positions_that_are_none_are_named(adata, tss):
    changed = adata.copy()
    changed.obs["tss"] = changed.obs["tss"].astype(float)
    changed.obs.loc[changed.obs_names[4], "tss"] = tss
    with pytest.raises(ValueError, match=rf"'{adata.obs_names[4]}' \(found {tss:g}"):
        sct.pp.tss_neighbors(changed)


def test_scanpy_reads_the_record_of_a_graph(adata):
    import scanpy as sc

    linked = sct.pp.tss_neighbors(adata, n_neighbors=4, copy=True)
    sc.tl.leiden(linked, neighbors_key="tss_neighbors", flavor="igraph", n_iterations=2, directed=False)
    assert linked.obs["leiden"].nunique() > 1
    assert linked.uns["tss_neighbors"]["params"]["method"] == "tss_neighbors"
    sc.tl.umap(linked, neighbors_key="tss_neighbors", init_pos="random", maxiter=1)
    assert linked.obsm["X_umap"].shape == (140, 2)


def conditions():
    return sct.datasets.simulate_conditions(140, n_replicates=1, n_changed=0)


def test_samples_stand_for_cell_types():
    adata = conditions()
    assert cell_type_key(adata) == "sample"
    assert cell_types(adata).tolist() == ["A1"] * 140 + ["B1"] * 140
    assert gene_ids(adata)[:140].equals(gene_ids(adata)[140:])
    adata.obs["cell_type"] = "K562"
    assert cell_types(adata).unique().tolist() == ["A1", "B1"]
    del adata.obs["sample"]
    assert cell_type_key(adata) == "cell_type"
    del adata.obs["cell_type"]
    assert cell_type_key(adata) is None
    assert cell_types(adata).unique().tolist() == ["all"]


def test_a_sample_of_two_cell_types_is_refused():
    adata = conditions()
    adata.obs["cell_type"] = adata.obs["condition"]
    adata.obs["sample"] = "GSM1"
    with pytest.raises(ValueError, match="obs\\['sample'\\] is 'GSM1' for genes of the cell types A, B"):
        cell_types(adata)


def test_samples_may_be_named_after_cell_types_were_stacked():
    adata = sct.datasets.simulate(140)
    both = sct.pp.stack_cell_types({"A": adata, "B": adata})
    both.obs["sample"] = both.obs["cell_type"].map({"A": "GSM1", "B": "GSM2"})
    assert cell_types(both).unique().tolist() == ["GSM1", "GSM2"]
    assert gene_ids(both).tolist() == 2 * adata.obs_names.tolist()
