"""Checks of single values; each raises a ``ValueError`` that says the value and the expected ones."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection

_LARGEST = 1_000_000
"""Largest size: the product of three sizes still fits into integers of 64 bits."""


def whole(name: str, value: object, *, least: int = 1, most: int = _LARGEST) -> int:
    """Return a whole number of any integer type as ``int``."""
    if isinstance(value, bool) or not isinstance(value, Integral) or not least <= int(value) <= most:
        msg = f"{name} is {reprlib.repr(value)}; expected a whole number from {least:,} to {most:,}."
        raise ValueError(msg)
    return int(value)


def number(name: str, value: object) -> float:
    """Return a finite number of any type as ``float``."""
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        msg = f"{name} is {reprlib.repr(value)}; expected a finite number."
        raise ValueError(msg)
    return float(value)


def above_zero(name: str, value: object) -> float:
    """Return a finite number above 0 as ``float``."""
    if not isinstance(value, bool) and isinstance(value, Real) and math.isfinite(value) and float(value) > 0:
        return float(value)
    msg = f"{name} is {reprlib.repr(value)}; expected a finite number above 0."
    raise ValueError(msg)


def truth(name: str, value: object) -> bool:
    """Return a boolean of Python or numpy as ``bool``."""
    if not isinstance(value, bool | np.bool_):
        msg = f"{name} is {reprlib.repr(value)}; expected True or False."
        raise ValueError(msg)
    return bool(value)


def text(name: str, value: object) -> str:
    """Return a string that is not empty."""
    if not isinstance(value, str) or not value:
        msg = f"{name} is {reprlib.repr(value)}; expected a name, as a string."
        raise ValueError(msg)
    return str(value)


def texts(name: str, value: object) -> list[str]:
    """Return a list, tuple or array of strings as a list."""
    found = value.tolist() if isinstance(value, np.ndarray) else value
    if not isinstance(found, list | tuple) or not all(isinstance(item, str) for item in found):
        msg = f"{name} is {reprlib.repr(value)}; expected a list of strings."
        raise ValueError(msg)
    return [str(item) for item in found]


def fields(
    name: str, value: object, *, required: Collection[str], optional: Collection[str] | None = ()
) -> dict[str, Any]:
    """Return a mapping as a dictionary; it must have all required keys. ``optional=None`` allows any other keys."""
    if not isinstance(value, Mapping):
        msg = f"{name} is {reprlib.repr(value)}; expected fields with values."
        raise ValueError(msg)
    missing = [key for key in required if key not in value]
    unknown = [] if optional is None else [key for key in value if key not in {*required, *optional}]
    if missing or unknown:
        parts = [
            f"{problem} {', '.join(map(reprlib.repr, keys[:3]))}"
            for keys, problem in ((missing, "lacks"), (unknown, "has the unknown"))
            if keys
        ]
        msg = f"{name} {' and '.join(parts)}."
        raise ValueError(msg)
    return dict(value)


def finite_array(name: str, value: object, *, shape: tuple[int | None, ...]) -> np.ndarray:
    """Return finite numbers as an array of this shape; ``None`` in ``shape`` allows any length."""
    try:
        found = np.asarray(value)
    except ValueError:  # lists of different lengths
        found = np.asarray(None)
    fits = found.ndim == len(shape) and all(
        expected in (None, length) for length, expected in zip(found.shape, shape, strict=True)
    )
    if found.dtype.kind not in "fiu" or not fits or not np.isfinite(found).all():
        sizes = " x ".join("any number" if length is None else f"{length:,}" for length in shape)
        msg = f"{name} is {reprlib.repr(value)}; expected {sizes} finite numbers."
        raise ValueError(msg)
    return found
