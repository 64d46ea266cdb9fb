"""Train a network as a baseline: same genes, same splits, weights of the best validation epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from simplechrome_tk import nn
from simplechrome_tk.core import keys as k
from simplechrome_tk.core.device import resolve_device
from simplechrome_tk.core.layout import blocks, region_shapes
from simplechrome_tk.core.normalization import normalization
from simplechrome_tk.nn._compute import one_thread, seeded
from simplechrome_tk.nn._fit import fit_network
from simplechrome_tk.nn._loss import Targets
from simplechrome_tk.nn._predict import predict_network

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import anndata as ad

    from simplechrome_tk.core.features import Observed, Task


@dataclass(frozen=True)
class NetworkBaseline:
    """A network and how it is trained; :func:`dataclasses.replace` changes either.

    ``build`` makes the network, ``(batch, n_columns)`` to :class:`simplechrome_tk.nn.Output`, from the shapes of its
    regions. ``regression_weight`` weighs the squared error of expression (in standard units) against the cross-entropy
    of the label. ``task`` says which of them it learns and predicts. ``seed`` decides weights, batches and dropout.
    ``reads_covariates``: it reads a last region of one bin, such as the gene's length.
    """

    build: Callable[[Sequence[nn.RegionShape]], torch.nn.Module]
    phase: nn.Phase
    regression_weight: float = 0.5
    task: Task = "both"
    seed: int = 0
    reads_covariates: bool = False


def read_regions(
    adata: ad.AnnData, features: np.ndarray, train: np.ndarray, *, from_rep: bool
) -> tuple[list[nn.RegionShape], np.ndarray]:
    """Return the shapes that a network reads ``features`` ``(n_genes, n_columns)`` by, and what it reads."""
    if from_rep:
        center, scale = features[train].mean(axis=0), features[train].std(axis=0)
        return [nn.RegionShape(features.shape[1], 1)], (features - center) / np.where(scale > 0, scale, 1)
    normalization(adata)
    return [nn.RegionShape(*shape) for shape in region_shapes(blocks(adata))], features


def predict_with_network(
    baseline: NetworkBaseline,
    features: np.ndarray,
    regions: Sequence[nn.RegionShape],
    observed: Observed,
    rows: dict[str, np.ndarray],
    device: str | torch.device | None,
) -> dict[str, np.ndarray]:
    """Train on ``rows["train"]``, stop by ``rows["valid"]``, predict every gene, ``(n_genes,)`` each.

    Expression is brought to mean 0 and variance 1 over the training genes, and predictions back. The caller's random
    state is left as it was.
    """
    place = resolve_device(device)
    center, scale = observed.expression_units(rows["train"])
    x, label, expression = (
        torch.as_tensor(np.asarray(values, dtype=np.float32), device=place)
        for values in (features, observed.label, (observed.log_expression - center) / scale)
    )
    train, valid = (torch.as_tensor(rows[name], device=place) for name in ("train", "valid"))
    with seeded(baseline.seed), one_thread():
        net = baseline.build(regions).to(place)
        fit_network(
            net,
            x,
            Targets(label, expression),
            train=train,
            valid=valid,
            phase=baseline.phase,
            regression_weight=baseline.regression_weight,
        )
    output = predict_network(net, x)
    predicted = {
        k.PROBABILITY: torch.sigmoid(output.logit).cpu().numpy(),
        k.LOG_EXPRESSION: (output.log_expression * scale + center).cpu().numpy(),
    }
    unwanted = {"classification": k.LOG_EXPRESSION, "regression": k.PROBABILITY}.get(baseline.task)
    return {name: values for name, values in predicted.items() if name != unwanted}
