"""The explained target: networks, their inputs, and the value that is read from their output."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from simplechrome_tk import nn
from simplechrome_tk.core import keys as k
from simplechrome_tk.model._simplechrome import SimpleChrome
from simplechrome_tk.nn._compute import one_thread
from simplechrome_tk.nn._network import Neighbors
from simplechrome_tk.tl.attribution._readout import Encoder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import anndata as ad
    import numpy as np

    from simplechrome_tk.tl.attribution._baselines import Baselines
    from simplechrome_tk.tl.attribution._inputs import Inputs
    from simplechrome_tk.tl.attribution._readout import TargetFunction

_LATENT = re.compile(r"latent:(\d+)")


class ExplainedTarget(NamedTuple):
    """The value that is explained: the mean over networks of what is read from their output.

    Attributes
    ----------
    networks
        The networks, on one device.
    readout
        Takes the output of a network to the explained value of each gene, ``(batch,)``, in ``unit``.
    x
        Inputs of the networks, ``(n_genes, n_inputs)``: marks, reference samples, and covariates, such as the length of
        the gene, which stay what they are.
    graph
        The graph of neighbours; ``None`` where the target depends on the gene's own marks alone.
    n_columns
        Columns of ``x`` that are marks.
    n_reference
        Columns behind them that are reference samples, where the target depends on these.
    name
        Name of the target, such as ``"logit"``.
    unit
        Unit of the value, as plots name it.
    neighbors_key
        Name of ``graph``, or names of the graphs that it joins; empty without one.
    factor
        What one unit of the networks' output is worth in ``unit``.
    """

    networks: Sequence[Any]
    readout: TargetFunction
    x: torch.Tensor
    graph: nn.Graph | None
    n_columns: int
    n_reference: int
    name: str
    unit: str
    neighbors_key: str | Sequence[str]
    factor: float

    def gather(self, genes: np.ndarray, baselines: Baselines) -> Batch:
        """Gather the inputs and baselines of ``genes``, row numbers ``(batch,)``, and of their neighbours."""
        rows = torch.as_tensor(genes, device=self.x.device)
        position, neighbors = torch.arange(len(rows), device=rows.device), None
        if self.graph is not None:
            # Genes of a batch share neighbours: the closure holds every gene that is needed once.
            edges, mask = self.graph.edges[rows], self.graph.mask[rows]
            rows, position, position_of_neighbors = self.graph.closure(rows)
            neighbors = Neighbors(position_of_neighbors, edges, mask)
        x = self.x[rows]
        # Standardised reference expression of 0 is that of the average gene.
        reference = x.new_zeros(len(x), self.n_reference)
        marks = x.new_tensor(baselines.select(rows.cpu().numpy()))
        baseline = torch.cat([marks, reference, x[:, self.n_columns + self.n_reference :]], dim=1)
        return Batch(x, baseline, position, neighbors, self.n_columns, self.n_reference)

    def predict(self, batch: Batch, x: torch.Tensor) -> torch.Tensor:
        """Return the explained value ``(batch,)`` at ``x`` ``(n_needed, n_inputs)``."""
        with torch.no_grad():
            if batch.neighbors is None:
                outputs = [net(x[batch.genes]) for net in self.networks]
            else:
                outputs = [_predict_with_neighbors(net, x, batch.genes, batch.neighbors) for net in self.networks]
            return torch.stack([self.readout(output) for output in outputs]).mean(dim=0)

    def fix_neighbors(self, batch: Batch) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return a function from own inputs ``(batch, n_inputs)`` to values; neighbours stay.

        The latents of the neighbours are computed once, however often the function is called.
        """
        with torch.no_grad():
            neighbors = [
                None
                if batch.neighbors is None
                else batch.neighbors._replace(x=net.encode(batch.x).mean[batch.neighbors.x])
                for net in self.networks
            ]

        def predict_own(x: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                outputs = [
                    net(x) if latents is None else net.express(net.encode(x).mean, x, latents)
                    for net, latents in zip(self.networks, neighbors, strict=True)
                ]
                return torch.stack([self.readout(output) for output in outputs]).mean(dim=0)

        return predict_own


def _predict_with_neighbors(
    net: nn.SimpleChromeNet, x: torch.Tensor, genes: torch.Tensor, neighbors: Neighbors
) -> nn.Output:
    latent = net.encode(x).mean
    return net.express(latent[genes], x[genes], neighbors._replace(x=latent[neighbors.x]))


class Batch(NamedTuple):
    """Some genes, and all genes that are needed to predict them, each once.

    Attributes
    ----------
    x, baseline
        Inputs and baselines of the needed genes, ``(n_needed, n_inputs)``.
    genes
        Positions of the explained genes among the needed ones, ``(batch,)``.
    neighbors
        ``neighbors.x`` holds the positions of their neighbours, ``(batch, n_neighbors)``.
    n_columns, n_reference
        Columns of ``x`` that are marks, and columns behind them that are reference samples.
    """

    x: torch.Tensor
    baseline: torch.Tensor
    genes: torch.Tensor
    neighbors: Neighbors | None
    n_columns: int
    n_reference: int

    @property
    def n_explained(self) -> int:
        """Number of columns that are explained: marks and reference samples."""
        return self.n_columns + self.n_reference

    def select_explained(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the explained columns of the genes ``(batch, n_explained)`` and, if there are any, of neighbours."""
        columns = x[:, : self.n_explained]
        return (columns[self.genes],) if self.neighbors is None else (columns[self.genes], columns[self.neighbors.x])

    def add_reference(self, marks: np.ndarray) -> torch.Tensor:
        """Return baselines of marks ``(n, n_columns)`` with those of the reference samples, ``(n, n_explained)``."""
        rows = self.x.new_tensor(marks)
        return torch.cat([rows, rows.new_zeros(len(rows), self.n_reference)], dim=1)

    @property
    def fixed(self) -> tuple[torch.Tensor, ...]:
        """The inputs that are not explained: covariates, edges of the graph and its mask."""
        covariates = self.x[:, self.n_explained :]
        if self.neighbors is None:
            return (covariates[self.genes],)
        positions, edges, mask = self.neighbors
        return covariates[self.genes], covariates[positions], edges, mask


def choose_target(data: Inputs, model: SimpleChrome | torch.nn.Module, target: str | TargetFunction) -> ExplainedTarget:
    """Find the networks and the readout that compute a target.

    Parameters
    ----------
    data
        The inputs that were read for this model.
    model
        A trained model, or any module.
    target
        As for :func:`simplechrome_tk.tl.attribute`.

    Raises
    ------
    ValueError
        When the model does not compute ``target``.
    """
    if not isinstance(model, SimpleChrome):
        return _choose_output(data, model, target)
    networks: Sequence[torch.nn.Module] = model.module.networks
    # A model of one task has both outputs, but only that of its task was trained.
    outputs = {"classification": ("logit",), "regression": ("log_expression",)}.get(
        model.settings.task, ("logit", "log_expression")
    )
    graph, factor, n_latent = data.graph, 1.0, model.settings.n_latent
    latent = _LATENT.fullmatch(target) if isinstance(target, str) else None
    if callable(target):
        readout, unit = target, _target_name(target)
    elif latent and int(latent[1]) < n_latent:
        # Each network has a latent of its own, so that a dimension means something in one network only.
        networks, graph = [Encoder(model.module.first)], None
        readout, unit = _read_latent(int(latent[1])), f"latent {int(latent[1])}"
    elif target in outputs:
        factor = model.output_units[target]
        readout, unit = _read_output(target, factor), describe_unit(data.adata, target)
    else:
        msg = (
            f"target is {target!r}; this model answers {', '.join(map(repr, outputs))} and 'latent:0' to "
            f"'latent:{n_latent - 1}', or a function of what its networks return."
        )
        raise ValueError(msg)
    neighbors_key = model.settings.neighbors_key if graph is not None else None
    return ExplainedTarget(
        networks,
        readout,
        data.x,
        graph,
        data.layout.n_columns,
        # A latent depends on the gene's own marks alone.
        0 if latent else len(model.settings.references),
        _target_name(target),
        unit,
        neighbors_key or "",
        factor,
    )


def _choose_output(data: Inputs, module: torch.nn.Module, target: str | TargetFunction) -> ExplainedTarget:
    """Explain any network that maps ``(batch, n_columns)`` to ``nn.Output`` or a tensor."""
    name = _target_name(target)

    def readout(output: Any) -> torch.Tensor:
        if callable(target):
            output = target(output)
        elif isinstance(output, nn.Output):
            output = getattr(output, target) if target in nn.Output._fields else output
        # A network with one output may return (batch, 1) or (batch,).
        value = output.squeeze(1) if isinstance(output, torch.Tensor) and output.ndim == 2 else output
        if not isinstance(value, torch.Tensor) or value.ndim != 1:
            found = f"shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else type(value).__name__
            msg = (
                f"the network answers with {found} for target={name!r}; expected one value for each gene. Give a "
                "function as target that picks it, such as target=lambda output: output[:, 0]."
            )
            raise ValueError(msg)
        return value

    return ExplainedTarget([module], readout, data.x, None, data.layout.n_columns, 0, name, name, "", 1.0)


def _read_output(name: str, factor: float) -> TargetFunction:
    return lambda output: factor * getattr(output, name)


def _read_latent(dimension: int) -> TargetFunction:
    return lambda latent: latent.mean[:, dimension]


def _target_name(target: str | TargetFunction) -> str:
    return target if isinstance(target, str) else getattr(target, "__name__", type(target).__name__)


def describe_unit(adata: ad.AnnData, target: str) -> str:
    """Return the unit of an output of the networks, as plots name it."""
    if target == "logit":
        return "log-odds of high"
    return f"log10({adata.uns.get(k.UNITS, {}).get(k.EXPRESSION, 'expression')} + 0.1)"


@contextmanager
def freeze_networks(networks: Sequence[torch.nn.Module]) -> Iterator[None]:
    """Put networks into evaluation mode on one CPU thread, and each of their modules back into the mode it was in."""
    # Dropout and batch normalisation would make effects depend on chance and on other genes of the batch.
    modes = [(module, module.training) for net in networks for module in net.modules()]
    for net in networks:
        net.eval()
    try:
        with one_thread():
            yield
    finally:
        for module, training in modes:
            module.training = training
