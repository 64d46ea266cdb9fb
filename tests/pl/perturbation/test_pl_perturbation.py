"""Plots of perturbations: what is drawn is what is stored."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from builders import trained
from hand_edits import K4, K27, K36

import simplechrome_tk as sct
from simplechrome_tk.tl import Edit


@pytest.fixture
def adata():
    return trained(600, n_latent=6, n_hidden=32)[0]


@pytest.fixture
def model():
    return trained(600, n_latent=6, n_hidden=32)[1]


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


@pytest.mark.parametrize(
    ("draw", "call"),
    [
        (sct.pl.perturb, r"sct\.tl\.perturb\(adata, model, edits\)"),
        (sct.pl.dose_response, r"sct\.tl\.dose_response\(adata, model, mark\)"),
        (sct.pl.saturate, r"sct\.tl\.saturate\(adata, model, genes\)"),
    ],
)
def test_a_missing_result_is_named_with_its_tool(adata, draw, call):
    with pytest.raises(ValueError, match=rf"uns has no 'other' .*{call}"):
        draw(adata, key="other")
    adata.uns["other"] = {"gene": 1}
    with pytest.raises(ValueError, match=rf"uns\['other'\] is a dict; .*{call}"):
        draw(adata, key="other")
    adata.uns["other"] = pd.DataFrame({"gene": [1]})
    with pytest.raises(ValueError, match=rf"uns\['other'\] has no column symbol.*{call}"):
        draw(adata, key="other")


@pytest.mark.parametrize("value", ["log_expression", "probability"])
def test_perturb_draws_both_predictions_with_their_intervals(adata, model, value):
    sct.tl.perturb(adata, model, Edit.remove(mark=K4), genes=adata.obs_names[:3])
    table = adata.uns["perturb"]
    ax = sct.pl.perturb(adata, value=value)
    assert [label.get_text() for label in ax.get_yticklabels()] == adata.obs["symbol"].iloc[:3].tolist()
    points = [line.get_xdata()[0] for line in ax.get_lines() if line.get_marker() == "o"]
    np.testing.assert_allclose(points, table[[f"{value}_before", f"{value}_after"]].to_numpy(float).ravel())
    bars = [line.get_xdata() for line in ax.get_lines() if line.get_marker() != "o"]
    names = [f"{value}_{bound}_{when}" for when in ("before", "after") for bound in ("low", "high")]
    np.testing.assert_allclose(np.ravel(bars), table[names].to_numpy(float).ravel())


def test_perturb_draws_twenty_genes_at_most(adata, model):
    sct.tl.perturb(adata, model, Edit.remove(mark=K4), genes=adata.obs_names[:21])
    with pytest.raises(ValueError, match="21 genes"):
        sct.pl.perturb(adata)


def test_perturb_names_the_values_that_it_draws(adata):
    with pytest.raises(ValueError, match="choose one of probability, log_expression"):
        sct.pl.perturb(adata, value="logit")


@pytest.fixture
def with_curves(adata, model):
    sct.tl.dose_response(adata, model, K4, genes=adata.obs_names[:30])
    return adata


def test_dose_response_draws_the_median_of_many_genes(with_curves):
    ax = sct.pl.dose_response(with_curves)
    assert ax.get_xlabel() == "signal of H3K4me3 (times measured)"
    assert legend(ax) == ["30 genes"]
    median = with_curves.uns["dose_response"].groupby("factor")["log_expression"].median()
    np.testing.assert_allclose(ax.get_lines()[0].get_ydata(), median)


def test_dose_response_draws_few_genes_one_by_one(with_curves):
    table = with_curves.uns["dose_response"]
    with_curves.uns["few"] = table[table["gene"].isin(with_curves.obs_names[:2])]
    ax = sct.pl.dose_response(with_curves, key="few", value="probability")
    assert legend(ax) == with_curves.obs["symbol"].iloc[:2].tolist()


def test_dose_response_groups_by_a_column_of_obs(with_curves):
    ax = sct.pl.dose_response(with_curves, groupby="label")
    sizes = with_curves.obs["label"].iloc[:30].value_counts()
    assert legend(ax) == [f"{label} ({sizes[label]} genes)" for label in ("low", "high")]


def test_dose_response_draws_several_marks_as_groups_alone(with_curves):
    table = with_curves.uns["dose_response"]
    with_curves.uns["two"] = pd.concat([table, table.assign(mark=K27)])
    with pytest.raises(ValueError, match="groupby='mark'"):
        sct.pl.dose_response(with_curves, key="two")
    assert len(legend(sct.pl.dose_response(with_curves, key="two", groupby="mark"))) == 2


def test_dose_response_names_a_group_that_is_missing_throughout(with_curves):
    with_curves.obs["nothing"] = None
    with pytest.raises(ValueError, match="'nothing' is missing throughout"):
        sct.pl.dose_response(with_curves, groupby="nothing")


def test_dose_response_names_a_value_that_is_absent(with_curves):
    with pytest.raises(ValueError, match="no column logit"):
        sct.pl.dose_response(with_curves, value="logit")


def test_dose_response_marks_a_factor_on_the_curve(adata, model):
    sct.tl.dose_response(adata, model, None, factors=[0, 1, 2], genes=adata.obs_names[:2])
    ax = sct.pl.dose_response(adata, factor=1.5)
    assert ax.get_xlabel() == "signal of all marks (times measured)"
    marked = [line for line in ax.get_lines() if line.get_marker() == "D"]
    table = adata.uns["dose_response"].query("factor >= 1")
    expected = table.groupby("gene", sort=False)["log_expression"].mean()
    np.testing.assert_allclose([line.get_ydata()[0] for line in marked], expected, rtol=1e-5)
    assert [line.get_xdata()[0] for line in marked] == [1.5, 1.5]


@pytest.fixture
def with_scan(adata, model):
    sct.tl.saturate(adata, model, adata.obs_names[:2], edit=Edit.set(9), width=5, progress=False)
    return adata


def test_saturate_draws_the_mean_of_several_genes(with_scan):
    axes = sct.pl.saturate(with_scan, value="log_odds")
    assert len(axes) == 2
    mesh = axes[0].collections[0]
    change = with_scan.uns["saturate"]["log_odds_change"].to_numpy().reshape(2, -1)
    np.testing.assert_allclose(mesh.get_array(), change.mean(axis=0)[:500].reshape(5, 100), rtol=1e-5)
    assert mesh.norm.vmin == -mesh.norm.vmax
    assert axes[0].figure.get_suptitle() == "mean of 2 genes"
    assert [label.get_text() for label in axes[0].get_yticklabels()] == list(dict.fromkeys(with_scan.var["mark"]))


def test_saturate_draws_one_gene(with_scan):
    axes = sct.pl.saturate(with_scan, gene=with_scan.obs_names[1])
    assert axes[0].figure.get_suptitle() == with_scan.obs["symbol"].iloc[1]


def test_saturate_draws_the_regions_that_were_scanned(adata, model):
    sct.tl.saturate(adata, model, adata.obs_names[0], edit=Edit.set(9, mark=K36, region="body", start=0.5))
    assert len(sct.pl.saturate(adata)) == 1


def test_saturate_names_a_gene_or_value_that_is_absent(with_scan):
    with pytest.raises(ValueError, match="no gene 'nobody'; it holds SIM"):
        sct.pl.saturate(with_scan, gene="nobody")
    with pytest.raises(ValueError, match="no column logit_change"):
        sct.pl.saturate(with_scan, value="logit")


def test_results_from_a_file_are_drawn(with_curves, model, round_trip):
    genes = with_curves.obs_names[:3]
    sct.tl.perturb(with_curves, model, Edit.remove(mark=K4), genes=genes)
    sct.tl.saturate(with_curves, model, genes, progress=False)
    again = round_trip(with_curves)
    for draw in (sct.pl.perturb, sct.pl.dose_response, sct.pl.saturate):
        draw(again)
