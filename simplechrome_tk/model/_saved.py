"""What a saved model consists of, and the checks that it has to pass when it is written and read."""

from __future__ import annotations

import dataclasses
import math
import reprlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from simplechrome_tk import nn
from simplechrome_tk.core.normalization import check_record
from simplechrome_tk.core.values import fields, number, text, texts, whole
from simplechrome_tk.model._calibration import Readout
from simplechrome_tk.model._settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MOST_REGIONS = 1_000
_PHASES = ("latent", "expression", "neighbors")


class Saved(NamedTuple):
    """A model without its weights.

    ``settings``, ``regions`` (shape of each), ``columns`` (names), ``normalization`` (arrays, as
    :func:`simplechrome_tk.pp.normalize` records them), ``readout`` and ``history`` (one row per epoch).
    """

    settings: Settings
    regions: list[nn.RegionShape]
    columns: list[str]
    normalization: dict[str, np.ndarray]
    readout: Readout
    history: list[dict[str, Any]]

    def config(self) -> dict[str, Any]:
        """Return what goes into ``config.json``; epochs leave out scores that they do not have."""
        return {
            "settings": dataclasses.asdict(self.settings),
            "regions": [list(shape) for shape in self.regions],
            "columns": self.columns,
            "normalization": {key: value.tolist() for key, value in self.normalization.items()},
            "readout": dataclasses.asdict(self.readout),
            "history": [
                {name: value for name, value in row.items() if isinstance(value, str) or math.isfinite(value)}
                for row in self.history
            ],
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Saved:
        """Check everything in a config, and that its parts fit each other.

        Raises
        ------
        ValueError
            When a value is of another type, out of bounds, not finite, missing, unknown, or does not fit the others.
        """
        settings = Settings.from_config(config["settings"])
        regions = _regions(config["regions"])
        columns = read_columns(config["columns"], regions)
        normalization = read_normalization("normalization", config["normalization"], regions)
        settings.check_normalization(str(normalization["method"]))
        return cls(
            settings,
            regions,
            columns,
            normalization,
            Readout.from_config(config["readout"]),
            _history(config["history"], settings),
        )

    def weights_of_one(self) -> dict[str, torch.Tensor]:
        """Return names, shapes and types of the weights of one network, without the memory for them."""

        def build() -> dict[str, torch.Tensor]:
            with torch.device("meta"):
                return self.settings.build(self.regions, self.normalization).state_dict()

        # torch keeps the device of a `with` for each thread. An interrupt, which reaches the main thread alone, could
        # leave it set there, and all that the caller makes afterwards would lack its memory.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(build).result()

    def networks(self, weights: Mapping[str, torch.Tensor]) -> nn.Ensemble:
        """Build the networks, on CPU, with weights of the right names, shapes and types.

        Raises
        ------
        ValueError
            When constants of the normalisation among the weights are not those of the config.
        """
        built = [self.settings.network(self.regions, self.normalization, seed=seed) for seed in self.settings.seeds]
        ensemble = nn.Ensemble(built).eval()
        for name, constants in ensemble.named_buffers():
            if not torch.equal(constants, weights[name]):
                msg = f"{name} is not what the normalisation in config.json says: these are weights of another model."
                raise ValueError(msg)
        ensemble.load_state_dict(weights)
        return ensemble


def read_columns(names: object, regions: Sequence[nn.RegionShape]) -> list[str]:
    """Return names of columns, or raise ``ValueError`` where they are not as many as regions have, each once."""
    columns = texts("columns", names)
    n_columns = sum(shape.n_marks * shape.n_bins for shape in regions)
    if len(columns) != n_columns or len(set(columns)) < n_columns:
        msg = (
            f"there are {len(columns):,} columns with {len(set(columns)):,} different names; expected {n_columns:,} "
            f"of each, as marks x bins of the regions have: {', '.join(f'{m} x {n}' for m, n in regions[:5])}."
        )
        raise ValueError(msg)
    return columns


def read_normalization(name: str, record: object, regions: Sequence[nn.RegionShape]) -> dict[str, np.ndarray]:
    """Return the constants in a record of :func:`simplechrome_tk.pp.normalize`, each as an array.

    Parameters
    ----------
    name
        What to call the record in an error.
    record
        The record, or what was saved of it; what else it holds is left out.
    regions
        Shapes of the regions that the constants have to fit.

    Raises
    ------
    ValueError
        When a constant is missing, not finite, or not one for each mark of each region.
    """
    constants = check_record(record, name, n_blocks=sum(shape.n_marks for shape in regions))
    return {key: np.asarray(value) for key, value in constants.items()}


def _regions(found: object) -> list[nn.RegionShape]:
    if not isinstance(found, list) or not 1 <= len(found) <= _MOST_REGIONS:
        msg = f"regions is {reprlib.repr(found)}; expected 1 to {_MOST_REGIONS:,} pairs of whole numbers."
        raise ValueError(msg)
    regions = []
    for pair in found:
        if not isinstance(pair, list) or len(pair) != 2:
            msg = f"regions holds {reprlib.repr(pair)}; expected pairs: the number of marks, the number of bins."
            raise ValueError(msg)
        regions.append(nn.RegionShape(*(whole("the size of a region", size) for size in pair)))
    return regions


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
