"""Every call, of AnnData as people have it: it works, or one sentence names the call that fixes it."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import pytest
from scipy import sparse

import simplechrome_tk as sct
from simplechrome_tk.tl.attribution._explain import explain_genes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WINDOWS = [
    sct.pp.Window("tss", anchor="tss", upstream=5_000, downstream=5_000, n_bins=10),
    sct.pp.Window("body", anchor="body", upstream=0, downstream=0, n_bins=4),
]
WORKS = ""
DENSE = r"expected a dense array of numbers: .*adata\.X = adata\.X\.toarray\(\)"
IN_MEMORY = r"run adata = adata\.to_memory\(\)"


def _raw() -> ad.AnnData:
    adata = sct.datasets.simulate(138, marks=("H3K4me3", "H3K27me3"), windows=WINDOWS)
    sct.pp.tss_neighbors(adata, n_neighbors=4)
    sct.pp.split_by_chromosome(adata)
    return adata


@pytest.fixture(scope="module")
def raw() -> ad.AnnData:
    return _raw()


@pytest.fixture(scope="module")
def normal(raw: ad.AnnData) -> ad.AnnData:
    normal = sct.pp.normalize(raw, copy=True)
    sct.tl.name_states(normal, groupby="label")
    return normal


@pytest.fixture(scope="module")
def model(normal: ad.AnnData) -> sct.SimpleChrome:
    model = sct.SimpleChrome(normal, n_latent=2, n_hidden=8, neighbors_key="tss", device="cpu")
    model.train(latent_epochs=1, expression_epochs=1, context_epochs=1, progress=False)
    normal.obsm["X_simplechrome"] = model.get_latent_representation()
    return model


def _converted(kind: str, adata: ad.AnnData, folder: Path) -> ad.AnnData:
    adata = adata.copy()
    if kind == "view":
        return adata[np.arange(adata.n_obs)]
    if kind.startswith("backed"):
        if kind == "backed sparse":
            adata.X = sparse.csr_matrix(adata.X)
        adata.write_h5ad(folder / "a.h5ad")
        backed = ad.read_h5ad(folder / "a.h5ad", backed="r")
        return backed[np.arange(adata.n_obs)] if kind == "backed view" else backed
    adata.X = {
        "csr_matrix": sparse.csr_matrix,
        "csc_matrix": sparse.csc_matrix,
        "csr_array": sparse.csr_array,
        "float64": lambda x: x.astype(float),
        "whole numbers": lambda x: np.round(x).astype(np.int64),
        "unsigned": lambda x: np.round(np.abs(x)).astype(np.uint16),
        "Fortran": np.asfortranarray,
        "objects": lambda x: x.astype(object),
        "masked": lambda x: np.ma.masked_greater(x, 3),
        "none": lambda _: None,
    }[kind](adata.X)
    return adata


EDIT = sct.tl.Edit.remove(mark="H3K4me3")
GENE = "SIM0007"
RAW_CALLS: dict[str, Callable[[ad.AnnData], object]] = {
    "normalize": lambda adata: sct.pp.normalize(adata),
    "normalize a copy": lambda adata: sct.pp.normalize(adata, copy=True),
    "normalize by quantiles": lambda adata: sct.pp.normalize(adata, method="quantile", copy=True),
    "subtract_control": lambda adata: sct.pp.subtract_control(adata, _raw(), copy=True),
    "stack": lambda adata: sct.pp.stack_cell_types({"A": adata, "B": _raw()}),
    "qc": lambda adata: sct.pp.qc(adata),
    "split": lambda adata: sct.pp.split_by_chromosome(adata),
    "label": lambda adata: sct.pp.label_expression(adata),
    "tss_neighbors": lambda adata: sct.pp.tss_neighbors(adata, n_neighbors=3),
}
CALLS: dict[str, Callable[[ad.AnnData, sct.SimpleChrome], object]] = {
    "train": lambda adata, _: sct.SimpleChrome(adata, n_latent=2, n_hidden=8).train(
        latent_epochs=1, expression_epochs=1, progress=False
    ),
    "predict": lambda adata, model: model.predict(adata),
    "latents": lambda adata, model: model.get_latent_representation(adata),
    "evaluate": lambda adata, model: model.evaluate(adata, splits=["train"], n_bootstrap=0),
    "ComparisonModel": lambda adata, _: sct.evaluation.LogisticRegression().fit(adata).predict(adata),
    "attribute": lambda adata, model: sct.tl.attribute(
        adata, model, genes=[GENE], baseline="low", n_steps=2, progress=False
    ),
    "interactions": lambda adata, model: sct.tl.interactions(adata, model, genes=[GENE], progress=False),
    "explain_genes": lambda adata, model: explain_genes(adata, model, GENE),
    "apply_edits": lambda adata, _: sct.tl.apply_edits(adata, EDIT, genes=GENE),
    "perturb": lambda adata, model: sct.tl.perturb(adata, model, EDIT, genes=GENE, progress=False),
    "name_states": lambda adata, _: sct.tl.name_states(adata, groupby="label"),
    "region": lambda adata, _: sct.get.region(adata, "tss"),
    "mark_profiles": lambda adata, _: sct.get.mark_profiles(adata),
    "states": lambda adata, _: sct.get.states(adata),
    "neighborhood": lambda adata, _: sct.get.neighborhood(adata, GENE, neighbors_key="tss"),
    "neighbors": lambda adata, _: sct.get.neighbors(adata, genes=GENE),
    "nearest_genes": lambda adata, _: sct.get.nearest_genes(adata, GENE),
}
KINDS = {
    "csr_matrix": DENSE,
    "csc_matrix": DENSE,
    "csr_array": DENSE,
    "float64": WORKS,
    "whole numbers": "X that is not what its signal is normalised to",
    "unsigned": "X that is not what its signal is normalised to",
    "Fortran": WORKS,
    "objects": r"X holds values of type object; expected numbers: adata\.X = adata\.X\.astype\('float32'\)",
    "masked": r"X is MaskedArray; expected a dense array of numbers: adata\.X = adata\.X\.filled\(0\)",
    "none": "[Ss]tart from the AnnData as it was read",
    "view": WORKS,
    "backed": IN_MEMORY,
    "backed view": IN_MEMORY,
    "backed sparse": rf"{IN_MEMORY}|{DENSE}",
}
"""Kind of ``X`` -> what a call that does not work says."""


def _said(call: Callable[[], object]) -> str:
    """Return what a call says where it does not work; nothing where it does."""
    try:
        with warnings.catch_warnings():
            # AnnData says this of every view that is written to
            warnings.filterwarnings("ignore", message="Trying to modify attribute")
            call()
    except ValueError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("kind", KINDS)
def test_every_call_works_or_names_the_fix(
    kind: str, raw: ad.AnnData, normal: ad.AnnData, model: sct.SimpleChrome, tmp_path: Path
):
    works = {}
    for calls, source, others in ((RAW_CALLS, raw, ()), (CALLS, normal, (model,))):
        for name, call in calls.items():
            adata = _converted(kind, source, tmp_path)
            said = _said(lambda call=call, adata=adata, others=others: call(adata, *others))
            assert not said or (KINDS[kind] and re.search(KINDS[kind], said)), f"{name}: {said}"
            works[name] = not said
            if adata.isbacked:
                adata.file.close()
    of_tables = {"split", "label", "tss_neighbors"} - ({"split", "label", "tss_neighbors"} if "view" in kind else set())
    assert all(works[name] for name in of_tables)
    assert works["normalize"] == (kind in {"float64", "whole numbers", "unsigned", "Fortran", "view"})
    assert works["predict"] == (KINDS[kind] == WORKS or kind in {"whole numbers", "unsigned", "backed", "backed view"})


@pytest.mark.parametrize("kind", ["float64", "Fortran", "view"])
def test_the_values_are_those_of_float32_in_memory(
    kind: str, raw: ad.AnnData, normal: ad.AnnData, model: sct.SimpleChrome, tmp_path: Path
):
    adata = _converted(kind, raw, tmp_path)
    sct.pp.normalize(adata)
    np.testing.assert_array_equal(adata.X, normal.X)
    assert adata.X.dtype == np.float32
    prediction = model.predict(_converted(kind, normal, tmp_path))
    np.testing.assert_array_equal(prediction.to_numpy(), model.predict(normal).to_numpy())


def test_backed_data_are_predicted_as_in_memory(normal: ad.AnnData, model: sct.SimpleChrome, tmp_path: Path):
    backed = _converted("backed", normal, tmp_path)
    np.testing.assert_array_equal(model.predict(backed).to_numpy(), model.predict(normal).to_numpy())
    small = sct.get.neighborhood(backed, GENE, neighbors_key="tss")
    assert not small.isbacked
    backed.file.close()


def test_a_sparse_layer_is_named(normal: ad.AnnData):
    adata = normal.copy()
    adata.layers["signal"] = sparse.csr_matrix(adata.layers["signal"])
    for call in (sct.pp.qc, sct.get.mark_profiles, lambda adata: sct.tl.apply_edits(adata, EDIT, genes=GENE)):
        with pytest.raises(ValueError, match=r"layers\['signal'\] is csr_matrix; .*adata\.layers\['signal'\]\.toarray"):
            call(adata)


def test_what_float32_cannot_hold_is_refused_as_infinite(raw: ad.AnnData):
    adata = raw.copy()
    adata.X = adata.X.astype(float)
    adata.X[3, 2] = 1e300
    with pytest.raises(ValueError, match="X holds 1 missing or infinite values, the first for gene"):
        sct.pp.normalize(adata)


def test_whole_numbers_are_normalised_as_their_floats(raw: ad.AnnData):
    whole, floats = raw.copy(), raw.copy()
    whole.X = np.round(raw.X).astype(np.uint16)
    floats.X = np.round(raw.X)
    sct.pp.normalize(whole)
    sct.pp.normalize(floats)
    np.testing.assert_array_equal(whole.X, floats.X)


@pytest.mark.parametrize("name", ["predict", "neighborhood", "region", "perturb"])
def test_lazy_data_are_told_to_come_to_memory(name: str, normal: ad.AnnData, model: sct.SimpleChrome, tmp_path: Path):
    pytest.importorskip("dask")
    pytest.importorskip("xarray")
    normal.write_h5ad(tmp_path / "a.h5ad")
    lazy = ad.experimental.read_lazy(tmp_path / "a.h5ad")
    with pytest.raises(ValueError, match=rf"adata is lazy.*{IN_MEMORY} first"):
        CALLS[name](lazy, model)
    CALLS[name](lazy.to_memory(), model)


def test_dask_is_told_to_come_to_memory(normal: ad.AnnData, model: sct.SimpleChrome):
    array = pytest.importorskip("dask.array")
    adata = normal.copy()
    adata.X = array.from_array(adata.X)
    with pytest.raises(ValueError, match=rf"X is Array; .*{IN_MEMORY} first"):
        model.predict(adata)
    np.testing.assert_array_equal(model.predict(adata.to_memory()).to_numpy(), model.predict(normal).to_numpy())
