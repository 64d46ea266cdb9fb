"""Simulated conditions with replicates, between which planted changes of marks change the expression of genes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import anndata as ad
import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.layout import Layout
from simplechrome_tk.core.values import number, whole
from simplechrome_tk.core.window import DEFAULT_WINDOWS
from simplechrome_tk.datasets._roadmap import choose_marks
from simplechrome_tk.datasets._simulate import (
    DISPERSION,
    MARKS,
    MEAN_LOG,
    NOISE_SD,
    OWN_SD,
    SILENT_LEVEL,
    STRENGTH_SD,
    acting_columns,
    bin_background,
    check_n_genes,
    draw_genes,
    draw_levels,
    shape_in_bins,
)
from simplechrome_tk.pp._label import label_expression

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simplechrome_tk.core.window import Window

CONDITIONS = ("A", "B")
"""Names of the conditions; changes are from the first to the second."""

_MOST_REPLICATES = 100
_CHANGED_SHARE = 0.1
# A gene whose level is above this fraction of the height of a mark carries it, and can lose it; others can gain it.
_CARRIED = 0.2
# Smallest planted change of log10 expression; a factor of two.
_SMALLEST_CHANGE = float(np.log10(2))
# Log expression of a gene without any expression.
_LOWEST = -1.0


def simulate_conditions(
    n_genes: int = 1_000,
    *,
    n_replicates: int = 3,
    n_changed: int | None = None,
    replicate_sd: float = 0.15,
    expression_sd: float = 0.1,
    marks: str | Sequence[str] = "core",
    windows: Sequence[Window] = DEFAULT_WINDOWS,
    rng: np.random.Generator | int | None = 0,
) -> ad.AnnData:
    """Simulate two conditions with replicates, in which a known set of genes changes marks and therefore expression.

    The genes, the shapes of their marks and the effects of these on expression are those of :func:`simulate`, without
    neighbours and without the interaction of two marks. A gene that changes gains or loses one mark in one region in
    condition B: a gene that carries the mark loses it, another one gains it. All else is the same in both conditions::

        log10(expression + 0.1) = intercept + log1p(expected signal) @ var["planted_effect"] + noise of the gene

    and no lower than -1. The noise of a gene (standard deviation .48) is what its marks do not explain; it is the same
    in all samples. The expected signal of a gene without change is the same in all samples, too. Replicates differ in
    the counts of reads, in the level of each mark of each gene, and in the measured expression.

    Parameters
    ----------
    n_genes
        Number of genes in each sample, as for :func:`simulate`.
    n_replicates
        Number of samples of each condition.
    n_changed
        Number of genes that change, half of them up where that is possible; by default a tenth of the genes. 0: no gene
        changes.
    replicate_sd
        Standard deviation between replicates of the natural logarithm of the level of each mark of a gene.
    expression_sd
        Standard deviation between replicates of log10(expression + 0.1).
    marks, windows
        As for :func:`simulate`.
    rng
        Seed or generator.

    Returns
    -------
    anndata.AnnData
        ``n_genes * 2 * n_replicates`` rows, float32 counts, sample after sample, in the layout of
        :func:`simplechrome_tk.pp.from_sample_sheet`: ``obs_names`` are ``gene:sample``; ``obs["sample"]`` (``A1``,
        ``A2``, ..., ``B1``, ...), ``obs["condition"]`` (``A``, ``B``) and ``obs["replicate"]`` (``1``, ``2``, ...) are
        categoricals; ``obs["expression"]`` and ``obs["label"]`` are those of the sample.

        The truth is the same in all rows of a gene: ``obs["true_change"]``, log10(expression + 0.1) in B minus that in
        A, without noise of replicates, 0 for genes that do not change; ``obs["true_mark"]`` and ``obs["true_region"]``,
        the mark and the region that change (missing for other genes); ``obs["true_direction"]``, ``"gain"`` or
        ``"loss"`` of the mark in B. ``var["planted_effect"]``: effect on log10 expression per unit of log1p signal.
        ``uns["simulate"]``: ``n_genes``, ``n_replicates``, ``n_changed``, ``marks``, ``intercept``, ``noise_sd``,
        ``replicate_sd``, ``expression_sd`` and ``changes``, a table of the genes that change: ``mark``, ``region``,
        ``direction``, ``true_change``.

    Raises
    ------
    ValueError
        When a mark is unknown, a number is out of its range, or fewer than ``n_changed`` genes can change by a factor
        of two or more.

    Examples
    --------
    >>> both = sct.datasets.simulate_conditions(200, n_replicates=2, n_changed=20)
    >>> both.n_obs, list(both.obs["sample"].cat.categories)
    (800, ['A1', 'A2', 'B1', 'B2'])
    >>> int((both.obs["true_change"] != 0).sum()) // 4
    20
    """
    marks = choose_marks(marks)
    check_n_genes(n_genes)
    whole("n_replicates", n_replicates, most=_MOST_REPLICATES)
    n_changed = round(_CHANGED_SHARE * n_genes) if n_changed is None else whole("n_changed", n_changed, least=0)
    for name, value in (("replicate_sd", replicate_sd), ("expression_sd", expression_sd)):
        if number(name, value) < 0:
            msg = f"{name} is {value}; expected a standard deviation, 0 or more."
            raise ValueError(msg)
    generator = np.random.default_rng(rng)
    genes = draw_genes(n_genes, generator)
    template = bin_background(genes, marks, windows)
    planted = _plant(template, windows, n_changed, generator)

    adata = _draw_samples(template, planted, n_replicates, replicate_sd, expression_sd, generator)
    label_expression(adata)
    _write_truth(adata, planted)
    adata.var["planted_effect"] = planted.effect
    adata.uns[k.UNITS] = {k.SIGNAL: "simulated reads per bin", k.EXPRESSION: "simulated RPKM"}
    adata.uns[k.SIMULATE] = {
        "n_genes": n_genes,
        "n_replicates": int(n_replicates),
        "n_changed": n_changed,
        "marks": marks,
        "intercept": planted.intercept,
        "noise_sd": NOISE_SD,
        "replicate_sd": float(replicate_sd),
        "expression_sd": float(expression_sd),
        "changes": planted.changes.loc[planted.changes["direction"] != ""].rename_axis(None),
    }
    return adata


class _Planted(NamedTuple):
    """What is true of both conditions.

    Attributes
    ----------
    expected
        Expected signal in each condition, ``(n_genes, n_columns)`` each.
    log_expression
        log10(expression + 0.1) in each condition, ``(n_genes,)`` each.
    changes
        ``mark``, ``region``, ``direction`` (all ``""`` for genes that do not change) and ``true_change`` of each gene.
    effect
        Effect of each column, ``(n_columns,)``.
    intercept
        Log expression of a gene without signal and noise.
    """

    expected: tuple[np.ndarray, np.ndarray]
    log_expression: tuple[np.ndarray, np.ndarray]
    changes: pd.DataFrame
    effect: np.ndarray
    intercept: float


def _plant(template: ad.AnnData, windows: Sequence[Window], n_changed: int, rng: np.random.Generator) -> _Planted:
    """Draw the expected signal of both conditions, and the genes that change between them."""
    layout, marks = Layout.of(template), list(template.var[k.MARK].cat.categories)
    levels = draw_levels(template.obs, marks, rng)
    others = {mark: _other_level(mark, level, rng) for mark, level in levels.items()}
    # What makes the bins of a gene differ from the shape of the mark is the same in all samples.
    texture = rng.standard_gamma(DISPERSION, template.shape).astype(np.float32) / DISPERSION
    before = _expect(template, windows, levels) * texture
    after = _expect(template, windows, others) * texture

    anchor = template.uns[k.WINDOWS]["anchor"].reindex(layout.region).to_numpy()
    effect = np.zeros(layout.n_columns)
    for mark in marks:
        at = acting_columns(layout, anchor, mark)
        effect[at] = MARKS[mark].effect / len(at)
    own = np.log1p(before) @ effect
    # Effects are scaled to the variance of log expression that they are to explain.
    effect *= OWN_SD / own.std()
    intercept = MEAN_LOG - float((np.log1p(before) @ effect).mean())
    noise = NOISE_SD * rng.standard_normal(template.n_obs)
    first = np.maximum(intercept + np.log1p(before) @ effect + noise, _LOWEST)

    blocks = [(block.mark, block.region, slice(block.start, block.stop)) for block in layout.blocks.itertuples()]
    shift = [(np.log1p(after[:, at]) - np.log1p(before[:, at])) @ effect[at] for _, _, at in blocks]
    unbounded = intercept + np.log1p(before) @ effect + noise
    change = np.maximum(unbounded[:, None] + np.column_stack(shift), _LOWEST) - first[:, None]
    chosen = _choose(change, n_changed, rng)

    changes = pd.DataFrame({"mark": "", "region": "", "direction": "", "true_change": 0.0}, index=template.obs_names)
    expected = before.copy()
    for gene, block in chosen:
        mark, region, columns = blocks[block]
        expected[gene, columns] = after[gene, columns]
        direction = "gain" if others[mark][gene] > levels[mark][gene] else "loss"
        changes.iloc[gene] = [mark, region, direction, change[gene, block]]
    second = first + changes["true_change"].to_numpy(float)
    return _Planted((before, expected), (first, second), changes, effect, intercept)


def _other_level(mark: str, level: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the level of a mark on genes that lose it where they carry it, and gain it where they do not."""
    height = MARKS[mark].height
    strength = np.exp(STRENGTH_SD * rng.standard_normal(len(level)))
    return height * np.where(level > _CARRIED * height, SILENT_LEVEL, 1.0) * strength


def _expect(template: ad.AnnData, windows: Sequence[Window], levels: dict[str, np.ndarray]) -> np.ndarray:
    """Return background and marks of these levels, ``(n_genes, n_columns)``."""
    length = (template.obs[k.END] - template.obs[k.START]).to_numpy(np.float32)[:, None]
    marked = [
        level[:, None] * shape_in_bins(mark, window, length) for window in windows for mark, level in levels.items()
    ]
    return (template.X + np.concatenate(marked, axis=1)).astype(np.float32)


def _choose(change: np.ndarray, n_changed: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Draw genes that change, and for each of them the mark and region (its block) by which it does.

    ``change`` is that of log expression, ``(n_genes, n_blocks)``. Half of the genes go up as far as that is possible.
    """
    large = np.abs(change) >= _SMALLEST_CHANGE
    able = np.flatnonzero(large.any(axis=1))
    if len(able) < n_changed:
        msg = (
            f"n_changed is {n_changed}, and {len(able)} of {len(change)} genes can change by a factor of two or more "
            "through one mark in one region; expected no more than these. Simulate more genes or more marks."
        )
        raise ValueError(msg)
    able = rng.permutation(able)
    block = np.array([rng.choice(np.flatnonzero(large[gene])) for gene in able], dtype=int)
    up = change[able, block] > 0
    # From the two ends of the list: genes that go up, and genes that go down.
    order = np.argsort(~up, kind="stable")
    n_up = min(int(up.sum()), max(n_changed // 2, n_changed - int((~up).sum())))
    kept = np.concatenate([order[:n_up], order[len(order) - (n_changed - n_up) :]])
    return [(int(able[i]), int(block[i])) for i in np.sort(kept)]


def _draw_samples(
    template: ad.AnnData,
    planted: _Planted,
    n_replicates: int,
    replicate_sd: float,
    expression_sd: float,
    rng: np.random.Generator,
) -> ad.AnnData:
    """Draw the replicates of both conditions, and stack them."""
    parts = []
    for condition, expected, log_expression in zip(CONDITIONS, planted.expected, planted.log_expression, strict=True):
        for replicate in range(1, n_replicates + 1):
            part = _draw_sample(template, expected, log_expression, replicate_sd, expression_sd, rng)
            sample = f"{condition}{replicate}"
            part.obs = part.obs.assign(**{k.SAMPLE: sample, k.CONDITION: condition, k.REPLICATE: str(replicate)})
            part.obs_names = [f"{gene}:{sample}" for gene in part.obs_names]
            parts.append(part)
    adata = ad.concat(parts, merge="same", uns_merge="same")
    for column in (k.SAMPLE, k.CONDITION, k.REPLICATE):
        adata.obs[column] = pd.Categorical(adata.obs[column], categories=adata.obs[column].unique())
    return adata


def _draw_sample(
    template: ad.AnnData,
    expected: np.ndarray,
    log_expression: np.ndarray,
    replicate_sd: float,
    expression_sd: float,
    rng: np.random.Generator,
) -> ad.AnnData:
    """Draw reads and expression of one sample."""
    marks = template.var[k.MARK].cat.codes.to_numpy()
    factor = np.exp(replicate_sd * rng.standard_normal((template.n_obs, marks.max() + 1)))
    counts = rng.poisson(expected * factor[:, marks]).astype(np.float32)
    measured = log_expression + expression_sd * rng.standard_normal(template.n_obs)
    obs = template.obs.assign(**{k.EXPRESSION: np.maximum(10**measured - 0.1, 0)})
    return ad.AnnData(counts, obs=obs, var=template.var, uns={k.WINDOWS: template.uns[k.WINDOWS]})


def _write_truth(adata: ad.AnnData, planted: _Planted) -> None:
    """Write the truth of each gene into ``obs`` of all samples."""
    changes = pd.concat([planted.changes] * (adata.n_obs // len(planted.changes))).set_axis(adata.obs_names)
    adata.obs["true_change"] = changes["true_change"].astype(float)
    names = {"mark": list(adata.var[k.MARK].cat.categories), "region": list(adata.var[k.REGION].cat.categories)}
    names["direction"] = ["gain", "loss"]
    for column, categories in names.items():
        adata.obs[f"true_{column}"] = pd.Categorical(changes[column].replace("", None), categories=categories)
