"""Quality of the tracks at a glance."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import seaborn as sns
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from simplechrome_tk.core import keys as k
from simplechrome_tk.pl._figure import new_figure
from simplechrome_tk.pl._style import GREY, colors, literal, measure
from simplechrome_tk.pp._qc_findings import FEWEST_GENES, shape_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    import anndata as ad
    import pandas as pd
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure
    from matplotlib.typing import LineStyleType

_PLAIN, _ODD, _RING, _EXPECTED = "#0072B2", "#D55E00", "black", "#009E73"
_PALE = 0.18
_PROFILES_BESIDE = 5
_TICKS_AT_MOST = 5
_LINE = 0.19  # height of a line of text, inches
_WRAP = 190
_SENTENCES_AT_MOST = 12
_NAMED_AT_MOST = 8
_STRANDS: dict[str, tuple[str, LineStyleType]] = {
    "+": ("+ strand", "-"),
    "-": ("− strand", "--"),
    k.UNKNOWN_STRAND: ("unknown strand", ":"),
}


class _Measure(NamedTuple):
    column: str
    title: str
    unit: str
    shown: tuple[float, ...]
    """Values that the axis shows in any case; the axis is linear from 0 to 1 where there are none."""


_MEASURES = (
    _Measure("coverage", "coverage", "genes with signal", ()),
    _Measure("zeros", "zeros", "bins without signal", ()),
    _Measure("dynamic_range", "dynamic range", "99th percentile / median\nof bins with signal", (1.0,)),
    _Measure("tss", "enrichment at the TSS", "within 1 kb / 3 to 5 kb away", (0.8, 1.25)),
    _Measure("downstream", "enrichment downstream", "1 to 5 kb downstream / upstream", (0.8, 1.25)),
)


def qc(adata: ad.AnnData) -> np.ndarray:
    """Draw what :func:`simplechrome_tk.pp.qc` found: figures of each mark, their correlation, profiles and findings.

    Top left, a dot is a mark (of a cell type), its bar the interval, and green what is expected of the mark; marks with
    a problem are orange, or ringed when cell types have colours. Top right, rank correlation over genes of two marks,
    averaged over cell types. Below, the mean signal around the TSS of genes on the plus (solid) and minus strand
    (dashed), which lie on top of each other when bins are oriented. Then the findings, in words.

    Parameters
    ----------
    adata
        Genes by bins after :func:`simplechrome_tk.pp.qc`.

    Returns
    -------
    numpy.ndarray
        Axes, shape ``(n_panels,)``: coverage, zeros, dynamic range, enrichment at the TSS and downstream, correlation,
        then the profile of each mark; without profiles where no window shows 5 kb around the TSS.

    Raises
    ------
    ValueError
        When :func:`simplechrome_tk.pp.qc` has not run.
    """
    if k.QC not in adata.uns:
        msg = "uns has no 'qc': run sct.pp.qc(adata) first."
        raise ValueError(msg)
    record = adata.uns[k.QC]
    marks = list(dict.fromkeys(record["marks"][k.MARK]))
    cells = list(dict.fromkeys(record["marks"][k.CELL_TYPE]))
    color = colors(cells) if len(cells) > 1 else {cells[0]: _PLAIN}
    profiled = len(record["profiles"]) > 0
    n_rows = -(-len(marks) // _PROFILES_BESIDE)
    lines = _lines(record)
    heights = [0.3 * len(marks) + 1.9, (1.5 * n_rows + 0.4) * profiled, _LINE * (len(lines) + 2)]
    figure = new_figure(figsize=(14, sum(heights)), layout="constrained")
    parts = figure.subfigures(2 + profiled, 1, squeeze=False, height_ratios=[height for height in heights if height])
    axes = parts[0, 0].subplots(1, 6, width_ratios=[1, 1, 1.1, 1.5, 1.5, 2.0])
    for ax, figure_of in zip(axes, _MEASURES, strict=False):
        _dots(ax, record["marks"], figure_of, marks, color)
    axes[0].set_yticks(range(len(marks)), list(map(literal, marks)))
    _correlations(axes[5], record["correlations"], marks)
    panels = list(axes)
    if profiled:
        odd = set(record["marks"].loc[record["marks"]["problems"] != "", k.MARK])
        panels += _profiles(parts[1, 0], record["profiles"], marks, odd, color, measure(adata, k.SIGNAL))
    strands = dict.fromkeys(record["profiles"][k.STRAND]) if profiled else ()
    parts[0, 0].legend(handles=_key(strands, color), loc="outside upper left", ncols=12, frameon=False)
    for i, line in enumerate([_headline(record), *lines]):
        weight, tint = ("bold", _ODD if len(record["findings"]) else "black") if i == 0 else ("normal", "black")
        y = 1 - (i + 0.5) * _LINE / heights[2]
        parts[-1, 0].text(0.01, y, literal(line), va="top", fontsize=9, fontweight=weight, color=tint)
    return np.array(panels, dtype=object)


def _key(strands: Iterable[str], color: dict[str, str]) -> list[Artist]:
    """Explain colours and lines."""
    handles: list[Artist] = [Patch(color=_EXPECTED, alpha=_PALE, label="expected of this mark")]
    several = len(color) > 1
    face, edge = ("white", _RING) if several else (_ODD, _ODD)
    handles.append(Line2D([], [], color=face, markeredgecolor=edge, marker="o", linestyle="", label="with a finding"))
    if several and len(color) <= _NAMED_AT_MOST:
        handles += [
            Line2D([], [], color=tint, marker="o", linestyle="", label=literal(name)) for name, tint in color.items()
        ]
    for strand in strands:
        name, style = _STRANDS.get(strand, _STRANDS[k.UNKNOWN_STRAND])
        handles.append(Line2D([], [], color="0.3", linestyle=style, label=name))
    return handles


def _dots(ax: Axes, table: pd.DataFrame, measure: _Measure, marks: list[str], color: dict[str, str]) -> None:
    offsets = np.linspace(-0.25, 0.25, len(color)) if len(color) > 1 else [0.0]
    place = dict(zip(color, offsets, strict=True))
    for row in table.to_dict("records"):
        y = marks.index(row[k.MARK]) + place[row[k.CELL_TYPE]]
        odd = bool(row["problems"])
        fill = _ODD if odd and len(color) == 1 else color[row[k.CELL_TYPE]]
        low, high = row.get(f"{measure.column}_low", np.nan), row.get(f"{measure.column}_high", np.nan)
        if 0 < low and high < math.inf:
            ax.plot([low, high], [y, y], color=fill, linewidth=1.5, zorder=2)
        size, edge = (7, 0.0) if len(color) == 1 else (5, 1.5 * odd)
        ax.plot(
            [row[measure.column]],
            [y],
            color=fill,
            marker="o",
            markersize=size,
            markeredgecolor=_RING,
            markeredgewidth=edge,
        )
    if measure.shown:
        ax.set_xscale("log")
        ax.set_xlim(_limits(table, measure))
        ticks = _ticks(*ax.get_xlim())
        ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        ax.set_xticks([], minor=True)
    else:
        ax.set_xlim(-0.04, 1.04)
        ax.xaxis.set_major_formatter(PercentFormatter(1))
    if measure.column in ("tss", "downstream") and table[measure.column].notna().any():
        ax.axvline(1, color=GREY, linewidth=0.8, linestyle=":", zorder=0)
        for y, mark in enumerate(marks):
            if shape := shape_of(mark):
                low, high = np.clip(getattr(shape, measure.column), *ax.get_xlim())
                ax.fill_betweenx([y - 0.42, y + 0.42], low, high, color=_EXPECTED, alpha=_PALE, linewidth=0, zorder=0)
    ax.set_ylim(len(marks) - 0.5, -0.5)
    ax.set_yticks([])
    ax.tick_params(axis="y", length=0)
    ax.tick_params(axis="x", labelsize="small")
    ax.grid(axis="x", color="0.92")
    ax.set_axisbelow(True)
    ax.set_title(measure.title, loc="left", fontsize="medium")
    ax.set_xlabel(measure.unit, fontsize="small")
    sns.despine(ax=ax, left=True)


def _limits(table: pd.DataFrame, measure: _Measure) -> tuple[float, float]:
    """Span what is drawn on a logarithmic axis."""
    columns = [name for name in (measure.column + end for end in ("", "_low", "_high")) if name in table]
    values = [*measure.shown, *table[columns].to_numpy().ravel()]
    drawn = [value for value in values if 0 < value < math.inf]
    room = max(1.1, (max(drawn) / min(drawn)) ** 0.06)
    return min(drawn) / room, max(drawn) * room


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers in the range, the most of them that have room."""
    ticks: list[float] = []
    for digits in ((1, 1.2, 1.5, 2, 3, 4, 6, 8), (1, 1.5, 2, 3, 5), (1, 2, 5), (1, 3), (1,)):
        ticks = [digit * 10.0**power for power in range(-6, 7) for digit in digits]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) <= _TICKS_AT_MOST:
            break
    return ticks


def _correlations(ax: Axes, table: pd.DataFrame, marks: list[str]) -> None:
    matrix = np.full((len(marks), len(marks)), np.nan)
    mean = table.groupby([k.MARK, "other"])["spearman"].mean()
    for (first, second), value in mean.items():
        i, j = marks.index(first), marks.index(second)
        matrix[i, j] = matrix[j, i] = value
    mesh = ax.imshow(matrix, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    for (i, j), value in np.ndenumerate(matrix):
        if not np.isnan(value):
            shade = "white" if abs(value) > 0.6 else "0.2"
            ax.text(j, i, f"{round(value, 2) + 0:.2f}", ha="center", va="center", fontsize=9, color=shade)
    names = list(map(literal, marks))
    ax.set_xticks(range(len(marks)), names, rotation=45, ha="right", rotation_mode="anchor", fontsize="small")
    ax.set_yticks(range(len(marks)), names, fontsize="small")
    ax.set_title("rank correlation over genes", loc="left", fontsize="medium")
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    if len(marks) == 1:
        ax.set_axis_off()
        return
    ax.figure.colorbar(mesh, ax=ax, ticks=[-1, 0, 1], shrink=0.7, pad=0.02)


def _profiles(
    figure: SubFigure,
    table: pd.DataFrame,
    marks: list[str],
    odd: set[str],
    color: dict[str, str],
    unit: str,
) -> list[Axes]:
    n_rows = -(-len(marks) // _PROFILES_BESIDE)
    grid = figure.subplots(n_rows, _PROFILES_BESIDE, sharex=True, squeeze=False).ravel()
    for spare in grid[len(marks) :]:
        spare.remove()
    panels = dict(zip(marks, grid, strict=False))
    for (cell, mark, strand), part in table.groupby([k.CELL_TYPE, k.MARK, k.STRAND], observed=True):
        _, style = _STRANDS.get(strand, _STRANDS[k.UNKNOWN_STRAND])
        panels[mark].plot(part["position"] / 1_000, part["mean"], color=color[cell], linestyle=style)
    for mark, ax in panels.items():
        ax.axvline(0, color=GREY, linewidth=0.8, linestyle=":", zorder=0)
        tint = _ODD if mark in odd else "black"
        ax.set_title(literal(mark), loc="left", fontsize="medium", fontweight="bold", color=tint)
        ax.margins(x=0)
        ax.set_ylim(bottom=0)
        ax.tick_params(labelsize="small", labelbottom=True)
        sns.despine(ax=ax)
    figure.supxlabel("distance from the TSS (kb), 5′→3′", fontsize="medium")
    figure.supylabel(literal(f"mean {unit}"), fontsize="medium")
    return list(panels.values())


def _lines(record: dict[str, Any]) -> list[str]:
    """Write the findings, and what was left out, in lines that fit the figure."""
    findings = [str(sentence) for sentence in record["findings"]]
    shown = findings[:_SENTENCES_AT_MOST]
    lines = [
        line
        for sentence in shown
        for line in textwrap.wrap(sentence, _WRAP, initial_indent="•  ", subsequent_indent="    ")
    ]
    if len(findings) > len(shown):
        lines.append(f"•  {len(findings) - len(shown)} more in adata.uns['qc']['findings']")
    if len(record["left_out"]):
        reasons = "; ".join(f"{row.n_genes:,} {row.reason}" for row in record["left_out"].itertuples())
        lines += textwrap.wrap(f"Left out on reading: {reasons}.", _WRAP)
    if blacklist := record["blacklist"]:
        lines += textwrap.wrap(
            f"Blacklist ({blacklist['source']}, {blacklist['n_regions']:,} regions): touches the windows of "
            f"{blacklist['n_genes']:,} genes, half or more of them for {blacklist['n_genes_half']:,}.",
            _WRAP,
        )
    return lines


def _headline(record: dict[str, Any]) -> str:
    """Say how much was found, and what could not be judged."""
    n, few = len(record["findings"]), record["marks"]["n_genes"].min()
    found = f"{n} finding{'s' * (n > 1)}" if n else "No findings"
    if few < FEWEST_GENES:
        return f"{found}; {few} genes are too few to judge marks by, {FEWEST_GENES} are needed"
    return found if len(record["profiles"]) else f"{found}; shapes are not judged: no window shows 5 kb around the TSS"
