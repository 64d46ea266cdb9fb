"""Genes with the strongest effects, as a table."""

from __future__ import annotations

import numpy as np
import pytest

from simplechrome_tk import get
from simplechrome_tk.datasets._roadmap import CORE_MARKS

MARKS = list(CORE_MARKS)
# Every fifth gene of the fixture has no attributions.
KNOWN = np.flatnonzero(np.arange(200) % 5 != 4)


@pytest.mark.parametrize("by", ["H3K27me3", "body", "neighbors"])
@pytest.mark.parametrize("sign", ["both", "up", "down"])
def test_top_genes_are_those_with_the_strongest_effect(attributed, by, sign):
    if by == "neighbors":
        effect = np.asarray(attributed.obsp["attribution_neighbors"].sum(axis=1)).ravel()[KNOWN]
    else:
        columns = np.flatnonzero(attributed.var["mark" if by in MARKS else "region"] == by)
        effect = attributed.layers["attribution"][np.ix_(KNOWN, columns)].astype(float).sum(axis=1)
    factor = {"both": np.abs(effect), "up": effect, "down": -effect}[sign]
    best = np.argsort(-factor)[:7]
    table = get.top_genes(attributed, by, n=7, sign=sign)
    assert list(table) == ["gene", "symbol", "chrom", "expression", "label", "effect"]
    np.testing.assert_allclose(table["effect"], effect[best], rtol=1e-5)
    assert table["gene"].tolist() == attributed.obs_names[KNOWN[best]].tolist()
    assert table["expression"].tolist() == attributed.obs["expression"].iloc[KNOWN[best]].tolist()


def test_top_genes_of_each_group(attributed):
    table = get.top_genes(attributed, "H3K4me3", n=3, groupby="label")
    assert list(table) == ["label", "gene", "symbol", "chrom", "expression", "effect"]
    assert table["label"].astype(str).tolist() == ["low"] * 3 + ["high"] * 3
    high = attributed[attributed.obs["label"] == "high"]
    alone = get.top_genes(high, "H3K4me3", n=3)
    assert table["gene"].tolist()[3:] == alone["gene"].tolist()
    assert len(get.top_genes(attributed, "H3K4me3", n=10_000)) == 160
    assert 0 < len(get.top_genes(attributed, "H3K4me3", n=10_000, sign="up")) < 160


@pytest.mark.parametrize(
    ("by", "options", "message"),
    [
        ("H3K4", {}, r"'H3K4'.*H3K4me3, .*\(tss, body\) or 'neighbors'"),
        ("tss", {"n": 0}, "n is 0"),
        ("tss", {"sign": "positive"}, "'positive'; choose one of both, up, down"),
    ],
)
def test_bad_choices_are_named(attributed, by, options, message):
    with pytest.raises(ValueError, match=message):
        get.top_genes(attributed, by, **options)


def test_missing_effects_of_neighbors_are_named(attributed):
    del attributed.obsp["attribution_neighbors"]
    with pytest.raises(ValueError, match=r"obsp\['attribution_neighbors'\]"):
        get.top_genes(attributed, "neighbors")
