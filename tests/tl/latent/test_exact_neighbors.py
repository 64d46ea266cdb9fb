"""Exact nearest neighbours, against scikit-learn and through scanpy."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pytest
import scanpy as sc
import torch
from sklearn.base import clone
from sklearn.neighbors import NearestNeighbors

from simplechrome_tk.tl.latent import _exact_neighbors
from simplechrome_tk.tl.latent._exact_neighbors import ExactNeighbors, nearest

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")),
]


def points(n: int, *, seed: int = 0, offset: float = 0.0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal((n, 6)) + offset).astype(np.float32)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("offset", [0.0, 1_000.0])
def test_neighbours_and_distances_are_those_of_brute_force(device: str, offset: float):
    reference, query = points(700, offset=offset), points(50, seed=1, offset=offset)
    rows, distances = nearest(query, reference, 9, device=device)
    expected, order = NearestNeighbors(n_neighbors=9, algorithm="brute").fit(reference.astype(float)).kneighbors(query)
    np.testing.assert_array_equal(rows, order)
    np.testing.assert_allclose(distances, expected, rtol=1e-4)


def test_a_row_is_not_its_own_neighbour_but_its_copy_is():
    x = points(30)
    x[7] = x[3]
    rows, distances = nearest(x, None, 4, device="cpu")
    assert (rows != np.arange(30)[:, None]).all()
    assert (rows[3, 0], rows[7, 0], distances[3, 0], distances[7, 0]) == (7, 3, 0, 0)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch):
    x = points(101)
    whole = nearest(x, None, 5, device="cpu")
    monkeypatch.setattr(_exact_neighbors, "_MOST_DISTANCES", 101 * 8)
    parts = nearest(x, None, 5, device="cpu")
    np.testing.assert_array_equal(parts.rows, whole.rows)
    np.testing.assert_allclose(parts.distances, whole.distances, rtol=1e-6)


def test_order_of_rows_changes_nothing():
    x, order = points(80), np.random.default_rng(2).permutation(80)
    rows = nearest(x, None, 5, device="cpu").rows
    moved = nearest(x[order], None, 5, device="cpu").rows
    np.testing.assert_array_equal(order[moved], rows[order])


@pytest.mark.filterwarnings("ignore::scipy.sparse.SparseEfficiencyWarning")  # scanpy's, of its own transformer
def test_scanpy_builds_the_same_graph_as_with_its_own_exact_search():
    adata = ad.AnnData(points(300))
    sc.pp.neighbors(adata, 10, use_rep="X", transformer="sklearn", key_added="theirs")
    sc.pp.neighbors(adata, 10, use_rep="X", transformer=ExactNeighbors(10, device="cpu"), key_added="ours")
    for slot in ("distances", "connectivities"):
        ours, theirs = adata.obsp[f"ours_{slot}"], adata.obsp[f"theirs_{slot}"]
        assert ours.nnz == theirs.nnz
        np.testing.assert_allclose(ours.toarray(), theirs.toarray(), rtol=1e-4, atol=1e-5)


def test_it_is_a_transformer_of_scikit_learn():
    search = ExactNeighbors(4, device="cpu")
    assert clone(search).get_params() == {"n_neighbors": 4, "device": "cpu"}
    assert search.set_params(n_neighbors=3) is search
    with pytest.raises(ValueError, match="no argument 'k'; expected n_neighbors or device"):
        search.set_params(k=3)
    x = points(40)
    found = search.fit(x).transform(x[:5] + 0.001)
    assert found.shape == (5, 40)
    assert (np.diff(found.indptr) == 3).all()
    assert (found.indices[::3] == np.arange(5)).all()
