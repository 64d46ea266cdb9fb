"""Training of the networks on the genes of an AnnData, and calibration of their output."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from tqdm.auto import tqdm

from simplechrome_tk.core.features import observe
from simplechrome_tk.core.require import split_of
from simplechrome_tk.model._calibration import Readout
from simplechrome_tk.model._change_readout import ChangeReadout
from simplechrome_tk.nn._adapt import adapt as adapt_network
from simplechrome_tk.nn._compute import one_thread, seeded
from simplechrome_tk.nn._contrast import describe_all, predict_change
from simplechrome_tk.nn._ensemble import Ensemble, mean_output
from simplechrome_tk.nn._fit import fit_context, fit_contrast, fit_expression, fit_latent
from simplechrome_tk.nn._loss import Targets
from simplechrome_tk.nn._network import Output

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeAlias

    from simplechrome_tk.core.features import Observed
    from simplechrome_tk.model._inputs import ModelData
    from simplechrome_tk.model._pairs import Pairs
    from simplechrome_tk.model._settings import Settings
    from simplechrome_tk.nn._graph import Graph
    from simplechrome_tk.nn._network import SimpleChromeNet
    from simplechrome_tk.nn._recipe import Recipe

    OnEpoch: TypeAlias = Callable[[Mapping[str, Any]], object]


class LabelledData(NamedTuple):
    """Inputs of the networks, with labels, expression and split of each gene.

    Attributes
    ----------
    x
        Inputs, ``(n_genes, n_inputs)``, on the model's device.
    graph
        Graph of neighbours, on the same device, or ``None``.
    observed
        Label and log expression, ``(n_genes,)`` each, NaN where unknown.
    split
        ``train``, ``valid`` or ``test``, ``(n_genes,)``.
    """

    x: torch.Tensor
    graph: Graph | None
    observed: Observed
    split: np.ndarray

    @classmethod
    def of(cls, data: ModelData, settings: Settings) -> LabelledData:
        """Read labels, expression and split of genes whose inputs were read already."""
        observed = observe(
            data.adata,
            task=settings.task,
            label_key=settings.label_key,
            expression_key=settings.expression_key,
        )
        return cls(data.x, data.graph, observed, split_of(data.adata, settings.split_key))

    @property
    def n_train(self) -> int:
        """Number of genes of the training split whose label or expression is known."""
        return len(self.observed.rows(self.split)["train"])

    def targets(self, center: float, scale: float) -> Targets:
        """Return labels, and log expression in units of ``scale`` around ``center``, on the device."""
        log_expression = (self.observed.log_expression - center) / scale
        return Targets(*(self.x.new_tensor(values) for values in (self.observed.label, log_expression)))

    def readout(
        self, output: Output, rows: np.ndarray, center: float, scale: float, *, before: Readout | None = None
    ) -> Readout:
        """Calibrate the output for ``rows``, starting from an earlier calibration where there is one."""
        label, log_expression = self.observed.label[rows], self.observed.log_expression[rows]
        return Readout.fit(output, label, log_expression, center=center, scale=scale, before=before)


class Trained(NamedTuple):
    """Networks, the readout of their output, and one row of history for each epoch that was trained."""

    ensemble: Ensemble
    readout: Readout
    history: list[dict[str, Any]]


class _Recorder:
    """Writes the history of a training, draws its progress bar, and asks the caller whether to stop."""

    def __init__(self, bar: tqdm[Any], plan: Mapping[str, int], n_models: int, on_epoch: OnEpoch | None) -> None:
        self.bar, self.on_epoch = bar, on_epoch
        self.plan, self.n_models = plan, n_models
        self.history: list[dict[str, Any]] = []
        self.stopped = False

    def add(self, scores: Mapping[str, float], *, model: int, phase: str) -> bool:
        """Add an epoch of a network; return whether the caller stops its phase."""
        of_model = [row["phase"] for row in self.history if row["model"] == model]
        row = {"model": model, "epoch": len(of_model) + 1, "phase": phase, **scores}
        self.history.append(row)
        self.bar.set_description(phase if self.n_models == 1 else f"{phase}, model {model + 1}")
        self.bar.set_postfix({key: f"{value:.3f}" for key, value in scores.items() if key.startswith("valid")})
        self.bar.update()
        position = {"phase_epoch": of_model.count(phase) + 1, "plan": dict(self.plan), "n_models": self.n_models}
        self.stopped = self.on_epoch is not None and bool(self.on_epoch({**row, **position}))
        return self.stopped


def train(
    networks: Sequence[SimpleChromeNet],
    genes: LabelledData,
    recipe: Recipe,
    *,
    seeds: Sequence[int],
    phases: Sequence[str],
    progress: bool,
    on_epoch: OnEpoch | None = None,
) -> Trained:
    """Train each network in place, with a seed of its own, through ``"latent"``, ``"expression"``, ``"context"``.

    ``on_epoch`` is called with each row of the history, with ``phase_epoch`` (from 1), ``plan`` (epochs of each phase,
    at most) and ``n_models`` added. When it returns something true the phase ends as if it had stopped early, and after
    any but the first phase the training of this network. The caller's random state and number of threads are left as
    they were; a second training, in another thread of the process, waits for the first
    (:func:`simplechrome_tk.nn._compute.seeded`).
    """
    rows = genes.observed.rows(genes.split)
    center, scale = genes.observed.expression_units(rows["train"])
    valid = torch.as_tensor(rows["valid"], device=genes.x.device)
    labelled: dict[str, Any] = {
        "x": genes.x,
        "targets": genes.targets(center, scale),
        "train": torch.as_tensor(rows["train"], device=genes.x.device),
        "valid": valid,
    }
    fits: dict[str, Callable[..., Any]] = {
        "latent": partial(fit_latent, x=genes.x, held_out=valid, recipe=recipe),
        "expression": partial(fit_expression, recipe=recipe, **labelled),
        "context": partial(fit_context, recipe=recipe, graph=genes.graph, **labelled),
    }
    plan = {phase: int(getattr(recipe, phase).epochs) for phase in phases}
    n_epochs = sum(plan.values()) * len(networks)
    with seeded(seeds[0]), one_thread(), tqdm(total=n_epochs, disable=not progress, unit="epoch") as bar:
        recorder = _Recorder(bar, plan, len(networks), on_epoch)
        for number, (seed, net) in enumerate(zip(seeds, networks, strict=True)):
            # Each network draws from a seed of its own, so that it is the same alone and in an ensemble.
            torch.manual_seed(seed)
            for phase in phases:
                fits[phase](net, on_epoch=partial(recorder.add, model=number, phase=phase))
                # Without phase 2 nothing is predicted, so that a stop in phase 1 goes on to it.
                if recorder.stopped and phase != "latent":
                    break
    # The networks are calibrated together, as they predict, on validation genes, to whose labels no weight was fitted.
    ensemble = Ensemble(networks).eval()
    output = Output(*(values[valid] for values in ensemble.predict_all(genes.x, graph=genes.graph)))
    return Trained(ensemble, genes.readout(output, rows["valid"], center, scale), recorder.history)


def train_contrast(
    networks: Sequence[SimpleChromeNet],
    genes: LabelledData,
    pairs: Pairs,
    recipe: Recipe,
    readout: Readout,
    *,
    seeds: Sequence[int],
    progress: bool,
) -> tuple[ChangeReadout, list[dict[str, Any]]]:
    """Train the contrast of each network in place; return the calibration of changes, and the rows of history."""
    center, scale = readout.center, readout.scale
    rows = torch.as_tensor(pairs.rows, device=genes.x.device)
    train, valid = (torch.as_tensor(np.flatnonzero(pairs.split == name)) for name in ("train", "valid"))
    target = genes.targets(center, scale).log_expression
    described = []
    with (
        seeded(seeds[0]),
        one_thread(),
        tqdm(total=recipe.contrast.epochs * len(networks), disable=not progress, unit="epoch") as bar,
    ):
        recorder = _Recorder(bar, {"contrast": recipe.contrast.epochs}, len(networks), None)
        for number, (seed, net) in enumerate(zip(seeds, networks, strict=True)):
            torch.manual_seed(seed)
            described.append(describe_all(net, genes.x, graph=genes.graph))
            record = partial(recorder.add, model=number, phase="contrast")
            fit_contrast(
                net, described[-1], target, pairs=rows, train=train, valid=valid, recipe=recipe, on_epoch=record
            )
    held_out = rows[valid.to(rows.device)]
    of, against = ([of_net[held_out[:, side]] for of_net in described] for side in (0, 1))
    predicted = torch.stack([of_net[:, -1] for of_net in described]).mean(dim=0).cpu().numpy() * scale + center
    changes = predict_change(networks, of, against).cpu().numpy().astype(float) * scale
    fitted = ChangeReadout.of_pairs(changes, predicted, genes.observed, held_out.cpu().numpy(), readout)
    return fitted, recorder.history


def adapt(
    networks: Sequence[SimpleChromeNet], genes: LabelledData, readout: Readout, *, seeds: Sequence[int]
) -> Trained:
    """Add to a copy of each network a correction learnt from the labelled genes outside the test split."""
    rows = genes.observed.rows_outside_test(genes.split)
    center, scale = readout.center, readout.scale
    labelled = torch.as_tensor(rows, device=genes.x.device)
    adapted = [
        adapt_network(net, genes.x, genes.targets(center, scale), genes=labelled, graph=genes.graph, seed=seed)
        for net, seed in zip(networks, seeds, strict=True)
    ]
    # Each gene is calibrated by what folds without it predict, since the corrections were fitted to it.
    held_out = mean_output([member.held_out for member in adapted])
    ensemble = Ensemble(member.net for member in adapted).eval()
    return Trained(ensemble, genes.readout(held_out, rows, center, scale, before=readout), [])
