"""Simulate histone marks and expression, with the effects that link them written down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.window import DEFAULT_WINDOWS
from simplechrome_tk.datasets._roadmap import CORE_MARKS, _choose
from simplechrome_tk.pp._bin import bin_peaks
from simplechrome_tk.pp._label import label_expression
from simplechrome_tk.pp._neighbors import tss_neighbors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from simplechrome_tk.core.window import Window

_CHROMOSOMES = {  # hg19: protein-coding genes, length in Mb
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
_NEIGHBORS = 5  # an effect comes from one of so many nearest genes
_FEWEST, _MOST = (_NEIGHBORS + 1) * len(_CHROMOSOMES), 200_000
_CHROMOSOME_END = 1_000_000  # bp kept free at both ends of a chromosome
_LONGEST_BODY = 900_000
_BACKGROUND = 0.15
_DISPERSION = 2.0  # of the negative binomial: variance = mean + mean**2 / _DISPERSION

_MEAN_LOG, _OWN_SD, _NEIGHBOR_SD, _NOISE_SD = 0.25, 0.8, 0.4, 0.48  # in log10 RPKM
_INTERACTION = ("H3K4me3", "H3K27me3", -0.5)


def _promoter(x: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Two unequal flanks of the nucleosome-free stretch before the TSS."""
    flanks = np.where(x < 0, 0.75 * _bell(x, 0, 700), _bell(x, 0, 1_400))
    return flanks * (1 - 0.7 * _bell(x, -50, 150))


def _flanks(x: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Both sides of the promoter."""
    return 0.7 * _bell(x, -1_900, 900) + _bell(x, 2_300, 1_400)


def _wide_promoter(x: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Promoter and flanks."""
    return 0.8 * _promoter(x, length) + 0.5 * _flanks(x, length)


def _start_of_body(x: np.ndarray, length: np.ndarray) -> np.ndarray:
    """From the promoter into the first kilobases of the transcript."""
    return np.where(x < 0, 0.6 * _bell(x, 0, 900), 0.6 + 0.4 * (1 - np.exp(-_after(x) / 600))) * np.exp(
        -_after(x - 1_000) / 12_000
    )


def _body(x: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Rising behind the TSS, along the transcript, and fading behind its end."""
    rise = 1 - np.exp(-_after(x) / 3_000)
    return rise * (0.6 + 0.4 * np.minimum(x / length, 1)) * np.exp(-_after(x - length) / 4_000)


def _repressed_gene(x: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Broad, highest around the promoter, lower behind the end."""
    return 0.6 + 0.4 * _bell(x, 500, 2_500) - 0.25 * (1 - np.exp(-_after(x - length) / 5_000))


def _domain(x: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Broad, a little lower at the promoter."""
    return 1 - 0.3 * _bell(x, 0, 800)


def _bell(x: np.ndarray, center: float, width: float) -> np.ndarray:
    return np.exp(-(((x - center) / width) ** 2) / 2)


def _after(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


@dataclass(frozen=True)
class _Mark:
    """How a mark looks and acts.

    ``shape`` takes bp behind the TSS and body lengths; ``state`` is what a gene needs to carry it; ``height`` is the
    signal at the top; ``effect`` is relative, on log expression per unit of mean log signal in ``zones``:
    ``(anchor, start, end)`` in bp or fractions of the body.
    """

    shape: Callable[[np.ndarray, np.ndarray], np.ndarray]
    state: str
    height: float
    effect: float
    zones: tuple[tuple[str, float, float], ...]


_MARKS = {
    "H3K4me3": _Mark(_promoter, "poised", 14, 0.45, (("tss", -500, 1_500),)),
    "H3K4me1": _Mark(_flanks, "poised", 5, 0.15, (("tss", -3_000, -1_000), ("tss", 1_500, 4_000))),
    "H3K36me3": _Mark(_body, "active", 4, 0.6, (("tss", 3_000, 5_000), ("body", 0.3, 1))),
    "H3K27me3": _Mark(_repressed_gene, "polycomb", 4, -0.5, (("tss", -1_500, 2_500),)),
    "H3K9me3": _Mark(_domain, "heterochromatin", 4, -0.6, (("tss", -5_000, -3_000), ("body", 0, 1))),
    "H3K27ac": _Mark(_promoter, "active", 20, 0.4, (("tss", -500, 1_000),)),
    "H3K9ac": _Mark(_promoter, "active", 20, 0.3, (("tss", 0, 1_000),)),
    "H3K4me2": _Mark(_wide_promoter, "poised", 14, 0.2, (("tss", 1_000, 2_500),)),
    "H3K79me2": _Mark(_start_of_body, "active", 10, 0.4, (("tss", 1_000, 4_000), ("body", 0, 0.2))),
}


def simulate(
    n_genes: int = 2_000,
    *,
    marks: Sequence[str] = CORE_MARKS,
    windows: Sequence[Window] = DEFAULT_WINDOWS,
    neighbor_fraction: float = 0.5,
    rng: np.random.Generator | int | None = 0,
) -> ad.AnnData:
    """Simulate genes whose marks set their expression by known effects, in the layout of :func:`roadmap`.

    Silent genes lie in domains of H3K27me3 or H3K9me3 that they share with their neighbours on the chromosome. Each
    mark has the shape it has in cells. A bin's signal is a negative binomial count, drawn for each gene by itself, also
    where windows overlap. Expression is a sum of planted effects of that very signal, and noise::

        level = mean of log1p(X) over the planted columns of a mark
        log10(expression + 0.1) = intercept + log1p(X) @ var["planted_effect"]
                                  + interaction * level("H3K4me3") * level("H3K27me3")
                                  + obsp["planted_neighbor_effects"] @ (level("H3K4me3") - center)
                                  + noise

    floored at expression 0. By default a tenth of its variance comes from neighbours, and a good quarter is noise.

    Parameters
    ----------
    n_genes
        Number of genes, spread over chr1 to chr22 and chrX as real genes are, six at least on each.
    marks
        Histone marks, of the nine in :data:`simplechrome_tk.datasets.ALL_MARKS`.
    windows
        Regions to bin. A mark acts through the bins where it is known to act (H3K36me3: downstream and in the body); if
        no bin lies there, through all its bins.
    neighbor_fraction
        Fraction of the genes that a neighbour acts on: those whose nearest neighbours are closest. The neighbour is one
        of the five nearest, a close one more likely. Upstream of the gene it raises expression, downstream it lowers
        it, so that the rule can be learnt from ``tss_distances`` (:func:`simplechrome_tk.pp.tss_neighbors`).
    rng
        Seed or generator.

    Returns
    -------
    anndata.AnnData
        Genes by bins, float32 counts, with the ``obs`` and ``var`` of :func:`roadmap`; ``cell_type`` is ``simulated``.
        Ids look like Ensembl's and mean nothing; symbols count along the genome. The truth:

        ``var["planted_effect"]``: effect on log10 expression per unit of log1p signal, 0 for most columns.
        ``obsp["planted_neighbor_effects"]``: ``n_genes x n_genes`` sparse, row = gene, column = neighbour.
        ``uns["units"]``: what ``X`` and ``expression`` hold, as plots call it.
        ``uns["simulate"]``: ``n_genes``, ``marks``, ``neighbor_fraction``, ``intercept``, ``noise_sd``,
        ``interaction`` (``marks``, ``effect``; empty when one of the two marks is left out) and ``neighbor`` (``mark``:
        H3K4me3, or the first mark when that is left out; ``center``).

    Raises
    ------
    ValueError
        When a mark is unknown, ``n_genes`` is below 138 or above 200,000, or ``neighbor_fraction`` is not a fraction.

    Examples
    --------
    >>> import simplechrome_tk as sct
    >>> adata = sct.datasets.simulate(200)
    >>> adata.shape
    (200, 600)
    """
    _choose(marks, list(_MARKS), "mark")
    if not _FEWEST <= n_genes <= _MOST:
        msg = (
            f"n_genes is {n_genes}; expected {_FEWEST} to {_MOST}: each of {len(_CHROMOSOMES)} chromosomes gets at "
            f"least {_NEIGHBORS + 1}, so that every gene has neighbours. Simulate more and select."
        )
        raise ValueError(msg)
    if not 0 <= neighbor_fraction <= 1:
        msg = f"neighbor_fraction is {neighbor_fraction}; expected a fraction of the genes, from 0 to 1."
        raise ValueError(msg)
    generator = np.random.default_rng(rng)
    genes = _draw_genes(n_genes, generator)
    background = pd.DataFrame({"chrom": list(_CHROMOSOMES), "start": 0, "end": 10**9, "signal": _BACKGROUND})
    adata = bin_peaks(dict.fromkeys(marks, background), genes, windows=windows)
    _draw_signal(adata, windows, generator)
    log_expression = _plant(adata, neighbor_fraction, generator)
    adata.obs[k.EXPRESSION] = np.maximum(10**log_expression - 0.1, 0)
    adata.obs[k.CELL_TYPE] = pd.Categorical(["simulated"] * n_genes)
    label_expression(adata)
    adata.uns[k.UNITS] = {k.SIGNAL: "simulated reads per bin", k.EXPRESSION: "simulated RPKM"}
    return adata


def _draw_genes(n_genes: int, rng: np.random.Generator) -> pd.DataFrame:
    """Genes in the order of their ids, with the columns of ``roadmap`` up to ``annotated``."""
    share = np.array([count for count, _ in _CHROMOSOMES.values()], dtype=float)
    shared_out = np.round(np.cumsum(share / share.sum()) * (n_genes - _FEWEST)).astype(int)
    on = np.repeat(np.arange(len(share)), _NEIGHBORS + 1 + np.diff(shared_out, prepend=0))
    length = np.array([megabases for _, megabases in _CHROMOSOMES.values()]) * 1e6 - 2 * _CHROMOSOME_END
    spread = 1.5
    gaps = rng.lognormal(-(spread**2) / 2, spread, n_genes) * (length / share)[on]
    away = pd.Series(gaps).groupby(on).cumsum()
    fit = np.minimum(1, length / away.groupby(on).max().to_numpy())
    tss = (_CHROMOSOME_END + away.to_numpy() * fit[on]).astype(int)
    body = np.clip(rng.lognormal(np.log(25_000), 1.4, n_genes), 1_000, _LONGEST_BODY).round()
    minus = rng.random(n_genes) < 0.5
    genes = pd.DataFrame(
        {
            k.SYMBOL: [f"SIM{i + 1:04d}" for i in range(n_genes)],
            k.CHROM: np.array(list(_CHROMOSOMES), dtype=object)[on],
            k.START: tss - body * minus,
            k.END: tss + body * ~minus,
            k.STRAND: np.where(minus, "-", "+").astype(object),
            k.TSS: tss,
            k.ANNOTATED: True,
        },
        index=[f"ENSG{number:011d}" for number in rng.choice(250_000, n_genes, replace=False)],
    )
    return genes.sort_index()


def _draw_signal(adata: ad.AnnData, windows: Sequence[Window], rng: np.random.Generator) -> None:
    """Add each mark's shape to the background in ``X``, then replace these expected values by counts."""
    length = (adata.obs[k.END] - adata.obs[k.START]).to_numpy(np.float32)[:, None]
    levels = _draw_levels(adata.obs, list(adata.var[k.MARK].cat.categories), rng)
    points = 5
    column = 0
    for window in windows:
        bounds = window.bounds()
        inside = bounds[:-1, None] + np.diff(bounds)[:, None] * (np.arange(points) + 0.5) / points
        inside = inside.astype(np.float32).reshape(1, -1)
        x = {"tss": inside, "body": inside * length, "tes": inside + length}[window.anchor]
        for mark, level in levels.items():
            profile = _MARKS[mark].shape(x, length).reshape(-1, window.n_bins, points).mean(axis=2)
            block = adata.X[:, column : column + window.n_bins]
            expected = block + level[:, None] * np.broadcast_to(profile, block.shape)
            block[:] = rng.poisson(expected * rng.standard_gamma(_DISPERSION, block.shape) / _DISPERSION)
            column += window.n_bins


def _draw_levels(genes: pd.DataFrame, marks: Sequence[str], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Height of each mark on each gene, shape ``(n_genes,)``."""
    n_genes = len(genes)
    polycomb = _draw_domains(genes, rng, share=0.3, reach=400_000)
    heterochromatin = _draw_domains(genes, rng, share=0.15, reach=600_000)
    active = rng.random(n_genes) < np.where(heterochromatin > 0, 0.15, np.where(polycomb > 0, 0.25, 0.8))
    bivalent = ~active & (polycomb > 0) & (rng.random(n_genes) < 0.5)
    strength = np.exp(0.4 * rng.standard_normal(n_genes))
    state = {
        "active": np.where(active, strength, 0.03),
        "poised": np.where(active, strength, np.where(bivalent, 0.35, 0.03)),
        "polycomb": polycomb * np.where(active, 0.3, 1.0),
        "heterochromatin": heterochromatin * np.where(active, 0.5, 1.0),
    }
    own = {mark: np.exp(0.35 * rng.standard_normal(n_genes)) for mark in marks}
    return {mark: _MARKS[mark].height * state[_MARKS[mark].state] * own[mark] for mark in marks}


def _draw_domains(genes: pd.DataFrame, rng: np.random.Generator, *, share: float, reach: float) -> np.ndarray:
    """Level of a mark that spreads over neighbouring genes, shape ``(n_genes,)``; 0 outside domains.

    A boundary falls between two neighbours the more likely the further apart they are, in units of ``reach`` bp.
    """
    order = np.lexsort((genes[k.TSS], genes[k.CHROM]))
    chrom, tss = genes[k.CHROM].to_numpy()[order], genes[k.TSS].to_numpy()[order]
    kept = np.exp(-np.diff(tss) / reach, where=chrom[1:] == chrom[:-1], out=np.zeros(len(tss) - 1))
    domain = np.cumsum(np.append(0, rng.random(len(kept)) >= kept))
    level = np.exp(0.3 * rng.standard_normal(len(tss))) * (rng.random(len(tss)) < share)
    levels = np.empty(len(tss))
    levels[order] = level[domain]
    return levels


def _plant(adata: ad.AnnData, neighbor_fraction: float, rng: np.random.Generator) -> np.ndarray:
    """Write the truth into ``var``, ``obsp`` and ``uns``; return log10 expression, shape ``(n_genes,)``."""
    marks = list(adata.var[k.MARK].cat.categories)
    columns = {mark: _acting_columns(adata, mark) for mark in marks}
    level = {mark: np.log1p(adata.X[:, at]).mean(axis=1, dtype=float) for mark, at in columns.items()}
    first, second, product = _INTERACTION
    interacts = {first, second} <= set(marks)
    own = sum(_MARKS[mark].effect * level[mark] for mark in marks) + (
        product * level[first] * level[second] if interacts else 0.0
    )
    scale = _OWN_SD / own.std()
    own *= scale
    source = first if first in marks else marks[0]
    center = float(level[source].mean())
    neighbor_effects = _draw_neighbor_effects(adata.obs, neighbor_fraction, rng) * (_NEIGHBOR_SD / level[source].std())

    planted = np.zeros(adata.n_vars)
    for mark, at in columns.items():
        planted[at] = scale * _MARKS[mark].effect / len(at)
    adata.var["planted_effect"] = planted
    adata.obsp["planted_neighbor_effects"] = neighbor_effects
    intercept = _MEAN_LOG - float(own.mean())
    adata.uns[k.SIMULATE] = {
        "n_genes": adata.n_obs,
        "marks": marks,
        "neighbor_fraction": float(neighbor_fraction),
        "intercept": intercept,
        "noise_sd": _NOISE_SD,
        "interaction": {"marks": [first, second], "effect": float(scale * product)} if interacts else {},
        "neighbor": {"mark": source, "center": center},
    }
    noise = _NOISE_SD * rng.standard_normal(adata.n_obs)
    return intercept + own + neighbor_effects @ (level[source] - center) + noise


def _acting_columns(adata: ad.AnnData, mark: str) -> np.ndarray:
    """Columns through which a mark acts."""
    var = adata.var
    anchor = adata.uns[k.WINDOWS]["anchor"].reindex(var[k.REGION].astype(str)).to_numpy()
    middle = ((var[k.START_BP] + var[k.END_BP]) / 2).to_numpy()
    of_mark = (var[k.MARK] == mark).to_numpy()
    acts = np.zeros(len(var), dtype=bool)
    for name, start, end in _MARKS[mark].zones:
        acts |= of_mark & (anchor == name) & (middle >= start) & (middle < end)
    return np.flatnonzero(acts if acts.any() else of_mark)


def _draw_neighbor_effects(genes: pd.DataFrame, fraction: float, rng: np.random.Generator) -> sparse.csr_matrix:
    """+1 for an acting upstream neighbour, -1 for a downstream one, shape ``(n_genes, n_genes)``."""
    placed = ad.AnnData(obs=genes[[k.CHROM, k.TSS, k.STRAND]])
    tss_neighbors(placed, n_neighbors=_NEIGHBORS)
    distances = placed.obsp[k.DISTANCES.format("tss")]
    away = distances.data.reshape(-1, _NEIGHBORS)
    reached = np.cumsum(1 / (np.abs(away) + 5_000) ** 2, axis=1)
    chosen = (rng.random((len(genes), 1)) * reached[:, -1:] > reached[:, :-1]).sum(axis=1)
    closest = np.argsort(np.abs(away).min(axis=1), kind="stable")[: round(fraction * len(genes))]
    neighbor = distances.indices.reshape(-1, _NEIGHBORS)[closest, chosen[closest]]
    sign = np.where(away[closest, chosen[closest]] < 0, 1.0, -1.0)
    return sparse.csr_matrix((sign, (closest, neighbor)), shape=distances.shape)
