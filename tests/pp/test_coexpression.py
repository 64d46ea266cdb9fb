"""The graph of co-expressed genes, against correlations by pandas."""

from __future__ import annotations

import logging

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import simplechrome_tk as sct


def genes(n: int = 80, n_samples: int = 7, **obs) -> ad.AnnData:
    rng = np.random.default_rng(0)
    table = {
        "chrom": rng.choice(["chr1", "chr2"], n),
        "tss": rng.integers(0, 5_000_000, n),
        "strand": rng.choice(["+", "-", "."], n),
    }
    adata = ad.AnnData(obs=pd.DataFrame({**table, **obs}, index=[f"g{i}" for i in range(n)]))
    values = rng.normal(size=(n, n_samples)) + rng.normal(size=(1, n_samples))
    adata.obsm["reference_expression"] = values.astype(np.float32)
    return adata


def links(adata, slot="coexpression_connectivities") -> dict[tuple[int, int], float]:
    found = adata.obsp[slot].tocoo()
    return {(int(i), int(j)): float(v) for i, j, v in zip(found.row, found.col, found.data, strict=True)}


def naive(adata, n_neighbors, min_distance, rows=None):
    """Correlate by pandas after centring by sample; sort the candidates of each gene."""
    rows = range(adata.n_obs) if rows is None else rows
    values = pd.DataFrame(adata.obsm["reference_expression"].astype(float)).loc[list(rows)]
    correlation = (values - values.mean()).T.corr()
    chrom, tss = adata.obs["chrom"].to_numpy(), adata.obs["tss"].to_numpy()
    kept = {}
    for i in rows:
        far = [j for j in rows if j != i and (chrom[i] != chrom[j] or abs(tss[i] - tss[j]) >= min_distance)]
        best = sorted(far, key=lambda j: -correlation.loc[i, j])[:n_neighbors]
        kept |= {(i, j): correlation.loc[i, j] for j in best if correlation.loc[i, j] > 0}
    return kept


@pytest.mark.parametrize(("n_neighbors", "min_distance"), [(5, 1_000_000), (5, 0), (500, 300_000), (1, 10**9)])
def test_equals_correlations_by_pandas(n_neighbors, min_distance):
    adata = genes()
    sct.pp.coexpression_neighbors(adata, n_neighbors, min_distance=min_distance)
    found, expected = links(adata), naive(adata, n_neighbors, min_distance)
    assert found.keys() == expected.keys()
    np.testing.assert_allclose([found[pair] for pair in expected], list(expected.values()), rtol=1e-4, atol=1e-6)
    tss, chrom = adata.obs["tss"].to_numpy(), adata.obs["chrom"].to_numpy()
    sign = np.where(adata.obs["strand"] == "-", -1, 1)
    assert links(adata, "coexpression_distances") == {
        (i, j): sign[i] * (tss[j] - tss[i]) if chrom[i] == chrom[j] else 0 for i, j in expected
    }


def test_genes_nearer_than_the_distance_are_not_connected_and_those_at_it_are():
    adata = genes(4, chrom=["chr1", "chr1", "chr1", "chr2"], tss=[0, 999_999, 1_000_000, 5])
    adata.obsm["reference_expression"] = np.array([[0, 1, 5.0], [0, 1, 4], [0, 1, 6], [9, 1, 0]])
    sct.pp.coexpression_neighbors(adata, 3)
    assert (0, 2) in links(adata)
    assert not {(0, 1), (1, 0), (1, 2), (2, 1)} & set(links(adata))


def test_the_order_of_genes_does_not_matter():
    adata = genes()
    other = adata[::-1].copy()
    sct.pp.coexpression_neighbors(adata, 4)
    sct.pp.coexpression_neighbors(other, 4)
    assert {(79 - i, 79 - j) for i, j in links(other)} == set(links(adata))


def test_flat_and_unknown_genes_have_no_neighbours_and_are_counted(caplog):
    adata = genes()
    adata.obsm["reference_expression"][3] = 0.4
    adata.obsm["reference_expression"][5, 2] = np.nan
    with caplog.at_level(logging.INFO):
        sct.pp.coexpression_neighbors(adata, 4)
    assert not {3, 5} & {gene for pair in links(adata) for gene in pair}
    record = adata.uns["coexpression_neighbors"]
    assert (record["n_flat"], record["n_unknown"]) == (1, 1)
    assert "2 genes have no neighbours" in caplog.text


def test_a_constant_sample_changes_nothing_and_a_constant_offset_of_a_sample_neither():
    adata = genes()
    shifted = adata.copy()
    shifted.obsm["reference_expression"][:, 2] += 3
    sct.pp.coexpression_neighbors(adata, 4)
    sct.pp.coexpression_neighbors(shifted, 4)
    assert links(adata).keys() == links(shifted).keys()


def test_links_stay_within_the_cell_type():
    cell = np.repeat(["A", "B"], 40)
    adata = genes(cell_type=cell)
    sct.pp.coexpression_neighbors(adata, 4)
    expected = naive(adata, 4, 1_000_000, range(40)) | naive(adata, 4, 1_000_000, range(40, 80))
    assert links(adata).keys() == expected.keys()


def test_a_cell_type_without_any_known_gene_is_counted():
    adata = genes(cell_type=np.repeat(["A", "B"], 40))
    adata.obsm["reference_expression"][40:] = np.nan
    sct.pp.coexpression_neighbors(adata, 4)
    assert adata.uns["coexpression_neighbors"]["n_unknown"] == 40
    assert max(max(pair) for pair in links(adata)) < 40


def test_copy_names_and_files(round_trip):
    adata = genes()
    adata.obsm["mine"] = adata.obsm.pop("reference_expression")
    changed = sct.pp.coexpression_neighbors(adata, 4, reference_key="mine", key_added="alike", copy=True)
    assert not adata.obsp
    again = round_trip(changed)
    assert links(again, "alike_connectivities") == links(changed, "alike_connectivities")
    assert again.uns["alike_neighbors"]["params"]["reference_key"] == "mine"
    part = changed[10:40].copy()
    sct.nn.Graph([(part.obsp["alike_connectivities"], part.obsp["alike_distances"])])


@pytest.mark.parametrize(
    ("change", "kwargs", "message"),
    [
        (lambda a: None, {"n_neighbors": 0}, "n_neighbors is 0"),
        (lambda a: None, {"min_distance": -1}, "min_distance is -1"),
        (lambda a: a.obsm.clear(), {}, "add_reference_expression"),
        (lambda a: a.obsm.update(reference_expression=np.ones((80, 1))), {}, "1 reference samples; expected 3"),
        (lambda a: a.obsm.update(reference_expression=np.ones((80, 4))), {}, "80 have the same expression"),
        (lambda a: a.obsm["reference_expression"].__setitem__((slice(None), 0), np.nan), {}, "80 lack a value"),
        (lambda a: a.obsm["reference_expression"].__setitem__((0, 0), np.inf), {}, "infinite values"),
        (lambda a: a.obs.pop("tss"), {}, "no column 'tss'"),
    ],
)
def test_bad_input_is_named(change, kwargs, message):
    adata = genes()
    change(adata)
    with pytest.raises(ValueError, match=message):
        sct.pp.coexpression_neighbors(adata, **kwargs)
    assert not adata.obsp
