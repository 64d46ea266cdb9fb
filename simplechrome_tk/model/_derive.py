"""New models from a trained one: fine-tuned, with a context, or adapted to few labels."""

from __future__ import annotations

import copy
import dataclasses
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from simplechrome_tk.core.reference import read_reference
from simplechrome_tk.model import _training as training
from simplechrome_tk.model._inputs import read_data, reference_constants
from simplechrome_tk.nn._recipe import context_epochs

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad
    import torch

    from simplechrome_tk.model._settings import Settings
    from simplechrome_tk.model._state import ModelState
    from simplechrome_tk.model._training import LabelledData, Trained
    from simplechrome_tk.nn._ensemble import Ensemble
    from simplechrome_tk.nn._network import SimpleChromeNet
    from simplechrome_tk.nn._recipe import Recipe


class Parts(NamedTuple):
    """What a model is made of, besides its data and device."""

    state: ModelState
    ensemble: Ensemble

    @property
    def settings(self) -> Settings:
        """Arguments of the model."""
        return self.state.settings


def fine_tune(model: Parts, genes: LabelledData, recipe: Recipe, *, progress: bool) -> Parts:
    """Train copies of the networks further, through every phase but that of the latent alone."""
    trained = training.train(
        copy.deepcopy(model.ensemble.networks),
        genes,
        recipe,
        seeds=model.settings.seeds,
        phases=model.settings.phases[1:],
        progress=progress,
    )
    return _with(model.state, trained, trained.history)


def add_context(
    model: Parts,
    adata: ad.AnnData,
    device: torch.device,
    *,
    neighbors_key: str | Sequence[str] | None,
    reference_key: str | None,
    epochs: int | None,
    batch_size: int | None,
    progress: bool,
) -> Parts:
    """Train what related genes and reference samples add to the predictions of own marks.

    Raises
    ------
    ValueError
        When neither key is given, the model was adapted, or the data do not fit the model.
    """
    if neighbors_key is None and reference_key is None:
        msg = "neighbors_key and reference_key are None; expected a graph in obsp, a slot of obsm, or both."
        raise ValueError(msg)
    if model.settings.adapted:
        msg = "the model was adapted to few labels; add a context before, and then run model.adapt(adata) again."
        raise ValueError(msg)
    state = _reading(model.state, adata, neighbors_key=neighbors_key, reference_key=reference_key)
    settings = state.settings
    genes = training.LabelledData.of(read_data(adata, state, device), settings)
    if epochs is None:
        epochs = context_epochs(genes.n_train)
    recipe = settings.recipe(latent={}, expression={}, context={"epochs": epochs, "batch_size": batch_size})
    networks = _with_own_marks_of(model.ensemble.networks, state.new_networks(device))
    trained = training.train(networks, genes, recipe, seeds=settings.seeds, phases=("context",), progress=progress)
    before = [row for row in model.state.history if row["phase"] != "context"]
    # Epochs are counted from the first of each network.
    n_before = Counter(row["model"] for row in before)
    history = [{**row, "epoch": row["epoch"] + n_before[row["model"]]} for row in trained.history]
    return _with(state, trained, before + history)


def adapt(model: Parts, genes: LabelledData) -> Parts:
    """Correct the output of copies of the networks with few labels."""
    trained = training.adapt(model.ensemble.networks, genes, model.state.readout, seeds=model.settings.seeds)
    settings = dataclasses.replace(model.settings, adapted=True)
    state = dataclasses.replace(model.state, settings=settings)
    return _with(state, trained, model.state.history)


def _with(state: ModelState, trained: Trained, history: list[dict[str, object]]) -> Parts:
    return Parts(dataclasses.replace(state, readout=trained.readout, history=history), trained.ensemble)


def _reading(
    state: ModelState, adata: ad.AnnData, *, neighbors_key: str | Sequence[str] | None, reference_key: str | None
) -> ModelState:
    """Return the state of a model that reads these related genes and reference samples."""
    references = () if reference_key is None else tuple(read_reference(adata, reference_key).samples)
    settings = dataclasses.replace(
        state.settings, neighbors_key=neighbors_key, reference_key=reference_key, references=references
    )
    state = dataclasses.replace(state, settings=settings)
    if reference_key is None:
        return state
    constants = reference_constants(adata, reference_key, settings.split_key)
    return dataclasses.replace(state, reference_constants=constants)


def _with_own_marks_of(
    networks: Sequence[SimpleChromeNet], new: Sequence[SimpleChromeNet]
) -> Sequence[SimpleChromeNet]:
    """Copy all weights but those of the context to new networks."""
    for net, other in zip(networks, new, strict=True):
        own = {name: weight for name, weight in net.state_dict().items() if not name.startswith("context.")}
        other.load_state_dict({**other.state_dict(), **own})
    return new
