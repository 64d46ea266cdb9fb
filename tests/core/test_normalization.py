"""The record of a normalisation: read for the columns that are there, refused where it is lost or damaged."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pytest

import simplechrome_tk as sct
from simplechrome_tk.core.normalization import normalization

WINDOWS = [
    sct.pp.Window("tss", anchor="tss", upstream=5_000, downstream=5_000, n_bins=10),
    sct.pp.Window("body", anchor="body", upstream=0, downstream=0, n_bins=4),
]
QUICK = {"latent_epochs": 1, "expression_epochs": 1, "progress": False}


@pytest.fixture(scope="module")
def _normal() -> ad.AnnData:
    adata = sct.datasets.simulate(138, marks=("H3K4me3", "H3K36me3", "H3K27me3"), windows=WINDOWS)
    sct.pp.split_by_chromosome(adata)
    sct.pp.normalize(adata)
    return adata


@pytest.fixture
def normal(_normal: ad.AnnData) -> ad.AnnData:
    return _normal.copy()


@pytest.mark.parametrize("method", ["log1p", "quantile", "paper"])
def test_columns_left_out_since_are_left_out_of_the_constants(normal: ad.AnnData, method: str):
    raw = normal.copy()
    raw.X = raw.layers.pop("signal")
    del raw.uns["normalize"]
    sct.pp.normalize(raw, method=method)
    few = raw[:, (raw.var["mark"] != "H3K36me3") & (raw.var["bin"] != 0)].copy()
    constants, record = normalization(few), raw.uns["normalize"]
    kept = np.array([0, 2, 3, 5])
    assert list(zip(constants["region"], constants["mark"], strict=True)) == [
        ("tss", "H3K4me3"),
        ("tss", "H3K27me3"),
        ("body", "H3K4me3"),
        ("body", "H3K27me3"),
    ]
    for key in set(constants) - {"method"}:
        np.testing.assert_array_equal(constants[key], np.asarray(record[key])[kept])
    other = raw[:, raw.var["region"] == "body"].copy()
    assert normalization(other)["region"].tolist() == ["body"] * 3


def test_a_model_of_a_subset_of_columns_trains_predicts_and_is_edited(normal: ad.AnnData, tmp_path):
    few = normal[:, normal.var["mark"] != "H3K36me3"].copy()
    model = sct.SimpleChrome(few, n_latent=2, n_hidden=8, device="cpu")
    model.train(**QUICK)
    sct.tl.perturb(few, model, sct.tl.Edit.remove(mark="H3K27me3"), progress=False)
    edited = sct.tl.apply_edits(few, sct.tl.Edit.remove(mark="H3K27me3"), copy=True)
    np.testing.assert_allclose(few.uns["perturb"]["probability_after"], model.predict(edited)["probability"], rtol=1e-5)
    none = -few.uns["normalize"]["center"][2] / few.uns["normalize"]["scale"][2]
    np.testing.assert_allclose(sct.get.region(edited, "tss")[:, 1], none, rtol=1e-5)
    model.save(tmp_path / "model")
    again = sct.SimpleChrome.load(tmp_path / "model", few)
    np.testing.assert_array_equal(again.predict().to_numpy(), model.predict().to_numpy())
    raw = normal[:, normal.var["mark"] != "H3K36me3"].copy()
    raw.X = raw.layers.pop("signal")
    del raw.uns["normalize"]
    sct.pp.normalize(raw, reference=model.normalization)
    np.testing.assert_array_equal(model.predict(raw).to_numpy(), model.predict().to_numpy())


@pytest.mark.parametrize("key", ["method", "region", "mark", "center", "scale"])
def test_a_record_without_a_key_says_which(normal: ad.AnnData, key: str):
    model = sct.SimpleChrome(normal, n_latent=2, n_hidden=8, device="cpu")
    del normal.uns["normalize"][key]
    message = rf"uns\['normalize'\] has no '{key}'"
    for call in (
        lambda: sct.SimpleChrome(normal),
        lambda: model.read(normal),
        lambda: sct.tl.apply_edits(normal, sct.tl.Edit.remove()),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(ValueError, match=f"reference has no '{key}'"):
        sct.pp.normalize(_raw_of(normal), reference=normal.uns["normalize"])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("method", "zscore"),
        ("center", np.full(6, np.nan)),
        ("scale", np.zeros(6)),
        ("scale", np.array([-1.0] * 6)),
        ("scale", np.ones(5)),
        ("scale", 1.0),
        ("center", np.array(["a"] * 6)),
        ("mark", np.array(["H3K4me3"] * 5)),
    ],
)
def test_a_damaged_record_says_where(normal: ad.AnnData, key: str, value: object):
    normal.uns["normalize"][key] = value
    with pytest.raises(ValueError, match=rf"uns\['normalize'\].*{key}.*normalise the raw signal again"):
        sct.SimpleChrome(normal)


def test_a_record_that_is_none_or_of_other_marks(normal: ad.AnnData):
    normal.var["mark"] = normal.var["mark"].astype(str).str.replace("H3K27me3", "H3K9me3")
    with pytest.raises(ValueError, match=r"H3K9me3:tss, H3K9me3:body \(2 of 6"):
        sct.SimpleChrome(normal)
    normal.uns["normalize"] = "log1p"
    with pytest.raises(ValueError, match=r"uns\['normalize'\] is str"):
        sct.SimpleChrome(normal)


def test_concatenated_with_defaults_says_how_to_concatenate(normal: ad.AnnData):
    model = sct.SimpleChrome(normal, n_latent=2, n_hidden=8, device="cpu")
    model.train(**QUICK)
    first, second = normal[:60], normal[60:]
    lost = ad.concat([first, second])
    with pytest.raises(ValueError, match=r"no column region, mark.*merge='same', uns_merge='same'"):
        sct.SimpleChrome(lost)
    with pytest.raises(ValueError, match=r"uns\['normalize'\].* is not: ad\.concat"):
        model.predict(lost)
    lost.var = normal.var
    for call in (
        lambda: model.predict(lost),
        lambda: sct.SimpleChrome(lost),
        lambda: sct.pp.normalize(lost),
        lambda: sct.pp.qc(lost),
        lambda: sct.pp.stack_cell_types({"A": lost}),
        lambda: sct.evaluation.MLP().fit(lost),
        lambda: sct.tl.attribute(lost, model.module.first, progress=False),
    ):
        with pytest.raises(ValueError, match=r"ad\.concat .*uns_merge='same'.*stack_cell"):
            call()
    kept = ad.concat([first, second], merge="same", uns_merge="same")
    np.testing.assert_array_equal(model.predict(kept).to_numpy(), model.predict(normal).to_numpy())


def test_lost_windows_are_said_where_they_matter(normal: ad.AnnData, caplog: pytest.LogCaptureFixture):
    assert sct.SimpleChrome(normal).settings.gene_length
    assert not caplog.text
    del normal.uns["windows"]
    assert not sct.SimpleChrome(normal).settings.gene_length
    assert "uns['windows'] does not describe the windows of 'tss', 'body'" in caplog.text
    assert "adata.uns['windows'] = other.uns['windows']" in caplog.text
    normal.uns["windows"] = {"tss": "tss"}
    with pytest.raises(ValueError, match=r"uns\['windows'\] is dict"):
        sct.SimpleChrome(normal)


def _raw_of(normal: ad.AnnData) -> ad.AnnData:
    raw = normal.copy()
    raw.X = raw.layers.pop("signal")
    del raw.uns["normalize"]
    return raw
