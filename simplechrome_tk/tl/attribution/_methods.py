"""Methods of attribution: the effects of a batch of genes' marks, and of their neighbours', computed by Captum."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np
import torch

from simplechrome_tk import nn
from simplechrome_tk.nn._compute import seeded
from simplechrome_tk.nn._integrated_gradients import Effects, integrated_gradients
from simplechrome_tk.tl.attribution._readout import Encoder, GeneReadout, LatentReadout, NeighborReadout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simplechrome_tk.core.layout import Layout
    from simplechrome_tk.tl.attribution._readout import TargetFunction
    from simplechrome_tk.tl.attribution._target import Batch, ExplainedTarget

Method = Literal["integrated_gradients", "deep_lift", "gradient_shap", "occlusion", "feature_ablation"]
By = Literal["bin", "mark", "region"]

COMPLETE = ("integrated_gradients", "deep_lift", "gradient_shap")
"""Methods whose effects sum to the difference between the prediction and that at the baseline."""

# Layers that DeepLIFT can follow: linear ones, and those that captum 0.9 has a rule for
# (captum/attr/_core/deep_lift.py).
_DEEP_LIFT_LAYERS = (
    torch.nn.Linear,
    torch.nn.Conv1d,
    torch.nn.Conv2d,
    torch.nn.ConvTranspose1d,
    torch.nn.BatchNorm1d,
    torch.nn.AvgPool1d,
    torch.nn.AdaptiveAvgPool1d,
    torch.nn.Flatten,
    torch.nn.Unflatten,
    torch.nn.Identity,
    torch.nn.Dropout,
    torch.nn.Dropout1d,
    torch.nn.AlphaDropout,
    torch.nn.ReLU,
    torch.nn.ELU,
    torch.nn.LeakyReLU,
    torch.nn.Sigmoid,
    torch.nn.Tanh,
    torch.nn.Softplus,
    torch.nn.MaxPool1d,
    torch.nn.MaxPool2d,
    torch.nn.MaxPool3d,
    torch.nn.Softmax,
)


class GeneEffects(NamedTuple):
    """Effects on the explained value of each gene, averaged over the networks.

    Attributes
    ----------
    own
        Effects of the bins of its own marks, ``(batch, n_columns)``.
    reference
        Effects of its expression in each reference sample, ``(batch, n_reference)``.
    neighbors
        Effects of the marks of each neighbour, ``(batch, n_neighbors)``.
    """

    own: torch.Tensor
    reference: torch.Tensor
    neighbors: torch.Tensor


@dataclass(frozen=True)
class AttributionMethod:
    """A method and its settings.

    Attributes
    ----------
    name
        One of :data:`Method`.
    n_steps
        Points of the integral, or draws of ``"gradient_shap"``.
    batch_size
        Genes, or edited copies of genes, that go through the networks at once.
    groups
        Number of the group that each column is replaced with by the methods of ablation, ``(n_columns,)``.
    rng
        Seed of ``"gradient_shap"``.
    """

    name: Method
    n_steps: int
    batch_size: int
    groups: np.ndarray
    rng: int

    def compute_effects(self, explained: ExplainedTarget, batch: Batch, pool: np.ndarray) -> GeneEffects:
        """Return the effects on a batch of genes, averaged over the networks.

        ``pool`` ``(n_draws, n_columns)`` holds the baselines that ``"gradient_shap"`` draws from.
        """
        parts = [self._compute_in_network(net, explained.readout, batch, pool) for net in explained.networks]
        own, neighbors = (torch.stack(part).mean(dim=0) for part in zip(*parts, strict=True))
        return GeneEffects(own[:, : batch.n_columns], own[:, batch.n_columns : batch.n_explained], neighbors)

    def _compute_in_network(self, net: Any, readout: TargetFunction, batch: Batch, pool: np.ndarray) -> Effects:
        """Return the effects in one network."""
        if self.name in ("occlusion", "feature_ablation"):
            return self._ablate(net, readout, batch)
        if batch.neighbors is None:
            own = self._run_captum(GeneReadout(net, readout), batch, pool)[0]
            return Effects(own, own.new_zeros(len(own), 0))
        if self.name == "integrated_gradients":
            # The own implementation encodes each neighbour once for all genes, Captum once for each gene.
            own, neighbors = integrated_gradients(
                net,
                readout,
                batch.x,
                batch.baseline,
                genes=batch.genes,
                neighbors=batch.neighbors,
                n_steps=self.n_steps,
                at_once=self.batch_size,
            )
            return Effects(own, neighbors)
        # Neighbours that are padding have effects of 0.
        own, neighbor_marks = self._run_captum(NeighborReadout(net, readout), batch, pool)
        return Effects(own, neighbor_marks.sum(dim=2) * batch.neighbors.mask)

    def _run_captum(self, module: GeneReadout, batch: Batch, pool: np.ndarray) -> tuple[torch.Tensor, ...]:
        inputs, baselines = batch.select_explained(batch.x), batch.select_explained(batch.baseline)
        if self.name == "integrated_gradients":
            return integrate_with_captum(
                module, inputs, baselines, batch.fixed, n_steps=self.n_steps, at_once=self.batch_size
            )
        if self.name == "deep_lift":
            return _run_deep_lift(module, inputs, baselines, batch.fixed)
        # Captum draws from the first axis of each pool, whose other axes are those of the input.
        rows = batch.add_reference(pool)
        shapes = [(len(rows), *(1,) * (part.ndim - 2), batch.n_explained) for part in inputs]
        pools = tuple(rows.view(shape).expand(-1, *part.shape[1:]) for shape, part in zip(shapes, inputs, strict=True))
        with _seed_globals(self.rng):
            return (
                _captum_methods()
                .GradientShap(module)
                .attribute(inputs, pools, n_samples=self.n_steps, additional_forward_args=batch.fixed)
            )

    def _ablate(self, net: Any, readout: TargetFunction, batch: Batch) -> Effects:
        """Replace groups of the gene's own columns, and each neighbour as a whole, by their baselines."""
        inputs, baselines = batch.select_explained(batch.x), batch.select_explained(batch.baseline)
        fixed, groups = batch.fixed, torch.as_tensor(self.groups, device=batch.x.device)
        # All reference samples are replaced together.
        groups = torch.cat([groups, (groups.max() + 1).expand(batch.n_reference)])
        masks: tuple[torch.Tensor, ...] = (groups[None],)
        module: torch.nn.Module = GeneReadout(net, readout)
        if batch.neighbors is not None:
            # A gene reads the latents of its neighbours alone: to replace those is to replace all marks of a neighbour,
            # and every neighbour is encoded twice, not once for each gene and group.
            with torch.no_grad():
                latents, baseline_latents = (net.encode(x).mean[batch.neighbors.x] for x in (batch.x, batch.baseline))
            inputs, baselines, fixed = (inputs[0], latents), (baselines[0], baseline_latents), (fixed[0], *fixed[2:])
            numbers = int(groups.max()) + 1 + torch.arange(latents.shape[1], device=groups.device)
            masks = (*masks, numbers[None, :, None].expand(1, *latents.shape[1:]))
            module = LatentReadout(net, readout)
        with torch.no_grad():
            own, *others = (
                _captum_methods()
                .FeatureAblation(module)
                .attribute(
                    inputs,
                    baselines,
                    additional_forward_args=fixed,
                    feature_mask=masks,
                    perturbations_per_eval=max(1, self.batch_size // len(batch.genes)),
                )
            )
        # Captum gives each column the effect of its whole group, which the columns share.
        own = own / torch.bincount(groups).to(own.dtype)[groups]
        return Effects(own, others[0][..., 0] * fixed[-1] if others else own.new_zeros(len(own), 0))


def _captum_methods() -> Any:
    """Load the methods of Captum when one is first used: loading them takes a second."""
    from captum import attr

    return attr


def integrate_with_captum(
    module: GeneReadout,
    inputs: tuple[torch.Tensor, ...],
    baselines: tuple[torch.Tensor, ...],
    fixed: tuple[torch.Tensor, ...],
    *,
    n_steps: int,
    at_once: int,
) -> tuple[torch.Tensor, ...]:
    """Integrate gradients with Captum; ``at_once`` genes times steps go through the network together."""
    return (
        _captum_methods()
        .IntegratedGradients(module)
        .attribute(
            inputs,
            baselines,
            additional_forward_args=fixed,
            n_steps=n_steps,
            internal_batch_size=max(at_once, len(inputs[0])),
        )
    )


def _run_deep_lift(
    module: GeneReadout,
    inputs: tuple[torch.Tensor, ...],
    baselines: tuple[torch.Tensor, ...],
    fixed: tuple[torch.Tensor, ...],
) -> tuple[torch.Tensor, ...]:
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Setting forward, backward hooks|Input Tensor .* gradients")
            return _captum_methods().DeepLift(module).attribute(inputs, baselines, additional_forward_args=fixed)
    except (AssertionError, RuntimeError) as error:
        reason = str(error).split(".")[0]
        msg = f"DeepLIFT cannot follow this network ({reason}): use method='integrated_gradients'."
        raise ValueError(msg) from error


def check_method(method: str, explained: ExplainedTarget) -> None:
    """Raise ``ValueError`` when the method is unknown, or the network has layers that it has no rule for."""
    if method not in get_args(Method):
        msg = f"method is {method!r}; choose one of {', '.join(get_args(Method))}."
        raise ValueError(msg)
    if method != "deep_lift":
        return
    # Only layers without children compute; the others are containers.
    used = [part for net in explained.networks for part in _find_parts(net)]
    layers = [layer for part in used for layer in part.modules() if not list(layer.children())]
    unknown = sorted({type(layer).__name__ for layer in layers if not isinstance(layer, _DEEP_LIFT_LAYERS)})
    if explained.graph is not None:
        unknown.append("attention over neighbours")
    if explained.n_reference:
        unknown.append("the standard deviation over reference samples")
    if unknown:
        msg = (
            f"DeepLIFT has no rule for {', '.join(unknown)} in this network, and its effects would be wrong without a "
            "warning: use method='integrated_gradients'."
        )
        raise ValueError(msg)


def _find_parts(net: torch.nn.Module) -> tuple[torch.nn.Module, ...]:
    """Return the parts of a network that a gene's marks pass on their way to the output."""
    if isinstance(net, Encoder):
        return (net.net.encoder,)
    return (net.encoder, net.head) if isinstance(net, nn.SimpleChromeNet) else (net,)


def group_columns(layout: Layout, method: str, by: By | np.ndarray) -> np.ndarray:
    """Return the number of the group that each column is replaced with, from 0, ``(n_columns,)``.

    ``"occlusion"`` replaces a bin, a mark in a region or a region; ``"feature_ablation"`` any group.
    """
    if isinstance(by, str):
        if by not in get_args(By):
            msg = f"by is {by!r}; choose one of {', '.join(get_args(By))}, or number the columns in an array."
            raise ValueError(msg)
        if by == "bin":
            return np.arange(layout.n_columns)
        # Occlusion replaces one stretch at a time: a mark in one region, which is a block of columns.
        if by == "mark" and method == "occlusion":
            return layout.block
        _, number = np.unique(layout.blocks[by].to_numpy(str), return_inverse=True)
        return layout.expand(number)
    groups = np.asarray(by)
    if groups.shape != (layout.n_columns,):
        msg = f"by has shape {groups.shape}; expected one group for each of the {layout.n_columns} columns."
        raise ValueError(msg)
    return np.unique(groups, return_inverse=True)[1]


@contextmanager
def _seed_globals(seed: int) -> Iterator[None]:
    """Seed the global generators, which Captum draws from, and put them back as they were."""
    with seeded(seed):
        state = np.random.get_state()  # noqa: NPY002  Captum draws from it
        np.random.seed(seed)  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(state)  # noqa: NPY002
