"""What two marks together do to a prediction beyond what each does by itself."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.layout import blocks
from simplechrome_tk.core.require import check_order, gene_rows
from simplechrome_tk.core.write import to_change, write_whole
from simplechrome_tk.tl.attribution._baselines import reference
from simplechrome_tk.tl.attribution._target import explained, frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad

    from simplechrome_tk.model._simplechrome import SimpleChrome
    from simplechrome_tk.tl.attribution._baselines import Baseline
    from simplechrome_tk.tl.attribution._target import Read


def interactions(
    adata: ad.AnnData,
    model: SimpleChrome | torch.nn.Module,
    *,
    genes: str | Sequence[str] | np.ndarray | pd.Series | None = None,
    target: str | Read = "logit",
    baseline: Baseline | np.ndarray = "zero",
    batch_size: int = 2_048,
    key_added: str = k.ATTRIBUTION,
    progress: bool = True,
    copy: bool = False,
) -> ad.AnnData | None:
    r"""Measure for each pair of the gene's own marks whether the prediction takes them together.

    With :math:`f_{AB}` the prediction of the gene as it is, :math:`f_A` without mark ``B`` (replaced by the baseline in
    all its bins), :math:`f_B` without ``A`` and :math:`f` without both, the interaction is
    :math:`f_{AB} - f_A - f_B + f`: 0 where effects add up, above 0 where the marks do more together than each alone
    (synergy), below 0 where one is worth less beside the other (redundancy, antagonism). It is the integral of the
    mixed second derivatives, the Hessian's block of the two marks, over all ways from the baseline to the gene's marks;
    no numerical derivative is taken. Other marks and the neighbours stay as they are.

    Parameters
    ----------
    model, adata, genes, target, baseline
        As for :func:`attribute`.
    batch_size
        Genes that go through the networks at once.
    key_added
        Name of the result.
    progress
        Show a progress bar.
    copy
        Return a changed copy and leave ``adata`` as it is.

    Returns
    -------
    anndata.AnnData | None
        The copy when ``copy=True``. Writes ``obsm["attribution_interactions"]``: a table with a column for each pair,
        such as ``"H3K4me3 x H3K27me3"``, in the unit of the target; NaN for genes that were not asked for; and
        ``uns["attribution_interactions"]``: ``target``, ``unit`` and ``baseline``. A slash and a space within the name
        of a mark are written as ``%2F`` and ``%20``, since files take a slash for a folder;
        :func:`simplechrome_tk.get.interactions` gives the names as they are.

    Raises
    ------
    RuntimeError
        When the model is not trained.
    ValueError
        When the data have one mark only, or as for :func:`attribute`.
    """
    check_order(adata, model, "sct.tl.interactions(adata, model)")
    adata = to_change(adata, copy=copy)
    what = explained(model, adata, target)
    rows = gene_rows(adata, genes)
    start = reference(adata, baseline)
    table = blocks(adata)
    marks = list(table["mark"].unique())
    if len(marks) < 2:
        msg = f"the data have one mark only ({marks[0]}); expected two at least."
        raise ValueError(msg)
    of_mark = torch.as_tensor(np.repeat([marks.index(mark) for mark in table["mark"]], table["stop"] - table["start"]))
    pairs = list(combinations(range(len(marks)), 2))
    found = np.full((adata.n_obs, len(pairs)), np.nan, dtype=np.float32)
    with frozen(what.networks), tqdm(total=len(rows), disable=not progress, unit="gene") as bar:
        for part in np.array_split(rows, max(1, -(-len(rows) // batch_size))):
            batch = what.batch(part, start)
            values = what.of_own(batch)
            own, absent = batch.x[batch.genes], batch.baseline[batch.genes]
            without = {}
            for removed in [(), *((mark,) for mark in range(len(marks))), *pairs]:
                x = own.clone()
                columns = torch.isin(of_mark, torch.tensor(removed, dtype=torch.long)).nonzero().squeeze(1)
                x[:, columns] = absent[:, columns]
                without[removed] = values(x)
            for number, (first, second) in enumerate(pairs):
                both = without[()] - without[first,] - without[second,] + without[first, second]
                found[part, number] = both.cpu().numpy()
            bar.update(len(part))
    # A space within a mark would be taken for the one around the x when the column is taken apart.
    named = [k.as_column(mark).replace(" ", "%20") for mark in marks]
    names = [f"{named[first]} x {named[second]}" for first, second in pairs]
    slot = k.INTERACTIONS.format(key_added)
    table_of_pairs = pd.DataFrame(found, index=adata.obs_names, columns=names)
    record = {"target": what.target, "unit": what.unit, "baseline": start.name}
    write_whole(adata, [("obsm", slot, table_of_pairs)], records={slot: record})
    return adata if copy else None
