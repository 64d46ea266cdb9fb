"""The map of the latent space: what it writes, that it repeats, and what it refuses."""

from __future__ import annotations

import logging
import random
from importlib.util import find_spec

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pytest
import scanpy as sc
import torch
from sklearn.manifold import trustworthiness

import simplechrome_tk as sct
from simplechrome_tk.core import keys as k
from simplechrome_tk.tl.latent._embed import _write

WINDOWS = [sct.pp.Window("tss", anchor="tss", upstream=2_000, downstream=2_000, n_bins=8)]
KEYS = k.MapKeys.of(k.EMBEDDING)
INSTALLED = find_spec("torchdr") is not None


@pytest.fixture(scope="module")
def adata() -> ad.AnnData:
    adata = sct.datasets.simulate(600, windows=WINDOWS)
    sct.pp.split_by_chromosome(adata)
    sct.pp.normalize(adata)
    return adata


@pytest.fixture(scope="module")
def model(adata: ad.AnnData) -> sct.SimpleChrome:
    model = sct.SimpleChrome(adata, n_latent=6, device="cpu")
    model.train(latent_epochs=3, expression_epochs=2, progress=False)
    return model


@pytest.fixture(scope="module")
def mapped(adata: ad.AnnData, model: sct.SimpleChrome) -> ad.AnnData:
    mapped = adata.copy()
    sct.tl.embed(mapped, model, device="cpu", n_neighbors=9)
    return mapped


@pytest.mark.filterwarnings("ignore:The set_bad function:PendingDeprecationWarning")  # scanpy's call of matplotlib
def test_scanpy_reads_what_it_writes(adata: ad.AnnData, model: sct.SimpleChrome, mapped: ad.AnnData):
    np.testing.assert_array_equal(mapped.obsm["X_simplechrome"], model.get_latent_representation(adata))
    assert mapped.obsm["X_simplechrome_umap"].shape == (600, 2)
    assert (np.diff(mapped.obsp["simplechrome_distances"].indptr) == 9).all()
    assert mapped.obs["simplechrome_leiden"].nunique() > 1
    assert mapped.uns["simplechrome"]["params"]["use_rep"] == "X_simplechrome"
    record = mapped.uns["simplechrome"]["embed"]
    assert (record["backend"], record["device"], record["n_neighbors"]) == ("scanpy", "cpu", 9)
    assert record["version"].startswith("umap-learn ")
    assert trustworthiness(mapped.obsm["X_simplechrome"], mapped.obsm["X_simplechrome_umap"], n_neighbors=9) > 0.85
    mapped.layers["log"] = np.log1p(mapped.layers["signal"])
    sc.tl.rank_genes_groups(mapped, "simplechrome_leiden", layer="log", method="t-test")
    assert sc.pl.embedding(mapped, "simplechrome_umap", color="simplechrome_leiden", show=False) is not None
    plt.close("all")


def test_same_seed_same_map_and_random_state_left_alone(
    adata: ad.AnnData, model: sct.SimpleChrome, mapped: ad.AnnData, caplog: pytest.LogCaptureFixture
):
    again = adata.copy()
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
    with caplog.at_level(logging.INFO):
        sct.tl.embed(again, model, device="cpu", n_neighbors=9)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.get_num_threads() == 1, "as the tests set it"
    assert (np.random.get_state()[1].tolist(), random.getstate()) == before[1:]  # noqa: NPY002
    np.testing.assert_array_equal(again.obsm["X_simplechrome_umap"], mapped.obsm["X_simplechrome_umap"])
    assert (again.obs["simplechrome_leiden"] == mapped.obs["simplechrome_leiden"]).all()
    assert "UMAP by scanpy (umap-learn" in caplog.text
    assert "neighbours by torch on cpu" in caplog.text


def test_the_record_can_be_written(mapped: ad.AnnData, tmp_path):
    mapped.write_h5ad(tmp_path / "mapped.h5ad")
    assert ad.read_h5ad(tmp_path / "mapped.h5ad").uns["simplechrome"]["embed"]["resolution"] == 1.0


def test_forty_thousand_genes(adata: ad.AnnData):
    """More than 8,192 rows take other paths in scanpy than few do."""
    many = ad.AnnData(np.tile(adata.X, (67, 1))[:40_000], var=adata.var)
    rng = np.random.default_rng(0)
    many.X += 0.3 * rng.standard_normal(many.shape).astype(np.float32)
    many.uns["normalize"] = adata.uns["normalize"]
    model = sct.SimpleChrome(adata, n_latent=32, device="cpu")
    model.train(latent_epochs=1, expression_epochs=1, progress=False)
    sct.tl.embed(many, model, device="cpu", n_neighbors=4)
    assert np.isfinite(many.obsm["X_simplechrome_umap"]).all()
    assert many.obsp["simplechrome_distances"].shape == (40_000, 40_000)


@pytest.mark.skipif(not INSTALLED, reason="needs torchdr (extra gpu)")
@pytest.mark.filterwarnings("ignore::ImportWarning")  # torchdr's, which would search neighbours by FAISS
@pytest.mark.parametrize(
    "device",
    ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA"))],
)
def test_torchdr_keeps_neighbours_as_well(adata: ad.AnnData, model: sct.SimpleChrome, device: str):
    mapped, before = adata.copy(), torch.get_rng_state()
    sct.tl.embed(mapped, model, backend="torchdr", device=device, n_neighbors=9)
    assert torch.equal(torch.get_rng_state(), before)
    assert mapped.uns["simplechrome"]["embed"]["backend"] == "torchdr"
    assert trustworthiness(mapped.obsm["X_simplechrome"], mapped.obsm["X_simplechrome_umap"], n_neighbors=9) > 0.85


@pytest.mark.skipif(INSTALLED, reason="torchdr is installed")
def test_a_backend_that_is_not_installed_names_the_install_line(adata: ad.AnnData, model: sct.SimpleChrome):
    with pytest.raises(ModuleNotFoundError, match=r"pip install torchdr"):
        sct.tl.embed(adata.copy(), model, backend="torchdr", device="cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA")
def test_cuda_that_is_not_there(adata: ad.AnnData, model: sct.SimpleChrome):
    with pytest.raises(ValueError, match="has no cuda device"):
        sct.tl.embed(adata.copy(), model, device="cuda")


def test_unknown_backend_lists_the_choices(adata: ad.AnnData, model: sct.SimpleChrome):
    with pytest.raises(ValueError, match="backend is 'cuml'"):
        sct.tl.embed(adata.copy(), model, backend="cuml")


@pytest.mark.parametrize(("n", "fix"), [(1, "Add more genes"), (12, "Set n_neighbors=10")])
def test_fewer_genes_than_neighbours(adata: ad.AnnData, model: sct.SimpleChrome, n: int, fix: str):
    with pytest.raises(ValueError, match=rf"n_neighbors is 14 for {n} genes.*{fix}"):
        sct.tl.embed(adata[:n].copy(), model, device="cpu")


def test_missing_signal_is_refused(adata: ad.AnnData, model: sct.SimpleChrome):
    broken = adata.copy()
    broken.X[3, 2] = np.nan
    with pytest.raises(ValueError, match=f"X holds 1 missing.*{adata.obs_names[3]}"):
        sct.tl.embed(broken, model, device="cpu")
    assert "X_simplechrome_umap" not in broken.obsm


def test_missing_latents_are_refused(mapped: ad.AnnData):
    broken = mapped.copy()
    broken.obsm["X_simplechrome"][3, 2] = np.nan
    with pytest.raises(ValueError, match=f"1 of 600 genes.*{mapped.obs_names[3]}"):
        sct.get.latent_information(broken)


def test_constant_latents_are_refused(adata: ad.AnnData, model: sct.SimpleChrome):
    alike = adata.copy()
    alike.X[:] = alike.X[0]
    with pytest.raises(ValueError, match="the same for all 600 genes"):
        sct.tl.embed(alike, model, device="cpu")


def test_the_default_slots_of_scanpy_stay_as_they_are(adata: ad.AnnData, model: sct.SimpleChrome):
    own = adata.copy()
    own.obsm["X_umap"] = np.zeros((600, 2))
    own.obs["leiden"] = "0"
    own.uns["neighbors"] = {"made by": "scanpy"}
    sct.tl.embed(own, model, device="cpu")
    assert (own.obsm["X_umap"] == 0).all()
    assert (own.obs["leiden"] == "0").all()
    assert own.uns["neighbors"] == {"made by": "scanpy"}


@pytest.mark.filterwarnings("ignore:The set_bad function:PendingDeprecationWarning")  # scanpy's call of matplotlib
def test_the_default_slots_of_scanpy_are_written_where_asked(
    adata: ad.AnnData, model: sct.SimpleChrome, mapped: ad.AnnData
):
    own = sct.tl.embed(adata, model, key_added=None, device="cpu", n_neighbors=9, copy=True)
    assert "X_umap" not in adata.obsm
    np.testing.assert_array_equal(own.obsm["X_umap"], mapped.obsm["X_simplechrome_umap"])
    assert (own.obs["leiden"] == mapped.obs["simplechrome_leiden"]).all()
    assert {"distances", "connectivities"} <= set(own.obsp)
    assert {"neighbors", "umap", "leiden"} <= set(own.uns)
    assert sc.pl.umap(own, color="leiden", show=False) is not None
    sct.tl.place(few := adata[:5].copy(), own, model, key=None, device="cpu")
    assert "X_umap" in few.obsm
    plt.close("all")


def test_two_maps_stand_beside_each_other(mapped: ad.AnnData, other: sct.SimpleChrome):
    both = mapped.copy()
    sct.tl.embed(both, other, key_added="second", device="cpu", n_neighbors=9)
    np.testing.assert_array_equal(both.obsm["X_simplechrome_umap"], mapped.obsm["X_simplechrome_umap"])
    assert not np.allclose(both.obsm["X_second"], both.obsm["X_simplechrome"])
    nearest = sct.get.nearest_genes(both, both.obs_names[0], key="second")
    assert "second_leiden" in nearest
    with pytest.raises(ValueError, match="key_added='third'"):
        sct.get.nearest_genes(both, both.obs_names[0], key="third")


@pytest.mark.parametrize("key", ["normalize", "tss"])
def test_a_map_never_replaces_something_else(adata: ad.AnnData, model: sct.SimpleChrome, key: str):
    linked = sct.pp.tss_neighbors(adata, n_neighbors=3, copy=True)
    with pytest.raises(ValueError, match=rf"key_added is '{key}'.*holds something else"):
        sct.tl.embed(linked, model, key_added=key)


def test_states_of_earlier_clusters_are_removed(
    mapped: ad.AnnData, model: sct.SimpleChrome, caplog: pytest.LogCaptureFixture
):
    again = mapped.copy()
    sct.tl.name_states(again)
    sct.tl.name_states(again, groupby=None, key_added="own")
    sct.tl.embed(again, model, device="cpu", n_neighbors=9)
    assert "state" not in again.obs
    assert "state" not in again.uns
    assert "own" in again.obs, "named by each gene's own marks, which have not changed"
    assert "run it again" in caplog.text


@pytest.fixture(scope="module")
def other(adata: ad.AnnData) -> sct.SimpleChrome:
    other = sct.SimpleChrome(adata, n_latent=6, rng=7, device="cpu")
    other.train(latent_epochs=1, expression_epochs=1, progress=False)
    return other


@pytest.mark.parametrize("step", ["umap", "leiden"])
def test_what_fails_or_is_interrupted_leaves_map_and_threads_as_they_were(
    mapped: ad.AnnData, other: sct.SimpleChrome, state, monkeypatch: pytest.MonkeyPatch, step: str
):
    again, before = mapped.copy(), state(mapped)

    def interrupt(*_: object, **__: object) -> None:
        torch.set_num_threads(2)
        raise KeyboardInterrupt

    threads = torch.get_num_threads()
    monkeypatch.setattr(sc.tl, step, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            sct.tl.embed(again, other, device="cpu", n_neighbors=9)
        assert step == "leiden" or torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(threads)
    assert state(again) == before


def test_an_interrupt_while_a_map_is_written_leaves_the_old_or_the_new(
    mapped: ad.AnnData, adata: ad.AnnData, other: sct.SimpleChrome, interrupted, state
):
    aside = mapped[::-1].copy()
    aside.obs_names = mapped.obs_names
    small, aside = mapped[:40].copy(), aside[:40].copy()
    new = small.copy()
    _write(new, aside, KEYS)
    states = state(small), state(new)
    line = 0
    while True:
        again = small.copy()
        if not interrupted(lambda again=again: _write(again, aside, KEYS), line):
            break
        assert state(again) in states, line
        line += 1
    assert line > 30


def test_genes_are_not_placed_on_the_map_of_another_model(
    mapped: ad.AnnData, adata: ad.AnnData, model: sct.SimpleChrome, other: sct.SimpleChrome
):
    new = adata[:20].copy()
    sct.tl.place(new, mapped[100:].copy(), model, device="cpu")
    mixed = mapped.copy()
    mixed.obsm["X_simplechrome"] = other.get_latent_representation(adata)
    with pytest.raises(ValueError, match=r"another model"):
        sct.tl.place(new, mixed, other, device="cpu")
    with pytest.raises(ValueError, match=r"obsm\['X_simplechrome'\] is not of this model"):
        sct.tl.place(new, mixed, model, device="cpu")
    del mixed.uns["simplechrome"]["embed"]
    with pytest.raises(ValueError, match="does not say which model made it"):
        sct.tl.place(new, mixed, other, device="cpu")


def test_placing_replaces_a_map_of_its_own_and_the_graph_with_it(
    mapped: ad.AnnData, model: sct.SimpleChrome, interrupted, state, caplog: pytest.LogCaptureFixture
):
    new = mapped[:40].copy()
    with caplog.at_level(logging.INFO):
        sct.tl.place(new, mapped, model, device="cpu")
    assert not new.uns.keys() & {"simplechrome", "X_simplechrome_umap", "simplechrome_leiden"}
    assert not set(new.obsp) & {"simplechrome_distances", "simplechrome_connectivities"}
    assert "is replaced, its neighbour graph removed" in caplog.text
    with pytest.raises(ValueError, match="does not say which model made it"):
        sct.tl.place(mapped[:5].copy(), new, model, device="cpu")
    states = state(mapped[:40]), state(new)
    for line in (5, 15, 25, 35, 45):
        again = mapped[:40].copy()
        interrupted(lambda again=again: sct.tl.place(again, mapped, model, device="cpu"), line)
        assert state(again) in states, line
    sct.tl.embed(new, model, device="cpu", n_neighbors=9)
    assert "placed_far" not in new.obs
