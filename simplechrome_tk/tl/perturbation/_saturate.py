"""In-silico mutagenesis of chromatin: every mark edited in every bin."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import check_order, gene_rows
from simplechrome_tk.tl.perturbation._edit import GENE, Edit
from simplechrome_tk.tl.perturbation._edit_session import Chromatin, Links, Scene
from simplechrome_tk.tl.perturbation._perturb import answer, bench_of, who

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad

    from simplechrome_tk.model._simplechrome import SimpleChrome
    from simplechrome_tk.tl.perturbation._edit_session import Bench

_BATCH = 4_096
_BIN_BY_BIN = ("set", "scale", "transplant")


class _Variants(NamedTuple):
    """A gene as it is, and once for each window in which the edit changes something; which columns those are."""

    scene: Scene
    columns: np.ndarray
    signal: np.ndarray


def saturate(
    adata: ad.AnnData,
    model: SimpleChrome,
    genes: str | Sequence[str] | np.ndarray | pd.Series,
    *,
    edit: Edit | None = None,
    width: int = 1,
    progress: bool = True,
) -> pd.DataFrame:
    """Edit each mark in each bin, one at a time, and predict what changes.

    Parameters
    ----------
    model, adata, progress
        As for :func:`simplechrome_tk.tl.perturb`.
    genes
        Genes to scan: ids, symbols or a mask. A gene takes as many predictions as it has bins with signal; they are
        made together.
    edit
        What is done to each bin: ``Edit.remove()`` when ``None``; or ``Edit.set``, ``Edit.scale`` or
        ``Edit.transplant``. Its mark, region and stretch limit which bins are scanned, and ``of`` whose they are:
        the gene's own, or those of its neighbours, in all of them at once.
    width
        Bins edited at a time: a window of so many bins slides by one bin; its effect is written to the bin in its
        middle (of an even number, the one left of it). At the edges the window is cut.

    Returns
    -------
    pandas.DataFrame
        One row per gene and bin of each mark: ``gene`` (id), ``symbol``, ``mark``, ``region``, ``bin``, ``start_bp``,
        ``end_bp``, ``signal`` (of the bin before; the mean over the neighbours where they are edited),
        ``log_odds_change`` and ``log_expression_change`` as in :func:`simplechrome_tk.tl.perturb`, edited less
        unedited; exactly 0 where the edit changes no signal. ``gene``, ``symbol``, ``mark`` and ``region`` are
        categorical.

    Raises
    ------
    ValueError
        When ``width`` is below 1, the edit moves signal between bins or marks, and as
        :func:`simplechrome_tk.tl.perturb`.

    Notes
    -----
    Marks are as wide as several bins, and a network reads them through strides: single bins may each matter little
    where the peak matters much. Widen the window to see it.
    """
    check_order(adata, model, "sct.tl.saturate(adata, model, genes)")
    edit = Edit.remove() if edit is None else edit
    if edit.action not in _BIN_BY_BIN:
        msg = f"the edit is a {edit.action}, which moves signal; expected one bin by bin: {', '.join(_BIN_BY_BIN)}."
        raise ValueError(msg)
    if width < 1:
        msg = f"width is {width}; expected 1 bin or more."
        raise ValueError(msg)
    bench = bench_of(model, adata)
    bench.check([edit])
    rows = gene_rows(adata, genes)
    scanned = bench.layout.columns(edit)
    windows = _windows(bench, scanned, width)
    lonely = _without_neighbors(bench, rows, edit)
    tables, waiting = [], []
    for i, row in enumerate(tqdm(rows, disable=not progress or len(rows) == 1)):
        waiting.append(_variants(bench, int(row), [] if lonely[i] else [edit], windows))
        if sum(len(variants.scene.genes.rows) for variants in waiting) >= _BATCH or i == len(rows) - 1:
            tables += _effects(model, bench, waiting)
            waiting = []
    return _tidy(adata, rows, scanned, tables)


def _windows(bench: Bench, scanned: np.ndarray, width: int) -> np.ndarray:
    """Columns of the window around each column, ``(n_columns, n_columns)``; none around those not scanned."""
    table = bench.layout.blocks
    block = np.repeat(np.arange(len(table)), table["stop"] - table["start"])
    column = np.arange(len(block))
    offset = column[None, :] - column[:, None]
    near = (offset >= -((width - 1) // 2)) & (offset <= width // 2)
    return near & (block[:, None] == block[None, :]) & scanned[None, :] & scanned[:, None]


def _without_neighbors(bench: Bench, rows: np.ndarray, edit: Edit) -> np.ndarray:
    """Which genes have none of the neighbours that the edit is of, ``(n,)``; counted in the log or refused."""
    if edit.of == GENE:
        return np.zeros(len(rows), dtype=bool)
    position, neighbor, *_ = bench.links(rows)
    return np.bincount(position[bench.chosen(edit, rows, position, neighbor)], minlength=len(rows)) == 0


def _variants(bench: Bench, row: int, edits: list[Edit], windows: np.ndarray) -> _Variants:
    scene, edited = bench.scene(np.array([row]), edits)
    of_gene = not edits or edits[0].of == GENE
    whose, new = (scene.genes, edited.genes) if of_gene else (scene.neighbors, edited.neighbors)
    touched = np.flatnonzero((whose.signal != new.signal).any(axis=1))
    differs = (whose.signal != new.signal).any(axis=0)
    columns = np.flatnonzero((windows & differs).any(axis=1))
    signal = whose.signal[_edited_rows(bench, row, edits[0], scene)].mean(axis=0) if edits else np.zeros(len(differs))
    n_variants = len(columns) + 1
    where = np.vstack([np.zeros((1, windows.shape[1]), dtype=bool), windows[columns]])
    changed = _mixed(whose.take(touched), new.take(touched), where)
    if of_gene:
        genes = changed if len(touched) else scene.genes.take(np.zeros(n_variants, int))
        neighbors, place = scene.neighbors, np.tile(scene.links.neighbor, (n_variants, 1))
    else:
        genes = scene.genes.take(np.zeros(n_variants, int))
        neighbors = _joined(scene.neighbors, changed)
        # the neighbours that are not touched stand first, once; those that are, once for each variant
        place = np.tile(scene.links.neighbor, (n_variants, 1))
        for i, neighbor in enumerate(touched):
            versions = len(scene.neighbors.rows) + i * n_variants + np.arange(n_variants)
            place = np.where(scene.links.neighbor == neighbor, versions[:, None], place)
    n_links = len(scene.links.neighbor)
    links = Links(
        np.repeat(np.arange(n_variants), n_links),
        place.ravel(),
        np.tile(scene.links.weight, n_variants),
        np.tile(scene.links.distance, n_variants),
    )
    return _Variants(Scene(genes, neighbors, links), columns, signal)


def _edited_rows(bench: Bench, row: int, edit: Edit, scene: Scene) -> np.ndarray:
    """Places of the genes that the edit is of, among the gene itself or its neighbours."""
    if edit.of == GENE:
        return np.zeros(1, dtype=int)
    neighbor = scene.neighbors.rows[scene.links.neighbor]
    return scene.links.neighbor[bench.chosen(edit, np.array([row]), scene.links.gene, neighbor)]


def _mixed(old: Chromatin, new: Chromatin, where: np.ndarray) -> Chromatin:
    """Each gene in turn, in all variants: new marks where ``where`` ``(n_variants, n_columns)`` says so."""
    signal, x = (
        np.where(where[None], after[:, None], before[:, None]).reshape(-1, where.shape[1])
        for before, after in ((old.signal, new.signal), (old.x, new.x))
    )
    return Chromatin(np.repeat(old.rows, len(where)), signal, x)


def _joined(*parts: Chromatin) -> Chromatin:
    return Chromatin(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _effects(model: SimpleChrome, bench: Bench, waiting: list[_Variants]) -> list[pd.DataFrame]:
    """Predict the variants of several genes at once; return what each changes, by column."""
    scenes = [variants.scene for variants in waiting]
    sizes = [len(scene.genes.rows) for scene in scenes]
    first = np.cumsum([0, *sizes[:-1]])
    before = np.cumsum([0, *(len(scene.neighbors.rows) for scene in scenes[:-1])])
    links = [
        scene.links._replace(gene=scene.links.gene + own, neighbor=scene.links.neighbor + around)
        for scene, own, around in zip(scenes, first, before, strict=True)
    ]
    together = Scene(
        _joined(*(scene.genes for scene in scenes)),
        _joined(*(scene.neighbors for scene in scenes)),
        Links(*(np.concatenate(arrays) for arrays in zip(*links, strict=True))),
    )
    answers = answer(model, bench, together)
    tables = []
    for variants, own, size in zip(waiting, first, sizes, strict=True):
        part = answers.iloc[own : own + size]
        table = pd.DataFrame({"signal": variants.signal})
        for value in ("log_odds", "log_expression"):
            if value in part:
                change = np.zeros(len(table), dtype=np.float32)
                change[variants.columns] = part[value].to_numpy()[1:] - part[value].iloc[0]
                table[f"{value}_change"] = change
        tables.append(table)
    return tables


def _tidy(adata: ad.AnnData, rows: np.ndarray, scanned: np.ndarray, tables: list[pd.DataFrame]) -> pd.DataFrame:
    columns = np.flatnonzero(scanned)
    names = who(adata, rows)
    bins = adata.var.iloc[columns]
    parts = {
        name: pd.Categorical(np.repeat(names[name], len(columns)), list(dict.fromkeys(names[name]))) for name in names
    }
    for name in (k.MARK, k.REGION):
        values = bins[name].astype(str)
        parts[name] = pd.Categorical(np.tile(values, len(rows)), list(dict.fromkeys(values)))
    places = {name: np.tile(bins[name].to_numpy(), len(rows)) for name in (k.BIN, k.START_BP, k.END_BP)}
    effects = pd.concat([table.iloc[columns] for table in tables], ignore_index=True)
    return pd.concat([pd.DataFrame({**parts, **places}), effects], axis=1)
