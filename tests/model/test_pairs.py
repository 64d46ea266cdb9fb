"""Pairs of the same gene in two conditions."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from simplechrome_tk.model._pairs import pair_conditions


def stack(**samples: str) -> ad.AnnData:
    """Five genes in each sample, which are of these conditions."""
    obs = pd.DataFrame(
        [
            {"name": f"g{gene}:{sample}", "sample": sample, "condition": condition, "split": split}
            for sample, condition in samples.items()
            for gene, split in enumerate(["train", "train", "train", "valid", "valid"])
        ]
    ).set_index("name")
    return ad.AnnData(np.zeros((len(obs), 1), dtype=np.float32), obs=obs)


def pair(adata: ad.AnnData, key: str = "condition", unknown: tuple[int, ...] = ()) -> list[tuple[str, str]]:
    known = np.zeros(adata.n_obs)
    known[list(unknown)] = np.nan
    pairs = pair_conditions(adata, key, known, adata.obs["split"].to_numpy(str))
    assert (pairs.split == adata.obs["split"].to_numpy()[pairs.rows[:, 0]]).all()
    return [tuple(adata.obs_names[rows]) for rows in pairs.rows]


def test_each_sample_is_paired_with_those_of_other_conditions_only():
    found = pair(stack(a1="A", a2="A", b1="B", c1="C"))
    samples = {tuple(name.partition(":")[2] for name in names) for names in found}
    assert samples == {("a1", "b1"), ("a2", "b1"), ("a1", "c1"), ("a2", "c1"), ("b1", "c1")}
    assert all(one.partition(":")[0] == other.partition(":")[0] for one, other in found)
    assert len(found) == 5 * 5


def test_genes_without_expression_or_in_one_condition_only_are_no_pair():
    adata = stack(a1="A", b1="B")
    assert len(pair(adata, unknown=(0,))) == 4
    assert len(pair(adata[1:].copy())) == 4


def test_conditions_may_be_numbers():
    adata = stack(a1="A", b1="B")
    adata.obs["dose"] = np.where(adata.obs["condition"] == "A", 0, 10)
    assert pair(adata, "dose") == pair(adata)


@pytest.mark.parametrize(
    ("samples", "change", "message"),
    [
        ({"a1": "A"}, None, "1 condition"),
        ({"a1": "A", "b1": "B"}, ("sample", "one"), "holds gene .* 2 times in sample"),
        ({"a1": "A", "b1": "B"}, ("split", "train"), "0 changes of valid genes"),
        ({"a1": "A", "b1": "B"}, ("split", ["train", "train", "valid", "valid", "test"] * 2), None),
    ],
)
def test_what_cannot_be_paired_is_named(samples: dict[str, str], change: tuple | None, message: str | None):
    adata = stack(**samples)
    if change is not None:
        adata.obs[change[0]] = change[1]
    if message is None:
        pair(adata)
        return
    if change == ("sample", "one"):
        adata.obs["condition"] = "A"
        adata.obs_names = [f"g{i % 5}:one" for i in range(10)]
    with pytest.raises(ValueError, match=message):
        pair(adata)


def test_a_gene_in_two_splits_is_refused():
    adata = stack(a1="A", b1="B")
    adata.obs.loc[["g0:b1"], "split"] = "test"
    with pytest.raises(ValueError, match="another split"):
        pair(adata)


def test_an_unknown_key_is_named():
    with pytest.raises(ValueError, match="name another column with key"):
        pair(stack(a1="A", b1="B"), "treatment")
