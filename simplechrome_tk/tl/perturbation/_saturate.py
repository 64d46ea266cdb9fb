"""In-silico mutagenesis of chromatin: every mark edited in every bin."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import check_order, gene_rows
from simplechrome_tk.core.tables import check_table_key, write_table
from simplechrome_tk.core.write import to_change
from simplechrome_tk.tl.perturbation._batch import Batch, GeneSignal, NeighborEdges, join_batches, join_signals
from simplechrome_tk.tl.perturbation._edit import GENE, Edit
from simplechrome_tk.tl.perturbation._edit_signal import find_columns
from simplechrome_tk.tl.perturbation._predict import open_session, predict_batch

if TYPE_CHECKING:
    import anndata as ad

    from simplechrome_tk.core.layout import Layout
    from simplechrome_tk.core.require import Genes
    from simplechrome_tk.model._simplechrome import SimpleChrome
    from simplechrome_tk.tl.perturbation._edit_session import EditSession

# Variants predicted at a time: a gene with signal in all of 600 bins has 601, so that several genes share a batch.
_BATCH = 4_096
_BIN_BY_BIN = ("set", "scale", "transplant")


class _Variants(NamedTuple):
    """A gene as measured, and once for each window in which the edit changes something.

    ``batch`` holds the gene as measured first, then its variants; ``columns`` ``(n_variants,)`` are the columns in the
    middle of the windows; ``signal`` ``(n_columns,)`` is the signal before the edit.
    """

    batch: Batch
    columns: np.ndarray
    signal: np.ndarray


def saturate(
    adata: ad.AnnData,
    model: SimpleChrome,
    genes: Genes,
    *,
    edit: Edit | None = None,
    width: int = 1,
    key_added: str = k.SATURATE,
    progress: bool = True,
    copy: bool = False,
) -> ad.AnnData | None:
    """Edit each mark in each bin, one at a time, and predict what changes.

    Parameters
    ----------
    adata, model, progress, copy
        As for :func:`perturb`.
    genes
        Genes to scan: ids, symbols or a mask. Each gene needs as many predictions as it has bins with signal; they are
        made together.
    edit
        The edit of each bin: ``Edit.remove()`` when ``None``; otherwise ``Edit.set``, ``Edit.scale`` or
        ``Edit.transplant``. Its mark, region, ``start`` and ``end`` limit which bins are scanned. With ``on``, the bins
        of neighbours are edited instead of the gene's own, in all of these neighbours at once.
    width
        Number of bins edited at a time. A window of this width moves by one bin; its effect is written to the bin in
        its middle (of an even number, the one left of it). At the edges of the region the window is shorter.
    key_added
        Name of the result in ``uns``.

    Returns
    -------
    anndata.AnnData | None
        The copy when ``copy=True``. Writes to ``uns["saturate"]`` a table with one row per gene and bin of each mark:
        ``gene`` (id), ``symbol``, ``mark``, ``region``, ``bin``, ``start_bp``, ``end_bp``, ``signal`` (of the bin
        before the edit; the mean over the neighbours where they are edited), ``log_odds_change`` and
        ``log_expression_change`` as in :func:`perturb`, edited minus measured. The change is exactly 0 where the edit
        changes no signal. ``gene``, ``symbol``, ``mark`` and ``region`` are categorical.

    Raises
    ------
    ValueError
        When ``width`` is below 1, the edit moves signal between bins or marks, and as :func:`perturb`.

    Notes
    -----
    Most peaks are several bins wide, and a network reads several bins together: a single bin may matter little where
    the whole peak matters much. A wider window shows this.

    Examples
    --------
    >>> sct.tl.saturate(adata, model, "SIM0007")
    >>> len(adata.uns["saturate"]) == adata.n_vars
    True
    """
    check_order(adata, model, "sct.tl.saturate(adata, model, genes)")
    check_table_key(adata, key_added, ["gene", "bin"])
    edit = Edit.remove() if edit is None else edit
    if edit.action not in _BIN_BY_BIN:
        msg = f"the edit is a {edit.action}, which moves signal; expected one bin by bin: {', '.join(_BIN_BY_BIN)}."
        raise ValueError(msg)
    if width < 1:
        msg = f"width is {width}; expected 1 bin or more."
        raise ValueError(msg)
    session = open_session(adata, model)
    session.check([edit])
    table = _scan(session, model, gene_rows(adata, genes), edit=edit, width=width, progress=progress)
    data = to_change(adata, copy=copy)
    write_table(data, key_added, table)
    return data if copy else None


def _scan(
    session: EditSession, model: SimpleChrome, rows: np.ndarray, *, edit: Edit, width: int, progress: bool
) -> pd.DataFrame:
    """Return the table that :func:`saturate` writes."""
    scanned = find_columns(session.layout, edit)
    windows = _find_windows(session.layout, scanned, width)
    can_edit = _find_genes_to_edit(session, rows, edit)
    tables: list[pd.DataFrame] = []
    waiting: list[_Variants] = []
    for i, row in enumerate(tqdm(rows, disable=not progress or len(rows) == 1)):
        waiting.append(_make_variants(session, int(row), [edit] if can_edit[i] else [], windows))
        is_last = i == len(rows) - 1
        if is_last or sum(len(variants.batch.genes.rows) for variants in waiting) >= _BATCH:
            tables += _predict_changes(model, session, waiting)
            waiting = []
    return _tabulate(session, rows, np.flatnonzero(scanned), tables)


def _find_windows(layout: Layout, scanned: np.ndarray, width: int) -> np.ndarray:
    """Return which columns the window around each column covers, ``(n_columns, n_columns)``.

    A window ends with its mark and region; columns that are not scanned have none.
    """
    column = np.arange(layout.n_columns)
    offset = column[None, :] - column[:, None]
    near = (offset >= -((width - 1) // 2)) & (offset <= width // 2)
    same_block = layout.block[:, None] == layout.block[None, :]
    return near & same_block & scanned[None, :] & scanned[:, None]


def _find_genes_to_edit(session: EditSession, rows: np.ndarray, edit: Edit) -> np.ndarray:
    """Return which genes can be edited, ``(n_genes,)``: all but those without any of the neighbours to edit."""
    if edit.on == GENE:
        return np.ones(len(rows), dtype=bool)
    edges = session.neighbor_edges(rows)
    edited = session.find_edited(edit, rows, edges)
    return np.bincount(edges.gene[edited], minlength=len(rows)) > 0


def _make_variants(session: EditSession, row: int, edits: list[Edit], windows: np.ndarray) -> _Variants:
    """Make one variant of a gene for each window in which the edit changes its signal, or that of its neighbours."""
    measured, edited = session.make_batches(np.array([row]), edits)
    edits_gene = not edits or edits[0].on == GENE
    old, new = (measured.genes, edited.genes) if edits_gene else (measured.neighbors, edited.neighbors)
    differs = old.signal != new.signal
    columns = np.flatnonzero((windows & differs.any(axis=0)).any(axis=1))
    # The first variant is the gene as measured: no column of it is edited.
    where = np.vstack([np.zeros(windows.shape[1], dtype=bool), windows[columns]])
    if edits_gene:
        batch = _vary_gene(measured, new, where)
    else:
        batch = _vary_neighbors(measured, new, where, changed=np.flatnonzero(differs.any(axis=1)))
    return _Variants(batch, columns, _mean_signal(session, row, edits, measured))


def _vary_gene(measured: Batch, new: GeneSignal, where: np.ndarray) -> Batch:
    """Return the one gene of a batch in all variants, each with the same neighbours."""
    edges = _repeat_edges(measured.edges, measured.edges.neighbor, len(where))
    return Batch(_mix(measured.genes, new, where), measured.neighbors, edges)


def _vary_neighbors(measured: Batch, new: GeneSignal, where: np.ndarray, *, changed: np.ndarray) -> Batch:
    """Return the one gene of a batch once for each variant of its neighbours; ``changed`` are those that are edited."""
    n_variants = len(where)
    genes = measured.genes.take(np.zeros(n_variants, dtype=int))
    # The neighbours as measured come first, each once. Behind them comes each edited neighbour in all its variants, to
    # which the edges of each variant lead.
    variants = _mix(measured.neighbors.take(changed), new.take(changed), where)
    neighbors = join_signals([measured.neighbors, variants])
    place = np.tile(measured.edges.neighbor, (n_variants, 1))
    for i, neighbor in enumerate(changed):
        places_of_variants = len(measured.neighbors.rows) + i * n_variants + np.arange(n_variants)
        place = np.where(measured.edges.neighbor == neighbor, places_of_variants[:, None], place)
    return Batch(genes, neighbors, _repeat_edges(measured.edges, place, n_variants))


def _repeat_edges(edges: NeighborEdges, neighbor: np.ndarray, n_variants: int) -> NeighborEdges:
    """Return the edges of one gene for all variants; ``neighbor`` is ``(n_edges,)`` or ``(n_variants, n_edges)``."""
    n_edges = len(edges.neighbor)
    return NeighborEdges(
        np.repeat(np.arange(n_variants), n_edges),
        np.broadcast_to(neighbor, (n_variants, n_edges)).ravel(),
        np.tile(edges.weights, (n_variants, 1)),
        np.tile(edges.distance, n_variants),
    )


def _mix(old: GeneSignal, new: GeneSignal, where: np.ndarray) -> GeneSignal:
    """Return each gene in all variants: new marks where ``where`` ``(n_variants, n_columns)`` is true, else old."""
    signal, x = (
        np.where(where[None], after[:, None], before[:, None]).reshape(-1, where.shape[1])
        for before, after in ((old.signal, new.signal), (old.x, new.x))
    )
    return GeneSignal(np.repeat(old.rows, len(where)), signal, x)


def _mean_signal(session: EditSession, row: int, edits: list[Edit], measured: Batch) -> np.ndarray:
    """Return the signal to edit, ``(n_columns,)``: that of the gene, or the mean over the neighbours to edit."""
    if not edits:
        return np.zeros(session.layout.n_columns)
    if edits[0].on == GENE:
        return measured.genes.signal[0]
    rows = measured.neighbors.rows[measured.edges.neighbor]
    edited = session.find_edited(edits[0], np.array([row]), measured.edges._replace(neighbor=rows))
    return measured.neighbors.signal[measured.edges.neighbor[edited]].mean(axis=0)


def _predict_changes(model: SimpleChrome, session: EditSession, genes: list[_Variants]) -> list[pd.DataFrame]:
    """Predict the variants of several genes together; return what each variant changes, a table by column per gene."""
    predicted = predict_batch(model, session, join_batches([variants.batch for variants in genes]))
    tables = []
    first = 0
    for variants in genes:
        part = predicted.iloc[first : first + len(variants.columns) + 1]
        first += len(part)
        table = pd.DataFrame({"signal": variants.signal})
        for value in (k.LOG_ODDS, k.LOG_EXPRESSION):
            if value in part:
                change = np.zeros(len(table), dtype=np.float32)
                change[variants.columns] = part[value].to_numpy()[1:] - part[value].iloc[0]
                table[f"{value}_change"] = change
        tables.append(table)
    return tables


def _tabulate(session: EditSession, rows: np.ndarray, columns: np.ndarray, tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Put the tables of all genes together, one row per gene and scanned column."""
    names = session.name_genes(rows)
    bins = session.adata.var.iloc[columns]
    result = {name: _as_categories(np.repeat(names[name].to_numpy(), len(columns))) for name in ("gene", "symbol")}
    for name in (k.MARK, k.REGION):
        result[name] = _as_categories(np.tile(bins[name].astype(str).to_numpy(object), len(rows)))
    for name in (k.BIN, k.START_BP, k.END_BP):
        result[name] = np.tile(bins[name].to_numpy(), len(rows))
    changes = pd.concat([table.iloc[columns] for table in tables], ignore_index=True)
    return pd.concat([pd.DataFrame(result), changes], axis=1)


def _as_categories(names: np.ndarray) -> pd.Categorical:
    """Return names as categories in the order in which they appear."""
    return pd.Categorical(names, pd.Index(dict.fromkeys(names), dtype=object))
