from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import simplechrome_tk as sct

if TYPE_CHECKING:
    from simplechrome_tk.deepchrome._audit import LabelAudit

ZERO_CELLS = {"E056", "E057", "E059", "E100", "E116", "E117", "E123"}
"""Epigenomes whose median lies between 1 and 2, where text and numbers compare alike."""


def genes(high: np.ndarray, expression: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"expression": expression, "label": np.where(high, "high", "low")})


@pytest.fixture
def rpkm() -> np.ndarray:
    return np.random.default_rng(0).lognormal(1.2, 2, 2_001).round(3)


def agreement(audit: LabelAudit) -> dict[str, int]:
    return dict(zip(audit.rules["rule"], audit.rules["agree"], strict=True))


def test_text_comparison_by_hand():
    high = sct.deepchrome.above_as_text([0, 3.33, 3.331, 3.4, 9, 10, 33.3, 333, 4_000, 1e6], 3.33)
    assert list(high) == [False, True, True, True, True, False, True, True, True, False]
    assert list(sct.deepchrome.above_as_text([2.0, 19.0, 20.5], 20)) == [False, False, True]
    assert list(sct.deepchrome.above_as_text([5, 12], 6.0, decimals=0)) == [False, False]
    assert sct.deepchrome.above_as_text([], 1.0).dtype == bool


@settings(max_examples=200, deadline=None, derandomize=True)
@given(values=st.lists(st.integers(0, 99_999), min_size=1, max_size=40), cut=st.integers(1_001, 1_999))
def test_between_one_and_two_text_compares_like_numbers_below_ten(values, cut):
    """With one digit before the point, characters and numbers sort alike."""
    expression = np.array(values) % 10_000 / 1_000
    expression = expression[expression != cut / 1_000]
    np.testing.assert_array_equal(sct.deepchrome.above_as_text(expression, cut / 1_000), expression > cut / 1_000)


@pytest.mark.parametrize(
    ("rule", "make"),
    [
        ("median", lambda e, m: e > m),
        ("median or equal", lambda e, m: e >= m),
        ("text", lambda e, m: np.array([f"{v:.3f}" for v in e]) > f"{m:.3f}".rstrip("0").rstrip(".")),
        ("threshold", lambda e, _: e > 7.5),
    ],
)
def test_names_the_rule_that_made_the_labels(rpkm, rule, make):
    median = float(np.median(rpkm))
    audit = sct.deepchrome.audit_labels(genes(make(rpkm, median), rpkm))
    assert audit.rule == rule == audit.rules["rule"][0]
    assert audit.rules["agree"][0] == len(rpkm)
    assert audit.rules["share"][0] == 1
    assert (audit.disagreeing["rule"] != rule).all()
    if rule == "threshold":
        assert audit.rules["threshold"][0] == rpkm[rpkm <= 7.5].max()


def test_disagreeing_genes_are_listed_under_each_rule():
    table = genes([False, True, False, True], [1.0, 4.0, 12.0, 5.0]).set_index(pd.Index(list("abcd")))
    audit = sct.deepchrome.audit_labels(table, median=3.0)
    assert agreement(audit) == {"text": 4, "median": 3, "median or equal": 3, "threshold": 3}
    of_median = audit.disagreeing[audit.disagreeing["rule"] == "median"]
    assert of_median.to_dict("records") == [
        {"rule": "median", "gene": "c", "expression": 12.0, "label": "low", "expected": "high"}
    ]
    for rule, agree in agreement(audit).items():
        assert (audit.disagreeing["rule"] == rule).sum() == 4 - agree


def test_noise_alone_does_not_make_a_threshold_of_its_own(rpkm):
    median = float(np.median(rpkm))
    flipped = np.random.default_rng(1).random(len(rpkm)) < 0.1
    audit = sct.deepchrome.audit_labels(genes((rpkm > median) ^ flipped, rpkm))
    assert audit.rule == "median"
    assert agreement(audit)["threshold"] >= agreement(audit)["median"]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(data=st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=1, max_size=30))
def test_the_best_threshold_is_the_best_of_all(data):
    expression = np.array([value for value, _ in data], dtype=float)
    high = np.array([label for _, label in data])
    tried = [((expression > cut) == high).sum() for cut in np.append(-np.inf, expression)]
    audit = sct.deepchrome.audit_labels(genes(high, expression))
    assert agreement(audit)["threshold"] == max(tried)


def test_the_median_of_all_genes_is_taken_from_the_steps_before():
    adata = sct.datasets.simulate(400, windows=[sct.pp.Window.TSS])
    some = adata[adata.obs["expression"] > 1].copy()
    audit = sct.deepchrome.audit_labels(some)
    assert audit.rule == "median"
    assert audit.rules["threshold"][0] == adata.uns["label_expression"]["thresholds"].loc["simulated", "threshold"]
    assert sct.deepchrome.audit_labels(some.obs).rule != "median"
    some.uns["deepchrome"] = {"medians": pd.DataFrame({"median": [1.5]}, index=["simulated"])}
    assert set(sct.deepchrome.audit_labels(some).rules["threshold"]) >= {1.5}


def test_a_threshold_or_other_expression_is_not_taken_for_the_median():
    adata = sct.datasets.simulate(200)
    own = float(np.median(adata.obs["expression"]))
    sct.pp.label_expression(adata, threshold=own + 1)
    assert sct.deepchrome.audit_labels(adata).rules.set_index("rule").loc["median", "threshold"] == own
    adata.obs["tpm"] = 2 * adata.obs["expression"]
    sct.pp.label_expression(adata)
    audit = sct.deepchrome.audit_labels(adata, expression_key="tpm")
    assert audit.rules.set_index("rule").loc["median", "threshold"] == 2 * own


def test_labels_are_read_in_either_spelling_and_gaps_are_counted(caplog):
    caplog.set_level("INFO")
    table = pd.DataFrame({"rpkm": [1.0, 2.0, 3.0, np.nan, 4.0], "called": [0, 0, 1, 1, None]})
    audit = sct.deepchrome.audit_labels(table, label_key="called", expression_key="rpkm", median=2.5)
    assert audit.rules["agree"][0] == 3
    assert "2 of 5 genes lack a label or expression" in caplog.text


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pd.DataFrame({"label": [1]}), r"no column 'expression' \(found: label\)"),
        (pd.DataFrame({"label": [2], "expression": [1.0]}), "holds 2; expected 'low' and 'high', or 0 and 1"),
        (pd.DataFrame({"label": [1], "expression": [-1.0]}), "1 negative values"),
        (pd.DataFrame({"label": [1], "expression": [np.nan]}), "no gene has both"),
    ],
)
def test_what_cannot_be_audited_is_refused(table, message):
    with pytest.raises(ValueError, match=message):
        sct.deepchrome.audit_labels(table)


def test_cell_types_are_audited_one_at_a_time():
    adata = sct.datasets.simulate(200, windows=[sct.pp.Window.TSS])
    adata.obs["cell_type"] = ["A"] * 100 + ["B"] * 100
    with pytest.raises(ValueError, match=r"2 cell types, .*adata\[adata\.obs\['cell_type'\] == 'A'\]"):
        sct.deepchrome.audit_labels(adata)


def test_the_data_are_left_as_found():
    adata = sct.datasets.simulate(200, windows=[sct.pp.Window.TSS])
    before = adata.copy()
    sct.deepchrome.audit_labels(adata)
    pd.testing.assert_frame_equal(adata.obs, before.obs)
    assert adata.uns.keys() == before.uns.keys()


def test_a_table_is_compared_with_the_threshold_of_each_column():
    table = pd.DataFrame({"A": [2.0, 4.0, 15.0, np.nan], "B": [np.nan] * 4}, index=list("wxyz"))
    high = sct.deepchrome.above_as_text(table, pd.Series({"A": 3.0, "B": np.nan}))
    expected = pd.DataFrame({"A": [False, True, False, False], "B": [False] * 4}, index=table.index)
    pd.testing.assert_frame_equal(high, expected)
    pd.testing.assert_series_equal(
        sct.deepchrome.above_as_text(table, 3)["A"], pd.Series([False, True, False, False], index=table.index, name="A")
    )


# real data


def test_the_30_published_labels_of_e003_are_explained_by_text_and_24_by_the_median(public_file):
    public_file("attentivechrome/train.csv")
    adata = sct.deepchrome.load(sample=True)
    for median in (None, 3.33):
        audit = sct.deepchrome.audit_labels(adata, median=median)
        assert audit.rule == "text"
        assert agreement(audit) == {"text": 30, "threshold": 25, "median": 24, "median or equal": 24}
    wrong = audit.disagreeing[audit.disagreeing["rule"] == "median"]
    assert wrong["expression"].between(10, 33).all()


@pytest.fixture(scope="module")
def shares(public_file) -> pd.DataFrame:
    public_file("shallowchrome/GeneFile.txt")
    rpkm = sct.deepchrome.load_expression()
    median = rpkm.median()
    differs = sct.deepchrome.above_as_text(rpkm, median) != (rpkm > median)
    return pd.DataFrame({"median": median, "differ": differs.sum(), "share": differs.mean()})


def test_the_share_of_differing_labels_goes_with_the_published_auroc(shares):
    scores = sct.deepchrome.load_scores()
    r = np.corrcoef(shares["share"], scores[shares.index])[0, 1]
    assert r == pytest.approx(-0.957, abs=5e-4)


def test_seven_epigenomes_are_spared_those_whose_median_lies_between_1_and_2(shares):
    assert set(shares.index[shares["median"].between(1, 2)]) == ZERO_CELLS
    spared = shares.loc[sorted(ZERO_CELLS)]
    assert (spared["differ"] <= 2).all()  # genes that equal the median as printed
    assert (shares.drop(ZERO_CELLS)["share"] > 0.12).all()
    assert len(shares) - len(ZERO_CELLS) == 49


def test_the_text_rule_gives_the_label_counts_of_the_published_archive_for_e047(public_file):
    """Counts of high labels as printed from train, valid and test.csv of Zenodo record 2652278 in a public notebook:
    https://github.com/Mariambadra/ChromTransformer/blob/2458875e/ChromTransformer-Architecture.ipynb.
    """
    rpkm = np.loadtxt(public_file("shallowchrome/targets/E047/T.csv"))
    median = float(np.median(rpkm))
    blocks = np.split(sct.deepchrome.above_as_text(rpkm, median), [6_601, 13_202])
    assert [int(block.sum()) for block in blocks] == [2_849, 2_444, 1_891]
    numeric = np.split(rpkm > median, [6_601, 13_202])
    assert [int(block.sum()) for block in numeric] == [4_037, 3_354, 2_510]
