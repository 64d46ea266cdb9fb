"""Networks and plain models to compare with: published sizes, seeds, planted signal, and what they must not see."""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import torch
from threadpoolctl import threadpool_limits

import simplechrome_tk as sct
from simplechrome_tk import evaluation, nn
from simplechrome_tk.nn._fit import fit_network
from simplechrome_tk.nn._loss import Targets
from simplechrome_tk.nn._predict import predict_network

if TYPE_CHECKING:
    from collections.abc import Iterator

    import anndata as ad

PUBLISHED = [nn.RegionShape(5, 100)]
TWO = [nn.RegionShape(3, 30), nn.RegionShape(3, 14)]
NETWORKS = [nn.baselines.MLP, nn.baselines.DeepChrome, nn.baselines.AttentiveChrome]
WINDOWS = [sct.pp.Window("tss", "tss", 5_000, 5_000, 20), sct.pp.Window("body", "body", 0, 0, 14)]


def short(baseline: evaluation.NetworkBaseline, **changes: object) -> evaluation.NetworkBaseline:
    """Few and quick steps for few genes."""
    phase = dataclasses.replace(baseline.phase, **{"epochs": 4, "batch_size": 32, **changes})
    return dataclasses.replace(baseline, phase=phase)


BASELINES = {
    "logistic": evaluation.logistic_regression(),
    "boosting": evaluation.gradient_boosting(classifier_rounds=20, regressor_rounds=20, n_seeds=2),
    "pca": evaluation.pca_head(8),
    "mlp": short(evaluation.mlp()),
    "deepchrome": short(evaluation.deepchrome()),
    "attentivechrome": short(evaluation.attentivechrome(), epochs=2, learning_rate=2e-2),
}
each_baseline = pytest.mark.parametrize("baseline", BASELINES.values(), ids=BASELINES)
each_network = pytest.mark.parametrize("build", NETWORKS, ids=lambda build: build.__name__)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for each other are slow on so few genes."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def simulated() -> ad.AnnData:
    adata = sct.datasets.simulate(1_200, windows=WINDOWS)
    sct.pp.split_by_chromosome(adata)
    sct.pp.normalize(adata)
    return adata


def scores(adata: ad.AnnData, prediction: pd.DataFrame) -> pd.Series:
    table = evaluation.evaluate(adata, prediction, splits=["test"], n_bootstrap=0)
    return table.set_index("metric")["value"]


@each_network
@pytest.mark.parametrize("regions", [PUBLISHED, TWO, [nn.RegionShape(1, 14)]])
def test_networks_read_any_regions_gene_by_gene(build: type[torch.nn.Module], regions: list[nn.RegionShape]):
    torch.manual_seed(0)
    net = build(regions).eval()
    x = torch.randn(7, sum(shape.n_marks * shape.n_bins for shape in regions))
    output = net(x)
    assert output.logit.shape == output.log_expression.shape == (7,)
    alone = [net(row[None]) for row in x]
    torch.testing.assert_close(output.logit, torch.cat([one.logit for one in alone]), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(predict_network(net, x), output)


@each_network
def test_gradients_reach_every_weight(build: type[torch.nn.Module]):
    torch.manual_seed(0)
    net = build(TWO).eval()
    output = net(torch.randn(64, 132))
    (output.logit.square().mean() + output.log_expression.square().mean()).backward()
    still = [name for name, weight in net.named_parameters() if not weight.grad.abs().max() > 0]
    assert still == []


def test_published_sizes():
    sizes = {build.__name__: sum(p.numel() for p in build(PUBLISHED).parameters()) for build in NETWORKS}
    convolution, hidden = 5 * 10 * 50 + 50, 900 * 625 + 625 + 625 * 125 + 125
    assert sizes["DeepChrome"] == convolution + hidden + 125 * 2 + 2
    bins, marks = (2 * 4 * n * (inputs + n + 2) + 2 * n for inputs, n in ((1, 32), (64, 16)))
    assert sizes["AttentiveChrome"] == 5 * bins + marks + 32 * 2 + 2


def test_deepchrome_slides_over_the_bins_of_all_marks():
    torch.manual_seed(0)
    net = nn.baselines.DeepChrome(TWO).eval()
    x = torch.randn(2, 132)
    features = []
    for columns, shape, layers in zip((x[:, :90], x[:, 90:]), TWO, net.convolutions, strict=True):
        marks = columns.reshape(2, *shape)
        weight, bias = layers[0].weight, layers[0].bias
        n_steps = (shape.n_bins - 9) // 5 * 5
        steps = [(marks[:, None, :, i : i + 10] * weight).sum(dim=(2, 3)) + bias for i in range(n_steps)]
        features.append(torch.stack(steps, dim=2).clamp(min=0).unflatten(2, (-1, 5)).amax(dim=3).flatten(1))
    expected = net.head(torch.cat(features, dim=1))
    torch.testing.assert_close(net(x).logit, expected[:, 0])


def test_attentivechrome_without_preference_averages_over_bins_and_marks():
    torch.manual_seed(0)
    net = nn.baselines.AttentiveChrome([nn.RegionShape(3, 30)]).eval()
    region, x = net.regions[0], torch.randn(4, 90)
    with torch.no_grad():
        for module in (*region.marks, region.across):
            module.context.zero_()
        read = [mark.lstm(x[:, 30 * i : 30 * (i + 1)].T[..., None])[0].mean(0) for i, mark in enumerate(region.marks)]
        expected = net.head(region.across.lstm(torch.stack(read))[0].mean(0))
    torch.testing.assert_close(net(x).logit, expected[:, 0])


def test_attention_picks_the_bin_that_its_context_asks_for():
    torch.manual_seed(0)
    mark = nn.baselines.AttentiveChrome(TWO).regions[0].marks[0]
    x = torch.randn(30, 4, 1)
    states, _ = mark.lstm(x)
    with torch.no_grad():
        mark.context.copy_(states[7, 0] / states[7, 0].norm() * 1e5)
    chosen = (states[:, 0] @ mark.context).argmax()
    torch.testing.assert_close(mark(x)[0], states[chosen, 0])


@each_baseline
def test_planted_signal_is_learnt(simulated: ad.AnnData, baseline: evaluation.Baseline | evaluation.NetworkBaseline):
    reached = scores(simulated, evaluation.fit_baseline(simulated, baseline))
    assert reached["AUROC"] > 0.8
    assert reached["Pearson"] > 0.6


@each_baseline
def test_seeds_hold_and_nothing_else_is_touched(
    simulated: ad.AnnData, baseline: evaluation.Baseline | evaluation.NetworkBaseline
):
    before, random_state = simulated.copy(), torch.get_rng_state()
    first, again = (evaluation.fit_baseline(simulated, baseline) for _ in range(2))
    pd.testing.assert_frame_equal(first, again, check_exact=True)
    assert list(first) == ["probability", "log_expression"]
    assert torch.equal(torch.get_rng_state(), random_state)
    np.testing.assert_array_equal(simulated.X, before.X)
    pd.testing.assert_frame_equal(simulated.obs, before.obs)


@pytest.mark.parametrize(
    "factory", [evaluation.gradient_boosting, evaluation.mlp, evaluation.deepchrome, evaluation.attentivechrome]
)
def test_rng_is_a_seed_or_a_generator(factory: object):
    def seed(rng: object) -> int:
        made = factory(rng=rng)
        return (
            made.seed if isinstance(made, evaluation.NetworkBaseline) else made.classifier.estimators[0][1].random_state
        )

    assert seed(0) == seed(np.random.default_rng(0)) != seed(1)


def test_another_seed_gives_another_network(simulated: ad.AnnData):
    first, other = (evaluation.fit_baseline(simulated, short(evaluation.mlp(rng=rng), epochs=1)) for rng in (0, 1))
    assert not np.allclose(first, other)


@each_baseline
def test_own_label_never_reaches_the_prediction(
    simulated: ad.AnnData, baseline: evaluation.Baseline | evaluation.NetworkBaseline
):
    changed = simulated.copy()
    test = (changed.obs["split"] == "test").to_numpy()
    changed.obs.loc[test, "label"] = np.where(changed.obs["label"][test] == "high", "low", "high")
    changed.obs.loc[test, "expression"] = 1e4 - changed.obs["expression"][test].clip(upper=1e4)
    pd.testing.assert_frame_equal(
        evaluation.fit_baseline(changed, baseline), evaluation.fit_baseline(simulated, baseline), check_exact=True
    )


@pytest.fixture(scope="module")
def permuted() -> ad.AnnData:
    """What was measured, dealt out anew. With 5,000 test genes an AUROC without signal has a standard error of .008."""
    adata = sct.datasets.simulate(6_000, windows=WINDOWS)
    generator = np.random.default_rng(0)
    adata.obs["split"] = generator.permutation(np.repeat(["train", "valid", "test"], [700, 300, 5_000]))
    measured = ["label", "expression"]
    dealt = generator.permutation(adata.n_obs)
    adata.obs[measured] = adata.obs[measured].iloc[dealt].set_axis(adata.obs_names)
    sct.pp.normalize(adata)
    return adata


@each_baseline
def test_permuted_labels_cannot_be_predicted(
    permuted: ad.AnnData, baseline: evaluation.Baseline | evaluation.NetworkBaseline
):
    reached = scores(permuted, evaluation.fit_baseline(permuted, baseline))
    assert reached["AUROC"] == pytest.approx(0.5, abs=0.03)
    assert abs(reached["Pearson"]) < 0.06


def test_best_validation_epoch_is_kept():
    torch.manual_seed(0)
    level = torch.randn(300, 3, 1)
    x = (level + torch.randn(300, 3, 44)).flatten(1)
    targets = Targets((level[:, 0, 0] > 0).float(), level[:, 0, 0])
    rows = torch.arange(300)
    net = nn.baselines.MLP(TWO, n_hidden=16, dropout=0.0)
    phase = nn.Phase(30, 32, 3e-2, patience=3)
    history = fit_network(net, x, targets, train=rows[:200], valid=rows[200:], phase=phase, regression_weight=0.5)
    assert len(history) < 30
    best = max(history, key=lambda row: row["valid_auroc"] + row["valid_pearson"])
    pair = torch.stack([predict_network(net, x[200:]).log_expression, targets.log_expression[200:]])
    assert float(torch.corrcoef(pair)[0, 1]) == pytest.approx(best["valid_pearson"], abs=1e-5)


def test_long_gradients_are_cut():
    torch.manual_seed(0)
    x, rows = torch.randn(40, 132), torch.arange(40)
    targets = Targets((x[:, 0] > 0).float(), 1e6 * x[:, 0])
    moved = {}
    for cut in (None, 1e-12):
        torch.manual_seed(0)
        net = nn.baselines.MLP(TWO, n_hidden=4)
        before = net.layers[0].weight.detach().clone()
        phase = nn.Phase(1, 40, 1e-3, max_gradient=cut)
        fit_network(net, x, targets, train=rows, valid=rows, phase=phase, regression_weight=0.5)
        moved[cut] = float((net.layers[0].weight.detach() - before).abs().max())
    assert moved[None] == pytest.approx(1e-3, rel=0.01), "Adam's first step is the learning rate, whatever the gradient"
    assert moved[1e-12] < 1e-6, "unless the gradient is below Adam's epsilon"


def test_expression_is_scaled_by_training_genes_alone(simulated: ad.AnnData):
    adata = simulated.copy()
    train = (adata.obs["split"] == "train").to_numpy()
    adata.obs.loc[~train, "expression"] = np.nan
    adata.obs.loc[adata.obs["split"] == "valid", "expression"] = simulated.obs["expression"]
    prediction = evaluation.fit_baseline(adata, short(evaluation.mlp()))
    pd.testing.assert_frame_equal(
        prediction, evaluation.fit_baseline(simulated, short(evaluation.mlp())), check_exact=True
    )
    measured = sct.pp.log_expression(simulated.obs["expression"][train])
    assert prediction["log_expression"][train].mean() == pytest.approx(measured.mean(), abs=0.2)


@pytest.mark.parametrize(("task", "column"), [("classification", "probability"), ("regression", "log_expression")])
def test_one_task_needs_only_its_own_column(simulated: ad.AnnData, task: str, column: str):
    adata = simulated.copy()
    del adata.obs["expression" if task == "classification" else "label"]
    baseline = dataclasses.replace(short(evaluation.mlp(), epochs=1), task=task)
    assert list(evaluation.fit_baseline(adata, baseline)) == [column]


def test_representation_is_standardised_for_a_network(simulated: ad.AnnData):
    adata = simulated.copy()
    adata.obsm["X_marks"] = adata.X[:, :30].astype(float)
    adata.obsm["X_scaled"] = 1_000 + 100 * adata.obsm["X_marks"]
    first, scaled = (
        evaluation.fit_baseline(adata, short(evaluation.mlp()), use_rep=key) for key in ("X_marks", "X_scaled")
    )
    np.testing.assert_allclose(first, scaled, atol=1e-3)


def test_genes_without_label_are_counted(simulated: ad.AnnData, caplog: pytest.LogCaptureFixture):
    adata = simulated.copy()
    train = adata.obs_names[adata.obs["split"] == "train"]
    adata.obs.loc[train[:10], "label"] = None
    with caplog.at_level(logging.INFO):
        evaluation.fit_baseline(adata, short(evaluation.mlp(), epochs=1))
    assert f"Learning label from {len(train) - 10} of {len(train)} training genes" in caplog.text


def refused(adata: ad.AnnData, baseline: evaluation.Baseline | evaluation.NetworkBaseline, **kwargs: object) -> str:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the caller looks at the message
        evaluation.fit_baseline(adata, baseline, **kwargs)
    return str(caught.value)


@each_baseline
def test_bad_input_is_named(simulated: ad.AnnData, baseline: evaluation.Baseline | evaluation.NetworkBaseline):
    adata = simulated.copy()
    adata.X[3, 5] = np.nan
    assert f"X holds 1 missing or infinite values, the first for gene {adata.obs_names[3]!r}" in refused(
        adata, baseline
    )
    adata = simulated.copy()
    adata.obs["label"] = "low"
    assert "training genes are low; expected both classes" in refused(adata, baseline)
    adata = simulated[simulated.obs["split"] == "test"].copy()
    assert "no label is known for any of the 0 training genes" in refused(adata, baseline)
    assert "obsm has no 'X_pca'" in refused(simulated, baseline, use_rep="X_pca")


def test_networks_need_validation_genes_of_both_classes_and_normalised_marks(simulated: ad.AnnData):
    baseline = short(evaluation.mlp(), epochs=1)
    adata = simulated.copy()
    adata.obs.loc[adata.obs["split"] == "valid", "label"] = "high"
    assert "the valid split holds high genes only" in refused(adata, baseline)
    adata = simulated[simulated.obs["split"] != "valid"].copy()
    assert "the valid split holds 0 genes" in refused(adata, baseline)
    adata = simulated.copy()
    del adata.uns["normalize"], adata.layers["signal"]
    assert "run sct.pp.split_by_chromosome(adata) and sct.pp.normalize(adata) first" in refused(adata, baseline)


def test_networks_name_regions_that_they_cannot_read(simulated: ad.AnnData):
    few = simulated[:, simulated.var["bin"] < 13].copy()
    assert "DeepChrome reads regions of at least 14 bins, found 13" in refused(few, evaluation.deepchrome())
    adata = simulated.copy()
    adata.obsm["X_some"] = adata.X[:, :4]
    assert "AttentiveChrome reads regions of at least 2 bins, found 1" in refused(
        adata, evaluation.attentivechrome(), use_rep="X_some"
    )


def test_too_many_components_are_refused(simulated: ad.AnnData):
    assert "n_components=400 must be between 0 and min(n_samples, n_features)=171" in refused(
        simulated, evaluation.pca_head(400)
    )


def test_gene_length_is_read_where_simplechrome_reads_it():
    adata = sct.datasets.simulate(600)
    sct.pp.split_by_chromosome(adata)
    sct.pp.normalize(adata)
    longer = adata.copy()
    test = np.flatnonzero(adata.obs["split"] == "test")
    longer.obs.iloc[test, longer.obs.columns.get_loc("end")] += 1_000_000
    for make, reads in (
        (sct.evaluation.logistic_regression, True),
        (sct.evaluation.mlp, True),
        (sct.evaluation.deepchrome, False),
    ):
        first, second = (sct.evaluation.fit_baseline(data, make(), device="cpu") for data in (adata, longer))
        assert np.allclose(first.iloc[test], second.iloc[test]) != reads, make
        blind = [sct.evaluation.fit_baseline(data, make(), gene_length=False, device="cpu") for data in (adata, longer)]
        pd.testing.assert_frame_equal(*blind, check_exact=True)


@pytest.fixture
def cells() -> dict[str, ad.AnnData]:
    """Three cell types with the same genes, whose expression is a level of the gene and noise of the cell type."""
    rng = np.random.default_rng(0)
    level = rng.normal(0, 1, 400)
    parts = {}
    for name in "ABC":
        part = sct.datasets.simulate(400, windows=WINDOWS, rng=0)
        part.obs["expression"] = np.clip(10 ** (level + rng.normal(0, 0.3, 400)) - 0.1, 0, None)
        sct.pp.label_expression(part)
        sct.pp.split_by_chromosome(part)
        parts[name] = part
    return parts


def test_same_gene_is_the_mean_of_the_other_cell_types(cells):
    others = sct.pp.stack_cell_types({name: cells[name] for name in "BC"})
    shuffled = cells["A"][np.random.default_rng(1).permutation(400)].copy()
    shuffled.obs[["label", "expression"]] = [None, np.nan]
    found = evaluation.same_gene_baseline(shuffled, others)
    expected = sum(np.log10(cells[name][shuffled.obs_names].obs["expression"] + 0.1) for name in "BC") / 2
    np.testing.assert_allclose(found["log_expression"], expected)
    order = found.sort_values("log_expression")["probability"]
    assert order.is_monotonic_increasing
    scores = evaluation.evaluate(cells["A"], found.loc[cells["A"].obs_names], splits=["train"], n_bootstrap=0)
    scores = scores.set_index("metric")["value"]
    assert scores["AUROC"] > 0.95
    assert scores["Pearson"] > 0.9
    assert scores["ECE"] < 0.1


def test_same_gene_counts_genes_that_others_lack(cells, caplog):
    others = sct.pp.stack_cell_types({name: cells[name][:300].copy() for name in "BC"})
    with caplog.at_level(logging.INFO):
        found = evaluation.same_gene_baseline(cells["A"], others)
    assert "100 of 400 genes have no expression in the other cell types" in caplog.text
    assert found.isna().all(axis=1).tolist() == [False] * 300 + [True] * 100


def test_same_gene_refuses_what_is_no_other_cell_type(cells):
    others = sct.pp.stack_cell_types({name: cells[name] for name in "BC"})
    own = cells["A"].copy()
    own.obs["cell_type"] = "B"
    for adata, of, message in (
        (own, others, r"others holds the cell types B, C, and adata holds B as well; expected two or more"),
        (cells["A"], others[:400], r"others holds the cell types B; expected two or more"),
        (cells["A"], cells["B"], "others holds the cell types simulated, and adata holds simulated as well"),
        (cells["A"][:200].copy(), _only(others, cells["A"].obs_names[200:]), "none of the 200"),
        (cells["A"], _one_class(others), "labels of the other cell types are of one class"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluation.same_gene_baseline(adata, of)


def _only(others: ad.AnnData, ids: pd.Index) -> ad.AnnData:
    return others[[f"{gene}:{cell}" for cell in "BC" for gene in ids]].copy()


def _one_class(others: ad.AnnData) -> ad.AnnData:
    others = others.copy()
    others.obs["label"] = "low"
    return others
