"""Simulated genes: the layout of real ones, marks that look real, and effects that are where the truth says."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import simplechrome_tk as sct
from simplechrome_tk.core.layout import Layout
from simplechrome_tk.datasets import _example
from simplechrome_tk.datasets._roadmap import ALL_MARKS, CORE_MARKS

CHROMOSOMES = {*(f"chr{i}" for i in range(1, 23)), "chrX"}


@pytest.fixture(scope="module")
def simulated() -> ad.AnnData:
    return sct.datasets.simulate(3_000, windows=(sct.pp.Window.TSS, sct.pp.Window.BODY, sct.pp.Window.TES))


def profile(adata: ad.AnnData, mark: str, region: str = "tss", genes: np.ndarray | slice = slice(None)) -> pd.Series:
    """Mean signal of a mark over genes, by the middle of the bin."""
    columns = ((adata.var["mark"] == mark) & (adata.var["region"] == region)).to_numpy()
    middle = adata.var.loc[columns, ["start_bp", "end_bp"]].mean(axis=1)
    return pd.Series(adata.X[genes][:, columns].mean(axis=0), index=middle.to_numpy())


def level(adata: ad.AnnData, mark: str) -> np.ndarray:
    """Mean log signal of the planted columns of a mark."""
    columns = ((adata.var["mark"] == mark) & (adata.var["planted_effect"] != 0)).to_numpy()
    return np.log1p(adata.X[:, columns]).mean(axis=1, dtype=float)


def planted_terms(adata: ad.AnnData) -> dict[str, np.ndarray]:
    """Recompute what sets log expression, from what the docstring says and what the AnnData holds."""
    truth = adata.uns["simulate"]
    terms = {"marks": np.log1p(adata.X).astype(float) @ adata.var["planted_effect"].to_numpy()}
    if truth["interaction"]:
        first, second = truth["interaction"]["marks"]
        terms["interaction"] = truth["interaction"]["effect"] * level(adata, first) * level(adata, second)
    source = level(adata, truth["neighbor"]["mark"]) - truth["neighbor"]["center"]
    terms["neighbors"] = adata.obsp["planted_neighbor_effects"] @ source
    return terms


def residual(adata: ad.AnnData) -> tuple[np.ndarray, np.ndarray]:
    """Log expression minus its planted part, and which genes stay clear of the floor at expression 0."""
    planted = adata.uns["simulate"]["intercept"] + sum(planted_terms(adata).values())
    return sct.pp.log_expression(adata.obs["expression"]) - planted, planted > 0


def along_chromosome(adata: ad.AnnData) -> np.ndarray:
    return np.lexsort((adata.obs["tss"], adata.obs["chrom"]))


def test_layout_is_that_of_roadmap(simulated):
    obs = simulated.obs
    assert list(obs) == [
        "symbol",
        "chrom",
        "start",
        "end",
        "strand",
        "tss",
        "annotated",
        "expression",
        "cell_type",
        "label",
    ]
    assert [obs[c].dtype for c in ("start", "end", "tss", "annotated", "expression")] == [
        float,
        float,
        int,
        bool,
        float,
    ]
    assert list(obs["cell_type"].cat.categories) == ["simulated"]
    assert list(obs["label"].cat.categories) == ["low", "high"]
    assert list(simulated.var)[:5] == ["mark", "region", "bin", "start_bp", "end_bp"]
    assert simulated.var_names[0] == "H3K4me3:tss:-4950"
    assert simulated.X.dtype == np.float32
    assert simulated.X.min() == 0
    assert list(simulated.uns["windows"].index) == ["tss", "body", "tes"]
    table = Layout.of(simulated).blocks
    assert list(table["mark"]) == 3 * list(CORE_MARKS)
    assert list(table["stop"] - table["start"]) == 5 * [100] + 5 * [20] + 5 * [20]


def test_genes_are_plausible(simulated):
    obs = simulated.obs
    assert obs.index.is_unique
    assert obs.index.str.fullmatch(r"ENSG\d{11}").all()
    assert obs["symbol"].is_unique
    assert set(obs["chrom"]) == CHROMOSOMES
    assert obs["chrom"].value_counts().idxmax() == "chr1"
    np.testing.assert_array_equal(obs["tss"], obs["start"].where(obs["strand"] == "+", obs["end"]))
    assert obs["start"].min() > 0
    assert 20_000 < (obs["end"] - obs["start"]).median() < 30_000
    assert 0.45 < (obs["strand"] == "+").mean() < 0.55
    gaps = obs.sort_values("tss").groupby("chrom")["tss"].diff().dropna()
    assert 0.1 < (gaps < 10_000).mean() < 0.25
    assert 30_000 < gaps.median() < 70_000


def test_ids_say_nothing_about_expression_or_place(simulated):
    rank = np.arange(simulated.n_obs)
    assert simulated.obs.index.is_monotonic_increasing
    assert abs(np.corrcoef(rank, sct.pp.log_expression(simulated.obs["expression"]))[0, 1]) < 0.06
    assert abs(np.corrcoef(rank, simulated.obs["tss"])[0, 1]) < 0.06


@pytest.mark.parametrize("n_genes", [138, 200, 1_001])
def test_every_size_can_be_split_and_connected(n_genes, caplog):
    adata = sct.datasets.simulate(n_genes)
    assert adata.n_obs == n_genes
    assert adata.obs["chrom"].value_counts().min() >= 6
    assert set(adata.obs["chrom"]) == CHROMOSOMES
    sct.pp.split_by_chromosome(adata)
    sct.pp.tss_neighbors(adata, n_neighbors=5)
    sct.pp.normalize(adata)
    assert not caplog.records


def test_a_crowded_chromosome_keeps_its_length():
    adata = sct.datasets.simulate(40_000, windows=(sct.pp.Window("tss", "tss", 500, 500, 1),))
    assert adata.obs.loc[adata.obs["chrom"] == "chr21", "tss"].max() < 48_000_000


def test_seed_decides_everything_and_the_global_generator_nothing():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, again, other, generator = (sct.datasets.simulate(200, rng=r) for r in (1, 1, 2, np.random.default_rng(1)))
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    for same in (again, generator):
        np.testing.assert_array_equal(first.X, same.X)
        pd.testing.assert_frame_equal(first.obs, same.obs)
        assert (first.obsp["planted_neighbor_effects"] != same.obsp["planted_neighbor_effects"]).nnz == 0
    assert not np.array_equal(first.X, other.X)
    assert list(first.obs_names) != list(other.obs_names)


def test_truth_accounts_for_expression_up_to_the_noise(simulated):
    noise, clear = residual(simulated)
    expected = simulated.uns["simulate"]["noise_sd"]
    assert noise[clear].std() == pytest.approx(expected, rel=0.06)
    assert abs(noise[clear].mean()) < 4 * expected / np.sqrt(clear.sum())


def test_each_planted_term_enters_expression_as_it_is_written(simulated):
    _, clear = residual(simulated)
    terms = planted_terms(simulated)
    design = np.column_stack([*terms.values(), np.ones(simulated.n_obs)])[clear]
    expression = sct.pp.log_expression(simulated.obs["expression"])[clear]
    slopes = np.linalg.lstsq(design, expression, rcond=None)[0]
    errors = simulated.uns["simulate"]["noise_sd"] * np.sqrt(np.diag(np.linalg.inv(design.T @ design)))
    for name, slope, error in zip(terms, slopes, errors, strict=False):
        assert error < 0.1, name
        assert abs(slope - 1) < 3 * error, name


def test_floor_is_expression_zero(simulated):
    planted = simulated.uns["simulate"]["intercept"] + sum(planted_terms(simulated).values())
    silent = (simulated.obs["expression"] == 0).to_numpy()
    assert 0.05 < silent.mean() < 0.2
    assert planted[silent].max() < -1 + 4 * simulated.uns["simulate"]["noise_sd"]


def test_own_marks_rule_and_separate_the_labels(simulated):
    terms = planted_terms(simulated)
    own = terms["marks"] + terms["interaction"]
    assert own.var() > 5 * terms["neighbors"].var() > 0
    adata = simulated.copy()
    sct.pp.split_by_chromosome(adata)
    test = (adata.obs["split"] == "test").to_numpy()
    assert 0.92 < roc_auc_score(adata.obs["label"][test] == "high", own[test]) < 0.96


def test_planted_columns_lie_where_marks_act(simulated):
    var = simulated.var.assign(middle=(simulated.var["start_bp"] + simulated.var["end_bp"]) / 2)
    sign = {"H3K4me3": 1, "H3K4me1": 1, "H3K36me3": 1, "H3K27me3": -1, "H3K9me3": -1}
    for mark, group in var[var["planted_effect"] != 0].groupby("mark", observed=True):
        assert set(np.sign(group["planted_effect"])) == {sign[mark]}
        assert set(group["region"]) <= {"tss", "body"}
    assert 0.1 < (var["planted_effect"] != 0).mean() < 0.4
    k4me3 = var[(var["mark"] == "H3K4me3") & (var["planted_effect"] != 0)]
    assert set(k4me3["region"]) == {"tss"}
    assert k4me3["middle"].between(-500, 1_500).all()
    k36me3 = var[(var["mark"] == "H3K36me3") & (var["planted_effect"] != 0)]
    assert set(k36me3["region"]) == {"tss", "body"}
    assert (k36me3["start_bp"] > 0).all()


def test_active_marks_have_their_shapes(simulated):
    high = (simulated.obs["label"] == "high").to_numpy()
    k4me3 = profile(simulated, "H3K4me3", genes=high)
    assert 0 < k4me3.idxmax() < 1_000
    assert k4me3[-50] < 0.6 * k4me3[-450] < 0.6 * k4me3[450]
    assert k4me3[-4_950] < 0.05 * k4me3.max()
    k4me1 = profile(simulated, "H3K4me1", genes=high)
    assert min(k4me1[-1_950], k4me1[2_050]) > 1.5 * k4me1[50]
    k36me3 = profile(simulated, "H3K36me3", genes=high)
    assert k36me3[4_050] > k36me3[2_050] > k36me3[550] > k36me3[-550]
    assert k36me3.loc[:-1_000].mean() < 0.1 * k36me3.loc[4_000:].mean()
    body = profile(simulated, "H3K36me3", "body", genes=high)
    assert body.iloc[-1] > body.iloc[10] > body.iloc[0] > k36me3[-550]
    end = profile(simulated, "H3K36me3", "tes", genes=high)
    assert end[9_500] < 0.4 * end[-500]
    assert end[-500] == pytest.approx(body.iloc[-1], rel=0.1)


@pytest.mark.parametrize(("marks", "names"), [("core", CORE_MARKS), ("all", ALL_MARKS), ("H3K27ac", ("H3K27ac",))])
def test_a_word_stands_for_several_marks_and_a_name_for_one(marks, names):
    adata = sct.datasets.simulate(200, marks=marks, windows=[sct.pp.Window.BODY])
    assert list(adata.var["mark"].unique()) == list(names)


def test_high_genes_carry_active_marks_and_low_genes_repressive_ones(simulated):
    high = (simulated.obs["label"] == "high").to_numpy()
    for mark in CORE_MARKS:
        more, less = (profile(simulated, mark, genes=g).mean() for g in (high, ~high))
        if mark in ("H3K27me3", "H3K9me3"):
            more, less = less, more
        assert more > 2 * less, mark


@pytest.mark.parametrize("mark", ["H3K27me3", "H3K9me3"])
def test_repressed_domains_span_neighbouring_genes(simulated, mark):
    order = along_chromosome(simulated)
    columns = ((simulated.var["mark"] == mark) & (simulated.var["region"] == "tss")).to_numpy()
    signal = np.log1p(simulated.X[order][:, columns]).mean(axis=1)
    chrom = simulated.obs["chrom"].to_numpy()[order]

    def correlation(lag: int) -> float:
        same = chrom[lag:] == chrom[:-lag]
        return np.corrcoef(signal[lag:][same], signal[:-lag][same])[0, 1]

    assert correlation(1) > 0.5
    assert correlation(1) > correlation(3) > correlation(40)
    assert abs(correlation(40)) < 0.15


def test_each_pair_is_near_and_its_sign_says_the_side(simulated):
    effects = simulated.obsp["planted_neighbor_effects"].tocoo()
    assert effects.nnz == 1_500 == len(set(effects.row))
    assert len(set(np.abs(effects.data).round(9))) == 1
    graph = sct.pp.tss_neighbors(simulated, n_neighbors=5, copy=True).obsp
    assert graph["tss_connectivities"].multiply(effects != 0).sum() == effects.nnz
    distance = np.asarray(graph["tss_distances"].tocsr()[effects.row, effects.col]).ravel()
    np.testing.assert_array_equal(effects.data > 0, distance < 0)
    assert 0.4 < (effects.data > 0).mean() < 0.6


def test_neighbours_act_and_shuffled_neighbours_do_not(simulated):
    terms = planted_terms(simulated)
    unexplained = sct.pp.log_expression(simulated.obs["expression"]) - terms["marks"] - terms["interaction"]
    assert np.corrcoef(unexplained, terms["neighbors"])[0, 1] > 0.4
    effects = simulated.obsp["planted_neighbor_effects"]
    shuffled = np.random.default_rng(0).permutation(simulated.n_obs)
    wrong = effects @ (level(simulated, "H3K4me3") - simulated.uns["simulate"]["neighbor"]["center"])[shuffled]
    assert abs(np.corrcoef(unexplained, wrong)[0, 1]) < 0.06
    share = terms["neighbors"].var() / sct.pp.log_expression(simulated.obs["expression"]).var()
    assert 0.07 < share < 0.13


@pytest.mark.parametrize(("fraction", "pairs"), [(0.0, 0), (1.0, 200)])
def test_neighbor_fraction_counts_the_genes_acted_on(fraction, pairs, tmp_path):
    adata = sct.datasets.simulate(200, neighbor_fraction=fraction)
    assert adata.obsp["planted_neighbor_effects"].nnz == pairs
    adata.write_h5ad(tmp_path / "simulated.h5ad")


@pytest.fixture(scope="module")
def related() -> ad.AnnData:
    return sct.datasets.simulate(1_000, n_related=10, neighbor_fraction=0.0)


def test_related_genes_lie_anywhere_and_their_weights_say_little(related):
    pairs = related.obsp["related_connectivities"].tocoo()
    assert (np.bincount(pairs.row) == 10).all()
    assert (pairs.row != pairs.col).all()
    chrom = related.obs["chrom"].to_numpy()
    assert (chrom[pairs.row] == chrom[pairs.col]).mean() < 0.1
    acts = np.asarray(related.obsp["planted_neighbor_effects"].tocsr()[pairs.row, pairs.col]).ravel() > 0
    assert acts.sum() == related.obsp["planted_neighbor_effects"].nnz
    assert 0.55 < roc_auc_score(acts, pairs.data) < 0.63
    rule = related.uns["simulate"]["related"]
    np.testing.assert_array_equal(acts, level(related, rule["mark"])[pairs.col] < rule["threshold"])


def test_the_truth_of_related_genes_accounts_for_expression(related):
    noise, clear = residual(related)
    assert noise[clear].std() == pytest.approx(related.uns["simulate"]["noise_sd"], rel=0.12)
    assert planted_terms(related)["neighbors"].std() == pytest.approx(0.5)


def test_related_genes_change_nothing_else():
    plain, related = (sct.datasets.simulate(200, n_related=n) for n in (0, 3))
    np.testing.assert_array_equal(plain.X, related.X)
    assert not [slot for slot in plain.obsp if slot.startswith("related")]


def test_a_model_reads_the_graph_and_ranks_related_genes_better_than_their_weight():
    windows = [sct.pp.Window("tss", anchor="tss", upstream=3_000, downstream=5_000, n_bins=8)]
    adata = sct.datasets.simulate(
        5_000, n_related=6, neighbor_fraction=0.0, marks=("H3K4me3", "H3K27me3"), windows=windows
    )
    sct.pp.split_by_chromosome(adata)
    sct.pp.normalize(adata)
    model = sct.SimpleChrome(adata, neighbors_key="related", n_latent=8, device="cpu")
    model.train(latent_epochs=8, expression_epochs=6, context_epochs=20, progress=False)
    genes = (adata.obs["split"] == "test").to_numpy()
    sct.tl.attribute(adata, model, genes=genes, target="log_expression", n_steps=8, progress=False)
    pairs = adata.obsp["related_connectivities"].tocoo()
    has_mark = level_of_signal(adata, "H3K4me3") > adata.uns["simulate"]["neighbor"]["center"]
    kept = genes[pairs.row] & has_mark[pairs.col]
    at = pairs.row[kept], pairs.col[kept]
    acts = np.asarray(adata.obsp["planted_neighbor_effects"].tocsr()[at]).ravel() > 0
    effect = np.abs(np.asarray(adata.obsp["attribution_neighbors"].tocsr()[at]).ravel())
    found, alone = roc_auc_score(acts, effect), roc_auc_score(acts, pairs.data[kept])
    assert found >= 0.9
    assert found > alone + 0.2


def level_of_signal(adata: ad.AnnData, mark: str) -> np.ndarray:
    return level(ad.AnnData(adata.layers["signal"], var=adata.var), mark)


@pytest.mark.parametrize(
    ("marks", "windows"),
    [
        (ALL_MARKS, (sct.pp.Window.TSS, sct.pp.Window.BODY)),
        (CORE_MARKS, (sct.pp.Window.TSS,)),
        (CORE_MARKS, (sct.pp.Window.BODY,)),
        (CORE_MARKS, (sct.pp.Window.TES,)),
        (("H3K27me3", "H3K4me3"), (sct.pp.Window("wide", "tss", 20_000, 20_000, 1),)),
        (("H3K9me3",), (sct.pp.Window("behind", "tss", -3_000, 9_000, 7), sct.pp.Window.BODY)),
    ],
)
def test_truth_holds_for_any_marks_and_windows(marks, windows):
    adata = sct.datasets.simulate(1_000, marks=marks, windows=windows)
    assert adata.n_vars == len(marks) * sum(window.n_bins for window in windows)
    assert list(adata.var["mark"].cat.categories) == list(marks)
    assert set(adata.var.loc[adata.var["planted_effect"] != 0, "mark"]) == set(marks)
    assert bool(adata.uns["simulate"]["interaction"]) == ({"H3K4me3", "H3K27me3"} <= set(marks))
    noise, clear = residual(adata)
    assert noise[clear].std() == pytest.approx(adata.uns["simulate"]["noise_sd"], rel=0.12)


def test_round_trip_through_h5ad(simulated, tmp_path):
    simulated.write_h5ad(tmp_path / "simulated.h5ad")
    read = ad.read_h5ad(tmp_path / "simulated.h5ad")
    np.testing.assert_array_equal(read.X, simulated.X)
    pd.testing.assert_series_equal(read.var["planted_effect"], simulated.var["planted_effect"])
    assert (read.obsp["planted_neighbor_effects"] != simulated.obsp["planted_neighbor_effects"]).nnz == 0
    noise, _ = residual(simulated)
    np.testing.assert_allclose(residual(read)[0], noise)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_genes": 137}, "n_genes is 137; expected 138 to 200000"),
        ({"n_genes": 200_001}, "expected 138 to 200000"),
        ({"marks": ("H3K4me3", "H2AZ")}, "H2AZ; choose from H3K4me3, H3K4me1"),
        ({"marks": ()}, "choose from H3K4me3"),
        ({"marks": ("H3K4me3", "H3K4me3")}, "each once"),
        ({"windows": ()}, "at least one"),
        ({"neighbor_fraction": 1.5}, "neighbor_fraction is 1.5; expected a fraction"),
        ({"neighbor_fraction": float("nan")}, "neighbor_fraction is nan"),
        ({"n_related": -1}, "n_related is -1"),
        ({"n_related": 101}, "n_related is 101"),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        sct.datasets.simulate(**{"n_genes": 200, **arguments})


@pytest.fixture
def out_of_reach(monkeypatch, tmp_path):
    """No cache, no network."""

    def unavailable(*args: object, **kwargs: object) -> ad.AnnData:
        msg = "GeneFile.txt could not be downloaded (ConnectionError)."
        raise sct.datasets.DatasetUnavailableError(msg)

    monkeypatch.setattr(_example, "roadmap", unavailable)
    monkeypatch.setenv("SIMPLECHROME_TK_CACHE", str(tmp_path))
    monkeypatch.delenv("SIMPLECHROME_TK_REQUIRE_DATA", raising=False)
    return tmp_path


def test_example_is_the_real_data_where_there_are_some(monkeypatch, capsys):
    asked = {}

    def real(cell_type: str, **kwargs: object) -> ad.AnnData:
        asked.update(cell_type=cell_type, **kwargs)
        return ad.AnnData(np.zeros((2, 2), dtype=np.float32))

    monkeypatch.setattr(_example, "roadmap", real)
    adata = sct.datasets.example("E123", marks=("H3K4me3",))
    assert asked == {"cell_type": "E123", "marks": ("H3K4me3",)}
    assert adata.uns["dataset"] == "roadmap"
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("value", [None, "", "0"])
def test_example_simulates_under_a_banner(out_of_reach, monkeypatch, capsys, value):
    if value is not None:
        monkeypatch.setenv("SIMPLECHROME_TK_REQUIRE_DATA", value)
    adata = sct.datasets.example(
        "E117", n_genes_simulated=150, marks=("H3K4me3", "H3K27ac"), windows=(sct.pp.Window.TSS,), genes=["PAX5"]
    )
    assert adata.shape == (150, 200)
    assert adata.uns["dataset"] == "simulated"
    assert list(adata.var["mark"].cat.categories) == ["H3K4me3", "H3K27ac"]
    banner = capsys.readouterr().out
    for part in (
        "SIMULATED DATA",
        "neither cached nor reachable",
        "could not be downloaded (ConnectionError)",
        "do NOT describe biology",
        "roadmap('E117') and its genes",
        "SIMPLECHROME_TK_CACHE",
        str(out_of_reach),
    ):
        assert part in banner
    assert len(banner.splitlines()) > 10


@pytest.mark.usefixtures("out_of_reach")
def test_example_raises_when_data_are_required(monkeypatch, capsys):
    monkeypatch.setenv("SIMPLECHROME_TK_REQUIRE_DATA", "1")
    with pytest.raises(sct.datasets.DatasetUnavailableError, match="could not be downloaded"):
        sct.datasets.example()
    assert capsys.readouterr().out == ""
