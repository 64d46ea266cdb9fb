"""Train networks on the genes of an AnnData, and learn what their output means."""

from __future__ import annotations

import itertools
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from tqdm.auto import tqdm

from simplechrome_tk import nn
from simplechrome_tk.model._calibration import Readout

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeAlias

    import numpy as np

    from simplechrome_tk.core.features import Observed

    OnEpoch: TypeAlias = Callable[[Mapping[str, Any]], object]


class Genes(NamedTuple):
    """What networks read of genes, and what is known of them.

    ``x`` ``(n_genes, n_columns + n_covariates)`` and ``graph`` on the device; ``observed`` and ``split``,
    ``(n_genes,)`` each, in memory.
    """

    x: torch.Tensor
    graph: nn.Graph | None
    observed: Observed
    split: np.ndarray

    def targets(self, center: float, scale: float) -> nn.Targets:
        """Labels, and expression in units of ``scale`` around ``center``, on the device."""
        expression = (self.observed.log_expression - center) / scale
        return nn.Targets(*(self.x.new_tensor(values) for values in (self.observed.label, expression)))

    def readout(
        self, output: nn.Output, rows: np.ndarray, center: float, scale: float, *, before: Readout | None = None
    ) -> Readout:
        """Learn what the output for ``rows`` means, starting from what was known ``before``."""
        label, expression = self.observed.label[rows], self.observed.log_expression[rows]
        return Readout.fit(output, label, expression, center=center, scale=scale, before=before)


class Trained(NamedTuple):
    """Networks, what their output means, and one row per epoch."""

    ensemble: nn.Ensemble
    readout: Readout
    history: list[dict[str, Any]]


def train(
    networks: Sequence[nn.SimpleChromeNet],
    genes: Genes,
    recipe: nn.Recipe,
    *,
    seeds: Sequence[int],
    phases: Sequence[str],
    progress: bool,
    on_epoch: OnEpoch | None = None,
) -> Trained:
    """Train each network in place, with a seed of its own, through ``"latent"``, ``"expression"``, ``"neighbors"``.

    ``on_epoch`` is given each row of history as it comes, with ``phase_epoch`` (from 1), ``plan`` (epochs of each
    phase, at most) and ``n_models`` added. Where it answers with something true the phase ends as if it had stopped
    early, and after any but the first phase the training of this network. The caller's random state and number of
    threads are left as they were; a second training, in another thread of the process, waits for the first
    (:func:`simplechrome_tk.nn.seeded`).
    """
    rows = genes.observed.rows(genes.split)
    center, scale = genes.observed.expression_units(rows["train"])
    targets = genes.targets(center, scale)
    learnt, held_out = (torch.as_tensor(rows[name], device=genes.x.device) for name in ("train", "valid"))
    history: list[dict[str, Any]] = []
    plan = {phase: int(getattr(recipe, phase).epochs) for phase in phases}
    total = sum(plan.values()) * len(networks)
    with nn.seeded(seeds[0]), nn.one_thread(), tqdm(total=total, disable=not progress, unit="epoch") as bar:
        for number, (seed, net) in enumerate(zip(seeds, networks, strict=True)):
            torch.manual_seed(seed)
            rest: dict[str, Any] = {"train": learnt, "valid": held_out, "graph": genes.graph, "recipe": recipe}
            fits = {
                "latent": nn.fit_latent(net, genes.x, held_out=held_out, recipe=recipe),
                "expression": nn.fit_expression(net, genes.x, targets, **rest),
                "neighbors": nn.fit_neighbors(net, genes.x, targets, **rest),
            }
            epoch = itertools.count(1)
            for phase in phases:
                stopped = False
                with closing(fits[phase]) as rows_of_phase:  # closed, it leaves the best weights in the network
                    for phase_epoch, row in enumerate(rows_of_phase, start=1):
                        history.append({"model": number, "epoch": next(epoch), "phase": phase, **row})
                        bar.set_description(phase if len(networks) == 1 else f"{phase}, model {number + 1}")
                        bar.set_postfix({key: f"{value:.3f}" for key, value in row.items() if key.startswith("valid")})
                        bar.update()
                        asked = {"phase_epoch": phase_epoch, "plan": plan, "n_models": len(networks)}
                        stopped = on_epoch is not None and bool(on_epoch({**history[-1], **asked}))
                        if stopped:
                            break
                if stopped and phase != "latent":
                    break
    ensemble = nn.Ensemble(networks).eval()
    output = nn.Output(*(values[held_out] for values in ensemble.predict_all(genes.x, graph=genes.graph)))
    return Trained(ensemble, genes.readout(output, rows["valid"], center, scale), history)


def adapt(networks: Sequence[nn.SimpleChromeNet], genes: Genes, readout: Readout, *, seeds: Sequence[int]) -> Trained:
    """Add to a copy of each network what the labelled genes outside the test split say."""
    rows = genes.observed.known(genes.split)
    center, scale = readout.center, readout.scale
    labelled = torch.as_tensor(rows, device=genes.x.device)
    adapted = [
        nn.adapt(net, genes.x, genes.targets(center, scale), genes=labelled, graph=genes.graph, seed=seed)
        for net, seed in zip(networks, seeds, strict=True)
    ]
    held_out = nn.mean_output([member.held_out for member in adapted])
    ensemble = nn.Ensemble(member.net for member in adapted).eval()
    return Trained(ensemble, genes.readout(held_out, rows, center, scale, before=readout), [])
