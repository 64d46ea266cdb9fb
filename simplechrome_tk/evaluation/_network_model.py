"""Networks as comparison models: the same genes and splits, with the weights of the best validation epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.device import resolve_device
from simplechrome_tk.evaluation._comparison_model import GeneModel
from simplechrome_tk.nn._compute import one_thread, seeded
from simplechrome_tk.nn._fit import fit_network
from simplechrome_tk.nn._loss import Targets
from simplechrome_tk.nn._predict import predict_network
from simplechrome_tk.nn._vae import RegionShape

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from simplechrome_tk import nn
    from simplechrome_tk.core.features import Task
    from simplechrome_tk.evaluation._comparison_model import TrainingData


class ComparisonNetwork(GeneModel):
    """A network as a comparison model, and how it is trained.

    Parameters
    ----------
    build
        Makes the network from the shapes of its regions. The network takes ``(batch, n_columns)`` and returns a
        :class:`simplechrome_tk.nn.Output`.
    phase
        Epochs, batch size and learning rate.
    regression_weight
        Weight of the squared error of expression (in standard units) against the cross-entropy of the label.
    task
        Whether it learns and predicts labels (``"classification"``), expression (``"regression"``) or both.
    reads_covariates
        Whether it can read a last region of one mark and one bin, which holds the gene's length.
    rng
        Seed or generator of weights, batches and dropout.
    device
        Where to compute; ``None`` takes CUDA, MPS or CPU, the first there is.

    Attributes
    ----------
    network_
        The trained network, after :meth:`fit`.
    """

    needs_normalized = True
    network_: torch.nn.Module

    def __init__(
        self,
        build: Callable[[Sequence[RegionShape]], torch.nn.Module],
        phase: nn.Phase,
        *,
        regression_weight: float = 0.5,
        task: Task = "both",
        reads_covariates: bool = False,
        rng: np.random.Generator | int | None = 0,
        device: str | torch.device | None = None,
    ) -> None:
        self.build, self.phase, self.regression_weight = build, phase, regression_weight
        self.task, self.reads_covariates, self.device = task, reads_covariates, device
        self.seed = int(np.random.default_rng(rng).integers(2**31))

    def _learn(self, data: TrainingData) -> None:
        observed, x = data.observed, data.x
        x_units = None
        genes = observed.rows(data.split)
        # The columns of X are normalised; those of a representation may have any unit.
        if data.inputs.use_rep is not None:
            x_units = _column_units(x[data.split == "train"])
            x = (x - x_units[0]) / x_units[1]
        center, scale = expression_units = observed.expression_units(genes["train"])
        log_expression = (observed.log_expression - center) / scale

        device = resolve_device(self.device)
        x_tensor, label, expression = (_tensor(values, device) for values in (x, observed.label, log_expression))
        train_rows, valid_rows = (torch.as_tensor(genes[name], device=device) for name in ("train", "valid"))
        shapes = [*data.inputs.shapes, (1, 1)] if data.inputs.gene_length else data.inputs.shapes
        # The caller's random state and number of threads are left as they were.
        with seeded(self.seed), one_thread():
            network = self.build([RegionShape(*shape) for shape in shapes]).to(device)
            fit_network(
                network,
                x_tensor,
                Targets(label, expression),
                train=train_rows,
                valid=valid_rows,
                phase=self.phase,
                regression_weight=self.regression_weight,
            )
        self.network_, self._device = network, device
        self._x_units, self._expression_units = x_units, expression_units

    def _apply(self, x: np.ndarray) -> dict[str, np.ndarray]:
        if self._x_units is not None:
            x = (x - self._x_units[0]) / self._x_units[1]
        output = predict_network(self.network_, _tensor(x, self._device))
        center, scale = self._expression_units
        log_expression = output.log_expression * scale + center
        predicted = {
            k.PROBABILITY: torch.sigmoid(output.logit).cpu().numpy(),
            k.LOG_EXPRESSION: log_expression.cpu().numpy(),
        }
        absent = {"classification": k.LOG_EXPRESSION, "regression": k.PROBABILITY}.get(self.task)
        return {name: values for name, values in predicted.items() if name != absent}


def _column_units(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each column, the latter 1 where a column is constant."""
    deviation = x.std(axis=0)
    return x.mean(axis=0), np.where(deviation > 0, deviation, 1)


def _tensor(values: np.ndarray, device: torch.device) -> torch.Tensor:
    """Return values as float32 on the device."""
    return torch.as_tensor(np.asarray(values, dtype=np.float32), device=device)
