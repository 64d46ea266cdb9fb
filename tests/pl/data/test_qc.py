from __future__ import annotations

import anndata as ad
import numpy as np
import pytest
from matplotlib.colors import to_hex

from simplechrome_tk import datasets, pl, pp
from simplechrome_tk.datasets._roadmap import CORE_MARKS
from simplechrome_tk.pl.data._qc import _ODD, _PLAIN, _ticks

MARKS = list(CORE_MARKS)


def simulated(**kwargs) -> ad.AnnData:
    adata = datasets.simulate(300, **kwargs)
    pp.qc(adata)
    return adata


def swapped() -> ad.AnnData:
    """H3K4me3 and H3K9me3 exchanged, and nothing of H3K27me3."""
    adata = datasets.simulate(300)
    at = {mark: np.flatnonzero((adata.var["mark"] == mark).to_numpy()) for mark in MARKS}
    first, second = at["H3K4me3"], at["H3K9me3"]
    adata.X[:, first], adata.X[:, second] = adata.X[:, second].copy(), adata.X[:, first].copy()
    adata.X[:, at["H3K27me3"]] = 0
    pp.qc(adata)
    return adata


def dots(ax) -> dict[str, tuple[float, str]]:
    """Value and colour of each mark's dot."""
    found = {}
    for line in ax.lines:
        if line.get_marker() == "o":
            found[MARKS[round(line.get_ydata()[0])]] = (line.get_xdata()[0], to_hex(line.get_color()))
    return found


def words(axes) -> list[str]:
    """Lines written under the panels."""
    figure = axes[0].get_figure(root=True)
    return [text.get_text() for text in figure.subfigs[-1].texts]


def key(axes) -> list[str]:
    figure = axes[0].get_figure(root=True)
    return [text.get_text() for text in figure.subfigs[0].legends[0].get_texts()]


def test_every_figure_of_the_table_is_drawn():
    adata = simulated()
    marks = adata.uns["qc"]["marks"].set_index("mark")
    axes = pl.qc(adata)
    assert axes.shape == (11,)
    assert axes[6].get_figure().get_supylabel() == "mean simulated reads per bin"
    assert [ax.get_title(loc="left") for ax in axes] == [
        "coverage",
        "zeros",
        "dynamic range",
        "enrichment at the TSS",
        "enrichment downstream",
        "rank correlation over genes",
        *MARKS,
    ]
    for ax, column in zip(axes, ["coverage", "zeros", "dynamic_range", "tss", "downstream"], strict=False):
        assert dots(ax) == {mark: (marks.loc[mark, column], _PLAIN.lower()) for mark in MARKS}
        low, high = ax.get_xlim()
        assert low < marks[column].min()
        assert marks[column].max() < high
        assert ax.get_ylim() == (4.5, -0.5)
    assert [tick.get_text() for tick in axes[0].get_yticklabels()] == MARKS
    bars = [line for line in axes[3].lines if line.get_marker() == "None" and len(set(line.get_ydata())) == 1]
    np.testing.assert_allclose([bar.get_xdata() for bar in bars], marks[["tss_low", "tss_high"]])
    assert words(axes) == ["No findings"]
    assert key(axes) == ["expected of this mark", "with a finding", "+ strand", "− strand"]


def test_expected_ranges_are_shaded():
    axes = pl.qc(simulated())
    for ax, of_k36 in ((axes[3], (None, 1.0)), (axes[4], (1.12, None))):
        shades = [collection.get_paths()[0].get_extents() for collection in ax.collections]
        assert len(shades) == 5
        shade, limits = shades[MARKS.index("H3K36me3")], ax.get_xlim()
        assert (shade.x0, shade.x1) == pytest.approx([limits[i] if of_k36[i] is None else of_k36[i] for i in (0, 1)])
        assert shade.y0 < MARKS.index("H3K36me3") < shade.y1
    assert not axes[0].collections


def test_correlations_are_symmetric_and_written():
    adata = simulated()
    heat = pl.qc(adata)[5]
    matrix = heat.images[0].get_array()
    table = adata.uns["qc"]["correlations"].set_index(["mark", "other"])["spearman"]
    for (first, second), value in table.items():
        i, j = MARKS.index(first), MARKS.index(second)
        assert matrix[i, j] == matrix[j, i] == value
    assert np.ma.getmaskarray(np.ma.masked_invalid(matrix)).sum() == 5
    assert sorted(text.get_text() for text in heat.texts) == sorted(2 * [f"{value:.2f}" for value in table])


def test_profiles_are_drawn_by_strand():
    adata = simulated()
    profiles = adata.uns["qc"]["profiles"]
    axes = pl.qc(adata)
    for mark, ax in zip(MARKS, axes[6:], strict=True):
        for strand, style in (("+", "-"), ("-", "--")):
            part = profiles[(profiles["mark"] == mark) & (profiles["strand"] == strand)]
            (line,) = [line for line in ax.lines if line.get_linestyle() == style]
            np.testing.assert_array_equal(line.get_xdata(), part["position"] / 1_000)
            np.testing.assert_array_equal(line.get_ydata(), part["mean"])


def test_findings_stand_out_and_are_written():
    adata = swapped()
    axes = pl.qc(adata)
    odd = {"H3K4me3", "H3K9me3", "H3K27me3"}
    for ax in axes[:2]:
        assert {mark for mark, (_, color) in dots(ax).items() if color == _ODD.lower()} == odd
    assert {ax.get_title(loc="left") for ax in axes[6:] if to_hex(ax._left_title.get_color()) == _ODD.lower()} == odd
    lines = words(axes)
    assert lines[0] == "2 findings"
    written = " ".join(line.strip() for line in lines[1:])
    for sentence in adata.uns["qc"]["findings"]:
        assert sentence in written
    assert all(len(line) <= 190 for line in lines)


def test_many_findings_are_cut_and_counted():
    adata = simulated()
    adata.uns["qc"]["findings"] = [f"finding {i}" for i in range(20)]
    lines = words(pl.qc(adata))
    assert lines[0] == "20 findings"
    assert lines[12:] == ["•  finding 11", "•  8 more in adata.uns['qc']['findings']"]


def test_what_was_left_out_and_the_blacklist_are_written():
    adata = datasets.simulate(300)
    adata.uns["roadmap"] = {"counts": {"duplicate_ids": 7, "unannotated": 1_312}}
    table = adata.obs[["chrom", "start", "end"]].iloc[:2].astype({"start": int, "end": int})
    pp.qc(adata, blacklist=table)
    record = adata.uns["qc"]["blacklist"]
    assert words(pl.qc(adata)) == [
        "No findings",
        "Left out on reading: 7 rows that repeat an id (the first is kept); 1,312 strand or body unknown, and the "
        "windows need them.",
        f"Blacklist (the blacklist table, 2 regions): touches the windows of {record['n_genes']} genes, half or more "
        f"of them for {record['n_genes_half']}.",
    ]


def test_cell_types_are_told_apart():
    parts = [datasets.simulate(300, rng=seed) for seed in (0, 1)]
    for cell, part in zip("AB", parts, strict=True):
        part.obs["cell_type"] = cell
        part.obs_names = [f"{name}:{cell}" for name in part.obs_names]
    parts[1].X[:, (parts[1].var["mark"] == "H3K9me3").to_numpy()] = 0
    adata = ad.concat(parts, merge="same", uns_merge="same")
    pp.qc(adata)
    axes = pl.qc(adata)
    assert key(axes) == ["expected of this mark", "with a finding", "A", "B", "+ strand", "− strand"]
    markers = [line for line in axes[0].lines if line.get_marker() == "o"]
    assert len(markers) == 10
    assert len({to_hex(line.get_color()) for line in markers}) == 2
    assert [line.get_xdata()[0] for line in markers if line.get_markeredgewidth() > 0] == [0]
    assert len([line for line in axes[6].lines if len(line.get_xdata()) == 100]) == 4
    assert words(axes)[1].startswith("•  B: H3K9me3 looks dead")


def test_one_mark_without_a_window_on_the_tss():
    adata = datasets.simulate(300, marks=["H3K36me3"], windows=[pp.Window.BODY])
    pp.qc(adata)
    axes = pl.qc(adata)
    assert axes.shape == (6,)
    assert not axes[5].axison
    assert not axes[3].collections
    assert words(axes) == ["No findings; shapes are not judged: no window shows 5 kb around the TSS"]
    assert key(axes) == ["expected of this mark", "with a finding"]


def test_few_genes_are_said_to_be_few():
    adata = datasets.simulate(300)[:50].copy()
    pp.qc(adata)
    assert words(pl.qc(adata)) == ["No findings; 50 genes are too few to judge marks by, 100 are needed"]


def test_nine_marks_of_unknown_strand_after_writing(tmp_path):
    adata = datasets.simulate(300, marks="all")
    adata.obs["strand"] = "."
    pp.qc(adata)
    adata.write_h5ad(tmp_path / "qc.h5ad")
    axes = pl.qc(ad.read_h5ad(tmp_path / "qc.h5ad"))
    assert axes.shape == (15,)
    assert key(axes)[2:] == ["unknown strand"]
    assert words(axes)[0] == "1 finding"


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.7, 2.9, [0.8, 1, 1.2, 1.5, 2]),
        (0.4, 4.2, [0.5, 1, 1.5, 2, 3]),
        (0.4, 40, [1, 3, 10, 30]),
        (0.9, 900, [1, 10, 100]),
    ],
)
def test_ticks_are_few_and_round(low, high, ticks):
    found = _ticks(low, high)
    assert len(found) <= 5
    assert all(low <= tick <= high for tick in found)
    assert 1 in found
    np.testing.assert_allclose(found, ticks)


def test_needs_qc_first():
    with pytest.raises(ValueError, match=r"uns has no 'qc': run sct\.pp\.qc\(adata\) first"):
        pl.qc(datasets.simulate(138))


def test_real_data_are_drawn(e116):
    axes = pl.qc(pp.qc(e116, copy=True))
    assert axes.shape == (11,)
    assert words(axes)[0] == "No findings"


def test_correlations_of_samples_are_drawn_last(tmp_path):
    adata = datasets.simulate_conditions(150, n_replicates=2, n_changed=0, marks=["H3K4me3", "H3K27me3"])
    pp.qc(adata)
    adata.write_h5ad(tmp_path / "qc.h5ad")
    for data in (adata, ad.read_h5ad(tmp_path / "qc.h5ad")):
        axes = pl.qc(data)
        assert axes.shape == (9,)
        heat = axes[-1]
        assert heat.get_title(loc="left") == "correlation of samples"
        assert [label.get_text() for label in heat.get_xticklabels()] == ["A1", "A2", "B1", "B2"]
        pairs = data.uns["qc"]["samples"]
        of_pair = pairs[(pairs["sample"] == "A2") & (pairs["other"] == "B1")]["pearson"]
        image = heat.images[0].get_array()
        assert image[1, 2] == image[2, 1] == pytest.approx(of_pair.mean())
        assert len(heat.texts) == 12


def test_many_samples_are_neither_named_nor_written():
    adata = datasets.simulate_conditions(140, n_replicates=13, n_changed=0, marks=["H3K4me3"])
    pp.qc(adata)
    heat = pl.qc(adata)[-1]
    assert heat.images[0].get_array().shape == (26, 26)
    assert not heat.texts
    assert not len(heat.get_xticks())
