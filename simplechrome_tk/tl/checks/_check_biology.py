"""Comparison of attributions, and of the model, with what is known of histone marks."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.layout import Layout
from simplechrome_tk.core.matrix import dense
from simplechrome_tk.core.require import check_order, gene_rows
from simplechrome_tk.core.tables import check_table_key, write_table
from simplechrome_tk.core.write import to_change
from simplechrome_tk.model._inputs import require_trained
from simplechrome_tk.model._simplechrome import SimpleChrome
from simplechrome_tk.tl.attribution._baselines import make_baselines
from simplechrome_tk.tl.attribution._inputs import read_inputs
from simplechrome_tk.tl.checks._biology import Evidence, ask_dose_responses, ask_positions, ask_signs
from simplechrome_tk.tl.checks._sample import require_attributions, select_attributed, subtract_baseline
from simplechrome_tk.tl.checks._verdicts import PASSED

if TYPE_CHECKING:
    import anndata as ad
    import torch

    from simplechrome_tk.core.require import Genes
    from simplechrome_tk.tl.attribution._baselines import Baseline

logger = logging.getLogger(__name__)


def check_biology(
    adata: ad.AnnData,
    model: SimpleChrome | torch.nn.Module | None,
    *,
    key: str = k.ATTRIBUTION,
    genes: Genes = None,
    n_genes: int = 300,
    baseline: Baseline | np.ndarray | None = None,
    key_added: str = k.CHECK_BIOLOGY,
    rng: int = 0,
    copy: bool = False,
) -> ad.AnnData | None:
    """Check whether attributions, and the model, agree with what is known of histone marks.

    ================= ==============================================================================================
    ``position``      effects within 1 kb of the TSS are larger than in the outermost kilobase at each end of the TSS
                      window; those of H3K36me3 are larger downstream of the TSS, and in the gene's body, than upstream
    ``sign``          more H3K4me3, H3K27ac and H3K36me3 go with a higher prediction, more H3K27me3 and H3K9me3 with a
                      lower one
    ``dose response`` scaling H3K4me3 or H3K27ac down lowers the prediction, scaling H3K27me3 down raises it, step by
                      step
    ================= ==============================================================================================

    Each question is put to every gene that can answer it, such as those that carry the mark. The answer is yes when
    more than half of the genes say so, beyond the 95 % interval, and the effect changes the odds of being high, or
    expression, by a quarter at least in the mean gene. The second condition is needed because a model of permuted
    labels has directions as well, of effects close to 0.

    An answer of yes to ``sign`` or ``dose response`` does not pass where the data say the opposite: when ``measured``
    has the other sign, beyond what 95 % of unrelated data have, the verdict is ``against the data``. Such a model
    agrees with the textbook. That genes with more of the mark are higher, or lower, in these very data remains to be
    explained: by other marks at the same genes, by the peaks, or by a model that is wrong. The bounds, half of the
    genes and a quarter of the odds, were chosen after a look at genes on chr2 and chr9 of Roadmap's cell types, which
    are therefore no independent test of them.

    Parameters
    ----------
    adata
        Data with attributions of :func:`attribute`.
    model
        The model, for the dose response; it is not tested with ``None`` or a plain ``torch`` module.
    key
        Name of the attributions.
    genes
        Ids, symbols or a mask; ``None`` takes all that have attributions.
    n_genes
        Number of genes to draw at random, from those that carry the mark, for its dose response.
    baseline
        Baseline of the attributions, where it was given as an array.
    key_added
        Name of the result in ``uns``.
    rng
        Seed of the genes for the dose response.
    copy
        Return a changed copy and leave ``adata`` as it is.

    Returns
    -------
    anndata.AnnData | None
        The copy when ``copy=True``. Writes to ``uns["check_biology"]`` a table with one row per question:

        - ``test``, ``mark`` (empty for all marks together) and ``question``;
        - ``n`` (genes), ``share`` that say yes, ``low`` and ``high`` (95 % Wilson interval);
        - ``effect``, a mean over these genes: for ``position`` the sum of ``|effect|`` in the place named first, for
          ``sign`` the sum of the mark's effects, for ``dose response`` the change of the prediction when the mark is
          removed;
        - ``measured``, Spearman's correlation of the mark's mean signal with measured expression: what the data
          themselves say;
        - ``expected``, ``verdict`` (``passed``, ``not passed``, ``against the data``, ``not tested``) and ``reason``.

    Raises
    ------
    RuntimeError
        When the model is not trained.
    ValueError
        When there are no attributions, a gene is unknown, ``n_genes`` is below 1, or ``uns[key_added]`` holds something
        else.

    Examples
    --------
    >>> sct.tl.attribute(adata, model, genes=adata.obs_names[:20], progress=False)
    >>> sct.tl.check_biology(adata, model)
    >>> adata.uns["check_biology"]["test"].unique().tolist()
    ['position', 'sign', 'dose response']
    """
    if n_genes < 1:
        msg = f"n_genes is {n_genes}; expected at least 1."
        raise ValueError(msg)
    check_order(adata, model, "sct.tl.check_biology(adata, model)")
    check_table_key(adata, key_added, ["question", "verdict"])
    evidence = _read_evidence(adata, model, key=key, genes=genes, baseline=baseline)
    questions = [
        *ask_positions(evidence),
        *ask_signs(evidence),
        *ask_dose_responses(model, evidence, n_genes, np.random.default_rng(rng)),
    ]
    table = pd.DataFrame([question.answer() for question in questions])
    n_passed = int((table["verdict"] == PASSED).sum())
    logger.info("Checks of %s on %d genes: %d of %d passed.", key, len(evidence.rows), n_passed, len(table))
    data = to_change(adata, copy=copy)
    write_table(data, key_added, table)
    return data if copy else None


def _read_evidence(
    adata: ad.AnnData,
    model: SimpleChrome | torch.nn.Module | None,
    *,
    key: str,
    genes: Genes,
    baseline: Baseline | np.ndarray | None,
) -> Evidence:
    record = require_attributions(adata, key, baseline)
    if isinstance(model, SimpleChrome):
        require_trained(model)
    rows = select_attributed(adata, key, gene_rows(adata, genes))
    baselines = make_baselines(read_inputs(adata, None), record["baseline"] if baseline is None else baseline)
    return Evidence(
        adata,
        Layout.of(adata),
        rows,
        own=dense(adata, key)[rows],
        difference=subtract_baseline(adata, baselines, rows),
        target=str(record["target"]),
    )
