"""Python code of edits."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from simplechrome_tk.core import keys as k
from simplechrome_tk.tl.perturbation._edit import GENE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simplechrome_tk.tl import Edit


def edit_code(groups: Sequence[tuple[Sequence[str], Sequence[Edit]]]) -> str:
    """Return Python that applies scalings to groups of genes, each with its own edits."""
    parts = ["import simplechrome_tk as sct"]
    n_results = 0
    for genes, edits in groups:
        if edits:
            n_results += 1
            # A second result would replace the first one under the same name.
            key = f', key_added="{k.PERTURB}_{n_results}"' if n_results > 1 else ""
            named = _quoted(genes[0]) if len(genes) == 1 else "[" + ", ".join(map(_quoted, genes)) + "]"
            lines = ["edits = [", *(f"    {_call(edit)}," for edit in edits), "]"]
            parts.append("\n".join([*lines, f"sct.tl.perturb(adata, model, edits, genes={named}{key})"]))
        else:
            parts.append(f"# nothing is edited on {', '.join(map(_quoted, genes))}: every slider is at 1")
    return "\n\n".join(parts)


def _quoted(text: str) -> str:
    """Write a name as a Python string on one line, because a line break in it would begin a new line of code."""
    return json.dumps(text, ensure_ascii=False)


def _call(edit: Edit) -> str:
    arguments = [("mark", edit.mark), ("region", edit.region), ("on", None if edit.on == GENE else edit.on)]
    named = "".join(f", {name}={_quoted(value)}" for name, value in arguments if value is not None)
    return f"sct.tl.Edit.scale({edit.value:g}{named})"
