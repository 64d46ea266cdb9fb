"""Predictions for genes before and after edits of their marks."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import check_order, gene_rows
from simplechrome_tk.core.tables import check_table_key, write_table
from simplechrome_tk.core.write import to_change
from simplechrome_tk.tl.perturbation._batch import count_unchanged
from simplechrome_tk.tl.perturbation._edit import list_edits
from simplechrome_tk.tl.perturbation._predict import cut_into_chunks, open_session, predict_batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad

    from simplechrome_tk.core.require import Genes
    from simplechrome_tk.model._simplechrome import SimpleChrome
    from simplechrome_tk.tl.perturbation._edit import Edit
    from simplechrome_tk.tl.perturbation._edit_session import EditSession

logger = logging.getLogger(__name__)


def perturb(
    adata: ad.AnnData,
    model: SimpleChrome,
    edits: Edit | Sequence[Edit],
    *,
    genes: Genes = None,
    key_added: str = k.PERTURB,
    progress: bool = True,
    copy: bool = False,
) -> ad.AnnData | None:
    """Predict genes before and after edits of their marks, or of their neighbours' marks.

    Each gene is edited by itself, while all others stay as they are: the edit of a gene does not reach genes that have
    it as a neighbour. Only the gene's own bins are edited; the same DNA in the windows of other genes stays as it is.
    The marks in ``adata`` stay as they are, too; :func:`apply_edits` changes them.

    Parameters
    ----------
    adata
        Genes by bins with ``layers["signal"]``, normalised with the model's constants, and with the model's graph if it
        has one.
    model
        A trained model. For any other, such as a plain ``nn.Module``, use
        :func:`simplechrome_tk.get.before_and_after`.
    edits
        One edit or several, which act one after the other. The edited signal is normalised as ``adata`` was: by the
        formula or, after ``method="quantile"``, by the map from signal to ``X`` that all genes of the cell type show
        together. This map is linear between observed values, and proportional beyond the largest one.
    genes
        Genes to perturb: ids, symbols or a mask; ``None`` takes all.
    key_added
        Name of the result in ``uns``.
    progress
        Show a progress bar where there are many genes.
    copy
        Return a changed copy and leave ``adata`` as it is.

    Returns
    -------
    anndata.AnnData | None
        The copy when ``copy=True``. Writes to ``uns["perturb"]`` a table with one row per gene, in the order given:

        - ``gene`` (id) and ``symbol``;
        - ``probability_before``, ``probability_after`` and ``log_odds_change`` (log-odds of being high, natural
          logarithm, calibrated as the probability is);
        - ``log_expression_before``, ``log_expression_after`` and ``log_expression_change``, in
          ``log10(expression + 0.1)``;
        - intervals as in :meth:`simplechrome_tk.SimpleChrome.predict`: ``probability_low_before``,
          ``probability_high_before``, ``probability_low_after``, ``probability_high_after``, and the same for
          ``log_expression``.

        Columns that the model's task does not cover are absent. The intervals were learnt from genes as measured.
        Around an edited gene they say how genes with such a prediction were measured; no edited gene was ever measured.

    Raises
    ------
    RuntimeError
        When the model is not trained.
    TypeError
        When it is not a :class:`simplechrome_tk.SimpleChrome`.
    ValueError
        When the data do not fit the model, the signal was not kept, or an edit cannot be made: an unknown mark, region
        or gene, a part of a region outside the window, a neighbour that a gene does not have. Also when
        ``uns[key_added]`` holds something else.

    Examples
    --------
    >>> removal = sct.tl.Edit.remove(mark="H3K4me3", region="tss")
    >>> sct.tl.perturb(adata, model, removal, genes=adata.obs_names[:3])
    >>> adata.uns["perturb"].columns.tolist()[:5]
    ['gene', 'symbol', 'probability_before', 'probability_after', 'log_odds_change']
    """
    check_order(adata, model, "sct.tl.perturb(adata, model, edits)")
    check_table_key(adata, key_added, ["gene", "symbol"])
    table = predict_edits(open_session(adata, model), model, list_edits(edits), genes=genes, progress=progress)
    data = to_change(adata, copy=copy)
    write_table(data, key_added, table)
    return data if copy else None


def predict_edits(
    session: EditSession, model: SimpleChrome, edits: Sequence[Edit], *, genes: Genes = None, progress: bool = False
) -> pd.DataFrame:
    """Return the table that :func:`perturb` writes."""
    session.check(edits)
    rows = gene_rows(session.adata, genes)
    before, after = [], []
    n_unchanged = 0
    for places in cut_into_chunks(session, rows, progress=progress):
        measured, edited = session.make_batches(rows[places], edits)
        n_unchanged += count_unchanged(measured, edited)
        before.append(predict_batch(model, session, measured).set_index(places))
        after.append(predict_batch(model, session, edited).set_index(places))
    if n_unchanged:
        logger.info("The edits change no mark of %d of %d genes: there is no signal to change.", n_unchanged, len(rows))
    # Chunks are not in the order of the genes; the index says where each row belongs.
    return _compare(session.name_genes(rows), pd.concat(before).sort_index(), pd.concat(after).sort_index())


def _compare(table: pd.DataFrame, before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Add predictions before and after, their changes and their intervals to a table of genes."""
    if k.LOG_ODDS in before:
        table["probability_before"], table["probability_after"] = before[k.PROBABILITY], after[k.PROBABILITY]
        table["log_odds_change"] = after[k.LOG_ODDS] - before[k.LOG_ODDS]
    if k.LOG_EXPRESSION in before:
        table["log_expression_before"] = before[k.LOG_EXPRESSION]
        table["log_expression_after"] = after[k.LOG_EXPRESSION]
        table["log_expression_change"] = after[k.LOG_EXPRESSION] - before[k.LOG_EXPRESSION]
    for value in (k.PROBABILITY, k.LOG_EXPRESSION):
        if value in before:
            for when, predicted in (("before", before), ("after", after)):
                for bound in ("low", "high"):
                    table[f"{value}_{bound}_{when}"] = predicted[f"{value}_{bound}"]
    return table
