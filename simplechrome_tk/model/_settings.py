"""Settings of a model, checked, and the network and recipe that follow from them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch

from simplechrome_tk.core.features import Task
from simplechrome_tk.core.graph import graph_names
from simplechrome_tk.core.values import above_zero, fields, number, text, texts, truth, whole
from simplechrome_tk.nn._build import build_contrast, build_network, build_paper_network
from simplechrome_tk.nn._compute import seeded
from simplechrome_tk.nn._likelihood import NegativeBinomialLikelihood
from simplechrome_tk.nn._network import Correction
from simplechrome_tk.nn._recipe import PAPER_RECIPE, Phase, Recipe

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from simplechrome_tk.nn._network import SimpleChromeNet
    from simplechrome_tk.nn._vae import RegionShape

Preset = Literal["default", "paper"]
Likelihood = Literal["gaussian", "negative_binomial"]


@dataclass(frozen=True)
class Settings:
    """Arguments of :class:`simplechrome_tk.SimpleChrome`, checked, as they are saved with it.

    Four fields are not arguments: ``conditions``, the values of ``obs[condition_key]`` in the training data;
    ``references``, the names of the reference samples; ``adapted``, which says whether the networks have a correction
    (:meth:`simplechrome_tk.SimpleChrome.adapt`); and ``contrasts``, whether they have a head for changes between
    conditions (:meth:`simplechrome_tk.SimpleChrome.add_contrast`).
    """

    n_latent: int
    n_hidden: int
    dropout: float
    neighbors_key: str | Sequence[str] | None
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
    reference_key: str | None = None
    references: tuple[str, ...] = ()
    contrasts: bool = False

    def __post_init__(self) -> None:
        for name, choices in (("task", Task), ("preset", Preset), ("likelihood", Likelihood)):
            if (value := getattr(self, name)) not in get_args(choices):
                msg = f"{name} is {value!r}; choose one of {', '.join(get_args(choices))}."
                raise ValueError(msg)
        names = [name for name in ("condition_key", "reference_key") if getattr(self, name) is not None]
        checked: dict[str, Any] = {
            "n_latent": whole("n_latent", self.n_latent),
            # The head has half as many units.
            "n_hidden": whole("n_hidden", self.n_hidden, least=2),
            "n_models": whole("n_models", self.n_models),
            "dropout": number("dropout", self.dropout),
            **{name: truth(name, getattr(self, name)) for name in ("gene_length", "adapted", "contrasts")},
            **{name: text(name, getattr(self, name)) for name in ("label_key", "expression_key", "split_key", *names)},
            "neighbors_key": _graph_names(self.neighbors_key),
            "conditions": tuple(texts("conditions", self.conditions)),
            "references": tuple(texts("references", self.references)),
        }
        # Further networks use the seeds that follow, and numpy and scikit-learn take seeds below 2**32 only.
        checked["rng"] = whole("rng", self.rng, least=0, most=2**32 - checked["n_models"])
        # The dataclass is frozen; numbers of numpy become those of Python, which JSON can hold.
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        if not 0 <= self.dropout < 1:
            msg = f"dropout is {self.dropout}; expected a fraction from 0 to below 1."
            raise ValueError(msg)
        if bool(self.conditions) != bool(self.condition_key) or len(set(self.conditions)) < len(self.conditions):
            msg = (
                f"condition_key is {self.condition_key!r} and conditions {self.conditions!r}; expected different "
                "values with a condition_key, and none without one."
            )
            raise ValueError(msg)
        if bool(self.references) != bool(self.reference_key) or len(set(self.references)) < len(self.references):
            msg = (
                f"reference_key is {self.reference_key!r} and references {self.references!r}; expected the names of "
                "different samples with a reference_key, and none without one."
            )
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
        """Read the settings that a model was saved with."""
        return cls(**fields("settings", config, required=[field.name for field in dataclasses.fields(cls)]))

    def check_normalization(self, method: str) -> None:
        """Raise ``ValueError`` when the preset needs another method of normalisation."""
        if self.preset == "paper" and method != "paper":
            msg = (
                f"preset='paper' needs signal scaled to [-1, 1], found method={method!r}: "
                "sct.pp.normalize(adata, method='paper')."
            )
            raise ValueError(msg)

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments of :class:`simplechrome_tk.SimpleChrome`; other settings follow from data and training."""
        found = dataclasses.asdict(self)
        made = ("adapted", "conditions", "contrasts", "references")
        return {name: value for name, value in found.items() if name not in made}

    @property
    def graphs(self) -> tuple[str, ...]:
        """Names of the graphs of related genes that the model reads."""
        return graph_names(self.neighbors_key)

    @property
    def has_context(self) -> bool:
        """Whether the model reads related genes or reference samples beside the gene's own marks."""
        return bool(self.graphs or self.references)

    @property
    def phases(self) -> tuple[str, ...]:
        """Names of the phases of training."""
        return ("latent", "expression", "context") if self.has_context else ("latent", "expression")

    @property
    def seeds(self) -> range:
        """A seed for each member of the ensemble."""
        return range(self.rng, self.rng + self.n_models)

    def network(
        self, regions: Sequence[RegionShape], constants: Mapping[str, np.ndarray], *, seed: int
    ) -> SimpleChromeNet:
        """Build one network; the caller's random state is left as it was.

        Parameters
        ----------
        regions
            Shape of each region.
        constants
            ``center`` and ``scale`` of each mark in each region, from the normalisation.
        seed
            Seed of the weights.
        """
        with seeded(seed):
            return self.build(regions, constants)

    def build(self, regions: Sequence[RegionShape], constants: Mapping[str, np.ndarray]) -> SimpleChromeNet:
        """Build one network as :meth:`network` does, with weights drawn from the present random state."""
        context = {"n_graphs": len(self.graphs), "n_reference": len(self.references)}
        center, scale = (torch.as_tensor(constants[name], dtype=torch.float32) for name in ("center", "scale"))
        if self.preset == "paper":
            net = build_paper_network(regions, n_latent=self.n_latent, **context)
        else:
            net = build_network(
                regions,
                n_latent=self.n_latent,
                n_hidden=self.n_hidden,
                dropout=self.dropout,
                **context,
                n_covariates=int(self.gene_length),
                center=center,
                scale=scale,
                likelihood=self._noise(regions, center, scale),
                n_conditions=len(self.conditions),
            )
        net.correction = Correction(self.n_latent) if self.adapted else None
        if self.contrasts:
            n_columns = sum(shape.n_marks * shape.n_bins for shape in regions)
            n_inputs = n_columns + len(self.references) + int(self.gene_length) + len(self.conditions)
            net.contrast = build_contrast(net, n_latent=self.n_latent, n_inputs=n_inputs)
        return net

    def _noise(
        self, regions: Sequence[RegionShape], center: torch.Tensor, scale: torch.Tensor
    ) -> NegativeBinomialLikelihood | None:
        if self.likelihood == "gaussian":
            return None
        sizes = [shape.n_bins for shape in regions for _ in range(shape.n_marks)]
        # The size of the result is given, since sums cannot be computed on the meta device (`weights_of_one`).
        widths, n_columns = torch.tensor(sizes), sum(sizes)
        return NegativeBinomialLikelihood(
            *(values.repeat_interleave(widths, output_size=n_columns) for values in (center, scale))
        )

    def recipe(
        self,
        *,
        latent: dict[str, Any] | None = None,
        expression: dict[str, Any] | None = None,
        context: dict[str, Any] | None = None,
        contrast: dict[str, Any] | None = None,
    ) -> Recipe:
        """Return the preset's recipe with other values for fields of its phases; ``None`` keeps the preset's."""
        preset = PAPER_RECIPE if self.preset == "paper" else Recipe()
        return dataclasses.replace(
            preset,
            latent=_slow_down(preset.latent, _replace(preset.latent, latent or {})),
            expression=_replace(preset.expression, expression or {}),
            context=_replace(preset.context, context or {}),
            contrast=_replace(preset.contrast, contrast or {}),
        )

    def fine_tuning_recipe(self, *, learning_rate: float | None, **expression: Any) -> Recipe:
        """Return the recipe of :meth:`recipe`, with phase 2 at a quarter of its learning rate by default."""
        recipe = self.recipe(expression={"learning_rate": learning_rate, **expression})
        if learning_rate is not None:
            return recipe
        slower = dataclasses.replace(recipe.expression, learning_rate=recipe.expression.learning_rate / 4)
        return dataclasses.replace(recipe, expression=slower)


def _graph_names(value: object) -> str | tuple[str, ...] | None:
    """Return ``neighbors_key`` as it is stored: one name as a string, several as a tuple."""
    if value is None:
        return None
    if isinstance(value, str):
        return text("neighbors_key", value)
    if not isinstance(value, Sequence):
        msg = f"neighbors_key is {value!r}; expected a name, as a string, or the names of several graphs."
        raise ValueError(msg)
    names = tuple(texts("neighbors_key", list(value)))
    if not names or len(set(names)) < len(names):
        msg = f"neighbors_key is {value!r}; expected the name of a graph in obsp, or different names of several."
        raise ValueError(msg)
    return names[0] if len(names) == 1 else names


def _slow_down(usual: Phase, phase: Phase) -> Phase:
    """Lower the usual learning rate with the square root of the batch size, where batches are smaller than usual.

    The gradients of small batches are noisier: at the usual rate training in batches of 16 genes diverges. The square
    root is the rule for Adam of Malladi et al. 2022 (arXiv 2205.10287).
    """
    if phase.learning_rate != usual.learning_rate or phase.batch_size >= usual.batch_size:
        return phase
    rate = usual.learning_rate * (phase.batch_size / usual.batch_size) ** 0.5
    return dataclasses.replace(phase, learning_rate=rate)


def _replace(phase: Phase, given: dict[str, Any]) -> Phase:
    checked: dict[str, Any] = {
        name: above_zero(name, value) if name == "learning_rate" else whole(name, value)
        for name, value in given.items()
        if value is not None
    }
    return dataclasses.replace(phase, **checked)
