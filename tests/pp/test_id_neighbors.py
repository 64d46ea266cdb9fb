from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import simplechrome_tk as sct


def genes(ids, **obs) -> ad.AnnData:
    n = len(ids)
    table = {"tss": np.arange(n) * 10, "chrom": "chr1", "strand": "+"} | obs
    return ad.AnnData(obs=pd.DataFrame(table, index=ids))


def test_equals_brute_force_in_each_cell_type():
    rng = np.random.default_rng(0)
    names = [f"ENSG{i:011d}" for i in rng.permutation(60)]
    cells = rng.choice(["A", "B"], 60)
    adata = genes(
        [f"{name}:{cell}" for name, cell in zip(names, cells, strict=True)],
        cell_type=cells,
        chrom=rng.choice(["chr1", "chr2"], 60),
        strand=rng.choice(["+", "-"], 60),
        tss=rng.integers(0, 10**6, 60),
    )
    sct.pp.id_neighbors(adata, n_neighbors=4)
    links, distances = adata.obsp["id_connectivities"].toarray(), adata.obsp["id_distances"].toarray()
    obs = adata.obs
    for i in range(60):
        line = sorted(np.flatnonzero(cells == cells[i]), key=lambda j: names[j])
        at = line.index(i)
        expected = {j for j in line[max(at - 2, 0) : at + 3] if j != i}
        assert set(np.flatnonzero(links[i])) == expected
        for j in expected:
            same = obs["chrom"].iloc[i] == obs["chrom"].iloc[j]
            sign = -1 if obs["strand"].iloc[i] == "-" else 1
            assert distances[i, j] == sign * same * (obs["tss"].iloc[j] - obs["tss"].iloc[i])
    assert set(links.ravel()) == {0, 1}


def test_numbers_are_sorted_as_numbers():
    adata = genes(["10", "9", "2"])
    sct.pp.id_neighbors(adata, n_neighbors=2)
    assert adata.obsp["id_connectivities"].toarray().tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]


def test_copy_leaves_the_original_alone():
    adata = genes(["a", "b"])
    changed = sct.pp.id_neighbors(adata, n_neighbors=2, key_added="paper", copy=True)
    assert not adata.obsp
    assert changed.uns["paper_neighbors"]["params"] == {"method": "id_neighbors", "use_rep": "X", "n_neighbors": 2}
    assert changed.uns["paper_neighbors"]["same_chromosome"] == 1


@pytest.mark.parametrize("n", [0, -2, 5])
def test_half_of_the_neighbours_lie_either_side(n):
    with pytest.raises(ValueError, match=f"n_neighbors is {n}; expected an even number"):
        sct.pp.id_neighbors(genes(["a", "b"]), n_neighbors=n)


def test_what_cannot_be_connected_is_refused():
    with pytest.raises(ValueError, match="no two of the 2 genes share a cell type"):
        sct.pp.id_neighbors(genes(["a", "b"], cell_type=["A", "B"]))
    with pytest.raises(ValueError, match="1 genes have no tss, such as 'b'"):
        sct.pp.id_neighbors(genes(["a", "b"], tss=[1.0, np.nan]))


def test_ids_say_little_about_the_genome(e116):
    adata = ad.AnnData(obs=e116.obs.copy())
    sct.pp.id_neighbors(adata)
    sct.pp.tss_neighbors(adata, n_neighbors=20)
    assert adata.uns["id_neighbors"]["same_chromosome"] == pytest.approx(0.38, abs=0.005)
    by_id, by_place = adata.obsp["id_connectivities"], adata.obsp["tss_connectivities"]
    assert by_id.multiply(by_place).sum() / by_id.sum() == pytest.approx(0.07, abs=0.01)
    graph = sct.nn.Graph([(by_id, adata.obsp["id_distances"])])
    elsewhere = graph.edges[:, :, 1:].abs().sum(dim=2)[graph.mask] == 0
    assert elsewhere.double().mean() == pytest.approx(0.62, abs=0.01)
