"""A prediction before and after edits, in large numbers, each with its interval as a bar."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from simplechrome_tk.core.expression import linear_expression, log_expression
from simplechrome_tk.pl._style import DOWN, UP

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STYLE = """<style>
.sct-changes { display: flex; flex-wrap: wrap; gap: 8px 28px; }
.sct-change { flex: 1 1 195px; max-width: 460px; line-height: 1.4; }
.sct-change h3 { margin: 0; font-size: 15px; }
.sct-change .sct-number { font-size: 18px; line-height: 1.3; font-variant-numeric: tabular-nums; }
.sct-change .sct-number b { font-size: 25px; }
.sct-panel .sct-small { color: var(--jp-ui-font-color2, #666); line-height: 1.4; font-variant-numeric: tabular-nums; }
.sct-change .sct-what { margin-top: 8px; font-weight: 600; }
.sct-change svg { width: 100%; max-width: 400px; height: auto; display: block; }
</style>"""

_LEGEND = (
    '<div class="sct-small">Bars: intervals, grey with the marks as measured, in colour as edited; '
    "black or white: the prediction; △: measured in the cells.</div>"
)
_WIDTH, _LEFT = 400, 6
_GREY = 'fill="currentColor" fill-opacity="0.35"'


class Scale(NamedTuple):
    """Where values lie on a bar of 400 pixels: from ``low`` to ``high``, ticks with their names."""

    low: float
    high: float
    ticks: Sequence[tuple[float, str]]

    def at(self, value: float) -> float:
        """Return the pixel of a value, at the edge for one beyond."""
        share = (value - self.low) / (self.high - self.low)
        return _LEFT + (_WIDTH - 2 * _LEFT) * min(max(share, 0.0), 1.0)


class Known(NamedTuple):
    """What is known of a gene: its name, where it is; expression in ``unit`` and label, where they were measured."""

    name: str
    expression: float
    label: str
    unit: str


PROBABILITY = Scale(0, 1, [(share, f"{share:g}") for share in (0, 0.25, 0.5, 0.75, 1)])


def expression_scale(measured: np.ndarray) -> Scale:
    """Return a scale of ``log10(expression + 0.1)`` for all genes, with ticks at round expressions."""
    known = measured[np.isfinite(measured)]
    highest = max(2.0, float(known.max(initial=2.0)))
    decades = [0.0, *(10.0**power for power in range(math.floor(highest) + 1))]
    return Scale(-1.25, highest + 0.25, [(float(log_expression(value)), f"{value:,g}") for value in decades])


def changes(rows: Sequence[Mapping[Any, Any]], known: Sequence[Known], scale: Scale) -> str:
    """Return rows of :func:`simplechrome_tk.tl.perturb` as HTML, side by side."""
    cards = [_card(row, gene, scale) for row, gene in zip(rows, known, strict=True)]
    return f'{STYLE}<div class="sct-changes">{"".join(cards)}</div>{_LEGEND}'


def _card(row: Mapping[Any, Any], gene: Known, scale: Scale) -> str:
    parts = [f"<h3>{html.escape(gene.name)}</h3>"]
    if "log_expression_before" in row:
        parts.append(_expression(row, gene, scale))
    if "probability_before" in row:
        parts.append(_probability(row, gene))
    return f'<div class="sct-change">{"".join(parts)}</div>'


def _expression(row: Mapping[Any, Any], gene: Known, scale: Scale) -> str:
    logs = [float(row[f"log_expression_{when}"]) for when in ("before", "after")]
    old, new = (amount(float(linear_expression(log))) for log in logs)
    change = float(row["log_expression_change"])
    unit = f" {html.escape(gene.unit)}" if gene.unit else ""
    bounds = [float(row[f"log_expression_{bound}_after"]) for bound in ("low", "high")]
    linear = [amount(float(linear_expression(bound))) for bound in bounds]
    said = "no interval: too few genes to learn it from"
    if not any(map(math.isnan, bounds)):
        said = f"90 % interval {linear[0]} to {linear[1]}{unit}"
    times = f'<span title="of {_logged(gene.unit, log=False)}">×{10**change:.2f}</span>; ' if change else ""
    moved = f"{logs[0]:.2f} → {logs[1]:.2f}" if change else f"{logs[1]:.2f}"
    measured = f"measured {amount(gene.expression)}{unit}" if not math.isnan(gene.expression) else "not measured"
    return (
        '<div class="sct-what">Predicted expression</div>'
        f'<div class="sct-number">{_moved(old, new, change)}{unit} {_arrow(change)}</div>'
        f"{_bar(row, 'log_expression', scale, float(log_expression(gene.expression)))}"
        f'<div class="sct-small">{times}{said}<br>{_logged(gene.unit)}: {moved}{_signed(change, 2)}; {measured}</div>'
    )


def _probability(row: Mapping[Any, Any], gene: Known) -> str:
    old, new = (_share(float(row[f"probability_{when}"])) for when in ("before", "after"))
    bounds = [float(row[f"probability_{bound}_after"]) for bound in ("low", "high")]
    said = "no interval: too few genes to learn it from"
    if not any(map(math.isnan, bounds)):
        said = f"interval {_share(bounds[0])} to {_share(bounds[1])}"
    change = float(row["log_odds_change"])
    odds = f"; log-odds {_signed(change, 2).strip(' ()')}" if change else ""
    label = f"; labelled {html.escape(gene.label)}" if gene.label else ""
    return (
        '<div class="sct-what">Probability of high expression</div>'
        f'<div class="sct-number">{_moved(old, new, change)} {_arrow(change)}</div>'
        f"{_bar(row, 'probability', PROBABILITY, math.nan)}"
        f'<div class="sct-small">{said}{odds}{label}</div>'
    )


def _moved(old: str, new: str, change: float) -> str:
    return f"{old} → <b>{new}</b>" if change else f"<b>{new}</b>"


def _arrow(change: float) -> str:
    if not change:
        return ""
    sign, color = ("▲", UP) if change > 0 else ("▼", DOWN)
    return f'<span style="color: {color}" aria-hidden="true">{sign}</span>'


def _bar(row: Mapping[Any, Any], value: str, scale: Scale, truth: float) -> str:
    """Draw intervals and predictions before, in grey, and after, in colour; a triangle where the gene was measured."""
    change = float(row[f"{value}_after"]) - float(row[f"{value}_before"])
    color = f'fill="{UP if change > 0 else DOWN}"' if change else _GREY
    shapes = []
    for when, top, paint in (("before", 4, _GREY), ("after", 18, color)):
        low, point, high = (float(row[f"{value}{bound}_{when}"]) for bound in ("_low", "", "_high"))
        if not math.isnan(low):
            left, right = scale.at(low), scale.at(high)
            shapes.append(
                f'<rect x="{left:.1f}" y="{top}" width="{right - left:.1f}" height="10" {paint} opacity="0.85"/>'
            )
        shapes.append(
            f'<rect x="{scale.at(point) - 1.5:.1f}" y="{top - 2}" width="3" height="14" fill="currentColor"/>'
        )
    if not math.isnan(truth):
        x = scale.at(truth)
        shapes.append(
            f'<path d="M{x:.1f} 33 l-5 9 h10 z" fill="none" stroke="currentColor" stroke-width="1.5">'
            "<title>as measured in the cells</title></path>"
        )
    axis = [f'<line x1="{_LEFT}" x2="{_WIDTH - _LEFT}" y1="43" y2="43" stroke="currentColor" stroke-opacity="0.85"/>']
    for place, name in scale.ticks:
        x = scale.at(place)
        anchor = "start" if x < 15 else "end" if x > _WIDTH - 15 else "middle"
        axis.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="43" y2="47" stroke="currentColor" stroke-opacity="0.85"/>')
        axis.append(f'<text x="{x:.1f}" y="58" font-size="11" text-anchor="{anchor}" fill="currentColor">{name}</text>')
    alt = f"{value} before and after with intervals"
    return f'<svg viewBox="0 0 {_WIDTH} 62" role="img" aria-label="{alt}">{"".join(shapes + axis)}</svg>'


def _logged(unit: str, *, log: bool = True) -> str:
    inner = f"{html.escape(unit or 'expression')} + 0.1"
    return f"log10({inner})" if log else inner


def amount(value: float) -> str:
    """Write an expression with three digits, two decimals at most."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _share(probability: float) -> str:
    if probability > 0.9995:
        return "&gt;0.999"
    return "&lt;0.001" if probability < 0.0005 else f"{probability:.3f}"


def _signed(change: float, digits: int) -> str:
    return f" ({change:+.{digits}f})".replace("-", "−") if change else ""
