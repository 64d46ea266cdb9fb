"""Plots of metrics of models."""

from __future__ import annotations

import numpy as np
import pytest

from simplechrome_tk import evaluation, pl


def test_metrics_draw_each_value_and_interval(adata, predictions):
    tables = {name: evaluation.evaluate(adata, table, n_bootstrap=50) for name, table in predictions.items()}
    tables["guess"] = tables["guess"][tables["guess"]["metric"] != "Pearson"]
    axes = pl.metrics(tables)
    names = ["AUROC", "AUPRC", "accuracy", "ECE", "Pearson", "Spearman"]
    assert [ax.get_title() for ax in axes] == ["ECE (lower is better)" if name == "ECE" else name for name in names]
    assert [tick.get_text() for tick in axes[0].get_yticklabels()] == ["good", "guess"]
    for metric, ax in zip(names, axes, strict=True):
        for place, (name, table) in enumerate(tables.items()):
            row = table[(table["split"] == "test") & (table["metric"] == metric)]
            drawn = [line.get_xdata() for line in ax.lines if line.get_ydata()[0] == place]
            if name == "guess" and metric == "Pearson":
                assert drawn == []
            else:
                np.testing.assert_allclose(drawn[0], row[["low", "high"]].to_numpy()[0])
                np.testing.assert_allclose(drawn[1], row["value"])
    value = tables["good"].set_index(["split", "metric"]).loc[("test", "AUROC"), "value"]
    assert axes[0].texts[0].get_text() == f"{value:.3f}"
    assert axes[0].figure.get_supxlabel() == "value on the test split, with 95 % interval"
    assert axes[0].get_ylim()[0] > axes[0].get_ylim()[1]


def test_metrics_of_one_table(adata, predictions):
    axes = pl.metrics(evaluation.evaluate(adata, predictions["good"], n_bootstrap=0), split="train")
    assert len(axes) == 6
    assert len(axes[0].texts) == 1


def test_groups_of_genes_are_drawn_under_their_names(adata, predictions):
    grouped = adata.copy()
    grouped.obs["kind"] = np.where(np.arange(adata.n_obs) % 2, "odd", "even")
    table = evaluation.evaluate(grouped, predictions["good"], groupby="kind", n_bootstrap=0)
    with pytest.raises(ValueError, match=r"groupby\('kind'"):
        pl.metrics(table)
    axes = pl.metrics({str(name): part for name, part in table.groupby("kind", observed=True)})
    assert [tick.get_text() for tick in axes[0].get_yticklabels()] == ["even", "odd"]


@pytest.mark.parametrize(
    ("change", "split", "token"),
    [
        (lambda table: {"m": table}, "valid", "table 'm' has no split 'valid'"),
        (lambda table: table.drop(columns=["low", "high"]), "test", r"no column low, high; .*evaluation\.evaluate"),
        (lambda table: {}, "test", "tables is empty"),
    ],
    ids=["no rows", "no interval", "no table"],
)
def test_metrics_bad_input_is_named(adata, predictions, change, split, token):
    table = evaluation.evaluate(adata, predictions["good"], n_bootstrap=0)
    with pytest.raises(ValueError, match=token):
        pl.metrics(change(table), split=split)
