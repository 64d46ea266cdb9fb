from __future__ import annotations

import logging

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import simplechrome_tk as sct


def genes(tss, chrom="chr1", strand="+", **obs) -> ad.AnnData:
    table = pd.DataFrame({"tss": tss, "chrom": chrom, "strand": strand, **obs})
    return ad.AnnData(obs=table.set_index(table.index.astype(str)))


def loop_list(rows, chrom="chr1") -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["start1", "end1", "start2", "end2", "count"])
    return table.assign(chrom1=chrom, chrom2=chrom)


def links(adata, slot="hic_connectivities") -> dict[tuple[int, int], float]:
    found = adata.obsp[slot].tocoo()
    return {(int(i), int(j)): float(v) for i, j, v in zip(found.row, found.col, found.data, strict=True)}


def brute_force(obs, loops, window, n_neighbors):
    """Every gene against every gene and loop; the strongest neighbours, of two as strong the nearer."""
    median = loops["count"].median()
    near = [
        [
            (obs["chrom"] == loop[f"chrom{end}"])
            & (obs["tss"] >= loop[f"start{end}"] - window)
            & (obs["tss"] <= loop[f"end{end}"] + window)
            for end in (1, 2)
        ]
        for _, loop in loops.iterrows()
    ]
    weights = {}
    for (first, second), count in zip(near, loops["count"], strict=True):
        for i in np.flatnonzero(first):
            for j in np.flatnonzero(second):
                for pair in ((i, j), (j, i)) if i != j else ():
                    weights[pair] = max(weights.get(pair, 0), count / (count + median))
    kept = {}
    for i in range(len(obs)):
        away = {j: abs(obs["tss"].iloc[j] - obs["tss"].iloc[i]) for j in range(len(obs))}
        ranked = sorted((-w, away[j], j) for (g, j), w in weights.items() if g == i)
        kept |= {(i, j): -w for w, _, j in ranked[:n_neighbors]}
    return kept


@pytest.mark.parametrize(("window", "n_neighbors"), [(0, 50), (700, 50), (700, 2)])
def test_equals_brute_force(window, n_neighbors):
    rng = np.random.default_rng(0)
    adata = genes(rng.integers(0, 30_000, 120), rng.choice(["chr1", "chr2"], 120), rng.choice(["+", "-", "."], 120))
    start1, start2 = rng.integers(0, 30_000, (2, 60))
    loops = loop_list(np.c_[start1, start1 + 900, start2, start2 + 600, rng.integers(10, 20, 60)])
    loops["chrom1"] = loops["chrom2"] = rng.choice(["chr1", "chr2", "chrY"], 60)
    sct.pp.contact_neighbors(adata, loops, window=window, n_neighbors=n_neighbors)
    expected = brute_force(adata.obs, loops, window, n_neighbors)
    found = links(adata)
    assert found.keys() == expected.keys()
    np.testing.assert_allclose([found[pair] for pair in expected], list(expected.values()), rtol=1e-6)
    sign = np.where(adata.obs["strand"] == "-", -1, 1)
    tss = adata.obs["tss"].to_numpy()
    assert links(adata, "hic_distances") == {(i, j): sign[i] * (tss[j] - tss[i]) for i, j in expected}
    record = adata.uns["hic_neighbors"]["cell_types"].loc["all"]
    assert record["genes_connected"] == len({i for i, _ in expected})
    assert record["loops_between_genes"] <= record["loops_at_genes"] <= record["loops"] == 60


def test_genes_at_the_same_anchor_are_no_neighbours():
    adata = genes([100, 150, 5_000])
    sct.pp.contact_neighbors(adata, loop_list([(90, 200, 4_900, 5_100, 8)]), window=0)
    assert set(links(adata)) == {(0, 2), (1, 2), (2, 0), (2, 1)}


def test_a_gene_at_both_anchors_is_not_its_own_neighbour():
    adata = genes([100, 300])
    sct.pp.contact_neighbors(adata, loop_list([(50, 200, 250, 350, 8)]), window=100)
    assert set(links(adata)) == {(0, 1), (1, 0)}


def test_weight_is_the_same_at_any_depth_and_grows_with_the_count():
    adata = genes([100, 1_000, 2_000, 3_000])
    rows = [(90, 110, 990, 1_010, 10), (90, 110, 1_990, 2_010, 20), (90, 110, 2_990, 3_010, 60)]
    sct.pp.contact_neighbors(adata, loop_list(rows), window=0)
    first = links(adata)
    assert [first[0, j] for j in (1, 2, 3)] == pytest.approx([10 / 30, 0.5, 60 / 80])
    deeper = loop_list(rows)
    sct.pp.contact_neighbors(adata, deeper.assign(count=7 * deeper["count"]), window=0)
    assert links(adata) == first
    sct.pp.contact_neighbors(adata, loop_list([*rows, (90, 110, 990, 1_010, 20)]), window=0)
    assert links(adata)[0, 1] == 0.5  # the stronger of two loops


def test_names_of_chromosomes_may_differ_by_chr(caplog):
    caplog.set_level("INFO")
    loops = loop_list([(90, 110, 990, 1_010, 10)])
    expected = genes([100, 1_000])
    sct.pp.contact_neighbors(expected, loops)
    assert "'chr'" not in caplog.text
    for ours, theirs, what in (("chr1", "1", "added to"), ("1", "chr1", "removed from")):
        caplog.clear()
        adata = genes([100, 1_000], chrom=ours)
        sct.pp.contact_neighbors(adata, loops.assign(chrom1=theirs, chrom2=theirs))
        assert links(adata) == links(expected)
        assert f"'chr' {what} the names of their chromosomes" in caplog.text


def test_a_loop_between_chromosomes_has_no_distance():
    adata = genes([100, 1_000], chrom=["chr1", "chr2"])
    sct.pp.contact_neighbors(adata, loop_list([(90, 110, 990, 1_010, 10)]).assign(chrom2="chr2"))
    assert links(adata, "hic_distances") == {(0, 1): 0, (1, 0): 0}
    graph = sct.nn.Graph([(adata.obsp["hic_connectivities"], adata.obsp["hic_distances"])])
    assert graph.edges[0].tolist() == [[0.5, 0, 0]]


def test_each_cell_type_has_its_loops():
    adata = genes([100, 1_000] * 2, cell_type=["A", "A", "B", "B"])
    one, other = loop_list([(90, 110, 990, 1_010, 10)]), loop_list([(90, 110, 990, 1_010, 5), (1, 2, 3, 4, 15)])
    sct.pp.contact_neighbors(adata, {"A": one, "B": other}, window=0)
    assert links(adata) == {(0, 1): 0.5, (1, 0): 0.5, (2, 3): pytest.approx(1 / 3), (3, 2): pytest.approx(1 / 3)}
    assert adata.uns["hic_neighbors"]["cell_types"].loc[["A", "B"], "loops"].tolist() == [1, 2]
    alone = adata[:2].copy()
    sct.pp.contact_neighbors(alone, one, window=0, key_added="mine")
    assert links(alone, "mine_connectivities") == {(0, 1): 0.5, (1, 0): 0.5}


def test_copy_and_file(tmp_path, caplog):
    caplog.set_level("INFO")
    path = tmp_path / "loops.bedpe"
    path.write_text("1\t90\t110\t1\t990\t1010\n")
    adata = genes([100, 1_000, 90_000])
    changed = sct.pp.contact_neighbors(adata, path, copy=True)
    assert not adata.obsp
    assert not adata.uns
    changed.write_h5ad(tmp_path / "a.h5ad")
    again = ad.read_h5ad(tmp_path / "a.h5ad")
    assert links(again) == links(changed)
    assert again.uns["hic_neighbors"]["params"] == {
        "method": "contact_neighbors",
        "use_rep": "X",
        "window": 10_000,
        "n_neighbors": 10,
    }
    assert again.uns["hic_neighbors"]["cell_types"].loc["all", "source"] == str(path)
    assert "2 of 3 genes have a neighbour" in caplog.text


LOOPS = loop_list([(90, 110, 990, 1_010, 10)])


@pytest.mark.parametrize(
    ("adata", "loops", "kwargs", "message"),
    [
        (genes([1, 9]), LOOPS, {"n_neighbors": 0}, "n_neighbors is 0; expected at least 1"),
        (genes([1, 9]), LOOPS, {"window": -1}, "window is -1; expected 0 bp or more"),
        (genes([1.0, np.nan]), LOOPS, {}, "1 genes have no tss, such as '1'"),
        (genes([1, 9], cell_type=["A", "B"]), LOOPS, {}, "one list of loops for 2 cell types .*'A': ..., 'B': "),
        (genes([1, 9], cell_type=["A", "B"]), {"A": LOOPS}, {}, "without loops: B"),
        (genes([1, 9], cell_type="A"), {"A": LOOPS, "E9": LOOPS}, {}, "unknown: E9; without loops: none"),
        (genes([1, 9]), {}, {}, "loops are of no cell type"),
        (genes([1, 9], chrom="chr7"), LOOPS, {}, "share no chromosome \\(loops: chr1; genes: chr7\\). Rename chrom1"),
        (
            genes([10**8, 2 * 10**8]),
            LOOPS,
            {},
            "none of 1 loops connects two of the 2 genes of all; 0 loops have a TSS",
        ),
        (genes([100, 10**8]), LOOPS, {"window": 0}, "1 loops have a TSS within window=0 bp"),
        (genes([1, 9]), LOOPS.drop(columns="end2"), {}, "the loops of all: 1 loops, no column end2"),
        (genes([1, 9]), LOOPS.iloc[:0], {}, "0 loops"),
        (genes([1, 9]), LOOPS.assign(end1=0), {}, "not after its start, the first in row 1"),
        (genes([1, 9]), LOOPS.assign(chrom1=np.nan), {}, "an anchor without chromosome"),
    ],
)
def test_what_cannot_be_connected_is_refused(adata, loops, kwargs, message):
    with pytest.raises(ValueError, match=message):
        sct.pp.contact_neighbors(adata, loops, **kwargs)


def test_real_loops(e116, real_roadmap, caplog):
    adata = ad.AnnData(obs=e116.obs.copy())
    path = sct.datasets.hic_loops("E116")
    with caplog.at_level(logging.INFO):
        sct.pp.contact_neighbors(adata, path)
    assert "9448 loops ('chr' added" in caplog.text
    assert "2396 of 18483 genes have a neighbour, 27 had more than 10" in caplog.text
    degree = np.diff(adata.obsp["hic_connectivities"].indptr)
    assert degree.max() == 10
    weight = adata.obsp["hic_connectivities"].data
    assert 0 < weight.min() < 0.5 < weight.max() < 1
    few = adata.obs["chrom"].isin(["chr21", "chr22"]).to_numpy()
    small = adata[few].copy()
    sct.pp.contact_neighbors(small, path)
    loops = sct.io.read_loops(path)
    loops = loops.assign(chrom1="chr" + loops["chrom1"], chrom2="chr" + loops["chrom2"])
    inside = loops[loops["chrom1"].isin(["chr21", "chr22"])]
    median = loops["count"].median()
    expected = brute_force(small.obs, inside, 10_000, 10)
    scale = inside["count"].median() / median  # the oracle's median is that of the two chromosomes
    found = links(small)
    assert found.keys() == expected.keys()
    assert all(found[p] == pytest.approx(w * scale / (w * scale + 1 - w), rel=1e-5) for p, w in expected.items())
    sct.nn.Graph([(small.obsp["hic_connectivities"], small.obsp["hic_distances"])])


def test_real_loops_of_every_cell_type(real_roadmap):
    cells = {"E116": 2_396, "E123": 1_972, "E117": 1_153}
    adata = real_roadmap(list(cells), marks=["H3K4me3"])
    sct.pp.contact_neighbors(adata, {cell: sct.datasets.hic_loops(cell) for cell in cells})
    assert adata.uns["hic_neighbors"]["cell_types"]["genes_connected"].to_dict() == cells
    found = adata.obsp["hic_connectivities"].tocoo()
    cell = adata.obs["cell_type"].to_numpy()
    assert (cell[found.row] == cell[found.col]).all()
