"""Checks of attributions: whether they are about the model and the labels, and whether they are reliable."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import check_order
from simplechrome_tk.core.tables import write_table
from simplechrome_tk.core.write import check_key, to_change
from simplechrome_tk.tl.checks import _single_checks as single
from simplechrome_tk.tl.checks._deletion_curves import compute_curves
from simplechrome_tk.tl.checks._sample import draw_sample
from simplechrome_tk.tl.checks._verdicts import (
    NOT_PASSED,
    NOT_TESTED,
    PASSED,
    NotTestedError,
    Verdict,
    tabulate_genes,
    tabulate_verdicts,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import anndata as ad
    import pandas as pd
    import torch

    from simplechrome_tk.core.require import Genes
    from simplechrome_tk.model._simplechrome import SimpleChrome
    from simplechrome_tk.tl.attribution._baselines import Baseline
    from simplechrome_tk.tl.attribution._readout import TargetFunction

logger = logging.getLogger(__name__)


def check_attributions(
    adata: ad.AnnData,
    model: SimpleChrome | torch.nn.Module,
    *,
    key: str = k.ATTRIBUTION,
    genes: Genes = None,
    n_genes: int = 320,
    retrain: bool = False,
    permuted: SimpleChrome | torch.nn.Module | None = None,
    reseeded: SimpleChrome | torch.nn.Module | None = None,
    training: Mapping[str, Any] | None = None,
    target: str | TargetFunction | None = None,
    baseline: Baseline | np.ndarray | None = None,
    n_random: int = 5,
    batch_size: int = 64,
    key_added: str = k.CHECK_ATTRIBUTIONS,
    rng: int = 0,
    copy: bool = False,
) -> ad.AnnData | None:
    """Check whether attributions can be trusted.

    =================== ============================================================================================
    ``completeness``    effects sum to the prediction minus that at the baseline
    ``weights``         a network with random weights ranks the bins of a gene differently (Adebayo et al. 2018).
                        ``|effect|`` is ranked, since the signs of a random network are chance and would hide an
                        attribution that shows the input alone; and ``|effect|`` per unit of signal, since the effects
                        of any network grow with the signal. Bins as in the baseline have no effect in any network and
                        are left out
    ``labels``          after training on permuted labels the effects are small, and rank marks differently
    ``seeds``           networks from other seeds rank marks and bins in the same way: the members of an ensemble, or
                        one more model
    ``methods``         occlusion, gradient SHAP and ablation rank the marks of a gene in the same way
    ``deletion``        deleting bins in the order of their effects, from the one that raises the prediction most to the
                        one that lowers it most, lowers the prediction sooner than a random order does (Petsiuk et al.
                        2018). The figure is the area between the curves, in units of the prediction, averaged over
                        genes
    ``insertion``       inserting bins in the same order raises the prediction sooner than a random order does
    ``simulated truth`` in data of :func:`simplechrome_tk.datasets.simulate`, columns with a simulated effect have the
                        largest mean ``|effect|``, bin by bin and averaged over the nine bins around. They have the
                        simulated sign, which is that of the slope of effect on signal (least squares through the
                        origin), averaged in the same way. Pairs of gene and neighbour with a simulated effect have the
                        largest ``|effect|`` and the simulated sign; only neighbours count that have more of the acting
                        mark than the mean gene, since others have nothing to show. The reason says what a regression on
                        all signal would reach, and what each graph alone would: nearness in a graph by position
                        (:func:`simplechrome_tk.pp.tss_neighbors`), and the weight in any other
    =================== ============================================================================================

    No check proves that an attribution is right; a failed one says what should not be concluded from it. All checks
    are about the model: what changes its prediction need not change expression in a cell.

    Parameters
    ----------
    adata, model
        Data with attributions of :func:`attribute`, and the model that they explain. Checks that need another training
        are not made for a plain ``torch`` module.
    key
        Name of the attributions.
    genes
        Ids, symbols or a mask of the genes to check; ``None`` draws from all that have attributions.
    n_genes
        Number of genes to draw from these, at random. For a model with neighbours, sixteen genes that lie together are
        drawn at a time.
    retrain
        Train two more models with the settings of ``model``: one on permuted labels and, if ``model`` is a single
        network, one from another seed. This takes twice as long as the training of ``model``.
    permuted, reseeded
        Models that were trained on permuted labels, or from another seed, before; they take the place of new ones.
    training
        Arguments of :meth:`simplechrome_tk.SimpleChrome.train` for the new models: those that ``model`` was trained
        with.
    target, baseline
        Target and baseline of the attributions, where ``uns`` cannot hold them: a function, an array.
    n_random
        Random orders that the deletion and insertion curves are compared with.
    batch_size
        Number of genes that go through the networks at once.
    key_added
        Name of the result in ``uns``.
    rng
        Seed of genes, weights, permutation and orders.
    copy
        Return a changed copy and leave ``adata`` as it is.

    Returns
    -------
    anndata.AnnData | None
        The copy when ``copy=True``. Writes to ``uns["check_attributions"]``

        ``verdicts``: a table with one row per figure: ``check``, ``quantity`` (what was measured), ``value``, ``low``
        and ``high`` (95 % interval, where it is judged), ``expected``, ``n`` (genes, columns or pairs), ``verdict``
        (``passed``, ``not passed``, ``not tested``) and ``reason`` (why this is expected, or why it was not tested).
        ``genes``: a table with one row per figure and gene: ``check``, ``quantity``, ``gene``, ``value``.
        ``curves``: a table with one row per point: ``curve`` (``deletion``, ``insertion``), ``order`` (``effects``,
        ``random``), ``fraction`` of the bins, ``prediction``, the mean over genes.
        ``unit``: that of predictions and effects.

        :func:`simplechrome_tk.pl.check_attributions` draws them.

    Raises
    ------
    RuntimeError
        When the model is not trained.
    ValueError
        When there are no attributions, they are of another model or other data, a gene is unknown, a number is below 1,
        or ``uns[key_added]`` holds something else.

    Examples
    --------
    >>> sct.tl.attribute(adata, model, genes=adata.obs_names[:20], n_steps=20, progress=False)
    >>> sct.tl.check_attributions(adata, model)
    >>> adata.uns["check_attributions"]["verdicts"].loc[0, ["check", "verdict"]].tolist()
    ['completeness', 'passed']
    """
    for name, number in (("n_genes", n_genes), ("n_random", n_random), ("batch_size", batch_size)):
        if number < 1:
            msg = f"{name} is {number}; expected at least 1."
            raise ValueError(msg)
    check_order(adata, model, "sct.tl.check_attributions(adata, model)")
    check_key(adata, key_added, field="verdicts")
    sample_rng, order_rng = np.random.default_rng(rng).spawn(2)
    sample = draw_sample(
        model,
        adata,
        key=key,
        genes=genes,
        n_genes=n_genes,
        target=target,
        baseline=baseline,
        batch_size=batch_size,
        rng=sample_rng,
    )
    errors = adata.obs[k.COMPLETENESS_ERROR.format(key)].to_numpy(float)
    curves = compute_curves(sample, n_random=n_random, rng=order_rng)
    new: dict[str, Any] = {"retrain": retrain, "training": training or {}}
    verdicts = [
        *_run("completeness", single.COMPLETENESS_ERROR, lambda: single.check_completeness(sample, errors)),
        *_run("weights", single.RANDOM_WEIGHTS, lambda: single.check_weights(sample, rng)),
        *_run("labels", single.PERMUTED_SIZE, lambda: single.check_labels(sample, model, permuted, rng=rng, **new)),
        *_run("seeds", single.BLOCKS, lambda: single.check_seeds(sample, model, reseeded, **new)),
        *single.check_methods(sample),
        *single.check_order(sample, curves),
        *_run("simulated truth", single.SIMULATED_COLUMNS, lambda: single.check_truth(sample)),
    ]
    result: dict[str, pd.DataFrame | str] = {
        "verdicts": tabulate_verdicts(verdicts),
        "genes": tabulate_genes(verdicts, sample.names),
        "curves": curves.to_table(),
        "unit": sample.explained.unit,
    }
    _log(key, len(sample.rows), verdicts)
    data = to_change(adata, copy=copy)
    write_table(data, key_added, result)
    return data if copy else None


def _run(check: str, quantity: str, make_verdicts: Callable[[], list[Verdict]]) -> list[Verdict]:
    """Return the verdicts of a check, or the reason why it cannot be made, beside its first ``quantity``."""
    try:
        return make_verdicts()
    except NotTestedError as why:
        return [Verdict(check, quantity, str(why))]


def _log(key: str, n_genes: int, verdicts: list[Verdict]) -> None:
    found = [verdict.verdict for verdict in verdicts]
    counts = ", ".join(f"{found.count(name)} {name}" for name in (PASSED, NOT_PASSED, NOT_TESTED))
    logger.info("Checks of %s on %d genes: %s.", key, n_genes, counts)
