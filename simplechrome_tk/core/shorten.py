"""Lists of names in messages: the first few, and the number of others."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def shorten(names: Iterable[object], *, limit: int = 6) -> str:
    """Return the first ``limit`` names, joined by commas, and the number of others; ``none`` for no names.

    Examples
    --------
    >>> from simplechrome_tk.core.shorten import shorten
    >>> shorten(range(3_000), limit=3)
    '0, 1, 2 and 2,997 more'
    """
    found = [str(name) for name in names]
    more = f" and {len(found) - limit:,} more" if len(found) > limit else ""
    return ", ".join(name[:80] for name in found[:limit]) + more or "none"
