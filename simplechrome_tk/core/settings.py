"""Settings of the package that a user can change."""

from __future__ import annotations

import logging
import sys

_PACKAGE = "simplechrome_tk"

_LEVELS = (logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG)
"""The level of the logger at each verbosity, from 0 to 3."""

_NAMES = {"error": 0, "warning": 1, "info": 2, "hint": 3, "debug": 3}
"""Scanpy's names of the verbosities."""


class PackageSettings:
    """Settings of simplechrome_tk, as ``sct.settings``.

    Examples
    --------
    >>> sct.settings.verbosity
    1
    """

    @property
    def verbosity(self) -> int:
        """How much is reported: 0 errors, 1 also warnings, 2 also what each step did, 3 also details.

        The default is 1. A name is accepted as well: ``"error"``, ``"warning"``, ``"info"``, ``"hint"`` or ``"debug"``
        (the last two are both 3). Setting it sets the level of the logger ``"simplechrome_tk"``. Messages are printed
        to standard error, in a notebook to standard output, unless a handler of Python's root logger shows them
        already; so each appears once.
        """
        level = logging.getLogger(_PACKAGE).getEffectiveLevel()
        return max((number for number, shown in enumerate(_LEVELS) if shown >= level), default=0)

    @verbosity.setter
    def verbosity(self, value: int | str) -> None:
        number = _NAMES.get(value.lower()) if isinstance(value, str) else value
        if not isinstance(number, int) or isinstance(number, bool) or number not in range(len(_LEVELS)):
            msg = f"verbosity is {value!r}; expected a number from 0 to 3, or one of {', '.join(_NAMES)}."
            raise ValueError(msg)
        logger = logging.getLogger(_PACKAGE)
        logger.setLevel(_LEVELS[number])
        if not any(isinstance(handler, _Printer) for handler in logger.handlers):
            logger.addHandler(_Printer())

    def __repr__(self) -> str:
        return f"simplechrome_tk settings: verbosity={self.verbosity}"


class _Printer(logging.Handler):
    """Prints a message as it is, unless a handler of the root logger shows it."""

    def emit(self, record: logging.LogRecord) -> None:
        if not any(_shows(handler, record) for handler in logging.getLogger().handlers):
            # As in scanpy: a notebook shows standard error on red, as if something had failed.
            print(self.format(record), file=sys.stdout if "ipykernel" in sys.modules else sys.stderr)


def _shows(handler: logging.Handler, record: logging.LogRecord) -> bool:
    """Whether a handler brings the message before the user's eyes; a log file does not."""
    if isinstance(handler, logging.FileHandler | logging.NullHandler):
        return False
    return record.levelno >= handler.level


settings = PackageSettings()
