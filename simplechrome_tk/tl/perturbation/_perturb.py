"""Predict genes with edited marks."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import check_order, gene_rows
from simplechrome_tk.model._inputs import require_trained
from simplechrome_tk.model._simplechrome import SimpleChrome
from simplechrome_tk.tl.perturbation._edit import Edit
from simplechrome_tk.tl.perturbation._edit_session import Bench

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import anndata as ad

    from simplechrome_tk.tl.perturbation._edit_session import Scene

logger = logging.getLogger(__name__)

LOG_ODDS, PROBABILITY, LOG_EXPRESSION = "log_odds", "probability", "log_expression"
_CHUNK = 2_048

Model = TypeVar("Model")
Result = TypeVar("Result")


class BeforeAfter(NamedTuple, Generic[Result]):
    """What a function says of genes as they are and as edited.

    ``before``, ``after``: what it returned. ``data_before``, ``data_after``: the AnnData that it was given, for what it
    wrote there.
    """

    before: Result
    after: Result
    data_before: ad.AnnData
    data_after: ad.AnnData


def perturb(
    adata: ad.AnnData,
    model: SimpleChrome,
    edits: Edit | Sequence[Edit],
    *,
    genes: str | Sequence[str] | np.ndarray | pd.Series | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Predict genes before and after edits of their marks, or of their neighbours'.

    Each gene is edited by itself, all others left as they are: the edit of a gene does not reach those that hear it as
    a neighbour. What is edited are a gene's own bins; the same DNA in the windows of other genes stays.

    Parameters
    ----------
    model
        A trained model; of any other, such as a plain ``nn.Module``, ask :func:`perturb_with`.
    adata
        Genes by bins with ``layers["signal"]``, normalised with the model's constants, and with the model's graph, if
        it has one. It is left as it is.
    edits
        One edit or several, which act one after the other. The edited signal is normalised as ``adata`` was: by the
        formula, or after ``method="quantile"`` by the map from signal to ``X`` that all genes of the cell type together
        show, linear between observed values, in proportion beyond the largest.
    genes
        Genes to perturb: ids, symbols or a mask; ``None`` takes all.
    progress
        Show a progress bar, where there are many genes.

    Returns
    -------
    pandas.DataFrame
        One row per gene, in the order asked for: ``gene`` (id), ``symbol``, ``probability_before``,
        ``probability_after``, ``log_odds_change`` (of being high, natural logarithm, calibrated as the probability is),
        ``log_expression_before``, ``log_expression_after`` and ``log_expression_change`` (``log10(expression + 0.1)``),
        those that the model's task covers; then their intervals, as in :meth:`simplechrome_tk.SimpleChrome.predict`:
        ``probability_low_before``, ``probability_high_before``, ``probability_low_after``, ``probability_high_after``,
        and those of ``expression``. The intervals were learnt from genes as they are. Around an edited gene they say
        how genes that are predicted alike were measured; such edited chromatin was never measured.

    Raises
    ------
    RuntimeError
        When the model is not trained.
    TypeError
        When it is not a :class:`simplechrome_tk.SimpleChrome`.
    ValueError
        When the data do not fit the model, the signal was not kept, or an edit cannot be made: an unknown mark, region
        or gene, a stretch outside the window, a neighbour that a gene does not have.

    Examples
    --------
    >>> import simplechrome_tk as sct
    >>> adata = sct.datasets.simulate(300)
    >>> sct.pp.split_by_chromosome(adata)
    >>> sct.pp.normalize(adata)
    >>> model = sct.SimpleChrome(adata, n_latent=4)
    >>> model.train(latent_epochs=1, expression_epochs=1, progress=False)
    >>> removal = sct.tl.Edit.remove(mark="H3K4me3", region="tss")
    >>> table = sct.tl.perturb(adata, model, removal, genes=adata.obs_names[:3])
    >>> table.columns.tolist()[:5]
    ['gene', 'symbol', 'probability_before', 'probability_after', 'log_odds_change']
    """
    check_order(adata, model, "sct.tl.perturb(adata, model, edits)")
    edits = [edits] if isinstance(edits, Edit) else list(edits)
    bench = bench_of(model, adata)
    bench.check(edits)
    rows = gene_rows(adata, genes)
    before: list[pd.DataFrame] = []
    after: list[pd.DataFrame] = []
    same = 0
    for places in chunks(bench, rows, progress=progress):
        scenes = bench.scene(rows[places], edits)
        same += unchanged(*scenes)
        for scene, answers in zip(scenes, (before, after), strict=True):
            answers.append(answer(model, bench, scene).set_index(places))
    if same:
        logger.info("The edits change no mark of %d of %d genes: nothing is there to change.", same, len(rows))
    old, new = (pd.concat(parts).sort_index() for parts in (before, after))
    table = who(adata, rows)
    if LOG_ODDS in old:
        table["probability_before"], table["probability_after"] = old[PROBABILITY].array, new[PROBABILITY].array
        table["log_odds_change"] = (new[LOG_ODDS] - old[LOG_ODDS]).array
    if LOG_EXPRESSION in old:
        table["log_expression_before"], table["log_expression_after"] = (
            old[LOG_EXPRESSION].array,
            new[LOG_EXPRESSION].array,
        )
        table["log_expression_change"] = (new[LOG_EXPRESSION] - old[LOG_EXPRESSION]).array
    for value in (name for name in (PROBABILITY, LOG_EXPRESSION) if name in old):
        for when, answers in (("before", old), ("after", new)):
            for bound in ("low", "high"):
                table[f"{value}_{bound}_{when}"] = answers[f"{value}_{bound}"].array
    return table


def perturb_with(
    adata: ad.AnnData,
    model: Model,
    edits: Edit | Sequence[Edit],
    func: Callable[[Model, ad.AnnData], Result],
    *,
    genes: str | Sequence[str] | np.ndarray | pd.Series | None = None,
) -> BeforeAfter[Result]:
    """Run any function of a model and data on genes before and after edits: attributions, latents, another model.

    Parameters
    ----------
    model
        What ``func`` takes as its first argument: a :class:`simplechrome_tk.SimpleChrome`, or any other model, of which
        only the genes themselves can be edited.
    adata, edits, genes
        As for :func:`perturb`.
    func
        ``func(model, data)``, called once with the genes as they are and once as edited. ``data`` holds the genes asked
        for, by their ids, and behind them, for a model with neighbours, those that they hear, as ``"id (neighbour)"``;
        ``obs["perturbed"]`` tells them apart. It has ``X``, ``layers["signal"]``, ``obs``, ``var``, ``uns`` and the
        model's graph, in which the genes asked for alone have neighbours. It is a copy, for ``func`` to write to.

    Returns
    -------
    BeforeAfter
        ``before``, ``after``, ``data_before``, ``data_after``.

    Raises
    ------
    ValueError
        As :func:`perturb`.

    Examples
    --------
    >>> import simplechrome_tk as sct
    >>> adata = sct.datasets.simulate(300)
    >>> sct.pp.split_by_chromosome(adata)
    >>> sct.pp.normalize(adata)
    >>> model = sct.SimpleChrome(adata, n_latent=4)
    >>> model.train(latent_epochs=1, expression_epochs=1, progress=False)
    >>> latent = sct.tl.perturb_with(
    ...     adata, model, sct.tl.Edit.remove(), sct.SimpleChrome.get_latent_representation, genes=adata.obs_names[:3]
    ... )
    >>> (latent.after - latent.before).shape
    (3, 4)
    """
    check_order(adata, model, "sct.tl.perturb_with(adata, model, edits, func)")
    edits = [edits] if isinstance(edits, Edit) else list(edits)
    bench = bench_of(model, adata) if isinstance(model, SimpleChrome) else Bench(adata, neighbors_key=None)
    bench.check(edits)
    data = [bench.adata_of(scene, named=True) for scene in bench.scene(gene_rows(adata, genes), edits)]
    results = [func(model, part) for part in data]
    return BeforeAfter(results[0], results[1], data[0], data[1])


def bench_of(model: object, adata: ad.AnnData) -> Bench:
    """Return where the genes are edited, after checking that the model can read them."""
    if not isinstance(model, SimpleChrome):
        msg = (
            f"the model is a {type(model).__name__}; expected a SimpleChrome. Of another model ask "
            "sct.tl.perturb_with(adata, model, edits, func), with a func(model, adata) that predicts."
        )
        raise TypeError(msg)
    require_trained(model)
    return Bench(model.read(adata).adata, neighbors_key=model.settings.neighbors_key)


def answer(model: SimpleChrome, bench: Bench, scene: Scene) -> pd.DataFrame:
    """Predict the genes of a scene: the columns of ``model.predict`` and ``log_odds``, those that the task covers."""
    columns = model.predict_columns(model.read(bench.adata_of(scene, named=False)))
    return pd.DataFrame({name: values[: len(scene.genes.rows)] for name, values in columns.items()})


def unchanged(before: Scene, after: Scene) -> int:
    """Count genes of which neither their own marks nor those of their neighbours differ."""
    changed = (before.genes.signal != after.genes.signal).any(axis=1)
    around = (before.neighbors.signal != after.neighbors.signal).any(axis=1)
    changed[before.links.gene[around[before.links.neighbor]]] = True
    return int((~changed).sum())


def who(adata: ad.AnnData, rows: np.ndarray) -> pd.DataFrame:
    """Return ``gene`` and ``symbol`` of rows."""
    symbol = adata.obs[k.SYMBOL].iloc[rows].astype(str).array if k.SYMBOL in adata.obs else adata.obs_names[rows]
    return pd.DataFrame({"gene": adata.obs_names[rows], "symbol": symbol})


def chunks(bench: Bench, rows: np.ndarray, *, progress: bool) -> Iterator[np.ndarray]:
    """Cut ``rows`` into chunks of genes that hear the same neighbours, with a progress bar where there are several.

    Yields places among ``rows``.
    """
    order = bench.order(rows) if len(rows) > _CHUNK else np.arange(len(rows))
    parts = np.split(order, range(_CHUNK, len(rows), _CHUNK))
    return iter(tqdm(parts, disable=not progress or len(parts) == 1))
