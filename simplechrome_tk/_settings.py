"""What a model is: its arguments, checked, and the network and recipe that they stand for."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch

from simplechrome_tk import nn

if TYPE_CHECKING:
    from collections.abc import Sequence

Task = Literal["classification", "regression", "both"]
Preset = Literal["default", "paper"]


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

    def __post_init__(self) -> None:
        for name, value, choices in (("task", self.task, Task), ("preset", self.preset, Preset)):
            if value not in get_args(choices):
                msg = f"{name} is {value!r}; choose one of {', '.join(get_args(choices))}."
                raise ValueError(msg)
        for name, size in (("n_latent", self.n_latent), ("n_hidden", self.n_hidden)):
            if size < 1:
                msg = f"{name} is {size}; expected at least 1."
                raise ValueError(msg)
        if not 0 <= self.dropout < 1:
            msg = f"dropout is {self.dropout}; expected a fraction from 0 to below 1."
            raise ValueError(msg)

    def network(self, regions: Sequence[nn.RegionShape]) -> nn.SimpleChromeNet:
        """Build the network with the weights that ``rng`` gives; the caller's random state is left as it was."""
        neighbors = self.neighbors_key is not None
        with torch.random.fork_rng():
            torch.manual_seed(self.rng)
            if self.preset == "paper":
                return nn.build_paper_network(regions, n_latent=self.n_latent, neighbors=neighbors)
            return nn.build_network(
                regions, n_latent=self.n_latent, n_hidden=self.n_hidden, dropout=self.dropout, neighbors=neighbors
            )

    def recipe(self, *, latent: dict[str, Any], expression: dict[str, Any]) -> nn.Recipe:
        """Return the preset's recipe with other values for fields of its phases; ``None`` keeps the preset's."""
        preset = nn.PAPER_RECIPE if self.preset == "paper" else nn.Recipe()
        return dataclasses.replace(
            preset, latent=_changed(preset.latent, latent), expression=_changed(preset.expression, expression)
        )


def _changed(phase: nn.Phase, given: dict[str, Any]) -> nn.Phase:
    given = {name: value for name, value in given.items() if value is not None}
    for name, value in given.items():
        if value <= 0:
            msg = f"{name} is {value}; expected more than 0."
            raise ValueError(msg)
    return dataclasses.replace(phase, **given)
