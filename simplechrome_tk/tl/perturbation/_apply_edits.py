"""Edited marks, written into the data."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.matrix import dense
from simplechrome_tk.core.require import gene_rows
from simplechrome_tk.core.write import to_change, write_whole
from simplechrome_tk.tl.perturbation._edit import GENE, list_edits
from simplechrome_tk.tl.perturbation._edit_session import EditSession

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad

    from simplechrome_tk.core.require import Genes
    from simplechrome_tk.tl.perturbation._edit import Edit

logger = logging.getLogger(__name__)


def apply_edits(
    adata: ad.AnnData,
    edits: Edit | Sequence[Edit],
    *,
    genes: Genes = None,
    neighbors_key: str | Sequence[str] | None = None,
    copy: bool = False,
) -> ad.AnnData | None:
    """Edit the marks of genes, or of their neighbours, in the data.

    All genes are edited together, unlike in :func:`perturb`: an edited gene is edited wherever it is read, also as the
    neighbour of another gene. Results that were computed before, such as attributions, are of the marks as they were.

    Parameters
    ----------
    adata
        Normalised genes by bins with ``layers["signal"]``.
    edits
        One edit or several, which act one after the other, as for :func:`perturb`.
    genes
        Genes to edit, or whose neighbours are edited: ids, symbols or a mask; ``None`` takes all.
    neighbors_key
        Graph of neighbouring genes in ``obsp``, or names of several, for edits of neighbours.
    copy
        Return a changed copy and leave ``adata`` as it is.

    Returns
    -------
    anndata.AnnData | None
        The copy when ``copy=True``. Writes

        ``layers["signal"]``: the edited signal.
        ``X``: what the edited signal is normalised to.
        ``obs["edited"]``: whether the signal of the gene was changed, by this call or an earlier one.

    Raises
    ------
    ValueError
        When the signal was not kept, ``X`` is in a file, or an edit cannot be made, as for :func:`perturb`.

    Examples
    --------
    >>> sct.tl.apply_edits(adata, sct.tl.Edit.remove(mark="H3K4me3"), genes="SIM0007")
    >>> float(sct.get.region(adata[adata.obs["edited"]], "tss", layer="signal")[0, 0].max())
    0.0
    """
    edits = list_edits(edits)
    session = EditSession(adata, neighbors_key=neighbors_key)
    session.check(edits)
    rows = gene_rows(adata, genes)
    edges = session.neighbor_edges(rows)
    rows_of_edits = [
        rows if edit.on == GENE else np.unique(edges.neighbor[session.find_edited(edit, rows, edges)]) for edit in edits
    ]
    edited_rows = np.unique(np.concatenate(rows_of_edits))
    measured = edited = session.read(edited_rows)
    for edit, rows_of_edit in zip(edits, rows_of_edits, strict=True):
        places = np.searchsorted(edited_rows, rows_of_edit)
        edited = edited.replace_at(places, session.edit(edited.take(places), edit))
    changed = measured.signal != edited.signal

    data = to_change(adata, copy=copy, x=True)
    signal = _replace(dense(data, k.SIGNAL), edited_rows, edited.signal, changed)
    x = _replace(dense(data), edited_rows, edited.x, changed)
    flags = data.obs[k.EDITED].to_numpy(bool, copy=True) if k.EDITED in data.obs else np.zeros(data.n_obs, dtype=bool)
    flags[edited_rows] |= changed.any(axis=1)
    write_whole(data, [("layers", k.SIGNAL, signal), ("X", "", x), ("obs", k.EDITED, flags)], records={})
    logger.info("The marks of %d of %d genes were changed.", int(changed.any(axis=1).sum()), data.n_obs)
    return data if copy else None


def _replace(matrix: np.ndarray, rows: np.ndarray, new: np.ndarray, changed: np.ndarray) -> np.ndarray:
    """Return a copy of a matrix with new values in some rows, where ``changed`` ``(len(rows), n_columns)`` says so."""
    # Counts may be whole numbers, which half of a count is not.
    edited = matrix.astype(np.result_type(matrix, np.float32))
    edited[rows] = np.where(changed, new, edited[rows])
    return edited
