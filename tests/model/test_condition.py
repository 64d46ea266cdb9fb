"""A decoder that is conditioned on the cell type."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

import simplechrome_tk as sct

if TYPE_CHECKING:
    from pathlib import Path

    import anndata as ad

WINDOWS = [sct.pp.Window("tss", anchor="tss", upstream=2_000, downstream=2_000, n_bins=8)]
QUICK = {"latent_epochs": 12, "expression_epochs": 4, "progress": False}


@pytest.fixture(scope="module")
def batches() -> ad.AnnData:
    """The same genes twice, the second time with three times the signal: a batch effect and nothing else."""
    one = sct.datasets.simulate(400, windows=WINDOWS)
    two = one.copy()
    two.X *= 3
    both = sct.pp.stack_cell_types({"weak": one, "strong": two})
    sct.pp.split_by_chromosome(both)
    sct.pp.normalize(both)
    return both


@pytest.fixture(scope="module")
def conditioned(batches: ad.AnnData) -> sct.SimpleChrome:
    model = sct.SimpleChrome(batches, n_latent=4, condition_key="cell_type", device="cpu")
    model.train(**QUICK)
    return model


def decoded_difference(adata: ad.AnnData, model: sct.SimpleChrome) -> float:
    """Decoded signal of both batches at the same latents, strong less weak, in units of X."""
    latents = model.get_latent_representation(adata)
    decoded = [model.decode(latents, conditions=[name] * len(latents)) for name in ("strong", "weak")]
    return float((decoded[0] - decoded[1]).mean())


def test_the_decoder_learns_the_batch(batches: ad.AnnData, conditioned: sct.SimpleChrome):
    assert "decoder conditioned on 'cell_type'" in repr(conditioned)
    strong = (batches.obs["cell_type"] == "strong").to_numpy()
    difference = float(batches.X[strong].mean() - batches.X[~strong].mean())
    assert decoded_difference(batches, conditioned) > 0.2 * difference
    without = sct.SimpleChrome(batches, n_latent=4, device="cpu")
    without.train(**QUICK)
    assert decoded_difference(batches, without) == 0


def test_latents_and_prediction_do_not_read_the_condition(
    batches: ad.AnnData, conditioned: sct.SimpleChrome, caplog: pytest.LogCaptureFixture
):
    other = batches.copy()
    other.obs["cell_type"] = "unknown"
    with caplog.at_level(logging.INFO):
        latents = conditioned.get_latent_representation(other)
    np.testing.assert_array_equal(latents, conditioned.get_latent_representation(batches))
    pd.testing.assert_frame_equal(conditioned.predict(other), conditioned.predict(batches))
    assert "800 genes have a cell_type" in caplog.text
    assert "such as unknown" in caplog.text


def test_without_a_condition_latents_are_decoded_as_with_the_mean_of_all(
    batches: ad.AnnData, conditioned: sct.SimpleChrome
):
    latents = conditioned.get_latent_representation(batches)[:5]
    mean = conditioned.decode(latents)
    np.testing.assert_array_equal(mean, conditioned.decode(latents, conditions=["unknown"] * 5))
    assert not np.allclose(mean, conditioned.decode(latents, conditions=["weak"] * 5))


def test_latents_need_one_condition_each(conditioned: sct.SimpleChrome):
    with pytest.raises(ValueError, match="3 conditions for 5 points"):
        conditioned.decode(np.zeros((5, 4)), conditions=["weak"] * 3)


def test_reconstruction_decodes_each_gene_with_its_own_condition(batches: ad.AnnData, conditioned: sct.SimpleChrome):
    table = sct.tl.reconstruction(batches, conditioned, copy=True).uns["reconstruction"]
    rows = (batches.obs["split"] == "test") & (batches.obs["cell_type"] == "weak")
    latents = conditioned.get_latent_representation(batches)[rows]
    decoded = conditioned.decode(latents, conditions=["weak"] * len(latents))
    columns = (batches.var["mark"] == "H3K4me3").to_numpy()
    expected = np.square((decoded - batches.X[rows])[:, columns]).mean()
    found = table.query("model == 'SimpleChrome' and mark == 'H3K4me3' and cell_type == 'weak'")["mse"].item()
    assert found == pytest.approx(expected, rel=1e-4)


def test_attributions_leave_the_condition_as_it_is(batches: ad.AnnData, conditioned: sct.SimpleChrome):
    few = batches[:6].copy()
    sct.tl.attribute(few, conditioned, progress=False)
    assert few.obs["attribution_error"].max() < 0.05


def test_the_condition_is_saved(batches: ad.AnnData, conditioned: sct.SimpleChrome, tmp_path: Path):
    conditioned.save(tmp_path / "model")
    loaded = sct.SimpleChrome.load(tmp_path / "model", batches, device="cpu")
    assert loaded.settings == conditioned.settings
    latents = np.ones((2, 4))
    expected = conditioned.decode(latents, conditions=["weak", "strong"])
    np.testing.assert_array_equal(loaded.decode(latents, conditions=["weak", "strong"]), expected)


def test_the_condition_needs_a_column(batches: ad.AnnData):
    with pytest.raises(ValueError, match=r"no column 'batch'.*condition_key"):
        sct.SimpleChrome(batches, condition_key="batch")


def test_the_condition_needs_two_values(batches: ad.AnnData):
    one = batches[batches.obs["cell_type"] == "weak"].copy()
    with pytest.raises(ValueError, match=r"condition_key='cell_type'.*1 different"):
        sct.SimpleChrome(one, condition_key="cell_type")


def test_the_published_network_has_no_condition():
    adata = sct.datasets.simulate(200, windows=WINDOWS)
    adata.obs["cell_type"] = np.where(np.arange(200) % 2, "A", "B")
    sct.pp.split_by_chromosome(adata)
    sct.pp.normalize(adata, method="paper")
    with pytest.raises(ValueError, match="condition_key='cell_type'"):
        sct.SimpleChrome(adata, preset="paper", condition_key="cell_type")
