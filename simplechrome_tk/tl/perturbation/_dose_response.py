"""Predictions over doses of a mark."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from simplechrome_tk.core.require import check_order, gene_rows
from simplechrome_tk.tl.perturbation._edit import GENE, Edit
from simplechrome_tk.tl.perturbation._perturb import (
    LOG_EXPRESSION,
    LOG_ODDS,
    PROBABILITY,
    answer,
    bench_of,
    chunks,
    unchanged,
    who,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad

    from simplechrome_tk.model._simplechrome import SimpleChrome

logger = logging.getLogger(__name__)

_ALL_MARKS = "all marks"
_VALUES = (PROBABILITY, LOG_ODDS, LOG_EXPRESSION)
_DOSES = tuple(float(dose) for dose in np.linspace(0, 2, 9))


def dose_response(
    adata: ad.AnnData,
    model: SimpleChrome,
    mark: str | None,
    *,
    doses: Sequence[float] | np.ndarray = _DOSES,
    genes: str | Sequence[str] | np.ndarray | pd.Series | None = None,
    region: str | None = None,
    start: float | None = None,
    end: float | None = None,
    of: str = GENE,
    edits: Edit | Sequence[Edit] = (),
    progress: bool = True,
) -> pd.DataFrame:
    """Predict genes with a mark scaled to each of several doses.

    Parameters
    ----------
    model, adata, genes, progress
        As for :func:`simplechrome_tk.tl.perturb`.
    mark
        Mark to scale; ``None`` scales every mark together.
    doses
        Factors of the signal, at least 0; 1 is what was measured. 0 to 2 in nine steps by default.
    region, start, end, of
        Where the mark is scaled, as for :class:`simplechrome_tk.tl.Edit`.
    edits
        Made before, at every dose alike: what a mark does where others have been changed.

    Returns
    -------
    pandas.DataFrame
        One row per gene and dose, doses in the order given: ``gene`` (id), ``symbol``, ``mark`` (``"all marks"`` where
        it was ``None``), ``dose``, ``probability`` of being high and its ``log_odds``, ``expression``
        (``log10(expression + 0.1)``), those that the model's task covers. Genes without the mark have a flat curve;
        they are counted in the log.

    Raises
    ------
    ValueError
        When there are no doses or one is below 0, and as :func:`simplechrome_tk.tl.perturb`.
    """
    check_order(adata, model, "sct.tl.dose_response(adata, model, mark)")
    factors = np.atleast_1d(np.asarray(doses, dtype=float))
    if factors.ndim > 1 or not len(factors):
        msg = f"doses has shape {factors.shape}; expected one factor or more, such as [0, 0.5, 1]."
        raise ValueError(msg)
    before = [edits] if isinstance(edits, Edit) else list(edits)
    scalings = [Edit.scale(float(dose), mark=mark, region=region, start=start, end=end, of=of) for dose in factors]
    bench = bench_of(model, adata)
    bench.check([*before, *scalings])
    rows = gene_rows(adata, genes)
    name = _ALL_MARKS if mark is None else mark
    parts, flat = [], 0
    there, gone = (Edit.scale(dose, mark=mark, region=region, start=start, end=end, of=of) for dose in (1.0, 0.0))
    for places in chunks(bench, rows, progress=progress):
        chunk = rows[places]
        flat += unchanged(*(bench.scene(chunk, [*before, edit])[1] for edit in (there, gone)))
        for scaling in scalings:
            answers = answer(model, bench, bench.scene(chunk, [*before, scaling])[1])
            table = who(adata, chunk).assign(mark=name, dose=scaling.value)
            parts.append(pd.concat([table, answers.filter(_VALUES)], axis=1).set_index(places))
    if flat:
        logger.info("%d of %d genes have no %s there: their curves are flat.", flat, len(rows), name)
    return pd.concat(parts).sort_index(kind="stable").reset_index(drop=True)
