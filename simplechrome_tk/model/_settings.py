"""What a model is: its arguments, checked, and the network and recipe that they stand for."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch

from simplechrome_tk import nn
from simplechrome_tk.core.features import Task
from simplechrome_tk.core.values import above_zero, fields, number, text, texts, truth, whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

Preset = Literal["default", "paper"]
Likelihood = Literal["gaussian", "negative_binomial"]


@dataclass(frozen=True)
class Settings:
    """Arguments of :class:`simplechrome_tk.SimpleChrome`, as they are saved with it."""

    n_latent: int
    n_hidden: int
    dropout: float
    neighbors_key: str | None
    task: Task
    preset: Preset
    label_key: str
    expression_key: str
    split_key: str
    rng: int
    gene_length: bool = False
    n_models: int = 1
    likelihood: Likelihood = "gaussian"
    adapted: bool = False
    condition_key: str | None = None
    conditions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, choices in (("task", Task), ("preset", Preset), ("likelihood", Likelihood)):
            if (value := getattr(self, name)) not in get_args(choices):
                msg = f"{name} is {value!r}; choose one of {', '.join(get_args(choices))}."
                raise ValueError(msg)
        names = [name for name in ("neighbors_key", "condition_key") if getattr(self, name) is not None]
        checked: dict[str, Any] = {
            "n_latent": whole("n_latent", self.n_latent),
            "n_hidden": whole("n_hidden", self.n_hidden, least=2),  # the head takes half of them
            "n_models": whole("n_models", self.n_models),
            "dropout": number("dropout", self.dropout),
            **{name: truth(name, getattr(self, name)) for name in ("gene_length", "adapted")},
            **{name: text(name, getattr(self, name)) for name in ("label_key", "expression_key", "split_key", *names)},
            "conditions": tuple(texts("conditions", self.conditions)),
        }
        # Members of the ensemble take the seeds that follow, which numpy and scikit-learn want below 2**32.
        checked["rng"] = whole("rng", self.rng, least=0, most=2**32 - checked["n_models"])
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        if not 0 <= self.dropout < 1:
            msg = f"dropout is {self.dropout}; expected a fraction from 0 to below 1."
            raise ValueError(msg)
        if bool(self.conditions) != bool(self.condition_key) or len(set(self.conditions)) < len(self.conditions):
            msg = f"condition_key is {self.condition_key!r} and conditions {self.conditions!r}: they do not fit."
            raise ValueError(msg)
        if self.preset == "paper" and (self.gene_length or self.likelihood != "gaussian" or self.condition_key):
            msg = (
                "preset='paper' reads marks alone and has a Gaussian likelihood; found "
                f"gene_length={self.gene_length}, likelihood={self.likelihood!r}, condition_key="
                f"{self.condition_key!r}. Leave them out, or use preset='default'."
            )
            raise ValueError(msg)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Settings:
        """Read what a model was saved with; older ones lack what was added later and keep its default."""
        known = dataclasses.fields(cls)
        required = [field.name for field in known if field.default is dataclasses.MISSING]
        return cls(**fields("settings", config, required=required, optional=[field.name for field in known]))

    def check_normalization(self, method: str) -> None:
        """Raise ``ValueError`` when the preset does not read what this method of normalisation gives."""
        if self.preset == "paper" and method != "paper":
            msg = (
                f"preset='paper' needs signal scaled to [-1, 1], found method={method!r}: "
                "sct.pp.normalize(adata, method='paper')."
            )
            raise ValueError(msg)

    @property
    def arguments(self) -> dict[str, Any]:
        """What :class:`simplechrome_tk.SimpleChrome` was given; the rest follows from data and training."""
        found = dataclasses.asdict(self)
        return {name: value for name, value in found.items() if name not in ("adapted", "conditions")}

    @property
    def phases(self) -> tuple[str, ...]:
        """Phases of training."""
        hears = self.neighbors_key is not None and self.preset != "paper"
        return ("latent", "expression", "neighbors") if hears else ("latent", "expression")

    @property
    def seeds(self) -> range:
        """A seed for each member of the ensemble."""
        return range(self.rng, self.rng + self.n_models)

    def network(
        self, regions: Sequence[nn.RegionShape], constants: Mapping[str, np.ndarray], *, seed: int
    ) -> nn.SimpleChromeNet:
        """Build one network; the caller's random state is left as it was.

        Parameters
        ----------
        regions
            Shape of each region.
        constants
            ``center`` and ``scale`` of each mark in each region, from the normalisation.
        seed
            Of the weights.
        """
        with nn.seeded(seed):
            return self.build(regions, constants)

    def build(self, regions: Sequence[nn.RegionShape], constants: Mapping[str, np.ndarray]) -> nn.SimpleChromeNet:
        """Build one network as :meth:`network` does, with weights from the random state as it is."""
        neighbors = self.neighbors_key is not None
        center, scale = (torch.as_tensor(constants[name], dtype=torch.float32) for name in ("center", "scale"))
        if self.preset == "paper":
            net = nn.build_paper_network(regions, n_latent=self.n_latent, neighbors=neighbors)
        else:
            net = nn.build_network(
                regions,
                n_latent=self.n_latent,
                n_hidden=self.n_hidden,
                dropout=self.dropout,
                neighbors=neighbors,
                n_covariates=int(self.gene_length),
                center=center,
                scale=scale,
                likelihood=self._noise(regions, center, scale),
                n_conditions=len(self.conditions),
            )
        net.correction = nn.Correction(self.n_latent) if self.adapted else None
        return net

    def _noise(
        self, regions: Sequence[nn.RegionShape], center: torch.Tensor, scale: torch.Tensor
    ) -> nn.NegativeBinomialLikelihood | None:
        if self.likelihood == "gaussian":
            return None
        sizes = [shape.n_bins for shape in regions for _ in range(shape.n_marks)]
        widths, n_columns = torch.tensor(sizes), sum(sizes)  # given, since the meta device cannot sum
        return nn.NegativeBinomialLikelihood(
            *(values.repeat_interleave(widths, output_size=n_columns) for values in (center, scale))
        )

    def recipe(
        self, *, latent: dict[str, Any], expression: dict[str, Any], neighbors: dict[str, Any] | None = None
    ) -> nn.Recipe:
        """Return the preset's recipe with other values for fields of its phases; ``None`` keeps the preset's."""
        preset = nn.PAPER_RECIPE if self.preset == "paper" else nn.Recipe()
        return dataclasses.replace(
            preset,
            latent=_slowed(preset.latent, _changed(preset.latent, latent)),
            expression=_changed(preset.expression, expression),
            neighbors=_changed(preset.neighbors, neighbors or {}),
        )


def _slowed(usual: nn.Phase, phase: nn.Phase) -> nn.Phase:
    """Lower the usual learning rate with the root of smaller batches, whose gradients are noisier.

    The rule for Adam of Malladi et al. 2022 (arXiv 2205.10287). At the usual rate batches of 16 genes diverge.
    """
    if phase.learning_rate != usual.learning_rate or phase.batch_size >= usual.batch_size:
        return phase
    rate = usual.learning_rate * (phase.batch_size / usual.batch_size) ** 0.5
    return dataclasses.replace(phase, learning_rate=rate)


def _changed(phase: nn.Phase, given: dict[str, Any]) -> nn.Phase:
    checked: dict[str, Any] = {
        name: above_zero(name, value) if name == "learning_rate" else whole(name, value)
        for name, value in given.items()
        if value is not None
    }
    return dataclasses.replace(phase, **checked)
