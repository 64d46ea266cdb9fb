"""What is explained: networks, the value that is read from their answer, and what they read of each gene."""

from __future__ import annotations

import hashlib
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from simplechrome_tk import nn
from simplechrome_tk.core import keys as k
from simplechrome_tk.core.matrix import dense
from simplechrome_tk.model._inputs import require_trained
from simplechrome_tk.model._simplechrome import SimpleChrome
from simplechrome_tk.nn._compute import one_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import anndata as ad

    from simplechrome_tk.nn._vae import Latent
    from simplechrome_tk.tl.attribution._baselines import Reference

    Read = Callable[[Any], torch.Tensor]

_LATENT = re.compile(r"latent:(\d+)")


class Explained(NamedTuple):
    """Networks whose mean answer is explained.

    ``x`` ``(n_genes, n_columns + n_covariates)`` and ``graph`` lie on the networks' device; ``read`` takes a network's
    answer to ``(batch,)``, in ``unit``. Covariates are no marks: they stay what they are.
    """

    networks: Sequence[Any]
    read: Read
    x: torch.Tensor
    graph: nn.Graph | None
    n_columns: int
    target: str
    unit: str
    neighbors_key: str

    def batch(self, genes: np.ndarray, start: Reference) -> Batch:
        """Gather what the networks read of ``genes``, row numbers ``(batch,)``, and of their neighbours."""
        rows = torch.as_tensor(genes, device=self.x.device)
        place, neighbors = torch.arange(len(rows), device=rows.device), None
        if self.graph is not None:
            edges, mask = self.graph.edges[rows], self.graph.mask[rows]
            rows, place, around = self.graph.closure(rows)
            neighbors = nn.Neighbors(around, edges, mask)
        x = self.x[rows]
        baseline = torch.cat([x.new_tensor(start.of_genes(rows.cpu().numpy())), x[:, self.n_columns :]], dim=1)
        return Batch(x, baseline, place, neighbors, self.n_columns)

    def values(self, batch: Batch, x: torch.Tensor) -> torch.Tensor:
        """Return the explained value ``(batch,)`` at ``x`` ``(n_needed, n_columns + n_covariates)``."""
        with torch.no_grad():
            if batch.neighbors is None:
                outputs = [net(x[batch.genes]) for net in self.networks]
            else:
                outputs = [_among(net, x, batch.genes, batch.neighbors) for net in self.networks]
            return torch.stack([self.read(output) for output in outputs]).mean(dim=0)

    def of_own(self, batch: Batch) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return a function from own inputs ``(batch, n_columns + n_covariates)`` to values; neighbours stay."""
        with torch.no_grad():
            heard = [
                None
                if batch.neighbors is None
                else batch.neighbors._replace(x=net.encode(batch.x).mean[batch.neighbors.x])
                for net in self.networks
            ]

        def values(x: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                outputs = [
                    net(x) if latents is None else net.express(net.encode(x).mean, latents)
                    for net, latents in zip(self.networks, heard, strict=True)
                ]
                return torch.stack([self.read(output) for output in outputs]).mean(dim=0)

        return values

    def fingerprint(self, *others: object) -> str:
        """Digest of networks and inputs, and of ``others``, to tell whether earlier results are of the same ones."""
        digest = hashlib.blake2b(digest_size=16)
        tensors = [tensor for net in self.networks for tensor in net.state_dict().values()]
        if self.graph is not None:
            tensors += [self.graph.index, self.graph.edges, self.graph.mask]
        for tensor in (self.x, *tensors):
            digest.update(tensor.detach().cpu().contiguous().numpy().data)
        for other in others:
            digest.update(np.ascontiguousarray(other).data if isinstance(other, np.ndarray) else repr(other).encode())
        return digest.hexdigest()


def _among(net: nn.SimpleChromeNet, x: torch.Tensor, genes: torch.Tensor, neighbors: nn.Neighbors) -> nn.Output:
    latent = net.encode(x).mean
    return net.express(latent[genes], neighbors._replace(x=latent[neighbors.x]))


class Batch(NamedTuple):
    """Some genes, and all genes that are needed for them, each once.

    ``x`` and ``baseline`` ``(n_needed, n_columns + n_covariates)``; ``genes`` ``(batch,)``: which of them are asked
    about; ``neighbors.x`` ``(batch, n_neighbors)``: which of them are neighbours.
    """

    x: torch.Tensor
    baseline: torch.Tensor
    genes: torch.Tensor
    neighbors: nn.Neighbors | None
    n_columns: int

    def inputs(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Pick the marks of the genes ``(batch, n_columns)``, and of their neighbours, out of those of all needed."""
        marks = x[:, : self.n_columns]
        return (marks[self.genes],) if self.neighbors is None else (marks[self.genes], marks[self.neighbors.x])

    @property
    def fixed(self) -> tuple[torch.Tensor, ...]:
        """What goes along with them and is not explained."""
        covariates = self.x[:, self.n_columns :]
        if self.neighbors is None:
            return (covariates[self.genes],)
        around, edges, mask = self.neighbors
        return covariates[self.genes], covariates[around], edges, mask


class Alone(torch.nn.Module):
    """The value read from a network that reads each gene alone."""

    def __init__(self, net: torch.nn.Module, read: Read) -> None:
        super().__init__()
        self.net, self.read = net, read

    def forward(self, marks: torch.Tensor, covariates: torch.Tensor) -> torch.Tensor:
        """Map ``(batch, n_columns)`` and ``(batch, n_covariates)`` to ``(batch,)``."""
        return self.read(self.net(torch.cat([marks, covariates], dim=1)))


class Among(Alone):
    """The value read from a network that reads a gene among its neighbours."""

    def forward(  # type: ignore[override]  # Captum hands each input over by position
        self,
        marks: torch.Tensor,
        heard: torch.Tensor,
        covariates: torch.Tensor,
        heard_covariates: torch.Tensor,
        edges: torch.Tensor,
        mask: torch.Tensor,
    ) -> torch.Tensor:
        """Map marks of genes and of their neighbours ``(batch, n_neighbors, n_columns)`` to ``(batch,)``."""
        neighbors = nn.Neighbors(torch.cat([heard, heard_covariates], dim=2), edges, mask)
        return self.read(self.net(torch.cat([marks, covariates], dim=1), neighbors))


class Encoded(torch.nn.Module):
    """The latent of a network, without what it predicts."""

    def __init__(self, net: nn.SimpleChromeNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: torch.Tensor) -> Latent:
        """Map ``(batch, n_columns + n_covariates)`` to a ``Latent``."""
        return self.net.encode(x)


def explained(model: SimpleChrome | torch.nn.Module, adata: ad.AnnData, target: str | Read) -> Explained:
    """Find out what ``target`` asks of ``model``, and what it reads of ``adata``.

    Raises
    ------
    RuntimeError
        When the model is not trained.
    ValueError
        When the model does not answer ``target``, or ``adata`` does not fit it.
    """
    if not isinstance(model, SimpleChrome):
        return _of_module(model, adata, target)
    require_trained(model)
    networks: Sequence[torch.nn.Module] = model.module.networks
    data = model.read(adata)
    x, graph = data.x, data.graph
    task = {"classification": ("logit",), "regression": ("log_expression",)}.get(
        model.settings.task, ("logit", "log_expression")
    )
    n_latent = model.settings.n_latent
    dimension = _LATENT.fullmatch(target) if isinstance(target, str) else None
    if callable(target):
        read, unit = target, _name(target)
    elif dimension and int(dimension[1]) < n_latent:
        number = int(dimension[1])
        networks, graph = [Encoded(model.module.first)], None
        read, unit = (lambda latent: latent.mean[:, number]), f"latent {number}"
    elif target in task:
        read, unit = _reading(target, model.output_units[target]), _unit(adata, target)
    else:
        msg = (
            f"target is {target!r}; this model answers {', '.join(map(repr, task))} and 'latent:0' to "
            f"'latent:{n_latent - 1}', or a function of what its networks return."
        )
        raise ValueError(msg)
    neighbors_key = "" if graph is None else str(model.settings.neighbors_key)
    return Explained(networks, read, x, graph, adata.n_vars, _name(target), unit, neighbors_key)


def _of_module(module: torch.nn.Module, adata: ad.AnnData, target: str | Read) -> Explained:
    """Explain any network that maps ``(batch, n_columns)`` to ``nn.Output`` or a tensor."""
    device = next((parameter.device for parameter in module.parameters()), torch.device("cpu"))
    x = torch.as_tensor(dense(adata).astype(np.float32), device=device)

    def read(output: Any) -> torch.Tensor:
        if callable(target):
            output = target(output)
        elif isinstance(output, nn.Output):
            output = getattr(output, target) if target in nn.Output._fields else output
        value = output.squeeze(1) if isinstance(output, torch.Tensor) and output.ndim == 2 else output
        if not isinstance(value, torch.Tensor) or value.ndim != 1:
            found = f"shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else type(value).__name__
            msg = (
                f"the network answers with {found} for target={_name(target)!r}; expected one value a gene. Give a "
                "function as target that picks it, such as target=lambda output: output[:, 0]."
            )
            raise ValueError(msg)
        return value

    return Explained([module], read, x, None, adata.n_vars, _name(target), _name(target), "")


def _reading(name: str, factor: float) -> Read:
    return lambda output: factor * getattr(output, name)


def _name(target: str | Read) -> str:
    return target if isinstance(target, str) else getattr(target, "__name__", type(target).__name__)


def _unit(adata: ad.AnnData, target: str) -> str:
    if target == "logit":
        return "log-odds of high"
    return f"log10({adata.uns.get(k.UNITS, {}).get(k.EXPRESSION, 'expression')} + 0.1)"


@contextmanager
def frozen(networks: Sequence[torch.nn.Module]) -> Iterator[None]:
    """Put networks into evaluation mode on one CPU thread, and each of their modules back into the mode it was in."""
    modes = [(module, module.training) for net in networks for module in net.modules()]
    for net in networks:
        net.eval()
    try:
        with one_thread():
            yield
    finally:
        for module, training in modes:
            module.training = training
