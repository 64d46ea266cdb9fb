"""Predictions for genes with a mark scaled by several factors."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import check_order, gene_rows
from simplechrome_tk.core.tables import check_table_key, write_table
from simplechrome_tk.core.write import to_change
from simplechrome_tk.tl.perturbation._batch import count_unchanged
from simplechrome_tk.tl.perturbation._edit import GENE, Edit, list_edits
from simplechrome_tk.tl.perturbation._predict import cut_into_chunks, open_session, predict_batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad

    from simplechrome_tk.core.require import Genes
    from simplechrome_tk.model._simplechrome import SimpleChrome
    from simplechrome_tk.tl.perturbation._edit_session import EditSession

logger = logging.getLogger(__name__)

_ALL_MARKS = "all marks"
_VALUES = (k.PROBABILITY, k.LOG_ODDS, k.LOG_EXPRESSION)
_FACTORS = tuple(float(factor) for factor in np.linspace(0, 2, 9))


def dose_response(
    adata: ad.AnnData,
    model: SimpleChrome,
    mark: str | None,
    *,
    factors: Sequence[float] | np.ndarray = _FACTORS,
    genes: Genes = None,
    region: str | None = None,
    start: float | None = None,
    end: float | None = None,
    on: str = GENE,
    edits: Edit | Sequence[Edit] = (),
    key_added: str = k.DOSE_RESPONSE,
    progress: bool = True,
    copy: bool = False,
) -> ad.AnnData | None:
    """Predict genes with the signal of a mark multiplied by each of several factors.

    Parameters
    ----------
    adata, model, genes, progress, copy
        As for :func:`perturb`.
    mark
        Mark to scale; ``None`` scales all marks together.
    factors
        Numbers to multiply the signal by, at least 0; 1 is the signal as measured. Nine factors from 0 to 2 by default.
    region, start, end, on
        Where the mark is scaled, as for :class:`Edit`.
    edits
        Edits that are made first, whatever the factor: they show what the mark does where others have been changed.
    key_added
        Name of the result in ``uns``. A second call with the same name replaces the first result: give each mark a name
        of its own, such as ``key_added="dose_H3K27ac"``, to keep both.

    Returns
    -------
    anndata.AnnData | None
        The copy when ``copy=True``. Writes to ``uns["dose_response"]`` a table with one row per gene and factor, in the
        order given: ``gene`` (id), ``symbol``, ``mark`` (``"all marks"`` where it was ``None``), ``factor``,
        ``probability`` of being high, its ``log_odds``, and ``log_expression`` (``log10(expression + 0.1)``). Columns
        that the model's task does not cover are absent. Genes without the mark have a flat curve; the log counts them.

    Raises
    ------
    ValueError
        When there are no factors or one is below 0, and as :func:`perturb`.

    Examples
    --------
    >>> sct.tl.dose_response(adata, model, "H3K4me3", factors=[0, 1, 2], genes="SIM0007")
    >>> adata.uns["dose_response"]["factor"].tolist()
    [0.0, 1.0, 2.0]
    """
    check_order(adata, model, "sct.tl.dose_response(adata, model, mark)")
    check_table_key(adata, key_added, ["gene", "factor"])
    scaling = Edit.scale(1.0, mark=mark, region=region, start=start, end=end, on=on)
    session = open_session(adata, model)
    table = predict_factors(
        session, model, scaling, factors=factors, genes=genes, edits=list_edits(edits), progress=progress
    )
    data = to_change(adata, copy=copy)
    write_table(data, key_added, table)
    return data if copy else None


def predict_factors(
    session: EditSession,
    model: SimpleChrome,
    scaling: Edit,
    *,
    factors: Sequence[float] | np.ndarray = _FACTORS,
    genes: Genes = None,
    edits: Sequence[Edit] = (),
    progress: bool = False,
) -> pd.DataFrame:
    """Return the table that :func:`dose_response` writes; ``scaling`` is an edit whose factor is varied."""
    scalings = [replace(scaling, value=factor) for factor in _check_factors(factors)]
    session.check([*edits, *scalings])
    rows = gene_rows(session.adata, genes)
    mark = _ALL_MARKS if scaling.mark is None else scaling.mark
    parts = []
    n_flat = 0
    for places in cut_into_chunks(session, rows, progress=progress):
        chunk = rows[places]
        # A curve is flat where removing all of the mark changes nothing.
        with_mark, without = (
            session.make_batches(chunk, [*edits, replace(scaling, value=factor)])[1] for factor in (1.0, 0.0)
        )
        n_flat += count_unchanged(with_mark, without)
        for edit in scalings:
            predicted = predict_batch(model, session, session.make_batches(chunk, [*edits, edit])[1])
            table = session.name_genes(chunk).assign(mark=mark, factor=edit.value)
            parts.append(pd.concat([table, predicted.filter(_VALUES)], axis=1).set_index(places))
    if n_flat:
        logger.info("%d of %d genes have no %s there: their curves are flat.", n_flat, len(rows), mark)
    # Chunks are not in the order of the genes; a stable sort keeps the factors of each gene in their order.
    return pd.concat(parts).sort_index(kind="stable").reset_index(drop=True)


def _check_factors(factors: Sequence[float] | np.ndarray) -> list[float]:
    found = np.atleast_1d(np.asarray(factors, dtype=float))
    if found.ndim > 1 or not len(found):
        msg = f"factors has shape {found.shape}; expected one factor or more, such as [0, 0.5, 1]."
        raise ValueError(msg)
    return [float(factor) for factor in found]
