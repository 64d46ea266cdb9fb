from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import simplechrome_tk as sct


def genes(tss, chrom="chr1", strand="+", cell_type="A") -> ad.AnnData:
    obs = pd.DataFrame({"tss": tss, "chrom": chrom, "strand": strand, "cell_type": cell_type})
    return ad.AnnData(obs=obs.set_index(obs.index.astype(str)))


@pytest.fixture
def scattered() -> ad.AnnData:
    rng = np.random.default_rng(0)
    n = 300
    return genes(
        rng.permutation(10 * n)[:n],  # no two alike
        chrom=rng.choice(["chr1", "chr2", "chrX"], n, p=[0.6, 0.38, 0.02]),
        strand=rng.choice(["+", "-", "."], n),
        cell_type=rng.choice(["A", "B"], n),
    )


def brute_force(adata: ad.AnnData, i: int, k: int) -> dict[int, float]:
    """Neighbours of gene i and how far along its strand they lie; of two as near, the one with the smaller TSS."""
    obs = adata.obs
    others = [
        (abs(obs["tss"].iloc[j] - obs["tss"].iloc[i]), obs["tss"].iloc[j], j)
        for j in range(adata.n_obs)
        if j != i and all(obs[key].iloc[j] == obs[key].iloc[i] for key in ("chrom", "cell_type"))
    ]
    sign = -1 if obs["strand"].iloc[i] == "-" else 1
    return {j: sign * (tss - obs["tss"].iloc[i]) for _, tss, j in sorted(others)[:k]}


@pytest.mark.parametrize("k", [1, 4, 50])
def test_equals_brute_force(scattered, k, caplog):
    caplog.set_level("INFO")
    sct.pp.tss_neighbors(scattered, n_neighbors=k)
    distances, links = scattered.obsp["tss_distances"], scattered.obsp["tss_connectivities"]
    few = 0
    for i in range(scattered.n_obs):
        expected = brute_force(scattered, i, k)
        few += len(expected) < k
        row = slice(links.indptr[i], links.indptr[i + 1])
        assert set(links.indices[row]) == set(expected)
        row = slice(distances.indptr[i], distances.indptr[i + 1])
        assert dict(zip(distances.indices[row], distances.data[row], strict=True)) == expected
    assert (links.data == 1).all()
    if few:
        assert f"{few} of 300 genes have fewer than n_neighbors={k} neighbours: too few genes" in caplog.text
    assert bool(few) == bool(caplog.records)


def test_distance_is_along_the_strand_of_the_gene():
    adata = genes([100, 250], strand=["+", "-"])
    sct.pp.tss_neighbors(adata, n_neighbors=1)
    assert adata.obsp["tss_distances"].toarray().tolist() == [[0, 150], [150, 0]]
    adata = genes([100, 250], strand=["-", "."])
    sct.pp.tss_neighbors(adata, n_neighbors=1)
    assert adata.obsp["tss_distances"].toarray().tolist() == [[0, -150], [-150, 0]]


def test_more_neighbours_than_genes_on_a_chromosome_is_counted(caplog):
    caplog.set_level("INFO")
    adata = genes([1, 2, 3, 10, 20], chrom=["chr1"] * 3 + ["chr2"] * 2)
    sct.pp.tss_neighbors(adata, n_neighbors=2)
    assert adata.obsp["tss_connectivities"].sum(axis=1).tolist() == [[2], [2], [2], [1], [1]]
    assert "2 of 5 genes have fewer than n_neighbors=2 neighbours: too few genes on their chromosome" in caplog.text


def test_max_distance(caplog):
    caplog.set_level("INFO")
    adata = genes([0, 100, 250, 1_000])
    sct.pp.tss_neighbors(adata, n_neighbors=2, max_distance=150, key_added="near")
    expected = [[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    assert adata.obsp["near_connectivities"].toarray().tolist() == expected
    assert "3 of 4 genes have fewer than n_neighbors=2 neighbours: few genes within 150 bp" in caplog.text
    params = {"n_neighbors": 2, "max_distance": 150}
    assert adata.uns["near_neighbors"]["params"] == {"method": "tss_neighbors", "use_rep": "X", **params}


def test_cell_types_stay_apart():
    adata = genes([0, 10, 0, 10], cell_type=["A", "A", "B", "B"])
    sct.pp.tss_neighbors(adata, n_neighbors=1)
    expected = [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]
    assert adata.obsp["tss_connectivities"].toarray().tolist() == expected


def test_a_shared_tss_is_a_neighbour_at_distance_zero(tmp_path):
    adata = genes([500, 500, 900])
    sct.pp.tss_neighbors(adata, n_neighbors=1)
    adata.write_h5ad(tmp_path / "a.h5ad")
    for held in (adata, ad.read_h5ad(tmp_path / "a.h5ad"), adata[["0", "1"]]):
        distances = held.obsp["tss_distances"]
        assert (distances[0].indices.tolist(), distances[0].data.tolist()) == ([1], [0])
        assert held.obsp["tss_connectivities"][0, 1] == 1


def test_copy_leaves_the_original_alone():
    adata = genes([0, 10])
    assert "tss_distances" in sct.pp.tss_neighbors(adata, n_neighbors=1, copy=True).obsp
    assert not adata.obsp
    assert not adata.uns


@pytest.mark.parametrize(
    ("adata", "kwargs", "message"),
    [
        (genes([0, 10]), {"n_neighbors": 0}, "n_neighbors is 0"),
        (genes([0, 10], chrom=["chr1", "chr2"]), {}, "no two of the 2 genes .*chromosome[.]"),
        (genes([0, 10]), {"max_distance": 5}, "lie within max_distance=5 bp"),
        (genes([0.0, np.nan]), {}, "1 genes have no tss, such as '1'"),
        (ad.AnnData(obs=pd.DataFrame({"tss": [0, 1]}, index=["a", "b"])), {}, "no column 'chrom'"),
    ],
)
def test_what_cannot_be_connected_is_refused(adata, kwargs, message):
    with pytest.raises(ValueError, match=message):
        sct.pp.tss_neighbors(adata, **kwargs)


def test_neighbors_are_listed_the_nearest_first(scattered):
    sct.pp.tss_neighbors(scattered, n_neighbors=4)
    order = ["7", "3", "150"]
    table = sct.get.neighbors(scattered, genes=order)
    assert list(dict.fromkeys(table["gene"])) == [gene for gene in order if brute_force(scattered, int(gene), 4)]
    for gene, part in table.groupby("gene"):
        expected = brute_force(scattered, int(gene), 4)
        assert dict(zip(part["neighbor"].astype(int), part["distance_bp"], strict=True)) == expected
        assert part["distance_bp"].abs().is_monotonic_increasing
        assert (part["weight"] == 1).all()
    moved = scattered.copy()
    moved.obs.loc[table["neighbor"].iloc[0], "chrom"] = "chr9"
    last = sct.get.neighbors(moved, genes="7")["distance_bp"]
    assert np.isnan(last.iloc[-1])
    assert last.notna().sum() == len(last) - 1


def test_an_unknown_graph_is_refused(scattered):
    with pytest.raises(ValueError, match="obsp has no contacts_connectivities"):
        sct.get.neighbors(scattered, neighbors_key="contacts")
