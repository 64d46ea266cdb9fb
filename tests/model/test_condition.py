"""A decoder that is told of the cell type, and latents trained to be decoded."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import torch

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
def told(batches: ad.AnnData) -> sct.SimpleChrome:
    model = sct.SimpleChrome(batches, n_latent=4, condition_key="cell_type", device="cpu")
    model.train(**QUICK)
    return model


def level_told_by_latents(adata: ad.AnnData, model: sct.SimpleChrome) -> float:
    """Decoded signal of both batches at the same latents, strong less weak, in units of X."""
    latents = model.get_latent_representation(adata)
    decoded = [model.decode(latents, conditions=[name] * len(latents)) for name in ("strong", "weak")]
    return float((decoded[0] - decoded[1]).mean())


def test_the_decoder_learns_the_batch(batches: ad.AnnData, told: sct.SimpleChrome):
    assert "decoder told of 'cell_type'" in repr(told)
    strong = (batches.obs["cell_type"] == "strong").to_numpy()
    difference = float(batches.X[strong].mean() - batches.X[~strong].mean())
    assert level_told_by_latents(batches, told) > 0.2 * difference
    without = sct.SimpleChrome(batches, n_latent=4, device="cpu")
    without.train(**QUICK)
    assert level_told_by_latents(batches, without) == 0


def test_latents_and_prediction_do_not_read_it(batches: ad.AnnData, told: sct.SimpleChrome, caplog):
    other = batches.copy()
    other.obs["cell_type"] = "unheard of"
    with caplog.at_level(logging.INFO):
        latents = told.get_latent_representation(other)
    np.testing.assert_array_equal(latents, told.get_latent_representation(batches))
    pd.testing.assert_frame_equal(told.predict(other), told.predict(batches))
    assert "800 genes are of a cell_type that the decoder has not seen, such as unheard of" in caplog.text
    mean, *each = (told.decode(latents[:5], conditions=names) for names in (None, ["weak"] * 5, ["strong"] * 5))
    assert not np.allclose(mean, each[0])
    table = sct.tl.reconstruction(batches, told, copy=True).uns["reconstruction"]
    rows = (batches.obs["split"] == "test") & (batches.obs["cell_type"] == "weak")
    own = told.decode(told.get_latent_representation(batches)[rows], conditions=["weak"] * int(rows.sum()))
    columns = (batches.var["mark"] == "H3K4me3").to_numpy()
    expected = np.square((own - batches.X[rows])[:, columns]).mean()
    found = table.query("model == 'SimpleChrome' and mark == 'H3K4me3' and cell_type == 'weak'")["mse"].item()
    assert found == pytest.approx(expected, rel=1e-4)
    with pytest.raises(ValueError, match="3 conditions for 5 points"):
        told.decode(latents[:5], conditions=["weak"] * 3)


def test_attributions_leave_it_as_it_is(batches: ad.AnnData, told: sct.SimpleChrome):
    few = batches[:6].copy()
    sct.tl.attribute(few, told, progress=False)
    assert few.obs["attribution_error"].max() < 0.05


def test_it_is_saved(batches: ad.AnnData, told: sct.SimpleChrome, tmp_path: Path):
    told.save(tmp_path / "told")
    loaded = sct.SimpleChrome.load(tmp_path / "told", batches, device="cpu")
    assert loaded.settings == told.settings
    pd.testing.assert_frame_equal(loaded.predict(), told.predict())


def test_condition_needs_a_column_with_values(batches: ad.AnnData):
    with pytest.raises(ValueError, match="no column 'batch'"):
        sct.SimpleChrome(batches, condition_key="batch")
    one = batches[batches.obs["cell_type"] == "weak"].copy()
    with pytest.raises(ValueError, match="0 genes have no value, and the others 1; expected two values"):
        sct.SimpleChrome(one, condition_key="cell_type")
    paper = sct.datasets.simulate(200, windows=WINDOWS)
    paper.obs["cell_type"] = np.where(np.arange(200) % 2, "A", "B")
    sct.pp.split_by_chromosome(paper)
    sct.pp.normalize(paper, method="paper")
    with pytest.raises(ValueError, match="condition_key='cell_type'"):
        sct.SimpleChrome(paper, preset="paper", condition_key="cell_type")


def test_dropout_is_back_after_the_loss_of_the_latent():
    net = sct.nn.build_network([sct.nn.RegionShape(2, 8)], n_latent=2, n_hidden=8, dropout=0.5, neighbors=False)
    x = torch.randn(40, 16, generator=torch.Generator().manual_seed(0))
    recipe = sct.nn.Recipe(latent=sct.nn.Phase(1, 20, 1e-3))
    list(sct.nn.fit_latent(net, x, held_out=torch.arange(5), recipe=recipe))
    net.train()
    assert not torch.equal(net.encode(x).mean, net.encode(x).mean)
