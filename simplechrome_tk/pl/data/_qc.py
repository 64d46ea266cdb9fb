"""Plots of the quality of tracks."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from simplechrome_tk.core import keys as k
from simplechrome_tk.pl._figure import new_figure
from simplechrome_tk.pl._style import GREY, colors, literal, measure
from simplechrome_tk.pp._qc_findings import FEWEST_GENES, shape_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    import anndata as ad
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure
    from matplotlib.typing import LineStyleType

# Colours of dots (without and with a problem), of the ring around dots with a problem, and of the expected range.
_PLAIN, _ODD, _RING, _EXPECTED = "#0072B2", "#D55E00", "black", "#009E73"
_PALE = 0.18
# Half the height of the expected range of a mark, and half the spread of its dots, where marks are 1 apart.
_HALF_RANGE, _HALF_SPREAD = 0.42, 0.25

# Sizes in inches: width of the figure; height of each mark and of axes in the top row; height of each row of profiles
# and of their common label; height of a line of text.
_WIDTH = 14.0
_MARK_HEIGHT, _TOP_MARGIN = 0.3, 1.9
_PROFILE_HEIGHT, _PROFILE_MARGIN = 1.5, 0.4
_LINE = 0.19
# Widths of the panels of the top row, relative to each other: five ratios, then the correlations.
_WIDTHS = (1, 1, 1.1, 1.5, 1.5, 2.0)
# That of the correlations of samples, where there are any.
_SAMPLES_WIDTH = 1.8
# Samples up to which correlations are written, and up to which samples are named.
_WRITTEN_AT_MOST, _SAMPLES_NAMED_AT_MOST = 6, 24

_PROFILES_IN_A_ROW = 5
_TICKS_AT_MOST = 5
# Characters in a line of text, sentences of findings, and cell types named in the legend.
_WRAP = 190
_SENTENCES_AT_MOST = 12
_NAMED_AT_MOST = 8
# A correlation beyond this is written in white, since its cell is dark.
_DARK = 0.6

_STRANDS: dict[str, tuple[str, LineStyleType]] = {
    "+": ("+ strand", "-"),
    "-": ("− strand", "--"),
    k.UNKNOWN_STRAND: ("unknown strand", ":"),
}


class _Panel(NamedTuple):
    """A panel of the top row: a column of the table of marks, and how it is drawn.

    Attributes
    ----------
    column, title, unit
        Name in the table, title of the panel and label of its axis.
    shown
        Values that the logarithmic axis shows in any case; without any the axis is linear from 0 to 1.
    shape
        Whether it is a ratio around the TSS, which has an expected range for each mark.
    """

    column: str
    title: str
    unit: str
    shown: tuple[float, ...] = ()
    shape: bool = False


_PANELS = (
    _Panel("coverage", "coverage", "genes with signal"),
    _Panel("zeros", "zeros", "bins without signal"),
    _Panel("dynamic_range", "dynamic range", "99th percentile / median\nof bins with signal", (1.0,)),
    _Panel("tss", "enrichment at the TSS", "within 1 kb / 3 to 5 kb away", (0.8, 1.25), shape=True),
    _Panel("downstream", "enrichment downstream", "1 to 5 kb downstream / upstream", (0.8, 1.25), shape=True),
)


def qc(adata: ad.AnnData) -> np.ndarray:
    """Draw what :func:`simplechrome_tk.pp.qc` found: ratios of each mark, their correlation, profiles and findings.

    Top left, a dot is a mark (of a cell type), its bar the 95 % interval, and green the range expected of the mark.
    Marks with a problem are orange, or ringed when cell types have colours. Top right, the rank correlation of two
    marks over genes, averaged over cell types. Below, the mean signal around the TSS of genes on the plus strand
    (solid) and on the minus strand (dashed), which coincide when bins are oriented. Last, the findings in words. Of
    several samples (``obs["sample"]`` or ``obs["condition"]``), a heat map at the top right shows their correlation
    over genes, averaged over marks.

    Parameters
    ----------
    adata
        Genes by bins after :func:`simplechrome_tk.pp.qc`.

    Returns
    -------
    numpy.ndarray
        Axes, shape ``(n_panels,)``: coverage, zeros, dynamic range, enrichment at the TSS and downstream, correlation,
        then the profile of each mark (without profiles where no window shows 5 kb around the TSS), and, of samples,
        their correlation.

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
    lines = _lines(record)
    samples = _sample_correlations(record)
    widths = _WIDTHS if samples.empty else (*_WIDTHS, _SAMPLES_WIDTH)
    width = _WIDTH * sum(widths) / sum(_WIDTHS)
    top, middle, bottom = _subfigures(width, len(marks), len(lines), profiled=len(record["profiles"]) > 0)
    axes = top.subplots(1, len(widths), width_ratios=widths)
    for ax, panel in zip(axes, _PANELS, strict=False):
        _draw_panel(ax, record["marks"], panel, marks, color)
    axes[0].set_yticks(range(len(marks)), list(map(literal, marks)))
    _draw_correlations(axes[len(_WIDTHS) - 1], record["correlations"], marks)
    panels, strands = list(axes[: len(_WIDTHS)]), []
    if middle is not None:
        odd = set(record["marks"].loc[record["marks"]["problems"] != "", k.MARK])
        panels += _draw_profiles(middle, record["profiles"], marks, odd, color, measure(adata, k.SIGNAL))
        strands = list(dict.fromkeys(record["profiles"][k.STRAND]))
    if not samples.empty:
        _draw_samples(axes[-1], samples)
        panels.append(axes[-1])
    top.legend(handles=_key(strands, color), loc="outside upper left", ncols=12, frameon=False)
    headline_color = _ODD if len(record["findings"]) else "black"
    _write(bottom, _headline(record), lines, headline_color)
    return np.array(panels, dtype=object)


def _subfigures(
    width: float, n_marks: int, n_lines: int, *, profiled: bool
) -> tuple[SubFigure, SubFigure | None, SubFigure]:
    """Make a figure in three parts: dots and correlations, profiles where there are any, and text."""
    n_rows = -(-n_marks // _PROFILES_IN_A_ROW)
    heights = [_MARK_HEIGHT * n_marks + _TOP_MARGIN, _LINE * (n_lines + 2)]
    if profiled:
        heights.insert(1, _PROFILE_HEIGHT * n_rows + _PROFILE_MARGIN)
    figure = new_figure(figsize=(width, sum(heights)), layout="constrained")
    parts = figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    return parts[0], parts[1] if profiled else None, parts[-1]


def _write(figure: SubFigure, headline: str, lines: list[str], headline_color: str) -> None:
    """Write the headline in bold and the lines below it."""
    height = _LINE * (len(lines) + 2)
    for i, line in enumerate([headline, *lines]):
        weight, color = ("normal", "black") if i else ("bold", headline_color)
        y = 1 - (i + 0.5) * _LINE / height
        figure.text(0.01, y, literal(line), va="top", fontsize=9, fontweight=weight, color=color)


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


def _draw_panel(ax: Axes, table: pd.DataFrame, panel: _Panel, marks: list[str], color: dict[str, str]) -> None:
    """Draw a column of the table of marks: a dot for each mark and cell type, with its interval."""
    offsets = np.linspace(-_HALF_SPREAD, _HALF_SPREAD, len(color)) if len(color) > 1 else [0.0]
    offset_of = dict(zip(color, offsets, strict=True))
    for row in table.to_dict("records"):
        y = marks.index(row[k.MARK]) + offset_of[row[k.CELL_TYPE]]
        _draw_dot(ax, y, row, panel.column, color)
    if panel.shown:
        ax.set_xscale("log")
        ax.set_xlim(_log_limits(table, panel))
        ticks = _ticks(*ax.get_xlim())
        ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        ax.set_xticks([], minor=True)
    else:
        ax.set_xlim(-0.04, 1.04)
        ax.xaxis.set_major_formatter(PercentFormatter(1))
    if panel.shape and table[panel.column].notna().any():
        _shade_expected(ax, panel.column, marks)
    ax.set_ylim(len(marks) - 0.5, -0.5)
    ax.set_yticks([])
    ax.tick_params(axis="y", length=0)
    ax.tick_params(axis="x", labelsize="small")
    ax.grid(axis="x", color="0.92")
    ax.set_axisbelow(True)
    ax.set_title(panel.title, loc="left", fontsize="medium")
    ax.set_xlabel(panel.unit, fontsize="small")
    sns.despine(ax=ax, left=True)


def _draw_dot(ax: Axes, y: float, row: dict[Hashable, Any], column: str, color: dict[str, str]) -> None:
    """Draw the value of a mark and its interval; a problem shows in the fill, or as a ring where colours are taken."""
    odd, several = bool(row["problems"]), len(color) > 1
    fill = _ODD if odd and not several else color[row[k.CELL_TYPE]]
    low, high = row.get(f"{column}_low", np.nan), row.get(f"{column}_high", np.nan)
    if 0 < low and high < math.inf:
        ax.plot([low, high], [y, y], color=fill, linewidth=1.5, zorder=2)
    ax.plot(
        [row[column]],
        [y],
        color=fill,
        marker="o",
        markersize=5 if several else 7,
        markeredgecolor=_RING,
        markeredgewidth=1.5 if several and odd else 0.0,
    )


def _shade_expected(ax: Axes, column: str, marks: list[str]) -> None:
    """Shade the range that is expected of each known mark, as far as the axis reaches."""
    ax.axvline(1, color=GREY, linewidth=0.8, linestyle=":", zorder=0)
    for y, mark in enumerate(marks):
        if shape := shape_of(mark):
            low, high = np.clip(getattr(shape, column), *ax.get_xlim())
            span = [y - _HALF_RANGE, y + _HALF_RANGE]
            ax.fill_betweenx(span, low, high, color=_EXPECTED, alpha=_PALE, linewidth=0, zorder=0)


def _log_limits(table: pd.DataFrame, panel: _Panel) -> tuple[float, float]:
    """Return the ends of a logarithmic axis, a little beyond all that is drawn on it."""
    columns = [name for name in (panel.column + end for end in ("", "_low", "_high")) if name in table]
    values = [*panel.shown, *table[columns].to_numpy().ravel()]
    drawn = [value for value in values if 0 < value < math.inf]
    room = max(1.1, (max(drawn) / min(drawn)) ** 0.06)
    return min(drawn) / room, max(drawn) * room


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers in the range, as many as there is room for."""
    ticks: list[float] = []
    for digits in ((1, 1.2, 1.5, 2, 3, 4, 6, 8), (1, 1.5, 2, 3, 5), (1, 2, 5), (1, 3), (1,)):
        ticks = [digit * 10.0**power for power in range(-6, 7) for digit in digits]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) <= _TICKS_AT_MOST:
            break
    return ticks


def _draw_correlations(ax: Axes, table: pd.DataFrame, marks: list[str]) -> None:
    """Draw the correlation of each two marks as a heat map with its values."""
    matrix = np.full((len(marks), len(marks)), np.nan)
    mean = table.groupby([k.MARK, "other"])["spearman"].mean()
    for (first, second), value in mean.items():
        i, j = marks.index(first), marks.index(second)
        matrix[i, j] = matrix[j, i] = value
    mesh = ax.imshow(matrix, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    for (i, j), value in np.ndenumerate(matrix):
        if not np.isnan(value):
            shade = "white" if abs(value) > _DARK else "0.2"
            # Adding 0 turns -0.0 into 0.0.
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


def _sample_correlations(record: dict[str, Any]) -> pd.DataFrame:
    """Return the correlation of each two samples, the mean over marks, samples by samples; empty without samples."""
    table = record.get("samples")
    if table is None or not len(table):
        return pd.DataFrame()
    names = list(dict.fromkeys([*table[k.SAMPLE], *table["other"]]))
    mean = table.groupby([k.SAMPLE, "other"])["pearson"].mean().unstack().reindex(index=names, columns=names)
    return mean.fillna(mean.T)


def _draw_samples(ax: Axes, correlation: pd.DataFrame) -> None:
    """Draw the correlation of each two samples as a heat map; the colours reach from the lowest of them to 1."""
    values = correlation.to_numpy(float)
    lowest = np.nanmin(values) if np.isfinite(values).any() else 0.0
    mesh = ax.imshow(values, cmap="Blues", vmin=lowest, vmax=1, aspect="auto")
    if len(values) <= _WRITTEN_AT_MOST:
        for (i, j), value in np.ndenumerate(values):
            if not np.isnan(value):
                shade = "white" if value > (lowest + 1) / 2 else "0.2"
                ax.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=8, color=shade)
    names = list(map(literal, correlation.index)) if len(values) <= _SAMPLES_NAMED_AT_MOST else []
    places = range(len(names))
    ax.set_xticks(places, names, rotation=45, ha="right", rotation_mode="anchor", fontsize="small")
    ax.set_yticks(places, names, fontsize="small")
    ax.set_title("correlation of samples", loc="left", fontsize="medium")
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    ax.figure.colorbar(mesh, ax=ax, shrink=0.7, pad=0.02)


def _draw_profiles(
    figure: SubFigure,
    table: pd.DataFrame,
    marks: list[str],
    odd: set[str],
    color: dict[str, str],
    unit: str,
) -> list[Axes]:
    """Draw the mean signal of each mark around the TSS, a line for each cell type and strand."""
    n_rows = -(-len(marks) // _PROFILES_IN_A_ROW)
    grid = figure.subplots(n_rows, _PROFILES_IN_A_ROW, sharex=True, squeeze=False).ravel()
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
    """Return the findings, and what was left out, in lines that fit the figure."""
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
    """Say how many findings there are, and what could not be judged."""
    n, few = len(record["findings"]), record["marks"]["n_genes"].min()
    found = {0: "No findings", 1: "1 finding"}.get(n, f"{n} findings")
    if few < FEWEST_GENES:
        return f"{found}; {few} genes are too few to judge marks by, {FEWEST_GENES} are needed"
    return found if len(record["profiles"]) else f"{found}; shapes are not judged: no window shows 5 kb around the TSS"
