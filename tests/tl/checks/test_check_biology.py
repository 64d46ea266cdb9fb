"""Comparison of attributions with known biology."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from builders import assert_same_table, trained
from linear_model import true_model
from scipy import stats

import simplechrome_tk as sct
from simplechrome_tk.tl.checks._biology import Measured

if TYPE_CHECKING:
    import pandas as pd

NEAR = "|effect| within 1 kb of the TSS above that of the outermost kilobases"


def explain(adata, factor=1.0, **kwargs) -> None:
    """Attribute the true model, with its effects times ``factor``."""
    sct.tl.attribute(adata, true_model(adata, factor), target="log_expression", n_steps=2, progress=False, **kwargs)


def check(adata, model=None, **kwargs) -> pd.DataFrame:
    return sct.tl.check_biology(adata, model, copy=True, **kwargs).uns["check_biology"]


def ask(table: pd.DataFrame, test: str) -> pd.DataFrame:
    return table[table["test"] == test]


@pytest.fixture
def explained(adata):
    explain(adata)
    return adata


def test_signs_of_the_true_model_pass(explained):
    sign = ask(check(explained), "sign")
    assert set(sign["mark"]) == {"H3K4me3", "H3K36me3", "H3K27me3", "H3K9me3"}
    assert set(sign["verdict"]) == {"passed"}
    assert (sign["share"] > 0.99).all(), "a linear model has one direction, in genes with signal where it acts"


def test_positions_of_the_true_model_pass(explained):
    position = ask(check(explained), "position")
    assert position["verdict"].iloc[0] == "passed"
    assert (position["share"].iloc[1:] > 0.9).all()


def test_the_dose_response_needs_a_model(explained):
    table = ask(check(explained), "dose response")
    assert set(table["verdict"]) == {"not tested"}
    assert table["reason"].str.contains("SimpleChrome").all()


def test_the_opposite_of_the_truth_does_not_pass(adata):
    explain(adata, -1.0)
    sign = ask(check(adata), "sign")
    assert set(sign["verdict"]) == {"not passed"}
    assert (sign["share"] == 0).all()


def test_effects_close_to_0_do_not_pass(adata):
    explain(adata, 1e-3)
    table = check(adata)
    assert (ask(table, "sign")["share"] > 0.99).all()
    assert set(table.loc[table["test"] != "dose response", "verdict"]) == {"not passed"}


@pytest.mark.parametrize("baseline", ["zero", "low", "matched"])
def test_signs_of_a_linear_model_do_not_depend_on_the_baseline(adata, baseline):
    explain(adata, baseline=baseline)
    assert (ask(check(adata), "sign")["share"] > 0.99).all()


def test_positions_are_those_by_hand(explained):
    row = check(explained, genes=explained.obs_names[:50]).set_index("question").loc[NEAR]
    size = np.abs(sct.get.region(explained, "tss", layer="attribution")[:50]).sum(axis=1)
    near, far = size[:, 40:60].sum(axis=1), size[:, :10].sum(axis=1) + size[:, -10:].sum(axis=1)
    assert row["n"] == 50
    assert row["share"] == pytest.approx((near > far).mean())
    assert row["effect"] == pytest.approx(near.mean(), rel=1e-4)
    interval = stats.binomtest(int((near > far).sum()), 50).proportion_ci(method="wilson")
    assert (row["low"], row["high"]) == (interval.low, interval.high)


def test_effects_downstream_are_those_by_hand(explained):
    table = check(explained, genes=explained.obs_names[:50])
    row = table[table["question"].str.contains("downstream")].iloc[0]
    tss = sct.get.region(explained, "tss", layer="attribution")[:50]
    own = np.abs(tss[:, list(explained.var["mark"].cat.categories).index("H3K36me3")])
    assert row["effect"] == pytest.approx(own[:, 50:].sum(axis=1).mean(), rel=0.05)


@pytest.mark.parametrize(("mark", "sign"), [("H3K4me3", 1), ("H3K27me3", -1)])
def test_the_dose_response_agrees_with_perturb(mark, sign):
    adata, model = trained(300, n_neighbors=5, n_hidden=16)
    genes = adata.obs_names[:25]
    sct.tl.attribute(adata, model, genes=genes, n_steps=5, progress=False)
    table = ask(check(adata, model), "dose response")
    row = table[(table["mark"] == mark) & table["question"].str.startswith("removing")].iloc[0]
    has_mark = (adata[genes, adata.var["mark"] == mark].layers["signal"] > 0).any(axis=1)
    sct.tl.perturb(adata, model, sct.tl.Edit.remove(mark=mark), genes=genes[has_mark])
    change = adata.uns["perturb"]["log_odds_change"]
    assert row["n"] == has_mark.sum()
    assert row["share"] == pytest.approx((sign * change < 0).mean())
    assert row["effect"] == pytest.approx(change.mean(), abs=1e-4)


@pytest.fixture
def opposed(adata):
    """Data in which genes with more H3K9me3 have higher expression."""
    adata.obs["expression"] = np.asarray(adata[:, adata.var["mark"] == "H3K9me3"].layers["signal"]).mean(axis=1)
    return adata


@pytest.mark.parametrize(
    ("factor", "verdict", "reason"),
    [
        (1.0, "against the data", "In these data genes with more of it are higher: the model goes against them"),
        (-1.0, "not passed", "a model that follows them may fail"),
    ],
)
def test_data_that_say_the_opposite_are_named(opposed, factor, verdict, reason):
    explain(opposed, factor)
    row = ask(check(opposed), "sign").set_index("mark").loc["H3K9me3"]
    assert row["measured"] > 0.5
    assert row["verdict"] == verdict
    assert reason in row["reason"]


def test_without_expression_the_data_say_nothing(explained):
    del explained.obs["expression"]
    assert check(explained)["measured"].isna().all()


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
    assert Measured(correlation, n).opposes(-1) is opposed
    assert Measured(-correlation, n).opposes(1) is opposed


@pytest.fixture
def narrow():
    """Answers for a window that reaches 1.5 kb on either side of the TSS, with three marks."""
    window = sct.pp.Window("tss", anchor="tss", upstream=1_500, downstream=1_500, n_bins=30)
    adata = sct.datasets.simulate(200, marks=["H3K4me3", "H3K36me3", "H3K4me1"], windows=[window])
    sct.pp.split_by_chromosome(adata)
    sct.pp.normalize(adata)
    sct.tl.attribute(adata, true_model(adata), n_steps=2, progress=False)
    return check(adata).set_index("question")


@pytest.mark.parametrize("question", [NEAR, "|effect| in the gene's body above that upstream of the TSS"])
def test_windows_that_do_not_reach_are_not_tested(narrow, question):
    assert narrow.loc[question, "verdict"] == "not tested"


def test_windows_that_reach_are_tested(narrow):
    assert narrow.loc["|effect| downstream of the TSS above that upstream of the TSS", "n"] > 0


def test_marks_that_are_absent_are_not_asked_about(narrow):
    assert not narrow["mark"].isin(["H3K27me3", "H3K4me1"]).any()


def test_the_result_is_stored_and_survives_a_file(explained, round_trip, state):
    before = state(explained)
    assert sct.tl.check_biology(explained, None) is None
    stored = explained.uns["check_biology"]
    assert_same_table(round_trip(explained).uns["check_biology"], stored)
    del explained.uns["check_biology"]
    assert state(explained) == before


def test_data_without_attributions_are_refused(adata):
    with pytest.raises(ValueError, match=r"sct\.tl\.attribute\(adata, model, key_added='attribution'\)"):
        check(adata)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"genes": "SIM0290"}, "none of the 1 genes has attributions"),
        ({"genes": "nowhere"}, "no gene 'nowhere'"),
        ({"n_genes": 0}, "n_genes is 0"),
        ({"key_added": "windows"}, "key_added is 'windows'"),
    ],
)
def test_invalid_arguments(adata, options, message):
    explain(adata, genes=adata.obs_names[:9])
    with pytest.raises(ValueError, match=message):
        check(adata, **options)


def test_a_model_that_is_not_trained_is_refused(explained):
    with pytest.raises(RuntimeError, match=r"model\.train\(\)"):
        check(explained, sct.SimpleChrome(explained, n_latent=4))
