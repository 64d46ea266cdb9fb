from __future__ import annotations

import logging
import time

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import expit
from sklearn.metrics import average_precision_score, roc_auc_score

from simplechrome_tk import evaluation, pl, pp
from simplechrome_tk.evaluation import _resample

METRICS = ["AUROC", "AUPRC", "accuracy", "ECE", "Pearson", "Spearman"]


def make(n=300, cells=(), seed=0):
    """Genes of which a third is tested, in one unnamed cell type or several, and three models, the later the better."""
    rng = np.random.default_rng(seed)
    gene = pd.DataFrame(
        {
            "chrom": rng.choice(["chr1", "chr8"], n),
            "tss": rng.integers(0, 10**8, n),
            "strand": "+",
            "split": np.array(["train", "valid", "test"])[np.arange(n) % 3],
        },
        index=[f"g{i}" for i in range(n)],
    )
    obs = pd.concat([gene.set_axis(gene.index + f":{c}").assign(cell_type=c) for c in cells]) if cells else gene.copy()
    shared = np.tile(rng.normal(size=n), max(len(cells), 1))
    log = shared + rng.normal(size=len(obs))
    obs["expression"] = 10**log
    obs["label"] = np.where(log > np.median(log), "high", "low")
    models = {
        name: pd.DataFrame({"probability": expit(2 * score), "log_expression": score}, index=obs.index)
        for name, noise in {"poor": 2.0, "fair": 1.0, "good": 0.5}.items()
        for score in [log + rng.normal(0, noise, len(obs))]
    }
    return ad.AnnData(obs=obs), models


def of(table, **values):
    """Rows in which the columns hold the values."""
    for column, value in values.items():
        table = table[table[column] == value]
    return table


def test_values_are_those_of_evaluate_and_differences_their_difference():
    adata, models = make()
    table = evaluation.compare(adata, models, n_bootstrap=0)
    assert list(table) == [
        *("model", "reference", "split", "cell_type", "metric", "value", "reference_value"),
        *("difference", "low", "high", "share_above", "n"),
    ]
    assert list(zip(table["model"], table["reference"], strict=True))[::4][:3] == [
        ("fair", "poor"),
        ("good", "poor"),
        ("good", "fair"),
    ]
    scores = {name: evaluation.evaluate(adata, p, splits="test", n_bootstrap=0) for name, p in models.items()}
    for model, reference in (("fair", "poor"), ("good", "poor"), ("good", "fair")):
        rows = of(table, model=model, reference=reference)
        assert list(rows["metric"]) == METRICS
        np.testing.assert_allclose(rows["value"], scores[model]["value"])
        np.testing.assert_allclose(rows["reference_value"], scores[reference]["value"])
        np.testing.assert_allclose(rows["difference"], rows["value"] - rows["reference_value"])
    assert table[["low", "high", "share_above"]].isna().all(axis=None)
    assert set(table["cell_type"]) == {"all"}
    assert set(table["split"]) == {"test"}
    assert (table["n"] == 100).all()


def test_interval_equals_that_of_a_plain_paired_bootstrap():
    adata, models = make(1_500)
    table = evaluation.compare(adata, models, reference="fair", n_bootstrap=1_000).set_index(["model", "metric"])
    inside = np.flatnonzero(adata.obs["split"] == "test")
    label = (adata.obs["label"] == "high").to_numpy()[inside]
    log = pp.log_expression(adata.obs["expression"])[inside]
    own, other = (models[name].to_numpy()[inside] for name in ("good", "fair"))
    rng = np.random.default_rng(3)
    draws = [rng.integers(len(inside), size=len(inside)) for _ in range(500)]
    oracle = {
        "AUROC": lambda d, p: roc_auc_score(label[d], p[d, 0]),
        "AUPRC": lambda d, p: average_precision_score(label[d], p[d, 0]),
        "Pearson": lambda d, p: stats.pearsonr(log[d], p[d, 1])[0],
    }
    for metric, score in oracle.items():
        difference = [score(d, own) - score(d, other) for d in draws]
        low, high = np.quantile(difference, [0.025, 0.975])
        row = table.loc[("good", metric)]
        assert (row["low"], row["high"]) == pytest.approx((low, high), abs=0.15 * (high - low))
        assert row["share_above"] == pytest.approx(np.mean(np.array(difference) > 0), abs=0.02)


def test_a_small_true_difference_is_found_where_intervals_overlap():
    adata, models = make(3_000)
    noise = np.random.default_rng(1).normal(0, 0.3, adata.n_obs)
    base = models["good"]
    worse = base.assign(probability=expit(np.log(base["probability"] / (1 - base["probability"])) + 1.5 * noise))
    scores = [evaluation.evaluate(adata, p, splits="test", n_bootstrap=300).set_index("metric") for p in (base, worse)]
    assert scores[0].loc["AUROC", "low"] < scores[1].loc["AUROC", "high"]
    row = evaluation.compare(adata, {"worse": worse, "base": base}, n_bootstrap=300).set_index("metric").loc["AUROC"]
    assert 0 < row["low"] < row["difference"] < row["high"]
    assert row["share_above"] == 1


def test_covers_no_difference_as_often_as_it_says():
    covered = 0
    for seed in range(120):
        rng = np.random.default_rng(seed)
        label = rng.random(200) < 0.5
        obs = pd.DataFrame(
            {"label": np.where(label, "high", "low"), "split": "test"}, index=[f"g{i}" for i in range(200)]
        )
        models = {
            name: pd.DataFrame({"probability": expit(rng.normal(size=200) + label)}, index=obs.index) for name in "ab"
        }
        row = (
            evaluation.compare(ad.AnnData(obs=obs), models, n_bootstrap=200, rng=seed).set_index("metric").loc["AUROC"]
        )
        covered += row["low"] <= 0 <= row["high"]
    assert 0.87 <= covered / 120 <= 1


def test_the_order_of_models_turns_the_sign():
    adata, models = make()
    ab = evaluation.compare(adata, {"a": models["fair"], "b": models["good"]}, n_bootstrap=100)
    ba = evaluation.compare(adata, {"b": models["good"], "a": models["fair"]}, n_bootstrap=100)
    np.testing.assert_allclose(ab["difference"], -ba["difference"], atol=1e-12)
    np.testing.assert_allclose(ab["low"], -ba["high"], atol=1e-12)
    np.testing.assert_allclose(ab["share_above"], 1 - ba["share_above"])


def test_a_model_does_not_differ_from_itself():
    adata, models = make()
    table = evaluation.compare(adata, {"a": models["fair"], "b": models["fair"].copy()}, n_bootstrap=50)
    assert (table[["difference", "low", "high"]] == 0).all(axis=None)
    assert (table["share_above"] == 0.5).all()


def test_resamples_are_those_of_evaluate():
    adata, models = make()
    chance = models["good"].assign(probability=0.5)  # AUROC one half on any genes
    rows = evaluation.compare(adata, {"chance": chance, "good": models["good"]}, n_bootstrap=100, rng=7).set_index(
        "metric"
    )
    alone = evaluation.evaluate(adata, models["good"], splits="test", n_bootstrap=100, rng=7).set_index("metric")
    for end in ("low", "high"):
        assert rows.loc["AUROC", end] == pytest.approx(alone.loc["AUROC", end] - 0.5)


def test_cell_types_and_their_mean():
    adata, models = make(cells=("A", "B"))
    table = evaluation.compare(adata, models, reference="poor", n_bootstrap=200)
    assert list(table["cell_type"].unique()) == ["A", "B", "mean"]
    wide = of(table, model="good").pivot(index="metric", columns="cell_type", values=["value", "difference", "n"])
    for column in ("value", "difference"):
        np.testing.assert_allclose(wide[column, "mean"], (wide[column, "A"] + wide[column, "B"]) / 2)
    assert (wide["n", "mean"] == 200).all()
    for cell in "AB":
        part = adata[adata.obs["cell_type"] == cell].copy()
        alone = evaluation.compare(part, models, reference="poor", n_bootstrap=200)
        pd.testing.assert_frame_equal(alone, of(table, cell_type=cell).reset_index(drop=True))


def test_the_mean_uses_the_same_genes_in_every_cell_type():
    adata, models = make(cells=("A",))
    obs = pd.concat([adata.obs.set_axis(adata.obs_names.str[:-1] + c).assign(cell_type=c) for c in "AB"])
    both = {name: pd.concat([p.set_axis(p.index.str[:-1] + c) for c in "AB"]) for name, p in models.items()}
    table = evaluation.compare(ad.AnnData(obs=obs), both, n_bootstrap=200)
    columns = ["difference", "low", "high"]
    mean, one = (of(table, cell_type=c)[columns].reset_index(drop=True) for c in ("mean", "A"))
    pd.testing.assert_frame_equal(mean, one)  # independent genes would make it narrower


def test_blocks_are_drawn_whole():
    adata, models = make(600)
    adata.obs["split"], adata.obs["chrom"] = "test", "chr1"
    copies = np.repeat(np.arange(600), 4)  # four genes that are right or wrong together tell as much as one
    names = [f"g{i}" for i in range(2_400)]
    obs = adata.obs.iloc[copies].set_axis(names).assign(tss=np.arange(2_400) // 4 * 10_000 + np.arange(2_400) % 4)
    fourfold = {name: p.iloc[copies].set_axis(names) for name, p in models.items()}
    tables = [
        evaluation.compare(ad.AnnData(obs=obs), fourfold, n_bootstrap=600),
        evaluation.compare(ad.AnnData(obs=obs), fourfold, unit="block", block_size=10_000, n_bootstrap=600),
        evaluation.compare(adata, models, n_bootstrap=600),
    ]
    widths = [(t["high"] - t["low"]).to_numpy()[t["metric"] == "Pearson"] for t in tables]
    np.testing.assert_allclose(widths[1] / widths[0], 2, rtol=0.2)
    np.testing.assert_allclose(widths[1] / widths[2], 1, rtol=0.2)
    one_each = adata.copy()
    one_each.obs["tss"] = np.arange(600) * 10
    by_gene, by_block = (
        evaluation.compare(one_each, models, unit=unit, block_size=10, n_bootstrap=50) for unit in ("gene", "block")
    )
    pd.testing.assert_frame_equal(by_gene, by_block)


def test_predictions_are_aligned_by_name_and_drawn_in_pieces(monkeypatch):
    adata, models = make(cells=("A", "B"))
    expected = evaluation.compare(adata, models, n_bootstrap=60)
    shuffled = {name: p.sample(frac=1, random_state=i) for i, (name, p) in enumerate(models.items())}
    monkeypatch.setattr(_resample, "_WEIGHTS_AT_ONCE", 1_500)
    pd.testing.assert_frame_equal(evaluation.compare(adata, shuffled, n_bootstrap=60), expected)
    assert not expected["low"].equals(evaluation.compare(adata, models, n_bootstrap=60, rng=1)["low"])


def test_models_are_compared_on_what_both_predict():
    adata, models = make()
    models["good"] = models["good"][["probability"]]
    table = evaluation.compare(adata, models, n_bootstrap=0)
    assert list(of(table, model="good", reference="fair")["metric"]) == METRICS[:4]
    assert list(of(table, model="fair")["metric"]) == METRICS
    with pytest.raises(ValueError, match="no two of the models a, b predict the same"):
        evaluation.compare(adata, {"a": models["fair"][["log_expression"]], "b": models["good"]})


def test_splits_and_genes_without_truth(caplog):
    adata, models = make()
    adata.obs.iloc[[0, 2, 5], adata.obs.columns.get_loc("label")] = np.nan
    with caplog.at_level(logging.INFO):
        table = evaluation.compare(adata, models, splits=None, n_bootstrap=0)
    assert list(table["split"].unique()) == ["train", "valid", "test"]
    assert of(table, split="test", metric="AUROC")["n"].unique().tolist() == [98]
    assert of(table, split="train", metric="Pearson")["n"].unique().tolist() == [100]
    assert "2 of 100 genes have no label" in caplog.text


def put(adata, **columns):
    """Overwrite columns of cell type A."""
    for column, value in columns.items():
        adata.obs.loc[adata.obs["cell_type"] == "A", column] = value


@pytest.mark.parametrize(
    ("change", "kwargs", "message"),
    [
        (lambda a, m: {"fair": m["fair"]}, {}, "predictions holds fair; expected two"),
        (lambda a, m: m["fair"], {}, "predictions is a DataFrame; expected two"),
        (lambda a, m: m, {"reference": "best"}, "reference 'best'"),
        (lambda a, m: m, {"unit": "chromosome"}, "unit is 'chromosome'"),
        (lambda a, m: m, {"block_size": 0}, "block_size 0"),
        (lambda a, m: m, {"n_bootstrap": -1}, "n_bootstrap is -1"),
        (lambda a, m: m, {"splits": ["exam"]}, "choose from train, valid, test"),
        (
            lambda a, m: m | {"fair": m["fair"].drop(index=["g2:A", "g2:B"])},
            {},
            "prediction 'fair' lacks 1 of the 100 .* of A, such as g2:A",
        ),
        (lambda a, m: m | {"fair": m["fair"].add_prefix("my_")}, {}, "'fair' has columns my_probability"),
        (
            lambda a, m: m | {"fair": m["fair"] * np.nan},
            {},
            "'fair': 100 of 100",
        ),
        (lambda a, m: put(a, label="low") or m, {}, "in split 'test' of A are low"),
        (lambda a, m: put(a, split="valid") or m, {}, "no gene is in split 'test' of A"),
        (lambda a, m: put(a, label=np.nan) or m, {}, "no label is known .* 'test' of A"),
        (lambda a, m: put(a, tss=np.nan) or m, {"unit": "block"}, "300 genes have no tss"),
    ],
)
def test_bad_input_is_named(change, kwargs, message):
    adata, models = make(cells=("A", "B"))
    predictions = change(adata, models)
    with pytest.raises(ValueError, match=message):
        evaluation.compare(adata, predictions, **kwargs)


def test_deviations_are_compared_in_pairs():
    adata, models = make(900, cells=("A", "B"))
    log = pp.log_expression(adata.obs["expression"])
    adata.obsm["reference_expression"] = np.random.default_rng(0).normal(0, 0.5, (len(log), 5))
    table = evaluation.compare(adata, models, reference="poor", n_bootstrap=100)
    assert list(of(table, model="good", cell_type="A")["metric"]) == [*METRICS, "deviation"]
    part = adata[adata.obs["cell_type"] == "A"].copy()
    alone = evaluation.evaluate(part, models["good"], splits="test", n_bootstrap=100).set_index("metric")
    row = of(table, model="good", cell_type="A", metric="deviation").iloc[0]
    assert row["value"] == pytest.approx(alone.loc["deviation", "value"])
    assert 0 < row["low"] < row["difference"] < row["high"]
    rest = table[table["metric"] != "deviation"].reset_index(drop=True)
    without = evaluation.compare(adata, models, reference="poor", reference_key=None, n_bootstrap=100)
    pd.testing.assert_frame_equal(rest, without)


def test_trainings_are_compared_by_their_mean():
    adata, models = make(900)
    log = pp.log_expression(adata.obs["expression"])
    noise = np.random.default_rng(0).normal(size=adata.n_obs)
    several = [models["fair"].assign(log_expression=log + size * noise) for size in (0.2, 1.0, 3.0)]
    table = evaluation.compare(adata, {"good": models["good"], "several": several}, n_bootstrap=200)
    values = evaluation.evaluate(adata, several, splits="test", n_bootstrap=0)["value"]
    np.testing.assert_allclose(table["value"], values)
    one = evaluation.compare(adata, {"good": models["good"], "one": several[1]}, n_bootstrap=200)
    width, narrow = (
        (row["high"] - row["low"]).item() for row in (of(table, metric="Pearson"), of(one, metric="Pearson"))
    )
    assert width > 2 * narrow


def test_many_models_take_seconds():
    adata, models = make(9_000)
    start = time.process_time()
    evaluation.compare(adata, models, n_bootstrap=1_000)
    assert time.process_time() - start < 15  # 3,000 genes; 1 to 2 s on a free core


def test_real_genes(e116):
    adata = ad.AnnData(obs=e116.obs.copy())
    pp.split_by_chromosome(adata)
    log = pp.log_expression(adata.obs["expression"])
    rng = np.random.default_rng(0)
    models = {
        name: pd.DataFrame({"probability": expit(score), "log_expression": score}, index=adata.obs_names)
        for name in ("a", "b")
        for score in [log + rng.normal(0, 0.5, adata.n_obs)]
    }
    for unit in ("gene", "block"):
        table = evaluation.compare(adata, models, unit=unit, n_bootstrap=200)
        assert (table["n"] == 2_717).all()
        assert set(table["cell_type"]) == {"E116"}
        assert (table["low"] < table["difference"]).all()
        assert (table["high"] - table["low"] < 0.04).all()


def test_plot_draws_each_difference():
    adata, models = make(cells=("A", "B"))
    table = evaluation.compare(adata, models, n_bootstrap=50)
    axes = pl.compare(table)
    assert [ax.get_title() for ax in axes] == METRICS
    assert axes[0].get_xlabel() == "difference in AUROC\nmodel better →"
    assert axes[3].get_xlabel() == "difference in ECE\n← model better"
    labels = [label.get_text() for label in axes[0].get_yticklabels()]
    assert labels == ["fair\n− poor", "good\n− poor", "good\n− fair"]
    for metric, ax in zip(METRICS, axes, strict=True):
        lines = [line for line in ax.lines if line.get_color() != "0.55"]
        drawn = {
            (float(line.get_xdata()[0]), line.get_markerfacecolor()) for line in lines if len(line.get_xdata()) == 1
        }
        rows = of(table, metric=metric)
        assert {x for x, _ in drawn} == set(rows["difference"])
        clear = set(rows["difference"][(rows["low"] > 0) | (rows["high"] < 0)])
        assert {x for x, face in drawn if face != "white"} == clear
        spans = {tuple(map(float, line.get_xdata())) for line in lines if len(line.get_xdata()) == 2}
        assert spans == set(zip(rows["low"], rows["high"], strict=True))
    figure = axes[0].figure
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["A", "B", "mean"]
    assert figure.get_suptitle() == "difference of two models, test split, with 95 % interval"


def test_plot_of_one_reference_and_some_metrics():
    adata, models = make()
    table = evaluation.compare(adata, models, reference="poor", splits=None, n_bootstrap=20)
    axes = pl.compare(table, split="valid", metrics=["Pearson", "AUROC"])
    assert [ax.get_title() for ax in axes] == ["Pearson", "AUROC"]
    assert [label.get_text() for label in axes[0].get_yticklabels()] == ["fair", "good"]
    assert axes[0].figure.get_suptitle() == "model − poor, valid split, with 95 % interval"
    assert not axes[0].figure.legends


@pytest.mark.parametrize(
    ("change", "kwargs", "message"),
    [
        (lambda t: t.drop(columns="low"), {}, r"no column low; .*evaluation\.compare"),
        (lambda t: t, {"split": "train"}, "no split 'train' \\(found: test\\)"),
        (lambda t: t, {"metrics": ["F1"]}, "F1; choose from AUROC"),
        (lambda t: t, {"metrics": []}, "metrics is empty"),
    ],
)
def test_plot_names_bad_input(change, kwargs, message):
    table = evaluation.compare(*make(), n_bootstrap=0)
    with pytest.raises(ValueError, match=message):
        pl.compare(change(table), **kwargs)
