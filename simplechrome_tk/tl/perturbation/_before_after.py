"""Results of any function for genes before and after edits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from simplechrome_tk.core.require import check_order, gene_rows
from simplechrome_tk.model._simplechrome import SimpleChrome
from simplechrome_tk.tl.perturbation._edit import list_edits
from simplechrome_tk.tl.perturbation._edit_session import EditSession
from simplechrome_tk.tl.perturbation._predict import open_session

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import anndata as ad

    from simplechrome_tk.core.require import Genes
    from simplechrome_tk.tl.perturbation._edit import Edit

Model = TypeVar("Model")
Result = TypeVar("Result")


class BeforeAfter(NamedTuple, Generic[Result]):
    """Results of a function for genes before and after edits.

    Attributes
    ----------
    before, after
        What the function returned.
    data_before, data_after
        The AnnData that it was given, with what it wrote there.
    """

    before: Result
    after: Result
    data_before: ad.AnnData
    data_after: ad.AnnData


def before_and_after(
    adata: ad.AnnData,
    model: Model,
    edits: Edit | Sequence[Edit],
    func: Callable[[Model, ad.AnnData], Result],
    *,
    genes: Genes = None,
) -> BeforeAfter[Result]:
    """Run any function of a model and data on genes before and after edits: attributions, latents, another model.

    Parameters
    ----------
    adata, edits, genes
        As for :func:`simplechrome_tk.tl.perturb`.
    model
        First argument of ``func``: a :class:`simplechrome_tk.SimpleChrome` or any other model. With any other model,
        only the genes themselves can be edited, and not their neighbours.
    func
        ``func(model, data)``, called once with the genes as they are and once as edited. ``data`` holds the genes by
        their ids and, for a model with neighbours, the neighbours as ``"id (neighbour)"`` behind them;
        ``obs["perturbed"]`` is true for the former. ``data`` has ``X``, ``layers["signal"]``, ``obs``, ``var``, ``uns``
        and the model's graph, in which only the genes themselves have neighbours. It is a copy, and ``func`` may write
        to it.

    Returns
    -------
    BeforeAfter
        ``before``, ``after``, ``data_before``, ``data_after``.

    Raises
    ------
    ValueError
        As :func:`simplechrome_tk.tl.perturb`.

    Examples
    --------
    >>> latent = sct.get.before_and_after(
    ...     adata, model, sct.tl.Edit.remove(), sct.SimpleChrome.get_latent_representation, genes=adata.obs_names[:3]
    ... )
    >>> (latent.after - latent.before)[:3].shape
    (3, 4)
    """
    check_order(adata, model, "sct.get.before_and_after(adata, model, edits, func)")
    edits = list_edits(edits)
    is_own_model = isinstance(model, SimpleChrome)
    session = open_session(adata, model) if is_own_model else EditSession(adata, neighbors_key=None)
    session.check(edits)
    before, after = map(session.to_named_adata, session.make_batches(gene_rows(adata, genes), edits))
    return BeforeAfter(func(model, before), func(model, after), before, after)
