from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import QuadMesh
from sklearn.metrics import average_precision_score, roc_auc_score

from simplechrome_tk import evaluation, get, pl, pp

MARKS = ["H3K4me3", "H3K27me3", "H3K36me3"]
WINDOWS = (
    pp.Window("tss", anchor="tss", upstream=2_000, downstream=2_000, n_bins=8),
    pp.Window("body", anchor="body", upstream=0, downstream=0, n_bins=4),
    pp.Window("tes", anchor="tes", upstream=1_000, downstream=3_000, n_bins=4),
)


@pytest.fixture(autouse=True)
def close_figures():
    mpl.use("Agg")
    yield
    for number in plt.get_fignums():
        plt.figure(number).canvas.draw()  # what only goes wrong while drawing goes wrong here
    plt.close("all")


@pytest.fixture
def adata():
    """30 genes on one chromosome under random peaks."""
    rng = np.random.default_rng(0)
    n = 30
    tss = 20_000 * np.arange(1, n + 1)
    minus = np.arange(n) % 2 == 1
    genes = pd.DataFrame(
        {
            "symbol": ["GAPDH", "ACTB", *(f"GENE{i}" for i in range(2, n - 1)), "GENE2"],
            "chrom": "chr1",
            "start": np.where(minus, tss - 9_000, tss),
            "end": np.where(minus, tss, tss + 9_000),
            "strand": np.where(minus, "-", "+"),
            "tss": tss,
            "expression": [3_882.4, 0.0, *rng.gamma(1, 10, n - 2)],
            "split": np.array(["train", "test", "test"])[np.arange(n) % 3],
        },
        index=[f"g{i}" for i in range(n)],
    )
    start = rng.integers(0, 20_000 * (n + 2), 600)
    peaks = {
        mark: pd.DataFrame({"chrom": "chr1", "start": start, "end": start + 900, "signal": rng.gamma(2, 3, 600)})
        for mark in MARKS
    }
    adata = pp.bin_peaks(peaks, genes, windows=WINDOWS)
    pp.label_expression(adata)
    adata.uns["units"] = {"signal": "fold enrichment", "expression": "TPM"}
    return adata


@pytest.fixture
def predictions(adata):
    """One prediction that knows something, with ties, and one that guesses."""
    rng = np.random.default_rng(1)
    high = (adata.obs["label"] == "high").to_numpy(float)
    good = np.clip(0.3 * high + rng.random(30).round(1) * 0.7, 0, 1)
    frame = {"log_expression": rng.normal(size=30)}
    return {
        "good": pd.DataFrame({"probability": good, **frame}, index=adata.obs_names),
        "guess": pd.DataFrame({"probability": rng.random(30), **frame}, index=adata.obs_names),
    }


def texts(legend):
    return [text.get_text() for text in legend.get_texts()]


def test_mark_profiles_draw_the_means(adata):
    axes = pl.mark_profiles(adata)
    assert axes.shape == (3, 3)
    table = get.mark_profiles(adata)
    for column, (region, scale) in enumerate([("tss", 1e-3), ("body", 100), ("tes", 1e-3)]):
        for row, mark in enumerate(MARKS):
            part = table[(table["region"] == region) & (table["mark"] == mark)]
            lines = {line.get_label(): line for line in axes[row, column].lines if "genes" in line.get_label()}
            assert list(lines) == ["low (15 genes)", "high (15 genes)"]
            for name, line in lines.items():
                expected = part[part["group"] == name.split()[0]]
                np.testing.assert_allclose(line.get_ydata(), expected["mean"])
                np.testing.assert_allclose(line.get_xdata(), expected["position"] * scale)
            bands = axes[row, column].collections
            assert len(bands) == 2
            low = part[part["group"] == "low"]
            drawn = bands[0].get_paths()[0].get_extents()
            assert (drawn.y0, drawn.y1) == pytest.approx((low["low"].min(), low["high"].max()))
    assert [ax.get_xlabel() for ax in axes[-1]] == [
        "distance from TSS (kb), 5′→3′",
        "gene body, TSS to end (%)",
        "distance from gene end (kb), 5′→3′",
    ]
    assert [ax.get_title(loc="left") for ax in axes[:, 0]] == MARKS
    figure = axes[0, 0].figure
    assert figure.get_supylabel() == "mean fold enrichment"
    assert texts(figure.legends[0]) == ["low (15 genes)", "high (15 genes)"]
    assert axes[0, 0].get_ylim()[0] == 0


def test_mark_profiles_of_normalised_values_say_so(adata):
    pp.normalize(adata)
    axes = pl.mark_profiles(adata, groupby="strand", layer=None)
    assert axes[0, 0].figure.get_supylabel() == "mean normalised signal"
    assert axes[0, 0].figure.legends[0].get_title().get_text() == "strand"
    assert min(ax.get_ylim()[0] for ax in axes.flat) < 0


def test_mark_profiles_without_record_of_windows(adata):
    del adata.uns["windows"]
    axes = pl.mark_profiles(adata)
    assert [ax.get_xlabel() for ax in axes[-1]][:2] == ["distance from TSS (kb), 5′→3′", "gene body, TSS to end (%)"]


def test_many_groups_get_a_colour_each(adata):
    adata.obs["cluster"] = [f"c{i % 12}" for i in range(30)]
    axes = pl.mark_profiles(adata, groupby="cluster")
    assert len({line.get_color() for line in axes[0, 1].lines}) == 12


@pytest.mark.parametrize(
    ("plot", "metric", "score", "guessing"),
    [(pl.roc, "AUROC", roc_auc_score, 0.5), (pl.precision_recall, "AUPRC", average_precision_score, None)],
)
def test_curves_name_each_model_and_its_area(adata, predictions, plot, metric, score, guessing):
    inside = (adata.obs["split"] == "test").to_numpy()
    truth = (adata.obs["label"] == "high").to_numpy()[inside]
    guessing = truth.mean() if guessing is None else guessing
    ax = plot(adata, predictions)
    values = {name: score(truth, table["probability"][inside]) for name, table in predictions.items()}
    assert texts(ax.get_legend()) == [
        *(f"{name} ({metric} {value:.3f})" for name, value in values.items()),
        f"guessing ({guessing:.3f})",
    ]
    assert ax.get_title(loc="left") == f"test split: 20 genes, {100 * truth.mean():.0f} % high"
    x, y = ax.lines[0].get_data()
    if plot is pl.roc:
        assert np.trapezoid(y, x) == pytest.approx(values["good"])
    else:
        assert ax.lines[0].get_drawstyle() == "steps-post"
        assert -np.sum(np.diff(x) * y[:-1]) == pytest.approx(values["good"])


def test_curves_of_one_prediction_on_given_axes(adata, predictions):
    figure, axes = plt.subplots(1, 2)
    assert pl.roc(adata, predictions["good"], split="train", ax=axes[0]) is axes[0]
    assert pl.precision_recall(adata, predictions["good"], split="train", ax=axes[1]) is axes[1]
    assert texts(axes[0].get_legend())[0].startswith("AUROC 0.")
    assert figure.axes == list(axes)


@pytest.mark.parametrize("plot", [pl.roc, pl.precision_recall])
def test_curves_bad_input_is_named(adata, predictions, plot):
    with pytest.raises(ValueError, match="no gene is in split 'valid'"):
        plot(adata, predictions, split="valid")
    with pytest.raises(ValueError, match="prediction 'good' has columns expression; expected 'probability'"):
        plot(adata, {"good": predictions["good"][["log_expression"]]})
    with pytest.raises(ValueError, match="predictions is empty"):
        plot(adata, {})
    with pytest.raises(ValueError, match="lacks 20 of the 20 genes"):
        plot(adata, predictions["good"].set_axis(range(30)))
    assert not plt.get_fignums()


def training():
    """Three epochs of a latent phase and four of an expression phase."""
    missing = [np.nan] * 3
    return pd.DataFrame(
        {
            "epoch": range(1, 8),
            "phase": ["latent"] * 3 + ["expression"] * 4,
            "train_loss": [3.0, 2, 1, 0.8, 0.6, 0.5, 0.4],
            "valid_loss": [3.1, 2.1, 1.1, 0.9, 0.7, 0.6, 0.65],
            "reconstruction": [2.5, 1.5, 0.9, *missing, np.nan],
            "kl": [1.0, 4, 6, *missing, np.nan],
            "valid_auroc": [*missing, 0.8, 0.9, 0.95, 0.94],
            "valid_pearson": [*missing, 0.6, 0.7, 0.8, 0.79],
            "best": [False] * 5 + [True, False],
        }
    )


def test_history_draws_a_panel_for_each_phase_and_the_scores():
    table = training()
    axes = pl.history(table)
    assert [ax.get_title(loc="left") for ax in axes] == [
        "latent phase",
        "expression phase",
        "KL divergence",
        "validation scores",
    ]
    lines = [{line.get_label(): line for line in ax.lines} for ax in axes]
    assert list(lines[0]) == ["training loss", "validation loss", "reconstruction (validation)"]
    assert list(lines[1]) == ["training loss", "validation loss", "best epoch: 6"]
    assert list(lines[3]) == ["AUROC", "Pearson", "best epoch: 6"]
    assert lines[1]["validation loss"].get_xdata().tolist() == [4, 5, 6, 7]
    assert lines[1]["validation loss"].get_ydata().tolist() == [0.9, 0.7, 0.6, 0.65]
    assert lines[2]["KL divergence"].get_ydata().tolist() == [1, 4, 6]
    assert lines[3]["AUROC"].get_ydata().tolist() == [0.8, 0.9, 0.95, 0.94]
    assert lines[3]["best epoch: 6"].get_xdata() == [6, 6]
    assert texts(axes[1].get_legend()) == list(lines[1])


@pytest.mark.parametrize(
    ("columns", "panels"),
    [
        (["epoch", "train_loss"], ["loss"]),
        (["epoch", "phase", "train_loss", "valid_auroc"], ["latent phase", "expression phase", "validation scores"]),
        (["epoch", "phase", "kl", "best"], ["KL divergence"]),
    ],
)
def test_history_draws_what_was_recorded(columns, panels):
    axes = pl.history(training()[columns])
    assert [ax.get_title(loc="left") for ax in axes] == panels
    assert axes[0].figure.axes == list(axes)


def test_history_bad_input_is_named():
    with pytest.raises(ValueError, match="columns train_loss; expected 'epoch'"):
        pl.history(training()[["train_loss"]])
    with pytest.raises(ValueError, match="nothing to draw: 7 epochs with columns epoch, loss"):
        pl.history(training()[["epoch"]].assign(loss=1.0))


def meshes(axes):
    return [next(c for c in ax.collections if isinstance(c, QuadMesh)) for ax in axes]


@pytest.mark.parametrize("name", ["GAPDH", "g0"])
def test_gene_draws_its_marks_on_one_scale(adata, name):
    axes = pl.gene(adata, name)
    assert axes.shape == (3,)
    for mesh, region in zip(meshes(axes), ["tss", "body", "tes"], strict=True):
        np.testing.assert_array_equal(mesh.get_array(), get.region(adata, region)[0])
        assert mesh.get_clim() == (adata.X[0].min(), adata.X[0].max())
    edges = meshes(axes)[0].get_coordinates()[0, :, 0]
    np.testing.assert_allclose(edges, np.linspace(-2, 2, 9))
    assert [tick.get_text() for tick in axes[0].get_yticklabels()] == MARKS
    assert axes[0].yaxis_inverted()
    figure = axes[0].figure
    assert figure.get_suptitle() == "GAPDH  ·  chr1:20,000-29,000 (+)  ·  expression 3,882 TPM  ·  high"
    assert [ax.get_ylabel() for ax in figure.axes][-1] == "fold enrichment"


def test_gene_of_normalised_values_is_white_at_zero(adata):
    signal = adata.X.copy()
    pp.normalize(adata)
    axes = pl.gene(adata, "ACTB", layer=None)
    for row in ((adata.X.max(axis=1) + adata.X.min(axis=1)).argmax(), adata.X.max(axis=1).argmin()):
        low, high = meshes(pl.gene(adata, f"g{row}", layer=None))[0].get_clim()
        assert -low == high == pytest.approx(np.abs(adata.X[row]).max())
    assert axes[0].figure.axes[-1].get_ylabel() == "normalised signal"
    before = pl.gene(adata, "ACTB")
    np.testing.assert_array_equal(meshes(before)[0].get_array().ravel(), signal[1, :24])
    assert before[0].figure.axes[-1].get_ylabel() == "fold enrichment"


def test_without_units_plots_claim_none(adata):
    del adata.uns["units"]
    axes = pl.gene(adata, "GAPDH")
    assert axes[0].figure.get_suptitle() == "GAPDH  ·  chr1:20,000-29,000 (+)  ·  expression 3,882  ·  high"
    assert axes[0].figure.axes[-1].get_ylabel() == "signal"
    assert pl.mark_profiles(adata)[0, 0].figure.get_supylabel() == "mean signal"


def test_gene_of_which_little_is_known(adata):
    adata.X[4] = 0
    adata.obs = adata.obs.drop(columns=["symbol", "label", "start"]).assign(expression=np.nan, cell_type="E116")
    assert pl.gene(adata, "g4")[0].figure.get_suptitle() == "g4  ·  E116  ·  expression unknown"


def test_gene_bad_name_is_named(adata):
    with pytest.raises(ValueError, match="no gene 'gapd' among 30: did you mean GAPDH"):
        pl.gene(adata, "gapd")
    with pytest.raises(ValueError, match="no gene 'Xist!' among 30: expected a name such as GAPDH or g0"):
        pl.gene(adata, "Xist!")
    with pytest.raises(ValueError, match="'GENE2' names 2 rows: g2, g29; name one of them by its id"):
        pl.gene(adata, "GENE2")


def test_metrics_draw_each_value_and_interval(adata, predictions):
    tables = {name: evaluation.evaluate(adata, table, n_bootstrap=50) for name, table in predictions.items()}
    tables["guess"] = tables["guess"][tables["guess"]["metric"] != "Pearson"]
    axes = pl.metrics(tables)
    names = ["AUROC", "AUPRC", "accuracy", "ECE", "Pearson", "Spearman"]
    assert [ax.get_title() for ax in axes] == ["ECE (lower is better)" if name == "ECE" else name for name in names]
    assert [tick.get_text() for tick in axes[0].get_yticklabels()] == ["good", "guess"]
    for metric, ax in zip(names, axes, strict=True):
        for place, (name, table) in enumerate(tables.items()):
            row = table[(table["split"] == "test") & (table["metric"] == metric)]
            drawn = [line.get_xdata() for line in ax.lines if line.get_ydata()[0] == place]
            if name == "guess" and metric == "Pearson":
                assert drawn == []
            else:
                np.testing.assert_allclose(drawn[0], row[["low", "high"]].to_numpy()[0])
                np.testing.assert_allclose(drawn[1], row["value"])
    value = tables["good"].set_index(["split", "metric"]).loc[("test", "AUROC"), "value"]
    assert axes[0].texts[0].get_text() == f"{value:.3f}"
    assert axes[0].figure.get_supxlabel() == "value on the test split, with 95 % interval"
    assert axes[0].get_ylim()[0] > axes[0].get_ylim()[1]


def test_metrics_of_one_table(adata, predictions):
    axes = pl.metrics(evaluation.evaluate(adata, predictions["good"], n_bootstrap=0), split="train")
    assert len(axes) == 6
    assert len(axes[0].texts) == 1


def test_metrics_bad_input_is_named(adata, predictions):
    table = evaluation.evaluate(adata, predictions["good"], n_bootstrap=0)
    with pytest.raises(ValueError, match="table 'm' has no split 'valid' \\(found: train, test\\)"):
        pl.metrics({"m": table}, split="valid")
    with pytest.raises(ValueError, match=r"table has no column low, high; expected what sct\.tl\.evaluate returns"):
        pl.metrics(table.drop(columns=["low", "high"]))
    with pytest.raises(ValueError, match="tables is empty"):
        pl.metrics({})
