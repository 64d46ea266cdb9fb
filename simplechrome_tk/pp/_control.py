"""Compare a signal with its control."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.layout import blocks
from simplechrome_tk.core.matrix import dense
from simplechrome_tk.core.normalization import is_normalized
from simplechrome_tk.core.write import to_change, write_whole

if TYPE_CHECKING:
    import anndata as ad

logger = logging.getLogger(__name__)

ControlMethod = Literal["log_ratio", "subtract"]


def subtract_control(
    adata: ad.AnnData,
    control: ad.AnnData,
    *,
    method: ControlMethod = "log_ratio",
    pseudocount: float = 1.0,
    scale: float | Mapping[str, float] | None = None,
    copy: bool = False,
) -> ad.AnnData | None:
    """Replace the signal by what exceeds that of a control (input DNA, IgG), bin by bin.

    Signal stays non-negative, as :func:`normalize` expects it: a bin at or below its control is 0.

    Parameters
    ----------
    adata
        Genes by bins of signal, not normalised.
    control
        The same genes and windows, binned by the same function: of one mark, the control of all, or of each mark in
        ``adata``.
    method
        ``"log_ratio"``: ``max(0, log2((signal + pseudocount) / (scale * control + pseudocount)))``. ``"subtract"``:
        ``max(0, signal - scale * control)``.
    pseudocount
        Keeps ratios of small numbers small; in the unit of the signal.
    scale
        What to multiply the control by, one number or one for each mark. By default the ratio of the two libraries
        where both were counted by :func:`bin_reads`, otherwise 1: bigWig and peaks are taken as they are.
    copy
        Return a changed copy and leave ``adata`` as it is.

    Returns
    -------
    anndata.AnnData | None
        The copy when ``copy=True``. Writes ``X`` (float32), ``uns["units"]["signal"]`` (as plots call it) and
        ``uns["subtract_control"]``: ``method``, ``pseudocount`` and, aligned, ``mark`` and ``scale``. The scales and
        the share of bins that are 0 now are logged.

    Raises
    ------
    ValueError
        When the signal is normalised or compared already, holds missing, infinite or negative values, the control has
        other genes, bins or marks, or a scale or the pseudocount is not positive.

    Examples
    --------
    >>> import simplechrome_tk as sct
    >>> marks = sct.pp.bin_reads({"H3K4me3": "k4me3.bam"}, genes)  # doctest: +SKIP
    >>> sct.pp.subtract_control(marks, sct.pp.bin_reads({"input": "input.bam"}, genes))  # doctest: +SKIP
    """
    if method not in get_args(ControlMethod):
        msg = f"method is {method!r}; choose one of {', '.join(get_args(ControlMethod))}."
        raise ValueError(msg)
    is_normalized(adata)
    is_normalized(control)
    for step in (k.NORMALIZE, k.SUBTRACT_CONTROL):
        if step in adata.uns or step in control.uns:
            msg = f"uns[{step!r}] is there already; compare with the control once, before sct.pp.normalize."
            raise ValueError(msg)
    counted = {name: dense(data) for name, data in (("adata", adata), ("control", control))}
    for name, values in counted.items():
        _check_signal(name, values)
    if not adata.obs_names.equals(control.obs_names):
        msg = (
            f"adata and control hold other genes ({adata.n_obs} and {control.n_obs}), or in another order; bin both "
            "with the same table of genes."
        )
        raise ValueError(msg)
    table, control_table = blocks(adata), blocks(control)
    marks = list(table["mark"].unique())
    controls = _control_of(marks, list(control_table["mark"].unique()))
    columns = {(row.region, row.mark): slice(row.start, row.stop) for row in control_table.itertuples()}
    scales = _scales(adata, control, controls, scale)
    _check_positive({"pseudocount": pseudocount, **{f"scale of {mark}": value for mark, value in scales.items()}})
    adata = to_change(adata, copy=copy, x=True)
    signal = counted["adata"].astype(np.float32)
    for row in table.itertuples():
        own, other = slice(row.start, row.stop), columns.get((row.region, controls[row.mark]))
        if other is None or not _same_bins(adata, own, control, other):
            msg = f"region {row.region!r} has other bins in the control; bin both with the same windows."
            raise ValueError(msg)
        expected = scales[row.mark] * counted["control"][:, other].astype(float)
        found = signal[:, own].astype(float)
        if method == "subtract":
            above = found - expected
        else:
            above = np.log2((found + pseudocount) / (expected + pseudocount))
        signal[:, own] = np.maximum(above, 0.0)
    scaled = ", ".join(f"{mark} {scales[mark]:.3g}" for mark in marks)
    logger.info("%.0f %% of bins are not above the control, scaled by: %s", 100 * (signal == 0).mean(), scaled)
    units = dict(adata.uns.get(k.UNITS, {}))
    before = units.get(k.SIGNAL, "signal")
    units[k.SIGNAL] = f"{before} above control" if method == "subtract" else "log2 ratio to control"
    record = {
        "method": method,
        "pseudocount": float(pseudocount),
        "mark": np.array(marks, dtype=str),
        "scale": np.array([scales[mark] for mark in marks], dtype=float),
    }
    write_whole(adata, [("X", "", signal), ("uns", k.UNITS, units)], records={k.SUBTRACT_CONTROL: record})
    return adata if copy else None


def _control_of(marks: list[str], controls: list[str]) -> dict[str, str]:
    """Mark -> the mark of the control that it is compared with."""
    if len(controls) == 1:
        return dict.fromkeys(marks, controls[0])
    if missing := [mark for mark in marks if mark not in controls]:
        msg = f"no control for {', '.join(missing)}; found {', '.join(controls)}. Give one for each or for all."
        raise ValueError(msg)
    return {mark: mark for mark in marks}


def _scales(
    adata: ad.AnnData, control: ad.AnnData, controls: dict[str, str], scale: float | Mapping[str, float] | None
) -> dict[str, float]:
    """Mark -> what to multiply its control by."""
    if scale is None and k.READS in adata.uns and k.READS in control.uns:
        own, other = adata.uns[k.READS]["library"], control.uns[k.READS]["library"]
        if missing := [mark for mark in controls if mark not in own]:
            msg = (
                f"{', '.join(missing)}: not counted by sct.pp.bin_reads, as the control was; give scale= for each mark."
            )
            raise ValueError(msg)
        return {mark: own[mark] / other[of] if other[of] else np.inf for mark, of in controls.items()}
    if not isinstance(scale, Mapping):
        return dict.fromkeys(controls, 1.0 if scale is None else float(scale))
    if missing := [mark for mark in controls if mark not in scale]:
        msg = f"scale has no number for {', '.join(missing)}; found {', '.join(scale)}."
        raise ValueError(msg)
    return {mark: float(scale[mark]) for mark in controls}


def _same_bins(adata: ad.AnnData, own: slice, control: ad.AnnData, other: slice) -> bool:
    bounds = [data.var[[k.START_BP, k.END_BP]].to_numpy()[part] for data, part in ((adata, own), (control, other))]
    return np.array_equal(*bounds)


def _check_signal(name: str, signal: np.ndarray) -> None:
    for problem, wrong in (("missing or infinite", ~np.isfinite(signal)), ("negative", signal < 0)):
        if wrong.any():
            msg = f"{name} holds {int(wrong.sum())} {problem} values; expected non-negative signal."
            raise ValueError(msg)


def _check_positive(numbers: Mapping[str, float]) -> None:
    for name, number in numbers.items():
        if not (np.isfinite(number) and number > 0):
            msg = f"{name} is {number}; expected a positive number."
            raise ValueError(msg)
