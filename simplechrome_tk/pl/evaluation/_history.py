"""Plots of the history of a training."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import seaborn as sns
from matplotlib.ticker import MaxNLocator

from simplechrome_tk.pl._figure import subplots
from simplechrome_tk.pl._style import GREY, literal

if TYPE_CHECKING:
    from typing import TypeAlias

    import pandas as pd
    from matplotlib.axes import Axes

    Lines: TypeAlias = dict[str, tuple[str, str, str]]

# Name in the legend, colour and line style of each column of the history.
LOSSES = {
    "train_loss": ("training loss", "#0072B2", "-"),
    "valid_loss": ("validation loss", "#D55E00", "-"),
    "reconstruction": ("reconstruction (validation)", "#009E73", "--"),
}
_KL = {"kl": ("KL divergence", "#CC79A7", "-")}
SCORES = {
    "valid_auroc": ("AUROC", "#0072B2", "-"),
    "valid_pearson": ("Pearson", "#E69F00", "-"),
}


# Panels in a row, and size of each in inches.
_COLUMNS = 2
_PANEL_WIDTH, _PANEL_HEIGHT = 5.2, 2.5


class _Panel(NamedTuple):
    """A panel: its title, the unit of its y axis, the epochs to draw, and the style of each column."""

    title: str
    unit: str
    table: pd.DataFrame
    lines: Lines


def history(table: pd.DataFrame) -> np.ndarray:
    """Draw losses, phase by phase, and validation scores over the epochs of a training.

    Parameters
    ----------
    table
        :attr:`simplechrome_tk.SimpleChrome.history`: one row per epoch, with ``epoch`` and any of ``phase``,
        ``train_loss``, ``valid_loss``, ``reconstruction``, ``kl``, ``valid_auroc``, ``valid_pearson`` and ``best``
        (True where the kept weights are from). With a column ``model`` each model has a line of its own.

    Returns
    -------
    numpy.ndarray
        Axes, shape ``(n_panels,)``: the losses of each phase, the Kullback-Leibler divergence, the validation scores;
        panels of columns that the history does not hold are left out.

    Raises
    ------
    ValueError
        When there is no ``epoch``, or nothing to draw.
    """
    drawn = _panels(table)
    n_columns = min(_COLUMNS, len(drawn))
    n_rows = -(-len(drawn) // n_columns)
    size = (_PANEL_WIDTH * n_columns, _PANEL_HEIGHT * n_rows)
    figure, grid = subplots(n_rows, n_columns, figsize=size, squeeze=False, layout="constrained")
    axes = grid.ravel()
    for spare in axes[len(drawn) :]:
        spare.remove()
    for ax, panel in zip(axes, drawn, strict=False):
        part = panel.table[panel.table[list(panel.lines)].notna().any(axis=1)]
        _draw_lines(ax, part, panel.lines)
        _mark_best(ax, part)
        ax.set_title(literal(panel.title), loc="left", fontsize="medium")
        ax.set(xlabel="epoch", ylabel=panel.unit)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0.0, frameon=False)
    sns.despine(figure)
    return axes[: len(drawn)]


def _panels(table: pd.DataFrame) -> list[_Panel]:
    """Return the panels of columns that the history holds; raise ``ValueError`` when there are none."""
    if "epoch" not in table:
        msg = f"the history has columns {', '.join(map(str, table)) or 'none'}; expected 'epoch' and losses."
        raise ValueError(msg)
    panels = [_Panel("loss", "loss", table, LOSSES)]
    if "phase" in table:
        phases = table["phase"].astype(str)
        panels = [_Panel(f"{phase} phase", "loss", table[phases == phase], LOSSES) for phase in phases.unique()]
    panels += [_Panel("KL divergence", "nats", table, _KL), _Panel("validation scores", "score", table, SCORES)]
    panels = [panel._replace(lines=_recorded(panel.table, panel.lines)) for panel in panels]
    drawn = [panel for panel in panels if panel.lines]
    if not drawn:
        msg = f"nothing to draw: {len(table)} epochs with columns {', '.join(map(str, table))}; train first."
        raise ValueError(msg)
    return drawn


def _draw_lines(ax: Axes, part: pd.DataFrame, lines: Lines) -> None:
    """Draw columns over epochs, each model as a line of its own; the legend names a column once."""
    models = [model for _, model in part.groupby("model" if "model" in part else np.zeros(len(part)))]
    for column, (name, color, style) in lines.items():
        for number, model in enumerate(models):
            label = name if number == 0 else None
            ax.plot(model["epoch"], model[column], color=color, linestyle=style, linewidth=1.5, label=label)


def _recorded(part: pd.DataFrame, known: Lines) -> Lines:
    """Return the columns that the history holds values of."""
    return {column: style for column, style in known.items() if column in part and part[column].notna().any()}


def _mark_best(ax: Axes, part: pd.DataFrame) -> None:
    """Draw a dotted line at the epochs whose weights were kept."""
    if "best" not in part:
        return
    epochs = sorted(part.loc[part["best"].isin([True]), "epoch"])
    name = f"{'best epochs' if len(epochs) > 1 else 'best epoch'}: {', '.join(map(str, epochs))}"
    for number, epoch in enumerate(epochs):
        ax.axvline(epoch, color=GREY, linestyle=":", linewidth=1.2, label=name if number == 0 else None)
