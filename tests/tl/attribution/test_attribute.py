"""Attributions: exact on linear models, equal to Captum's where a shortcut is taken, and honest about their error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import torch

import simplechrome_tk as sct
from simplechrome_tk.tl.attribution._baselines import reference
from simplechrome_tk.tl.attribution._methods import along_path
from simplechrome_tk.tl.attribution._target import Among, explained, frozen

if TYPE_CHECKING:
    from pathlib import Path

    import anndata as ad

QUICK = {"latent_epochs": 2, "expression_epochs": 3, "progress": False}
QUIET = {"progress": False}


@pytest.fixture(scope="module")
def simulated() -> ad.AnnData:
    adata = sct.datasets.simulate(600)
    sct.pp.split_by_chromosome(adata)
    sct.pp.normalize(adata)
    sct.pp.tss_neighbors(adata, n_neighbors=4)
    return adata


@pytest.fixture
def adata(simulated: ad.AnnData) -> ad.AnnData:
    return simulated.copy()


@pytest.fixture(scope="module")
def alone(simulated: ad.AnnData) -> sct.SimpleChrome:
    model = sct.SimpleChrome(simulated, n_latent=8, n_models=2)
    model.train(**QUICK)
    return model


@pytest.fixture(scope="module")
def among(simulated: ad.AnnData) -> sct.SimpleChrome:
    model = sct.SimpleChrome(simulated, n_latent=8, n_models=2, neighbors_key="tss")
    model.train(**QUICK)
    return model


@pytest.fixture
def linear(simulated: ad.AnnData) -> torch.nn.Linear:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return torch.nn.Linear(simulated.n_vars, 1)


def layer(adata: ad.AnnData, rows: np.ndarray | slice) -> np.ndarray:
    return adata.layers["attribution"][rows]


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("integrated_gradients", {"n_steps": 3}),
        ("integrated_gradients", {"n_steps": 3, "baseline": "matched"}),
        ("deep_lift", {"baseline": "low"}),
        ("gradient_shap", {"n_steps": 2}),
        ("occlusion", {}),
        ("feature_ablation", {"baseline": "low"}),
    ],
)
def test_exact_on_a_linear_model(adata, linear, method, options):
    sct.tl.attribute(adata, linear, genes=adata.obs_names[:9], method=method, **options, **QUIET)
    start = reference(adata, options.get("baseline", "zero"))
    expected = (adata.X[:9] - start.of_genes(np.arange(9))) * linear.weight.detach().numpy()
    np.testing.assert_allclose(layer(adata, slice(9)), expected, atol=1e-4)
    np.testing.assert_allclose(adata.obs["attribution_total"].iloc[:9], expected.sum(axis=1), atol=1e-3)
    assert np.isnan(layer(adata, slice(9, None))).all(), "genes that were not asked for"
    assert adata.obs["attribution_total"].iloc[9:].isna().all()
    assert "attribution_neighbors" not in adata.obsp


def test_a_distribution_of_baselines_is_averaged(adata, linear):
    sct.tl.attribute(
        adata, linear, genes=adata.obs_names[:3], method="gradient_shap", baseline="matched", n_steps=4_000, **QUIET
    )
    start = reference(adata, "matched")
    for row in range(3):
        expected = (adata.X[row] - start.draws(row).mean(axis=0)) * linear.weight.detach().numpy()[0]
        np.testing.assert_allclose(layer(adata, row), expected, atol=0.02)


@pytest.mark.parametrize("target", ["logit", "log_expression"])
@pytest.mark.parametrize("baseline", ["zero", "matched"])
def test_neighbours_as_captum_attributes_them(adata, among, target, baseline):
    """The shortcut encodes every gene once a step; Captum's own path over all inputs is the oracle."""
    rows = np.array([5, 6, 300, 599])
    sct.tl.attribute(
        adata, among, genes=adata.obs_names[rows], target=target, baseline=baseline, n_steps=20, batch_size=3, **QUIET
    )
    what = explained(among, adata, target)
    batch = what.batch(rows, reference(adata, baseline))
    with frozen(what.networks):
        parts = [
            along_path(
                Among(net, what.read),
                batch.inputs(batch.x),
                batch.inputs(batch.baseline),
                batch.fixed,
                n_steps=20,
                at_once=64,
            )
            for net in what.networks
        ]
    own, heard = (torch.stack(part).mean(dim=0).detach().cpu().numpy() for part in zip(*parts, strict=True))
    np.testing.assert_allclose(layer(adata, rows), own, atol=1e-5)
    found = adata.obsp["attribution_neighbors"][rows].toarray()
    for row, neighbors, effects in zip(found, among.read(adata).graph.index[rows], heard.sum(axis=2), strict=True):
        np.testing.assert_allclose(row[neighbors], effects, atol=1e-5)
        assert np.count_nonzero(row) <= 4
    detail = sct.tl.attribute_neighbors(
        adata, among, adata.obs_names[rows], target=target, baseline=baseline, n_steps=20, batch_size=10, **QUIET
    )
    np.testing.assert_allclose(detail.X, heard.reshape(-1, adata.n_vars), atol=1e-5)
    first = detail.obs.iloc[0]
    assert first["gene"] == adata.obs_names[5]
    assert first["distance_bp"] == adata.obsp["tss_distances"][5, adata.obs_names.get_loc(first["neighbor"])]


def test_total_is_the_prediction_less_that_without_signal(adata, alone, among):
    """Through the whole pipeline: signal set to 0, normalised with the model's constants, predicted."""
    adata = adata[:200].copy()
    sct.pp.tss_neighbors(adata, n_neighbors=4)
    silent = adata.copy()
    silent.X = np.zeros_like(silent.X)
    del silent.uns["normalize"], silent.layers["signal"]
    sct.pp.normalize(silent, reference=alone.normalization)
    for model in (alone, among):
        difference = model.predict(adata) - model.predict(silent)
        sct.tl.attribute(adata, model, target="log_expression", n_steps=30, **QUIET)
        np.testing.assert_allclose(adata.obs["attribution_total"], difference["log_expression"], atol=1e-5)
        assert adata.uns["attribution"]["unit"] == "log10(simulated RPKM + 0.1)"
        probabilities = [model.predict(data)["probability"].to_numpy(float) for data in (adata, silent)]
        with_signal, without = (np.log(p / (1 - p)) for p in probabilities)
        sct.tl.attribute(adata, model, n_steps=30, **QUIET)
        np.testing.assert_allclose(adata.obs["attribution_total"], with_signal - without, rtol=1e-3, atol=1e-3)
        error = adata.obs["attribution_error"]
        assert error.median() < 0.01
        assert error.quantile(0.99) < 0.05
        neighbors = adata.obsp["attribution_neighbors"].sum(axis=1) if model is among else 0
        total = layer(adata, slice(None)).sum(axis=1) + np.ravel(neighbors)
        np.testing.assert_allclose(total, adata.obs["attribution_total"], atol=1e-3)


def test_a_latent_is_reached_by_own_marks_alone(adata, among):
    sct.tl.attribute(adata, among, target="latent:2", n_steps=30, **QUIET)
    latent = among.get_latent_representation(adata)[:, 2]
    silent = adata.copy()
    silent.X = np.tile(reference(adata, "zero").marks, (adata.n_obs, 1))
    without = among.get_latent_representation(silent)[:, 2]
    np.testing.assert_allclose(adata.obs["attribution_total"], latent - without, atol=1e-5)
    np.testing.assert_allclose(layer(adata, slice(None)).sum(axis=1), latent - without, atol=1e-3)
    assert "attribution_neighbors" not in adata.obsp


def test_batches_do_not_matter(adata, among):
    other = adata.copy()
    sct.tl.attribute(adata, among, genes=adata.obs_names[::9], n_steps=5, batch_size=7, **QUIET)
    sct.tl.attribute(other, among, genes=adata.obs_names[::9], n_steps=5, **QUIET)
    np.testing.assert_allclose(adata.layers["attribution"], other.layers["attribution"], atol=1e-5)
    difference = adata.obsp["attribution_neighbors"] - other.obsp["attribution_neighbors"]
    assert abs(difference).max() < 1e-5


@pytest.mark.parametrize("model", ["alone", "among"])
def test_occlusion_is_what_the_prediction_loses(adata, request, model):
    model = request.getfixturevalue(model)
    genes = adata.obs_names[:5]
    start = reference(adata, "zero").marks[0]
    for method, by, lost in (
        ("occlusion", "region", adata.var["region"] == "tss"),
        ("occlusion", "mark", (adata.var["region"] == "body") & (adata.var["mark"] == "H3K36me3")),
        ("feature_ablation", "mark", adata.var["mark"] == "H3K36me3"),
        ("feature_ablation", np.arange(adata.n_vars) % 7, np.arange(adata.n_vars) % 7 == 3),
    ):
        sct.tl.attribute(
            adata, model, genes=genes, target="log_expression", method=method, by=by, batch_size=16, **QUIET
        )
        lost = np.flatnonzero(lost)
        before = model.predict(adata)["log_expression"]
        for row in range(5):
            edited = adata.copy()
            edited.X[row, lost] = start[lost]
            change = before.iloc[row] - model.predict(edited)["log_expression"].iloc[row]
            np.testing.assert_allclose(layer(adata, row)[lost].sum(), change, atol=1e-5)
            assert np.ptp(layer(adata, row)[lost]) < 1e-6, "shared equally"
    if model.settings.neighbors_key is None:
        return
    neighbor = adata.obsp["tss_connectivities"][0].indices[0]
    edited = adata.copy()
    edited.X[neighbor] = start
    change = before.iloc[0] - model.predict(edited)["log_expression"].iloc[0]
    np.testing.assert_allclose(adata.obsp["attribution_neighbors"][0, neighbor], change, atol=1e-5)


def test_goes_on_where_it_was_interrupted(adata, among, monkeypatch):
    whole = adata.copy()
    sct.tl.attribute(whole, among, genes=adata.obs_names[:60], n_steps=4, **QUIET)
    module = sct.tl.attribution._attribute
    computed: list[int] = []
    original = module._Result.add

    def add(self, what, how, start, rows):
        if len(computed) == 2:
            raise KeyboardInterrupt
        computed.extend([len(rows)])
        original(self, what, how, start, rows)

    monkeypatch.setattr(module._Result, "add", add)
    with pytest.raises(KeyboardInterrupt):
        sct.tl.attribute(adata, among, genes=adata.obs_names[:60], n_steps=4, batch_size=20, **QUIET)
    assert adata.obs["attribution_total"].count() == 40
    computed.clear()
    sct.tl.attribute(adata, among, genes=adata.obs_names[:60], n_steps=4, batch_size=20, **QUIET)
    assert computed == [20], "what was there is kept"
    np.testing.assert_allclose(adata.layers["attribution"], whole.layers["attribution"], atol=1e-6)
    assert abs(adata.obsp["attribution_neighbors"] - whole.obsp["attribution_neighbors"]).max() < 1e-6
    computed.clear()
    sct.tl.attribute(adata, among, genes=adata.obs_names[55:65], n_steps=4, **QUIET)
    assert computed == [5], "other genes are added"
    assert adata.obs["attribution_total"].count() == 65
    sct.tl.attribute(adata, among, genes=adata.obs_names[:3], n_steps=5, **QUIET)
    assert adata.obs["attribution_total"].count() == 3, "other settings start anew"
    del adata.obsp["attribution_neighbors"]
    computed.clear()
    sct.tl.attribute(adata, among, genes=adata.obs_names[:2], n_steps=5, **QUIET)
    assert adata.obs["attribution_total"].count() == 2, "half a result is none"


def test_leaves_everything_as_it_was(adata, among, tmp_path: Path):
    among.module.networks[0].train()
    among.module.networks[0].head.eval()
    modes = [module.training for module in among.module.modules()]
    gradients = [parameter.grad is None for parameter in among.module.parameters()]
    before, states = adata.copy(), (torch.get_rng_state(), np.random.get_state()[1].copy())  # noqa: NPY002
    result = sct.tl.attribute(
        adata, among, genes=adata.obs_names[:4], method="gradient_shap", n_steps=3, copy=True, **QUIET
    )
    assert [module.training for module in among.module.modules()] == modes
    among.module.eval()
    assert torch.equal(torch.get_rng_state(), states[0])
    np.testing.assert_array_equal(np.random.get_state()[1], states[1])  # noqa: NPY002
    assert [parameter.grad is None for parameter in among.module.parameters()] == gradients
    np.testing.assert_array_equal(adata.X, before.X)
    assert "attribution" not in adata.layers
    again = sct.tl.attribute(
        adata, among, genes=adata.obs_names[:4], method="gradient_shap", n_steps=3, copy=True, **QUIET
    )
    np.testing.assert_array_equal(result.layers["attribution"], again.layers["attribution"], "the same seed")
    result.write_h5ad(tmp_path / "a.h5ad")


def test_deep_lift_serves_the_published_network(adata):
    del adata.uns["normalize"]
    adata.X = adata.layers.pop("signal")
    tss = adata[:, adata.var["region"] == "tss"].copy()
    sct.pp.normalize(tss, method="paper")
    model = sct.SimpleChrome(tss, preset="paper", n_latent=4)
    model.train(latent_epochs=1, expression_epochs=1, progress=False)
    sct.tl.attribute(tss, model, genes=tss.obs_names[:20], method="deep_lift", **QUIET)
    assert tss.obs["attribution_error"].max() < 1e-3


class Curved(torch.nn.Module):
    """A module that Captum has no rule for inside a function, so that DeepLift goes wrong without a word."""

    def __init__(self, n_columns: int) -> None:
        super().__init__()
        self.line = torch.nn.Linear(n_columns, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.exp(self.line(x))


def test_an_incomplete_attribution_is_reported(adata, caplog):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = Curved(adata.n_vars)
    first = {"target": lambda output: output[:, 0]}
    sct.tl.attribute(adata, module, genes=adata.obs_names[:30], method="deep_lift", **first, **QUIET)
    assert adata.obs["attribution_error"].median() > 0.01
    assert "use method='integrated_gradients'" in caplog.text
    caplog.clear()
    sct.tl.attribute(adata, module, genes=adata.obs_names[:30], n_steps=1, **first, **QUIET)
    assert "raise n_steps" in caplog.text
    caplog.clear()
    sct.tl.attribute(adata, module, genes=adata.obs_names[:30], n_steps=50, **first, **QUIET)
    assert not caplog.text


class Reused(torch.nn.Module):
    def __init__(self, n_columns: int) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Linear(n_columns, 4), torch.nn.Linear(4, 1)
        self.relu = torch.nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.second(self.relu(self.first(x))) + 10)


def test_bad_input(adata, alone, among, linear):
    untrained = sct.SimpleChrome(adata, n_latent=4)
    with pytest.raises(RuntimeError, match=r"not trained: run model.train"):
        sct.tl.attribute(adata, untrained, **QUIET)
    for options, message in (
        ({"genes": ["SIM9999"]}, "no gene 'SIM9999' among 600: did you mean"),
        ({"method": "lime"}, "method is 'lime'; choose one of integrated_gradients, deep_lift"),
        (
            {"method": "deep_lift"},
            r"no rule for AdaptiveMaxPool1d, GELU in this network.*method='integrated_gradients'",
        ),
        (
            {"target": "latent:8"},
            "target is 'latent:8'; this model answers 'logit', 'log_expression' and 'latent:0' to 'lat",
        ),
        ({"target": "rpkm"}, "target is 'rpkm'"),
        ({"baseline": "mean"}, "baseline is 'mean'; choose one of zero, low, matched, or give an array"),
        ({"baseline": np.zeros(3)}, r"baseline has shape \(3,\); expected \(600,\).*or \(600, 600\)"),
        ({"baseline": np.full(600, np.nan)}, "baseline holds 600 missing or infinite"),
        ({"method": "occlusion", "by": "gene"}, "by is 'gene'; choose one of bin, mark, region"),
        ({"method": "feature_ablation", "by": np.zeros(5)}, r"by has shape \(5,\); expected one group"),
        ({"n_steps": 0}, "n_steps is 0; expected at least 1"),
    ):
        with pytest.raises(ValueError, match=message):
            sct.tl.attribute(adata, alone, **{**options, **QUIET})
    with pytest.raises(ValueError, match="attention over neighbours"):
        sct.tl.attribute(adata, among, method="deep_lift", **QUIET)
    with pytest.raises(ValueError, match="gradient_shap' draws baselines at random; baseline='matched'"):
        sct.tl.attribute(adata, among, method="gradient_shap", baseline="matched", **QUIET)
    with pytest.raises(ValueError, match=r"DeepLift cannot follow this network.*use method='integrated_gradients'"):
        sct.tl.attribute(adata, Reused(adata.n_vars), method="deep_lift", **QUIET)
    with pytest.raises(ValueError, match=r"answers with shape \(512, 2\).*target=lambda output: output\[:, 0\]"):
        sct.tl.attribute(adata, Curved(adata.n_vars), **QUIET)
    with pytest.raises(ValueError, match="hears no neighbours"):
        sct.tl.attribute_neighbors(adata, alone, adata.obs_names[:2], **QUIET)
    other = adata.copy()
    other.obs["tss"] = other.obs["tss"].to_numpy()[::-1]
    with pytest.raises(ValueError, match="the graph 'tss' is not of these genes"):
        sct.tl.attribute(other, among, **QUIET)
    del other.obsp["tss_connectivities"]
    with pytest.raises(ValueError, match=r"obsp has no tss_connectivities .*run\s+sct.pp.tss_neighbors"):
        sct.tl.attribute(other, among, **QUIET)
    unlabelled = adata.copy()
    unlabelled.obs["label"] = pd.Categorical(["high"] * adata.n_obs, categories=["low", "high"])
    with pytest.raises(ValueError, match="baseline='low' needs low genes"):
        sct.tl.attribute(unlabelled, linear, baseline="low", **QUIET)


class Product(torch.nn.Module):
    """Mean of the first mark times mean of the second, less the third: what the interaction must be is known."""

    def __init__(self, marks: np.ndarray) -> None:
        super().__init__()
        self.columns = [np.flatnonzero(marks == name) for name in list(dict.fromkeys(marks))[:3]]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, second, third = (x[:, columns].mean(dim=1) for columns in self.columns)
        return first * second - third


def test_interactions_of_a_product(adata):
    marks = adata.var["mark"].astype(str).to_numpy()
    module = Product(marks)
    sct.tl.interactions(adata, module, genes=adata.obs_names[:50], batch_size=20, **QUIET)
    table = adata.obsm["attribution_interactions"]
    assert table.shape == (600, 10)
    first, second = ((adata.X - reference(adata, "zero").marks)[:, at].mean(axis=1) for at in module.columns[:2])
    name = f"{marks[0]} x {marks[100]}"
    np.testing.assert_allclose(table[name].iloc[:50], (first * second)[:50], atol=1e-5)
    assert np.abs(table.drop(columns=name).iloc[:50]).max(axis=None) < 1e-6, "effects that add up"
    assert table.iloc[50:].isna().all(axis=None)


def test_interactions_leave_neighbours_alone(adata, among):
    sct.tl.interactions(adata, among, genes=adata.obs_names[:3], target="log_expression", **QUIET)
    start = reference(adata, "zero").marks[0]
    marks = adata.var["mark"].astype(str).to_numpy()
    for row in range(3):
        f = {}
        for removed in ((), ("H3K4me3",), ("H3K27me3",), ("H3K4me3", "H3K27me3")):
            edited = adata.copy()
            columns = np.isin(marks, removed)
            edited.X[row, columns] = start[columns]
            f[removed] = among.predict(edited)["log_expression"].iloc[row]
        expected = f[()] - f["H3K4me3",] - f["H3K27me3",] + f["H3K4me3", "H3K27me3"]
        np.testing.assert_allclose(
            adata.obsm["attribution_interactions"]["H3K4me3 x H3K27me3"].iloc[row], expected, atol=1e-5
        )


def test_interactions_need_two_marks(adata, linear):
    one = adata[:, adata.var["mark"] == "H3K4me3"].copy()
    with pytest.raises(ValueError, match=r"one mark only \(H3K4me3\)"):
        sct.tl.interactions(one, linear, **QUIET)


def test_interactions_say_their_own_unit(adata, alone):
    genes = adata.obs_names[:2]
    sct.tl.attribute(adata, alone, genes=genes, target="logit", method="occlusion", **QUIET)
    sct.tl.interactions(adata, alone, genes=genes, target="log_expression", **QUIET)
    assert adata.uns["attribution_interactions"]["unit"].startswith("log10(")
    axes = sct.pl.interactions(adata, genes=genes)
    labels = [ax.get_ylabel() for ax in axes.ravel()[0].figure.axes]
    assert any("log10(" in label for label in labels)
    assert not any("log-odds" in label for label in labels)


@pytest.mark.parametrize("key", ["signal", "normalize", "windows", "split"])
def test_a_result_never_replaces_something_else(adata, alone, key):
    before = repr(adata.uns.get(key))
    for call in (
        lambda: sct.tl.attribute(adata, alone, genes=adata.obs_names[:2], key_added=key, **QUIET),
        lambda: sct.tl.name_states(adata, groupby=None, key_added=key),
    ):
        with pytest.raises(ValueError, match=rf"key_added is '{key}', and .* holds something else: choose another"):
            call()
    assert repr(adata.uns.get(key)) == before


@pytest.mark.parametrize("key", ["unit", "target", "neighbors_key"])
def test_a_record_without_a_key_says_which(attributed, key):
    del attributed.uns["attribution"][key]
    with pytest.raises(ValueError, match=rf"uns\['attribution'\] has no '{key}'.*run sct\.tl\.attribute"):
        sct.get.mark_effects(attributed)
