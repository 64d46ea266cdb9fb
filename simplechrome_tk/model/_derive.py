"""New models from a trained one: fine-tuned, with a context, or adapted to few labels."""

from __future__ import annotations

import copy
import dataclasses
import logging
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from simplechrome_tk.core.reference import read_reference
from simplechrome_tk.model import _training as training
from simplechrome_tk.model._inputs import read_data, reference_constants
from simplechrome_tk.model._pairs import pair_conditions
from simplechrome_tk.nn._ensemble import Ensemble
from simplechrome_tk.nn._recipe import context_epochs, contrast_epochs

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad
    import torch

    from simplechrome_tk.model._inputs import ModelData
    from simplechrome_tk.model._settings import Settings
    from simplechrome_tk.model._state import ModelState
    from simplechrome_tk.model._training import LabelledData, Trained
    from simplechrome_tk.nn._network import SimpleChromeNet
    from simplechrome_tk.nn._recipe import Recipe

logger = logging.getLogger(__name__)


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
    model = without_contrast(model)
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
    model = without_contrast(model)
    state = _reading(model.state, adata, neighbors_key=neighbors_key, reference_key=reference_key)
    settings = state.settings
    genes = training.LabelledData.of(read_data(adata, state, device), settings)
    if epochs is None:
        epochs = context_epochs(genes.n_train)
    recipe = settings.recipe(context={"epochs": epochs, "batch_size": batch_size})
    networks = _copy_but(model.ensemble.networks, state.new_networks(device), "context.")
    trained = training.train(networks, genes, recipe, seeds=settings.seeds, phases=("context",), progress=progress)
    before = [row for row in model.state.history if row["phase"] != "context"]
    return _with(state, trained, _append(before, trained.history))


def add_contrast(
    model: Parts, data: ModelData, *, key: str, epochs: int | None, batch_size: int | None, progress: bool
) -> Parts:
    """Train changes of expression between the conditions in ``obs[key]``, on fixed latents.

    Raises
    ------
    ValueError
        When the model was adapted, predicts no expression, or there are no two conditions with expression.
    """
    if model.settings.adapted or model.settings.task == "classification":
        reason = "was adapted to few labels" if model.settings.adapted else "predicts no expression"
        msg = f"the model {reason}; changes are learnt by a model that was trained on expression (task='both')."
        raise ValueError(msg)
    state = dataclasses.replace(model.state, settings=dataclasses.replace(model.settings, contrasts=True))
    genes = training.LabelledData.of(data, state.settings)
    pairs = pair_conditions(data.adata, key, genes.observed.log_expression, genes.split)
    if epochs is None:
        epochs = contrast_epochs(int((pairs.split == "train").sum()))
    recipe = state.settings.recipe(contrast={"epochs": epochs, "batch_size": batch_size})
    networks = _copy_but(model.ensemble.networks, state.new_networks(data.x.device), "contrast.")
    readout, rows = training.train_contrast(
        networks, genes, pairs, recipe, state.readout, seeds=state.settings.seeds, progress=progress
    )
    history = _append([row for row in state.history if row["phase"] != "contrast"], rows)
    state = dataclasses.replace(state, change_readout=readout, history=history)
    return Parts(state, Ensemble(networks).eval())


def adapt(model: Parts, genes: LabelledData) -> Parts:
    """Correct the output of copies of the networks with few labels."""
    model = without_contrast(model)
    trained = training.adapt(model.ensemble.networks, genes, model.state.readout, seeds=model.settings.seeds)
    settings = dataclasses.replace(model.settings, adapted=True)
    state = dataclasses.replace(model.state, settings=settings)
    return _with(state, trained, model.state.history)


def _append(before: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Append rows of history; epochs are counted from the first of each network."""
    n_before = Counter(row["model"] for row in before)
    return before + [{**row, "epoch": row["epoch"] + n_before[row["model"]]} for row in new]


def without_contrast(model: Parts) -> Parts:
    """Return a model whose head for changes is dropped, since it would be of other latents; the log says so."""
    if not model.settings.contrasts:
        return model
    logger.warning("The head for changes between conditions is dropped: run model.add_contrast(...) on the new model.")
    settings = dataclasses.replace(model.settings, contrasts=False)
    networks = copy.deepcopy(model.ensemble.networks)
    for net in networks:
        net.contrast = None
    history = [row for row in model.state.history if row["phase"] != "contrast"]
    state = dataclasses.replace(model.state, settings=settings, change_readout=None, history=history)
    return Parts(state, Ensemble(networks).eval())


def _with(state: ModelState, trained: Trained, history: list[dict[str, Any]]) -> Parts:
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


def _copy_but(
    networks: Sequence[SimpleChromeNet], new: Sequence[SimpleChromeNet], part: str
) -> Sequence[SimpleChromeNet]:
    """Copy all weights but those of one part to new networks."""
    for net, other in zip(networks, new, strict=True):
        own = {name: weight for name, weight in net.state_dict().items() if not name.startswith(part)}
        other.load_state_dict({**other.state_dict(), **own})
    return new
