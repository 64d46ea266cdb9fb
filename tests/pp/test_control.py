from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import simplechrome_tk as sct

WINDOWS = [
    sct.pp.Window("tss", anchor="tss", upstream=200, downstream=200, n_bins=4),
    sct.pp.Window("body", anchor="body", upstream=0, downstream=0, n_bins=2),
]


def genes(n: int = 3) -> pd.DataFrame:
    start = 10_000 + 5_000 * np.arange(n)
    return pd.DataFrame(
        {"chrom": "chr1", "start": start, "end": start + 1_000, "strand": "+", "tss": start},
        index=[f"g{i}" for i in range(n)],
    )


def steps(seed: int) -> pd.DataFrame:
    start = np.arange(9_000, 30_000, 50)
    signal = np.random.default_rng(seed).gamma(1.0, 4.0, len(start))
    return pd.DataFrame({"chrom": "chr1", "start": start, "end": start + 50, "signal": signal})


@pytest.fixture
def marks():
    return sct.pp.bin_peaks({"H3K4me3": steps(0), "H3K27me3": steps(1)}, genes(), windows=WINDOWS)


@pytest.fixture
def one_control():
    return sct.pp.bin_peaks({"input": steps(2)}, genes(), windows=WINDOWS)


def expected(signal: np.ndarray, control: np.ndarray, method: str, pseudocount: float) -> np.ndarray:
    if method == "subtract":
        return np.clip(signal - control, 0, None)
    return np.clip(np.log2(signal + pseudocount) - np.log2(control + pseudocount), 0, None)


@pytest.mark.parametrize("method", ["log_ratio", "subtract"])
@pytest.mark.parametrize("pseudocount", [1.0, 0.25])
def test_one_control_serves_every_mark_and_region(marks, one_control, method, pseudocount):
    before, control_before = marks.X.copy(), one_control.X.copy()
    after = sct.pp.subtract_control(marks, one_control, method=method, pseudocount=pseudocount, copy=True)
    control = np.concatenate([one_control.X[:, :4]] * 2 + [one_control.X[:, 4:]] * 2, axis=1)
    np.testing.assert_allclose(after.X, expected(before, control, method, pseudocount), rtol=1e-5, atol=1e-6)
    assert after.X.dtype == np.float32
    assert 0.1 < (after.X == 0).mean() < 0.9
    np.testing.assert_array_equal(marks.X, before)
    np.testing.assert_array_equal(one_control.X, control_before)
    assert "subtract_control" not in marks.uns
    assert sct.pp.subtract_control(marks, one_control, method=method, pseudocount=pseudocount) is None
    np.testing.assert_array_equal(marks.X, after.X)


def test_each_mark_may_have_its_own_control_in_any_order(marks):
    own = sct.pp.bin_peaks(
        {"H3K27me3": steps(3), "unused": steps(4), "H3K4me3": steps(5)}, genes(), windows=WINDOWS[::-1]
    )
    after = sct.pp.subtract_control(marks, own, method="subtract", copy=True)
    for mark in ("H3K4me3", "H3K27me3"):
        for region in ("tss", "body"):
            signal, control = (
                data[:, (data.var["mark"] == mark) & (data.var["region"] == region)].X for data in (marks, own)
            )
            found = after[:, (after.var["mark"] == mark) & (after.var["region"] == region)].X
            np.testing.assert_allclose(found, np.clip(signal - control, 0, None), rtol=1e-5, atol=1e-6)


def test_a_scale_for_all_or_for_each(marks, one_control, caplog):
    caplog.set_level("INFO")
    zero = sct.pp.subtract_control(marks, one_control, method="subtract", scale=1e6, copy=True)
    assert not zero.X.any()
    assert "100 % of bins are not above the control, scaled by: H3K4me3 1e+06, H3K27me3 1e+06" in caplog.text
    each = sct.pp.subtract_control(
        marks, one_control, method="subtract", scale={"H3K4me3": 1e6, "H3K27me3": 0.5}, copy=True
    )
    assert not each[:, each.var["mark"] == "H3K4me3"].X.any()
    assert each.uns["subtract_control"]["scale"].tolist() == [1e6, 0.5]
    np.testing.assert_allclose(
        each.X[:, 4:8], np.clip(marks.X[:, 4:8] - 0.5 * one_control.X[:, :4], 0, None), rtol=1e-5
    )


def write_reads(path, n: int, *, every: int):
    path.write_text("".join(f"chr1\t{start}\t{start + 1}\n" for start in range(9_000, 9_000 + n * every, every)))
    return path


def test_reads_are_scaled_by_their_libraries(tmp_path):
    """A control sequenced twice as deep, and otherwise the same, leaves nothing."""
    few, many = write_reads(tmp_path / "a.bed", 2_000, every=10), write_reads(tmp_path / "b.bed", 4_000, every=5)
    marks = sct.pp.bin_reads({"M": few}, genes(), windows=WINDOWS)
    control = sct.pp.bin_reads({"input": many}, genes(), windows=WINDOWS)
    assert (control.X > marks.X).all()
    for method in ("subtract", "log_ratio"):
        after = sct.pp.subtract_control(marks, control, method=method, copy=True)
        assert after.uns["subtract_control"]["scale"].tolist() == [0.5]
        assert not after.X.any()
    assert not sct.pp.subtract_control(marks, control, method="subtract", scale=1.0, copy=True).X.any()
    assert sct.pp.subtract_control(control, marks, method="subtract", scale=1.0, copy=True).X.any()


def test_what_is_left_can_be_normalised_and_stored(marks, one_control, tmp_path):
    sct.pp.subtract_control(marks, one_control)
    marks.obs["split"] = ["train", "valid", "test"]
    sct.pp.normalize(marks)
    marks.write_h5ad(tmp_path / "a.h5ad")
    with pytest.raises(ValueError, match=r"uns\['normalize'\] is there already"):
        sct.pp.subtract_control(marks, one_control)


def test_what_cannot_be_compared_is_refused(marks, one_control):
    def refused(message: str, control=one_control, adata=marks, **kwargs: object) -> None:
        before = adata.X.copy()
        with pytest.raises(ValueError, match=message):
            sct.pp.subtract_control(adata, control, **kwargs)
        np.testing.assert_array_equal(adata.X, before)

    refused("method is 'ratio'; choose one of log_ratio, subtract", method="ratio")
    refused("pseudocount is 0; expected a positive number", pseudocount=0)
    refused("scale of H3K4me3 is -1.0; expected a positive number", scale=-1)
    refused("scale has no number for H3K27me3; found H3K4me3", scale={"H3K4me3": 1.0})
    refused("hold other genes", control=one_control[::-1])
    refused("hold other genes", control=one_control[:2])
    two = sct.pp.bin_peaks({"H3K4me3": steps(0), "input": steps(1)}, genes(), windows=WINDOWS)
    refused("no control for H3K27me3; found H3K4me3, input", control=two)
    narrow = [WINDOWS[0], sct.pp.Window("body", anchor="body", upstream=0, downstream=0, n_bins=3)]
    for windows in (narrow, WINDOWS[:1]):
        control = sct.pp.bin_peaks({"input": steps(2)}, genes(), windows=windows)
        refused("region 'body' has other bins in the control", control=control)
    negative = one_control.copy()
    negative.X[0, 0] = -1
    refused("control holds 1 negative values", control=negative)
    negative.X[0, 0] = np.nan
    refused("control holds 1 missing or infinite values", control=negative)
    refused("adata holds 1 missing", adata=negative, control=one_control)
    done = sct.pp.subtract_control(marks, one_control, copy=True)
    refused(r"uns\['subtract_control'\] is there already", adata=done)
    refused(r"uns\['subtract_control'\] is there already", control=done)


def test_reads_against_marks_that_were_not_counted_need_a_scale(marks, one_control):
    for data, names in ((marks, marks.var["mark"].cat.categories[:1]), (one_control, one_control.var["mark"].unique())):
        data.uns["reads"] = pd.DataFrame({"library": 10}, index=list(names))
    with pytest.raises(ValueError, match=r"sct\.pp\.bin_reads.*scale="):
        sct.pp.subtract_control(marks, one_control)
    sct.pp.subtract_control(marks, one_control, scale=np.float32(0.5))
    assert marks.uns["units"]["signal"] == "log2 ratio to control"


def test_a_control_without_reads_is_refused(tmp_path):
    (tmp_path / "a.bed").write_text("chr1\t10000\t10001\tr\t0\t+\n")
    marks = sct.pp.bin_reads({"M": tmp_path / "a.bed"}, genes(), windows=WINDOWS)
    marks.uns["reads"].loc["M", "library"] = 0
    with pytest.raises(ValueError, match="scale of M is inf; expected a positive number"):
        sct.pp.subtract_control(marks, marks.copy())
