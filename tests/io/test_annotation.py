from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import simplechrome_tk as sct
from simplechrome_tk.io._ids import strip_versions

GTF = """\
##description: evidence-based annotation
chr1\tHAVANA\tgene\t1001\t5000\t.\t+\t.\tgene_id "ENSG00000000001.7"; gene_type "protein_coding"; gene_name "AAA";
chr1\tHAVANA\ttranscript\t1001\t5000\t.\t+\t.\tgene_id "ENSG00000000001.7"; transcript_id "T1"; tag "basic";
chr1\tHAVANA\texon\t1001\t1100\t.\t+\t.\tgene_id "ENSG00000000001.7"; transcript_id "T1";
chr1\tHAVANA\ttranscript\t1501\t4000\t.\t+\t.\tgene_id "ENSG00000000001.7"; transcript_id "T2"; tag "MANE_Select"; \
tag "Ensembl_canonical";
chr1\tHAVANA\ttranscript\t1201\t4500\t.\t+\t.\tgene_id "ENSG00000000001.7"; transcript_id "T3"; tag "MANE_Select";
chr2\tHAVANA\tgene\t2001\t9000\t.\t-\t.\tgene_id "ENSG00000000002.1"; gene_type "lncRNA"; gene_name "BBB";
chr2\tHAVANA\ttranscript\t2001\t8000\t.\t-\t.\tgene_id "ENSG00000000002.1"; transcript_id "T4"; \
tag "appris_principal_2";
chr2\tHAVANA\ttranscript\t3001\t8500\t.\t-\t.\tgene_id "ENSG00000000002.1"; transcript_id "T5"; \
tag "appris_principal_1";
chr2\tHAVANA\ttranscript\t2001\t9000\t.\t-\t.\tgene_id "ENSG00000000002.1"; transcript_id "T6"; \
tag "appris_alternative_1";
chr2\tHAVANA\ttranscript\t2501\t9000\t.\t-\t.\tgene_id "ENSG00000000002.1"; transcript_id "T7";
chr3\tHAVANA\tgene\t101\t900\t.\t-\t.\tgene_id "ENSG00000000003.2"; gene_type "protein_coding"; gene_name "CCC";
chr3\tHAVANA\ttranscript\t301\t850\t.\t-\t.\tgene_id "ENSG00000000003.2"; transcript_id "T8";
chr3\tHAVANA\ttranscript\t101\t800\t.\t-\t.\tgene_id "ENSG00000000003.2"; transcript_id "T9";
chr4\tHAVANA\tgene\t11\t20\t.\t+\t.\tgene_id "ENSG00000000004.2"; gene_type "protein_coding"; gene_name "DDD";
chrX\tHAVANA\tgene\t501\t700\t.\t+\t.\tgene_id "ENSG00000000005.3"; gene_type "protein_coding"; gene_name "PAR";
chrX\tHAVANA\ttranscript\t501\t700\t.\t+\t.\tgene_id "ENSG00000000005.3"; transcript_id "T10";
chrY\tHAVANA\tgene\t601\t800\t.\t+\t.\tgene_id "ENSG00000000005.3_PAR_Y"; gene_type "protein_coding"; gene_name "PAR";
chrY\tHAVANA\ttranscript\t601\t800\t.\t+\t.\tgene_id "ENSG00000000005.3_PAR_Y"; transcript_id "T11";
"""

ENSEMBL_GFF3 = """\
##gff-version 3
##sequence-region 1 1 248956422
1\tensembl_havana\tgene\t1001\t5000\t.\t-\t.\tID=gene:ENSG00000000001;Name=A%3BA;biotype=protein_coding;\
gene_id=ENSG00000000001;version=7
1\tensembl_havana\tmRNA\t1001\t4900\t.\t-\t.\tID=transcript:ENST00000000001;Parent=gene:ENSG00000000001;\
tag=basic,Ensembl_canonical;transcript_id=ENST00000000001
1\tensembl_havana\tlnc_RNA\t1001\t5000\t.\t-\t.\tID=transcript:ENST00000000002;Parent=gene:ENSG00000000001
1\t.\texon\t1001\t1200\t.\t-\t.\tParent=transcript:ENST00000000001
###
1\tmirbase\tncRNA_gene\t8001\t8090\t.\t?\t.\tID=gene:ENSG00000000009;biotype=miRNA
##FASTA
>1
ACGT
"""

NCBI_GFF3 = """\
#!gff-spec-version 1.21
NC_000009.12\tBestRefSeq\tgene\t101\t900\t.\t-\t.\tID=gene-PAX5;Name=PAX5;gbkey=Gene;gene=PAX5;\
gene_biotype=protein_coding
NC_000009.12\tBestRefSeq\tmRNA\t101\t880\t.\t-\t.\tID=rna-NM_016734.3;Parent=gene-PAX5;tag=MANE Select;\
transcript_id=NM_016734.3
NC_000009.12\tBestRefSeq\tprimary_transcript\t501\t600\t.\t+\t.\tID=rna-NR_1;Parent=gene-OTHER
NC_000009.12\tBestRefSeq\tmiRNA\t511\t530\t.\t+\t.\tID=rna-MIR1;Parent=rna-NR_1
"""

REFGENE_GTF = """\
chr1\trefGene\ttranscript\t101\t900\t.\t+\t.\tgene_id "AAA"; transcript_id "NM_1"; gene_name "AAA";
chr1\trefGene\texon\t101\t200\t.\t+\t.\tgene_id "AAA"; transcript_id "NM_1";
chr1\trefGene\ttranscript\t51\t700\t.\t+\t.\tgene_id "AAA"; transcript_id "NM_2"; gene_name "AAA";
chr1\trefGene\ttranscript\t50001\t50800\t.\t+\t.\tgene_id "AAA"; transcript_id "NM_1_dup1"; gene_name "AAA";
chr2\trefGene\ttranscript\t11\t90\t.\t-\t.\tgene_id "BBB"; transcript_id "NM_3"; gene_name "BBB";
"""

AUGUSTUS = """\
scaf_1\tAUGUSTUS\tgene\t2001\t6000\t0.95\t+\t.\tg1
scaf_1\tAUGUSTUS\ttranscript\t2301\t6000\t0.95\t+\t.\tg1.t1
scaf_1\tAUGUSTUS\tCDS\t2001\t2500\t0.95\t+\t0\ttranscript_id "g1.t1"; gene_id "g1";
scaf_1\tAUGUSTUS\tgene\t9001\t12000\t1\t-\t.\tg2
scaf_1\tAUGUSTUS\ttranscript\t9001\t12000\t1\t-\t.\tg2.t1
"""

BED6 = "track name=genes\nchr1\t1000\t5000\tAAA\t0\t+\nchr2\t2000\t9000\tBBB\t0\t-\nchr3\t5\t9\tCCC\t0\t.\n"
BED12 = "chr1\t1000\t5000\tAAA\t0\t+\t1000\t5000\t0\t2\t10,20\t0,3980\n" + (
    "chr2\t2000\t9000\tBBB\t0\t-\t2000\t9000\t0\t1\t7000\t0\n"
)


@pytest.fixture
def read(tmp_path):
    def write_and_read(text: str | bytes, name: str = "genes.gtf", **kwargs) -> pd.DataFrame:
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return sct.io.read_annotation(path, **kwargs)

    return write_and_read


def test_canonical_follows_the_tags_in_their_order(read, caplog):
    caplog.set_level("INFO")
    genes = read(GTF)
    assert genes["tss"].to_dict() == {
        "ENSG00000000001": 1_500,
        "ENSG00000000002": 8_500,
        "ENSG00000000003": 800,
        "ENSG00000000004": 10,
        "ENSG00000000005": 500,
    }
    assert list(genes["transcript"]) == ["T2", "T5", "T9", "", "T10"]
    rules = ["Ensembl_canonical", "APPRIS_principal", "longest_transcript", "gene_record", "longest_transcript"]
    assert list(genes["tss_rule"]) == rules
    assert list(genes["symbol"]) == ["AAA", "BBB", "CCC", "DDD", "PAR"]
    assert genes.loc["ENSG00000000002", ["chrom", "start", "end", "strand"]].tolist() == ["chr2", 2_000, 9_000, "-"]
    assert genes["tss"].dtype == genes["start"].dtype == np.int64
    assert list(genes["gene_id"]) == list(genes.index)
    assert "5 genes in 5 rows, TSS by longest_transcript 2, Ensembl_canonical 1" in caplog.text
    assert "1 pseudoautosomal copies on chrY left out" in caplog.text
    counts = genes.attrs["read_annotation"]["counts"]
    assert (counts["par_copies"], counts["tss_gene_record"], counts["further_loci"]) == (1, 1, 0)


def test_mane_comes_before_appris_and_appris_before_length(read):
    without = GTF.replace(' tag "Ensembl_canonical";', "").replace('"T3"; tag "MANE_Select"', '"T3"')
    assert read(without).loc["ENSG00000000001", ["tss", "tss_rule"]].tolist() == [1_500, "MANE_Select"]
    old = GTF.replace('tag "appris_principal_2"', 'tag "appris_principal"').replace('tag "appris_principal_1"', "")
    assert read(old).loc["ENSG00000000002", ["tss", "transcript"]].tolist() == [8_000, "T4"]


def test_most_upstream_is_the_5_prime_most_start(read):
    genes = read(GTF, tss="most_upstream")
    assert list(genes["tss"]) == [1_000, 9_000, 850, 10, 500]
    assert list(genes["tss_rule"]) == ["most_upstream"] * 3 + ["gene_record", "most_upstream"]
    assert genes.loc["ENSG00000000002", "transcript"] == "T6"


def test_all_gives_every_distinct_start_from_5_to_3_prime(read):
    genes = read(GTF, tss="all")
    assert list(genes.index[:6]) == [f"ENSG00000000001:tss{i}" for i in (1, 2, 3)] + [
        f"ENSG00000000002:tss{i}" for i in (1, 2, 3)
    ]
    assert list(genes["tss"]) == [1_000, 1_200, 1_500, 9_000, 8_500, 8_000, 850, 800, 10, 500]
    assert genes["gene_id"].nunique() == 5
    assert genes.index.is_unique
    assert genes.loc["ENSG00000000004:tss1", "tss_rule"] == "gene_record"
    assert genes.loc["ENSG00000000002:tss1", "transcript"] == "T6"


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("name", ["genes.gtf", "genes.gtf.gz", "genes.txt"])
def test_the_content_says_whether_a_file_is_gzipped(read, name, zipped):
    text = gzip.compress(GTF.encode()) if zipped else GTF.encode()
    pd.testing.assert_frame_equal(read(text, name), read(GTF))


def test_windows_line_ends_and_a_missing_last_one(read):
    pd.testing.assert_frame_equal(read(GTF.rstrip("\n").replace("\n", "\r\n")), read(GTF))


def test_ensembl_gff3(read):
    genes = read(ENSEMBL_GFF3, "genes.gff3")
    assert list(genes.index) == ["ENSG00000000001", "ENSG00000000009"]
    assert list(genes["symbol"]) == ["A;A", "ENSG00000000009"]
    assert list(genes["tss"]) == [4_900, 8_000]
    assert list(genes["transcript"]) == ["ENST00000000001", ""]
    assert list(genes["gene_type"]) == ["protein_coding", "miRNA"]
    assert list(genes["strand"]) == ["-", "."]
    assert genes.attrs["read_annotation"]["counts"]["unknown_strand"] == 1
    assert read(ENSEMBL_GFF3, "genes.gff3", tss="most_upstream")["tss"].iloc[0] == 5_000


def test_ncbi_gff3(read, caplog):
    caplog.set_level("INFO")
    genes = read(NCBI_GFF3, "genes.gff")
    assert genes.loc["PAX5", ["tss", "tss_rule", "transcript", "gene_type"]].tolist() == [
        *(880, "MANE_Select", "NM_016734.3", "protein_coding")
    ]
    assert "2 transcripts without a gene record left out" in caplog.text


def test_transcripts_without_gene_records_make_genes_where_they_overlap(read, caplog):
    caplog.set_level("INFO")
    genes = read(REFGENE_GTF)
    assert genes.loc["AAA", ["start", "end", "tss", "transcript"]].tolist() == [50, 900, 100, "NM_1"]
    assert genes.loc["BBB", ["start", "end", "tss"]].tolist() == [10, 90, 90]
    assert "1 further loci of an id left out" in caplog.text
    assert "gene_type" not in genes
    assert list(read(REFGENE_GTF, tss="all")["tss"]) == [50, 100, 90]


def test_versions_are_stripped_from_ensembl_and_refseq_ids_alone():
    ids = ["ENSG00000223972.5", "ENSMUSG00000051951.6_2", "ENSG00000182378.15_PAR_Y", "NM_016734.3", "F54H12.1", "A.1"]
    stripped = strip_versions(pd.Series(ids)).tolist()
    assert stripped == ["ENSG00000223972", "ENSMUSG00000051951", "ENSG00000182378", "NM_016734", "F54H12.1", "A.1"]


@pytest.mark.parametrize("text", [BED6, BED12])
@pytest.mark.parametrize("name", ["genes.bed", "genes.bed.gz", "genes.txt"])
def test_bed(read, text, name):
    genes = read(text, name)
    assert list(genes["tss"])[:2] == [1_000, 9_000]
    assert list(genes.index)[:2] == list(genes["symbol"])[:2] == ["AAA", "BBB"]
    assert list(genes["strand"])[:2] == ["+", "-"]
    assert set(genes["tss_rule"]) == {"gene_record"}


def test_unknown_strand_is_kept_and_counted(read, caplog):
    genes = read(BED6, "genes.bed")
    assert genes.loc["CCC", ["strand", "tss"]].tolist() == [".", 5]
    assert "1 genes of unknown strand" in caplog.text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.tsv", "gene_id\tchr\tgene_start\tgene_end\tstrand\tgene_name\nENSG00000000001.2\tchr1\t10\t90\t-1\tAAA\n"),
        ("a.csv", 'id,chrom,start,end,strand,symbol,\n"ENSG00000000001","chr1",10,90,"-","AAA",\n'),
        ("a.bed", "#chr\tstart\tend\tname\tscore\tstrand\tEnsembl_ID\nchr1\t10\t90\tAAA\t0\t-\tENSG00000000001.2\n"),
        ("a.txt", "symbol Chromosome TSS strand gene_id start end\nAAA chr1 90 - ENSG00000000001 10 90\n"),
    ],
)
def test_tables_in_files(read, name, text):
    genes = read(text, name)
    assert genes.index.tolist() == ["ENSG00000000001"]
    assert genes.iloc[0][["symbol", "chrom", "start", "end", "strand", "tss"]].tolist() == [
        *("AAA", "chr1", 10, 90, "-", 90)
    ]


def test_a_table_with_a_tss_alone_is_enough_for_windows_on_it():
    table = pd.DataFrame({"chrom": ["chr1", "chr1"], "tss": [900, 700], "strand": ["+", "-"]}, index=["a", "b"])
    genes = sct.io.read_annotation(table)
    assert genes[["start", "end"]].isna().all(axis=None)
    assert list(genes["tss"]) == [900, 700]
    peaks = pd.DataFrame({"chrom": ["chr1"], "start": [0], "end": [5_000], "signal": [1.0]})
    assert sct.pp.bin_peaks({"M": peaks}, genes, windows=[sct.pp.Window.TSS]).shape == (2, 100)


def test_a_tss_that_is_given_is_kept_and_further_columns_too():
    table = pd.DataFrame(
        {
            "chrom": "chr1",
            "start": [10, 100],
            "end": [90, 900],
            "strand": ["+", "-"],
            "tss": [20, None],
            "mine": [3, 4],
        },
        index=["a", "b"],
    )
    before = table.copy()
    genes = sct.io.read_annotation(table)
    assert list(genes["tss"]) == [20, 900]
    assert list(genes["mine"]) == [3, 4]
    pd.testing.assert_frame_equal(table, before)


@pytest.mark.parametrize("name", ["_rank", "_gene", "_key", "_backwards", "_index"])
def test_columns_with_a_leading_underscore_are_left_out(name):
    table = pd.DataFrame({"chrom": "chr1", "start": [10, 100], "end": [90, 900], "strand": "+"}, index=["a", "b"])
    genes = sct.io.read_annotation(table.assign(**{name: [7, 8]}))
    pd.testing.assert_frame_equal(genes, sct.io.read_annotation(table))


def test_rows_of_one_id_are_transcripts_of_one_gene():
    table = pd.DataFrame(
        {"id": ["a", "b", "a", "a"], "chrom": "chr1", "start": [10, 5, 50, 9_000], "end": [100, 9, 500, 9_900]}
    ).assign(strand="-")
    genes = sct.io.read_annotation(table)
    assert genes.loc["a", ["start", "end", "tss", "tss_rule"]].tolist() == [10, 500, 500, "longest_transcript"]
    assert list(genes.index) == ["a", "b"]
    assert genes.attrs["read_annotation"]["counts"]["further_loci"] == 1
    assert list(sct.io.read_annotation(table, tss="all").index) == ["a:tss1", "a:tss2", "b:tss1"]


def test_of_a_gene_on_both_sex_chromosomes_that_on_x_is_kept():
    table = pd.DataFrame(
        {"chrom": ["chrY", "chrX"], "start": [10, 20], "end": [100, 200], "strand": "+"}, index=["ASMT", "ASMT"]
    )
    genes = sct.io.read_annotation(table)
    assert genes.loc["ASMT", "chrom"] == "chrX"
    assert genes.attrs["read_annotation"]["counts"]["par_copies"] == 1


@pytest.mark.parametrize("tss", ["canonical", "all"])
def test_reads_its_own_result_again(read, tss):
    genes = read(GTF, tss=tss)
    again = sct.io.read_annotation(genes)
    # From pandas 3 on, text is of the dtype object or str.
    pd.testing.assert_frame_equal(again, genes, check_like=True, check_dtype=False, check_index_type=False)


def test_gene_types_are_selected_and_the_others_counted(read, caplog):
    caplog.set_level("INFO")
    genes = read(GTF, gene_types="lncRNA")
    assert list(genes.index) == ["ENSG00000000002"]
    assert "4 genes of other types left out" in caplog.text


@pytest.mark.parametrize(
    ("text", "types", "message"),
    [
        (GTF, ["protein_coding", "mRNA"], r"gene_types holds mRNA.*found protein_coding \(4\), lncRNA \(1\)"),
        (GTF, [], "gene_types holds none"),
        (BED6, "lncRNA", "leave gene_types out"),
    ],
)
def test_gene_types_that_no_gene_has_are_refused(read, text, types, message):
    with pytest.raises(ValueError, match=message):
        read(text, "a.txt", gene_types=types)


def test_success_is_logged_at_info_and_what_to_check_as_a_warning(read, caplog):
    caplog.set_level("INFO")
    read(GTF)
    assert [record.levelname for record in caplog.records] == ["INFO"]
    caplog.clear()
    read(BED6, "genes.bed")
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING"]
    assert caplog.records[1].getMessage().endswith("genes.bed: 1 genes of unknown strand (read along the genome).")


SIZES = {"chr1": 10_000, "chr2": 9_000, "chr3": 1_000, "chrX": 5_000}


def test_genome_in_every_form(read, tmp_path, caplog):
    caplog.set_level("INFO")
    path = tmp_path / "chrom.sizes"
    path.write_text("".join(f"{name}\t{size}\n" for name, size in SIZES.items()))
    series = pd.Series(SIZES)
    for genome in (
        SIZES,
        path,
        str(path),
        series,
        series.to_frame(),
        series.rename_axis("chrom").reset_index(name="n"),
    ):
        caplog.clear()
        assert read(GTF, genome=genome).attrs["read_annotation"]["counts"]["not_in_genome"] == 1
        assert "1 rows on chromosomes that genome does not list" in caplog.text
    assert read(GTF, genome="hg38").attrs["read_annotation"]["counts"]["not_in_genome"] == 0


def test_another_assembly_is_refused(read):
    with pytest.raises(
        ValueError,
        match=r"2 of 5 rows .*'ENSG00000000002' \(BBB\).* chr2:9,000, .* 8,999 bp in genome\. The assemblies",
    ):
        read(GTF, genome=SIZES | {"chr2": 8_999, "chr3": 899})


@pytest.mark.parametrize(
    ("genome", "message"),
    [
        ({"1": 10_000}, r"\(genes: chr1, chr2.*genome: 1\).*str\.removeprefix\('chr'\)"),
        ({"I": 10_000}, r"\(genes: chr1, chr2.*genome: I\)"),
        ({}, "genome: .*found nothing"),
        ({"chr1": "long"}, r"found \('chr1', 'long'\)"),
        ({"chr1": -5}, "whole numbers"),
        ("hg77", r"no file hg77, .*hg19"),
    ],
)
def test_genomes_that_do_not_fit_are_refused(read, genome, message):
    with pytest.raises(ValueError, match=message):
        read(GTF, genome=genome)


def test_the_error_for_names_without_chr_says_how_to_add_it(read):
    with pytest.raises(ValueError, match=r"Set genes\['chrom'\] = 'chr' \+ genes\['chrom'\]"):
        read(ENSEMBL_GFF3, "a.gff3", genome=SIZES)
    genes = read(ENSEMBL_GFF3, "a.gff3")
    genes["chrom"] = "chr" + genes["chrom"]
    assert len(sct.io.read_annotation(genes, genome=SIZES)) == 2


def test_a_file_of_chromosome_sizes_with_a_header_is_refused(read, tmp_path):
    (tmp_path / "sizes.tsv").write_text("chrom\tsize\nchr1\t5\n")
    with pytest.raises(ValueError, match=r"sizes\.tsv: .*\('chrom', 'size'\)"):
        read(GTF, genome=tmp_path / "sizes.tsv")


def swapped(text: str, strand: str = "") -> str:
    """Exchange start and end, of one strand or of all rows."""
    rows = [line.split("\t") for line in text.splitlines()]
    return "\n".join(
        "\t".join([*row[:3], row[4], row[3], *row[5:]] if len(row) > 8 and strand in row[6] else row) for row in rows
    )


def with_line(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new, 1)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.gtf", "", "no row at all"),
        ("a.gtf", "#!genome-build GRCh38\n", "no row at all"),
        (
            "a.gtf",
            GTF.splitlines()[3].replace("exon", "Selenocysteine"),
            "only Selenocysteine.*gffread.*AGAT",
        ),
        ("a.gtf", AUGUSTUS.replace("g1", "g 1").replace("g2", "g 2"), r"gene_id \(GTF\).*gffread"),
        ("a.gtf", GTF.replace("\t", " "), "line 2 has 1 columns"),
        ("a.gtf", with_line(GTF, "\t.\tgene_id", "\tgene_id"), "line 2 has 8 columns"),
        ("a.gtf", with_line(GTF, 'gene_id "ENSG00000000004.2"; ', ""), "1 of 6 rows .*gene_id"),
        (
            "a.gtf",
            swapped(GTF),
            "6 of 6 rows .*end before its start.*: ENSG00000000001.7 .chr1:4,999-1,001",
        ),
        (
            "a.gtf",
            swapped(GTF, strand="-"),
            "2 of 6 rows .*end before its start.*: ENSG00000000002.1 .chr2:8,999-2,001",
        ),
        ("a.gtf", with_line(GTF, "gene\t1001\t", "gene\tx\t"), "a start that is no whole number from 1"),
        ("a.gtf", with_line(GTF, "gene\t1001\t", "gene\t0\t"), "a start that is no whole number from 1"),
        ("a.gtf", with_line(GTF, "gene\t1001\t", "gene\t\t"), "no start and end"),
        ("a.gtf", with_line(GTF, "gene\t1001\t", "gene\t10.5\t"), "no whole number"),
        ("a.gtf", with_line(GTF, "gene\t1001\t5000\t.\t+", "gene\t1001\t5000\t.\tplus"), "a strand other than"),
        ("a.gtf", with_line(GTF, "chr1\tHAVANA\tgene", "\tHAVANA\tgene"), "no chromosome"),
        ("a.gtf", with_line(GTF, "chr2\tHAVANA\tgene", "1\tHAVANA\tgene"), "1 rows on '1' and 1 on"),
        ("a.gtf", with_line(GTF, "AAA", "\xff").encode("latin-1"), "line 2 is no UTF-8"),
        ("a.gtf", gzip.compress(GTF.encode(), mtime=0)[:-9], "truncated or damaged"),
        ("a.gtf", REFGENE_GTF.replace('gene_id "BBB"; ', ""), "no gene_id or Parent"),
        (
            "a.gff3",
            ENSEMBL_GFF3.replace("ID=gene:ENSG00000000009;", ""),
            r"ID \(GFF3\)",
        ),
        ("a.bed", "", "no rows at all"),
        (
            "a.bed",
            "chr1\t10\t20\tA\n",
            "line 1 has 4 columns; expected BED6",
        ),
        ("a.bed", BED6 + "chr3\t5\t9\n", "line 5 has 3 fields, expected 6"),
        ("a.bed", "chr1\t9\t5\tA\t0\t+\n", "1 of 1 rows .*end before its start"),
        ("a.bed", BED6 + "chr1\t9\t9\tD\t0\t+\nchr1\t7\t7\tE\t0\t+\n", "2 of 5 rows .*end before its start"),
        ("a.txt", "AAA\tchr1\t+\t1000\t2000\tx\n", "first line holds numbers"),
        ("a.bed", BED6.replace("CCC", ""), "1 of 3 rows have no id"),
        ("a.tsv", "chrom\tstart\tend\nchr1\t1\t2\n", "no column strand, id; found chrom"),
        ("a.tsv", "chrom\tid\tstrand\tstart\nchr1\tA\t+\t1\n", r"no column tss \(or start and end\)"),
        ("a.tsv", "chrom\tid\tstrand\ttss\n", "only a header"),
        ("a.tsv", "chrom\tid\tstrand\ttss\nchr1\tA\t+\t\n", "neither tss nor body"),
        ("a.tsv", "chrom\tid\tstrand\ttss\ttss\nchr1\tA\t+\t3\t4\n", "more than one column is called tss"),
        ("a.tsv", "chrom\tid\tstrand\ttss\nchr1\tA\t+\t1e99\n", "no whole number from 0"),
        ("a.csv", 'chrom,id,strand,tss\nchr1,"A,+,4\nchr1,B,+,5"\n', "line 2 has a quote"),
        ("a.csv", 'chrom,id,strand,tss\nchr1,"A,+,4\n' + "x" * 200_000, "line 2 cannot be read"),
    ],
)
def test_other_content_is_refused_with_the_path(read, tmp_path, name, text, message):
    with pytest.raises(ValueError, match=message) as error:
        read(text, name)
    assert str(tmp_path / name) in str(error.value)


def test_an_unknown_rule_is_refused(read):
    with pytest.raises(ValueError, match="'first'; choose one of canonical, most_upstream, all"):
        read(GTF, tss="first")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.gtf"):
        sct.io.read_annotation(tmp_path / "none.gtf")


def test_limits_on_what_is_unpacked(read, monkeypatch):
    monkeypatch.setattr("simplechrome_tk.io._text._LONGEST_LINE", 1_000)
    with pytest.raises(ValueError, match="a line is longer than"):
        read(gzip.compress(b"x" * 100_000))


@pytest.mark.parametrize(("name", "text", "n"), [("a.bed.gz", BED6, 3), ("a.gtf.gz", GTF, 5)])
def test_what_unpacks_to_more_than_the_limit_is_refused_until_it_is_raised(read, name, text, n):
    content = gzip.compress(("#" * 2_000 + "\n" + text).encode())
    with pytest.raises(ValueError, match=r"more than 1,000 bytes once unpacked.*raise max_bytes"):
        read(content, name, max_bytes=1_000)
    assert len(read(content, name, max_bytes=10_000)) == n


garbage = st.one_of(
    st.binary(max_size=300),
    st.binary(max_size=100).map(gzip.compress),
    st.text('\t\n\r\x00",;#=. +-019aé', max_size=200).map(str.encode),
    st.lists(
        st.lists(st.sampled_from(["chr1", "gene", "1", "9", "+", "-", ".", "", 'gene_id "a";', "ID=a", "nan"])).map(
            "\t".join
        )
    ).map(lambda rows: "\n".join(rows).encode()),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=garbage, name=st.sampled_from(["a.gtf", "a.gff3", "a.bed", "a.tsv", "a.bed.gz"]))
def test_garbage_is_refused_with_the_path_or_read(tmp_path, content, name):
    path = tmp_path / name
    path.write_bytes(content)
    try:
        genes = sct.io.read_annotation(path)
    except ValueError as error:
        assert str(path) in str(error)  # noqa: PT017
    else:
        assert len(genes)
        assert genes.index.is_unique
        assert genes["tss"].notna().all()


def test_real_gene_bounds(public_file, caplog):
    path = public_file("abc/CollapsedGeneBounds.hg19.bed")
    genes = sct.io.read_annotation(path, genome=public_file("abc/chrom_sizes.tsv"))
    bounds = pd.read_csv(path, sep="\t").drop_duplicates("Ensembl_ID", keep=False).set_index("Ensembl_ID")
    pd.testing.assert_frame_equal(
        genes.loc[bounds.index, ["start", "end", "strand", "gene_type"]],
        bounds[["start", "end", "strand", "gene_type"]],
        check_names=False,
        check_dtype=False,
        check_index_type=False,
    )
    assert (genes.loc[bounds.index, "tss"] == np.where(bounds["strand"] == "-", bounds["end"], bounds["start"])).all()
    assert genes.index.is_unique
    coding = sct.io.read_annotation(path, gene_types=["protein_coding"])
    assert 18_000 < len(coding) < len(genes)
    with pytest.raises(ValueError, match="lie beyond the end"):
        sct.io.read_annotation(path, genome="mm10")


def gff(*rows: tuple[str, str, int, int, str, str]) -> str:
    """Rows of chromosome, feature, start (from 1), end, strand and attributes."""
    return "".join(f"{c}\tx\t{f}\t{s}\t{e}\t.\t{st}\t.\t{notes}\n" for c, f, s, e, st, notes in rows)


def test_whole_number_ids_are_ids_and_ranges_count_rows(caplog):
    table = pd.DataFrame({"chrom": "chr1", "start": [10, 50], "end": [20, 90], "strand": "+"}, index=[653635, 79501])
    for named in (
        table,
        table.rename_axis("GeneID"),
        table.set_axis([653635.0, 79501.0]),
        table.reset_index(names="entrez"),
    ):
        assert list(sct.io.read_annotation(named).index) == ["653635", "79501"]
    with_name = table.assign(name=["A", "B"])
    assert list(sct.io.read_annotation(with_name.rename_axis("entrez_id")).index) == ["653635", "79501"]
    # A filter leaves whole numbers of a range; the ids are in their column then.
    assert list(sct.io.read_annotation(with_name.reset_index(drop=True).iloc[[1]]).index) == ["B"]
    with pytest.raises(ValueError, match=r"no column id; found chrom, start, end, strand\."):
        sct.io.read_annotation(table.reset_index(drop=True))
    with pytest.raises(ValueError, match="its index has 2 levels"):
        sct.io.read_annotation(table.set_index("chrom", append=True))


@pytest.mark.parametrize("copy", ["ENSGR0000182378.8", "ENSG00000182378.8_PAR_Y", "ENSG00000182378.8"])
@pytest.mark.parametrize("order", [1, -1])
def test_a_pseudoautosomal_copy_is_left_out_however_it_is_named(read, caplog, copy, order):
    caplog.set_level("INFO")
    rows = [
        ("chrX", "gene", 192_990, 220_023, "+", 'gene_id "ENSG00000182378.8"; gene_name "PLCXD1";'),
        ("chrY", "gene", 142_990, 170_023, "+", f'gene_id "{copy}"; gene_name "PLCXD1";'),
    ]
    genes = read(gff(*rows[::order]))
    assert genes["chrom"].to_dict() == {"ENSG00000182378": "chrX"}
    assert "1 pseudoautosomal copies on chrY left out: ENSG00000182378 (chrY:142,989-170,023)" in caplog.text


@pytest.mark.parametrize(
    ("alternate", "primary"),
    [
        ("chr6_GL000250v2_alt", "chr6"),
        ("chr6_cox_hap2", "chr6"),
        ("chr6_KI270758v1_fix", "chr6"),
        ("chrUn_KI270302v1", "chrX"),
        ("chr1_KI270706v1_random", "chr1"),
        ("CHR_HSCHR6_MHC_COX_CTG1", "6"),
        ("HG1007_PATCH", "MT"),
        ("NT_113891.3", "NC_000006.12"),
        ("GL000250.2", "CM000668.2"),
        ("GL000250.2", "scaffold_7"),
        ("scaffold_7", "2L"),
        ("chr6_GL000250v2_alt", "chrY"),
    ],
)
@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("feature", ["gene", "transcript"])
def test_the_primary_chromosome_wins_whatever_the_order(read, alternate, primary, order, feature):
    rows = [
        (alternate, feature, 1_000, 9_000, "+", 'gene_id "HLA-X"; transcript_id "T1";'),
        (primary, feature, 29_001, 39_000, "-", 'gene_id "HLA-X"; transcript_id "T2";'),
    ]
    genes = read(gff(*rows[::order]))
    assert genes[["chrom", "tss"]].to_numpy().tolist() == [[primary, 39_000]]
    left_out = genes.attrs["read_annotation"]["left_out"]
    assert left_out["alternate_copies"] + left_out["further_loci"] == [f"HLA-X ({alternate}:999-9,000)"]


def test_transcripts_are_put_together_from_exons(read, caplog):
    caplog.set_level("INFO")
    names = 'gene_id "{0}"; gene_name "{0}"; transcript_id "{1}"; tss_id "TSS1";'
    rows = [
        ("chr1", "exon", 12_001, 14_000, "+", names.format("AAA1", "NM_1")),
        ("chr1", "exon", 10_001, 10_200, "+", names.format("AAA1", "NM_1")),
        ("chr1", "exon", 9_001, 10_200, "+", names.format("AAA1", "NM_9")),
        ("chr1", "CDS", 30_001, 30_500, "-", names.format("BBB2", "NM_2")),
        ("chr1", "exon", 33_001, 35_000, "-", names.format("BBB2", "NM_2")),
        ("chr1", "CDS", 50_001, 50_500, "-", names.format("CCC3", "NM_3")),
        ("chr1", "exon", 9_000_001, 9_000_200, "+", names.format("AAA1", "NM_1")),
    ]
    genes = read(gff(*rows))
    assert genes[["start", "end", "strand", "tss", "transcript"]].to_numpy().tolist() == [
        [9_000, 14_000, "+", 10_000, "NM_1"],
        [30_000, 35_000, "-", 35_000, "NM_2"],
        [50_000, 50_500, "-", 50_500, "NM_3"],
    ]
    assert list(genes.index) == ["AAA1", "BBB2", "CCC3"]
    assert "5 transcripts put together from their exons" in caplog.text
    assert "1 transcripts put together from coding sequence alone" in caplog.text
    assert genes.attrs["read_annotation"]["left_out"]["further_loci"] == ["AAA1 (chr1:9,000,000-9,000,200)"]


def test_exons_of_gff3_may_belong_to_several_transcripts(read):
    rows = [("c", "exon", 11, 20, "+", "Parent=T1,T2"), ("c", "exon", 31, 40, "+", "Parent=transcript:T1")]
    genes = read(gff(*rows), "a.gff3")
    assert genes[["start", "end"]].to_numpy().tolist() == [[10, 40], [10, 20]]
    assert list(genes.index) == ["T1", "T2"]


def test_bare_ids_of_augustus(read):
    genes = read(AUGUSTUS)
    assert genes[["start", "end", "strand", "tss", "transcript"]].to_numpy().tolist() == [
        [2_000, 6_000, "+", 2_300, "g1.t1"],
        [9_000, 12_000, "-", 12_000, "g2.t1"],
    ]
    assert list(genes.index) == ["g1", "g2"]


def test_gff3_without_gene_rows_takes_genes_from_parent(read):
    rows = [
        ("Chr1", "mRNA", 3_631, 5_899, "+", "ID=GENEA.1;Parent=GENEA;Name=GENEA.1"),
        ("Chr1", "mRNA", 3_801, 5_899, "+", "ID=GENEA.2;Parent=GENEA;Name=GENEA.2"),
        ("Chr1", "mRNA", 8_000, 9_000, "-", "ID=GENEB.1;Parent=GENEB;Name=GENEB.1"),
        ("I", "transcript", 335, 649, "+", "ID=YAL9W;Parent=YAL9W;geneID=YAL9W;gene_name=YAL9W"),
    ]
    genes = read(gff(*rows), "a.gff3")
    assert genes[["start", "end", "tss"]].to_numpy().tolist() == [
        [3_630, 5_899, 3_630],
        [7_999, 9_000, 9_000],
        [334, 649, 334],
    ]
    assert list(genes.index) == list(genes["symbol"]) == ["GENEA", "GENEB", "YAL9W"]


REFGENE = (
    "585\tNM_1\tchr1\t+\t10000\t14000\t10100\t13900\t2\t10000,12000,\t10200,14000,\t0\tAAA1\tcmpl\tcmpl\t0,0,\n"
    "586\tNM_2\tchr1\t-\t30000\t35000\t30100\t34900\t1\t30000,\t35000,\t0\tBBB2\tcmpl\tcmpl\t0,\n"
)


def columns_of(text: str, *order: int) -> str:
    return "".join("\t".join(line.split("\t")[i] for i in order) + "\n" for line in text.splitlines())


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        (REFGENE, ["AAA1", "BBB2"]),
        (columns_of(REFGENE, *range(1, 16)), ["AAA1", "BBB2"]),
        (columns_of(REFGENE, 12, *range(1, 11)), ["AAA1", "BBB2"]),
        (columns_of(REFGENE, *range(1, 11)), ["NM_1", "NM_2"]),
        (columns_of(REFGENE, *range(11)), ["NM_1", "NM_2"]),
        (columns_of(REFGENE, *range(1, 11), 1, 1), ["NM_1", "NM_2"]),
    ],
    ids=["refGene", "genePredExt", "refFlat", "genePred", "bin and genePred", "knownGene"],
)
def test_tables_of_ucsc_without_a_header(read, caplog, text, ids):
    genes = read(gzip.compress(text.encode()), "refGene.txt.gz")
    assert list(genes.index) == ids
    assert genes[["chrom", "start", "end", "strand", "tss", "transcript"]].to_numpy().tolist() == [
        ["chr1", 10_000, 14_000, "+", 10_000, "NM_1"],
        ["chr1", 30_000, 35_000, "-", 35_000, "NM_2"],
    ]
    assert ("2 genes have the id of a transcript" in caplog.text) == (ids == ["NM_1", "NM_2"])


@pytest.mark.parametrize("name", ["genes.bed", "genes.txt"])
def test_a_bed_file_may_begin_with_scientific_notation(read, name):
    genes = read("chr1\t1e+05\t2E5\tG1\t0\t+\nchr1\t300000\t310000\tG2\t0\t-\n", name)
    assert genes[["start", "end", "tss"]].to_numpy().tolist() == [
        [100_000, 200_000, 100_000],
        [300_000, 310_000, 310_000],
    ]


def test_control_characters_do_not_survive(read, caplog):
    rows = [
        ("chr1", "gene", 1_001, 5_000, "+", "ID=g1;Name=X%0Aimport os"),
        ("chr1", "gene", 7_001, 9_000, "+", "ID=g2;Name=Y%E2%80%A8"),
        ("chr1", "gene", 9_001, 9_900, "+", "ID=g3;Name=Z"),
    ]
    genes = read(gff(*rows), "a.gff3")
    assert list(genes["symbol"]) == ["X import os", "Y", "Z"]
    assert "2 rows with line breaks or invisible characters" in caplog.text
    table = genes.assign(symbol=["a\tb", "c\x1b", "d"]).set_axis(["i\n1", "i2", "i3"])
    again = sct.io.read_annotation(table)
    assert list(again["symbol"]) == ["a b", "c", "d"]
    assert list(again.index) == list(again["gene_id"]) == ["i 1", "i2", "i3"]


CIRCULAR = ("chrM", "gene", 16_500, 120, "+", 'gene_id "MTX";')


@pytest.mark.parametrize(
    ("odd", "reason", "named"),
    [
        (CIRCULAR, "backwards", "MTX (chrM:16,499-120)"),
        (("NC_000913.3", *CIRCULAR[1:]), "backwards", "MTX (NC_000913.3:16,499-120)"),
        (("chrM", "gene", 16_500, 16_700, "-", 'gene_id "MTX";'), "beyond_end", "MTX (chrM:16,499-16,700)"),
        (("chr1", "gene", 9_000, 10_001, "+", 'gene_id "ODD";'), "beyond_end", "ODD (chr1:8,999-10,001)"),
        (("chr1", "gene", 70_000, 80_000, "+", 'gene_id "ODD";'), "beyond_end", "ODD (chr1:69,999-80,000)"),
    ],
)
def test_one_odd_gene_is_left_out_counted_and_named(read, caplog, odd, reason, named):
    rows = [odd, (*odd[:1], "transcript", *odd[2:]), ("chr1", "gene", 1_001, 5_000, "+", 'gene_id "A";')]
    genes = read(gff(*rows), genome={"chr1": 10_000, "chrM": 16_569, "NC_000913.3": 4_641_652})
    assert list(genes.index) == ["A"]
    record = genes.attrs["read_annotation"]
    assert record["left_out"][reason] == [named]
    assert (record["counts"][reason], record["counts"]["genes"]) == (1, 1)
    assert named in caplog.text


def test_many_genes_beyond_the_end_belong_to_another_assembly(read):
    rows = [("chr1", "gene", 1_001 + 100 * i, 1_050 + 100 * i, "+", f'gene_id "g{i}";') for i in range(300)]
    assert len(read(gff(*rows), genome={"chr1": 30_910})) == 299
    with pytest.raises(ValueError, match="2 of 300 rows"):
        read(gff(*rows), genome={"chr1": 30_800})
    with pytest.raises(ValueError, match="left out: MTX"):
        read(gff(CIRCULAR))


def test_real_genes_of_another_assembly_are_refused(public_file):
    path = public_file("abc/CollapsedGeneBounds.hg19.bed")
    with pytest.raises(ValueError, match=r"in genome \(as in GRCh38, hg38\)"):
        sct.io.read_annotation(path, genome="hg38")


def test_what_a_spreadsheet_has_changed_is_counted(caplog):
    table = pd.DataFrame({"chrom": "chr1", "start": [10, 50, 70], "end": [20, 60, 90], "strand": "+"})
    sct.io.read_annotation(table.set_axis(["1-Mar", "apr-1", "B"]))
    assert "1 ids or symbols that a spreadsheet has changed (1-Mar)" in caplog.text
    genes = sct.io.read_annotation(table.assign(symbol=["A", "2-Sep", "B"]).set_axis(["1-Mar", "x", "y"]))
    assert "2 ids or symbols that a spreadsheet has changed (1-Mar, 2-Sep)" in caplog.text
    assert genes.attrs["read_annotation"]["counts"]["spreadsheet_damage"] == 2


def test_other_types_of_argument_are_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match="annotation is a list"):
        sct.io.read_annotation(["a.gtf", "b.gtf"])
    with pytest.raises(ValueError, match="this is a folder"):
        sct.io.read_annotation(tmp_path)


def test_lengths_at_the_head_of_gff3_are_compared(read):
    text = "##gff-version 3\n##sequence-region 1 1 248956422\n##sequence-region Y 2781480 56887902\n" + gff(
        ("1", "gene", 1_001, 5_000, "+", "ID=g1"), ("Y", "gene", 2_800_001, 2_805_000, "+", "ID=g2")
    )
    genes = read(text, "a.gff3", genome={"1": 248_956_422, "Y": 57_227_415})
    assert list(genes.index) == ["g1", "g2"]
    with pytest.raises(ValueError, match=r"1 has 249,250,621 bp in genome .* and 248,956,422 bp in .*a\.gff3"):
        read(text, "a.gff3", genome={"1": 249_250_621, "Y": 57_227_415})
