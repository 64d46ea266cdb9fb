"""The graph of genes that share a set or are a pair, against sums over all pairs."""

from __future__ import annotations

import gzip
import itertools
import logging

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import simplechrome_tk as sct


def genes(n: int = 6, **obs) -> ad.AnnData:
    table = {"chrom": "chr1", "tss": np.arange(n) * 100, "strand": "+", "symbol": [f"G{i}" for i in range(n)]}
    return ad.AnnData(obs=pd.DataFrame({**table, **obs}, index=[f"ENSG{i:011d}" for i in range(n)]))


def links(adata, slot="gene_sets_connectivities") -> dict[tuple[int, int], float]:
    found = adata.obsp[slot].tocoo()
    return {(int(i), int(j)): float(v) for i, j, v in zip(found.row, found.col, found.data, strict=True)}


def both_ways(pairs) -> dict[tuple[int, int], float]:
    return {pair: weight for (i, j), weight in pairs.items() for pair in ((i, j), (j, i))}


def test_sets_equal_the_sum_over_all_pairs():
    adata = genes(40)
    rng = np.random.default_rng(0)
    sets = {f"s{i}": rng.choice(40, rng.integers(1, 15), replace=False) for i in range(12)}
    expected: dict[tuple[int, int], float] = {}
    for members in sets.values():
        for pair in itertools.permutations(members.tolist(), 2):
            expected[pair] = expected.get(pair, 0) + 1 / (len(members) - 1)
    sct.pp.gene_set_neighbors(adata, {name: [f"G{i}" for i in members] for name, members in sets.items()})
    found = links(adata)
    assert found.keys() == expected.keys()
    np.testing.assert_allclose([found[pair] for pair in expected], list(expected.values()), rtol=1e-5)
    assert links(adata, "gene_sets_distances") == {(i, j): 100 * (j - i) for i, j in expected}


def test_the_strongest_are_kept_and_genes_with_more_are_counted(caplog):
    adata = genes(6)
    sets = {"all": [f"G{i}" for i in range(6)], "two": ["G0", "G5"]}
    with caplog.at_level(logging.INFO):
        sct.pp.gene_set_neighbors(adata, sets, n_neighbors=1)
    assert links(adata)[0, 5] == links(adata)[5, 0] == pytest.approx(1.2)
    assert len(links(adata)) == 6
    assert adata.uns["gene_sets_neighbors"]["n_capped"] == 6
    assert "6 genes had more than 1 neighbours" in caplog.text


def test_a_huge_set_links_no_gene_more_often_than_chance():
    adata = genes(1_500)
    sct.pp.gene_set_neighbors(adata, {"all": adata.obs_names}, n_neighbors=20)
    assert (np.diff(adata.obsp["gene_sets_connectivities"].indptr) == 20).all()
    chosen = np.asarray((adata.obsp["gene_sets_connectivities"] > 0).sum(axis=0)).ravel()
    assert chosen.max() < 50


@pytest.mark.parametrize("form", ["ENSG{0:011d}", "ENSG{0:011d}.3", "G{0}"])
def test_pairs_have_no_direction_and_their_largest_weight(form, caplog):
    rows = [(0, 1, 0.5), (1, 0, 0.9), (2, 3, 0.2), (2, 3, 0.2), (4, 4, 1), (9, 0, 1)]
    table = pd.DataFrame([(form.format(i), form.format(j), w) for i, j, w in rows])
    adata = genes()
    with caplog.at_level(logging.INFO):
        sct.pp.gene_set_neighbors(adata, table)
    assert links(adata) == pytest.approx(both_ways({(0, 1): 0.9, (2, 3): 0.2}))
    record = adata.uns["gene_sets_neighbors"]
    assert [record[name] for name in ("n_pairs", "n_self", "n_repeated", "n_unmatched")] == [6, 1, 2, 1]
    assert f"1 ids are no gene of adata: {form.format(9).split('.')[0]}" in caplog.text
    assert "1 pairs of a gene with itself are left out" in caplog.text


def test_links_stay_within_the_cell_type():
    adata = ad.concat({"A": genes(3), "B": genes(2)}, label="cell_type", index_unique=":")
    sct.pp.gene_set_neighbors(adata, {"s": ["G0", "G1", "G2"]})
    expected = both_ways({(0, 1): 0.5, (0, 2): 0.5, (1, 2): 0.5, (3, 4): 1})
    assert links(adata) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.gmt", "one\tfirst set\tG0\tG1\n\ntwo\t\tG2\tG3\t\n"),
        ("a.gmt.gz", "one\thttp\tG0\tG1\ntwo\tx\tG2\tG3\n"),
        ("a.tsv", "G0\tG1\nG2\tG3\n"),
        ("a.csv", "protein1,protein2,score\nG0,G1,1\nG2,G3,1\n"),
        ("a.txt", "G0 G1 1\nG3 G2 1\n"),
    ],
)
def test_files(name, text, tmp_path, round_trip):
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    adata = genes()
    changed = sct.pp.gene_set_neighbors(adata, path, key_added="mine", copy=True)
    assert not adata.obsp
    again = round_trip(changed)
    assert links(again, "mine_connectivities") == both_ways({(0, 1): 1, (2, 3): 1})
    assert again.uns["mine_neighbors"]["params"]["source"] == str(path)
    sct.nn.Graph([(again.obsp["mine_connectivities"], again.obsp["mine_distances"])])


PAIRS = pd.DataFrame({"a": ["G0", "G2"], "b": ["G1", "G3"], "w": [1.0, 2.0]})


@pytest.mark.parametrize(
    ("sets", "kwargs", "message"),
    [
        (PAIRS, {"n_neighbors": 0}, "n_neighbors is 0"),
        (PAIRS.assign(w=[1, -1]), {}, "1 of 2 pairs have a weight.*row 2"),
        (PAIRS.assign(w=[np.nan, 1]), {}, "1 of 2 pairs have a weight.*row 1"),
        (PAIRS.assign(w=[np.inf, 1]), {}, "1 of 2 pairs"),
        (PAIRS.assign(w=["+", "-"]), {}, "2 of 2 pairs"),
        (PAIRS.assign(x=1), {}, "2 rows of 4 columns"),
        (PAIRS[["a"]], {}, "2 rows of 1 columns"),
        (PAIRS.iloc[:0], {}, "0 rows"),
        (PAIRS.assign(b=["G0", "G2"]), {}, "no two of the 6 genes are linked"),
        ({"s": ["g0", "g1"]}, {}, "none of the 6 genes.*same species"),
        ({"s": ["G0"]}, {}, "no two of the 6 genes"),
        ({"s": "G0"}, {}, "the genes of s are one string"),
        ({}, {}, "0 gene sets"),
        ({"s": []}, {}, "1 gene sets without any gene"),
    ],
)
def test_bad_input_is_named(sets, kwargs, message):
    adata = genes()
    with pytest.raises(ValueError, match=message):
        sct.pp.gene_set_neighbors(adata, sets, **kwargs)
    assert not adata.obsp


@pytest.mark.parametrize(
    ("text", "message"), [("a\tx\tG0\na\tx\tG1\n", "line 2 has the name 'a'"), ("a\n", "line 1"), ("\n", "no gene set")]
)
def test_invalid_gene_sets_are_named(text, message, tmp_path):
    (tmp_path / "a.gmt").write_text(text)
    with pytest.raises(ValueError, match=message):
        sct.pp.gene_set_neighbors(genes(), tmp_path / "a.gmt")


def test_another_type_is_refused():
    with pytest.raises(TypeError, match="sets is a list"):
        sct.pp.gene_set_neighbors(genes(), [["G0", "G1"]])
