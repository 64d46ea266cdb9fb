"""How a network is trained: the default and what presets change of it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Phase:
    """How one phase is trained.

    ``one_cycle`` warms the learning rate up to ``learning_rate`` and anneals it to 0; else it is constant.
    ``average`` is the decay of the running mean of the weights, which is what is kept; 0 keeps the weights themselves.
    ``patience`` is the number of epochs without a better validation score after which the phase ends.
    ``max_gradient`` is the norm to which longer gradients are cut; ``None`` leaves them.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 0.0
    one_cycle: bool = False
    average: float = 0.0
    patience: int = 5
    max_gradient: float | None = None


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    ``kl_weight`` weighs the divergence against the loss of the reconstruction; ``None`` is the evidence lower bound of
    the network's likelihood (``2 / n_columns`` for a Gaussian of unit variance), times ``noise``: the variance, against
    that of the signal, of what is left to chance. ``freeze_latent`` trains the head
    alone in phase 2; otherwise all is trained, and the latent's own loss stays in with weight ``latent_weight``. That
    loss reads genes without dropout, with which marks are reconstructed far worse.
    ``regression_weight`` weighs the squared error of expression (in standard units) against the cross-entropy of the
    label. ``attention_speed`` multiplies the learning rate of attention in phase 2; phase 3, ``neighbors``, trains
    attention and head on fixed latents.

    Phase 1 is as fast as it can be: at 8e-3, gradients not cut, predictions turn wild where there are no genes, on the
    way to the baseline of attributions (``docs/experiments.md``, "The latent space").
    """

    latent: Phase = field(
        default_factory=lambda: Phase(30, 256, 5e-3, weight_decay=0.01, one_cycle=True, max_gradient=1.0)
    )
    expression: Phase = field(
        default_factory=lambda: Phase(15, 256, 2e-3, weight_decay=0.01, one_cycle=True, average=0.99)
    )
    neighbors: Phase = field(
        default_factory=lambda: Phase(30, 256, 5e-3, weight_decay=0.01, one_cycle=True, average=0.99, patience=30)
    )
    kl_weight: float | None = None
    noise: float = 0.01
    latent_weight: float = 3.0
    regression_weight: float = 1.5
    freeze_latent: bool = False
    attention_speed: float = 5.0


PAPER_RECIPE = Recipe(
    latent=Phase(5, 64, 1e-4),
    expression=Phase(5, 32, 1e-3),
    kl_weight=5e-5,
    regression_weight=0.5,
    freeze_latent=True,
)
"""SimpleChrome's published settings: Adam, 5 + 5 epochs, mean squared error + 5e-5 KL, head on a fixed latent."""
