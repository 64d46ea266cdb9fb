"""Plots of the history of a training."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from simplechrome_tk import pl


def texts(legend):
    return [text.get_text() for text in legend.get_texts()]


def training():
    """Three epochs of a latent phase and four of an expression phase."""
    missing = [np.nan] * 3
    return pd.DataFrame(
        {
            "epoch": range(1, 8),
            "phase": ["latent"] * 3 + ["expression"] * 4,
            "train_loss": [3.0, 2, 1, 0.8, 0.6, 0.5, 0.4],
            "valid_loss": [3.1, 2.1, 1.1, 0.9, 0.7, 0.6, 0.65],
            "reconstruction": [2.5, 1.5, 0.9, *missing, np.nan],
            "kl": [1.0, 4, 6, *missing, np.nan],
            "valid_auroc": [*missing, 0.8, 0.9, 0.95, 0.94],
            "valid_pearson": [*missing, 0.6, 0.7, 0.8, 0.79],
            "best": [False] * 5 + [True, False],
        }
    )


def test_history_draws_a_panel_for_each_phase_and_the_scores():
    table = training()
    axes = pl.history(table)
    assert [ax.get_title(loc="left") for ax in axes] == [
        "latent phase",
        "expression phase",
        "KL divergence",
        "validation scores",
    ]
    lines = [{line.get_label(): line for line in ax.lines} for ax in axes]
    assert list(lines[0]) == ["training loss", "validation loss", "reconstruction (validation)"]
    assert list(lines[1]) == ["training loss", "validation loss", "best epoch: 6"]
    assert list(lines[3]) == ["AUROC", "Pearson", "best epoch: 6"]
    assert lines[1]["validation loss"].get_xdata().tolist() == [4, 5, 6, 7]
    assert lines[1]["validation loss"].get_ydata().tolist() == [0.9, 0.7, 0.6, 0.65]
    assert lines[2]["KL divergence"].get_ydata().tolist() == [1, 4, 6]
    assert lines[3]["AUROC"].get_ydata().tolist() == [0.8, 0.9, 0.95, 0.94]
    assert lines[3]["best epoch: 6"].get_xdata() == [6, 6]
    assert texts(axes[1].get_legend()) == list(lines[1])


@pytest.mark.parametrize(
    ("columns", "panels"),
    [
        (["epoch", "train_loss"], ["loss"]),
        (["epoch", "phase", "train_loss", "valid_auroc"], ["latent phase", "expression phase", "validation scores"]),
        (["epoch", "phase", "kl", "best"], ["KL divergence"]),
    ],
)
def test_history_draws_what_was_recorded(columns, panels):
    axes = pl.history(training()[columns])
    assert [ax.get_title(loc="left") for ax in axes] == panels
    assert axes[0].figure.axes == list(axes)


def test_a_history_without_epochs_is_refused():
    with pytest.raises(ValueError, match="expected 'epoch'"):
        pl.history(training()[["train_loss"]])


def test_a_history_without_losses_is_refused():
    with pytest.raises(ValueError, match="nothing to draw"):
        pl.history(training()[["epoch"]].assign(loss=1.0))
