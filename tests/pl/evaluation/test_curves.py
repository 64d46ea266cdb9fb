"""ROC and precision-recall curves."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from simplechrome_tk import pl


def texts(legend):
    return [text.get_text() for text in legend.get_texts()]


@pytest.mark.parametrize(
    ("panel", "metric", "score", "guessing"),
    [(0, "AUROC", roc_auc_score, 0.5), (1, "AUPRC", average_precision_score, None)],
)
def test_curves_name_each_model_and_its_area(adata, predictions, panel, metric, score, guessing):
    inside = (adata.obs["split"] == "test").to_numpy()
    truth = (adata.obs["label"] == "high").to_numpy()[inside]
    guessing = truth.mean() if guessing is None else guessing
    ax = pl.roc_and_precision_recall(adata, predictions)[panel]
    values = {name: score(truth, table["probability"][inside]) for name, table in predictions.items()}
    assert texts(ax.get_legend()) == [
        *(f"{name} ({metric} {value:.3f})" for name, value in values.items()),
        f"guessing ({guessing:.3f})",
    ]
    assert ax.get_title(loc="left") == f"test split: 20 genes, {100 * truth.mean():.0f} % high"
    x, y = ax.lines[0].get_data()
    if metric == "AUROC":
        assert np.trapezoid(y, x) == pytest.approx(values["good"])
    else:
        assert ax.lines[0].get_drawstyle() == "steps-post"
        assert -np.sum(np.diff(x) * y[:-1]) == pytest.approx(values["good"])


def test_the_curve_of_one_prediction_has_no_name(adata, predictions):
    axes = pl.roc_and_precision_recall(adata, predictions["good"], split="train")
    assert texts(axes[0].get_legend())[0].startswith("AUROC 0.")
    assert texts(axes[1].get_legend())[0].startswith("AUPRC 0.")


@pytest.mark.parametrize(
    ("change", "split", "token"),
    [
        (lambda good: good, "valid", "no gene is in split 'valid'"),
        (lambda good: good[["log_expression"]], "test", "columns log_expression; expected 'probability'"),
        (lambda good: {}, "test", "predictions is empty"),
        (lambda good: good.set_axis(range(30)), "test", "lacks 20 of the 20 genes"),
        (lambda good: {"mine": good.set_axis(range(30))}, "test", "prediction 'mine' lacks"),
    ],
    ids=["no genes", "no probability", "no prediction", "other genes", "name of the prediction"],
)
def test_bad_input_is_named(adata, predictions, change, split, token):
    with pytest.raises(ValueError, match=token):
        pl.roc_and_precision_recall(adata, change(predictions["good"]), split=split)
    assert not plt.get_fignums()
