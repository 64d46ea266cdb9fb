from __future__ import annotations

import gzip

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import simplechrome_tk as sct

FEATURE_COUNTS = """\
# Program:featureCounts v2.0.6; Command:"featureCounts" "-a" "genes.gtf"
Geneid\tChr\tStart\tEnd\tStrand\tLength\trep1.bam\trep2.bam
ENSG00000000001.7\tchr1;chr1\t10;30\t20;40\t+;+\t22\t5\t7
ENSG00000000002.1\tchr2\t10\t20\t-\t11\t0\t3
"""
SALMON = "Name\tLength\tEffectiveLength\tTPM\tNumReads\nENSG00000000001.7\t900\t750.5\t3.25\t12.0\nG2\t80\t70\t0\t0\n"
RSEM = (
    "gene_id\ttranscript_id(s)\tlength\teffective_length\texpected_count\tTPM\tFPKM\n"
    "ENSG00000000001\tT1,T2\t900\t750\t12.00\t3.25\t2.5\n"
)
STRINGTIE = (
    "Gene ID\tGene Name\tReference\tStrand\tStart\tEnd\tCoverage\tFPKM\tTPM\n"
    "ENSG00000000001\tAAA\tchr1\t+\t10\t90\t4.5\t2.5\t3.25\n"
)
HTSEQ = "ENSG00000000001.7\t5\nENSG00000000002\t0\n__no_feature\t900\n__ambiguous\t3\n"
STAR = (
    "N_unmapped\t9\t9\t9\nN_multimapping\t8\t8\t8\nN_noFeature\t7\t7\t7\nN_ambiguous\t6\t6\t6\n"
    "ENSG00000000001\t5\t2\t3\nENSG00000000002\t0\t0\t0\n"
)
GCT = (
    "#1.2\n3\t2\nName\tDescription\tS1\tS2\n"
    "ENSG00000000001.5\tAAA1\t0.5\t4\nENSG00000000002.9\tBBB2\t12.5\t0\nENSG00000000003.1\tCCC3\t0\t7\n"
)
GCT_NUMBERED = "#1.2\n1\t1\nid\tName\tDescription\tWhole Blood\n0\tENSG00000000001.5\t77\t3.5\n"
GCT_1_3 = (
    "#1.3\n1\t2\t2\t1\nid\tentrez\tlength\tS1\tS2\ntissue\tna\tna\tliver\tlung\nENSG00000000001\t77\t900\t1.5\t3.5\n"
)
MATRIX = "gene_id\tE000\tE003\tE116\t\nENSG00000000001\t1.5\t2\t3\t\nENSG00000000002\t0.5\t0\t4\t\n"  # Roadmap's


@pytest.fixture
def read(tmp_path):
    def write_and_read(text: str | bytes, name: str = "expression.tsv", **kwargs) -> pd.Series:
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return sct.io.read_expression(path, **kwargs)

    return write_and_read


@pytest.mark.parametrize(
    ("text", "kwargs", "first", "name", "unit"),
    [
        (FEATURE_COUNTS, {"column": "rep2.bam"}, 7, "rep2.bam", "counts"),
        (SALMON, {}, 3.25, "TPM", "tpm"),
        (SALMON, {"unit": "counts"}, 12, "NumReads", "counts"),
        (SALMON, {"column": "NumReads"}, 12, "NumReads", "counts"),
        (RSEM, {}, 3.25, "TPM", "tpm"),
        (RSEM, {"unit": "rpkm"}, 2.5, "FPKM", "rpkm"),
        (RSEM, {"unit": "counts"}, 12, "expected_count", "counts"),
        (STRINGTIE, {}, 3.25, "TPM", "tpm"),
        (HTSEQ, {}, 5, "1", "counts"),
        (STAR, {"column": "3"}, 3, "3", "counts"),
        (STAR, {"column": 3}, 3, "3", "counts"),
        (GCT, {"column": "S2"}, 4, "S2", "unknown"),
        (GCT_NUMBERED, {}, 3.5, "Whole Blood", "unknown"),
        (GCT_1_3, {"column": "S2"}, 3.5, "S2", "unknown"),
        (MATRIX, {"column": "E003"}, 2, "E003", "unknown"),
        (MATRIX, {"column": "E003", "unit": "rpkm"}, 2, "E003", "rpkm"),
        (MATRIX.replace("E116\t\n", "E116\n"), {"column": "E003"}, 2, "E003", "unknown"),
        ("gene_id\tx\t\nENSG00000000001\t3.5\t\n", {}, 3.5, "x", "unknown"),
        ("ENSG00000000001\t3.5\n", {}, 3.5, "1", "unknown"),
        ("gene,value\nENSG00000000001,3.5\n", {}, 3.5, "value", "unknown"),
        ("gene;RPKM\nENSG00000000001;3.5\n", {}, 3.5, "RPKM", "rpkm"),
        ('"sample"\n"ENSG00000000001" 3.5\n', {}, 3.5, "sample", "unknown"),  # R's write.table
        ('"","s1","s2"\n"ENSG00000000001",3.5,4\n', {"column": "s2"}, 4, "s2", "unknown"),  # R's write.csv
        ("symbol\tgene_id\tFPKM\nAAA\tENSG00000000001\t3.5\n", {}, 3.5, "FPKM", "rpkm"),
        ("gene_id\t1\t2\nENSG00000000001\t3.5\t4\n", {"column": "2"}, 4, "2", "unknown"),
    ],
)
def test_formats(read, text, kwargs, first, name, unit):
    values = read(text, **kwargs)
    assert values.index[0] == "ENSG00000000001"
    assert values.iloc[0] == first
    assert values.name == name
    assert values.attrs["unit"] == unit
    assert values.dtype == float
    assert values.index.name is None


def test_gzip_byte_order_mark_and_windows_line_ends(read):
    text = b"\xef\xbb\xbf" + SALMON.replace("\n", "\r\n").encode()
    pd.testing.assert_series_equal(read(gzip.compress(text)), read(SALMON))


def test_rows_that_sum_up_reads_outside_genes_are_left_out_and_counted(read, caplog):
    caplog.set_level("INFO")
    values = read(HTSEQ)
    assert list(values.index) == ["ENSG00000000001", "ENSG00000000002"]
    assert "2 genes, column '1', unit counts; 2 rows left out" in caplog.text
    assert read(STAR, column="1").attrs["read_expression"]["counts"]["summary_rows"] == 4


def test_missing_values_are_kept_and_counted(read, caplog):
    caplog.set_level("INFO")
    values = read("id\tx\nA\t1\nB\tNA\nC\t\n")
    assert values.isna().tolist() == [False, True, True]
    assert "2 genes without a value" in caplog.text


@pytest.mark.parametrize(
    ("copy", "alone"),
    [("ENSG00000182378.15_PAR_Y", "ENSG00000000009.1_PAR_Y"), ("ENSGR0000182378.8", "ENSGR0000000009")],
    ids=["_PAR_Y", "ENSGR"],
)
def test_pseudoautosomal_copies_are_added(read, caplog, copy, alone):
    caplog.set_level("INFO")
    values = read(f"id\tcount\nENSG00000182378.15\t2\nB\t7\n{copy}\t1\n{alone}\t4\n")
    assert values.to_dict() == {"ENSG00000182378": 3, "B": 7, "ENSG00000000009": 4}
    assert "1 rows of pseudoautosomal copies" in caplog.text


def test_success_is_logged_at_info_and_what_to_check_as_a_warning(read, caplog):
    caplog.set_level("INFO")
    read(HTSEQ)
    assert [record.levelname for record in caplog.records] == ["INFO"]
    caplog.clear()
    read("id\tTPM\nA\t0\nB\t0\n")
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING"]
    assert caplog.records[1].getMessage().endswith("expression.tsv: all values are 0.")


def test_tables_and_series():
    table = pd.DataFrame({"gene_id": ["ENSG00000000001.3", "B"], "TPM": [1.5, np.nan], "note": ["x", "y"]})
    by_index = table.set_index("gene_id")
    series = by_index["TPM"]
    before = table.copy()
    expected = pd.Series([1.5, np.nan], index=["ENSG00000000001", "B"], name="TPM")
    for source in (table, by_index, series):
        found = sct.io.read_expression(source)
        pd.testing.assert_series_equal(found, expected)
        assert found.attrs["unit"] == "tpm"
        assert found.attrs["read_expression"]["source"] == "the expression table"
    pd.testing.assert_frame_equal(table, before)
    assert sct.io.read_expression(pd.Series([2], index=["A"])).name == "expression"
    numbers = np.random.default_rng(0).gamma(1.0, 30.0, 50)
    exact = sct.io.read_expression(pd.Series(numbers, index=[f"g{i}" for i in range(50)]))
    np.testing.assert_array_equal(exact, numbers)


@pytest.mark.parametrize("unit", ["rpkm", None])
def test_reads_its_own_result_again(read, unit):
    values = read(MATRIX, column="E003", unit=unit)
    again = sct.io.read_expression(values)
    pd.testing.assert_series_equal(again, values)
    assert again.attrs["unit"] == values.attrs["unit"]


def lines(values: list[float]) -> str:
    return "id\tx\n" + "".join(f"g{i}\t{value}\n" for i, value in enumerate(values))


def test_what_looks_like_logarithms_is_refused_unless_the_unit_is_given(read):
    logs = lines(np.random.default_rng(0).uniform(0, 17, 1_200).tolist())
    with pytest.raises(ValueError, match=r"largest of 1200 values in column 'x' is 1[67]\S*, as of logarithms"):
        read(logs)
    assert len(read(logs, unit="rpkm")) == 1_200
    assert len(read(lines([i % 30 for i in range(1_200)]))) == 1_200
    assert len(read(lines([i % 30 + 0.5 for i in range(900)]))) == 900


@pytest.mark.parametrize(
    ("text", "kwargs", "message"),
    [
        ("", {}, "no rows at all"),
        ('""\n', {}, "no rows at all"),
        ("gene_id\tx\n", {}, "only a header"),
        ("A\n", {}, "line 1 .*'A'"),
        ("A 1 x\n", {}, "line 1 is neither"),
        (FEATURE_COUNTS, {}, r"\(rep1.bam, rep2.bam\).* column="),
        (FEATURE_COUNTS, {"unit": "counts"}, "2 columns of values in counts"),
        (FEATURE_COUNTS, {"column": "rep3.bam"}, "'rep3.bam'.* rep1.bam"),
        (FEATURE_COUNTS, {"column": "Geneid"}, "'Geneid'.* rep1.bam, rep2.bam"),
        (FEATURE_COUNTS, {"column": "rep1.bam", "unit": "tpm"}, "counts by its name.* 'tpm'"),
        (FEATURE_COUNTS.replace("rep2", "rep1"), {"column": "rep1.bam"}, "2 columns are called 'rep1.bam'"),
        ("id\tchr\nA\tchr1\n", {}, "no column of values; found id, chr"),
        ("id\tx\nA\t1\t2\n", {}, "neither|line 2 has 3 fields"),
        ("id\tx\nA\t1\nB\t1\t2\n", {}, "line 3 has 3 fields, expected 2"),
        ("id\tx\nA\t1\nB\n", {}, "line 3 has 1 fields, expected 2"),
        ("id\tx\nA\t1\nB\tlow\n", {}, "1 of 2 rows .*no number.*: B low"),
        ("id\tx\nA\t1\nB\tinf\n", {}, "infinite"),
        ("id\tx\nA\t1\nB\t-Infinity\n", {}, "infinite.*: B -Infinity"),
        ("id\tx\nA\t1\nB\t1e999\n", {}, "infinite.*: B 1e999"),
        ("id\tx\nA\t0\nB\t0,3\n", {}, r"'0,3'.*decimal=','.*thousands="),
        ("id;x\nA;12,7\nB;0,3\n", {}, r"found id, x\. .*'12,7'"),
        ('id,count\nA,"1,234"\nB,3\n', {}, "'1,234'"),
        ("id\tx\nA\t1\nB\t1.234,5\n", {}, "'1.234,5'"),
        ("A;12,7\nB;0,3\n", {}, "a semicolon .*decimal=','"),
        ("a\tb\n1.5\t2\n", {}, "number with decimals"),
        ("id\tx\n1-Mar\t1\n1-Mar\t2\n", {}, "'1-Mar' with 1 and 2.*MARCH1 and MARC1"),
        (GCT.replace("3\t2", "4\t2"), {"column": "S2"}, "3 rows of the 4"),
        (GCT.replace("3\t2", "3\t7"), {}, "line 3 names 4 columns, but line 2 announces 7"),
        (GCT.replace("3\t2", "three"), {}, "line 2 holds 'three'"),
        (GCT, {}, r"\(S1, S2\).* column="),
        ("id\tx\nA\t1\nB\t-2\n", {}, r"negative.*: B -2"),
        ("id\tx\nA\t1\n\t2\n", {}, "1 of 2 rows have no id"),
        ("id\tx\nA\tNA\nB\t\n", {}, "none of 2 genes"),
        ("id\tlog2_TPM\nA\t1\n", {}, "'log2_TPM' holds logarithms"),
        ("id\tlogTPM\nA\t1\n", {}, "'logTPM' holds logarithms"),
        ("id\tx\nA\t1\nA\t2\n", {}, "'A' with 1 and 2"),
        ("id\tx\nENSG00000000001.1\t1\nENSG00000000001.2\t2\n", {}, "'ENSG00000000001' with 1 and 2"),
        ("Name\tTPM\nENST00000000001.1\t2\n", {}, "1 of 1 ids are transcripts.*quant.genes.sf.*tximport"),
        ("id\tx\nA\t1\n", {"unit": "cpm"}, "'cpm'; choose one of counts, tpm, rpkm"),
        (gzip.compress(SALMON.encode(), mtime=0)[:-9], {}, "truncated or damaged"),
        (b"id\tx\nA\t\xff\n", {}, "line 2 is no UTF-8"),
    ],
)
def test_what_is_no_expression_is_refused(read, tmp_path, text, kwargs, message):
    with pytest.raises(ValueError, match=message) as error:
        read(text, **kwargs)
    assert str(tmp_path / "expression.tsv") in str(error.value) or "unit is" in str(error.value)


def test_what_unpacks_to_more_than_the_limit_is_refused_until_it_is_raised(read):
    content = gzip.compress(lines(list(range(1_000))).encode())
    with pytest.raises(ValueError, match=r"more than 1,000 bytes once unpacked.*raise max_bytes"):
        read(content, max_bytes=1_000)
    assert len(read(content, max_bytes=100_000)) == 1_000


garbage = st.one_of(
    st.binary(max_size=300),
    st.binary(max_size=100).map(gzip.compress),
    st.text('\t\n\r\x00",;#. +-0129aéE', max_size=200).map(str.encode),
    st.lists(
        st.lists(st.sampled_from(["A", "B", "1", "2.5", "-1", "", "nan", "inf", "gene_id", "TPM", "_PAR_Y"])).map(
            "\t".join
        )
    ).map(lambda rows: "\n".join(rows).encode()),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=garbage)
def test_garbage_is_refused_with_the_path_or_read(tmp_path, content):
    path = tmp_path / "x.tsv"
    path.write_bytes(content)
    try:
        values = sct.io.read_expression(path)
    except ValueError as error:
        assert str(path) in str(error)  # noqa: PT017
    else:
        assert len(values)
        assert values.index.is_unique
        assert (values.dropna() >= 0).all()


def test_real_counts(public_file):
    values = sct.io.read_expression(public_file("deepdiff/Cell1.expr.csv"))
    expected = pd.read_csv(public_file("deepdiff/Cell1.expr.csv"), header=None)
    np.testing.assert_array_equal(values.to_numpy(), expected[1])
    assert list(values.index) == list(expected[0])


@pytest.mark.parametrize("column", [3, "3", np.int64(3)])
def test_a_column_without_name_is_chosen_by_its_number(tmp_path, column):
    (tmp_path / "ReadsPerGene.out.tab").write_text("N_unmapped\t10\t10\t10\nENSG01\t7\t0\t5\nENSG02\t0\t0\t2\n")
    assert sct.io.read_expression(tmp_path / "ReadsPerGene.out.tab", column=column).tolist() == [5, 2]
    table = pd.DataFrame({1: [1.0, 2.0], 3: [5.0, 2.0]}, index=["ENSG01", "ENSG02"])
    assert sct.io.read_expression(table, column=column).tolist() == [5, 2]


def test_whole_number_ids_are_ids_and_ranges_count_rows():
    table = pd.DataFrame({"counts": [12, 0, 700], "TPM": [1.5, 0.0, 88.0]}, index=[653635, 79501, 1])
    expected = {"653635": 1.5, "79501": 0, "1": 88}
    for source in (
        table,
        table.rename_axis("GeneID"),
        table.rename_axis("entrez").assign(symbol=["A", "B", "C"]),
        table.set_axis([653635.0, 79501.0, 1.0]),
        table.reset_index(names="entrez_id"),
        table["TPM"],
        table.reset_index(names="GeneID").astype({"GeneID": float}),
        table.assign(GeneID=table.index).set_axis(["0", "1", "2"]),
        table.assign(gene_id=table.index).reset_index(drop=True).iloc[[0, 2, 1]],
    ):
        assert sct.io.read_expression(source).to_dict() == expected
    with pytest.raises(ValueError, match="its index only counts rows; expected gene ids"):
        sct.io.read_expression(table["TPM"].reset_index(drop=True))
    with pytest.raises(ValueError, match="its index has 2 levels"):
        sct.io.read_expression(table.set_index("counts", append=True)["TPM"])


def test_what_a_spreadsheet_has_changed_is_named(read, caplog):
    changed = ["1-Mar", "2-Sep", "Sep-02", "2022-09-02", "44806", "2.31E+13", "01.09.2022", "2022-09-02 00:00:00"]
    values = read("gene\tFPKM\n" + "".join(f"{name}\t1\n" for name in [*changed, *(f"apr-{i}" for i in range(1, 9))]))
    assert values.attrs["read_expression"]["counts"]["spreadsheet_damage"] == len(changed)
    assert "8 ids that a spreadsheet has changed" in caplog.text
    assert "(1-Mar, 2-Sep, " in caplog.text


def test_whole_number_ids_are_no_days_of_a_spreadsheet(read):
    entrez = read("GeneID\tFPKM\n44806\t1\n44807\t1\n")
    assert entrez.attrs["read_expression"]["counts"]["spreadsheet_damage"] == 0


def test_control_characters_in_ids_are_replaced(caplog):
    values = sct.io.read_expression(pd.Series([1.0, 2.0], index=["A\nB", "C\u200b"]))
    assert values.to_dict() == {"A B": 1, "C": 2}
    assert "2 ids with line breaks" in caplog.text


def test_other_types_of_argument_are_refused_with_what_to_pass():
    for source in (["a.tsv", "b.tsv"], {"A": 1.0}, ad.AnnData(np.ones((1, 2))), np.ones(3)):
        with pytest.raises(ValueError, match=r"expression is an? \w+; expected the path of one file.*\.mean\(axis=1\)"):
            sct.io.read_expression(source)
