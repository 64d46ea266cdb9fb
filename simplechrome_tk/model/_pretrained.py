"""Models that come with the package."""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import TYPE_CHECKING

from simplechrome_tk.model._simplechrome import SimpleChrome

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    import torch

PRETRAINED = ("roadmap-peaks", "roadmap-peaks-context")


def load_pretrained(name: str = "roadmap-peaks", *, device: str | torch.device | None = None) -> SimpleChrome:
    """Load a model that was trained on public cell types, to predict other cell types without labels.

    Parameters
    ----------
    name
        ``"roadmap-peaks"``: five core marks as ENCODE peaks of GM12878, HeLa-S3 and K562 over
        ``sct.pp.Window.TSS`` and ``sct.pp.Window.BODY``, normalised with ``method="quantile"``. Its training data, its
        accuracy and its limits are described in :attr:`SimpleChrome.card`. ``"roadmap-peaks-context"``: the same
        network with a context: it also reads the marks of co-expressed genes
        (:func:`simplechrome_tk.pp.coexpression_neighbors`) and the expression of the gene in 53 Roadmap epigenomes
        (``sct.pp.add_reference_expression(adata, exclude=["E116", "E117", "E123"])``).
    device
        Where to compute; ``None`` uses CUDA, MPS or CPU, the first that is available.

    Returns
    -------
    SimpleChrome
        A trained model without data; ``model.card`` describes it.

    Raises
    ------
    ValueError
        When there is no such model. Data that the model cannot read, such as other marks or windows, or signal that is
        normalised with other constants, are refused by its methods.

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
        model = SimpleChrome.load(folder, device=device)
        model.card = (folder / "CARD.md").read_text(encoding="utf-8")
    return model


def _folder(name: str) -> Traversable:
    if name not in PRETRAINED:
        msg = f"there is no pre-trained model {name!r}; choose one of {', '.join(PRETRAINED)}."
        raise ValueError(msg)
    return files("simplechrome_tk.model") / "pretrained" / name
