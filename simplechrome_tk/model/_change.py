"""Predicted changes between two conditions of the same genes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import torch

from simplechrome_tk.core.expression import expression_truth
from simplechrome_tk.core.require import gene_ids
from simplechrome_tk.model._change_readout import from_reference
from simplechrome_tk.nn._contrast import describe_all, predict_change
from simplechrome_tk.nn._network import Output

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad

    from simplechrome_tk.model._calibration import Readout
    from simplechrome_tk.model._inputs import ModelData
    from simplechrome_tk.model._state import ModelState
    from simplechrome_tk.nn._ensemble import Ensemble

logger = logging.getLogger(__name__)


class Changes(NamedTuple):
    """Predictions of the same genes in two conditions, ``(n_genes,)`` each, in log10.

    Attributes
    ----------
    change
        Predicted change of log expression.
    there
        Predicted log expression in the condition that is compared with.
    average
        Mean of the predicted log expression in both conditions.
    """

    change: np.ndarray
    there: np.ndarray
    average: np.ndarray


def describe_networks(ensemble: Ensemble, data: ModelData) -> list[torch.Tensor]:
    """Return for each network what it reads of all genes in one condition, ``(n_genes, n_described)``."""
    return [describe_all(net, data.x, graph=data.graph) for net in ensemble.networks]


def predict_changes(
    ensemble: Ensemble, readout: Readout, of: Sequence[torch.Tensor], against: Sequence[torch.Tensor]
) -> Changes:
    """Return predicted changes between two conditions of the same genes, in the same order."""
    values = predict_change(ensemble.networks, of, against)
    here, there = (torch.stack([described[:, -1] for described in both]).mean(dim=0) for both in (of, against))
    # The sum, and with it the average, is the same bits in either order.
    in_log10 = (part.cpu().numpy().astype(float) * readout.scale for part in (values, there, (here + there) / 2))
    changes, level, average = in_log10
    return Changes(changes, level + readout.center, average + readout.center)


def predict_from_reference(
    ensemble: Ensemble, state: ModelState, data: ModelData, reference: ModelData
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Predict one condition from marks and expression in another, the reference.

    Returns
    -------
    tuple
        Row numbers of the genes with expression in the reference, ``(n_known,)``, and of these the columns of
        :meth:`simplechrome_tk.SimpleChrome.predict`. Other genes are counted in the log.

    Raises
    ------
    ValueError
        When the model has learnt no changes, or the reference holds a gene twice or no expression of these genes.
    """
    if state.change_readout is None:
        msg = "the model has learnt no changes between conditions: run model = model.add_contrast(adata) first."
        raise ValueError(msg)
    measured = expression_truth(reference.adata, state.settings.expression_key)
    rows, partners = _match(data.adata, reference.adata, measured)
    of, against = describe_networks(ensemble, data), describe_networks(ensemble, reference)
    changes = predict_changes(
        ensemble, state.readout, [part[rows] for part in of], [part[partners] for part in against]
    )
    readout = state.change_readout
    units = readout.readout
    value = from_reference(measured[partners], changes.there, changes.change, readout.persistence)
    standard = torch.as_tensor((value - units.center) / units.scale)
    return rows, units.columns(Output(standard, standard), state.settings.task)


def _match(adata: ad.AnnData, reference: ad.AnnData, measured: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of the genes that are measured in the reference, and their rows there."""
    there = pd.Series(np.arange(len(measured)), index=gene_ids(reference))
    if not there.index.is_unique:
        msg = "the reference holds genes several times; expected one condition: reference=adata[adata.obs[...] == ...]."
        raise ValueError(msg)
    partner = there.reindex(gene_ids(adata)).to_numpy(float)
    known = ~np.isnan(partner)
    known[known] = ~np.isnan(measured[partner[known].astype(int)])
    if not known.any():
        msg = "the reference has no measured expression of these genes; expected the same ids, with obs['expression']."
        raise ValueError(msg)
    if not known.all():
        logger.warning(
            "%d of %d genes have no expression in the reference, and are predicted without it.",
            (~known).sum(),
            len(known),
        )
    return np.flatnonzero(known), partner[known].astype(int)
