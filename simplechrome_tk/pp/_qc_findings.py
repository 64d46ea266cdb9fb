"""Findings of :func:`simplechrome_tk.pp.qc`, judged from the measurements of each mark.

The thresholds lie outside the values of seven sets of tracks of known quality; the notes of
:func:`simplechrome_tk.pp.qc` give these values and how often planted errors are found.
"""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

FEWEST_GENES = 100
"""Smallest number of genes to judge marks by: of 3,800 random subsets of 100 to 500 genes 2 gave a false finding."""

DUPLICATE = 0.999
"""Rank correlation over genes above which two tracks are one; two marks of a real cell type reach 0.965."""

_DEAD_COVERAGE = 0.05
"""Share of genes with signal below which a mark is dead; real marks have signal on 37 % or more."""

_OUTLIERS = 0.1
"""Share of all signal in the highest 0.01 % of bins above which outliers dominate a mark; real marks reach 0.016."""

_PEAK = 2.05
"""Signal at the TSS over that 3 to 5 kb away; promoter marks have 2.53 or more, all other marks 1.82 or less."""

_TURNED = 1.1
"""Signal downstream of the TSS over that upstream, or its inverse, that shows in which direction genes are read.

Promoter marks have 1.37 or more. The two strands of a mark differ at most 1.18-fold, less than 1.1 squared.
"""

_SHOWN = 4
"""Number of marks whose ratios a sentence gives."""

_EXPECTED = 20
"""Expected number of genes with signal on a chromosome from which on none is a finding: by chance e^-20 at most."""

_ELSEWHERE = 0.2
"""Share of the genes on a chromosome on which another mark has signal, so that the chromosome is not inactive."""


class Shape(NamedTuple):
    """Lowest and highest ratio of a mark in real cells: ``tss`` and ``downstream`` in the table of marks."""

    tss: tuple[float, float]
    downstream: tuple[float, float]


# The ranges of the table in the notes of `qc`, where the measured values stand beside them.
_PROMOTER = Shape((_PEAK, math.inf), (_TURNED, math.inf))
SHAPES = {
    "H3K4me3": _PROMOTER,
    "H3K4me2": _PROMOTER,
    "H3K27ac": _PROMOTER,
    "H3K9ac": _PROMOTER,
    "H3K4me1": Shape((1.1, _PEAK), (1.05, math.inf)),
    "H3K79me2": Shape((1.1, _PEAK), (1.3, math.inf)),
    "H3K36me3": Shape((0.0, 1.0), (1.12, math.inf)),
    "H3K27me3": Shape((0.9, 2.3), (0.6, 1.23)),
    "H3K9me3": Shape((0.7, _PEAK), (0.6, 1.23)),
}
_BY_NAME = {mark.casefold(): shape for mark, shape in SHAPES.items()}
_RATIOS = {"tss": "at the TSS over 3 to 5 kb away", "downstream": "downstream of the TSS over upstream"}


class Finding(NamedTuple):
    """A problem: its kind, the marks that it concerns and a sentence for the user."""

    problem: str
    marks: tuple[str, ...]
    sentence: str


def shape_of(mark: str) -> Shape | None:
    """Return the shape of a mark, in upper or lower case; ``None`` for other marks than the nine."""
    return _BY_NAME.get(mark.casefold())


def judge(
    table: pd.DataFrame, correlation: pd.DataFrame, by_chrom: pd.DataFrame, *, unknown_strand: float
) -> list[Finding]:
    """Find the problems of the marks of one cell type.

    Parameters
    ----------
    table
        One row per mark, as in ``uns["qc"]["marks"]``, indexed by mark.
    correlation
        Marks by marks.
    by_chrom
        Share of genes with signal, chromosomes by marks, and ``n_genes``.
    unknown_strand
        Share of the genes of unknown strand.
    """
    if table["n_genes"].iloc[0] < FEWEST_GENES:
        return []
    found = [finding for mark, row in table.iterrows() if (finding := _find_dead(mark, row))]
    live = table.drop(index=[finding.marks[0] for finding in found])
    found += [finding for mark in live.index if (finding := _find_missing(mark, live, by_chrom))]
    dominated = live["top_share"] > _OUTLIERS
    found += [_describe_outliers(mark, row) for mark, row in live[dominated].iterrows()]
    # A mean over genes that a few bins dominate says nothing about the shape.
    found += _judge_shapes(live[~dominated], unknown_strand)
    found += [
        describe_duplicate(f"{first} and {second}", (first, second), correlation.at[first, second])
        for first, second in combinations(live.index, 2)
        if correlation.at[first, second] > DUPLICATE
    ]
    return found


def describe_duplicate(tracks: str, marks: tuple[str, ...], correlation: float) -> Finding:
    """Return the finding that two tracks are one."""
    sentence = (
        f"{tracks} look like one track (rank correlation over genes {correlation:.4f}; two marks of a real cell reach "
        "0.965). Was one file given twice?"
    )
    return Finding("duplicated", marks, sentence)


def _find_dead(mark: str, row: pd.Series) -> Finding | None:
    if row["highest"] == 0:
        state = "there is no signal in any bin"
    elif row["highest"] == row["lowest"]:
        state = f"every bin holds {row['highest']:.3g}"
    elif row["coverage"] < _DEAD_COVERAGE:
        state = f"{row['coverage']:.1%} of the genes have signal (37 % or more in real cells)"
    else:
        return None
    return Finding("dead", (mark,), f"{mark} looks dead: {state}. Check the file, its chromosome names and the assay.")


def _find_missing(mark: str, table: pd.DataFrame, by_chrom: pd.DataFrame) -> Finding | None:
    """Find chromosomes on which a mark has no signal, although another mark has."""
    elsewhere = by_chrom[table.index.drop(mark)].max(axis=1) > _ELSEWHERE
    expected_there = by_chrom["n_genes"] * table.at[mark, "coverage"] >= _EXPECTED
    without = by_chrom.index[(by_chrom[mark] == 0) & expected_there & elsewhere]
    if not len(without):
        return None
    sentence = (
        f"{mark} has no signal at all on {', '.join(without)}, where other marks have. Is its file complete, and does "
        "it name chromosomes as the genes do?"
    )
    return Finding("missing", (mark,), sentence)


def _describe_outliers(mark: str, row: pd.Series) -> Finding:
    sentence = (
        f"{mark} is dominated by outliers: 0.01 % of its bins hold {row['top_share']:.0%} of its signal (below 2 % in "
        f"real cells); the highest, {row['highest']:.3g}, is on gene {row['highest_gene']}. Mask such artefacts, or "
        "leave the genes out."
    )
    return Finding("outliers", (mark,), sentence)


def _judge_shapes(table: pd.DataFrame, unknown_strand: float) -> list[Finding]:
    """Judge in which direction genes are read, and then whose shape each mark has."""
    if unknown_strand > 0.5:
        return [_describe_unknown_strand(unknown_strand), *_judge_names(table, downstream=None)]
    forward, backward = table["downstream_low"] > _TURNED, table["downstream_high"] < 1 / _TURNED
    mirrored = _are_opposed(table)
    if mirrored.sum() > (forward | backward).sum():
        return [_describe_mirrored(table[mirrored]), *_judge_names(table, downstream="downstream_plus")]
    if backward.sum() > forward.sum():
        return [_describe_reversed(table[backward]), *_judge_names(table, downstream=None)]
    return _judge_names(table, downstream="downstream")


def _are_opposed(table: pd.DataFrame) -> pd.Series:
    """Return which marks are higher downstream of the TSS on one strand, and higher upstream on the other."""
    with np.errstate(divide="ignore", invalid="ignore"):  # a strand without genes or signal
        plus, minus = (np.log(table[f"downstream_{strand}"]) for strand in ("plus", "minus"))
        errors = [
            np.log(table[f"downstream_{strand}_high"]) - log for strand, log in (("plus", plus), ("minus", minus))
        ]
        apart = np.abs(plus - minus) - np.hypot(*errors)
    return (np.sign(plus) != np.sign(minus)) & (apart > 2 * np.log(_TURNED))


def _describe_unknown_strand(unknown_strand: float) -> Finding:
    """Return the finding that the strand of most genes is unknown."""
    sentence = (
        f"The strand of {unknown_strand:.0%} of the genes is unknown: their bins run along the genome, which mixes "
        "upstream and downstream. Bring an annotation with strands."
    )
    return Finding("unoriented", (), sentence)


def _describe_mirrored(table: pd.DataFrame) -> Finding:
    """Return the finding that the bins of genes on the minus strand run in the wrong direction."""
    shown = ", ".join(
        f"{mark} {row['downstream_plus']:.2f} on + and {row['downstream_minus']:.2f} on -"
        for mark, row in table.head(_SHOWN).iterrows()
    )
    sentence = (
        "Genes on the minus strand look unoriented: their profiles mirror those of the plus strand (signal "
        f"{_RATIOS['downstream']}: {shown}). Flip the bins of minus-strand genes, or correct obs['strand']."
    )
    return Finding("unoriented", tuple(table.index), sentence)


def _describe_reversed(table: pd.DataFrame) -> Finding:
    """Return the finding that the bins of all genes run in the wrong direction."""
    shown = ", ".join(f"{mark} {ratio:.2f}" for mark, ratio in table["downstream"].head(_SHOWN).items())
    sentence = (
        f"All genes look read backwards (signal {_RATIOS['downstream']}: {shown}; expected above 1). Are strands "
        "or bins reversed, or are all these genes silent?"
    )
    return Finding("unoriented", tuple(table.index), sentence)


def _judge_names(table: pd.DataFrame, *, downstream: str | None) -> list[Finding]:
    """Find marks that do not have the shape of their name.

    ``downstream`` is the column with the ratio over the two sides of the TSS, ``None`` where it cannot be judged.
    """
    measured = f"signal {_RATIOS['tss']}"
    if downstream:
        measured += f", and {_RATIOS['downstream']}"
    if downstream == "downstream_plus":
        measured += " on the plus strand"
    shapes = {mark: shape for mark in table.index if (shape := shape_of(mark))}
    misfit = {mark: _misfit(table.loc[mark], shape, downstream) for mark, shape in shapes.items()}
    # Marks whose shape tells the TSS from its surroundings, or downstream from upstream.
    telling = [mark for mark, shape in shapes.items() if shape.tss[0] > 1 or shape.downstream[0] > 1]
    if telling and all(misfit[mark] > 0 for mark in telling) and not (table["tss_high"] >= _PEAK).any():
        shown = ", ".join(f"{mark} {_format_ratios(table.loc[mark], downstream)}" for mark in telling[:_SHOWN])
        sentence = (
            f"No mark shows where the TSS is ({measured}: {shown}). Do tracks and annotation have the same "
            "assembly, and are the bins in order?"
        )
        return [Finding("misplaced", tuple(telling), sentence)]
    found = []
    for first, second in _find_exchanged(table, shapes, misfit, downstream):
        misfit[first] = misfit[second] = 0.0
        sentence = (
            f"{first} and {second} look exchanged: each has the other's shape ({measured}: "
            f"{first} {_format_ratios(table.loc[first], downstream)}, "
            f"{second} {_format_ratios(table.loc[second], downstream)}). "
            "Compare the files with the sample sheet."
        )
        found.append(Finding("swapped", (first, second), sentence))
    # Where all telling marks fit their names but for the two sides of the TSS, the direction of genes is wrong.
    level = [mark for mark in telling if misfit[mark] > 0 and not _misfit(table.loc[mark], shapes[mark], None)]
    swapped = {mark for finding in found for mark in finding.marks}
    if downstream == "downstream" and level and set(level) == set(telling) - swapped:
        shown = ", ".join(
            f"{mark} {table.at[mark, 'downstream']:.2f} (expected {shapes[mark].downstream[0]:.2f} or more)"
            for mark in level[:_SHOWN]
        )
        sentence = (
            f"The bins look unoriented: signal {_RATIOS['downstream']} is {shown}. Do bins run from 5' to 3' of each "
            "gene, and is obs['strand'] right?"
        )
        found.append(Finding("unoriented", tuple(level), sentence))
        misfit.update(dict.fromkeys(level, 0.0))
    return found + [
        _describe_misfit(mark, table.loc[mark], shapes[mark], downstream) for mark in shapes if misfit[mark] > 0
    ]


def _describe_misfit(mark: str, row: pd.Series, shape: Shape, downstream: str | None) -> Finding:
    """Return the finding that a mark does not have the shape of its name, and the marks whose shape it has."""
    off = []
    for name, column, bounds in (("tss", "tss", shape.tss), ("downstream", downstream, shape.downstream)):
        if column and _outside(row, column, bounds):
            limit = f"{bounds[0]:.2f} or more" if row[column] < bounds[0] else f"{bounds[1]:.2f} or less"
            off.append(f"{row[column]:.2f} {_RATIOS[name]}, expected {limit}")
    alike = [other for other, known in SHAPES.items() if known != shape and _fits(row, known, downstream)]
    looks = f"; this is how {' or '.join(', '.join(alike).rsplit(', ', 1))} would look" if alike else ""
    sentence = f"{mark} does not look like {mark}: its signal is {' and '.join(off)}{looks}. Check file and antibody."
    return Finding("shape", (mark,), sentence)


def _find_exchanged(
    table: pd.DataFrame, shapes: dict[str, Shape], misfit: dict[str, float], downstream: str | None
) -> list[tuple[str, str]]:
    """Return pairs of marks that fit each other's name and not both their own, the clearest first, each mark once."""
    pairs = [
        (misfit[first] + misfit[second], first, second)
        for first, second in combinations(shapes, 2)
        if misfit[first] + misfit[second] > 0
        and _fits(table.loc[first], shapes[second], downstream)
        and _fits(table.loc[second], shapes[first], downstream)
    ]
    chosen: list[tuple[str, str]] = []
    for _, first, second in sorted(pairs, reverse=True):
        if not {first, second} & {mark for pair in chosen for mark in pair}:
            chosen.append((first, second))
    return chosen


def _fits(row: pd.Series, shape: Shape, downstream: str | None) -> bool:
    """Return whether the ratios themselves, without their intervals, lie in a shape."""
    inside = shape.tss[0] <= row["tss"] <= shape.tss[1]
    return bool(inside and (not downstream or shape.downstream[0] <= row[downstream] <= shape.downstream[1]))


def _misfit(row: pd.Series, shape: Shape, downstream: str | None) -> float:
    """Return how far, in log2, the intervals of a mark lie outside a shape; 0 when they reach into it."""
    return _outside(row, "tss", shape.tss) + (_outside(row, downstream, shape.downstream) if downstream else 0.0)


def _outside(row: pd.Series, column: str, bounds: tuple[float, float]) -> float:
    """Return how far, in log2, the interval of one ratio lies outside bounds; 0 when it reaches into them."""
    low, high = row[f"{column}_low"], row[f"{column}_high"]
    if high < bounds[0]:
        return math.log2(bounds[0] / high)
    if low > bounds[1]:
        return math.log2(low / bounds[1])
    return 0.0


def _format_ratios(row: pd.Series, downstream: str | None) -> str:
    return f"{row['tss']:.2f}" + (f" and {row[downstream]:.2f}" if downstream else "")
