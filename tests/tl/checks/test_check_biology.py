from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

import simplechrome_tk as sct
from simplechrome_tk.tl.checks._check_biology import _Measured


class Linear(torch.nn.Module):
    """A sum of columns times ``weight``."""

    def __init__(self, weight: np.ndarray) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.as_tensor(weight, dtype=torch.float32))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.weight


@pytest.fixture(scope="module")
def simulated():
    adata = sct.datasets.simulate(300)
    sct.pp.split_by_chromosome(adata)
    sct.pp.normalize(adata)
    return adata


def planted(adata, factor=1.0) -> Linear:
    table = sct._require.blocks(adata)
    scale = np.repeat(adata.uns["normalize"]["scale"], table["stop"] - table["start"])
    return Linear(factor * adata.var["planted_effect"].to_numpy() * scale)


def asked(adata, weight_factor, **kwargs) -> pd.DataFrame:
    adata = adata.copy()
    sct.tl.attribute(adata, planted(adata, weight_factor), target="log_expression", n_steps=2, progress=False, **kwargs)
    return sct.tl.check_biology(adata, None)


def test_the_planted_truth_passes_and_doses_need_a_model(simulated):
    table = asked(simulated, 1.0)
    sign, position, dose = (table[table["test"] == test] for test in ("sign", "position", "dose"))
    assert set(sign["mark"]) == {"H3K4me3", "H3K36me3", "H3K27me3", "H3K9me3"}
    assert set(sign["verdict"]) == {"passed"}
    assert (sign["share"] > 0.99).all(), "a linear model has one direction, in genes with signal where it acts"
    assert position["verdict"].tolist()[0] == "passed"
    assert (position["share"][1:] > 0.9).all()
    assert set(dose["verdict"]) == {"not tested"}
    assert dose["reason"].str.contains("give it as the first argument").all()


def test_the_opposite_of_the_truth_and_nearly_nothing_do_not_pass(simulated):
    opposite, nothing = asked(simulated, -1.0), asked(simulated, 1e-3)
    sign = opposite["test"] == "sign"
    assert set(opposite[sign]["verdict"]) == {"not passed"}
    assert (opposite[sign]["share"] == 0).all()
    assert (nothing[sign]["share"] > 0.99).all()
    assert set(nothing[nothing["test"] != "dose"]["verdict"]) == {"not passed"}


@pytest.mark.parametrize("baseline", ["zero", "low", "matched"])
def test_directions_of_a_linear_model_hold_with_every_baseline(simulated, baseline):
    table = asked(simulated, 1.0, baseline=baseline)
    assert (table[table["test"] == "sign"]["share"] > 0.99).all()


def test_positions_by_hand(simulated):
    adata = simulated.copy()
    sct.tl.attribute(adata, planted(adata), target="log_expression", n_steps=2, progress=False)
    table = sct.tl.check_biology(adata, None, genes=adata.obs_names[:50])
    tss = sct.get.region(adata, "tss", layer="attribution")[:50]
    size = np.abs(tss).sum(axis=1)
    near, outer = size[:, 40:60].sum(axis=1), size[:, :10].sum(axis=1) + size[:, -10:].sum(axis=1)
    row = table.iloc[0]
    assert row["n"] == 50
    assert row["share"] == pytest.approx((near > outer).mean())
    assert row["effect"] == pytest.approx(near.mean(), rel=1e-4)
    low, high = stats.binomtest(int((near > outer).sum()), 50).proportion_ci(method="wilson")
    assert (row["low"], row["high"]) == (low, high)
    own = np.abs(tss[:, list(adata.var["mark"].cat.categories).index("H3K36me3")])
    downstream = table[table["question"].str.contains("downstream")].iloc[0]
    assert downstream["effect"] == pytest.approx(own[:, 50:].sum(axis=1).mean(), rel=0.05)


def test_doses_against_perturb(simulated):
    adata = simulated.copy()
    sct.pp.tss_neighbors(adata, n_neighbors=5)
    model = sct.SimpleChrome(adata, n_latent=4, n_hidden=16, neighbors_key="tss")
    model.train(latent_epochs=1, expression_epochs=2, progress=False)
    genes = adata.obs_names[:25]
    sct.tl.attribute(adata, model, genes=genes, n_steps=5, progress=False)
    before = adata.copy()
    table = sct.tl.check_biology(adata, model)
    dose = table[(table["test"] == "dose") & table["question"].str.startswith("removing")].set_index("mark")
    for mark, sign in (("H3K4me3", 1), ("H3K27me3", -1)):
        carrying = (adata[genes, adata.var["mark"] == mark].layers["signal"] > 0).any(axis=1)
        by_hand = sct.tl.perturb(adata, model, sct.tl.Edit.remove(mark=mark), genes=genes[carrying])["log_odds_change"]
        assert dose.loc[mark, "n"] == carrying.sum()
        assert dose.loc[mark, "share"] == pytest.approx((sign * by_hand < 0).mean())
        assert dose.loc[mark, "effect"] == pytest.approx(by_hand.mean(), abs=1e-4)
    pd.testing.assert_frame_equal(before.obs, adata.obs)
    np.testing.assert_array_equal(before.X, adata.X)


def test_a_mark_that_goes_with_the_other_side_in_the_data_is_named(simulated):
    adata = simulated.copy()
    adata.obs["expression"] = np.asarray(adata[:, adata.var["mark"] == "H3K9me3"].layers["signal"]).mean(axis=1)
    sct.tl.attribute(adata, planted(adata), target="log_expression", n_steps=2, progress=False)
    table = sct.tl.check_biology(adata, None)
    row = table[(table["test"] == "sign") & (table["mark"] == "H3K9me3")].iloc[0]
    assert row["measured"] > 0.5
    assert row["verdict"] == "against the data"
    assert "In these data genes with more of it are higher: the model goes against them" in row["reason"]
    sct.tl.attribute(adata, planted(adata, -1.0), target="log_expression", n_steps=2, progress=False)
    table = sct.tl.check_biology(adata, None)
    row = table[(table["test"] == "sign") & (table["mark"] == "H3K9me3")].iloc[0]
    assert row["verdict"] == "not passed"
    assert "a model that follows them may fail" in row["reason"]
    del adata.obs["expression"]
    assert sct.tl.check_biology(adata, None)["measured"].isna().all()


@pytest.mark.parametrize(
    ("correlation", "n", "opposed"),
    [
        (0.22, 1_000, True),
        (0.22, 50, False),
        (-0.22, 1_000, False),
        (1.0, 4, True),
        (1.0, 3, False),
        (np.nan, 0, False),
    ],
)
def test_the_data_oppose_a_direction_beyond_chance_alone(correlation, n, opposed):
    assert _Measured(correlation, n).opposes(-1) is opposed
    assert _Measured(-correlation, n).opposes(1) is opposed


def test_windows_that_do_not_reach_are_not_tested():
    window = sct.pp.Window("tss", anchor="tss", upstream=1_500, downstream=1_500, n_bins=30)
    adata = sct.datasets.simulate(200, marks=["H3K4me3", "H3K36me3", "H3K4me1"], windows=[window])
    sct.pp.split_by_chromosome(adata)
    sct.pp.normalize(adata)
    sct.tl.attribute(adata, planted(adata), n_steps=2, progress=False)
    table = sct.tl.check_biology(adata, None).set_index("question")
    assert table.loc["|effect| within 1 kb of the TSS above that of the outermost kilobases", "verdict"] == "not tested"
    assert table.loc["|effect| in the gene's body above that upstream of the TSS", "verdict"] == "not tested"
    assert table.loc["|effect| downstream of the TSS above that upstream of the TSS", "n"] > 0
    assert not table["mark"].isin(["H3K27me3", "H3K4me1"]).any(), "a mark that is not there is not asked about"


def test_bad_input(simulated):
    with pytest.raises(ValueError, match=r"run sct.tl.attribute\(model, adata, key_added='attribution'\) first"):
        sct.tl.check_biology(simulated, None)
    adata = simulated.copy()
    sct.tl.attribute(adata, planted(adata), n_steps=2, genes=adata.obs_names[:9], progress=False)
    with pytest.raises(ValueError, match="none of the 1 genes asked for has attributions"):
        sct.tl.check_biology(adata, None, genes=adata.obs_names[10])
    with pytest.raises(ValueError, match="no gene 'nowhere'"):
        sct.tl.check_biology(adata, None, genes="nowhere")
    with pytest.raises(ValueError, match="n_dose_genes is 0; expected at least 1"):
        sct.tl.check_biology(adata, None, n_dose_genes=0)
    with pytest.raises(RuntimeError, match=r"run model.train\(\) first"):
        sct.tl.check_biology(adata, sct.SimpleChrome(adata, n_latent=4))
