"""Checks of the ids and values in expression tables."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from simplechrome_tk.io._ids import (
    TRANSCRIPT,
    as_text,
    is_par_copy,
    is_spreadsheet_damage,
    replace_control_characters,
    strip_versions,
)

if TYPE_CHECKING:
    import pandas as pd

# Rows of htseq-count and STAR that sum up reads outside genes.
_SUMMARY = re.compile(r"^(?:__\w+|N_(?:unmapped|multimapping|noFeature|ambiguous))$")

# Spellings of a missing value, in lower case.
_MISSING = ("", "na", "nan", "n/a", "none", "null", "<na>")
WITH_COMMAS = re.compile(r"^-?\d+(?:[.']\d{3})*,\d+$|^-?\d{1,3}(?:,\d{3})+(?:\.\d+)?$")
"""Numbers with a comma as the decimal sign, or between groups of digits."""

COMMAS = (
    "Numbers such as {!r} hold a comma: read the file with pandas.read_csv(path, sep=None, engine='python', "
    "decimal=',') where it is the decimal sign (thousands=',' where it groups digits), and pass the table"
)
_DAMAGED = (
    "They are dates or powers of ten, which a spreadsheet makes of symbols (MARCH1 and MARC1 both become 1-Mar): take "
    "the file from before it was opened there, or one with Ensembl ids"
)


def check_values(table: pd.DataFrame, *, source: str) -> tuple[pd.Series, dict[str, int], list[str]]:
    """Check the ids and values of a table with the columns ``id`` and ``text``, the values as they are written.

    Returns
    -------
    tuple
        Values by gene; the counts that are logged; the ids that a spreadsheet has changed.
    """
    summary = table["id"].str.contains(_SUMMARY)
    table, n_control = replace_control_characters(table[~summary].reset_index(drop=True), ["id"])
    table["id"] = as_text(table["id"])
    number = table["text"].map(_to_number).astype(float)
    missing = table["text"].str.lower().isin(_MISSING)
    _check_rows(table, number, missing, source=source)
    gene = strip_versions(table["id"])
    # A pseudoautosomal copy is added to its gene; without a row of the gene, its row is that of the gene.
    copy = is_par_copy(table["id"])
    copy &= gene.isin(gene[~copy])
    damaged = is_spreadsheet_damage(gene)
    twice = gene[~copy].duplicated()
    if twice.any():
        name = gene[~copy][twice].iloc[0]
        held = " and ".join(table["text"][(gene == name) & ~copy][:2])
        fix = "Keep one row of each id, or add them up (table.groupby(level=0).sum()) and pass the table"
        if damaged[gene == name].any():
            fix = _DAMAGED
        msg = (
            f"{source}: {int(twice.sum())} ids occur again, versions left aside, the first {name!r} with {held}. {fix}."
        )
        raise ValueError(msg)
    values = number.set_axis(gene.to_numpy()).rename_axis(None)
    if copy.any():
        values = values.groupby(level=0, sort=False).sum(min_count=1)
    counts = {
        "genes": len(values),
        "missing": int(values.isna().sum()),
        "summary_rows": int(summary.sum()),
        "par_copies": int(copy.sum()),
        "control_characters": n_control,
        "spreadsheet_damage": int(damaged.sum()),
    }
    return values, counts, gene[damaged].tolist()


def _check_rows(table: pd.DataFrame, number: pd.Series, missing: pd.Series, *, source: str) -> None:
    """Raise when an id or value is invalid, or when the ids belong to transcripts."""
    problems = {
        "no id": table["id"] == "",
        "an id that is a number with decimals (which column holds the ids? call it gene_id)": table["id"].str.fullmatch(
            r"\d+\.\d+"
        ),
        "a semicolon and a number in the id (is the comma the decimal sign? read it with pandas.read_csv(path, "
        "sep=';', decimal=','))": table["id"].str.contains(r";\d+$"),
        "a value that is no number": number.isna() & ~missing,
        "an infinite value": np.isinf(number),
        "a negative value (logarithms? undo them first)": number < 0,
    }
    for problem, wrong in problems.items():
        if wrong.any():
            first = table[wrong].iloc[0]
            commas = WITH_COMMAS.match(first["text"]) and problem.endswith("no number")
            fix = (
                COMMAS.format(first["text"]) if commas else "Correct them, or leave the value empty where there is none"
            )
            shown = " ".join(first)[:80]
            msg = f"{source}: {int(wrong.sum())} of {len(table)} rows have {problem}, the first: {shown}. {fix}."
            raise ValueError(msg)
    if missing.all():
        msg = f"{source}: none of {len(table)} genes has a value; choose another column, or check the file."
        raise ValueError(msg)
    transcript = table["id"].str.contains(TRANSCRIPT)
    if transcript.mean() > 0.5:
        msg = (
            f"{source}: {int(transcript.sum())} of {len(table)} ids are transcripts, such as "
            f"{table['id'][transcript].iloc[0]!r}; expected genes. Salmon writes quant.genes.sf when it is given "
            "--geneMap genes.gtf; tximport sums up kallisto's and others' transcripts."
        )
        raise ValueError(msg)


def is_number(text: str, *, missing: bool = True) -> bool:
    """Whether a field holds a number; ``missing`` says whether a missing value counts as one."""
    if text.strip().lower() in _MISSING:
        return missing
    return not np.isnan(_to_number(text))


def _to_number(text: str) -> float:
    """Return the number to its last digit, which pandas.to_numeric does not; NaN for other text."""
    try:
        return float(text) if "_" not in text else np.nan
    except ValueError:
        return np.nan
