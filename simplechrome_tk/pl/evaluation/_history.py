"""Plots of the history of a training."""

from __future__ import annotations

from typing import TYPE_CHECKING

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


def history(history: pd.DataFrame) -> np.ndarray:
    """Draw losses, phase by phase, and validation scores over the epochs of a training.

    Parameters
    ----------
    history
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
    if "epoch" not in history:
        msg = f"history has columns {', '.join(map(str, history)) or 'none'}; expected 'epoch' and losses."
        raise ValueError(msg)
    phases = history["phase"].astype(str) if "phase" in history else None
    panels: list[tuple[str, str, pd.DataFrame, Lines]] = []
    if phases is None:
        panels.append(("loss", "loss", history, LOSSES))
    else:
        panels += [(f"{phase} phase", "loss", history[phases == phase], LOSSES) for phase in phases.unique()]
    panels += [("KL divergence", "nats", history, _KL), ("validation scores", "score", history, SCORES)]
    drawn = [(*panel, lines) for *panel, known in panels if (lines := _recorded(panel[2], known))]
    if not drawn:
        msg = f"nothing to draw: {len(history)} epochs with columns {', '.join(map(str, history))}; train first."
        raise ValueError(msg)
    n_columns = min(2, len(drawn))
    n_rows = -(-len(drawn) // n_columns)
    figure, grid = subplots(
        n_rows, n_columns, figsize=(5.2 * n_columns, 2.5 * n_rows), squeeze=False, layout="constrained"
    )
    axes = grid.ravel()
    for spare in axes[len(drawn) :]:
        spare.remove()
    for ax, (title, unit, part, lines) in zip(axes, drawn, strict=False):
        part = part[part[list(lines)].notna().any(axis=1)]
        _draw_lines(ax, part, lines)
        _mark_best(ax, part)
        ax.set_title(literal(title), loc="left", fontsize="medium")
        ax.set(xlabel="epoch", ylabel=unit)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0.0, frameon=False)
    sns.despine(figure)
    return axes[: len(drawn)]


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
