"""Callbacks of the training: the rows they are given, and the training that they stop or interrupt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from builders import prepared

import simplechrome_tk as sct

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import anndata as ad

EPOCHS = {"latent_epochs": 2, "expression_epochs": 3, "context_epochs": 2}


@pytest.fixture(scope="module")
def genes() -> ad.AnnData:
    return prepared(n_neighbors=5)


def train(
    adata: ad.AnnData, on_epoch: Callable[[Mapping[str, Any]], object] | None, n_models: int = 1
) -> sct.SimpleChrome:
    model = sct.SimpleChrome(adata, n_latent=4, n_hidden=16, neighbors_key="tss", n_models=n_models, device="cpu")
    model.train(**EPOCHS, progress=False, on_epoch=on_epoch)
    return model


def test_rows_are_those_of_the_history_with_the_place_in_the_plan(genes: ad.AnnData):
    rows: list[Mapping[str, Any]] = []
    model = train(genes, rows.append, n_models=2)
    assert [row["phase_epoch"] for row in rows[:7]] == [1, 2, 1, 2, 3, 1, 2]
    assert [row["epoch"] for row in rows] == [*range(1, 8), *range(1, 8)]
    assert all(row["plan"] == {"latent": 2, "expression": 3, "context": 2} for row in rows)
    assert all(row["n_models"] == 2 for row in rows)
    table = pd.DataFrame(rows)[model.history.columns.drop("best")]
    pd.testing.assert_frame_equal(table, model.history.drop(columns="best"))


def test_a_callback_that_returns_nothing_changes_nothing(genes: ad.AnnData):
    expected = train(genes, None)
    found = train(genes, lambda row: None)
    pd.testing.assert_frame_equal(found.predict(), expected.predict(), check_exact=True)


@pytest.mark.parametrize(
    ("phase", "phases"),
    [
        ("latent", ["latent", "expression", "expression", "expression", "context", "context"]),
        ("expression", ["latent", "latent", "expression"]),
        ("context", ["latent", "latent", "expression", "expression", "expression", "context"]),
    ],
)
def test_a_stop_ends_the_phase_and_after_the_first_phase_the_network(genes: ad.AnnData, phase: str, phases: list[str]):
    model = train(genes, lambda row: row["phase"] == phase)
    assert model.history["phase"].tolist() == phases
    assert model.predict().notna().any(axis=None)


def test_a_stop_ends_one_network_of_several(genes: ad.AnnData):
    model = train(genes, lambda row: row["model"] == 0 and row["phase"] == "expression", n_models=2)
    assert model.history["model"].value_counts().to_dict() == {0: 3, 1: 7}


def test_a_callback_that_raises_leaves_the_model_as_it_was(genes: ad.AnnData):
    def fail(row: Mapping[str, Any]) -> None:
        if row["phase"] == "context":
            raise KeyboardInterrupt

    model = train(genes, None)
    before = model.predict()
    with pytest.raises(KeyboardInterrupt):
        model.train(**EPOCHS, progress=False, on_epoch=fail)
    pd.testing.assert_frame_equal(model.predict(), before, check_exact=True)
    assert len(model.history) == 7
