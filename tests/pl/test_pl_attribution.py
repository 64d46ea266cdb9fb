from __future__ import annotations

import itertools
import logging

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.collections import QuadMesh
from matplotlib.colors import to_hex, to_rgba
from matplotlib.patches import StepPatch

from simplechrome_tk import datasets, get, pl, pp
from simplechrome_tk.datasets._roadmap import CORE_MARKS
from simplechrome_tk.pl._style import DOWN, EFFECTS, GREY, UP, effect_norm, signed
from simplechrome_tk.pl.genes._gene_track import TrackGene, assign_rows, find_limits, spread_names

MARKS = list(CORE_MARKS)


@pytest.fixture(autouse=True)
def draw_figures():
    yield
    for number in plt.get_fignums():
        plt.figure(number).canvas.draw()  # some mistakes only show when a figure is drawn


@pytest.fixture(scope="module")
def browsed(_attributed):
    """One browser that several tests share."""
    return pl.browser(_attributed, _attributed.obs_names[1])


def names_below(ax):
    """Return the slanted names of a gene track, from left to right."""
    found = [text for text in ax.texts if text.get_rotation()]
    return sorted(found, key=lambda text: text.get_position()[0])


def arrows(ax):
    """Position and direction of the arrow heads, in the order drawn: the gene, then its neighbours."""
    direction = {">": 1, "<": -1}
    heads = [line for line in ax.lines if line.get_marker() in direction]
    return [(head.get_xdata()[0], direction[head.get_marker()]) for head in heads]


def overlap(ax):
    """Whether two slanted names, as lines of text on the page, come closer than their height."""
    ax.figure.canvas.draw()
    at = np.array([ax.transData.transform(text.get_position()) for text in names_below(ax)])
    height = names_below(ax)[0].get_fontsize() / 72 * ax.figure.dpi
    return np.diff(at[:, 0]).min(initial=np.inf) * np.sin(np.pi / 3) < height


def without_neighbors(adata, row):
    for slot in ("tss_connectivities", "tss_distances", "attribution_neighbors"):
        matrix = adata.obsp[slot].tolil()
        matrix[row] = 0
        adata.obsp[slot] = matrix.tocsr()


def test_zero_is_white_up_vermilion_and_down_blue():
    norm = effect_norm(np.array([-1.0, np.nan, 4.0]))
    assert (norm.vmin, norm.vmax) == (-4, 4)
    assert to_hex(EFFECTS(norm(0.0))) == "#ffffff"
    assert [to_hex(EFFECTS(norm(x))).upper() for x in (-4, 4)] == [DOWN, UP]
    assert (effect_norm(np.zeros(3)).vmin, effect_norm(np.array([np.nan])).vmax) == (-1, 1)


@pytest.mark.parametrize(
    ("effect", "text"),
    [
        (4.217, "+4.22"),
        (-0.1, "−0.10"),
        (0.0996, "+0.10"),
        (-0.0994, "−0.099"),
        (0.00049, "+0.0005"),
        (-4e-5, "0"),
        (0, "0"),
    ],
)
def test_effects_are_written_with_their_sign(effect, text):
    assert signed(effect) == text


def test_browser_draws_signal_and_effect_of_each_bin(attributed, browsed):
    axes = browsed
    assert axes.signal.shape == axes.effect.shape == (5, 2)
    for column, (region, edges) in enumerate([("tss", np.linspace(-5, 5, 101)), ("body", np.linspace(0, 100, 21))]):
        for row in range(5):
            steps = next(p for p in axes.signal[row, column].patches if isinstance(p, StepPatch))
            np.testing.assert_array_equal(steps.get_data().values, get.region(attributed, region)[1, row])
            np.testing.assert_allclose(steps.get_data().edges, edges)
            expected = get.region(attributed, region, layer="attribution")[1, row]
            bars = {to_hex(p.get_facecolor()).upper(): p.get_data() for p in axes.effect[row, column].patches}
            for color, heights in ((UP, np.maximum(expected, 0)), (DOWN, np.minimum(expected, 0))):
                drawn = bars.pop(color)
                np.testing.assert_array_equal(drawn.values, heights)
                np.testing.assert_allclose(drawn.edges, edges, atol=1e-9)
            assert not bars
    assert axes.effect[-1, 0].get_xlabel() == "distance from TSS (kb), 5′→3′"
    assert axes.effect[-1, 1].get_xlabel() == "gene body, TSS to end (%)"


def test_browser_scales_signal_by_mark_and_all_effects_together(attributed, browsed):
    axes = browsed
    effects = attributed.layers["attribution"][1]
    limits_of_effects = {ax.get_ylim() for ax in axes.effect.flat}
    assert len(limits_of_effects) == 1
    low, high = limits_of_effects.pop()
    assert low < effects.min() < 0 < effects.max() < high
    tops = [{ax.get_ylim()[1] for ax in row} for row in axes.signal]
    assert [len(top) for top in tops] == [1] * 5
    for mark, top in zip(MARKS, tops, strict=True):
        highest = attributed[1, attributed.var["mark"] == mark].X.max()
        assert top.pop() == pytest.approx(1.06 * highest)
    assert {ax.get_ylim()[0] for ax in axes.signal.flat} == {0}


def test_browsers_that_name_each_other_have_the_same_scales(attributed):
    names = list(attributed.obs_names[[1, 2, 4]])  # the last has no attributions
    apart, together = (
        [pl.browser(attributed, name, same_scale_as=others) for name in names[:2]] for others in ((), names)
    )
    for axes in ("signal", "effect"):
        limits = [[[ax.get_ylim() for ax in getattr(drawn, axes).flat] for drawn in both] for both in (apart, together)]
        assert limits[0][0] != limits[0][1]
        assert limits[1][0] == limits[1][1]


def test_browser_writes_names_sums_and_account(attributed, browsed):
    figure = browsed.signal[0, 0].figure
    written = [text.get_text() for text in figure.texts]
    sums = get.mark_effects(attributed, genes=attributed.obs_names[1])["effect"]
    for text in [*MARKS, *map(signed, sums), "sum", "related genes"]:
        assert text in written
    colors = {text.get_text(): text.get_color() for text in figure.texts}
    assert [colors[signed(x)] for x in sums] == [UP if x > 0 else DOWN for x in sums]
    neighbors = get.neighbor_effects(attributed, genes=attributed.obs_names[1])["effect"].sum()
    head = next(text for text in written if "effect on" in text)
    symbol = attributed.obs["symbol"].iloc[1]
    assert head.startswith(f"{symbol}  ·  simulated  ·  {attributed.obs['chrom'].iloc[1]}:")
    total = attributed.obs["attribution_total"].iloc[1]
    expected = f"effect on log-odds of high: {signed(total)} (own marks {signed(sums.sum())}, related genes "
    assert head.split("\n")[1] == f"{expected}{signed(neighbors)})"
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["simulated reads per bin", "effect of bin: raises", "lowers"]


@pytest.mark.parametrize("strand", ["+", "-"])
def test_browser_draws_genes_to_scale(attributed, strand):
    row = int(np.flatnonzero((attributed.obs["strand"] == strand) & attributed.obs["attribution_total"].notna())[0])
    ax = pl.browser(attributed, attributed.obs_names[row]).genome
    table = get.neighbor_effects(attributed, genes=attributed.obs_names[row])
    obs = attributed.obs.loc[[attributed.obs_names[row], *table["neighbor"]]]
    bodies = {bar.get_x(): bar for bar in ax.patches}
    norm = effect_norm(table["effect"].to_numpy())
    for effect, (_, gene) in zip([np.nan, *table["effect"]], obs.iterrows(), strict=True):
        bar = bodies[gene["start"]]
        assert bar.get_width() == gene["end"] - gene["start"]
        expected = to_rgba("0.15") if np.isnan(effect) else EFFECTS(norm(effect))
        np.testing.assert_allclose(bar.get_facecolor(), expected)
    ends = [(g["start"], -1) if g["strand"] == "-" else (g["end"], 1) for _, g in obs.iterrows()]
    assert arrows(ax) == ends
    order = np.argsort(obs["tss"].to_numpy())
    names = [
        obs["symbol"].iloc[0],
        *(f"{s} {signed(e)}" for s, e in zip(obs["symbol"][1:], table["effect"], strict=True)),
    ]
    assert [text.get_text() for text in names_below(ax)] == [names[i] for i in order]
    assert ax.get_xlabel() == f"{obs['chrom'].iloc[0]} (Mb)"
    low, high = ax.get_xlim()
    assert low < obs["start"].min() < obs["end"].max() < high


def test_browser_without_attributions_draws_the_tracks_alone(attributed, caplog):
    with caplog.at_level(logging.INFO):
        axes = pl.browser(attributed, attributed.obs_names[4])
    assert f"{attributed.obs_names[4]} has no attributions 'attribution': its tracks are drawn alone" in caplog.text
    del attributed.layers["attribution"]
    for drawn in (axes, pl.browser(attributed, attributed.obs_names[1])):
        assert drawn.signal.shape == (5, 2)
        assert drawn.effect.shape == (0, 2)
        assert drawn.genome is None
        assert len(drawn.signal[0, 0].figure.axes) == 10
        assert drawn.signal[-1, 0].get_xlabel().startswith("distance from TSS")


def test_browser_of_a_model_without_neighbors_has_no_gene_track(attributed):
    attributed.uns["attribution"]["neighbors_key"] = ""
    axes = pl.browser(attributed, attributed.obs_names[1])
    assert axes.genome is None
    own = get.mark_effects(attributed, genes=attributed.obs_names[1])["effect"].sum()
    assert any(t.get_text().endswith(f"high: {signed(own)}") for t in axes.signal[0, 0].figure.texts)


def test_browser_of_normalised_values_shows_both_sides_of_zero(attributed):
    pp.split_by_chromosome(attributed)
    signal = attributed.X.copy()
    pp.normalize(attributed)
    name = attributed.obs_names[1]
    del attributed.layers["attribution"]
    normalised, before = pl.browser(attributed, name, layer=None), pl.browser(attributed, name)
    assert min(ax.get_ylim()[0] for ax in normalised.signal.flat) < 0
    steps = next(p for p in before.signal[0, 0].patches if isinstance(p, StepPatch))
    np.testing.assert_array_equal(steps.get_data().values, signal[1, :100])
    legends = [axes.signal[0, 0].figure.legends[0].get_texts()[0].get_text() for axes in (normalised, before)]
    assert legends == ["normalised signal", "simulated reads per bin"]


def test_browser_of_nine_marks_and_one_region():
    window = pp.Window("tss", anchor="tss", upstream=2_000, downstream=2_000, n_bins=8)
    adata = datasets.simulate(150, marks="all", windows=(window,))
    axes = pl.browser(adata, adata.obs_names[0])
    assert axes.signal.shape == (9, 1)


def test_a_gene_without_neighbors_is_drawn_alone(attributed):
    without_neighbors(attributed, 0)
    name, symbol = attributed.obs_names[0], attributed.obs["symbol"].iloc[0]
    track, arcs = pl.browser(attributed, name).genome, pl.neighbor_effects(attributed, name)
    for ax in (track, arcs):
        assert [text.get_text() for text in names_below(ax)] == [symbol]
    assert track.get_xlabel() == f"no related genes in the graph\n{attributed.obs['chrom'].iloc[0]} (Mb)"
    assert arcs.get_title(loc="left") == f"{symbol}\nno related genes in the graph"
    assert arcs.figure.axes == [arcs]


@pytest.mark.parametrize("strand", ["+", "-"])
def test_arcs_run_from_each_neighbor_to_the_gene(attributed, strand):
    row = int(np.flatnonzero((attributed.obs["strand"] == strand) & attributed.obs["attribution_total"].notna())[0])
    table = get.neighbor_effects(attributed, genes=attributed.obs_names[row])
    ax = pl.neighbor_effects(attributed, attributed.obs_names[row])
    arcs = [line for line in ax.lines if len(line.get_xdata()) == 60]
    place = np.arcsinh(table["distance_bp"].to_numpy() / 5_000)
    np.testing.assert_allclose([arc.get_xdata()[0] for arc in arcs], place)
    np.testing.assert_allclose([arc.get_xdata()[-1] for arc in arcs], 0, atol=1e-9)
    norm = effect_norm(table["effect"].to_numpy())
    np.testing.assert_allclose([to_rgba(arc.get_color()) for arc in arcs], [EFFECTS(norm(x)) for x in table["effect"]])
    widths = np.array([arc.get_linewidth() for arc in arcs])
    assert widths.argmax() == 0
    np.testing.assert_allclose(widths, 1 + 4 * table["effect"].abs() / table["effect"].abs().max())
    heights = np.array([arc.get_ydata().max() for arc in arcs])
    np.testing.assert_allclose(heights / heights.max(), np.abs(place) / np.abs(place).max())
    obs = attributed.obs.loc[[attributed.obs_names[row], *table["neighbor"]]]
    same = (obs["strand"] == strand).to_numpy()
    assert [direction for _, direction in arrows(ax)] == np.where(same, 1, -1).tolist()
    symbol = obs["symbol"].iloc[0]
    assert ax.get_title(loc="left") == f"{symbol}: 4 related genes, {signed(table['effect'].sum())} in all"
    assert ax.get_xlabel().startswith(f"distance from the TSS of {symbol}\n")
    assert ax.figure.axes[1].get_ylabel() == "effect of related gene (log-odds of high)"
    written = {text.get_text().split(" ")[0]: text.get_text() for text in names_below(ax)}
    for pair in table.itertuples():
        size = abs(pair.distance_bp) / 1e3
        assert written[pair.neighbor_symbol].endswith(signed(pair.effect))
        number, kb = written[pair.neighbor_symbol].split("(")[1].split(")")[0].split()
        assert number[0] == ("−" if pair.distance_bp < 0 else "+")
        assert float(number[1:]) * {"bp": 1e-3, "kb": 1, "Mb": 1e3}[kb] == pytest.approx(size, rel=0.06)


def test_ticks_are_where_distances_are(attributed):
    ax = pl.neighbor_effects(attributed, attributed.obs_names[1])
    for tick, label in zip(ax.get_xticks(), ax.get_xticklabels(), strict=True):
        number, *unit = label.get_text().replace("−", "-").split()
        bp = float(number) * {"bp": 1, "kb": 1e3, "Mb": 1e6}[unit[0]] if unit else 0
        assert bp == pytest.approx(5_000 * np.sinh(tick))
    assert "0" in [label.get_text() for label in ax.get_xticklabels()]


def test_arcs_on_given_axes(attributed):
    figure, axes = plt.subplots(1, 2, figsize=(10, 4))
    assert pl.neighbor_effects(attributed, attributed.obs_names[1], ax=axes[1]) is axes[1]
    assert figure.axes[:2] == list(axes)


def crowded(adata, n_neighbors):
    """A gene whose neighbours all lie within a few bp, but for one 50 Mb away."""
    chrom = adata.obs["chrom"].astype(str)
    pp.tss_neighbors(adata, n_neighbors=n_neighbors, key_added="many")
    row = int(np.flatnonzero((chrom == "chr1").to_numpy() & adata.obs["attribution_total"].notna().to_numpy())[0])
    others = adata.obsp["many_connectivities"][row].indices
    tss = adata.obs["tss"].iloc[row]
    for name, values in {"tss": tss + np.arange(len(others)), "start": tss, "end": tss + 900}.items():
        adata.obs.iloc[others, adata.obs.columns.get_loc(name)] = values
    adata.obs.iloc[others[-1], adata.obs.columns.get_loc("tss")] += 50_000_000
    adata.obs.iloc[others[-1], adata.obs.columns.get_loc("start")] += 50_000_000
    adata.obs.iloc[others[-1], adata.obs.columns.get_loc("end")] += 50_000_000
    adata.obsp["attribution_neighbors"] = (
        adata.obsp["many_connectivities"].multiply(np.random.default_rng(0).normal(size=(1, adata.n_obs))).tocsr()
    )
    effects = adata.obsp["attribution_neighbors"].tolil()
    effects[np.isnan(adata.layers["attribution"][:, 0])] = 0
    adata.obsp["attribution_neighbors"] = effects.tocsr()
    adata.uns["attribution"]["neighbors_key"] = "many"
    sign = -1 if adata.obs["strand"].iloc[row] == "-" else 1
    distances = adata.obsp["many_distances"].tolil()
    distances[row, others] = sign * (adata.obs["tss"].iloc[others].to_numpy() - tss)
    adata.obsp["many_distances"] = distances.tocsr()
    return adata.obs_names[row]


@pytest.mark.parametrize("plot", [pl.neighbor_effects, lambda adata, gene: pl.browser(adata, gene).genome])
def test_names_of_crowded_neighbors_keep_apart(attributed, plot):
    ax = plot(attributed, crowded(attributed, 11))
    assert len(names_below(ax)) == 12
    assert not overlap(ax)
    bodies = sorted((bar.get_y(), bar.get_x(), bar.get_width()) for bar in ax.patches)
    for (y, x, width), (next_y, next_x, _) in itertools.pairwise(bodies):
        assert next_y > y or next_x >= x + width


def test_where_names_do_not_fit_the_strongest_are_drawn_and_the_others_counted(attributed):
    gene = crowded(attributed, 11)
    table = get.neighbor_effects(attributed, genes=gene)
    _, ax = plt.subplots(figsize=(2.5, 4))
    pl.neighbor_effects(attributed, gene, ax=ax)
    drawn = {text.get_text().split(" ")[0] for text in names_below(ax)}
    assert 3 < len(drawn) < 11
    assert drawn == {attributed.obs.loc[gene, "symbol"], *table["neighbor_symbol"].iloc[: len(drawn) - 1]}
    rest = signed(table["effect"].iloc[len(drawn) - 1 :].sum())
    line = f"drawn: the {len(drawn) - 1} strongest of 11 related genes; the others {rest} in all"
    assert ax.get_title(loc="left").split("\n")[1] == line
    assert not overlap(ax)


def anywhere(adata, n_neighbors, effect):
    """Relate each gene to others anywhere, all with the same effect; return one with some on its chromosome."""
    pp.id_neighbors(adata, n_neighbors=n_neighbors)
    adata.obsp["attribution_neighbors"] = adata.obsp["id_connectivities"] * effect
    adata.uns["attribution"]["neighbors_key"] = "id"
    table = get.neighbor_effects(adata)
    on_own = table["distance_bp"].notna().groupby(table["gene"]).mean()
    return on_own[(on_own > 0) & (on_own < 1)].index[0]


def test_related_genes_on_other_chromosomes_are_counted_and_named(attributed):
    gene = anywhere(attributed, 6, 0.01)
    table = get.neighbor_effects(attributed, genes=gene)
    other = table[table["distance_bp"].isna()]
    title = pl.neighbor_effects(attributed, gene).get_title(loc="left")
    assert f"not drawn: {len(other)} related genes on other chromosomes, {signed(len(other) * 0.01)} in all" in title
    for name in other["neighbor_symbol"]:
        assert f"{name} +0.010" in title


def test_related_genes_far_away_do_not_stretch_the_map(attributed):
    gene = anywhere(attributed, 6, 0.01)
    table = get.neighbor_effects(attributed, genes=gene)
    far = int(table["distance_bp"].notna().sum())
    track = pl.browser(attributed, gene).genome
    places = f"{len(table) - far} related genes on other chromosomes and {far} on this chromosome, further away"
    assert f"not drawn: {places}, {signed(len(table) * 0.01)} in all" in track.get_xlabel()
    own = attributed.obs.loc[gene]
    assert [text.get_text() for text in names_below(track)] == [own["symbol"]]
    low, high = track.get_xlim()
    assert high - low == pytest.approx(3 * (own["end"] - own["start"]))


def test_related_genes_among_the_neighbors_by_position_are_drawn(attributed):
    gene = attributed.obs_names[1]
    near = get.neighbors(attributed, genes=gene)
    pp.tss_neighbors(attributed, n_neighbors=8, key_added="wide")
    wide = get.neighbors(attributed, neighbors_key="wide", genes=gene)
    # A graph without a record is one of genes anywhere; its links reach beyond those of "tss".
    del attributed.uns["wide_neighbors"]
    attributed.obsp["attribution_neighbors"] = attributed.obsp["wide_connectivities"] * 0.01
    attributed.uns["attribution"]["neighbors_key"] = ["tss", "wide"]
    track = pl.browser(attributed, gene).genome
    inside = wide["distance_bp"].between(min(near["distance_bp"].min(), 0), max(near["distance_bp"].max(), 0))
    assert 0 < inside.sum() < len(wide)
    drawn = {text.get_text().split(" ")[0] for text in names_below(track)}
    assert drawn == {attributed.obs.loc[gene, "symbol"], *wide.loc[inside, "neighbor_symbol"]}
    assert f"not drawn: {int((~inside).sum())} related genes further away" in track.get_xlabel()


def test_spread_moves_names_no_further_than_needed():
    np.testing.assert_allclose(spread_names(np.array([1.0, 5.0, 9.0]), 0, 10, 1), [1, 5, 9])
    np.testing.assert_allclose(spread_names(np.array([5.0, 5.0, 5.0]), 0, 10, 1), [4, 5, 6])
    np.testing.assert_allclose(spread_names(np.array([0.0, 0.1, 9.9, 10]), 0, 10, 1), [0, 1, 9, 10])


def track_gene(left, right):
    return TrackGene("x", left, left, right, 1, 0.1, 0.0)


def test_bodies_share_a_row_where_they_do_not_touch():
    genes = [track_gene(5, 6), track_gene(5.5, 7), track_gene(0, 1), track_gene(8, 9), track_gene(5.8, 6.2)]
    assert assign_rows(genes, 0.01) == [0, 1, 0, 0, 2]
    assert assign_rows(genes[2:4], 100.0) == [0, 1]
    low, high = find_limits(genes)
    assert low < 0 < 9 < high


def test_effect_map_draws_the_means_of_each_bin(attributed):
    axes = pl.effect_map(attributed)
    assert axes.shape == (2, 2)
    profiles = get.mark_profiles(attributed, layer="attribution")
    limit = np.percentile(profiles["mean"].abs(), 99.5)
    for row, group in enumerate(["low", "high"]):
        for column, region in enumerate(["tss", "body"]):
            mesh = next(c for c in axes[row, column].collections if isinstance(c, QuadMesh))
            rows = (attributed.obs["label"] == group) & attributed.obs["attribution_total"].notna()
            expected = get.region(attributed, region, layer="attribution")[rows.to_numpy()].mean(axis=0)
            np.testing.assert_allclose(mesh.get_array(), expected, atol=1e-6)
            assert mesh.get_clim() == pytest.approx((-limit, limit))
            assert mesh.get_cmap() is EFFECTS
        assert axes[row, 0].get_title(loc="left") == f"label: {group} ({rows.sum()} genes)"
    assert [tick.get_text() for tick in axes[0, 0].get_yticklabels()] == MARKS
    assert axes[0, 0].yaxis_inverted()
    assert axes[1, 0].get_xlabel() == "distance from TSS (kb), 5′→3′"
    bar = axes[0, 0].figure.axes[-1]
    assert bar.get_ylabel() == "mean effect per bin\n(log-odds of high)"


def test_effect_map_by_another_column(attributed):
    axes = pl.effect_map(attributed, groupby="strand")
    titles = [ax.get_title(loc="left").split(" (")[0] for ax in axes[:, 0]]
    assert titles == ["strand: +", "strand: -"]


def test_mark_effects_draw_means_and_intervals(attributed):
    ax = pl.mark_effects(attributed)
    lines = [*MARKS, "all neighbours"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == lines
    assert ax.get_ylim()[0] > ax.get_ylim()[1]
    table = get.mark_effects(attributed, groupby="label")
    for container, group, color in zip(ax.containers, ["low", "high"], [DOWN, UP], strict=True):
        part = table[table["label"] == group]
        points, _, (bars,) = container
        rows = ((attributed.obs["label"] == group) & attributed.obs["attribution_total"].notna()).to_numpy()
        neighbors = np.asarray(attributed.obsp["attribution_neighbors"].sum(axis=1)).ravel()[rows]
        np.testing.assert_allclose(points.get_xdata().astype(float), [*part["mean"], neighbors.mean()], rtol=1e-5)
        assert [round(y) for y in points.get_ydata()] == list(range(6))
        assert points.get_color() == color
        half = 1.96 * neighbors.std(ddof=1) / np.sqrt(rows.sum())
        ends = [segment[:, 0] for segment in bars.get_segments()]
        np.testing.assert_allclose(ends[:5], part[["low", "high"]])
        np.testing.assert_allclose(ends[5], [neighbors.mean() - half, neighbors.mean() + half], rtol=1e-3)
    sizes = table.drop_duplicates("label")["n"].tolist()
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == [f"low ({sizes[0]} genes)", f"high ({sizes[1]} genes)"]
    assert ax.get_xlabel().startswith("mean effect per gene (log-odds of high), 95 % interval")
    assert ax.lines[0].get_color() == GREY


def test_mark_effects_without_neighbors_on_given_axes(attributed):
    attributed.uns["attribution"]["neighbors_key"] = ""
    _, ax = plt.subplots()
    assert pl.mark_effects(attributed, groupby="strand", genes=attributed.obs_names[:20], ax=ax) is ax
    assert [tick.get_text() for tick in ax.get_yticklabels()] == MARKS
    assert [text.get_text()[0] for text in ax.get_legend().get_texts()] == ["+", "-"]


def test_interactions_fill_a_symmetric_matrix(attributed):
    axes = pl.interactions(attributed)
    assert axes.shape == (1,)
    matrix = axes[0].images[0].get_array().filled(np.nan)
    stored = attributed.obsm["attribution_interactions"]
    for (i, first), (j, second) in itertools.combinations(enumerate(MARKS), 2):
        mean = stored[f"{first} x {second}"].mean()
        assert matrix[i, j] == matrix[j, i] == pytest.approx(mean)
    assert np.isnan(np.diag(matrix)).all()
    assert axes[0].get_title() == "160 genes"
    ticks = [tick.get_text() for tick in (*axes[0].get_xticklabels(), *axes[0].get_yticklabels())]
    assert ticks == MARKS * 2
    low, high = axes[0].images[0].get_clim()
    assert -low == high == pytest.approx(np.nanmax(np.abs(matrix)))
    texts = {text.get_position(): text for text in axes[0].texts}
    assert len(texts) == 10
    assert texts[(0, 3)].get_text() == signed(matrix[0, 3])


def test_interactions_are_bold_where_the_interval_leaves_out_zero(attributed):
    stored = attributed.obsm["attribution_interactions"]
    stored["H3K4me3 x H3K27me3"] -= 2.0
    stored["H3K4me3 x H3K4me1"] -= stored["H3K4me3 x H3K4me1"].mean()
    axes = pl.interactions(attributed, groupby="label")
    assert [ax.get_title().split(",")[0] for ax in axes] == ["label: low", "label: high"]
    for ax, group in zip(axes, ["low", "high"], strict=True):
        table = get.interactions(attributed, groupby="label")
        table = table[table["label"] == group]
        weight = {text.get_position(): text.get_fontweight() for text in ax.texts}
        for row in table.itertuples():
            at = MARKS.index(row.first), MARKS.index(row.second)
            assert weight[at] == ("bold" if row.low > 0 or row.high < 0 else "normal")
        assert weight[(0, 3)] == "bold"
    alone = pl.interactions(attributed)[0]
    assert {text.get_position(): text.get_fontweight() for text in alone.texts}[(0, 1)] == "normal"


def test_a_symbol_that_is_missing_is_replaced_by_the_id(attributed):
    attributed.obs["symbol"] = attributed.obs["symbol"].astype(object)
    attributed.obs.iloc[1, attributed.obs.columns.get_loc("symbol")] = "NA"
    attributed.obs.iloc[2, attributed.obs.columns.get_loc("symbol")] = None
    for row in (1, 2):
        name = attributed.obs_names[row]
        assert pl.gene(attributed, name)[0].figure.get_suptitle().startswith(f"{name}  ·")
        assert get.mark_effects(attributed, genes=name)["symbol"].tolist() == [name] * 5


PER_GENE = [pl.browser, pl.neighbor_effects]
BY_GROUP = [pl.effect_map, pl.mark_effects, pl.interactions]


@pytest.mark.parametrize("plot", PER_GENE)
def test_unknown_genes_are_named(attributed, plot):
    with pytest.raises(ValueError, match="'PAX5' among 200"):
        plot(attributed, "PAX5")
    assert not plt.get_fignums()


@pytest.mark.parametrize("plot", PER_GENE)
def test_unknown_attributions_of_a_gene_are_named(attributed, plot):
    with pytest.raises(ValueError, match=r"'expr' \(those found: attribution;.*sct\.tl\.attribute"):
        plot(attributed, attributed.obs_names[1], key="expr")
    assert not plt.get_fignums()


@pytest.mark.parametrize("plot", PER_GENE)
def test_a_graph_that_has_changed_is_named(attributed, plot):
    pp.tss_neighbors(attributed, n_neighbors=2)
    with pytest.raises(ValueError, match="graph 'tss' does not link"):
        plot(attributed, attributed.obs_names[1])
    assert not plt.get_fignums()


def test_arcs_need_attributions_of_the_gene(attributed):
    with pytest.raises(ValueError, match=r"sct\.tl\.attribute\(adata, model, genes="):
        pl.neighbor_effects(attributed, attributed.obs_names[4])
    assert not plt.get_fignums()


def test_arcs_need_neighbours(attributed):
    attributed.uns["attribution"]["neighbors_key"] = ""
    with pytest.raises(ValueError, match="neighbors_key='tss'"):
        pl.neighbor_effects(attributed, attributed.obs_names[1])
    assert not plt.get_fignums()


@pytest.mark.parametrize("plot", [pl.browser, pl.gene])
def test_unknown_layers_are_named(attributed, plot):
    with pytest.raises(ValueError, match="no layer 'counts'"):
        plot(attributed, attributed.obs_names[1], layer="counts")
    assert not plt.get_fignums()


@pytest.mark.parametrize("plot", BY_GROUP)
def test_unknown_groups_are_named(attributed, plot):
    with pytest.raises(ValueError, match=r"'leiden'.*groupby"):
        plot(attributed, groupby="leiden")
    assert not plt.get_fignums()


@pytest.mark.parametrize("plot", BY_GROUP)
def test_unknown_attributions_are_named(attributed, plot):
    with pytest.raises(ValueError, match="no attributions 'expr'"):
        plot(attributed, key="expr")
    assert not plt.get_fignums()


@pytest.mark.parametrize("plot", BY_GROUP)
def test_missing_attributions_are_named_with_the_call_that_makes_them(attributed, plot):
    del attributed.obsm["attribution_interactions"], attributed.layers["attribution"]
    with pytest.raises(ValueError, match=r"run sct\.tl\.\w+\(adata, model\) first"):
        plot(attributed)
    assert not plt.get_fignums()
