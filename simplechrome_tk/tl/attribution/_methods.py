"""Methods of attribution, over Captum: effects of a batch of genes' marks, and of their neighbours'."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch

from simplechrome_tk import nn
from simplechrome_tk.core.layout import blocks
from simplechrome_tk.nn._compute import seeded
from simplechrome_tk.nn._integrated_gradients import Effects, integrated_gradients
from simplechrome_tk.tl.attribution._target import Alone, Among, Encoded

if TYPE_CHECKING:
    from collections.abc import Iterator

    import anndata as ad

    from simplechrome_tk.tl.attribution._target import Batch, Explained, Read

Method = Literal["integrated_gradients", "deep_lift", "gradient_shap", "occlusion", "feature_ablation"]
By = Literal["bin", "mark", "region"]

COMPLETE = ("integrated_gradients", "deep_lift", "gradient_shap")
"""Methods whose effects sum to the difference between prediction and baseline."""

_LINEAR = (
    *(torch.nn.Linear, torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.ConvTranspose1d, torch.nn.BatchNorm1d),
    *(torch.nn.AvgPool1d, torch.nn.AdaptiveAvgPool1d, torch.nn.Flatten, torch.nn.Unflatten, torch.nn.Identity),
    *(torch.nn.Dropout, torch.nn.Dropout1d, torch.nn.AlphaDropout),
)
_WITH_RULE = (  # of captum 0.9, captum/attr/_core/deep_lift.py
    *(torch.nn.ReLU, torch.nn.ELU, torch.nn.LeakyReLU, torch.nn.Sigmoid, torch.nn.Tanh, torch.nn.Softplus),
    *(torch.nn.MaxPool1d, torch.nn.MaxPool2d, torch.nn.MaxPool3d, torch.nn.Softmax),
)


@dataclass(frozen=True)
class Attribution:
    """A method and its settings; ``groups`` ``(n_columns,)`` numbers the columns that ablation replaces together."""

    method: Method
    n_steps: int
    batch_size: int
    groups: np.ndarray
    rng: int

    def effects(self, what: Explained, batch: Batch, draws: np.ndarray) -> Effects:
        """Return the effects of a batch of genes, averaged over the networks.

        ``draws`` ``(n_draws, n_columns)`` are the baselines that ``gradient_shap`` draws from.
        """
        parts = []
        for net in what.networks:
            if self.method in ("occlusion", "feature_ablation"):
                parts.append(self._ablation(net, what.read, batch))
            elif self.method == "integrated_gradients" and batch.neighbors is not None:
                own, neighbors = integrated_gradients(
                    net,
                    what.read,
                    batch.x,
                    batch.baseline,
                    genes=batch.genes,
                    neighbors=batch.neighbors,
                    n_steps=self.n_steps,
                )
                parts.append(Effects(own[:, : batch.n_columns], neighbors))
            else:
                answer = Alone(net, what.read) if batch.neighbors is None else Among(net, what.read)
                own, *heard = self._captum(answer, batch, draws)
                neighbors = own.new_zeros(len(own), 0)
                if batch.neighbors is not None:
                    neighbors = heard[0].sum(dim=2) * batch.neighbors.mask
                parts.append(Effects(own, neighbors))
        return Effects(*(torch.stack(part).mean(dim=0) for part in zip(*parts, strict=True)))

    def _captum(self, answer: torch.nn.Module, batch: Batch, draws: np.ndarray) -> tuple[torch.Tensor, ...]:
        inputs, baselines = batch.inputs(batch.x), batch.inputs(batch.baseline)
        if self.method == "integrated_gradients":
            return along_path(answer, inputs, baselines, batch.fixed, n_steps=self.n_steps, at_once=self.batch_size)
        if self.method == "deep_lift":
            return _deep_lift(answer, inputs, baselines, batch.fixed)
        rows = batch.x.new_tensor(draws)
        shapes = [(len(rows), *(1,) * (part.ndim - 2), batch.n_columns) for part in inputs]
        pools = tuple(rows.view(shape).expand(-1, *part.shape[1:]) for shape, part in zip(shapes, inputs, strict=True))
        with _seeded(self.rng):
            return (
                _captum_methods()
                .GradientShap(answer)
                .attribute(inputs, pools, n_samples=self.n_steps, additional_forward_args=batch.fixed)
            )

    def _ablation(self, net: Any, read: Read, batch: Batch) -> Effects:
        """Replace groups of the gene's own columns, and each neighbour by its baseline: its latent says all of it."""
        inputs, starts, fixed = batch.inputs(batch.x), batch.inputs(batch.baseline), batch.fixed
        groups = torch.as_tensor(self.groups, device=batch.x.device)
        masks: tuple[torch.Tensor, ...] = (groups[None],)
        answer: torch.nn.Module = Alone(net, read)
        if batch.neighbors is not None:
            with torch.no_grad():
                latents, silent = (net.encode(x).mean[batch.neighbors.x] for x in (batch.x, batch.baseline))
            inputs, starts, fixed = (inputs[0], latents), (starts[0], silent), (fixed[0], *fixed[2:])
            numbers = int(groups.max()) + 1 + torch.arange(latents.shape[1], device=groups.device)
            masks = (*masks, numbers[None, :, None].expand(1, *latents.shape[1:]))
            answer = _AmongLatents(net, read)
        with torch.no_grad():
            own, *heard = (
                _captum_methods()
                .FeatureAblation(answer)
                .attribute(
                    inputs,
                    starts,
                    additional_forward_args=fixed,
                    feature_mask=masks,
                    perturbations_per_eval=max(1, self.batch_size // len(batch.genes)),
                )
            )
        own = own / torch.bincount(groups).to(own.dtype)[groups]
        return Effects(own, heard[0][..., 0] * fixed[-1] if heard else own.new_zeros(len(own), 0))


def _captum_methods() -> Any:
    """Return the module with Captum's methods, which is slow to load and is loaded when it is first used."""
    from captum import attr

    return attr


def along_path(
    answer: torch.nn.Module,
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
        .IntegratedGradients(answer)
        .attribute(
            inputs,
            baselines,
            additional_forward_args=fixed,
            n_steps=n_steps,
            internal_batch_size=max(at_once, len(inputs[0])),
        )
    )


class _AmongLatents(torch.nn.Module):
    """The value read from a network that reads a gene among neighbours whose latents are given."""

    net: Any

    def __init__(self, net: torch.nn.Module, read: Read) -> None:
        super().__init__()
        self.net, self.read = net, read

    def forward(
        self,
        marks: torch.Tensor,
        heard: torch.Tensor,
        covariates: torch.Tensor,
        edges: torch.Tensor,
        mask: torch.Tensor,
    ) -> torch.Tensor:
        own = self.net.encode(torch.cat([marks, covariates], dim=1)).mean
        return self.read(self.net.express(own, nn.Neighbors(heard, edges, mask)))


def _deep_lift(
    answer: torch.nn.Module,
    inputs: tuple[torch.Tensor, ...],
    baselines: tuple[torch.Tensor, ...],
    fixed: tuple[torch.Tensor, ...],
) -> tuple[torch.Tensor, ...]:
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Setting forward, backward hooks|Input Tensor .* gradients")
            return _captum_methods().DeepLift(answer).attribute(inputs, baselines, additional_forward_args=fixed)
    except (AssertionError, RuntimeError) as error:
        reason = str(error).split(".")[0]
        msg = f"DeepLift cannot follow this network ({reason}): use method='integrated_gradients'."
        raise ValueError(msg) from error


def check_method(method: str, what: Explained) -> None:
    """Raise ``ValueError`` when the method is unknown, or the network has parts that it has no rule for."""
    if method not in get_args(Method):
        msg = f"method is {method!r}; choose one of {', '.join(get_args(Method))}."
        raise ValueError(msg)
    if method != "deep_lift":
        return
    used = [part for net in what.networks for part in _parts_used(net)]
    leaves = [leaf for part in used for leaf in part.modules() if not list(leaf.children())]
    unknown = sorted({type(part).__name__ for part in leaves if not isinstance(part, (*_LINEAR, *_WITH_RULE))})
    if what.graph is not None:
        unknown.append("attention over neighbours")
    if unknown:
        msg = (
            f"DeepLift has no rule for {', '.join(unknown)} in this network, and would be wrong without a word: use "
            "method='integrated_gradients'."
        )
        raise ValueError(msg)


def _parts_used(net: torch.nn.Module) -> tuple[torch.nn.Module, ...]:
    """Return the parts that a gene's marks pass on their way to the answer."""
    if isinstance(net, Encoded):
        return (net.net.encoder,)
    return (net.encoder, net.head) if isinstance(net, nn.SimpleChromeNet) else (net,)


def column_groups(adata: ad.AnnData, method: str, by: By | np.ndarray) -> np.ndarray:
    """Return the number of the group that each column is replaced with, from 0, shape ``(n_columns,)``.

    ``"occlusion"`` takes a bin, a mark in a region or a region; ``"feature_ablation"`` any grouping.
    """
    if isinstance(by, str):
        if by not in get_args(By):
            msg = f"by is {by!r}; choose one of {', '.join(get_args(By))}, or number the columns in an array."
            raise ValueError(msg)
        if by == "bin":
            return np.arange(adata.n_vars)
        table = blocks(adata)
        block = np.repeat(np.arange(len(table)), table["stop"] - table["start"])
        if by == "mark" and method == "occlusion":
            return block
        _, number = np.unique(table[by].to_numpy(str), return_inverse=True)
        return number[block]
    groups = np.asarray(by)
    if groups.shape != (adata.n_vars,):
        msg = f"by has shape {groups.shape}; expected one group for each of the {adata.n_vars} columns."
        raise ValueError(msg)
    return np.unique(groups, return_inverse=True)[1]


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the global generators, which Captum draws from, and put them back as they were."""
    with seeded(seed):
        state = np.random.get_state()  # noqa: NPY002  Captum draws from it
        np.random.seed(seed)  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(state)  # noqa: NPY002
