"""Models that come with the package."""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import TYPE_CHECKING

from simplechrome_tk.model._simplechrome import SimpleChrome

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    import torch

PRETRAINED = ("roadmap-peaks",)


def load_pretrained(name: str = "roadmap-peaks", *, device: str | torch.device | None = None) -> SimpleChrome:
    """Load a model that was trained on public cell types, to predict others with no label.

    Parameters
    ----------
    name
        ``"roadmap-peaks"``: five core marks as ENCODE peaks of GM12878, HeLa-S3 and K562 over
        :data:`simplechrome_tk.pp.DEFAULT_WINDOWS`, normalised with ``method="quantile"``. What it was trained on, what
        it reaches and what it cannot do is in ``CARD.md`` beside its weights, which :func:`pretrained_card` returns.
    device
        Where to compute; ``None`` takes what is there.

    Returns
    -------
    SimpleChrome
        A trained model without data.

    Raises
    ------
    ValueError
        When there is no such model. What the model cannot serve, such as other marks or windows, or signal normalised
        otherwise, is refused by its methods, by name.

    Examples
    --------
    >>> import simplechrome_tk as sct
    >>> model = sct.load_pretrained("roadmap-peaks")
    >>> adata = sct.datasets.simulate(1_000)
    >>> sct.pp.normalize(adata, reference=model.normalization)
    >>> len(model.predict(adata))
    1000
    """
    with as_file(_folder(name)) as folder:
        return SimpleChrome.load(folder, device=device)


def pretrained_card(name: str = "roadmap-peaks") -> str:
    """Return the card of a model that comes with the package, as Markdown: data, splits, figures and limits."""
    return (_folder(name) / "CARD.md").read_text(encoding="utf-8")


def _folder(name: str) -> Traversable:
    if name not in PRETRAINED:
        msg = f"there is no pre-trained model {name!r}; choose one of {', '.join(PRETRAINED)}."
        raise ValueError(msg)
    return files("simplechrome_tk.model") / "pretrained" / name
