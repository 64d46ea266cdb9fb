from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

import simplechrome_tk as sct

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILE = "crispr/EPCrisprBenchmark_combined_data.training_K562.GRCh38.tsv.gz"
COLUMNS = [
    *("gene_id", "symbol", "strand", "chrom", "start", "end", "start_hg19", "end_hg19", "start_bp", "end_bp"),
    *("distance", "regulated", "effect_size", "p_value"),
    *("power_10", "power_15", "power_20", "power_25", "power_50", "dataset"),
]

# Plus: TSS at 10,000 in GRCh38 and at 12,000 in hg19. Minus: TSS at 50,000 and at 47,000. Twice: listed under two
# symbols, the second of which is that of the pairs.
BOUNDS = {
    "hg38": [("PLUS", 10_000, 30_000, "+", 1), ("MINUS", 40_000, 50_000, "-", 2), ("OTHER", 0, 900, "+", 3)],
    "hg19": [("PLUS", 12_000, 32_000, "+", 1), ("MINUS", 37_000, 47_000, "-", 2), ("OTHER", 0, 900, "+", 3)],
}
TWICE = ("TWICE", 70_000, 80_000, "+", 3)
POWER = {f"PowerAtEffectSize{size}": size / 100 for size in (10, 15, 20, 25, 50)}


def pair(number: int, symbol: str, start: int, *, tss: int, regulated: bool = False) -> dict[str, object]:
    """A row as it is published; the columns that are not read hold anything."""
    end = start + 500
    return {
        "chrom": "chr1",
        "chromStart": start,
        "chromEnd": end,
        "name": f"{symbol}|chr1:{start}-{end}:.",
        "EffectSize": -0.25,
        "startTSS": 1,
        "measuredGeneSymbol": symbol,
        "measuredGeneEnsemblId": f"ENSG{number:011d}",
        "pValueAdjusted": 0.01,
        **POWER,
        "Regulated": str(regulated).upper(),
        "Dataset": "Made2026",
        "distanceToTSS": abs((start + end) // 2 - tss),
    }


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Write the public files of small tables, in the formats in which they are published."""

    def write(*pairs: dict[str, object], bounds: dict[str, list[tuple]] = BOUNDS) -> None:
        files = {FILE: pd.DataFrame(pairs)}
        for assembly, rows in bounds.items():
            table = pd.DataFrame([*rows, TWICE], columns=["name", "start", "end", "strand", "Ensembl_ID"])
            table["Ensembl_ID"] = [f"ENSG{number:011d}" for number in table["Ensembl_ID"]]
            files[f"abc/CollapsedGeneBounds.{assembly}.bed"] = table.assign(**{"#chr": "chr1"})
        for name, table in files.items():
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            table.to_csv(path, sep="\t", index=False)
        for module in ("_crispr", "_roadmap"):
            monkeypatch.setattr(f"simplechrome_tk.datasets.{module}.fetch", lambda name: tmp_path / name)

    return write


def test_columns_are_those_that_are_documented(published):
    published(pair(1, "PLUS", 11_000, tss=10_000, regulated=True))
    pairs = sct.datasets.crispr_pairs()
    assert list(pairs) == COLUMNS
    row = pairs.iloc[0]
    assert row["regulated"]
    assert row[["gene_id", "symbol", "chrom", "start", "end"]].tolist() == [
        "ENSG00000000001",
        "PLUS",
        "chr1",
        11_000,
        11_500,
    ]
    assert row[["effect_size", "p_value", "power_10", "power_50"]].tolist() == [-0.25, 0.01, 0.1, 0.5]
    assert row["dataset"] == "Made2026"


@pytest.mark.parametrize(
    ("number", "symbol", "start", "tss", "along", "hg19"),
    [
        (1, "PLUS", 11_000, 10_000, (1_000, 1_500), (13_000, 13_500)),
        (1, "PLUS", 8_000, 10_000, (-2_000, -1_500), (10_000, 10_500)),
        (2, "MINUS", 48_000, 50_000, (1_500, 2_000), (45_000, 45_500)),
        (2, "MINUS", 53_000, 50_000, (-3_500, -3_000), (50_000, 50_500)),
        (3, "TWICE", 70_100, 70_000, (100, 600), (70_100, 70_600)),
    ],
    ids=["plus, downstream", "plus, upstream", "minus, downstream", "minus, upstream", "an id that is listed twice"],
)
def test_elements_lie_along_the_gene_and_in_hg19(published, number, symbol, start, tss, along, hg19):
    published(pair(number, symbol, start, tss=tss))
    row = sct.datasets.crispr_pairs().iloc[0]
    assert (row["start_bp"], row["end_bp"]) == along
    assert (row["start_hg19"], row["end_hg19"]) == hg19
    assert row["distance"] == abs(sum(along)) // 2


def test_a_strand_that_differs_between_the_assemblies_is_read_in_each(published):
    turned = {"hg38": BOUNDS["hg38"], "hg19": [("PLUS", 12_000, 32_000, "-", 1)]}
    published(pair(1, "PLUS", 11_000, tss=10_000), bounds=turned)
    row = sct.datasets.crispr_pairs().iloc[0]
    assert (row["start_bp"], row["end_bp"]) == (1_000, 1_500)
    assert (row["start_hg19"], row["end_hg19"]) == (30_500, 31_000)


def test_pairs_of_genes_without_a_position_are_counted(published, caplog):
    published(pair(1, "PLUS", 11_000, tss=10_000), pair(9, "NOWHERE", 11_000, tss=10_000))
    pairs = sct.datasets.crispr_pairs()
    assert pairs["symbol"].tolist() == ["PLUS"]
    assert pairs.index.tolist() == [0]
    assert "1 of 2 pairs" in caplog.text


@pytest.fixture(scope="module")
def real_pairs(public_file) -> pd.DataFrame:
    # The files are asked for one by one, so that the test is skipped where they are out of reach.
    for path in (FILE, "abc/CollapsedGeneBounds.hg38.bed"):
        public_file(path)
    return sct.datasets.crispr_pairs()


def test_counts_of_the_benchmark(real_pairs):
    assert len(real_pairs) == 10_356
    assert real_pairs["regulated"].sum() == 471
    assert (real_pairs.loc[real_pairs["regulated"], "effect_size"] < 0).all()
    near = real_pairs[real_pairs["distance"] <= 50_000]
    assert (len(near), near["regulated"].sum(), near["gene_id"].nunique()) == (982, 319, 488)
    assert not real_pairs.isna().any().any()


def test_positions_agree_with_the_published_distances(real_pairs):
    middle = (real_pairs["start_bp"] + real_pairs["end_bp"]) / 2
    # Of one gene the two tables name another first base.
    assert ((middle.abs() - real_pairs["distance"]).abs() <= 2).mean() > 0.999
    assert (middle < 0).mean() == pytest.approx(0.5, abs=0.05)


def test_elements_lie_in_hg19_where_their_names_say(real_pairs, public_file):
    """The names of two of the three data sets hold the position in hg19, which is not read otherwise."""
    names = pd.read_csv(public_file(FILE), sep="\t")["name"].str.extract(r":(\d+)-(\d+)").astype(int)
    chosen = (real_pairs["distance"] <= 50_000) & (real_pairs["dataset"] != "Schraivogel2020")
    error = np.abs(names[0] - real_pairs["start_hg19"])[chosen]
    assert (error <= 1).mean() > 0.85
    assert (error <= 500).mean() > 0.95
