"""State of a model without its weights, and the checks that it passes when it is written and read."""

from __future__ import annotations

import dataclasses
import math
import reprlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from simplechrome_tk.core.features import LENGTH_CONSTANTS, LengthConstants
from simplechrome_tk.core.layout import Layout, region_shapes
from simplechrome_tk.core.normalization import check_record, normalization
from simplechrome_tk.core.reference import REFERENCE_CONSTANTS, ReferenceConstants
from simplechrome_tk.core.values import above_zero, fields, number, text, texts, whole
from simplechrome_tk.model._calibration import Readout
from simplechrome_tk.model._change_readout import ChangeReadout
from simplechrome_tk.model._inputs import reference_constants
from simplechrome_tk.model._settings import Settings
from simplechrome_tk.nn._ensemble import Ensemble
from simplechrome_tk.nn._vae import RegionShape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import anndata as ad

    from simplechrome_tk.nn._network import SimpleChromeNet

# A config of a few bytes could otherwise ask for networks without end.
_MOST_REGIONS = 1_000
_PHASES = ("latent", "expression", "context", "contrast")


@dataclass(frozen=True)
class ModelState:
    """Everything that a model consists of, except its weights and its data; this is what ``config.json`` holds.

    Constants of the architecture, such as the widths of convolutions, stand in the code of ``nn``. Changing one that
    changes what saved weights mean needs a new :data:`simplechrome_tk.model._store.FORMAT`.

    Attributes
    ----------
    settings
        Arguments of the model.
    regions
        Number of marks and bins of each region.
    columns
        Names of the columns.
    normalization
        Constants of the normalisation, as :func:`simplechrome_tk.pp.normalize` records them.
    length_constants
        Constants by which the gene's length is standardised, where it is an input.
    reference_constants
        Constants by which log expression in reference samples is standardised, where it is an input.
    readout
        From the output of the networks to probabilities and expression.
    change_readout
        Errors of predicted changes, for a model with a head for these (``settings.contrasts``); otherwise ``None``.
    history
        One row for each epoch of the training; empty before it.
    """

    settings: Settings
    regions: list[RegionShape]
    columns: list[str]
    normalization: dict[str, np.ndarray]
    length_constants: LengthConstants = LENGTH_CONSTANTS
    reference_constants: ReferenceConstants = REFERENCE_CONSTANTS
    readout: Readout = field(default_factory=Readout)
    change_readout: ChangeReadout | None = None
    history: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, adata: ad.AnnData, settings: Settings) -> ModelState:
        """Return the state of a new model of an AnnData, before any training.

        Raises
        ------
        ValueError
            When the AnnData is not normalised, or not in the way that the settings need.
        """
        constants = normalization(adata)
        regions = [RegionShape(*shape) for shape in region_shapes(Layout.of(adata).blocks)]
        columns = read_columns(list(adata.var_names), regions)
        state = cls(settings, regions, columns, read_normalization("uns['normalize']", constants, regions))
        if settings.reference_key is not None:
            of_reference = reference_constants(adata, settings.reference_key, settings.split_key)
            state = dataclasses.replace(state, reference_constants=of_reference)
        settings.check_normalization(str(state.normalization["method"]))
        return state

    @classmethod
    def field_names(cls) -> tuple[str, ...]:
        """Return the names of what a config holds."""
        return tuple(item.name for item in dataclasses.fields(cls))

    def describe(self) -> str:
        """Return inputs, latents and graph of the model in one line."""
        settings = self.settings
        regions = " + ".join(f"{shape.n_marks} marks x {shape.n_bins} bins" for shape in self.regions)
        length = " + gene length" if settings.gene_length else ""
        graph = f"neighbours {', '.join(map(repr, settings.graphs))}" if settings.graphs else "no neighbours"
        reference = f", {len(settings.references)} reference samples" if settings.references else ""
        condition = f", decoder conditioned on {settings.condition_key!r}" if settings.condition_key else ""
        return (
            f"SimpleChrome ({settings.preset}, {settings.task}): {regions}{length} -> {settings.n_latent} latents -> "
            f"expression, {graph}{reference}{condition}"
        )

    def history_table(self) -> pd.DataFrame:
        """Return the history as a table; ``best`` marks the epoch with the highest score of each network."""
        losses = ["train_loss", "valid_loss", "reconstruction", "kl", "valid_auroc", "valid_pearson"]
        table = pd.DataFrame(self.history, columns=["model", "epoch", "phase", *losses])
        # The mean of both scores, or the one that is known; epochs of the latent phase have none.
        score = table[["valid_auroc", "valid_pearson"]].mean(axis=1).where(table["phase"] != "contrast")
        table["best"] = table.index.isin(score.dropna().groupby(table["model"]).idxmax())
        return table

    def config(self) -> dict[str, Any]:
        """Return the content of ``config.json``; epochs leave out scores that they do not have."""
        return {
            "settings": dataclasses.asdict(self.settings),
            "regions": [list(shape) for shape in self.regions],
            "columns": self.columns,
            "normalization": {key: value.tolist() for key, value in self.normalization.items()},
            "length_constants": self.length_constants._asdict(),
            "reference_constants": self.reference_constants._asdict(),
            "readout": dataclasses.asdict(self.readout),
            "change_readout": None if self.change_readout is None else dataclasses.asdict(self.change_readout),
            "history": [
                {name: value for name, value in row.items() if isinstance(value, str) or math.isfinite(value)}
                for row in self.history
            ],
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> ModelState:
        """Check everything in a config, and that its parts fit each other.

        Raises
        ------
        ValueError
            When a value is of another type, out of bounds, not finite, missing, unknown, or does not fit the others.
        """
        settings = Settings.from_config(config["settings"])
        regions = _regions(config["regions"])
        columns = read_columns(config["columns"], regions)
        constants = read_normalization("normalization", config["normalization"], regions)
        settings.check_normalization(str(constants["method"]))
        return cls(
            settings,
            regions,
            columns,
            constants,
            LengthConstants(*_constants("length_constants", config["length_constants"])),
            ReferenceConstants(*_constants("reference_constants", config["reference_constants"])),
            Readout.from_config(config["readout"]),
            _change_readout(config["change_readout"], settings),
            _history(config["history"], settings),
        )

    def new_networks(self, device: torch.device) -> list[SimpleChromeNet]:
        """Build the networks with new weights, each from a seed of its own."""
        return [
            self.settings.network(self.regions, self.normalization, seed=seed).to(device)
            for seed in self.settings.seeds
        ]

    def weights_of_one(self) -> dict[str, torch.Tensor]:
        """Return names, shapes and types of the weights of one network, on the device "meta", without memory."""

        def build() -> dict[str, torch.Tensor]:
            with torch.device("meta"):
                return self.settings.build(self.regions, self.normalization).state_dict()

        # Torch keeps the device of a `with` block for each thread. An interrupt, which reaches the main thread alone,
        # could leave "meta" set there, and tensors that the caller makes afterwards would have no memory.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(build).result()

    def networks(self, weights: Mapping[str, torch.Tensor]) -> Ensemble:
        """Build the networks, on CPU, with saved weights of the right names, shapes and types.

        Raises
        ------
        ValueError
            When constants of the normalisation among the weights are not those of the config.
        """
        ensemble = Ensemble(self.new_networks(torch.device("cpu"))).eval()
        # Buffers are made from the config; the weights hold them as well, so that the two can be compared.
        for name, constants in ensemble.named_buffers():
            if not torch.equal(constants, weights[name]):
                msg = f"{name} is not that of the normalisation in config.json: these are weights of another model."
                raise ValueError(msg)
        ensemble.load_state_dict(weights)
        return ensemble


def read_columns(names: object, regions: Sequence[RegionShape]) -> list[str]:
    """Return names of columns, or raise ``ValueError`` unless each column of the regions has a name of its own."""
    columns = texts("columns", names)
    n_columns = sum(shape.n_marks * shape.n_bins for shape in regions)
    if len(columns) != n_columns or len(set(columns)) < n_columns:
        msg = (
            f"there are {len(columns):,} columns with {len(set(columns)):,} different names; expected {n_columns:,} "
            f"of each, the sum of marks x bins of the regions: {', '.join(f'{m} x {n}' for m, n in regions[:5])}."
        )
        raise ValueError(msg)
    return columns


def read_normalization(name: str, record: object, regions: Sequence[RegionShape]) -> dict[str, np.ndarray]:
    """Return the constants in a record of :func:`simplechrome_tk.pp.normalize`, each as an array.

    Parameters
    ----------
    name
        Name of the record in errors.
    record
        The record, or the part of it that was saved. Other values in it are left out.
    regions
        Shapes of the regions that the constants have to fit.

    Raises
    ------
    ValueError
        When a constant is missing, not finite, or not one for each mark of each region.
    """
    constants = check_record(record, name, n_blocks=sum(shape.n_marks for shape in regions))
    return {key: np.asarray(value) for key, value in constants.items()}


def _regions(found: object) -> list[RegionShape]:
    if not isinstance(found, list) or not 1 <= len(found) <= _MOST_REGIONS:
        msg = f"regions is {reprlib.repr(found)}; expected 1 to {_MOST_REGIONS:,} pairs of whole numbers."
        raise ValueError(msg)
    regions = []
    for pair in found:
        if not isinstance(pair, list) or len(pair) != 2:
            msg = f"regions holds {reprlib.repr(pair)}; expected pairs of a number of marks and a number of bins."
            raise ValueError(msg)
        regions.append(RegionShape(*(whole("the size of a region", size) for size in pair)))
    return regions


def _constants(name: str, found: object) -> tuple[float, float]:
    """Return center and scale of constants in a config."""
    values = fields(name, found, required=("center", "scale"))
    return number(f"the center in {name}", values["center"]), above_zero(f"the scale in {name}", values["scale"])


def _change_readout(found: Any, settings: Settings) -> ChangeReadout | None:
    if (found is not None) != settings.contrasts:
        msg = "change_readout and settings.contrasts differ; expected a readout with a head for changes alone."
        raise ValueError(msg)
    return None if found is None else ChangeReadout.from_config(found)


def _history(found: object, settings: Settings) -> list[dict[str, Any]]:
    if not isinstance(found, list) or not found:
        msg = f"history is {reprlib.repr(found)}; expected a row for each epoch of the training."
        raise ValueError(msg)
    for row in found:
        values = fields("a row of history", row, required=("model", "epoch", "phase"), optional=None)
        whole("the model in history", values["model"], least=0, most=settings.n_models - 1)
        whole("the epoch in history", values["epoch"])
        if text("the phase in history", values["phase"]) not in _PHASES:
            msg = f"history names the phase {reprlib.repr(values['phase'])}; expected one of {', '.join(_PHASES)}."
            raise ValueError(msg)
        for name in values.keys() - {"model", "epoch", "phase"}:
            number(f"{reprlib.repr(name)} in history", values[name])
    return found
