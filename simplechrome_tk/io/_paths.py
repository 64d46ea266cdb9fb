"""Paths given as arguments."""

from __future__ import annotations

import os
from pathlib import Path


def as_path(value: object, *, name: str, expected: str) -> Path:
    """Return a path; raise a ``ValueError`` that says what the argument ``name`` is and what was ``expected``."""
    if not isinstance(value, str | os.PathLike):
        article = "an" if type(value).__name__[0].lower() in "aeiou" else "a"
        msg = f"{name} is {article} {type(value).__name__}; expected {expected}."
        raise ValueError(msg)
    return Path(value)
