from __future__ import annotations

import pytest

from simplechrome_tk.io._genome import (
    assemblies,
    assembly_sizes,
    check_ends,
    find_assembly,
    merge_lengths,
    read_chrom_sizes,
)


def test_every_assembly_that_an_error_offers_has_sizes():
    with pytest.raises(ValueError, match="no assembly that bioframe knows") as error:
        read_chrom_sizes("no such genome")
    offered = str(error.value).rstrip(".").rpartition("knows: ")[2].split(", ")
    assert offered == assemblies()
    assert {"mm9", "dm3", "MGSCv37", "T2T-CHM13v2.0"} < set(offered)
    for name in offered:
        assert min(read_chrom_sizes(name).values()) > 0
    assert read_chrom_sizes("HG38") == read_chrom_sizes("GRCh38")


def test_sizes_are_those_of_the_assembly():
    known = {
        "hg19": ("chr1", 249_250_621),
        "T2T-CHM13v2.0": ("chr1", 248_387_328),
        "mm9": ("chr1", 197_195_432),
        "dm3": ("chr2L", 23_011_544),
        "danRer11": ("chr1", 59_578_282),
        "danRer10": ("chr1", 58_871_917),
    }
    assert {name: (chrom, assembly_sizes(name)[chrom]) for name, (chrom, _) in known.items()} == known


@pytest.mark.parametrize(
    ("comment", "assembly"),
    [
        ("#!genome-build GRCh38.p14", "GRCh38"),
        ("##description: evidence-based annotation of the human genome (GRCh37), version 19 (Ensembl 74)", "GRCh37"),
        ("##description: ... human genome (GRCh38), version 44 (Ensembl 110), mapped to GRCh37 with backmap", "GRCh37"),
        ("#!genome-build mm10", "GRCm38"),
        ("# hg38 and hg19", ""),
        ("# GRCh381 Xhg19", ""),
        ("", ""),
    ],
)
def test_the_assembly_that_comments_name(comment, assembly):
    assert find_assembly([comment, "#!genome-date 2013-12"]) == assembly


def test_lengths_that_differ_are_refused_with_both():
    both = r"248,956,422 bp in genome \(as in GRCh38, hg38\) and 249,250,621 bp in K4 \(.*hg19\), and 24 more"
    with pytest.raises(ValueError, match=both):
        merge_lengths({"genome": assembly_sizes("hg38"), "K4": assembly_sizes("hg19")})


def test_names_with_and_without_chr_are_one_chromosome():
    with pytest.raises(ValueError, match="1 has 5 bp in b and 6 bp in c"):
        merge_lengths({"a": {"2": 3}, "b": {"chr1": 5, "chrM": 1}, "c": {"MT": 2, "1": 6}})


def test_lengths_that_agree_are_merged(caplog):
    assert merge_lengths({"a": {"chr1": 5}, "b": {"chr1": 5, "chr2": 6}}) == {"chr1": 5, "chr2": 6}
    assert not caplog.records


def test_mitochondria_alone_may_differ_with_a_warning(caplog):
    assert merge_lengths({"a": {"chr1": 5, "chrM": 16_571}, "b": {"chr1": 5, "chrM": 16_569}}) == {"chr1": 5}
    assert "chrM has 16,571 bp in a (as in GRCh37, hg19) and 16,569 bp in b" in caplog.text


def test_intervals_beyond_the_end_are_refused():
    check_ends({"chr1": 10, "chr2": 99}, {"chr1": 10}, source="p")
    with pytest.raises(ValueError, match=r"p: .* chr1 to 11, .* 10 bp.*bedClip"):
        check_ends({"chr1": 11}, {"chr1": 10}, source="p")
