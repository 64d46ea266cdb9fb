"""Recipes of training: the default, and that of the published network."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Phase:
    """Settings of one phase of a training.

    Attributes
    ----------
    epochs
        Number of epochs, at most.
    batch_size
        Genes in a batch.
    learning_rate
        Learning rate of AdamW.
    weight_decay
        Decay of the weights.
    one_cycle
        Whether the learning rate rises to ``learning_rate`` and then falls to 0; otherwise it is constant.
    average
        Decay of the running mean of the weights, which is kept instead of the weights themselves; 0 keeps the latter.
    patience
        Number of epochs without a better validation score after which the phase ends.
    max_gradient
        Norm to which longer gradients are shortened; ``None`` leaves them as they are.
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
    """Settings of the training of a network.

    Attributes
    ----------
    latent, expression, context
        Settings of the three phases. The last trains what related genes and reference samples add, on fixed latents.
    contrast
        Settings of the training of changes between conditions, on fixed latents.
    kl_weight
        Weight of the divergence beside the loss of the reconstruction. ``None`` is ``noise`` times the weight at which
        both are the evidence lower bound of the network's likelihood (``2 / n_columns`` for a Gaussian of unit
        variance).
    noise
        Variance of the part of the signal that latents need not describe, as a fraction of the variance of the signal.
    latent_weight
        Weight of the latent's own loss in phase 2. That loss reads genes without dropout, since with dropout marks are
        reconstructed far worse.
    regression_weight
        Weight of the squared error of expression (in standard units) beside the cross-entropy of the label.
    freeze_latent
        Whether phase 2 trains the head alone. Otherwise it trains the whole network.

    Notes
    -----
    The learning rate of phase 1 is the highest that is safe. At 8e-3, without a limit to the gradients, training comes
    close to divergence: predictions become erratic for inputs that no gene comes near, such as those on the way to the
    baseline of attributions (``docs/experiments.md``, "The latent space").
    """

    latent: Phase = field(
        default_factory=lambda: Phase(30, 256, 5e-3, weight_decay=0.01, one_cycle=True, max_gradient=1.0)
    )
    expression: Phase = field(
        default_factory=lambda: Phase(15, 256, 2e-3, weight_decay=0.01, one_cycle=True, average=0.99)
    )
    context: Phase = field(
        default_factory=lambda: Phase(8, 256, 5e-3, weight_decay=0.01, one_cycle=True, average=0.99, patience=8)
    )
    contrast: Phase = field(
        default_factory=lambda: Phase(10, 256, 2e-3, weight_decay=0.1, one_cycle=True, average=0.99, patience=60)
    )
    kl_weight: float | None = None
    noise: float = 0.01
    latent_weight: float = 3.0
    regression_weight: float = 1.5
    freeze_latent: bool = False


def context_epochs(n_genes: int) -> int:
    """Return the epochs of phase 3 for a number of training genes: 8 for 14,000, and more where there are fewer.

    Eight epochs of 14,000 genes are 440 steps. On the validation chromosomes of E116, 8, 10 and 15 epochs of 50
    co-expressed genes reach the same score to .001 (``docs/experiments.md``).
    """
    n_steps_of_one = -(-n_genes // 256)
    return int(min(30, max(8, -(-440 // n_steps_of_one))))


def contrast_epochs(n_changes: int) -> int:
    """Return the epochs in which changes between conditions are trained: about 1,700 steps, in 8 to 60 epochs."""
    n_steps_of_one = -(-n_changes // 256)
    return int(min(60, max(8, -(-1_700 // n_steps_of_one))))


PAPER_RECIPE = Recipe(
    latent=Phase(5, 64, 1e-4),
    expression=Phase(5, 32, 1e-3),
    kl_weight=5e-5,
    regression_weight=0.5,
    freeze_latent=True,
)
"""Published settings of SimpleChrome: Adam, 5 + 5 epochs, mean squared error + 5e-5 KL, head on fixed latents."""
