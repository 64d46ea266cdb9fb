"""Attributions: exact on linear models, equal to Captum's where a shortcut is taken, and honest about their error."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import torch
from builders import prepared, trained, without_signal
from linear_model import Linear

import simplechrome_tk as sct
from simplechrome_tk.tl.attribution._baselines import make_baselines
from simplechrome_tk.tl.attribution._inputs import read_inputs
from simplechrome_tk.tl.attribution._methods import integrate_with_captum
from simplechrome_tk.tl.attribution._readout import NeighborReadout
from simplechrome_tk.tl.attribution._target import choose_target, freeze_networks

if TYPE_CHECKING:
    import anndata as ad

    from simplechrome_tk.tl.attribution._baselines import Baselines

QUIET = {"progress": False}


@pytest.fixture
def adata() -> ad.AnnData:
    return prepared(300, n_neighbors=4)


@pytest.fixture(scope="module")
def alone() -> sct.SimpleChrome:
    """Two networks that read each gene by itself."""
    return trained(300, n_models=2)[1]


@pytest.fixture(scope="module")
def among() -> sct.SimpleChrome:
    """Two networks that read neighbours, too."""
    return trained(300, n_neighbors=4, n_models=2)[1]


@pytest.fixture
def model(request: pytest.FixtureRequest) -> sct.SimpleChrome:
    """The model whose name a test is parametrised with."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def linear(adata: ad.AnnData) -> Linear:
    return Linear(np.random.default_rng(0).normal(size=adata.n_vars) / 20)


def layer(adata: ad.AnnData, rows: np.ndarray | slice) -> np.ndarray:
    return adata.layers["attribution"][rows]


def baselines_of(adata: ad.AnnData, baseline: str) -> Baselines:
    return make_baselines(read_inputs(adata, None), baseline)


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
def test_is_exact_on_a_linear_model(adata, method, options):
    # DeepLIFT follows layers, not the product of matrices in Linear.
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = torch.nn.Linear(adata.n_vars, 1)
    sct.tl.attribute(adata, module, genes=adata.obs_names[:9], method=method, **options, **QUIET)
    start = baselines_of(adata, options.get("baseline", "zero")).select(np.arange(9))
    expected = (adata.X[:9] - start) * module.weight.detach().numpy()
    np.testing.assert_allclose(layer(adata, slice(9)), expected, atol=1e-4)
    np.testing.assert_allclose(adata.obs["attribution_total"].iloc[:9], expected.sum(axis=1), atol=1e-3)


def test_other_genes_and_slots_stay_empty(adata, linear):
    sct.tl.attribute(adata, linear, genes=adata.obs_names[:9], n_steps=2, **QUIET)
    assert np.isnan(layer(adata, slice(9, None))).all()
    assert adata.obs["attribution_total"].iloc[9:].isna().all()
    assert (adata.obs["attribution_inputs"].iloc[9:] == 0).all()
    assert "attribution_neighbors" not in adata.obsp


def test_a_distribution_of_baselines_is_averaged(adata, linear):
    sct.tl.attribute(
        adata, linear, genes=adata.obs_names[:3], method="gradient_shap", baseline="matched", n_steps=4_000, **QUIET
    )
    baselines = baselines_of(adata, "matched")
    for row in range(3):
        expected = (adata.X[row] - baselines.select_pool(row).mean(axis=0)) * linear.weight.detach().numpy()
        np.testing.assert_allclose(layer(adata, row), expected, atol=0.02)


@pytest.mark.parametrize("target", ["logit", "log_expression"])
@pytest.mark.parametrize("baseline", ["zero", "matched"])
def test_neighbours_are_attributed_as_by_captum(adata, among, target, baseline):
    """The shortcut encodes every gene once a step; Captum's own path over all inputs is the oracle."""
    rows = np.array([5, 6, 150, 299])
    options = {"target": target, "baseline": baseline, "n_steps": 20, **QUIET}
    sct.tl.attribute(adata, among, genes=adata.obs_names[rows], batch_size=3, **options)
    own, neighbors = attribute_with_captum(adata, among, rows, target, baseline)
    np.testing.assert_allclose(layer(adata, rows), own, atol=1e-5)
    found = adata.obsp["attribution_neighbors"][rows].toarray()
    for row, numbers, effects in zip(found, among.read(adata).graph.index[rows], neighbors.sum(axis=2), strict=True):
        np.testing.assert_allclose(row[numbers], effects, atol=1e-5)
        assert np.count_nonzero(row) <= 4
    detail = sct.get.neighbor_attributions(adata, among, adata.obs_names[rows], batch_size=10, **options)
    np.testing.assert_allclose(detail.X, neighbors.reshape(-1, adata.n_vars), atol=1e-5)


def attribute_with_captum(adata, model, rows, target, baseline) -> tuple[np.ndarray, np.ndarray]:
    """Return the effects of own bins and of the neighbours' bins by Captum's path over all inputs."""
    data = read_inputs(adata, model)
    explained = choose_target(data, model, target)
    batch = explained.gather(rows, make_baselines(data, baseline))
    with freeze_networks(explained.networks):
        parts = [
            integrate_with_captum(
                NeighborReadout(net, explained.readout),
                batch.select_explained(batch.x),
                batch.select_explained(batch.baseline),
                batch.fixed,
                n_steps=20,
                at_once=64,
            )
            for net in explained.networks
        ]
    own, neighbors = (torch.stack(part).mean(dim=0).detach().cpu().numpy() for part in zip(*parts, strict=True))
    return own, neighbors


@pytest.mark.parametrize("model", ["alone", "among"], indirect=True)
@pytest.mark.parametrize("target", ["logit", "log_expression"])
def test_total_is_the_prediction_less_that_without_signal(adata, model, target):
    """Through the whole pipeline: signal set to 0, normalised with the model's constants, predicted."""
    silent = without_signal(adata, model)
    before, after = ((predicted_value(model, data, target)) for data in (adata, silent))
    sct.tl.attribute(adata, model, genes=adata.obs_names[:60], target=target, n_steps=3, **QUIET)
    total = adata.obs["attribution_total"].iloc[:60]
    np.testing.assert_allclose(total, (before - after)[:60], rtol=1e-3, atol=1e-3)


def predicted_value(model, adata, target) -> np.ndarray:
    predicted = model.predict(adata)
    if target == "log_expression":
        return predicted["log_expression"].to_numpy(float)
    probability = predicted["probability"].to_numpy(float)
    return np.log(probability / (1 - probability))


@pytest.mark.parametrize("model", ["alone", "among"], indirect=True)
def test_effects_sum_to_the_total(adata, model):
    sct.tl.attribute(adata, model, genes=adata.obs_names[:60], n_steps=100, **QUIET)
    total = np.where(adata.obs["attribution_total"].isna(), np.nan, layer(adata, slice(None)).sum(axis=1))
    if model.settings.neighbors_key:
        total = total + np.ravel(adata.obsp["attribution_neighbors"].sum(axis=1))
    np.testing.assert_allclose(total, adata.obs["attribution_total"], atol=0.02)
    error = adata.obs["attribution_error"]
    assert error.median() < 0.01
    assert error.quantile(0.99) < 0.05


def test_the_unit_of_expression_is_that_of_the_data(adata, alone):
    sct.tl.attribute(adata, alone, genes=adata.obs_names[:2], target="log_expression", method="occlusion", **QUIET)
    assert adata.uns["attribution"]["unit"] == "log10(simulated RPKM + 0.1)"


def test_a_latent_depends_on_own_marks_alone(adata, among):
    sct.tl.attribute(adata, among, target="latent:2", n_steps=30, **QUIET)
    latent = among.get_latent_representation(adata)[:, 2]
    without = among.get_latent_representation(without_signal(adata, among))[:, 2]
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


@pytest.mark.parametrize("model", ["alone", "among"], indirect=True)
@pytest.mark.parametrize(
    ("method", "by"),
    [("occlusion", "region"), ("occlusion", "mark"), ("feature_ablation", "mark"), ("feature_ablation", "numbers")],
)
def test_occlusion_is_what_the_prediction_loses(adata, model, method, by):
    number = np.arange(adata.n_vars) % 7
    lost = {
        ("occlusion", "region"): adata.var["region"] == "tss",
        ("occlusion", "mark"): (adata.var["region"] == "body") & (adata.var["mark"] == "H3K36me3"),
        ("feature_ablation", "mark"): adata.var["mark"] == "H3K36me3",
        ("feature_ablation", "numbers"): number == 3,
    }[method, by]
    columns = np.flatnonzero(lost)
    options = {"target": "log_expression", "method": method, "by": number if by == "numbers" else by}
    sct.tl.attribute(adata, model, genes=adata.obs_names[:3], batch_size=16, **options, **QUIET)
    before = model.predict(adata)["log_expression"]
    for row in range(3):
        edited = adata.copy()
        edited.X[row, columns] = baselines_of(adata, "zero").marks[0, columns]
        change = before.iloc[row] - model.predict(edited)["log_expression"].iloc[row]
        np.testing.assert_allclose(layer(adata, row)[columns].sum(), change, atol=1e-5)
        assert np.ptp(layer(adata, row)[columns]) < 1e-6, "shared equally"


def test_occlusion_replaces_a_neighbour_as_a_whole(adata, among):
    options = {"target": "log_expression", "method": "occlusion", "by": "region"}
    sct.tl.attribute(adata, among, genes=adata.obs_names[:1], **options, **QUIET)
    neighbor = adata.obsp["tss_connectivities"][0].indices[0]
    edited = adata.copy()
    edited.X[neighbor] = baselines_of(adata, "zero").marks[0]
    before, after = (among.predict(data)["log_expression"].iloc[0] for data in (adata, edited))
    np.testing.assert_allclose(adata.obsp["attribution_neighbors"][0, neighbor], before - after, atol=1e-5)


def attribute_four_genes(adata, model) -> ad.AnnData:
    return sct.tl.attribute(
        adata, model, genes=adata.obs_names[:4], method="gradient_shap", n_steps=3, copy=True, **QUIET
    )


def test_leaves_model_and_random_state_as_they_were(adata, among):
    model = copy.deepcopy(among)
    model.module.networks[0].train()
    model.module.networks[0].head.eval()
    modes = [module.training for module in model.module.modules()]
    gradients = [parameter.grad is None for parameter in model.module.parameters()]
    states = (torch.get_rng_state(), np.random.get_state()[1].copy())  # noqa: NPY002
    attribute_four_genes(adata, model)
    assert [module.training for module in model.module.modules()] == modes
    assert torch.equal(torch.get_rng_state(), states[0])
    np.testing.assert_array_equal(np.random.get_state()[1], states[1])  # noqa: NPY002
    assert [parameter.grad is None for parameter in model.module.parameters()] == gradients


def test_a_copy_leaves_the_data_as_they_were(adata, among, state):
    before = state(adata)
    attribute_four_genes(adata, among)
    assert state(adata) == before


def test_the_same_seed_gives_the_same_effects(adata, among):
    results = [attribute_four_genes(adata, among).layers["attribution"] for _ in range(2)]
    np.testing.assert_array_equal(*results)


def test_a_result_is_stored_in_files(adata, among, round_trip):
    sct.tl.attribute(adata, among, genes=adata.obs_names[:4], method="occlusion", by="region", **QUIET)
    read = round_trip(adata)
    np.testing.assert_array_equal(read.layers["attribution"], adata.layers["attribution"])
    assert dict(read.uns["attribution"]["fingerprint"]) == adata.uns["attribution"]["fingerprint"]
    np.testing.assert_array_equal(read.obs["attribution_inputs"], adata.obs["attribution_inputs"])


def test_deep_lift_explains_the_published_network(adata):
    del adata.uns["normalize"]
    adata.X = adata.layers.pop("signal")
    tss = adata[:, adata.var["region"] == "tss"].copy()
    sct.pp.normalize(tss, method="paper")
    model = sct.SimpleChrome(tss, preset="paper", n_latent=4)
    model.train(latent_epochs=1, expression_epochs=1, progress=False)
    sct.tl.attribute(tss, model, genes=tss.obs_names[:20], method="deep_lift", **QUIET)
    assert tss.obs["attribution_error"].max() < 1e-3


class Curved(torch.nn.Module):
    """A module with a function that Captum has no rule for, so that DeepLIFT is wrong without a warning."""

    def __init__(self, n_columns: int) -> None:
        super().__init__()
        self.line = torch.nn.Linear(n_columns, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.exp(self.line(x))


@pytest.mark.parametrize(
    ("options", "fix"),
    [
        ({"method": "deep_lift"}, "integrated_gradients"),
        ({"n_steps": 1}, "raise n_steps"),
        ({"n_steps": 50}, None),
    ],
)
def test_an_incomplete_attribution_is_reported(adata, caplog, options, fix):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = Curved(adata.n_vars)
    sct.tl.attribute(adata, module, genes=adata.obs_names[:30], target=lambda y: y[:, 0], **options, **QUIET)
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert (adata.obs["attribution_error"].quantile(0.99) > 0.05) == (fix is not None)
    assert [fix in warning for warning in warnings] == ([] if fix is None else [True])


class Reused(torch.nn.Module):
    """A module that uses one layer twice, which DeepLIFT cannot follow."""

    def __init__(self, n_columns: int) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Linear(n_columns, 4), torch.nn.Linear(4, 1)
        self.relu = torch.nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.second(self.relu(self.first(x))) + 10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"genes": ["SIM9999"]}, "'SIM9999'.*did you mean"),
        ({"method": "lime"}, "'lime'; choose one of integrated_gradients"),
        ({"method": "deep_lift"}, "AdaptiveMaxPool1d, GELU.*method='integrated_gradients'"),
        ({"target": "latent:4"}, "'latent:4'.*'latent:0' to 'latent:3'"),
        ({"target": "rpkm"}, "target is 'rpkm'.*'logit', 'log_expression'"),
        ({"baseline": "mean"}, "'mean'; choose one of zero, low, matched"),
        ({"baseline": np.zeros(3)}, r"shape \(3,\); expected \(600,\).*\(300, 600\)"),
        ({"baseline": np.full(600, np.nan)}, "600 missing or infinite"),
        ({"method": "occlusion", "by": "gene"}, "'gene'; choose one of bin, mark, region"),
        ({"method": "feature_ablation", "by": np.zeros(5)}, r"by has shape \(5,\).*600 columns"),
        ({"n_steps": 0}, "n_steps is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
    ],
)
def test_bad_arguments_are_named(adata, alone, options, message):
    with pytest.raises(ValueError, match=message):
        sct.tl.attribute(adata, alone, **options, **QUIET)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "deep_lift"}, "attention over neighbours"),
        ({"method": "gradient_shap", "baseline": "matched"}, "baseline='matched'.*baseline='zero'"),
    ],
)
def test_methods_that_cannot_follow_neighbours_are_named(adata, among, options, message):
    with pytest.raises(ValueError, match=message):
        sct.tl.attribute(adata, among, **options, **QUIET)


def test_one_draw_of_baselines_serves_all_genes(adata, alone):
    given = np.zeros(adata.shape)
    with pytest.raises(ValueError, match="baseline='given' is another one for each gene: use"):
        sct.tl.attribute(adata, alone, method="gradient_shap", baseline=given, **QUIET)


def test_an_untrained_model_is_named(adata):
    with pytest.raises(RuntimeError, match=r"model\.train"):
        sct.tl.attribute(adata, sct.SimpleChrome(adata, n_latent=4), **QUIET)


def test_a_network_that_deep_lift_cannot_follow_is_named(adata):
    with pytest.raises(ValueError, match=r"DeepLIFT .*method='integrated_gradients'"):
        sct.tl.attribute(adata, Reused(adata.n_vars), method="deep_lift", **QUIET)


def test_an_output_of_several_values_is_named(adata):
    with pytest.raises(ValueError, match=r"shape \(300, 2\).*target=lambda output: output\[:, 0\]"):
        sct.tl.attribute(adata, Curved(adata.n_vars), **QUIET)


def test_a_graph_of_other_genes_is_named(adata, among):
    adata.obs["tss"] = adata.obs["tss"].to_numpy()[::-1]
    with pytest.raises(ValueError, match="graph 'tss' is not of these genes"):
        sct.tl.attribute(adata, among, **QUIET)


def test_a_missing_graph_is_named(adata, among):
    del adata.obsp["tss_connectivities"]
    with pytest.raises(ValueError, match=r"tss_connectivities.*sct.pp.tss_neighbors"):
        sct.tl.attribute(adata, among, **QUIET)


def test_the_baseline_low_needs_low_genes(adata, linear):
    adata.obs["label"] = pd.Categorical(["high"] * adata.n_obs, categories=["low", "high"])
    with pytest.raises(ValueError, match=r"baseline='low' needs low genes.*baseline='zero'"):
        sct.tl.attribute(adata, linear, baseline="low", **QUIET)


@pytest.mark.parametrize("key", ["signal", "normalize", "windows", "split"])
@pytest.mark.parametrize(
    "call",
    [
        lambda adata, model, key: sct.tl.attribute(adata, model, key_added=key, **QUIET),
        lambda adata, _, key: sct.tl.name_states(adata, groupby=None, key_added=key),
    ],
    ids=["attribute", "name_states"],
)
def test_a_result_never_replaces_something_else(adata, alone, call, key):
    before = repr(adata.uns.get(key))
    with pytest.raises(ValueError, match=f"key_added is '{key}'"):
        call(adata, alone, key)
    assert repr(adata.uns.get(key)) == before


@pytest.mark.parametrize("key", ["unit", "target", "neighbors_key"])
def test_a_record_without_a_key_is_named(attributed, key):
    del attributed.uns["attribution"][key]
    with pytest.raises(ValueError, match=rf"'{key}'.*sct\.tl\.attribute\(adata, model, key_added='attribution'\)"):
        sct.get.mark_effects(attributed)
