"""Simulated histone marks and expression, with the effects that link them stored as the truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.layout import Layout
from simplechrome_tk.core.values import whole
from simplechrome_tk.core.window import DEFAULT_WINDOWS
from simplechrome_tk.datasets._related import plant_related
from simplechrome_tk.datasets._roadmap import choose_marks
from simplechrome_tk.pp._bin import bin_peaks
from simplechrome_tk.pp._label import label_expression
from simplechrome_tk.pp._neighbors import tss_neighbors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from simplechrome_tk.core.window import Window

# Protein-coding genes and length in Mb of each chromosome (hg19).
_CHROMOSOMES = {
    "chr1": (2012, 249),
    "chr2": (1203, 243),
    "chr3": (1040, 198),
    "chr4": (718, 191),
    "chr5": (849, 180),
    "chr6": (1002, 171),
    "chr7": (866, 159),
    "chr8": (659, 146),
    "chr9": (785, 141),
    "chr10": (745, 135),
    "chr11": (1258, 135),
    "chr12": (1003, 133),
    "chr13": (318, 115),
    "chr14": (601, 107),
    "chr15": (562, 102),
    "chr16": (805, 90),
    "chr17": (1158, 81),
    "chr18": (268, 78),
    "chr19": (1399, 59),
    "chr20": (533, 63),
    "chr21": (225, 48),
    "chr22": (431, 51),
    "chrX": (815, 155),
}
# The neighbour that acts on a gene is one of so many nearest genes.
_NEIGHBORS = 5
_FEWEST, _MOST = (_NEIGHBORS + 1) * len(_CHROMOSOMES), 200_000
_MOST_RELATED = 100

# bp without genes at both ends of a chromosome.
_CHROMOSOME_END = 1_000_000
# Standard deviation of the natural logarithm of the gaps between genes.
_GAP_SD = 1.5
# Length of gene bodies: median in bp, standard deviation of the natural logarithm, and limits in bp.
_BODY_MEDIAN, _BODY_SD = 25_000, 1.4
_SHORTEST_BODY, _LONGEST_BODY = 1_000, 900_000
# Share of genes on the minus strand.
_MINUS_SHARE = 0.5
# Numbers of ids are below this.
_LARGEST_ID = 250_000

# Expected reads per bin without any mark, and the end of this background in bp, beyond every chromosome.
_BACKGROUND = 0.15
_BACKGROUND_END = 10**9
# Dispersion of the negative binomial of counts: variance = mean + mean**2 / DISPERSION.
DISPERSION = 2.0
# Points within a bin at which the shape of a mark is averaged.
_POINTS = 5

# Share of the domains of genes that carry H3K27me3 (Polycomb) or H3K9me3 (heterochromatin), and their reach in bp.
_POLYCOMB_SHARE, _POLYCOMB_REACH = 0.3, 400_000
_HETEROCHROMATIN_SHARE, _HETEROCHROMATIN_REACH = 0.15, 600_000
# Standard deviation of the natural logarithm of the level of a domain.
_DOMAIN_SD = 0.3

# Probability that a gene is active, by where it lies.
_ACTIVE_IN_HETEROCHROMATIN, _ACTIVE_IN_POLYCOMB, _ACTIVE_ELSEWHERE = 0.15, 0.25, 0.8
# Probability that a silent gene in a Polycomb domain is bivalent: its promoter carries active marks as well.
_BIVALENT = 0.5

# Levels as fractions of the height of a mark: active marks on silent and on bivalent genes, and repressive marks on
# genes that are active in their domain.
SILENT_LEVEL, _BIVALENT_LEVEL = 0.03, 0.35
_POLYCOMB_ON_ACTIVE, _HETEROCHROMATIN_ON_ACTIVE = 0.3, 0.5
# Standard deviations of the natural logarithm of the level: of all active marks of a gene, and of each mark by itself.
STRENGTH_SD, _MARK_SD = 0.4, 0.35

# Expression in log10 RPKM: its mean, and the standard deviations that come from the gene's own marks, from the marks of
# its neighbour, from those of its related genes, and from noise.
MEAN_LOG, OWN_SD, _NEIGHBOR_SD, _RELATED_SD, NOISE_SD = 0.25, 0.8, 0.4, 0.5, 0.48
# The mark that keeps a related gene from acting.
_CONDITION = "H3K27me3"
# Two marks, and the effect of the product of their levels, relative to the effects of single marks in MARKS.
_INTERACTION = ("H3K4me3", "H3K27me3", -0.5)
# The probability that a neighbour acts is proportional to 1 / (distance + _NEARBY)**2, in bp.
_NEARBY = 5_000


# Shapes of marks. Each takes positions in bp behind the TSS, negative upstream, and the length of the body in bp, and
# returns the level as a fraction of the height of the mark. Centres, widths (standard deviations of a bell) and decays
# (to 1/e) are in bp.


def _promoter(x: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Two unequal flanks of the nucleosome-free stretch before the TSS."""
    flanks = np.where(x < 0, 0.75 * _bell(x, center=0, width=700), _bell(x, center=0, width=1_400))
    nucleosome_free = 0.7 * _bell(x, center=-50, width=150)
    return flanks * (1 - nucleosome_free)


def _flanks(x: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Both sides of the promoter."""
    return 0.7 * _bell(x, center=-1_900, width=900) + _bell(x, center=2_300, width=1_400)


def _wide_promoter(x: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Promoter and flanks."""
    return 0.8 * _promoter(x, length) + 0.5 * _flanks(x, length)


def _start_of_body(x: np.ndarray, length: np.ndarray) -> np.ndarray:
    """From the promoter into the first kilobases of the transcript."""
    upstream = 0.6 * _bell(x, center=0, width=900)
    downstream = 0.6 + 0.4 * _rise(x, decay=600)
    return np.where(x < 0, upstream, downstream) * _fade(x - 1_000, decay=12_000)


def _body(x: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Rising behind the TSS, along the transcript, and fading behind its end."""
    along = 0.6 + 0.4 * np.minimum(x / length, 1)
    return _rise(x, decay=3_000) * along * _fade(x - length, decay=4_000)


def _repressed_gene(x: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Broad, highest around the promoter, lower behind the end."""
    return 0.6 + 0.4 * _bell(x, center=500, width=2_500) - 0.25 * _rise(x - length, decay=5_000)


def _domain(x: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Broad, a little lower at the promoter."""
    return 1 - 0.3 * _bell(x, center=0, width=800)


def _bell(x: np.ndarray, *, center: float, width: float) -> np.ndarray:
    """Fall from 1 at the centre on both sides."""
    return np.exp(-(((x - center) / width) ** 2) / 2)


def _rise(x: np.ndarray, *, decay: float) -> np.ndarray:
    """Rise from 0 at position 0 towards 1."""
    return 1 - _fade(x, decay=decay)


def _fade(x: np.ndarray, *, decay: float) -> np.ndarray:
    """Fall from 1 at position 0 towards 0."""
    return np.exp(-np.maximum(x, 0) / decay)


@dataclass(frozen=True)
class Mark:
    """Shape and effect of a mark.

    Attributes
    ----------
    shape
        Level along the gene as a fraction of the height, from bp behind the TSS and the length of the body.
    state
        State of a gene that carries the mark; a key of ``state`` in :func:`draw_levels`.
    height
        Expected reads per bin at the highest point.
    effect
        Effect on log expression per unit of mean log signal in ``zones``, relative to the other marks.
    zones
        Where the mark acts: ``(anchor, start, end)`` in bp, or as fractions of the body.
    """

    shape: Callable[[np.ndarray, np.ndarray], np.ndarray]
    state: str
    height: float
    effect: float
    zones: tuple[tuple[str, float, float], ...]


MARKS = {
    "H3K4me3": Mark(_promoter, "poised", 14, 0.45, (("tss", -500, 1_500),)),
    "H3K4me1": Mark(_flanks, "poised", 5, 0.15, (("tss", -3_000, -1_000), ("tss", 1_500, 4_000))),
    "H3K36me3": Mark(_body, "active", 4, 0.6, (("tss", 3_000, 5_000), ("body", 0.3, 1))),
    "H3K27me3": Mark(_repressed_gene, "polycomb", 4, -0.5, (("tss", -1_500, 2_500),)),
    "H3K9me3": Mark(_domain, "heterochromatin", 4, -0.6, (("tss", -5_000, -3_000), ("body", 0, 1))),
    "H3K27ac": Mark(_promoter, "active", 20, 0.4, (("tss", -500, 1_000),)),
    "H3K9ac": Mark(_promoter, "active", 20, 0.3, (("tss", 0, 1_000),)),
    "H3K4me2": Mark(_wide_promoter, "poised", 14, 0.2, (("tss", 1_000, 2_500),)),
    "H3K79me2": Mark(_start_of_body, "active", 10, 0.4, (("tss", 1_000, 4_000), ("body", 0, 0.2))),
}


def simulate(
    n_genes: int = 2_000,
    *,
    marks: str | Sequence[str] = "core",
    windows: Sequence[Window] = DEFAULT_WINDOWS,
    neighbor_fraction: float = 0.5,
    n_related: int = 0,
    rng: np.random.Generator | int | None = 0,
) -> ad.AnnData:
    """Simulate genes whose marks set their expression by known effects, in the layout of :func:`roadmap`.

    Silent genes lie in domains of H3K27me3 or H3K9me3 that they share with their neighbours on the chromosome. Each
    mark has the shape that it has in cells. The signal of a bin is a negative binomial count, drawn separately for each
    gene, also where windows overlap. Expression is the sum of planted effects of this signal, and noise::

        level = mean of log1p(X) over the planted columns of a mark
        log10(expression + 0.1) = intercept + log1p(X) @ var["planted_effect"]
                                  + interaction * level("H3K4me3") * level("H3K27me3")
                                  + obsp["planted_neighbor_effects"] @ (level("H3K4me3") - center)
                                  + noise

    with expression no lower than 0. By default a tenth of the variance of log expression comes from neighbours, and
    about a quarter is noise.

    Parameters
    ----------
    n_genes
        Number of genes, spread over chr1 to chr22 and chrX as real genes are, six at least on each.
    marks
        Histone marks: ``"core"``, ``"all"`` or names, as for :func:`roadmap`.
    windows
        Regions to bin, as for :func:`roadmap`. A mark acts through the bins where it is known to act (H3K36me3:
        downstream and in the body); if no bin lies there, through all its bins.
    neighbor_fraction
        Fraction of the genes that a neighbour acts on: those whose nearest neighbours are closest. The neighbour is one
        of the five nearest, a close one more likely. Upstream of the gene it raises expression, downstream it lowers
        it, so that the rule can be learnt from ``tss_distances`` (:func:`simplechrome_tk.pp.tss_neighbors`).
    n_related
        Number of related genes of each gene, drawn from the whole genome; 0 simulates none. Those act that do not
        carry H3K27me3, and raise the expression of the gene with their H3K4me3. The weights of the graph ``"related"``
        say little about which ones act (AUROC .59): the rule has to be learnt from their marks.
    rng
        Seed or generator.

    Returns
    -------
    anndata.AnnData
        Genes by bins, float32 counts, with the ``obs`` and ``var`` of :func:`roadmap`; ``cell_type`` is ``simulated``.
        Ids have the form of Ensembl ids without their meaning; symbols count along the genome. The truth:

        ``var["planted_effect"]``: effect on log10 expression per unit of log1p signal, 0 for most columns.
        ``obsp["planted_neighbor_effects"]``: ``n_genes x n_genes`` sparse, row = gene, column = neighbour or related
        gene.
        ``obsp["related_connectivities"]``, ``obsp["related_distances"]``, ``uns["related_neighbors"]``: with
        ``n_related``, the graph of related genes, for ``neighbors_key="related"``.
        ``uns["units"]``: what ``X`` and ``expression`` hold, as plots call it.
        ``uns["simulate"]``: ``n_genes``, ``marks``, ``neighbor_fraction``, ``n_related``, ``intercept``, ``noise_sd``,
        ``interaction`` (``marks``, ``effect``; empty when one of the two marks is left out), ``neighbor`` (``mark``:
        H3K4me3, or the first mark when that is left out; ``center``) and, with related genes, ``related`` (``mark``:
        H3K27me3, or the last mark when that is left out; ``threshold``: mean of log1p(X) over its planted columns below
        which a related gene acts).

    Raises
    ------
    ValueError
        When a mark is unknown, ``n_genes`` is below 138 or above 200,000, ``neighbor_fraction`` is not a fraction, or
        ``n_related`` is no number from 0 to 100.

    Examples
    --------
    >>> adata = sct.datasets.simulate(200)
    >>> adata.shape
    (200, 600)
    """
    marks = choose_marks(marks)
    check_n_genes(n_genes)
    if not 0 <= neighbor_fraction <= 1:
        msg = f"neighbor_fraction is {neighbor_fraction}; expected a fraction of the genes, from 0 to 1."
        raise ValueError(msg)
    whole("n_related", n_related, least=0, most=_MOST_RELATED)
    generator = np.random.default_rng(rng)
    genes = draw_genes(n_genes, generator)
    adata = bin_background(genes, marks, windows)
    _draw_signal(adata, windows, generator)
    log_expression = _plant(adata, neighbor_fraction, n_related, generator)
    adata.obs[k.EXPRESSION] = np.maximum(10**log_expression - 0.1, 0)
    adata.obs[k.CELL_TYPE] = pd.Categorical(["simulated"] * n_genes)
    label_expression(adata)
    adata.uns[k.UNITS] = {k.SIGNAL: "simulated reads per bin", k.EXPRESSION: "simulated RPKM"}
    return adata


def check_n_genes(n_genes: int) -> None:
    """Raise a ``ValueError`` unless so many genes can be simulated."""
    if not _FEWEST <= n_genes <= _MOST:
        msg = (
            f"n_genes is {n_genes}; expected {_FEWEST} to {_MOST}: each of {len(_CHROMOSOMES)} chromosomes gets at "
            f"least {_NEIGHBORS + 1}, so that every gene has neighbours. Simulate more and select."
        )
        raise ValueError(msg)


def bin_background(genes: pd.DataFrame, marks: Sequence[str], windows: Sequence[Window]) -> ad.AnnData:
    """Return genes by bins that hold the reads expected without any mark."""
    background = pd.DataFrame({"chrom": list(_CHROMOSOMES), "start": 0, "end": _BACKGROUND_END, "signal": _BACKGROUND})
    return bin_peaks(dict.fromkeys(marks, background), genes, windows=windows)


def draw_genes(n_genes: int, rng: np.random.Generator) -> pd.DataFrame:
    """Draw genes, in the order of their ids, with the columns of ``roadmap`` up to ``annotated``."""
    # Each chromosome gets the fewest genes that have neighbours, and its share of the others.
    share = np.array([count for count, _ in _CHROMOSOMES.values()], dtype=float)
    shared_out = np.round(np.cumsum(share / share.sum()) * (n_genes - _FEWEST)).astype(int)
    on = np.repeat(np.arange(len(share)), _NEIGHBORS + 1 + np.diff(shared_out, prepend=0))
    length = np.array([megabases for _, megabases in _CHROMOSOMES.values()]) * 1e6 - 2 * _CHROMOSOME_END
    # A log-normal of mean 1, times the mean gap of the chromosome; shrunk where the genes would not fit on it.
    gaps = rng.lognormal(-(_GAP_SD**2) / 2, _GAP_SD, n_genes) * (length / share)[on]
    away = pd.Series(gaps).groupby(on).cumsum()
    fit = np.minimum(1, length / away.groupby(on).max().to_numpy())
    tss = (_CHROMOSOME_END + away.to_numpy() * fit[on]).astype(int)
    body = rng.lognormal(np.log(_BODY_MEDIAN), _BODY_SD, n_genes)
    body = np.clip(body, _SHORTEST_BODY, _LONGEST_BODY).round()
    minus = rng.random(n_genes) < _MINUS_SHARE
    genes = pd.DataFrame(
        {
            k.SYMBOL: [f"SIM{i + 1:04d}" for i in range(n_genes)],
            k.CHROM: np.array(list(_CHROMOSOMES), dtype=object)[on],
            k.START: np.where(minus, tss - body, tss),
            k.END: np.where(minus, tss, tss + body),
            k.STRAND: np.where(minus, "-", "+").astype(object),
            k.TSS: tss,
            k.ANNOTATED: True,
        },
        index=[f"ENSG{number:011d}" for number in rng.choice(_LARGEST_ID, n_genes, replace=False)],
    )
    return genes.sort_index()


def _draw_signal(adata: ad.AnnData, windows: Sequence[Window], rng: np.random.Generator) -> None:
    """Add the shape of each mark to the background in ``X``, then replace these expected values with counts."""
    length = (adata.obs[k.END] - adata.obs[k.START]).to_numpy(np.float32)[:, None]
    levels = draw_levels(adata.obs, list(adata.var[k.MARK].cat.categories), rng)
    column = 0
    for window in windows:
        for mark, level in levels.items():
            block = adata.X[:, column : column + window.n_bins]
            expected = block + level[:, None] * shape_in_bins(mark, window, length)
            # A Poisson count whose mean is drawn from a gamma distribution is a negative binomial count.
            block[:] = rng.poisson(expected * rng.standard_gamma(DISPERSION, block.shape) / DISPERSION)
            column += window.n_bins


def shape_in_bins(mark: str, window: Window, length: np.ndarray) -> np.ndarray:
    """Return the level of a mark in each bin as a fraction of its height, ``(n_genes, n_bins)``.

    ``length`` is that of the bodies in bp, ``(n_genes, 1)``.
    """
    bounds = window.bounds()
    inside = bounds[:-1, None] + np.diff(bounds)[:, None] * (np.arange(_POINTS) + 0.5) / _POINTS
    inside = inside.astype(np.float32).reshape(1, -1)
    x = {"tss": inside, "body": inside * length, "tes": inside + length}[window.anchor]
    shape = MARKS[mark].shape(x, length).reshape(-1, window.n_bins, _POINTS).mean(axis=2)
    return np.broadcast_to(shape, (len(length), window.n_bins))


def draw_levels(genes: pd.DataFrame, marks: Sequence[str], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Draw the height of each mark on each gene, ``(n_genes,)``."""
    n_genes = len(genes)
    polycomb = _draw_domains(genes, rng, share=_POLYCOMB_SHARE, reach=_POLYCOMB_REACH)
    heterochromatin = _draw_domains(genes, rng, share=_HETEROCHROMATIN_SHARE, reach=_HETEROCHROMATIN_REACH)
    chance = np.where(polycomb > 0, _ACTIVE_IN_POLYCOMB, _ACTIVE_ELSEWHERE)
    active = rng.random(n_genes) < np.where(heterochromatin > 0, _ACTIVE_IN_HETEROCHROMATIN, chance)
    bivalent = ~active & (polycomb > 0) & (rng.random(n_genes) < _BIVALENT)
    strength = np.exp(STRENGTH_SD * rng.standard_normal(n_genes))
    state = {
        "active": np.where(active, strength, SILENT_LEVEL),
        "poised": np.where(active, strength, np.where(bivalent, _BIVALENT_LEVEL, SILENT_LEVEL)),
        "polycomb": polycomb * np.where(active, _POLYCOMB_ON_ACTIVE, 1.0),
        "heterochromatin": heterochromatin * np.where(active, _HETEROCHROMATIN_ON_ACTIVE, 1.0),
    }
    own = {mark: np.exp(_MARK_SD * rng.standard_normal(n_genes)) for mark in marks}
    return {mark: MARKS[mark].height * state[MARKS[mark].state] * own[mark] for mark in marks}


def _draw_domains(genes: pd.DataFrame, rng: np.random.Generator, *, share: float, reach: float) -> np.ndarray:
    """Draw the level of a mark that spreads over neighbouring genes, ``(n_genes,)``; 0 outside domains.

    Two neighbours on a chromosome are in one domain with a probability of ``exp(-distance / reach)``, in bp; a domain
    carries the mark with a probability of ``share``.
    """
    # Genes are numbered along the genome, and put back into their own order at the end.
    order = np.lexsort((genes[k.TSS], genes[k.CHROM]))
    chrom, tss = genes[k.CHROM].to_numpy()[order], genes[k.TSS].to_numpy()[order]
    # Probability that no boundary lies between a gene and the next; 0 at the end of a chromosome.
    kept = np.exp(-np.diff(tss) / reach, where=chrom[1:] == chrom[:-1], out=np.zeros(len(tss) - 1))
    domain = np.cumsum(np.append(0, rng.random(len(kept)) >= kept))
    level = np.exp(_DOMAIN_SD * rng.standard_normal(len(tss))) * (rng.random(len(tss)) < share)
    levels = np.empty(len(tss))
    levels[order] = level[domain]
    return levels


def _plant(adata: ad.AnnData, neighbor_fraction: float, n_related: int, rng: np.random.Generator) -> np.ndarray:
    """Write the truth into ``var``, ``obsp`` and ``uns``; return log10 expression, ``(n_genes,)``."""
    marks, layout = list(adata.var[k.MARK].cat.categories), Layout.of(adata)
    anchor = adata.uns[k.WINDOWS]["anchor"].reindex(layout.region).to_numpy()
    columns = {mark: acting_columns(layout, anchor, mark) for mark in marks}
    level = {mark: np.log1p(adata.X[:, at]).mean(axis=1, dtype=float) for mark, at in columns.items()}
    first, second, product = _INTERACTION
    interacts = {first, second} <= set(marks)
    own = sum(MARKS[mark].effect * level[mark] for mark in marks) + (
        product * level[first] * level[second] if interacts else 0.0
    )
    # Effects are scaled to the variance of log expression that they are to explain.
    scale = OWN_SD / own.std()
    own *= scale
    source = first if first in marks else marks[0]
    center = float(level[source].mean())
    neighbor_effects = _draw_neighbor_effects(adata.obs, neighbor_fraction, rng) * (_NEIGHBOR_SD / level[source].std())

    planted = np.zeros(adata.n_vars)
    for mark, at in columns.items():
        planted[at] = scale * MARKS[mark].effect / len(at)
    adata.var["planted_effect"] = planted
    related: dict[str, object] = {}
    if n_related:
        effects, related = _plant_related(adata, level, source, n_related, rng)
        neighbor_effects = (neighbor_effects + effects).tocsr()

    adata.obsp["planted_neighbor_effects"] = neighbor_effects
    intercept = MEAN_LOG - float(own.mean())
    adata.uns[k.SIMULATE] = {
        "n_genes": adata.n_obs,
        "marks": marks,
        "neighbor_fraction": float(neighbor_fraction),
        "intercept": intercept,
        "noise_sd": NOISE_SD,
        "interaction": {"marks": [first, second], "effect": float(scale * product)} if interacts else {},
        "neighbor": {"mark": source, "center": center},
        "n_related": int(n_related),
        "related": related,
    }
    noise = NOISE_SD * rng.standard_normal(adata.n_obs)
    return intercept + own + neighbor_effects @ (level[source] - center) + noise


def _plant_related(
    adata: ad.AnnData, level: dict[str, np.ndarray], source: str, n_related: int, rng: np.random.Generator
) -> tuple[sparse.csr_matrix, dict[str, object]]:
    """Plant related genes; return their effects per unit of the level of the acting mark, and the rule."""
    mark = _CONDITION if _CONDITION in level else list(level)[-1]
    # Two groups of genes, with and without the mark, are split in the middle between their levels.
    threshold = float(np.quantile(level[mark], [0.1, 0.95]).mean())
    acts = plant_related(adata, level[mark] < threshold, n_related, rng)
    spread = (acts @ (level[source] - level[source].mean())).std()
    scale = _RELATED_SD / spread if spread > 0 else 0.0
    return acts * scale, {"mark": mark, "threshold": threshold}


def acting_columns(layout: Layout, anchor: np.ndarray, mark: str) -> np.ndarray:
    """Return the columns through which a mark acts: all its columns where no bin lies in one of its zones."""
    of_mark = layout.mark == mark
    acts = np.zeros(layout.n_columns, dtype=bool)
    for name, start, end in MARKS[mark].zones:
        acts |= of_mark & (anchor == name) & (layout.middle >= start) & (layout.middle < end)
    return np.flatnonzero(acts if acts.any() else of_mark)


def _draw_neighbor_effects(genes: pd.DataFrame, fraction: float, rng: np.random.Generator) -> sparse.csr_matrix:
    """Draw +1 for a neighbour that acts from upstream, -1 for one from downstream, ``(n_genes, n_genes)``."""
    placed = ad.AnnData(obs=genes[[k.CHROM, k.TSS, k.STRAND]])
    tss_neighbors(placed, n_neighbors=_NEIGHBORS)
    distances = placed.obsp[k.DISTANCES.format("tss")]
    away = distances.data.reshape(-1, _NEIGHBORS)
    # One of the nearest genes is drawn for each gene, from the cumulative sum of their weights.
    reached = np.cumsum(1 / (np.abs(away) + _NEARBY) ** 2, axis=1)
    chosen = (rng.random((len(genes), 1)) * reached[:, -1:] > reached[:, :-1]).sum(axis=1)
    closest = np.argsort(np.abs(away).min(axis=1), kind="stable")[: round(fraction * len(genes))]
    neighbor = distances.indices.reshape(-1, _NEIGHBORS)[closest, chosen[closest]]
    sign = np.where(away[closest, chosen[closest]] < 0, 1.0, -1.0)
    return sparse.csr_matrix((sign, (closest, neighbor)), shape=distances.shape)
