from __future__ import annotations

from collections import Counter

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import simplechrome_tk as sct
from simplechrome_tk.core.require import split_of


def genes(n: int = 100, cells: tuple[str, ...] = ()) -> ad.AnnData:
    chrom = np.resize(["chr1", "chr2", "chr3", "chr8", "chr9", "chr21"], n)
    table = pd.DataFrame({"chrom": chrom}, index=[f"ENSG{i:011}" for i in range(n)])
    if not cells:
        return ad.AnnData(obs=table)
    stacked = pd.concat([table.assign(cell_type=cell).rename(lambda i, c=cell: f"{i}:{c}") for cell in cells])
    return ad.AnnData(obs=stacked)


def test_by_chromosome_holds_out_whole_chromosomes():
    adata = genes()
    sct.pp.split_by_chromosome(adata)
    found = adata.obs.groupby("chrom", observed=True)["split"].unique().map(list).to_dict()
    assert found == {
        "chr1": ["test"],
        "chr2": ["valid"],
        "chr21": ["test"],
        "chr3": ["train"],
        "chr8": ["test"],
        "chr9": ["valid"],
    }
    assert list(adata.obs["split"].cat.categories) == ["train", "valid", "test"]
    assert adata.uns["split"]["method"] == "chromosome"
    assert adata.uns["split"]["counts"] == dict(Counter(adata.obs["split"]))


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"test": ["chr1"], "valid": ["chr1", "chr2"]}, "chr1 is in both test and valid"),
        ({"test": ["chr5"]}, r"no gene lies on chr5; chromosomes here: chr1, chr2.*Name others with test= and valid="),
        ({"test": []}, r"no genes in test: 100 genes split into .*'test': 0"),
        ({"test": ["chr1", "chr3", "chr8", "chr21"]}, "no genes in train"),
    ],
)
def test_by_chromosome_refuses(kwargs, message):
    with pytest.raises(ValueError, match=message):
        sct.pp.split_by_chromosome(genes(), **kwargs)


def test_by_chromosome_needs_chromosomes():
    adata = genes()
    del adata.obs["chrom"]
    with pytest.raises(ValueError, match=r"no column 'chrom' .*store each gene's chromosome"):
        sct.pp.split_by_chromosome(adata)


def test_random_shares_and_seeds():
    a, b, c = genes(1_000), genes(1_000), genes(1_000)
    sct.pp.split_random(a, test=0.2, valid=0.1, rng=0)
    sct.pp.split_random(b, test=0.2, valid=0.1, rng=np.random.default_rng(0))
    sct.pp.split_random(c, test=0.2, valid=0.1, rng=1)
    assert Counter(a.obs["split"]) == {"train": 700, "test": 200, "valid": 100}
    assert list(a.obs["split"]) == list(b.obs["split"])
    assert list(a.obs["split"]) != list(c.obs["split"])


def test_random_does_not_touch_the_global_generator():
    state = np.random.get_state()[1].copy()  # noqa: NPY002  the state of the global generator is what is tested
    sct.pp.split_random(genes())
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_random_keeps_the_cell_types_of_a_gene_together():
    adata = genes(200, cells=("E116", "E123"))
    sct.pp.split_random(adata)
    gene = adata.obs_names.str.split(":").str[0]
    assert (adata.obs.groupby(gene)["split"].nunique() == 1).all()
    assert Counter(adata.obs["split"]) == {"train": 280, "test": 80, "valid": 40}


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"test": -0.1}, "test=-0.1 and valid=0.1"),
        ({"test": 0.6, "valid": 0.6}, "expected fractions of the genes"),
        ({"test": 0.5, "valid": 0.5}, "no genes in train"),
        ({"test": 0.001}, "no genes in test"),
    ],
)
def test_random_refuses(kwargs, message):
    with pytest.raises(ValueError, match=message):
        sct.pp.split_random(genes(), **kwargs)


FAMILIES = {
    "ZNF12": "ZNF",
    "ZNF45": "ZNF",
    "ZNF705A": "ZNF",
    "HOXA1": "HOXA",
    "Hoxa13": "HOXA",
    "KRTAP5-1": "KRTAP",
    "HLA-A": "HLA",
    "HLA-DRB1": "HLA",
    "ACTB": "ACTB",
}


def with_symbols(n_families: int = 40, size: int = 5, cells: tuple[str, ...] = ()) -> ad.AnnData:
    """Families of equal size, whose genes lie on all chromosomes."""
    adata = genes(n_families * size, cells)
    stems = [f"{'ABCDEFGHIJ'[i % 10]}{'KLMN'[i // 10]}" for i in range(n_families)]
    symbols = [f"{stem}{number}" for number in range(size) for stem in stems]
    adata.obs["symbol"] = symbols * max(len(cells), 1)
    return adata


def test_family_is_what_the_symbol_begins_with():
    adata = genes(100)
    adata.obs["symbol"] = [*FAMILIES, *[f"{a}{b}" for a in "QRSTUVWXYZ" for b in "ABCDEFGHI"], None]
    splits = []
    for seed in range(30):
        sct.pp.split_by_family(adata, test=0.4, valid=0.3, rng=seed)
        splits.append(adata.obs["split"].astype(str).to_numpy()[: len(FAMILIES)])
    together = (np.array(splits)[:, :, None] == np.array(splits)[:, None, :]).all(axis=0)
    family = np.array(list(FAMILIES.values()))
    np.testing.assert_array_equal(together, family[:, None] == family)


def test_family_keeps_its_size_and_seed():
    a, b, c = with_symbols(), with_symbols(), with_symbols()
    sct.pp.split_by_family(a, test=0.2, valid=0.1, rng=0)
    sct.pp.split_by_family(b, test=0.2, valid=0.1, rng=np.random.default_rng(0))
    sct.pp.split_by_family(c, test=0.2, valid=0.1, rng=1)
    assert Counter(a.obs["split"]) == {"train": 140, "test": 40, "valid": 20}
    assert list(a.obs["split"]) == list(b.obs["split"])
    assert list(a.obs["split"]) != list(c.obs["split"])
    assert (a.obs.groupby(a.obs["symbol"].str[:2])["split"].nunique() == 1).all()
    record = a.uns["split"]
    assert (record["method"], record["n_families"], record["largest_size"]) == ("family", 40, 5)


def test_family_of_two_cell_types_is_one():
    adata = with_symbols(cells=("E116", "E123"))
    sct.pp.split_by_family(adata)
    assert (adata.obs.groupby(adata.obs["symbol"].str[:2])["split"].nunique() == 1).all()


def test_genes_without_symbol_are_families_of_their_own(caplog):
    adata = genes(300)
    adata.obs["symbol"] = [None, "NA", "7SK"] * 100
    with caplog.at_level("INFO"):
        sct.pp.split_by_family(adata, test=0.2, valid=0.1)
    assert Counter(adata.obs["split"]) == {"train": 210, "test": 60, "valid": 30}
    assert "300 genes without a symbol" in caplog.text


def test_a_family_larger_than_the_split_is_trained_on():
    adata = genes(100)
    adata.obs["symbol"] = [f"BIG{i}" for i in range(60)] + [
        f"{a}{b}X{i}" for i in range(2) for a in "ABCDE" for b in "KLMN"
    ]
    for seed in range(5):
        sct.pp.split_by_family(adata, test=0.2, valid=0.1, rng=seed)
        assert Counter(adata.obs["split"]) == {"train": 70, "test": 20, "valid": 10}
        assert set(adata.obs["split"][:60]) == {"train"}


def test_family_needs_symbols():
    with pytest.raises(ValueError, match="no column 'symbol'"):
        sct.pp.split_by_family(genes())


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"test": 0.6, "valid": 0.6}, "expected fractions of the genes"),
        ({"valid": 0.0}, "no genes in valid"),
    ],
)
def test_family_refuses(kwargs, message):
    with pytest.raises(ValueError, match=message):
        sct.pp.split_by_family(with_symbols(), **kwargs)


def test_families_of_the_real_list(real_roadmap):
    adata = real_roadmap("E116", marks=["H3K4me3"], windows=[sct.pp.Window.TSS])
    sct.pp.split_by_family(adata)
    share = adata.obs["split"].value_counts(normalize=True)
    assert share["test"] == pytest.approx(0.15, abs=0.001)
    assert share["valid"] == pytest.approx(0.1, abs=0.001)
    zinc = adata.obs["symbol"].astype(str).str.match(r"ZNF\d")
    assert zinc.sum() > 400
    assert adata.obs["split"][zinc].nunique() == 1


def test_deepchrome_blocks_of_the_real_list(real_roadmap, public_file):
    ids = [line.split()[3].split("_")[0] for line in public_file("shallowchrome/GeneFile.txt").read_text().splitlines()]
    first: dict[str, int] = {}
    for row, gene in enumerate(ids):
        first.setdefault(gene, row)
    expected = {gene: "train" if row < 6_601 else "valid" if row < 13_202 else "test" for gene, row in first.items()}

    adata = real_roadmap("E116", marks=["H3K4me3"], windows=[sct.pp.Window.TSS])
    sct.deepchrome.split(adata)
    assert adata.obs["split"].astype(str).to_dict() == expected
    assert adata.uns["split"]["counts"] == {"train": 6_599, "valid": 6_599, "test": 6_597}
    share = (adata.obs["label"] == "high").groupby(adata.obs["split"], observed=True).mean()
    np.testing.assert_allclose(share[["train", "valid", "test"]], [0.62, 0.53, 0.35], atol=0.02)


def test_deepchrome_reads_ids_of_stacked_cell_types():
    adata = genes(3, cells=("E116", "E123"))
    names = ["ENSG00000000003", "ENSG00000132963", "ENSG00000172936"]
    adata.obs_names = [f"{name}:{cell}" for cell in ("E116", "E123") for name in names]
    sct.deepchrome.split(adata)
    assert list(adata.obs["split"]) == ["train", "valid", "test"] * 2


def test_deepchrome_refuses_other_ids():
    adata = genes(10)
    with pytest.raises(ValueError, match="no genes in valid, test"):
        sct.deepchrome.split(adata)
    adata.obs_names = [*adata.obs_names[:9], "PAX5"]
    with pytest.raises(ValueError, match="1 of 10 ids are not Ensembl gene ids, such as 'PAX5'"):
        sct.deepchrome.split(adata)


@pytest.mark.parametrize("split", [sct.pp.split_by_chromosome, sct.pp.split_by_family, sct.pp.split_random])
def test_copy_and_key(split):
    adata = with_symbols()
    copy = split(adata, key_added="fold", copy=True)
    assert "fold" in copy.obs
    assert "fold" not in adata.obs
    assert not adata.uns
    assert split(adata) is None


def test_reading_a_split_refuses_what_is_none():
    adata = genes()
    with pytest.raises(ValueError, match=r"run sct\.pp\.split_by_chromosome\(adata\) first"):
        split_of(adata)
    adata.obs["split"] = "training"
    with pytest.raises(ValueError, match="holds training; expected train, valid, test"):
        split_of(adata)


def test_a_message_names_a_few_of_many_scaffolds():
    obs = pd.DataFrame({"chrom": [f"scaffold{i}" for i in range(3_000)]}, index=[f"g{i}" for i in range(3_000)])
    adata = ad.AnnData(np.zeros((3_000, 1)), obs=obs)
    with pytest.raises(ValueError, match=r"scaffold0, .* and 2,970 more") as error:
        sct.pp.split_by_chromosome(adata)
    assert len(str(error.value)) < 1_000
