"""Put attributions on trial: whether they speak of the model and of the labels, and whether reliably."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import check_order
from simplechrome_tk.tl.checks._deletion_curves import FRACTIONS, curves
from simplechrome_tk.tl.checks._sample import draw
from simplechrome_tk.tl.checks._verdicts import NOT_PASSED, NOT_TESTED, PASSED, Trial

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import anndata as ad
    import torch

    from simplechrome_tk.model._simplechrome import SimpleChrome
    from simplechrome_tk.tl.attribution._baselines import Baseline
    from simplechrome_tk.tl.attribution._readout import TargetFunction
    from simplechrome_tk.tl.checks._deletion_curves import Curves

logger = logging.getLogger(__name__)


class AttributionChecks(NamedTuple):
    """What :func:`check_attributions` found; :func:`simplechrome_tk.pl.check_attributions` draws it."""

    verdicts: pd.DataFrame
    """One row per figure: ``check``, ``quantity`` (what was measured), ``value``, ``low``, ``high`` (95 % interval,
    where one is judged), ``expected``, ``n`` (genes, columns or pairs), ``verdict`` (``passed``, ``not passed``, ``not
    tested``) and ``reason`` (why that is expected, or why it was not tested)."""

    genes: pd.DataFrame
    """One row per figure and gene: ``check``, ``quantity``, ``gene``, ``value``."""

    curves: pd.DataFrame
    """One row per point: ``curve`` (``deletion``, ``insertion``), ``order`` (``effects``, ``random``), ``fraction`` of
    the bins, ``prediction``, the mean over genes."""

    unit: str
    """Of predictions and effects."""

    @property
    def failed(self) -> list[str]:
        """Names of the checks with a figure that is not as expected."""
        return list(dict.fromkeys(self.verdicts.loc[self.verdicts["verdict"] == NOT_PASSED, "check"]))


def check_attributions(
    adata: ad.AnnData,
    model: SimpleChrome | torch.nn.Module,
    *,
    key: str = k.ATTRIBUTION,
    genes: str | Sequence[str] | np.ndarray | pd.Series | None = None,
    n_genes: int = 320,
    retrain: bool = False,
    permuted: SimpleChrome | torch.nn.Module | None = None,
    reseeded: SimpleChrome | torch.nn.Module | None = None,
    training: Mapping[str, Any] | None = None,
    target: str | TargetFunction | None = None,
    baseline: Baseline | np.ndarray | None = None,
    n_random: int = 5,
    batch_size: int = 64,
    rng: int = 0,
) -> AttributionChecks:
    """Check whether attributions can be trusted, and say so in plain words.

    ================= ==============================================================================================
    ``completeness``  effects sum to the prediction less that at the baseline
    ``weights``       a network with re-drawn weights ranks a gene's bins differently (Adebayo et al. 2018). Ranked is
                      ``|effect|``, since the sign of a random network is a coin toss and would hide a map that shows
                      the input alone; and, since effects of any network grow with the signal, ``|effect|`` per unit of
                      signal. Bins as in the baseline, without effect in any network, are left out
    ``labels``        after training on permuted labels the effects are small, and point elsewhere
    ``seeds``         networks from other seeds rank marks and bins alike: the members of an ensemble, or one more model
    ``methods``       occlusion, gradient SHAP and ablation rank a gene's marks alike
    ``deletion``      taking away bins in the order of their effects, from the most raising to the most lowering, lowers
                      the prediction sooner than random order does (Petsiuk et al. 2018); ``insertion``: the other way
                      round. Areas between the curves, in units of the prediction, averaged over genes
    ``planted truth`` in data of :func:`simplechrome_tk.datasets.simulate`: planted columns have the largest mean
                      ``|effect|``, bin by bin and averaged over the nine bins around, and the planted sign: that of the
                      slope of effect on signal (least squares through the origin), averaged likewise. Pairs count whose
                      neighbour has more of the acting mark than the mean gene, since others have nothing to show: the
                      planted ones have the largest ``|effect|`` and the planted sign. What a regression on all signal,
                      or nearness alone, would reach is said beside them
    ================= ==============================================================================================

    None of them proves an attribution right, and a failed one says what not to read into it. All are about the model:
    what moves its prediction need not move expression in a cell.

    Parameters
    ----------
    model, adata
        The trained model and the data that :func:`simplechrome_tk.tl.attribute` has explained. Both stay as they are.
        Of a plain ``torch`` module what needs training is not tested.
    key
        Name of the attributions.
    genes
        Ids, symbols or a mask of the genes to check; ``None`` draws from all that have attributions.
    n_genes
        Genes to draw from these, at random; with neighbours, sixteen that lie together at a time.
    retrain
        Train two more models with the settings of ``model``: one on permuted labels and, where there is one network
        only, one from another seed. This takes twice as long as the training of ``model``.
    permuted, reseeded
        Models that were trained in such a way before, in place of new ones.
    training
        Arguments of :meth:`simplechrome_tk.SimpleChrome.train` for the new models; give those of ``model``.
    target, baseline
        Those of the attributions, where ``uns`` cannot hold them: a function, an array.
    n_random
        Random orders that the deletion and insertion curves are compared with.
    batch_size
        Genes that go through the networks at once.
    rng
        Seed of genes, weights, permutation and orders.

    Returns
    -------
    AttributionChecks
        ``verdicts``, ``genes`` and ``curves``, tidy tables, and ``unit``.

    Raises
    ------
    RuntimeError
        When the model is not trained.
    ValueError
        When there are no attributions, they are of another model or other data, a gene is unknown, or a number is
        below 1.

    Examples
    --------
    >>> import simplechrome_tk as sct
    >>> adata = sct.datasets.simulate(300)
    >>> sct.pp.split_by_chromosome(adata)
    >>> sct.pp.normalize(adata)
    >>> model = sct.SimpleChrome(adata, n_latent=4)
    >>> model.train(latent_epochs=1, expression_epochs=1, progress=False)
    >>> sct.tl.attribute(adata, model, genes=adata.obs_names[:20], n_steps=10, progress=False)
    >>> report = sct.tl.check_attributions(adata, model)
    >>> report.verdicts.loc[0, ["check", "verdict"]].tolist()
    ['completeness', 'passed']
    """
    for name, number in (("n_genes", n_genes), ("n_random", n_random), ("batch_size", batch_size)):
        if number < 1:
            msg = f"{name} is {number}; expected at least 1."
            raise ValueError(msg)
    check_order(adata, model, "sct.tl.check_attributions(adata, model)")
    sample_rng, order_rng = np.random.default_rng(rng).spawn(2)
    sample = draw(model, adata, key=key, genes=genes, n_genes=n_genes, target=target, baseline=baseline, rng=sample_rng)
    trial = Trial(model, sample, batch_size=batch_size, rng=rng, training=training or {})
    trial.completeness(adata.obs[k.COMPLETENESS_ERROR.format(key)].to_numpy(float))
    trial.weights()
    trial.labels(permuted, retrain=retrain)
    trial.seeds(reseeded, retrain=retrain)
    trial.methods()
    drawn = curves(sample, n_random=n_random, batch_size=batch_size, rng=order_rng)
    trial.order(drawn)
    trial.truth()
    report = AttributionChecks(
        pd.DataFrame(trial.rows), pd.concat(trial.genes, ignore_index=True), _curve_table(drawn), sample.what.unit
    )
    counts = report.verdicts["verdict"].value_counts()
    logger.info(
        "%s of %d genes: %s.",
        key,
        len(sample.rows),
        ", ".join(f"{counts.get(verdict, 0)} {verdict}" for verdict in (PASSED, NOT_PASSED, NOT_TESTED)),
    )
    return report


def _curve_table(drawn: Curves) -> pd.DataFrame:
    lines = {
        ("deletion", "effects"): drawn.deletion,
        ("deletion", "random"): drawn.random_deletion,
        ("insertion", "effects"): drawn.insertion,
        ("insertion", "random"): drawn.random_insertion,
    }
    parts = [
        pd.DataFrame({"curve": curve, "order": order, "fraction": FRACTIONS, "prediction": values.mean(axis=0)})
        for (curve, order), values in lines.items()
    ]
    return pd.concat(parts, ignore_index=True)
