from __future__ import annotations

import logging

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score, average_precision_score, roc_auc_score

from simplechrome_tk import evaluation, pp
from simplechrome_tk.evaluation import _metrics, _resample


def make(n=300, *, ties=True, seed=0):
    """Genes with a third in each split, and a prediction that is right more often than not."""
    rng = np.random.default_rng(seed)
    expression = rng.gamma(0.5, 20, n)
    score = np.log10(expression + 0.1) + rng.normal(0, 1, n)
    if ties:
        score = score.round(0)
        expression[rng.random(n) < 0.3] = 0
    obs = pd.DataFrame(
        {
            "expression": expression,
            "label": pd.Categorical(
                np.where(expression > np.median(expression), "high", "low"), categories=["low", "high"], ordered=True
            ),
            "split": np.array(["train", "valid", "test"])[np.arange(n) % 3],
        },
        index=[f"g{i}" for i in range(n)],
    )
    adata = ad.AnnData(rng.normal(size=(n, 4)).astype(np.float32) + score[:, None].astype(np.float32), obs=obs)
    prediction = pd.DataFrame(
        {"probability": 1 / (1 + np.exp(-(score - 0.5))), "log_expression": score}, index=adata.obs_names
    )
    return adata, prediction


def ece(truth, probability, n_bins=15):
    """Gene by gene: its bin is where the mean rank of its probability falls among all."""
    bins = ((stats.rankdata(probability) - 0.5) / len(truth) * n_bins).astype(int)
    groups = [(np.asarray(truth, float)[bins == b], probability[bins == b]) for b in np.unique(bins)]
    return sum(len(high) / len(truth) * abs(high.mean() - chance.mean()) for high, chance in groups)


def oracle(truth, probability, expression, predicted):
    truth, probability = np.asarray(truth), np.asarray(probability)
    return {
        "AUROC": roc_auc_score(truth, probability),
        "AUPRC": average_precision_score(truth, probability),
        "accuracy": accuracy_score(truth, probability > 0.5),
        "ECE": ece(truth, probability),
        "Pearson": stats.pearsonr(expression, predicted)[0],
        "Spearman": stats.spearmanr(expression, predicted)[0],
    }


@pytest.mark.parametrize("ties", [True, False])
def test_values_equal_sklearn_and_scipy(ties):
    adata, prediction = make(ties=ties)
    assert (prediction["probability"].nunique() < 20) == ties
    table = evaluation.evaluate(adata, prediction, n_bootstrap=0)
    assert list(table.columns) == ["split", "metric", "value", "low", "high", "n"]
    assert list(table["split"].unique()) == ["train", "valid", "test"]
    for split, part in table.groupby("split"):
        inside = (adata.obs["split"] == split).to_numpy()
        expected = oracle(
            (adata.obs["label"] == "high")[inside],
            prediction["probability"][inside],
            pp.log_expression(adata.obs["expression"])[inside],
            prediction["log_expression"][inside],
        )
        assert list(part["metric"]) == list(expected)
        np.testing.assert_allclose(part["value"], list(expected.values()), rtol=1e-12)
        assert (part["n"] == 100).all()
    assert table[["low", "high"]].isna().all(axis=None)


def test_a_weight_counts_like_a_repeated_gene():
    adata, prediction = make(90)
    rng = np.random.default_rng(1)
    weights = rng.integers(0, 4, (5, 90)).astype(float)
    label = (adata.obs["label"] == "high").to_numpy(float)
    expression = pp.log_expression(adata.obs["expression"])
    probability, predicted = prediction["probability"].to_numpy(), prediction["log_expression"].to_numpy()
    got = {
        "AUROC": _metrics.auroc(label, probability, weights),
        "AUPRC": _metrics.auprc(label, probability, weights),
        "accuracy": _metrics.accuracy(label, probability, weights),
        "ECE": _metrics.expected_calibration_error(label, probability, weights),
        "Pearson": _metrics.pearson(expression, predicted, weights),
        "Spearman": _metrics.spearman(expression, predicted, weights),
    }
    for i, times in enumerate(weights.astype(int)):
        rows = np.repeat(np.arange(90), times)
        expected = oracle(label[rows], probability[rows], expression[rows], predicted[rows])
        for metric, value in expected.items():
            assert got[metric][i] == pytest.approx(value, rel=1e-12), metric


def test_interval_equals_that_of_a_plain_bootstrap():
    adata, prediction = make(600, ties=False)
    row = evaluation.evaluate(adata, prediction, splits=["test"], n_bootstrap=2_000).set_index("metric").loc["AUROC"]
    inside = np.flatnonzero(adata.obs["split"] == "test")
    label, probability = (adata.obs["label"] == "high").to_numpy()[inside], prediction["probability"].to_numpy()[inside]
    rng = np.random.default_rng(5)
    draws = [rng.integers(len(inside), size=len(inside)) for _ in range(2_000)]
    low, high = np.quantile([rank_auroc(label[d], probability[d]) for d in draws], [0.025, 0.975])
    assert row["low"] == pytest.approx(low, abs=0.006)
    assert row["high"] == pytest.approx(high, abs=0.006)


def rank_auroc(label, score):
    ranks = stats.rankdata(score)[label]
    return (ranks.mean() - (label.sum() + 1) / 2) / (~label).sum()


def test_interval_covers_the_true_auroc():
    shift, n, covered = 1.0, 120, 0
    truth = stats.norm.cdf(shift / np.sqrt(2))
    rng = np.random.default_rng(0)
    label = np.arange(n) % 2 == 0
    obs = pd.DataFrame({"label": np.where(label, "high", "low"), "split": "test"}, index=[f"g{i}" for i in range(n)])
    adata = ad.AnnData(obs=obs)
    for i in range(150):
        probability = stats.norm.cdf(rng.normal(size=n) + shift * label)
        table = evaluation.evaluate(
            adata, pd.DataFrame({"probability": probability}, index=obs.index), n_bootstrap=300, rng=i
        )
        row = table.set_index("metric").loc["AUROC"]
        covered += row["low"] <= truth <= row["high"]
    assert 0.88 <= covered / 150 <= 0.99


def test_rng_decides_the_interval_whatever_else_is_scored():
    adata, prediction = make(ties=False)
    first = evaluation.evaluate(adata, prediction, n_bootstrap=50)
    pd.testing.assert_frame_equal(first, evaluation.evaluate(adata, prediction, n_bootstrap=50, rng=0))
    assert not first["low"].equals(evaluation.evaluate(adata, prediction, n_bootstrap=50, rng=1)["low"])
    test = first[(first["split"] == "test") & first["metric"].isin(["Pearson", "Spearman"])].reset_index(drop=True)
    alone = evaluation.evaluate(adata, prediction[["log_expression"]], splits="test", n_bootstrap=50)
    pd.testing.assert_frame_equal(test, alone)
    assert ((first["low"] <= first["value"]) & (first["value"] <= first["high"])).all()


def test_many_resamples_are_drawn_in_pieces(monkeypatch):
    adata, prediction = make(ties=False)
    monkeypatch.setattr(_resample, "_WEIGHTS_AT_ONCE", 1_000)
    pieces = evaluation.evaluate(adata, prediction, n_bootstrap=205)
    monkeypatch.setattr(_resample, "_WEIGHTS_AT_ONCE", 10**9)
    pd.testing.assert_frame_equal(pieces, evaluation.evaluate(adata, prediction, n_bootstrap=205))


def test_prediction_is_aligned_by_name():
    adata, prediction = make()
    expected = evaluation.evaluate(adata, prediction, n_bootstrap=20)
    shuffled = pd.concat([prediction.sample(frac=1, random_state=0), prediction.iloc[[0]].set_axis(["other"])])
    pd.testing.assert_frame_equal(evaluation.evaluate(adata, shuffled, n_bootstrap=20), expected)
    test_only = prediction[adata.obs["split"] == "test"]
    assert len(evaluation.evaluate(adata, test_only, splits=["test"], n_bootstrap=0)) == 6


def test_genes_without_truth_are_left_out_and_counted(caplog):
    adata, prediction = make()
    test = np.flatnonzero(adata.obs["split"] == "test")
    adata.obs.iloc[test[:7], adata.obs.columns.get_loc("label")] = np.nan
    adata.obs.iloc[test[:9], adata.obs.columns.get_loc("expression")] = np.nan
    prediction.iloc[test[:7]] = np.nan
    prediction.iloc[test[:9], 1] = np.nan
    with caplog.at_level(logging.INFO):
        table = evaluation.evaluate(adata, prediction, splits=["test"], n_bootstrap=0).set_index("metric")
    assert table["n"].to_dict() == dict.fromkeys(["AUROC", "AUPRC", "accuracy", "ECE"], 93) | {
        "Pearson": 91,
        "Spearman": 91,
    }
    assert "7 of 100 genes have no label" in caplog.text
    assert "9 of 100 genes have no expression" in caplog.text
    kept = adata[test[9:]].copy()
    same = evaluation.evaluate(kept, prediction, n_bootstrap=0).set_index("metric")
    assert same.loc["Pearson", "value"] == table.loc["Pearson", "value"]


def test_a_gene_stacked_for_several_cells_is_resampled_as_one():
    adata, prediction = make(ties=False)
    alone = evaluation.evaluate(adata, prediction, n_bootstrap=100)
    obs = pd.concat([adata.obs.set_axis(adata.obs_names + f":{cell}").assign(cell_type=cell) for cell in ("a", "b")])
    both = pd.concat([prediction.set_axis(prediction.index + f":{cell}") for cell in ("a", "b")])
    stacked = evaluation.evaluate(ad.AnnData(obs=obs), both, n_bootstrap=100)
    pd.testing.assert_frame_equal(stacked.drop(columns="n"), alone.drop(columns="n"))
    assert (stacked["n"] == 2 * alone["n"]).all()


def test_columns_of_obs_can_be_named():
    adata, prediction = make()
    expected = evaluation.evaluate(adata, prediction, n_bootstrap=10)
    adata.obs = adata.obs.rename(columns={"label": "L", "expression": "E", "split": "S"})
    got = evaluation.evaluate(adata, prediction, label_key="L", expression_key="E", split_key="S", n_bootstrap=10)
    pd.testing.assert_frame_equal(got, expected)


def test_constant_predictions_have_no_correlation(caplog):
    adata, prediction = make()
    constant = prediction.assign(log_expression=0.1, probability=0.3)
    with caplog.at_level(logging.INFO):
        table = evaluation.evaluate(adata, constant, splits=["test"], n_bootstrap=20)
    table = table.set_index("metric")
    assert table.loc[["Pearson", "Spearman"], ["value", "low", "high"]].isna().all(axis=None)
    assert table.loc["AUROC", "value"] == 0.5
    assert "Pearson of split 'test' is undefined" in caplog.text
    assert "WARNING" not in caplog.text


def test_resamples_of_one_class_are_left_out(caplog):
    obs = pd.DataFrame({"label": ["low", "high", "low"], "split": "test"}, index=list("abc"))
    prediction = pd.DataFrame({"probability": [0.1, 0.9, 0.2]}, index=list("abc"))
    table = evaluation.evaluate(ad.AnnData(obs=obs), prediction, n_bootstrap=200).set_index("metric")
    assert table.loc["AUROC", ["value", "low", "high"]].tolist() == [1, 1, 1]
    assert "AUROC of split 'test': undefined in" in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a, p: (a, p.drop(index=["g2", "g5"])), "lacks 2 of the 100 .* g2, g5"),
        (lambda a, p: (a, p.rename(columns=str.upper)), "columns PROBABILITY, LOG_EXPRESSION"),
        (
            lambda a, p: (a, p.drop(index="g2").reindex(p.index)),
            "1 of 100 predictions of 'probability'",
        ),
        (lambda a, p: (a, p.assign(probability=p["probability"] * 3)), "expected 0 to 1"),
        (lambda a, p: (a, pd.concat([p, p.iloc[:1]])), "names 1 genes .* 'g0'"),
        (lambda a, p: (a[a.obs["label"] == "low"].copy(), p), "split 'test' are low"),
        (lambda a, p: (a[a.obs["split"] != "test"].copy(), p), "no gene is in split 'test'"),
        (lambda a, p: (drop(a, "split"), p), "pp.split_by_chromosome"),
        (lambda a, p: (drop(a, "label"), p), "pp.label_expression"),
        (lambda a, p: (drop(a, "expression"), p), "a task without expression"),
        (lambda a, p: (assign(a, label=np.nan), p), "no label is known"),
        (lambda a, p: (assign(a, label="up"), p), "holds up"),
        (lambda a, p: (assign(a, expression=-1.0), p), "300 negative values"),
    ],
)
def test_bad_input_is_named(change, message):
    adata, prediction = change(*make())
    with pytest.raises(ValueError, match=message):
        evaluation.evaluate(adata, prediction, splits=["test"], n_bootstrap=0)


@pytest.mark.parametrize("splits", [["exam"], [], ["test", "test"]])
def test_bad_splits_are_named(splits):
    with pytest.raises(ValueError, match="choose from train, valid, test, each once"):
        evaluation.evaluate(*make(), splits=splits)


def test_bad_number_of_resamples():
    with pytest.raises(ValueError, match="n_bootstrap is -1"):
        evaluation.evaluate(*make(), n_bootstrap=-1)


def drop(adata, column):
    del adata.obs[column]
    return adata


def assign(adata, **columns):
    adata.obs = adata.obs.assign(**columns)
    return adata


# The deviation from a reference


def with_reference(n=300, *, n_samples=4, seed=0):
    """Genes of :func:`make` with a reference that is near their expression."""
    adata, prediction = make(n, ties=False, seed=seed)
    noise = np.random.default_rng(seed + 1).normal(0, 0.5, (n, n_samples))
    log = pp.log_expression(adata.obs["expression"])
    adata.obsm["reference_expression"] = (log[:, None] + noise).astype(np.float32)
    return adata, prediction


def deviation(table):
    return table.set_index("metric").loc["deviation"]


def test_deviation_is_the_correlation_after_the_mean_of_the_reference():
    adata, prediction = with_reference()
    found = deviation(evaluation.evaluate(adata, prediction, splits="test", n_bootstrap=100))
    mean = adata.obsm["reference_expression"].astype(float).mean(axis=1)
    inside = (adata.obs["split"] == "test").to_numpy()
    truth = pp.log_expression(adata.obs["expression"]) - mean
    expected = stats.pearsonr(truth[inside], (prediction["log_expression"] - mean)[inside])[0]
    assert found["value"] == pytest.approx(expected, abs=1e-5)
    assert found["low"] < expected < found["high"]
    assert found["n"] == 100


def test_the_deviation_leaves_other_scores_as_they_are():
    adata, prediction = with_reference()
    table = evaluation.evaluate(adata, prediction, n_bootstrap=20)
    without = evaluation.evaluate(adata, prediction, reference_key=None, n_bootstrap=20)
    rest = table[table["metric"] != "deviation"].reset_index(drop=True)
    pd.testing.assert_frame_equal(rest, without)


def test_predictions_without_expression_have_no_deviation():
    adata, prediction = with_reference()
    table = evaluation.evaluate(adata, prediction[["probability"]], n_bootstrap=0)
    assert "deviation" not in set(table["metric"])


def test_the_mean_itself_has_no_deviation():
    adata, prediction = with_reference()
    mean = adata.obsm["reference_expression"].mean(axis=1)
    table = evaluation.evaluate(adata, prediction.assign(log_expression=mean), splits="test", n_bootstrap=10)
    assert np.isnan(deviation(table)["value"])


def test_genes_without_reference_have_no_deviation(caplog):
    adata, prediction = with_reference()
    test = np.flatnonzero(adata.obs["split"] == "test")
    adata.obsm["reference_expression"][test[:6]] = np.nan
    adata.obsm["reference_expression"][test[7], 0] = np.nan
    with caplog.at_level(logging.INFO):
        table = evaluation.evaluate(adata, prediction, splits="test", n_bootstrap=0)
    assert deviation(table)["n"] == 94
    assert "6 of 100 genes have no deviation" in caplog.text


def bad_reference(adata, values, samples=None):
    adata.obsm["other"] = values
    if samples is not None:
        adata.uns["other"] = {"samples": samples}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: None, "obsm has no 'other'"),
        (lambda a: bad_reference(a, np.full((300, 2), np.inf)), "infinite values"),
        (lambda a: bad_reference(a, np.zeros((300, 0))), r"shape \(300, 0\)"),
        (lambda a: bad_reference(a, np.zeros((300, 2)), ["a"]), "2 columns, and .* names 1"),
        (lambda a: bad_reference(a, np.full((300, 2), np.nan)), "no deviation"),
    ],
)
def test_bad_references_are_named(change, message):
    adata, prediction = make()
    change(adata)
    with pytest.raises(ValueError, match=message):
        evaluation.evaluate(adata, prediction, reference_key="other", n_bootstrap=0)


# Groups of genes


def test_groups_are_scored_as_if_alone():
    adata, prediction = with_reference()
    adata.obs["kind"] = np.where(np.arange(300) % 2, "odd", "even")
    table = evaluation.evaluate(adata, prediction, splits=["test", "valid"], groupby="kind", n_bootstrap=20)
    assert list(table.columns) == ["split", "kind", "metric", "value", "low", "high", "n"]
    for kind in ("odd", "even"):
        alone = evaluation.evaluate(
            adata[adata.obs["kind"] == kind].copy(), prediction, splits=["test", "valid"], n_bootstrap=0
        )
        part = table[table["kind"] == kind]
        np.testing.assert_allclose(part["value"], alone["value"])
        np.testing.assert_array_equal(part["n"], alone["n"])
    assert (table["low"] < table["high"]).all()


def test_groups_of_one_class_or_without_truth_are_no_error(caplog):
    adata, prediction = make()
    expression = adata.obs["expression"].to_numpy()
    adata.obs["kind"] = np.where(adata.obs["label"] == "high", "on", "off")
    adata.obs.loc[adata.obs_names[:30], "kind"] = None
    adata.obs.loc[adata.obs_names[30:60], ["kind", "expression", "label"]] = ["unknown", np.nan, None]
    with caplog.at_level(logging.INFO):
        table = evaluation.evaluate(adata, prediction, splits="test", groupby="kind", n_bootstrap=5)
    assert table.loc[table["metric"] == "AUROC", "value"].isna().all()
    assert table.loc[table["metric"] == "accuracy", "value"].notna().all()
    assert set(table["kind"]) == {"on", "off"}
    assert expression.shape == (300,)
    assert "30 of 300 genes have no kind" in caplog.text
    assert "'unknown': none of 10 genes is measured" in caplog.text


def test_groups_of_one_expression_have_no_deviation(caplog):
    adata, prediction = with_reference()
    adata.obs["expressed"] = np.where(np.arange(300) < 150, "zero", "above zero")
    adata.obs.loc[adata.obs_names[:150], "expression"] = 0.0
    with caplog.at_level(logging.INFO):
        table = evaluation.evaluate(adata, prediction, splits="test", groupby="expressed", n_bootstrap=0)
    assert list(table.loc[table["metric"] == "deviation", "expressed"]) == ["above zero"]
    assert "same expression; its deviation is not scored" in caplog.text


def test_groups_keep_their_order():
    adata, prediction = make()
    adata.obs["size"] = pd.Categorical(np.resize(["small", "large"], 300), categories=["small", "large"], ordered=True)
    table = evaluation.evaluate(adata, prediction, splits="test", groupby="size", n_bootstrap=0)
    assert list(table["size"].cat.categories) == ["small", "large"]
    assert list(table["size"].unique()) == ["small", "large"]


@pytest.mark.parametrize(("groupby", "message"), [("kind", "no column 'kind'"), ("split", "column of the scores")])
def test_bad_groups_are_named(groupby, message):
    with pytest.raises(ValueError, match=message):
        evaluation.evaluate(*make(), groupby=groupby, n_bootstrap=0)


# Several trainings


def trainings(adata, prediction, n, noise):
    """Predictions that differ from each other by noise."""
    rng = np.random.default_rng(3)
    return [
        prediction.assign(log_expression=prediction["log_expression"] + noise * rng.normal(size=adata.n_obs))
        for _ in range(n)
    ]


def test_the_value_of_several_trainings_is_the_mean_of_their_values():
    adata, prediction = with_reference()
    tables = trainings(adata, prediction, 3, 0.5)
    found = evaluation.evaluate(adata, tables, n_bootstrap=0)
    each = [evaluation.evaluate(adata, table, n_bootstrap=0)["value"] for table in tables]
    np.testing.assert_allclose(found["value"], np.mean(each, axis=0))


def test_equal_trainings_have_the_interval_of_one():
    adata, prediction = make(ties=False)
    one = evaluation.evaluate(adata, prediction, n_bootstrap=50)
    pd.testing.assert_frame_equal(evaluation.evaluate(adata, [prediction] * 3, n_bootstrap=50), one)


def test_the_draws_of_trainings_vary_as_the_mean_of_new_trainings():
    values = np.random.default_rng(0).normal(size=5)
    share = _resample.draw_seeds(5, 20_000, np.random.default_rng(1))
    np.testing.assert_allclose(share.sum(axis=1), 1)
    means = share @ values
    assert means[0] == pytest.approx(values.mean())
    assert means[1:].var() == pytest.approx(values.var(ddof=1) / 5, rel=0.05)


def test_the_spread_of_trainings_is_in_the_interval():
    adata, prediction = make(900, ties=False)
    rng = np.random.default_rng(0)
    log = pp.log_expression(adata.obs["expression"])
    noise = rng.normal(size=adata.n_obs)
    tables = [prediction.assign(log_expression=log + size * noise) for size in (0.2, 0.5, 1, 2, 4)]
    wide = evaluation.evaluate(adata, tables, splits="test", n_bootstrap=300).set_index("metric").loc["Pearson"]
    each = [
        evaluation.evaluate(adata, table, splits="test", n_bootstrap=300).set_index("metric").loc["Pearson"]
        for table in tables
    ]
    spread = np.std([row["value"] for row in each], ddof=1) / np.sqrt(5)
    assert wide["high"] - wide["low"] > 3 * spread > np.mean([row["high"] - row["low"] for row in each])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: [], "prediction is empty"),
        (lambda p: [p, "p"], "prediction is DataFrame, str"),
        (lambda p: [p, p[["probability"]]], "another one probability"),
    ],
)
def test_bad_trainings_are_named(change, message):
    adata, prediction = make()
    with pytest.raises(ValueError, match=message):
        evaluation.evaluate(adata, change(prediction), n_bootstrap=0)
